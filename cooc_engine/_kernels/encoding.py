"""Tokenising bytes to provisional word ids by an open-addressing hash table, and mapping these to final ids.

A frequent word costs two cache lines, that of its slot and that of its record, and no comparison byte by byte. Both are
prefetched, for some words together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import int32, int64, types, uint8, uint64, void

from cooc_engine._kernels.basics import load64, prefetch
from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.scanning import AHEAD, MULTIPLIER, bad_text, hash_chunk, hash_word, is_space, room_ahead

PADDING = 8  # bytes that may be read past the end of a block
WORDS, USED = 0, 1  # indices into the state of a table: number of words, elements of `records` in use
NO_WORD = -2  # distinct from -1, the id of an unknown word
DONE, FULL, BAD_TEXT = 0, 1, 2  # why a kernel returned


class HashTable(NamedTuple):
    """Words, their ids and their counts.

    slots    upper half of a word's hash, and 1 plus the index of its record; 0 if empty; a power of 2 of them, half empty
    records  consecutive records: id and length in bytes, count, then the bytes in 8-byte chunks padded with zeros
    state    (2,) number of words, and number of elements of `records` in use
    """

    slots: Any
    records: Any
    state: Any


class TokenizedText(NamedTuple):
    """Buffers for the ids of the words of a text, int32, and for the number of ids before each line end, int64."""

    ids: Any
    ends: Any


class PairList(NamedTuple):
    """Sorted pairs of words: the pairs with first word w have the second words seconds[starts[w]:starts[w + 1]]."""

    starts: Any
    seconds: Any


TABLE = named(HashTable, slots=out(uint64), records=out(uint64), state=out(int64))
TEXT = named(TokenizedText, ids=out(int32), ends=out(int64))
PAIRS = named(PairList, starts=out(int64), seconds=out(int32))
SIZES = types.UniTuple(int64, 2)

_TAG = np.uint64(0xFFFFFFFF00000000)
_PLACE = np.uint64(0x00000000FFFFFFFF)


@helper
def word_chunk(block, start, k, length):
    """Return 8 bytes of the word at `start`, from its k-th byte on, padded with zeros past its end."""
    chunk = load64(block, start + k)
    if length - k < 8:
        chunk &= ~np.uint64(0) >> np.uint64(64 - 8 * (length - k))
    return chunk


@helper
def same_word(block, start, length, records, place):
    """Tell whether a record holds the word at `start`."""
    if records[place] & _PLACE != np.uint64(length):
        return False
    k = 0
    while k < length:
        if word_chunk(block, start, k, length) != records[place + 2 + (k >> 3)]:
            return False
        k += 8
    return True


@helper
def slot_of(hash_, slots):
    """Return the slot where the search for a word begins."""
    return (hash_ * MULTIPLIER >> np.uint64(20)) & np.uint64(slots.shape[0] - 1)


@helper
def find(block, start, length, hash_, table):
    """Return the index of the word's record, or -1, and the slot where the search ended."""
    slots, records = table.slots, table.records
    mask = np.uint64(slots.shape[0] - 1)
    tag = hash_ & _TAG
    s = slot_of(hash_, slots)
    while True:
        entry = slots[s]
        if entry == 0:
            return int64(-1), s
        place = int64(entry & _PLACE) - 1
        if entry & _TAG == tag and same_word(block, start, length, records, place):
            return place, s
        s = (s + np.uint64(1)) & mask


@helper
def find_or_add(block, start, length, hash_, table):
    """Return the index of the word's record and whether it is new; a new record has count 0."""
    slots, records, state = table
    place, s = find(block, start, length, hash_, table)
    if place >= 0:
        return place, False
    place = state[USED]
    slots[s] = hash_ & _TAG | np.uint64(place + 1)
    records[place] = np.uint64(state[WORDS]) << np.uint64(32) | np.uint64(length)
    records[place + 1] = 0
    k = 0
    while k < length:
        records[place + 2 + (k >> 3)] = word_chunk(block, start, k, length)
        k += 8
    state[WORDS] += 1
    state[USED] += 2 + (length + 7 >> 3)
    return place, True


@helper
def has_room(length, table):
    """Tell whether one more word of this length fits into the table, which must stay half empty."""
    slots, records, state = table
    return 2 * state[WORDS] < slots.shape[0] and state[USED] + 2 + (length + 7 >> 3) <= records.shape[0]


@kernel(types.Tuple((int64, int64, SIZES))(array(uint8), int64, int64, TABLE, TEXT, SIZES))
def tokenize(block, begin, stop, table, text, sizes):
    """Append the ids of the words in block[begin:stop], and the number of ids at each line end, to a text of these sizes.

    Returns the reason for returning (DONE, FULL or BAD_TEXT), the position reached, and the new sizes. The block must end with
    white space and be followed by 8 readable bytes.
    """
    slots, records, ids, ends = table.slots, table.records, text.ids, text.ends
    starts, stops, hashes, ended = room_ahead(), room_ahead(), room_ahead(), room_ahead()  # ended: lines before the word
    n, lines = sizes
    p = begin
    while p < stop:
        ahead = 0
        while p < stop and ahead < AHEAD:
            byte = block[p]
            if is_space(byte):
                if byte == 10:
                    ends[lines] = n + ahead
                    lines += 1
                p += 1
                continue
            starts[ahead], ended[ahead] = p, lines
            p, h = hash_word(block, p)
            stops[ahead], hashes[ahead] = p, int64(h)
            prefetch(slots, int64(slot_of(h, slots)))
            ahead += 1
        for i in range(ahead):
            prefetch(records, int64(slots[slot_of(uint64(hashes[i]), slots)] & _PLACE) - 1)
        for i in range(ahead):
            start, length = starts[i], stops[i] - starts[i]
            if not has_room(length, table):
                return FULL, start, (n, ended[i])
            place, new = find_or_add(block, start, length, uint64(hashes[i]), table)
            if new:
                bad = bad_text(block, start, stops[i])
                if bad >= 0:
                    return BAD_TEXT, bad, (n, ended[i])
            records[place + 1] += np.uint64(1)
            ids[n] = int32(records[place] >> np.uint64(32))
            n += 1
    return DONE, p, (n, lines)


@helper
def record_hash(records, place):
    """Return the hash of the word of a record."""
    h = uint64(0)
    for k in range(int64(records[place] & _PLACE) + 7 >> 3):
        h = hash_chunk(h, records[place + 2 + k])
    return h


@kernel(void(array(uint64), int64, out(uint64)))
def rehash(records, used, slots):
    """Enter all records into a larger, empty array of slots."""
    mask = np.uint64(slots.shape[0] - 1)
    place = 0
    while place < used:
        h = record_hash(records, place)
        s = slot_of(h, slots)
        while slots[s] != 0:
            s = (s + np.uint64(1)) & mask
        slots[s] = (h & _TAG) | np.uint64(place + 1)
        place += 2 + (int64(records[place] & _PLACE) + 7 >> 3)


@helper
def part_of(hash_, parts):
    """Return the part of a hash, of so many that each has a range of the lower halves of all hashes."""
    return (hash_ & _PLACE) * parts >> uint64(32)


@kernel(int64(array(uint64), array(uint8), int64, types.UniTuple(uint64, 2), TABLE))
def merge_words(source, source_bytes, begin, share, table):
    """Add the words and counts of another table to this one; `source` is its records in use, read from index `begin` on.

    Of a share (part, parts) only the words are added whose hash is in that part. `source_bytes` is `source` viewed as bytes.
    Returns the index reached: the end, or less if this table must grow.
    """
    part, parts = share
    records = table.records
    place = begin
    while place < source.shape[0]:
        length, h = int64(source[place] & _PLACE), record_hash(source, place)
        if part_of(h, parts) == part:
            if not has_room(length, table):
                return place
            found, _ = find_or_add(source_bytes, 8 * (place + 2), length, h, table)
            records[found + 1] += source[place + 1]
        place += 2 + (length + 7 >> 3)
    return place


@kernel(void(array(uint64), out(int64)))
def count_groups(records, sizes):
    """Add the lengths of all records to `sizes` (G,), each to that of its group: the part of its hash, of G."""
    place = 0
    while place < records.shape[0]:
        size = 2 + (int64(records[place] & _PLACE) + 7 >> 3)
        sizes[part_of(record_hash(records, place), uint64(sizes.shape[0]))] += size
        place += size


@kernel(void(array(uint64), out(int64), out(uint64)))
def group_records(records, fill, grouped):
    """Copy the records of group g to grouped[fill[g]:], and advance fill[g]."""
    place = 0
    while place < records.shape[0]:
        size = 2 + (int64(records[place] & _PLACE) + 7 >> 3)
        group = part_of(record_hash(records, place), uint64(fill.shape[0]))
        for k in range(size):
            grouped[fill[group] + k] = records[place + k]
        fill[group] += size
        place += size


@kernel(int64(array(uint64), array(int64), int64))
def count_records(records, starts, words):
    """Return the number of records that were read from disk, or -1 if they cannot be followed.

    They must be one after another, with ids below `words`, group g from starts[g] on.
    """
    place, n = 0, 0
    for group in range(starts.shape[0] - 1):
        if starts[group] != place:
            return -1
        while place < min(starts[group + 1], records.shape[0]):
            size = 2 + (int64(records[place] & _PLACE) + 7 >> 3)
            if int64(records[place] >> uint64(32)) >= words or size > records.shape[0] - place:
                return -1
            place += size
            n += 1
    return n if place == records.shape[0] else -1


@kernel(void(array(uint64), array(uint8), types.UniTuple(uint64, 2), TABLE, out(int32)))
def find_words(source, source_bytes, share, table, rows):
    """Set rows[i] to the count in this table, which is a row, or -1, of the word with id i in the records `source`.

    Only the words of a share are looked for, as in `merge_words`; the others keep their rows.
    """
    part, parts = share
    records = table.records
    place = 0
    while place < source.shape[0]:
        length, h = int64(source[place] & _PLACE), record_hash(source, place)
        if part_of(h, parts) == part:
            found, _ = find(source_bytes, 8 * (place + 2), length, h, table)
            rows[source[place] >> uint64(32)] = int32(records[found + 1]) if found >= 0 else int32(-1)
        place += 2 + (length + 7 >> 3)


@kernel(void(array(uint8), array(int64), array(int64), int64, out(uint64)))
def pack_words(text, offsets, counts, first, records):
    """Write words text[offsets[i]:offsets[i + 1]] and their counts as consecutive records with the ids from `first` on.

    The text is followed by 8 readable bytes.
    """
    place = 0
    for i in range(counts.shape[0]):
        length = offsets[i + 1] - offsets[i]
        records[place] = np.uint64(first + i) << np.uint64(32) | np.uint64(length)
        records[place + 1] = np.uint64(counts[i])
        k = 0
        while k < length:
            records[place + 2 + (k >> 3)] = word_chunk(text, offsets[i], k, length)
            k += 8
        place += 2 + ((length + 7) >> 3)


@kernel(void(array(uint64), int64, out(int64), out(int64), out(int64)))
def list_words(records, used, counts, places, lengths):
    """Write the count, the index of the first chunk and the length in bytes of each word, indexed by id."""
    place = 0
    while place < used:
        i = int64(records[place] >> np.uint64(32))
        counts[i] = int64(records[place + 1])
        places[i] = place + 2
        lengths[i] = int64(records[place] & _PLACE)
        place += 2 + ((lengths[i] + 7) >> 3)


@kernel(void(array(uint8), array(int64), array(int64), array(int64), out(uint8)))
def gather_words(source, begins, lengths, targets, text):
    """Copy words: the k-th, of lengths[k] bytes, from source[begins[k]] on to text[targets[k]] on."""
    for k in range(begins.shape[0]):
        for z in range(lengths[k]):
            text[targets[k] + z] = source[begins[k] + z]


@helper
def ranks_before(text, offsets, counts, a, b):
    """Tell whether word a ranks before word b: it is more frequent, or as frequent and less by its bytes."""
    if counts[a] != counts[b]:
        return counts[a] > counts[b]
    begin, other = offsets[a], offsets[b]
    length, others = offsets[a + 1] - begin, offsets[b + 1] - other
    for k in range(min(length, others)):
        if text[begin + k] != text[other + k]:
            return text[begin + k] < text[other + k]
    return length < others


@helper
def sift_down(heap, size, at, text, offsets, counts, heads):
    """Move a run down a heap until its first word ranks before those of the runs below it."""
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and ranks_before(text, offsets, counts, heads[heap[below + 1]], heads[heap[below]]):
            below += 1
        if not ranks_before(text, offsets, counts, heads[heap[below]], heads[heap[at]]):
            return
        heap[at], heap[below] = heap[below], heap[at]
        at = below


@kernel(int64(array(uint8), array(int64), array(int64), array(int64), out(int64), out(int64), out(int64)))
def merge_runs(text, offsets, counts, ends, heads, heap, order):
    """Write the next words of ranked runs to `order`, as many as it holds, by rank; returns their number, 0 at the end.

    Run r has the words heads[r]:ends[r]; its head moves on. `heap` has room for the runs.
    """
    size = 0
    for run in range(heads.shape[0]):
        if heads[run] < ends[run]:
            heap[size] = run
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        sift_down(heap, size, at, text, offsets, counts, heads)
    n = 0
    while size > 0 and n < order.shape[0]:
        run = heap[0]
        order[n] = heads[run]
        n += 1
        heads[run] += 1
        if heads[run] == ends[run]:
            size -= 1
            heap[0] = heap[size]
        sift_down(heap, size, 0, text, offsets, counts, heads)
    return n


@kernel(void(array(int32), array(int32), out(int32)))
def renumber(ids, new, result):
    """Compute result = new[ids]."""
    for i in range(ids.shape[0]):
        result[i] = new[ids[i]]


@helper
def pair_number(first, second, pairs):
    """Return the index of a pair of words in the list of pairs, or -1."""
    starts, seconds = pairs
    low, high = starts[first], starts[first + 1]
    while low < high:
        middle = (low + high) >> 1
        if seconds[middle] < second:
            low = middle + 1
        else:
            high = middle
    return low if low < starts[first + 1] and seconds[low] == second else int64(-1)


@kernel(int64(array(int32), array(int64), PAIRS, out(int64), TEXT))
def join_pairs(ids, ends, pairs, state, joined_text):
    """Join adjacent words that form a listed pair, from left to right; pair k gets id V + k, and a joined word starts no pair.

    ends (n,) are the document ends within `ids`. state[0] is the word waiting for its right neighbour, or NO_WORD. Returns the
    number of words in the joined text, which has room for one more than `ids`.
    """
    joined, joined_ends = joined_text
    words = pairs.starts.shape[0] - 1
    waiting, n, d = state[0], 0, 0
    for p in range(ids.shape[0] + 1):
        while d < ends.shape[0] and ends[d] == p:
            if waiting != NO_WORD:
                joined[n] = waiting
                n += 1
                waiting = NO_WORD
            joined_ends[d] = n
            d += 1
        if p == ids.shape[0]:
            break
        word = int64(ids[p])
        number = int64(-1)
        if waiting >= 0 and word >= 0:
            number = pair_number(waiting, word, pairs)
        if number >= 0:
            joined[n] = words + number
            n += 1
            waiting = NO_WORD
        else:
            if waiting != NO_WORD:
                joined[n] = waiting
                n += 1
            waiting = word
    state[0] = waiting
    return n

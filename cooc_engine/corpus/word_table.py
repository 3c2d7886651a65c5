"""Distinct words and their counts while a text is read: a growing hash table, its files, and the ranking of its words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import encoding
from cooc_engine.corpus.vocabulary import Vocabulary, order_by
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Offsets
from cooc_engine.storage.arrays import torn
from cooc_engine.storage.scratch import lazy_zeros, map_raw

__all__ = ["HEAD_BYTES", "Records", "WordTable", "Words", "packed", "rank_words"]

Records = npt.NDArray[np.uint64]
GROUPS = 256  # of words by their hash, in the file of a table
HEAD_BYTES = 8 * (GROUPS + 1)


class Words(NamedTuple):
    """Words as records in any order or, with `starts`, in groups by their hash: group g is records[starts[g]:starts[g + 1]]."""

    records: Records
    starts: Offsets | None = None

    def part(self, part: int, parts: int) -> Records:
        """Return the records of all words whose hash is in part `part` of `parts`; others may be among them."""
        if self.starts is None:
            return self.records
        first, last = part * GROUPS // parts, -(-(part + 1) * GROUPS // parts)
        return self.records[self.starts[first] : self.starts[last]]

    def grouped(self) -> Words:
        """Return a copy in groups."""
        sizes, records = np.zeros(GROUPS, np.int64), np.empty_like(self.records)
        encoding.count_groups(self.records, sizes)
        starts = offsets_of(sizes)
        encoding.group_records(self.records, starts[:-1].copy(), records)
        return Words(records, starts)

    def save(self, path: Path) -> None:
        """Write a file in groups: where each begins among the elements of the records, where the last ends, and the records."""
        found = self.grouped()
        assert found.starts is not None
        with path.open("wb") as file:
            file.write(found.starts.data)
            file.write(found.records.data)

    @classmethod
    def stored(cls, path: Path, size: int | None = None) -> Words:
        """Map such a file; raises `FormatError` if it does not exist or, given the number of its words, cannot be followed."""
        if not path.exists() or path.stat().st_size < HEAD_BYTES or path.stat().st_size % 8:
            raise torn(path)
        values = map_raw(path, np.int64)
        found = cls(values[GROUPS + 1 :].view(np.uint64), values[: GROUPS + 1])
        if size is not None and encoding.count_records(found.records, found.starts, size) != size:
            raise torn(path)
        return found


class WordTable:
    """A growing hash table of words and their counts; ids are numbered by first occurrence."""

    def __init__(self) -> None:
        self.arrays = encoding.HashTable(lazy_zeros(1 << 16, np.uint64), lazy_zeros(1 << 17, np.uint64), np.zeros(2, np.int64))

    def __len__(self) -> int:
        return int(self.arrays.state[encoding.WORDS])

    @property
    def records(self) -> Records:
        """The words with their counts, as `HashTable` describes them, and room for more."""
        records: Records = self.arrays.records
        return records

    @property
    def used(self) -> int:
        """Number of elements of `records` in use."""
        return int(self.arrays.state[encoding.USED])

    @classmethod
    def of(cls, vocabulary: Vocabulary, numbers: npt.NDArray[np.int64] | None = None) -> WordTable:
        """Return a table of the words of a vocabulary with these numbers for counts, by default their rows."""
        table = cls()
        for words in packed(vocabulary, numbers):
            table.add(words)
        return table

    @property
    def words(self) -> Records:
        """The part of `records` in use."""
        return self.records[: self.used]

    @property
    def nbytes(self) -> int:
        """Memory of the table in bytes."""
        return int(self.arrays.slots.nbytes + self.records.nbytes)

    def listed(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return, for each id, the count, the index of its first bytes in `records`, and the length in bytes."""
        counts, places, lengths = (np.empty(len(self), np.int64) for _ in range(3))
        encoding.list_words(self.records, self.used, counts, places, lengths)
        return counts, places, lengths

    def grow(self, longest: int) -> None:
        """Make room for at least one more word of `longest` bytes."""
        if 2 * len(self) >= len(self.arrays.slots):
            self.arrays = self.arrays._replace(slots=lazy_zeros(2 * len(self.arrays.slots), np.uint64))
            encoding.rehash(self.records, self.used, self.arrays.slots)
        if self.used + longest // 8 + 3 > len(self.records):
            records = lazy_zeros(2 * len(self.records) + longest // 8 + 3, np.uint64)
            records[: self.used] = self.records[: self.used]
            self.arrays = self.arrays._replace(records=records)

    def add(self, words: Records, part: int = 0, parts: int = 1) -> None:
        """Add the words of records and their counts: only those whose hash is in part `part` of `parts`."""
        place, data = 0, words.view(np.uint8)
        share = np.uint64(part), np.uint64(parts)
        while True:
            place = encoding.merge_words(words, data, place, share, self.arrays)
            if place == len(words):
                return
            self.grow(int(words[place] & np.uint64(0xFFFFFFFF)))

    def find(self, words: Records, rows: npt.NDArray[np.int32], part: int = 0, parts: int = 1) -> None:
        """Set, for each id of `words`, its row: the count of the word in this table, or -1; only for part `part` of `parts`."""
        encoding.find_words(words, words.view(np.uint8), (np.uint64(part), np.uint64(parts)), self.arrays, rows)


def packed(vocabulary: Vocabulary, numbers: npt.NDArray[np.int64] | None = None, first: int = 0) -> Iterator[Records]:
    """Yield the words of a vocabulary as records, a piece at a time, with these numbers for counts, by default their rows.

    The ids of the words are their rows, counted from `first`.
    """
    for begin, end in vocabulary.pieces():
        ends = vocabulary.offsets[begin : end + 1] - vocabulary.offsets[begin]
        text = np.concatenate([vocabulary.text[vocabulary.offsets[begin] :][: ends[-1]], np.zeros(encoding.PADDING, np.uint8)])
        records = np.empty(int((2 + (np.diff(ends) + 7) // 8).sum()), np.uint64)
        counts = np.arange(begin, end) if numbers is None else np.ascontiguousarray(numbers[begin:end])
        encoding.pack_words(text, ends, counts, first + begin, records)
        yield records


def rank_words(table: WordTable, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Return the words of a table that occur at least `min_count` times, at most the `max_vocab` most frequent."""
    counts, places, lengths = table.listed()
    kept = np.flatnonzero(counts >= min_count)
    order = kept[_falling(table.records, counts[kept], places[kept], lengths[kept])][:max_vocab]
    offsets = offsets_of(lengths[order])
    text = np.empty(offsets[-1], np.uint8)
    encoding.gather_words(table.records.view(np.uint8), 8 * places[order], lengths[order], offsets, text)
    return Vocabulary(text, offsets, counts[order])


def _falling(
    records: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return the order by decreasing count, then by ascending bytes.

    Words are sorted by their first 16 bytes as two big-endian integers; the few ties are sorted by all their bytes.
    """
    if not len(counts):
        return np.empty(0, np.int64)
    first = records[places].byteswap()
    second = np.where(lengths > 8, records[np.minimum(places + 1, len(records) - 1)], np.uint64(0)).byteswap()
    return order_by((-counts, first, second), lambda i: records[places[i] : places[i] + (lengths[i] + 7) // 8].tobytes())

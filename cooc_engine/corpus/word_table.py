"""Distinct words and their counts while a text is read: a growing hash table, and ranking the words of several tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding
from cooc_engine._kernels.encoding import HashTable, TokenizedText
from cooc_engine.corpus.vocabulary import Vocabulary, order_by

__all__ = ["WordTable", "rank_parts", "rank_words"]

Records = npt.NDArray[np.uint64]


class WordTable:
    """A growing hash table of words and their counts; ids are numbered by first occurrence."""

    def __init__(self) -> None:
        self.arrays = HashTable(np.zeros(1 << 16, np.uint64), np.zeros(1 << 17, np.uint64), np.zeros(2, np.int64))

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
    def of(cls, vocabulary: Vocabulary, counts: npt.NDArray[np.int64] | int = 0) -> WordTable:
        """Return a table of the words of a vocabulary, with these counts; the id of a word is its row."""
        table = cls()
        lines = np.insert(vocabulary.text, vocabulary.offsets[1:], 10)
        text = np.concatenate([lines, np.zeros(encoding.PADDING, np.uint8)])
        tokens = TokenizedText(np.empty(len(vocabulary), np.int32), np.empty(len(vocabulary), np.int64))
        why, place, sizes = encoding.FULL, 0, (0, 0)
        while why != encoding.DONE:
            why, place, sizes = encoding.tokenize(text, place, len(lines), table.arrays, tokens, sizes)
            if why == encoding.FULL:
                table.grow(len(lines) - place)
        table.records[table.listed()[1] - 1] = counts
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
            self.arrays = self.arrays._replace(slots=np.zeros(2 * len(self.arrays.slots), np.uint64))
            encoding.rehash(self.records, self.used, self.arrays.slots)
        if self.used + longest // 8 + 3 > len(self.records):
            records = np.zeros(2 * len(self.records) + longest // 8 + 3, np.uint64)
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

    def find(self, words: Records, size: int) -> npt.NDArray[np.int32]:
        """Return, for each of the `size` ids of `words`, the id in this table, or -1."""
        ids = np.empty(size, np.int32)
        encoding.find_words(words, words.view(np.uint8), self.arrays, ids)
        return ids


def rank_words(table: WordTable, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Return the words of a table that occur at least `min_count` times, at most the `max_vocab` most frequent."""
    counts, places, lengths = table.listed()
    kept = np.flatnonzero(counts >= min_count)
    order = kept[_falling(table.records, counts[kept], places[kept], lengths[kept])][:max_vocab]
    offsets = np.zeros(len(order) + 1, np.int64)
    np.cumsum(lengths[order], out=offsets[1:])
    text = np.empty(offsets[-1], np.uint8)
    encoding.gather_words(table.records.view(np.uint8), places, order, offsets, text)
    return Vocabulary(text, offsets, counts[order])


def rank_parts(tables: Sequence[Records], parts: int, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Return the exact vocabulary of several tables, with only 1/`parts` of their words in memory at a time."""
    found: list[Vocabulary] = []
    for part in range(parts):
        table = WordTable()
        for words in tables:
            table.add(words, part, parts)
        found.append(rank_words(table, min_count, max_vocab))
        if len(found) > 1:
            found = [_joined(found, max_vocab)]
    return found[0]


def _joined(parts: Sequence[Vocabulary], max_vocab: int | None) -> Vocabulary:
    """Return the ranked words of disjoint vocabularies."""
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    words = Vocabulary(np.concatenate([part.text for part in parts]), offsets, np.concatenate([part.counts for part in parts]))
    return rank_words(WordTable.of(words, words.counts), 1, max_vocab)


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

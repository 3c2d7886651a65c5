"""The vocabulary: words in order of falling count, ties by their bytes, and how often each occurs."""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding
from cooc_engine.errors import FormatError
from cooc_engine.storage.arrays import ArrayWriter, load_array

__all__ = ["RESERVED", "UNKNOWN", "Vocabulary", "WordTable", "rank_parts", "rank_words"]

Records = npt.NDArray[np.uint64]

# Words that other programs write into a vocabulary themselves, so that one of the text would be taken for theirs.
UNKNOWN = "<unk>"
RESERVED = {
    UNKNOWN: "GloVe's programs append for unknown words",
    "</s>": "word2vec and fastText put at every line end",
}


class Vocabulary:
    """Words, as UTF-8 bytes one after another, with their counts; word `i` is row `i` of every matrix.

    text     (bytes,) uint8    the words without separators
    offsets  (V + 1,) int64    word i is text[offsets[i]:offsets[i + 1]]
    counts   (V,)     int64    occurrences in the whole corpus, never rising; all 0 where another program did not say
    order    (V,)     int32    optional: the rows in order of their words' bytes, an index that needs no dictionary
    """

    def __init__(
        self,
        text: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        order: npt.NDArray[np.int32] | None = None,
    ) -> None:
        self.text, self.offsets, self.counts, self.order = text, offsets, counts, order

    @classmethod
    def from_words(cls, words: Iterable[str], counts: Iterable[int]) -> Vocabulary:
        """Make a vocabulary from words that are already in order."""
        encoded = [word.encode() for word in words]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(word) for word in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets, np.array(list(counts), np.int64))

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    @functools.cached_property
    def words(self) -> list[str]:
        """All words, as strings."""
        data, ends = self.text.tobytes(), self.offsets.tolist()
        return [data[a:b].decode() for a, b in itertools.pairwise(ends)]

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """Row of each word."""
        return {word: i for i, word in enumerate(self.words)}

    def word(self, row: int) -> str:
        """Return one word."""
        return self._bytes(row).decode()

    def _bytes(self, row: int) -> bytes:
        return self.text[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def common(self, other: Vocabulary) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the rows of the words that both have, here, rising, and in the other."""
        ids = other.ids
        pairs = np.array([(row, ids[word]) for row, word in enumerate(self) if word in ids], np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def sorted_rows(self) -> npt.NDArray[np.int32]:
        """Return `order`, made if it is not there: by the first 16 bytes as two numbers, the few words that agree by all."""
        if self.order is not None:
            return self.order
        text = np.concatenate([self.text, np.zeros(16, np.uint8)])
        begins, sizes = self.offsets[:-1], np.diff(self.offsets)
        keys = np.zeros((2, len(self)), np.uint64)
        for byte in range(16):
            keys[byte // 8] <<= np.uint64(8)
            keys[byte // 8] |= np.where(byte < sizes, text[begins + byte], 0).astype(np.uint64)
        order = np.lexsort((keys[1], keys[0])).astype(np.int32)
        alike = (keys[:, order[1:]] == keys[:, order[:-1]]).all(0)
        new = np.flatnonzero(np.r_[True, ~alike, True])
        for a, b in zip(new[:-1][np.diff(new) > 1], new[1:][np.diff(new) > 1], strict=True):
            order[a:b] = sorted(order[a:b], key=self._bytes)
        return order

    def find(self, word: str) -> int:
        """Return the row of a word, or -1: by the dictionary if it has been made, else by the order, else by a search."""
        if "ids" in self.__dict__:
            return self.ids.get(word, -1)
        if self.order is None:
            return self._scanned(word)
        wanted = word.encode(errors="surrogatepass")
        place = bisect.bisect_left(self.order, wanted, key=self._bytes)
        return int(self.order[place]) if place < len(self) and self._bytes(self.order[place]) == wanted else -1

    def _scanned(self, word: str) -> int:
        pattern, text = re.compile(re.escape(word.encode(errors="surrogatepass"))), np.ascontiguousarray(self.text).data
        match = pattern.search(text)
        while match:
            row = int(np.searchsorted(self.offsets, match.start()))
            if self.offsets[row] == match.start() and self.offsets[row + 1] == match.end():
                return row
            match = pattern.search(text, match.start() + 1)
        return -1

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of words and counts: equal for equal vocabularies and nothing else."""
        h = hashlib.sha256()
        for part in (self.offsets, self.counts, self.text):
            h.update(np.ascontiguousarray(part).data)
        return h.hexdigest()

    def save(self, directory: Path) -> None:
        """Write `vocab-text.bin`, `vocab-offsets.bin` and `vocab-counts.bin`."""
        for name, values in self._parts():
            with ArrayWriter(directory / f"vocab-{name}.bin", values.dtype) as file:
                file.append(values)

    @classmethod
    def load(cls, directory: Path, digest: str | None = None) -> Vocabulary:
        """Read what `save` wrote, mapped; raises `FormatError` naming what is damaged, or has not this digest."""
        kinds = {"text": np.uint8, "offsets": np.int64, "counts": np.int64}
        loaded = cls(**{name: load_array(directory / f"vocab-{name}.bin", dtype) for name, dtype in kinds.items()})
        if digest is not None and loaded.digest != digest:
            raise FormatError(f"{directory}: the vocabulary is not the one its manifest names; build it again")
        return loaded

    def _parts(self) -> list[tuple[str, npt.NDArray[Any]]]:
        return [("text", self.text), ("offsets", self.offsets), ("counts", self.counts)]


class WordTable:
    """A growing hash table of words and their counts; ids are given in the order of first occurrence.

    The layout is described in `_kernels/encoding.py`.
    """

    def __init__(self) -> None:
        self.slots = np.zeros(1 << 16, np.uint64)
        self.records = np.zeros(1 << 17, np.uint64)
        self.state = np.zeros(2, np.int64)

    def __len__(self) -> int:
        return int(self.state[encoding.WORDS])

    @property
    def used(self) -> int:
        """How many 8-byte words of `records` are in use."""
        return int(self.state[encoding.USED])

    @classmethod
    def of(cls, vocabulary: Vocabulary, counts: npt.NDArray[np.int64] | int = 0) -> WordTable:
        """Return a table of the words of a vocabulary, where the id of a word is its row, with these counts."""
        table = cls()
        lines = np.insert(vocabulary.text, vocabulary.offsets[1:], 10)
        text = np.concatenate([lines, np.zeros(encoding.PADDING, np.uint8)])
        ids, ends = np.empty(len(vocabulary), np.int32), np.empty(len(vocabulary), np.int64)
        place = n = lines_read = 0
        while True:
            why, place, n, lines_read = encoding.tokenize(
                text, place, len(lines), table.slots, table.records, table.state, ids, n, ends, lines_read
            )
            if why == encoding.DONE:
                break
            table.grow(len(lines) - place)
        table.records[table.listed()[1] - 1] = counts
        return table

    @property
    def words(self) -> Records:
        """The part of `records` in use."""
        return self.records[: self.used]

    @property
    def nbytes(self) -> int:
        """Memory of the table."""
        return self.slots.nbytes + self.records.nbytes

    def listed(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return, for each id, the count, the place of the first bytes in `records`, and the length in bytes."""
        counts, places, lengths = (np.empty(len(self), np.int64) for _ in range(3))
        encoding.list_words(self.records, self.used, counts, places, lengths)
        return counts, places, lengths

    def grow(self, longest: int) -> None:
        """Make room for at least one more word of `longest` bytes."""
        if 2 * len(self) >= len(self.slots):
            self.slots = np.zeros(2 * len(self.slots), np.uint64)
            encoding.rehash(self.records, self.used, self.slots)
        if self.used + longest // 8 + 3 > len(self.records):
            records = np.zeros(2 * len(self.records) + longest // 8 + 3, np.uint64)
            records[: self.used] = self.records[: self.used]
            self.records = records

    def add(self, words: Records, part: int = 0, parts: int = 1) -> None:
        """Add the words of records and their counts; of several `parts`, only those that fall into one by their hash."""
        place, data = 0, words.view(np.uint8)
        share = np.uint64(part), np.uint64(parts)
        while True:
            place = encoding.merge_words(words, data, place, len(words), *share, self.slots, self.records, self.state)
            if place == len(words):
                return
            self.grow(int(words[place] & np.uint64(0xFFFFFFFF)))

    def find(self, words: Records, size: int) -> npt.NDArray[np.int32]:
        """Return, for each of the `size` ids of records, the id here, or -1."""
        ids = np.empty(size, np.int32)
        encoding.find_words(words, words.view(np.uint8), len(words), self.slots, self.records, ids)
        return ids


def rank_words(table: WordTable, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Return the words of a table that occur `min_count` times, the most frequent `max_vocab` of them."""
    counts, places, lengths = table.listed()
    kept = np.flatnonzero(counts >= min_count)
    order = kept[_falling(table.records, counts[kept], places[kept], lengths[kept])][:max_vocab]
    offsets = np.zeros(len(order) + 1, np.int64)
    np.cumsum(lengths[order], out=offsets[1:])
    text = np.empty(offsets[-1], np.uint8)
    encoding.gather_words(table.records.view(np.uint8), places, order, offsets, text)
    return Vocabulary(text, offsets, counts[order])


def rank_parts(tables: Sequence[Records], parts: int, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Return the vocabulary of several tables, exactly, with only 1/`parts` of their words in memory at a time."""
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
    """Return the ranked words of vocabularies that have none in common."""
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
    """Return the order by falling count, then rising bytes.

    Sorts by the first 16 bytes as two big-endian numbers; the few words that agree in them are sorted as bytes.
    """
    if not len(counts):
        return np.empty(0, np.int64)
    first = records[places].byteswap()
    second = np.where(lengths > 8, records[np.minimum(places + 1, len(records) - 1)], np.uint64(0)).byteswap()
    order = np.lexsort((second, first, -counts))
    keys = np.stack([counts.view(np.uint64), first, second])[:, order]
    new = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(0), True])
    for a, b in zip(new[:-1][np.diff(new) > 1], new[1:][np.diff(new) > 1], strict=True):
        order[a:b] = sorted(order[a:b], key=lambda i: records[places[i] : places[i] + (lengths[i] + 7) // 8].tobytes())
    return order

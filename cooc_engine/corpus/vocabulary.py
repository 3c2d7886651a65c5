"""The vocabulary: words by decreasing count, ties by their bytes, and the count of each."""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError, InputError
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.shown import Shown
from cooc_engine.storage.arrays import BINDS, ArrayFiles, ArrayWriter, BoundFiles
from cooc_engine.storage.outputs import is_directory_of, part_path, read_manifest
from cooc_engine.storage.relations import check_words
from cooc_engine.storage.schema import Digest, Positive

__all__ = [
    "OF_COLUMNS", "PIECE_BYTES", "PIECE_WORDS", "RESERVED", "UNKNOWN", "VOCABULARY_FILES", "Vocabulary", "VocabularyRecord",
    "VocabularyWriter", "order_by", "stored_bytes",
]  # fmt: skip

PIECE_BYTES, PIECE_WORDS = 1 << 18, 1 << 14  # text and number of the words that are read or written at a time

# Words that other programs add to a vocabulary themselves, so that the same word in a text would be mistaken for theirs.
UNKNOWN = "<unk>"
RESERVED = {
    UNKNOWN: "GloVe's programs append for unknown words",
    "</s>": "word2vec and fastText put at every line end",
}


VOCABULARY_FILES = {"vocab-text.bin": np.uint8, "vocab-offsets.bin": np.int64, "vocab-counts.bin": np.int64}
OF_COLUMNS = "column-"  # before the names of these files, if columns have names of their own
STORED_IN = {"corpus": (1, 2), "cooc": (1, 2, 3)}  # kinds of directories that have a vocabulary, and their versions


class VocabularyRecord(TypedDict):
    """The record of a vocabulary in a manifest: the number of its words, and its digest."""

    words: Positive
    digest: Digest


class _WithVocabulary(BoundFiles):
    """A manifest of which only the vocabulary is wanted."""

    vocabulary: VocabularyRecord


def order_by(keys: Sequence[npt.NDArray[Any]], whole: Callable[[int], bytes]) -> npt.NDArray[np.int64]:
    """Return the order of items by several keys, the first key most significant; ties in all keys are ordered by `whole`.

    With the first 16 bytes of a word as two integer keys, nearly all words are ordered without making a Python object.
    """
    order = np.lexsort(tuple(reversed(keys)))
    alike = np.ones(max(0, len(order) - 1), bool)
    for key in keys:
        alike &= key[order[1:]] == key[order[:-1]]
    new = np.flatnonzero(np.r_[True, ~alike, True])
    for a, b in zip(new[:-1][np.diff(new) > 1], new[1:][np.diff(new) > 1], strict=True):
        order[a:b] = sorted(order[a:b], key=whole)
    return order


class Vocabulary(Shown):
    """Words, as concatenated UTF-8 bytes, with their counts; word `i` is row `i` of every matrix.

    text     (bytes,) uint8    the words without separators
    offsets  (V + 1,) int64    word i is text[offsets[i]:offsets[i + 1]]
    counts   (V,)     int64    occurrences in the whole corpus, non-increasing; all 0 if another program did not record them
    order    (V,)     int32    optional: the rows sorted by the bytes of their words, an index that needs no dictionary
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
        try:
            encoded = [word.encode() for word in words]
        except UnicodeEncodeError as error:
            raise InputError(f"the word {error.object!a} contains half of a surrogate pair, which is not text") from None
        offsets = offsets_of([len(word) for word in encoded])
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
        """The row of each word."""
        return {word: i for i, word in enumerate(self.words)}

    def word(self, row: int) -> str:
        """Return one word."""
        return self._bytes(row).decode()

    def _bytes(self, row: int) -> bytes:
        return self.text[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def beginning(self, words: int = 5) -> str:
        """Return the first words as a text."""
        shown = ", ".join(self.word(row) for row in range(min(words, len(self))))
        return shown + (", ..." if len(self) > words else "")

    def facts(self) -> dict[str, str]:
        """Return the numbers of words and of their occurrences, and the first words."""
        return {"words": f"{len(self):,}", "tokens": f"{self.counts.sum():,}", "first": self.beginning()}

    def common(self, other: Vocabulary) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the rows of the common words: in this vocabulary, ascending, and in the other."""
        ids = other.ids
        pairs = np.array([(row, ids[word]) for row, word in enumerate(self) if word in ids], np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def sorted_rows(self) -> npt.NDArray[np.int32]:
        """Return `order`, computed if it is missing: sorted by the first 16 bytes as two integers, then by all bytes."""
        if self.order is not None:
            return self.order
        return order_by([*self._heads()], self._bytes).astype(np.int32)

    def _heads(self) -> npt.NDArray[np.uint64]:
        """Return the first 16 bytes of each word, filled up with zeros, as two integers, (2, V)."""
        text = np.concatenate([self.text, np.zeros(16, np.uint8)])
        begins, sizes = self.offsets[:-1], np.diff(self.offsets)
        keys = np.zeros((2, len(self)), np.uint64)
        for byte in range(16):
            keys[byte // 8] <<= np.uint64(8)
            keys[byte // 8] |= np.where(byte < sizes, text[begins + byte], 0).astype(np.uint64)
        return keys

    def repeated(self) -> int | None:
        """Return the row of a word that another row has too, or None if all differ."""
        order, keys = self.sorted_rows(), self._heads()
        alike = (keys[:, order[1:]] == keys[:, order[:-1]]).all(0)
        pairs = ((int(order[at]), int(order[at + 1])) for at in np.flatnonzero(alike))
        return next((row for row, other in pairs if self._bytes(row) == self._bytes(other)), None)

    def find(self, word: str) -> int:
        """Return the row of a word, or -1: from the dictionary if it exists, else by `order`, else by a linear search."""
        if "ids" in self.__dict__:
            return self.ids.get(word, -1)
        if self.order is None:
            return self._scanned(word)
        wanted = word.encode(errors="surrogatepass")
        place = bisect.bisect_left(self.order, wanted, key=self._bytes)
        return int(self.order[place]) if place < len(self) and self._bytes(self.order[place]) == wanted else -1

    def _scanned(self, word: str) -> int:
        pattern, text = re.compile(re.escape(word.encode(errors="surrogatepass"))), np.ascontiguousarray(self.text).data
        match = pattern.search(text) if word else None  # no word is empty, but an empty pattern is everywhere
        while match:
            row = int(np.searchsorted(self.offsets, match.start(), "right")) - 1
            if self.offsets[row] == match.start() and self.offsets[row + 1] == match.end():
                return row
            match = pattern.search(text, match.start() + 1)
        return -1

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of words and counts: equal only for equal vocabularies."""
        h = hashlib.sha256()
        for part in (self.offsets, self.counts, self.text):
            h.update(np.ascontiguousarray(part).data)
        return h.hexdigest()

    def save(self, directory: Path, prefix: str = "") -> None:
        """Write `vocab-text.bin`, `vocab-offsets.bin` and `vocab-counts.bin`, with a prefix before these names."""
        with VocabularyWriter(directory, prefix) as file:
            for first, last in self.pieces():
                begin, end = self.offsets[first], self.offsets[last]
                file.append(self.text[begin:end], np.diff(self.offsets[first : last + 1]), self.counts[first:last])

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield consecutive small ranges (first, last) of words, so that little of a mapped vocabulary is in memory at once."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.offsets, self.offsets[first] + PIECE_BYTES, "right")) - 1
            last = max(first + 1, min(last, first + PIECE_WORDS, len(self)))
            yield first, last
            first = last

    @property
    def record(self) -> VocabularyRecord:
        """The record in a manifest: number of words, and digest."""
        return {"words": len(self), "digest": self.digest}

    @classmethod
    def load(cls, files: ArrayFiles, record: VocabularyRecord | None = None, prefix: str = "") -> Vocabulary:
        """Map what `save` wrote; raises `FormatError`, naming the file, if it is damaged or not what `record` says."""
        loaded = cls(*(files.load(f"{prefix}{name}", kind) for name, kind in VOCABULARY_FILES.items()))
        check_words(loaded.text, loaded.offsets, loaded.counts, f"{files.directory}")
        if record is not None and loaded.record != record:
            raise FormatError(f"{files.directory}: the vocabulary is not the one its manifest names; build it again")
        return loaded

    @classmethod
    def stored_in(cls, directory: Path) -> Vocabulary:
        """Return the vocabulary of a corpus or of a co-occurrence directory; raises `InputError` if it has none."""
        kind = next((kind for kind in STORED_IN if is_directory_of(directory, kind)), None)
        if directory.is_file():
            raise InputError(
                f"{directory}: is a file; --vocabulary takes a corpus or a co-occurrence directory. For a list of words, such "
                "as GloVe's vocab.txt, encode its first column as a text, with --min-count=1, and name that corpus"
            )
        if kind is None:
            raise InputError(f"{directory}: has no vocabulary; name a corpus or a co-occurrence directory")
        manifest = read_manifest(directory, kind, STORED_IN[kind], _WithVocabulary, BINDS)
        return cls.load(ArrayFiles(directory, manifest.get("files")), manifest["vocabulary"])


class VocabularyWriter:
    """Writes the files of a vocabulary piece by piece; at the end they replace older ones, which may be mapped meanwhile."""

    def __init__(self, directory: Path, prefix: str = "") -> None:
        self._paths = [directory / f"{prefix}{name}" for name in VOCABULARY_FILES]

    def __enter__(self) -> VocabularyWriter:
        self._files = [
            ArrayWriter(part_path(path), kind) for path, kind in zip(self._paths, VOCABULARY_FILES.values(), strict=True)
        ]
        self._size = 0
        self._files[1].append(np.zeros(1, np.int64))
        return self

    def append(self, text: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> None:
        """Write the next words: their bytes, one after another, the length of each in bytes, and its count."""
        values: tuple[npt.NDArray[Any], ...] = text, self._size + np.cumsum(lengths), counts
        for file, part in zip(self._files, values, strict=True):
            file.append(part)
        self._size += len(text)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            file.__exit__(kind, error, trace)
        if kind is None:
            for path in self._paths:
                part_path(path).replace(path)


def stored_bytes(directory: Path) -> int:
    """Return the total size in bytes of the files that `save` wrote."""
    return sum(path.stat().st_size for path in directory.glob("vocab-*.bin"))

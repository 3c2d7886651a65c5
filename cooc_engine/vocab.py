"""The vocabulary: words in order of falling count, ties by their bytes, and how often each occurs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.store import ArrayWriter, load_array

__all__ = ["Vocabulary"]


class Vocabulary:
    """Words, as UTF-8 bytes one after another, with their counts; word `i` is row `i` of every matrix.

    text     (bytes,) uint8    the words without separators
    offsets  (V + 1,) int64    word i is text[offsets[i]:offsets[i + 1]]
    counts   (V,)     int64    occurrences in the whole corpus, never rising
    """

    def __init__(self, text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> None:
        self.text, self.offsets, self.counts = text, offsets, counts

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
        return [data[a:b].decode() for a, b in zip(ends, ends[1:], strict=False)]

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """Row of each word."""
        return {word: i for i, word in enumerate(self.words)}

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
    def load(cls, directory: Path) -> Vocabulary:
        """Read what `save` wrote, mapped; raises `FormatError` naming the damaged file."""
        kinds = {"text": np.uint8, "offsets": np.int64, "counts": np.int64}
        return cls(**{name: load_array(directory / f"vocab-{name}.bin", dtype) for name, dtype in kinds.items()})

    def _parts(self) -> list[tuple[str, npt.NDArray[Any]]]:
        return [("text", self.text), ("offsets", self.offsets), ("counts", self.counts)]

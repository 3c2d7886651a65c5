"""Words and vectors to be exported, a block of rows at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.models.published import Published
from cooc_engine.runtime.types import Matrix

__all__ = ["Outgoing"]

BLOCK = 1 << 22  # bytes of rows written at a time


class Outgoing(NamedTuple):
    """Words and their vectors, float32 (V, d), which are read a block at a time."""

    vocabulary: Vocabulary
    rows: Matrix | Published

    @property
    def shape(self) -> tuple[int, int]:
        """V and d; rows beyond the last word are left out."""
        return len(self.vocabulary), self.rows.shape[1]

    @property
    def counted(self) -> bool:
        """Whether the words' counts are known."""
        return bool(self.vocabulary.counts.any())

    def starts(self) -> Iterator[tuple[int, int]]:
        """Yield each block of rows as (start, stop)."""
        size, width = self.shape
        step = max(1, BLOCK // (4 * max(1, width)))
        return ((start, min(start + step, size)) for start in range(0, size, step))

    def words(self, start: int, stop: int) -> list[bytes]:
        """Return the words of rows start:stop as UTF-8."""
        text, ends = self.vocabulary.text, self.vocabulary.offsets[start : stop + 1].tolist()
        return [text[a:b].tobytes() for a, b in itertools.pairwise(ends)]

    def refuse(self, characters: bytes, form: str) -> None:
        """Raise `UsageError` if a word is empty or contains one of these characters, which the format cannot represent."""
        for start, stop in self.starts():
            for word in self.words(start, stop):
                if not word or len(word.translate(None, characters)) < len(word):
                    what = f"the word {word.decode()!r} has white space in it" if word else "a word is empty"
                    raise UsageError(f"{what}, which {form} cannot hold; export to npz or safetensors")

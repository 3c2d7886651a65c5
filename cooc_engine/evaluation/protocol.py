"""What evaluation needs of vectors, so that anything with these methods can be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from cooc_engine.runtime.types import Floats, Mask, Matrix, Rows

__all__ = ["Judged"]


class Judged(Protocol):
    """What evaluation needs of vectors; they are requested by word, so that words outside the vocabulary may have one.

    Words are looked up as written or else lower-cased. Rows number the words that can be answers.
    """

    def __len__(self) -> int:
        """Return V, the number of words that can be answers."""

    def rows_of(self, words: Iterable[str], limit: int | None = None) -> Rows:
        """Return the row of each word, (n,); -1 if it is not among the first `limit`."""

    def unit(self, words: Iterable[str], limit: int | None = None) -> tuple[Matrix, Mask]:
        """Return unit vectors, (n, any), zeros where there is none, and whether each word has one, (n,).

        Only inner products matter, so any coordinates will do. With a `limit` below V, only the first `limit` words have one.
        """

    def cosines(self, words1: Iterable[str], words2: Iterable[str]) -> tuple[Floats, Mask]:
        """Return the cosines of pairs of words, (n,), and whether both words have a vector, (n,)."""

    def cosine_table(self, words: Iterable[str], limit: int | None = None) -> tuple[Callable[[int, int], Matrix], Mask]:
        """Return a function of (begin, end) that gives the cosines of the words with rows begin:end, (n, end - begin).

        The second value tells whether each word has a vector, (n,), as in `unit`.
        """

    def knows(self, sentence: Any) -> bool:
        """Tell whether any word of a text has a vector."""

    def sentence_similarity(self, sentence1: Any, sentence2: Any, measure: str = "dot") -> float:
        """Return the similarity of two texts; evaluation uses the measure "cosine"."""

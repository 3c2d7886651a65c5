"""Baselines for neural language models: unigrams, and n-grams by Kneser and Ney (1995).

    p(w | h) = (max(n(h w) − D, 0) + D types(h) p(w | h')) / n(h),  h' the history h without its first word

The highest order has the counts of the text, a lower one for n(h w) the number of different words before h w (the interpolated
form of Chen and Goodman 1999), with one discount D for each order. A sentence begins with `<S>` and ends with `</S>`, which is
predicted too; words are ids below `words`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError
from cooc_engine.runtime.types import Floats, Rows

__all__ = ["NgramModel", "perplexity"]

HALF = 0.5  # added to the count of each word in the lowest order
Keys = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order, as numbers in base `words`, with their counts; and their histories, with sums and types."""

    grams: Keys
    counts: Floats
    histories: Keys
    sums: Floats
    types: Floats
    discount: float
    words: int

    @classmethod
    def of(cls, grams: Keys, counts: npt.NDArray[np.int64], words: int) -> _Order:
        """Return an order from its distinct n-grams, ascending."""
        histories, first = np.unique(grams // words, return_index=True)
        sums = np.add.reduceat(counts, first).astype(np.float64)
        types = np.diff(np.append(first, len(grams))).astype(np.float64)
        once, twice = ((counts == n).sum() for n in (1, 2))
        discount = float(once / (once + 2 * twice)) if once else HALF
        return cls(grams, counts.astype(np.float64), histories, sums, types, discount, words)

    def probabilities(self, grams: Keys, lower: Floats) -> Floats:
        """Return p(w | h) of n-grams, given that of the order below."""
        history = grams // self.words
        sums, types = (_looked_up(self.histories, values, history) for values in (self.sums, self.types))
        kept = np.maximum(_looked_up(self.grams, self.counts, grams) - self.discount, 0)
        found: Floats = np.where(sums > 0, (kept + self.discount * types * lower) / np.maximum(sums, 1), lower)
        return found


def _looked_up(keys: Keys, values: Floats, wanted: Keys) -> Floats:
    """Return the value of each key, 0 for one that is not there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Floats = np.where(keys[at] == wanted, values[at], 0.0)
    return found


@dataclass(frozen=True)
class NgramModel:
    """A language model of n-grams up to the order n; order 1 is that of single words, add-one smoothed."""

    lowest: Floats
    orders: tuple[_Order, ...]
    words: int
    marks: tuple[int, int]

    @classmethod
    def of(cls, sentences: Iterable[Rows], n: int, words: int, marks: tuple[int, int]) -> NgramModel:
        """Count sentences, each the ids of its words; `marks` are the ids of `<S>` and `</S>`.

        Raises `UsageError` for a vocabulary whose n-grams do not fit into 64 bits.
        """
        if words**n >= 2**63:
            raise UsageError(f"{words:,} words are too many for {n}-grams in 64-bit integers; use fewer")
        stream, targets = _stream(sentences, n, marks)
        if n == 1:
            smoothed = np.bincount(stream[targets], minlength=words) + 1.0
            return cls(smoothed / smoothed.sum(), (), words, marks)
        grams, counts = np.unique(_grams(stream, targets, n, words), return_counts=True)
        orders = [_Order.of(grams, counts, words)]
        for size in range(n - 1, 0, -1):
            grams, counts = np.unique(grams % words**size, return_counts=True)
            if size > 1:
                orders.insert(0, _Order.of(grams, counts, words))
        lowest = np.full(words, HALF)
        lowest[grams] += counts
        return cls(lowest / lowest.sum(), tuple(orders), words, marks)

    def probabilities(self, sentences: Iterable[Rows]) -> Floats:
        """Return the probability of each word and of each `</S>` of sentences, given the words before it."""
        n = len(self.orders) + 1
        stream, targets = _stream(sentences, n, self.marks)
        found = self.lowest[stream[targets]]
        for size, order in enumerate(self.orders, 2):
            found = order.probabilities(_grams(stream, targets, size, self.words), found)
        return found


def perplexity(probabilities: Floats) -> float:
    """Return the perplexity: the inverse of the geometric mean."""
    return float(np.exp(-np.log(probabilities).mean()))


def _stream(sentences: Iterable[Rows], n: int, marks: tuple[int, int]) -> tuple[Rows, Rows]:
    """Return all sentences in a row, each between n − 1 times `<S>` and one `</S>`, and the places of the targets."""
    before, after = np.full(n - 1, marks[0]), np.array(marks[1:])
    parts = [part for sentence in sentences for part in (before, sentence, after)]
    stream = np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64, copy=False)
    is_target = np.concatenate([np.empty(0, bool), *(np.full(len(part), part is not before) for part in parts)])
    return stream, np.flatnonzero(is_target)


def _grams(stream: Rows, targets: Rows, n: int, words: int) -> Keys:
    """Return the n-gram that ends with each target, as a number in base `words`."""
    grams = np.zeros(len(targets), np.int64)
    for back in range(n - 1, -1, -1):
        grams = grams * words + stream[targets - back]
    return grams

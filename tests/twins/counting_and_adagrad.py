"""Slow and obvious twins of counting and of GloVe: plain Python, exact fractions and float64, no tile, block or thread."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

# ------------------------------------------------------------------------------------------------------------ counting


def vocabulary(documents: Sequence[Sequence[str]], min_count: int = 1, max_vocab: int | None = None) -> list[str]:
    """The words that occur often enough, by falling count, ties by their bytes."""
    counts = Counter(word for document in documents for word in document)
    kept = [word for word in counts if counts[word] >= min_count]
    return sorted(kept, key=lambda word: (-counts[word], word.encode()))[:max_vocab]


def distance_weight(window_weight: str, window: int, k: int) -> Fraction:
    return {"harmonic": Fraction(1, k), "uniform": Fraction(1), "dynamic": Fraction(window - k + 1, window)}[window_weight]


def cooccurrences(
    documents: Sequence[Sequence[str]],
    words: Sequence[str],
    window: int,
    window_weight: str,
    context_side: str,
    positional: bool = False,
    oov_gap: str = "drop",
) -> dict[tuple[int, int], Fraction]:
    """Counts by (row of the centre, column of the context); words that are not in `words` leave a gap or none."""
    row = {word: i for i, word in enumerate(words)}
    distances = [
        k for k in range(-window, window + 1) if (k < 0 and context_side != "right") or (k > 0 and context_side != "left")
    ]
    counts: dict[tuple[int, int], Fraction] = {}
    for document in documents:
        known = [row.get(word) for word in document if word in row or oov_gap == "keep"]
        for p, centre in enumerate(known):
            for slot, k in enumerate(distances):
                if centre is None or not 0 <= p + k < len(known) or known[p + k] is None:
                    continue
                column = known[p + k] * len(distances) + slot if positional else known[p + k]
                counts[centre, column] = counts.get((centre, column), Fraction(0)) + distance_weight(
                    window_weight, window, abs(k)
                )
    return counts


# --------------------------------------------------------------------------------------------------------------- GloVe


def glove_weight(x: float, x_max: float, power: float) -> float:
    return min(1.0, (x / x_max) ** power)


def clip(x, bound: float = 100.0):
    return np.minimum(np.maximum(x, -bound), bound)


@dataclass
class Glove:
    """GloVe's parameters and the sums of squares of AdaGrad, each an array of its own."""

    words: np.ndarray
    contexts: np.ndarray
    word_bias: np.ndarray
    context_bias: np.ndarray
    by_rows: bool = False  # all components of a vector then have one sum of squares

    def __post_init__(self) -> None:
        values = self.words, self.contexts, self.word_bias, self.context_bias
        self.words, self.contexts, self.word_bias, self.context_bias = (np.array(v, np.float64) for v in values)
        self.squares = [np.ones_like(v) for v in values]  # in the same order

    def cost(self, i: int, j: int, target: float, weight: float) -> float:
        return 0.5 * weight * self.difference(i, j, target) ** 2

    def difference(self, i: int, j: int, target: float) -> float:
        return float(self.words[i] @ self.contexts[j] + self.word_bias[i] + self.context_bias[j]) - target

    def visit(self, i: int, j: int, target: float, weight: float, lr: float) -> float:
        """Update by one entry; returns its cost before the update."""
        cost, diff = self.cost(i, j, target, weight), self.difference(i, j, target)
        word_step = clip(weight * diff * self.contexts[j]) * lr
        context_step = clip(weight * diff * self.words[i]) * lr
        bias_step = weight * diff
        steps = (word_step, context_step, bias_step, bias_step)
        values = self.words, self.contexts, self.word_bias, self.context_bias
        for value, squares, place, step in zip(values, self.squares, (i, j, i, j), steps, strict=True):
            value[place] -= step / np.sqrt(squares[place])
            squares[place] += np.mean(step**2) if self.by_rows else step**2
        return cost


@dataclass
class SimplerGlove:
    """Vectors of words and of contexts, the same array if they are tied, and the sums of squares of AdaGrad."""

    words: np.ndarray
    contexts: np.ndarray
    by_rows: bool = False  # all components of a vector then have one sum of squares

    def __post_init__(self) -> None:
        tied = self.contexts is self.words
        self.words = np.array(self.words, np.float64)
        self.contexts = self.words if tied else np.array(self.contexts, np.float64)
        self.word_squares = np.ones_like(self.words)
        self.context_squares = self.word_squares if tied else np.ones_like(self.contexts)

    def cost(self, i: int, j: int, target: float, weight: float) -> float:
        return 0.5 * weight * float(self.words[i] @ self.contexts[j] - target) ** 2

    def visit(self, i: int, j: int, target: float, weight: float, lr: float) -> float:
        """Update by one entry; returns its cost before the update."""
        cost, diff = self.cost(i, j, target, weight), float(self.words[i] @ self.contexts[j]) - target
        word_gradient, context_gradient = weight * diff * self.contexts[j], weight * diff * self.words[i]
        self.word_squares[i] += np.mean(word_gradient**2) if self.by_rows else word_gradient**2
        self.context_squares[j] += np.mean(context_gradient**2) if self.by_rows else context_gradient**2
        word_step = lr * word_gradient / np.sqrt(self.word_squares[i] + 1e-8)
        context_step = lr * context_gradient / np.sqrt(self.context_squares[j] + 1e-8)
        self.words[i] -= word_step
        self.contexts[j] -= context_step
        return cost


def pmi(x: float, total: float, n_i: int, n_j: int, tokens: int) -> float:
    """log P(i, j) / (P(i) P(j)) with P(i, j) = x / total, `total` the sum of the counts off the diagonal."""
    return math.log((x / total) / ((n_i / tokens) * (n_j / tokens)))


def log(x: Fraction | float) -> float:
    return math.log(x)

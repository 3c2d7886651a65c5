"""Slow and obvious twins of GloVe and simpler-GloVe: plain float64, one entry at a time, no tiles or threads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def glove_weight(x: float, x_max: float, power: float) -> float:
    return min(1.0, (x / x_max) ** power)


def clip(x, bound: float = 100.0):
    return np.minimum(np.maximum(x, -bound), bound)


@dataclass
class Glove:
    """GloVe's parameters and AdaGrad's sums of squares, in separate arrays."""

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
    """Vectors of words and contexts, the same array if tied, and AdaGrad's sums of squares."""

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

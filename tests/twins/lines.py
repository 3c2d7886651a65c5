"""The classifier, slowly: lines as lists of rows in Python, its steps and its predictions in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

FACTOR, WORD = 116049371, 2**64


def fnv(data: bytes) -> int:
    """The hash of fastText's program, as a signed number of 32 bits."""
    h = 2166136261
    for byte in data:
        signed = byte - 256 if byte > 127 else byte
        h = ((h ^ (signed & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return h - 2**32 if h >= 2**31 else h


def subwords(word: str, low: int, high: int) -> list[str]:
    text = f"<{word}>"
    found = []
    for begin in range(len(text)):
        for n in range(1, high + 1):
            end = begin + n
            if end > len(text):
                break
            if n >= low and not (n == 1 and (begin == 0 or end == len(text))):
                found.append(text[begin:end])
    return found


@dataclass
class Lines:
    """The vocabulary and the labels with their rows, and the sizes of n-grams."""

    words: dict[str, int]
    labels: dict[str, int]
    prefix: str = "__label__"
    ngrams: int = 1
    min_n: int = 0
    max_n: int = 0
    buckets: int = 1

    def of(self, text: str) -> tuple[list[int], list[int]]:
        """The input rows and the labels of a line, as the program's `getLine` gives them."""
        rows, labels, hashes = list[int](), list[int](), list[int]()
        for word in [*text.split(), "</s>"]:
            if word.startswith(self.prefix):
                labels += [self.labels[word]] if word in self.labels else []
                continue
            hashes.append(fnv(word.encode()))
            rows += [self.words[word]] if word in self.words else []
            if self.max_n and word != "</s>":
                grams = [fnv(gram.encode()) % 2**32 for gram in subwords(word, self.min_n, self.max_n)]
                rows += [len(self.words) + gram % self.buckets for gram in grams]
        for i, h in enumerate(hashes):
            for other in hashes[i + 1 : i + self.ngrams]:
                h = (h * FACTOR + other) % WORD
                rows.append(len(self.words) + h % self.buckets)
        return rows, labels


def sigma(z: float, clamp: float = 8.0) -> float:
    return 0.0 if z < -clamp else 1.0 if z > clamp else 1 / (1 + math.exp(-z))


def log_sigma(z: float) -> float:
    return -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores - scores.max())
    return shares / shares.sum()


@dataclass
class Network:
    """Input and output rows in float64."""

    inputs: np.ndarray
    outputs: np.ndarray
    losses: list[float] = field(default_factory=list)

    def hidden(self, rows: Sequence[int]) -> np.ndarray:
        return self.inputs[list(rows)].mean(axis=0)

    def softmax_loss(self, rows: Sequence[int], target: int) -> float:
        return -math.log(softmax(self.outputs @ self.hidden(rows))[target])

    def binary_loss(self, rows: Sequence[int], answers: Sequence[tuple[int, bool]]) -> float:
        """The sum of the losses of output rows with label 1 or 0, one after the other."""
        h = self.hidden(rows)
        return -sum(log_sigma(h @ self.outputs[row] * (1 if answer else -1)) for row, answer in answers)

    def take_softmax(self, rows: Sequence[int], target: int, lr: float) -> None:
        self.losses.append(self.softmax_loss(rows, target))
        h = self.hidden(rows)
        gradient = np.eye(len(self.outputs))[target] - softmax(self.outputs @ h)
        self._take(rows, lr * gradient @ self.outputs)
        self.outputs += lr * np.outer(gradient, h)

    def take_binary(self, rows: Sequence[int], answers: Sequence[tuple[int, bool]], lr: float) -> None:
        h, step, loss = self.hidden(rows), np.zeros(self.inputs.shape[1]), 0.0
        for row, answer in answers:
            z = h @ self.outputs[row]
            loss -= log_sigma(z if answer else -z)
            gradient = lr * (answer - sigma(z))
            step += gradient * self.outputs[row]
            self.outputs[row] += gradient * h
        self.losses.append(loss)
        self._take(rows, step)

    def _take(self, rows: Sequence[int], step: np.ndarray) -> None:
        for row in rows:
            self.inputs[row] += step / len(rows)

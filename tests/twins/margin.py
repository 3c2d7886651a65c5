"""A slow, obvious twin of JoSE in float64: one hinge after the other, by its gradients, their projection and a factor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from twins.sgd import Random, kept


class Hinge(NamedTuple):
    """The hinge of rows of contexts and documents, `targets`, and of a word and a noise word."""

    targets: list[int]
    word: int
    noise: int


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


@dataclass
class Twin:
    """JoSE's rule; rows of documents follow the `contexts` rows of contexts."""

    contexts: int
    window: int = 3
    fixed: bool = False
    negative: int = 2
    margin: float = 0.15
    step: str = "program"
    joint: bool = False
    frozen: bool = False
    shared: int = 0
    stay: int = 16

    def hinges(self, texts, keep, table, seed: int, epoch: int) -> Iterator[tuple[int, Hinge]]:
        """The hinges of all texts, in order, with the number of the text.

        Shared noise words are in a ring, of which the word with number c of its text redraws the (c mod `stay`)-th share.
        """
        random, position = Random.of(seed, epoch, 0), 0
        ring = [random.noise(table) for _ in range(self.shared)]
        for number, text in enumerate(texts):
            places = range(position, position + len(text))
            words = [w for w, p in zip(text, places, strict=True) if w >= 0 and kept(keep, seed, epoch, p, w)]
            position += len(text)
            for c, own in enumerate(words):
                radius = random.below(self.window) + 1
                radius = self.window if self.fixed else radius
                for place in self.redrawn(c):
                    ring[place] = random.noise(table)
                pairs = [([own], u) for p, u in enumerate(words) if p != c and abs(p - c) <= radius]
                if self.joint:
                    pairs = [([own, self.contexts + number], u) for _, u in pairs]
                else:
                    pairs = ([] if self.frozen else pairs) + [([self.contexts + number], own)]
                for targets, u in pairs:
                    drawn = [ring[random.below(len(ring))] if ring else random.noise(table) for _ in range(self.negative)]
                    for noise in drawn:
                        if noise not in (own, u):
                            yield number, Hinge(targets, u, noise)

    def redrawn(self, c: int) -> range:
        """The places of the ring that are drawn anew for the word with number c of a text."""
        turn = c % self.stay
        return range(turn * self.shared // self.stay, (turn + 1) * self.shared // self.stay)

    def loss(self, hinge: Hinge, W, X) -> float:
        """max(0, m − u·s + n·s), with s the sum of the targets."""
        s = X[hinge.targets].sum(axis=0)
        return max(0.0, self.margin - W[hinge.word] @ s + W[hinge.noise] @ s)

    def factor(self, role: str, cosine: float, length: float, targets: int) -> float:
        """The factor of the step of a row with this inner product with the descent direction, which has this length."""
        if self.step == "plain":
            return 1.0
        if self.step == "cosine":
            return 1 - cosine / length
        share = 1 if role == "target" else 1 / targets
        return -2 * share * cosine if role == "noise" else 1 - share * cosine

    def moved(self, x: np.ndarray, descent: np.ndarray, role: str, lr: float, targets: int) -> np.ndarray:
        """The row after a step."""
        factor = self.factor(role, x @ descent, np.linalg.norm(descent), targets)
        return unit(x + lr * factor * (descent - (x @ descent) * x))

    def take(self, hinge: Hinge, W, X, lr: float) -> float:
        """One step; returns the loss. All values read are from before the step."""
        loss, (targets, u, n) = self.loss(hinge, W, X), hinge
        if loss == 0:
            return 0.0
        s, apart, count = X[targets].sum(axis=0), W[u] - W[n], len(targets)
        words = self.moved(W[u], s, "word", lr, count), self.moved(W[n], -s, "noise", lr, count)
        rows = [self.moved(X[row], apart, "target", lr, count) for row in targets]
        if not self.frozen:
            W[u], W[n] = words
        for row, new in list(zip(targets, rows, strict=True))[-1 if self.frozen else 0 :]:
            X[row] = new
        return loss

    def train(self, texts, keep, table, W, X, lr, floor: float, seed: int, epochs: int) -> list[tuple[float, int]]:
        """Train in place; returns the summed loss and the number of hinges by epoch. lr is constant within a document."""
        begins = [0, *itertools.accumulate(map(len, texts))]
        history = []
        for epoch in range(epochs):
            rates = [lr * (1 - (1 - floor) * (epoch + begin / begins[-1]) / epochs) for begin in begins]
            hinges = list(self.hinges(texts, keep, table, seed, epoch))
            history.append((sum(self.take(hinge, W, X, rates[number]) for number, hinge in hinges), len(hinges)))
        return history

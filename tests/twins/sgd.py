"""A slow, obvious twin of the sampled models: word2vec's rule in float64, one pair after the other, and its random draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

MASK = 2**64 - 1


# ------------------------------------------------------------------------------------------------------------- draws


def mix64(x: int) -> int:
    """SplitMix64's finaliser."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@dataclass
class Random:
    """Xorshift64, seeded by SplitMix64 of seed, epoch and the part's first position."""

    state: int

    @classmethod
    def of(cls, seed: int, epoch: int, part: int) -> Random:
        return cls(mix64((mix64((mix64(seed) + epoch) & MASK) + part) & MASK) or 1)

    def next(self) -> int:
        s = self.state
        s ^= (s << 13) & MASK
        s ^= s >> 7
        s ^= (s << 17) & MASK
        self.state = s
        return s

    def below(self, bound: int) -> int:
        return ((self.next() >> 32) * bound) >> 32

    def noise(self, table: Sequence[int]) -> int:
        random = self.next()
        place = ((random >> 32) * len(table)) >> 32
        return place if (random & 0xFFFFFFFF) < (table[place] >> 32) else table[place] & 0xFFFFFFFF


def kept(keep: Sequence[int], seed: int, epoch: int, position: int, word: int) -> bool:
    thinning = mix64(mix64(seed) ^ mix64(epoch))
    return not len(keep) or mix64((thinning + position) & MASK) <= keep[word]


# ------------------------------------------------------------------------------------------------------------ examples


@dataclass
class Example:
    """A group of windows.

    lanes    the input rows of each hidden row, which is their mean
    targets  the words that are predicted, and `pairs` how often each of them, by number, is predicted from each lane
    outputs  (output row, lane, how many examples, how many of them with label 1)
    """

    lanes: list[list[int]]
    targets: list[int]
    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    outputs: list[tuple[int, int, float, float]] = field(default_factory=list)


@dataclass
class Twin:
    """The training rule of a family."""

    inputs: str = "contexts"
    mean: bool = False
    spread: bool = False
    window: int = 5
    fixed: bool = False
    negative: int = 5
    group: int = 1
    shared: int = 5
    paths: dict[int, list[tuple[int, float]]] | None = None
    clamp: float = 6.0
    rows: dict[int, list[int]] | None = None
    document: int = -1
    beyond: float = 1.0
    redraw: bool = False
    frozen_outputs: bool = False
    frozen_words: bool = False

    def groups(self, texts, keep, seed, epoch, random: Random) -> Iterator[tuple[int, Example]]:
        """Examples without their outputs, each with its document; the radii are drawn when an example is requested."""
        position = 0
        for number, text in enumerate(texts):
            places = range(position, position + len(text))
            words = [w for w, p in zip(text, places, strict=True) if w >= 0 and kept(keep, seed, epoch, p, w)]
            position += len(text)
            first = 0
            while first < len(words):
                stop = self.group_end(words, first)
                yield number, self.example(words, range(first, stop), number, random)
                first = stop

    def group_end(self, words: list[int], first: int) -> int:
        """The end of a group: it has each word at most four times, as a centre."""
        stop = first
        while stop < min(first + self.group, len(words)) and words[first:stop].count(words[stop]) < 4:
            stop += 1
        return stop

    def example(self, words: list[int], centres: range, number: int, random: Random) -> Example:
        """The group of some centres: its lanes, its targets, and which of them go together."""
        windows = []
        for c in centres:
            drawn = random.below(self.window) + 1
            radius = self.window if self.fixed else drawn
            windows.append([p for p in range(max(0, c - radius), min(len(words), c + radius + 1)) if p != c])
        low = min([centres.start, *(p for window in windows for p in window)])
        high = max([centres.stop, *(p + 1 for window in windows for p in window)])
        sources = {"contexts": list(range(low, high)), "centre": list(centres), "document": []}[self.inputs]
        document = [] if self.document < 0 else [self.document + number]
        if self.mean:
            own = {"contexts": windows, "centre": [[c] for c in centres], "document": [[] for _ in centres]}[self.inputs]
            lanes = [[row for p in window for row in self.rows_of(words[p])] + document for window in own]
        else:
            lanes = [self.rows_of(words[p]) for p in sources] + ([document] if document else [])
        targets = range(low, high) if self.inputs == "centre" else centres
        result = Example(lanes, [words[t] for t in targets])
        for i, (c, window) in enumerate(zip(centres, windows, strict=True)):
            for p in window if self.inputs == "centre" else [c]:
                if self.mean:
                    used = [i] if lanes[i] else []
                else:
                    used = [i] if self.inputs == "centre" else [sources.index(q) for q in window if q in sources]
                    used = used + ([len(lanes) - 1] if document else [])
                for lane in used:
                    key = targets.index(p), lane
                    result.pairs[key] = result.pairs.get(key, 0) + 1
        return result

    def rows_of(self, word: int) -> list[int]:
        return self.rows[word] if self.rows else [word]

    def draw(self, example: Example, table, random: Random) -> None:
        """List the outputs of an example."""
        for (t, lane), times in example.pairs.items():
            if self.paths is None:
                example.outputs.append((example.targets[t], lane, times, times))
            else:
                for node, label in self.paths[example.targets[t]]:
                    example.outputs.append((node, lane, times, times if label > 0 else 0))
        if self.paths is None and example.pairs:
            (self.draw_shared if self.shared else self.draw_own)(example, table, random)

    def draw_shared(self, example: Example, table, random: Random) -> None:
        words = [random.noise(table) for _ in range(self.shared)]
        for (t, lane), times in example.pairs.items():
            others = [word for word in words if word != example.targets[t]]
            weight = self.negative / (len(others) or 1 if self.redraw else self.shared)
            example.outputs += [(word, lane, times * weight, 0) for word in others]

    def draw_own(self, example: Example, table, random: Random) -> None:
        for (t, lane), times in sorted(example.pairs.items(), key=lambda item: item[0][::-1]):
            noise = [self.noise(example.targets[t], table, random) for _ in range(times * self.negative)]
            example.outputs += [(word, lane, 1, 0) for word in noise if word != example.targets[t]]

    def noise(self, target: int, table, random: Random) -> int:
        """A noise word; if it is the target, it is redrawn up to 64 times, if the rule says so."""
        for _ in range(65 if self.redraw else 1):
            word = random.noise(table)
            if word != target:
                break
        return word

    def examples(self, texts, keep, table, seed: int, epoch: int = 0) -> Iterator[tuple[int, Example]]:
        """Every example with its outputs, and its document's number."""
        random = Random.of(seed, epoch, 0)
        for number, example in self.groups(texts, keep, seed, epoch, random):
            self.draw(example, table, random)
            if example.pairs:
                yield number, example

    # ----------------------------------------------------------------------------------------------------- the rule

    def loss(self, example: Example, W, C) -> float:
        """Σ w log(1 + exp(h·u)) − p h·u over the outputs."""
        total = 0.0
        for o, lane, w, p in example.outputs:
            z = W[example.lanes[lane]].mean(axis=0) @ C[o]
            total += w * np.logaddexp(0, z) - p * z
        return total

    def error(self, z: float, w: float, p: float) -> float:
        """p − w σ, clamped as in word2vec, which for hs skips such a node."""
        if abs(z) > self.clamp:
            return (p - w * (z > 0)) * self.beyond
        return p - w / (1 + math.exp(-z))

    def step(self, example: Example, W, C, lr: float) -> float:
        """One step; returns its loss. All values read are from before the step."""
        loss, old_W, old_C = self.loss(example, W, C), W.copy(), C.copy()
        for o, lane, w, p in example.outputs:
            rows = example.lanes[lane]
            h = old_W[rows].mean(axis=0)
            g = lr * self.error(float(h @ old_C[o]), w, p)
            if not self.frozen_outputs:
                C[o] += g * h
            for i in rows:
                if not (self.frozen_words and i < self.document):
                    W[i] += g * old_C[o] / (len(rows) if self.spread else 1)
        return loss

    def train(self, texts, keep, table, W, C, lr, floor: float, seed: int, epochs: int) -> list[tuple[float, int]]:
        """Train in place; returns the summed loss and the number of examples by epoch. lr is constant within a document."""
        begins = np.cumsum([0, *map(len, texts)]).tolist()
        history = []
        for epoch in range(epochs):
            rates = [lr * (1 - (1 - floor) * (epoch + begin / begins[-1]) / epochs) for begin in begins]
            loss, count = 0.0, 0
            for number, example in self.examples(texts, keep, table, seed, epoch):
                count += sum(example.pairs.values())
                loss += self.step(example, W, C, rates[number])
            history.append((loss, count))
        return history

"""A slow, obvious twin of the sampled models: word2vec's rule in float64, one row after the other, and its random draws."""

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
    """Input rows, one hidden row each or one mean; (output row, label, weight) of each output."""

    inputs: list[int]
    targets: list[int]
    outputs: list[tuple[int, float, float]] = field(default_factory=list)


@dataclass
class Twin:
    """The training rule of a family."""

    inputs: str = "contexts"
    mean: bool = False
    spread: bool = False
    window: int = 5
    fixed: bool = False
    negative: int = 5
    own: bool = False
    paths: dict[int, list[tuple[int, float]]] | None = None
    clamp: float = 6.0
    rows: dict[int, list[int]] | None = None
    document: int = -1
    beyond: float = 1.0
    redraw: bool = False
    frozen_outputs: bool = False
    frozen_words: bool = False

    def windows(self, texts, keep, seed, epoch, random: Random) -> Iterator[Example]:
        """Examples without their outputs; the radius is drawn when an example is requested."""
        position = 0
        for number, text in enumerate(texts):
            places = range(position, position + len(text))
            words = [w for w, p in zip(text, places, strict=True) if w >= 0 and kept(keep, seed, epoch, p, w)]
            position += len(text)
            for c, centre in enumerate(words):
                drawn = random.below(self.window) + 1
                radius = self.window if self.fixed else drawn
                contexts = words[max(0, c - radius) : c] + words[c + 1 : c + radius + 1]
                sources = {"contexts": contexts, "centre": [centre], "document": []}[self.inputs]
                inputs = [row for word in sources for row in (self.rows[word] if self.rows else [word])]
                if self.document >= 0:
                    inputs.append(self.document + number)
                yield Example(inputs, contexts if self.inputs == "centre" else [centre])
            yield Example([], [])  # the end of a document: nothing is built ahead of it

    def draw(self, example: Example, table, random: Random) -> list[tuple[int, float, float]]:
        if self.paths is not None:
            return [(node, label, 1.0) for t in example.targets for node, label in self.paths[t]]
        outputs = []
        for target in example.targets:
            outputs.append((target, 1.0, 1.0))
            noise = [self.noise(target, table, random) for _ in range(self.negative)]
            outputs += [(word, -1.0, 1.0) for word in noise if word != target]
        return outputs

    def noise(self, target: int, table, random: Random) -> int:
        """A noise word; if it is the target, it is redrawn up to 64 times, if the rule says so."""
        for _ in range(65 if self.redraw else 1):
            word = random.noise(table)
            if word != target:
                break
        return word

    def examples(self, texts, keep, table, seed: int, epoch: int = 0) -> Iterator[tuple[int, Example, Random]]:
        """Every example with its outputs and its document's number; one is built before the one ahead of it is trained."""
        random, number = Random.of(seed, epoch, 0), 0
        waiting: Example | None = None
        for example in self.windows(texts, keep, seed, epoch, random):
            over = not example.inputs and not example.targets
            if example.inputs and example.targets:
                example.outputs = self.draw(example, table, random)
            if waiting is not None and waiting.inputs and waiting.targets:
                yield number, waiting, random
            waiting, number = (None, number + 1) if over else (example, number)

    # ----------------------------------------------------------------------------------------------------- the rule

    def loss(self, example: Example, W, C) -> float:
        """Σ −w log σ(±h·u) over hidden rows and outputs."""
        hidden = [W[example.inputs].mean(axis=0)] if self.mean else [W[i] for i in example.inputs]
        return sum(w * np.logaddexp(0, -y * (h @ C[o])) for h in hidden for o, y, w in example.outputs)

    def error(self, z: float, label: float) -> float:
        """(1 − σ) or −σ, clamped as in word2vec, which for hs skips such a node."""
        if abs(z) > self.clamp:
            return label * self.beyond if label * z < 0 else 0.0
        return label / (1 + math.exp(label * z))

    def step(self, inputs: list[int], outputs, W, C, lr: float) -> float:
        """One step for some inputs; returns its loss. All values read are from before the step."""
        example = Example(inputs, [], outputs)
        loss = self.loss(example, W, C)
        hidden = [W[inputs].mean(axis=0)] if self.mean else [W[i].copy() for i in inputs]
        old = {o: C[o].copy() for o, _, _ in outputs}
        for number, h in enumerate(hidden):
            errors = [(o, lr * w * self.error(float(h @ old[o]), y)) for o, y, w in outputs]
            step = sum((g * old[o] for o, g in errors), np.zeros(len(h)))
            for o, g in [] if self.frozen_outputs else errors:
                C[o] += g * h
            for i in inputs if self.mean else [inputs[number]]:
                if not (self.frozen_words and i < self.document):
                    W[i] += step / len(inputs) if self.spread else step
        return loss

    def train(self, texts, keep, table, W, C, lr, floor: float, seed: int, epochs: int) -> list[tuple[float, int]]:
        """Train in place; returns the summed loss and the number of examples by epoch. lr is constant within a document."""
        begins = np.cumsum([0, *map(len, texts)]).tolist()
        history = []
        for epoch in range(epochs):
            rates = [lr * (1 - (1 - floor) * (epoch + begin / begins[-1]) / epochs) for begin in begins]
            loss, count = 0.0, 0
            for number, example, random in self.examples(texts, keep, table, seed, epoch):
                count += len(example.targets) * (1 if self.mean else len(example.inputs))
                alone = self.own and not self.mean
                for turn, inputs in enumerate([[i] for i in example.inputs] if alone else [example.inputs]):
                    if turn and self.paths is None:
                        example.outputs = self.draw(example, table, random)
                    loss += self.step(inputs, example.outputs, W, C, rates[number])
            history.append((loss, count))
        return history

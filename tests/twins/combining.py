"""PV-DM whose hidden row is not the mean of a document and a window, but their sum, or all of them side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from twins.sgd import Example, Random, Twin


@dataclass
class Combined(Twin):
    """The step for a hidden row that `hidden` makes of rows, and whose step `parts` gives back to them."""

    def hidden(self, rows):
        raise NotImplementedError

    def parts(self, step, count: int):
        raise NotImplementedError

    def loss(self, example: Example, W, C) -> float:
        total = 0.0
        for o, lane, w, p in example.outputs:
            z = self.hidden(W[example.lanes[lane]]) @ C[o]
            total += w * np.logaddexp(0, z) - p * z
        return total

    def step(self, example: Example, W, C, lr: float) -> float:
        loss, old_W, old_C = self.loss(example, W, C), W.copy(), C.copy()
        for o, lane, w, p in example.outputs:
            rows = example.lanes[lane]
            h = self.hidden(old_W[rows])
            g = lr * self.error(float(h @ old_C[o]), w, p)
            if not self.frozen_outputs:
                C[o] += g * h
            for row, part in zip(rows, self.parts(old_C[o], len(rows)), strict=True):
                if not (self.frozen_words and row < self.document):
                    W[row] += g * part
        return loss


@dataclass
class Summed(Combined):
    """The hidden row is the sum."""

    def hidden(self, rows):
        return rows.sum(axis=0)

    def parts(self, step, count: int):
        return [step] * count


@dataclass
class Joined(Combined):
    """The hidden row is the document and each word of the window; beyond the text's ends, the row before the documents'."""

    def hidden(self, rows):
        return rows.reshape(-1)

    def parts(self, step, count: int):
        return np.split(step, count)

    def example(self, words: list[int], centres: range, number: int, random: Random) -> Example:
        made = super().example(words, centres, number, random)
        places = [[p for p in range(c - self.window, c + self.window + 1) if p != c] for c in centres]
        lanes = [[words[p] if 0 <= p < len(words) else self.document - 1 for p in window] for window in places]
        return Example([[self.document + number, *lane] for lane in lanes], made.targets, made.pairs, made.outputs)

"""The network of ELMo (Peters et al. 2018) for reading: words become vectors, and sentences all layers of their words.

    i, j, f, o = the four blocks of [u; h] W + B,  u the layer's input
    c ← clip(σ(f + 1) c + σ(i) tanh(j)),  h ← clip((σ(o) tanh(c)) W_P),  output h, or h + u after the first layer

Both directions read `<S>`, the sentence and `</S>`, the backward one from its end. Sentences are read side by side in lanes.
The last bits of a product may depend on its number of rows, so how many lanes there are depends on a sentence's length alone:
it has the same bits in any company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from cooc_engine._kernels import lstm
from cooc_engine.contextual.characters import Words
from cooc_engine.contextual.shape import DIRECTIONS, Parameters, Shape, of_layer
from cooc_engine.contextual.words import word_vectors
from cooc_engine.runtime.types import Matrix, Rows

__all__ = ["LANES", "STEPS", "Network", "States", "side_by_side"]

LANES = 64  # sentences whose products are taken together
LONG, FEW = 128, 8  # longer sentences have fewer lanes: few are of similar length, and all lanes wait for the longest
STEPS = 64  # words of each sentence that are read through all layers before the next
PIECE = 1 << 12  # words whose vectors are computed together


class States(NamedTuple):
    """The states of the layers: hidden (2, L, rows, P) and cells (2, L, rows, C), for both directions."""

    hidden: Matrix
    cells: Matrix

    @classmethod
    def zero(cls, shape: Shape, rows: int) -> States:
        """Return the states of zero, before anything is read."""
        layers = (len(DIRECTIONS), shape.layers, rows)
        return cls(np.zeros((*layers, shape.vector_size), np.float32), np.zeros((*layers, shape.cells), np.float32))

    def among(self, first: int, last: int) -> States:
        """Return copies for some rows, with zeros for those beyond the end."""
        parts = (array[:, :, first:last] for array in self)
        pads = (np.pad(part, ((0, 0), (0, 0), (0, last - first - part.shape[2]), (0, 0))) for part in parts)
        return States(*pads)


@dataclass(frozen=True, eq=False)
class Network:
    """A network: its shape and its parameters by name, float32, with the shapes that `shape.parameters` lists."""

    shape: Shape
    parameters: Parameters

    def word_vectors(self, words: Words, rows: Rows) -> Matrix:
        """Return the vectors of some words without context, (n, P): a word's bits do not depend on the others."""
        vectors = np.empty((len(rows), self.shape.vector_size), np.float32)
        with threadpool_limits(1, "blas"):
            for first in range(0, len(rows), PIECE):
                spelled = words.spelled(rows[first : first + PIECE])
                vectors[first : first + PIECE] = word_vectors(self.shape, self.parameters, spelled)[0]
        return vectors

    def contextual(self, sentences: Sequence[Matrix], states: States | None = None) -> list[Matrix]:
        """Return all layers of each sentence, (L + 1, n, 2 P), given the vectors of its words, (n + 2, P).

        The first and the last word of a sentence are `<S>` and `</S>`, which the layers leave out. Each begins with a state of
        zero, or with the row of `states` of its number, which becomes the state at its end.
        """
        with threadpool_limits(1, "blas"):
            if states is not None:
                return self._carry(sentences, states)
            found: dict[int, Matrix] = {}
            for group in side_by_side([len(sentence) for sentence in sentences]):
                own = States.zero(self.shape, _lanes(len(sentences[group[0]])))
                found |= zip(group, self._read([sentences[number] for number in group], own), strict=True)
            return [found[number] for number in range(len(sentences))]

    def _carry(self, sentences: Sequence[Matrix], states: States) -> list[Matrix]:
        """Return all layers of sentences that go on from `states`, which are moved on."""
        found: list[Matrix] = []
        for first in range(0, len(sentences), LANES):
            group, own = sentences[first : first + LANES], states.among(first, first + LANES)
            found += self._read(group, own)
            for kept, new in zip(states, own, strict=True):
                kept[:, :, first : first + len(group)] = new[:, :, : len(group)]
        return found

    def _read(self, sentences: Sequence[Matrix], states: States) -> list[Matrix]:
        """Return all layers of sentences, at most as many as `states` has lanes, which is moved on."""
        P, lengths = self.shape.vector_size, np.array([len(sentence) for sentence in sentences])
        layers = [np.empty((self.shape.layers + 1, n - 2, 2 * P), np.float32) for n in lengths]
        for direction, columns in enumerate((slice(0, P), slice(P, None))):
            turn = slice(None, None, -1 if direction else 1)
            read = [sentence[turn] for sentence in sentences]
            written = [array[:, turn, columns] for array in layers]
            for first in range(0, lengths.max(), STEPS):
                self._read_steps(direction, read, written, first, states)
        return layers

    def _read_steps(
        self, direction: int, read: Sequence[Matrix], written: Sequence[Matrix], first: int, states: States
    ) -> None:
        """Read `STEPS` words of each sentence from `first` on, and write their layers, without those of the marks."""
        lengths, lanes = np.array([len(sentence) for sentence in read]), states.hidden.shape[2]
        last = min(first + STEPS, int(lengths.max()))
        inputs = np.zeros((last - first, lanes, self.shape.vector_size), np.float32)
        for lane, sentence in enumerate(read):
            part = sentence[first:last]
            inputs[: len(part), lane] = part
        for layer in range(self.shape.layers + 1):
            if layer:
                inputs = self._layer(direction, layer - 1, inputs, lengths - first, states)
            for lane, n in enumerate(lengths):
                begin, end = max(first, 1), min(last, n - 1)
                if begin < end:
                    written[lane][layer, begin - 1 : end - 1] = inputs[begin - first : end - first, lane]

    def _layer(self, direction: int, layer: int, inputs: Matrix, lengths: Rows, states: States) -> Matrix:
        """Return the outputs of a layer, (T, lanes, P); the state of a lane stays as it is at the lane's end."""
        shape = self.shape
        weights, bias, projection = (self.parameters[name] for name in of_layer(direction, layer))
        h, c = (array[direction, layer] for array in states)
        added = np.broadcast_to(bias, (len(h), len(bias))).copy()
        gates, (after, squashed, made) = np.empty_like(added), np.empty((3, *c.shape), np.float32)
        outputs, clip = np.empty_like(inputs), np.float32(shape.projection_clip)
        joined = np.empty((len(h), 2 * shape.vector_size), np.float32)
        for t, u in enumerate(inputs):
            np.concatenate([u, h], 1, out=joined)
            np.matmul(joined, weights, out=gates)
            lstm.step_cells(gates, added, c, after, squashed, made, np.float32(shape.cell_clip))
            np.matmul(made, projection, out=outputs[t])
            np.clip(outputs[t], -clip, clip, out=outputs[t])
            lives = (lengths > t)[:, None]
            np.copyto(h[: len(lives)], outputs[t, : len(lives)], where=lives)
            np.copyto(c[: len(lives)], after[: len(lives)], where=lives)
        return outputs + inputs if shape.residual and layer else outputs


def side_by_side(lengths: Sequence[int]) -> list[list[int]]:
    """Return the indices of sentences, given their lengths, in groups of similar length that are read side by side."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    groups: list[list[int]] = []
    for number in order:
        lanes = _lanes(lengths[number])
        if not groups or len(groups[-1]) == lanes or _lanes(lengths[groups[-1][0]]) != lanes:
            groups.append([])
        groups[-1].append(number)
    return groups


def _lanes(words: int) -> int:
    """Return the number of lanes for sentences of this length, which includes both marks."""
    return LANES if words <= LONG else FEW

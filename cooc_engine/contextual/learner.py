"""A step of training: the words of a batch, both directions through the layers and the softmax, and the gradient of everything.

Each direction is the work of one thread; so is each half of the distinct words, and of the columns of the softmax. Sums of
halves are taken in a fixed order, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cooc_engine._kernels import bilm
from cooc_engine.contextual.characters import Words
from cooc_engine.contextual.network import Network, States
from cooc_engine.contextual.parameters import Store
from cooc_engine.contextual.recurrent import Unrolled
from cooc_engine.contextual.shape import Shape
from cooc_engine.contextual.softmax import Head, Sample, SoftmaxGradient, losses_and_gradient
from cooc_engine.contextual.stream import Steps
from cooc_engine.contextual.two_threads import BOTH, in_halves, parallel
from cooc_engine.contextual.words import BLOCK, WordTrace, word_gradient, word_vectors
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import Floats, Matrix, Rows

__all__ = ["Dropout", "HeadGradient", "Learner", "step_bytes"]


class HeadGradient(NamedTuple):
    """The gradient of some rows of the softmax: their numbers `places`, (n,), rows, (n, P), and bias, (n,)."""

    places: Rows
    rows: Matrix
    bias: Matrix


@dataclass(frozen=True)
class Dropout:
    """The share of each layer's inputs and of the outputs that is dropped, drawn from seeds that belong to one step."""

    share: float
    seeds: tuple[int, ...]

    def masks(self, direction: int, shape: tuple[int, ...], number: int) -> list[Matrix]:
        """Return `number` masks of a shape: 0 where a value is dropped, else the factor 1 / (1 - share) that keeps the mean."""
        random = np.random.Generator(np.random.PCG64([*self.seeds, direction]))
        scale = np.float32(1 / (1 - self.share))
        return [(random.random(shape, np.float32) >= self.share) * scale for _ in range(number)]


class Learner:
    """Computes the gradient of a network; after `learn`, `gradient` has that of all parameters except the softmax's."""

    def __init__(self, network: Network, words: Words, pool: Executor, steps: int, rows: int, sampled: int) -> None:
        """Allocate for `steps` steps of `rows` rows, and at most `sampled` sampled words; `words` are those of the text."""
        self.network, self.words, self.pool = network, words, pool
        shape = network.shape
        self.gradient = Store.zeros(shape.of_words + shape.of_layers)
        self.head = Head.of(network.parameters)
        self._of_words = [Store.zeros(shape.of_words) for _ in BOTH]
        self._directions = [Unrolled(network, direction, steps, rows) for direction in BOTH]
        self._logits = [np.empty(steps * rows * sampled, np.float32) for _ in BOTH]

    def learn(
        self, batch: Steps, states: States, sample: Sample, dropout: Dropout | None = None
    ) -> tuple[Floats, HeadGradient]:
        """Return the sum of the losses of each direction, (2,), and the gradient of the softmax; `states` move on."""
        distinct, places = batch.distinct()
        targets, parts = batch.rows_of_softmax(self.network.shape.words), _parts(len(distinct))
        made = parallel(self.pool, lambda part: self._word_vectors(distinct[slice(*part)]), parts)
        vectors = np.concatenate([found for found, _ in made])
        drawn = Head(self.head.rows[sample.words], self.head.bias[sample.words])

        def work(direction: int) -> tuple[SoftmaxGradient, Matrix]:
            inputs, unrolled = vectors[places[direction]], self._directions[direction]
            masks = None if dropout is None else dropout.masks(direction, inputs.shape, self.network.shape.layers + 1)
            hidden = unrolled.read(inputs, states, masks).reshape(-1, inputs.shape[-1])
            made = losses_and_gradient(hidden, targets[direction].ravel(), self.head, sample, drawn, self._logits[direction])
            return made, unrolled.backpropagate(made.hidden.reshape(inputs.shape), self.gradient.arrays)

        results = parallel(self.pool, work, BOTH)
        of_vectors = np.zeros_like(vectors)
        for direction, (_, of_inputs) in enumerate(results):
            bilm.add_rows(places[direction].ravel(), of_inputs.reshape(-1, vectors.shape[1]), 0, vectors.shape[1], of_vectors)
        self._backpropagate_to_words([trace for _, trace in made], [of_vectors[slice(*part)] for part in parts])
        of_softmax = [found for found, _ in results]
        return np.array([found.loss for found in of_softmax]), self._head_gradient(of_softmax, targets, sample)

    def _word_vectors(self, rows: Rows) -> tuple[Matrix, WordTrace]:
        return word_vectors(self.network.shape, self.network.parameters, self.words.spelled(rows))

    def _backpropagate_to_words(self, kept: list[WordTrace], of_vectors: list[Matrix]) -> None:
        """Write the gradient of the parameters of words: the sum over the parts, in a fixed order."""
        shape, parameters = self.network.shape, self.network.parameters

        def work(part: int) -> None:
            word_gradient(shape, parameters, kept[part], of_vectors[part], self._of_words[part].arrays)

        parallel(self.pool, work, range(len(kept)))
        whole = self.gradient.values[: len(self._of_words[0].values)]  # they come first
        whole[:] = sum(store.values for store in self._of_words[: len(kept)])

    def _head_gradient(self, made: list[SoftmaxGradient], targets: Rows, sample: Sample) -> HeadGradient:
        places, at = np.unique(np.concatenate([targets.ravel(), sample.words]), return_inverse=True)
        of_targets, of_sample = at[: targets.size].reshape(len(BOTH), -1), at[targets.size :]
        rows, bias = np.zeros((len(places), self.head.rows.shape[1]), np.float32), np.zeros(len(places), np.float32)
        bias[of_sample] = made[0].bias + made[1].bias
        for direction in BOTH:
            np.add.at(bias, of_targets[direction], made[direction].target_bias)

        def add(first: int, last: int) -> None:
            rows[of_sample, first:last] = made[0].rows[:, first:last] + made[1].rows[:, first:last]
            for direction in BOTH:
                bilm.add_rows(of_targets[direction], made[direction].target_rows, first, last, rows)

        in_halves(self.pool, add, rows.shape[1])
        return HeadGradient(places, rows, bias)


def _parts(words: int) -> list[tuple[int, int]]:
    """Return two ranges of whole blocks of words, or one if there is only one block."""
    cuts = cut_evenly(0, -(-words // BLOCK), len(BOTH))
    return [(first * BLOCK, min(last * BLOCK, words)) for first, last in cuts if last > first]


def step_bytes(shape: Shape, steps: int, rows: int, sampled: int) -> int:
    """Return the largest number of bytes that a step can take: all its words are distinct, and held-out text is read too."""
    P, C, places = shape.vector_size, shape.cells, 2 * steps * rows
    layers = 2 * shape.layers * (7 * C + 2 * P) + 4 * C + (5 + 2 * shape.layers) * P
    words = 2 * (5 + 4 * shape.highways) * shape.features + 4 * P + 40
    head = 2 * sampled + 4 * P
    return 4 * places * (layers + words + head) + 4 * 6 * sampled * P

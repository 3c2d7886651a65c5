"""The optimisers: Adam with sparse AdaGrad for the softmax, or AdaGrad for all parameters as in the program bilm-tf.

The gradient is that of the mean loss of all targets of both directions, and its norm is clipped; of the softmax, adam takes the
gradient of the sum over one direction's targets, unclipped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from concurrent.futures import Executor
from typing import ClassVar, NamedTuple

import numpy as np

from cooc_engine._kernels import bilm
from cooc_engine.contextual.learner import HeadGradient
from cooc_engine.contextual.parameters import Store
from cooc_engine.contextual.softmax import Head
from cooc_engine.contextual.two_threads import in_halves
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.runtime.types import Matrix

__all__ = ["Gradient", "Optimizer", "optimizer_of"]

FLOOR = 0.05  # the learning rates of Adam decay to this fraction
BETA_1, BETA_2 = 0.9, 0.999  # of Adam
ADAM_NORM, ADAM_SUMS = 1.0, 0.1  # the norm to which the gradient is clipped, and initial sums of squares
BILM_TF_NORM, BILM_TF_SUMS = 10.0, 1.0


class Gradient(NamedTuple):
    """The gradient of the sum of the losses of `targets` targets, over `steps` unrolled steps."""

    store: Matrix
    head: HeadGradient
    targets: int
    steps: int


class Optimizer(ABC):
    """An optimiser of `values` and of the softmax `head`; `arrays` are its state, for a checkpoint, with AdaGrad's sums."""

    SUMS: ClassVar[float]

    def __init__(self, options: ElmoOptions, store: Store, head: Head) -> None:
        self.options, self.values, self.head = options, store.values, head
        self.arrays: dict[str, Matrix] = {
            "softmax_sums": np.full_like(head.rows, self.SUMS),
            "softmax_bias_sums": np.full_like(head.bias, self.SUMS),
        }

    @abstractmethod
    def rate(self, done: float) -> float:
        """Return the learning rate when the share `done` of the training is over, 0..1."""

    @abstractmethod
    def step(self, gradient: Gradient, done: float, number: int, pool: Executor) -> None:
        """Take step `number`, counted from 1, when the share `done` of the training is over."""

    def _step_softmax(self, gradient: HeadGradient, rate: float, scale: float, pool: Executor) -> None:
        sums, places = self.arrays["softmax_sums"], gradient.places

        def work(first: int, last: int) -> None:
            bilm.adagrad_rows(places, gradient.rows, self.head.rows, sums, first, last, np.float32(rate), np.float32(scale))

        in_halves(pool, work, sums.shape[1])
        step, sums = gradient.bias * np.float32(scale), self.arrays["softmax_bias_sums"]
        sums[places] += step * step
        self.head.bias[places] -= np.float32(rate) * step / np.sqrt(sums[places])


class _Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with a linear decay; AdaGrad for the rows of the softmax that have a gradient."""

    SUMS = ADAM_SUMS

    def __init__(self, options: ElmoOptions, store: Store, head: Head) -> None:
        super().__init__(options, store, head)
        self.arrays |= {"means": np.zeros_like(store.values), "squares": np.zeros_like(store.values)}

    def rate(self, done: float) -> float:
        return self.options.rate * _decay(done)

    def step(self, gradient: Gradient, done: float, number: int, pool: Executor) -> None:
        scale = _clipped(_norm(gradient.store) / gradient.targets, ADAM_NORM) / gradient.targets
        corrected = self.rate(done) * math.sqrt(1 - BETA_2**number) / (1 - BETA_1**number)
        numbers = [np.float32(value) for value in (corrected, scale, BETA_1, BETA_2)]

        def work(first: int, last: int) -> None:
            bilm.adam(self.values, gradient.store, self.arrays["means"], self.arrays["squares"], first, last, *numbers)

        in_halves(pool, work, len(self.values))
        self._step_softmax(gradient.head, self.options.softmax_lr * _decay(done), 0.5, pool)


class _BilmTf(Optimizer):
    """AdaGrad (Duchi et al. 2011) with a constant rate, as in the program bilm-tf."""

    SUMS = BILM_TF_SUMS

    def __init__(self, options: ElmoOptions, store: Store, head: Head) -> None:
        super().__init__(options, store, head)
        self.arrays["value_sums"] = np.full_like(store.values, self.SUMS)

    def rate(self, done: float) -> float:
        return self.options.rate

    def step(self, gradient: Gradient, done: float, number: int, pool: Executor) -> None:
        """Take a step along the gradient of the mean loss times the number of unrolled steps, which is the loss of bilm-tf."""
        each = gradient.steps / gradient.targets
        norm = math.hypot(_norm(gradient.store), _norm(gradient.head.rows.ravel()), _norm(gradient.head.bias))
        rate, scale = self.rate(done), _clipped(norm * each, BILM_TF_NORM) * each

        def work(first: int, last: int) -> None:
            sums = self.arrays["value_sums"]
            bilm.adagrad(self.values, gradient.store, sums, first, last, np.float32(rate), np.float32(scale))

        in_halves(pool, work, len(self.values))
        self._step_softmax(gradient.head, rate, scale, pool)


def _decay(done: float) -> float:
    """Return the factor of linear decay from 1 to `FLOOR`."""
    return 1 - (1 - FLOOR) * done


def _norm(values: Matrix) -> float:
    return math.sqrt(float(np.dot(values, values)))


def _clipped(norm: float, most: float) -> float:
    """Return the factor that clips a norm to `most`."""
    return most / norm if norm > most else 1.0


def optimizer_of(options: ElmoOptions, store: Store, head: Head) -> Optimizer:
    """Return the optimiser of a training, before its first step."""
    return _Adam(options, store, head) if options.optimizer == "adam" else _BilmTf(options, store, head)

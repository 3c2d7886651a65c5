"""The optimisers: Adam with sparse AdaGrad for the softmax, or AdaGrad for all with the settings of the program bilm-tf.

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
from cooc_engine.contextual.learner import HeadGradient, in_halves
from cooc_engine.contextual.parameters import Store
from cooc_engine.contextual.softmax import Head
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.runtime.types import Matrix

__all__ = ["Optimizer", "optimizer_of"]

FLOOR = 0.05  # the rates of adam fall to this fraction
KEEP, KEEP_SQUARE = 0.9, 0.999
ADAM_NORM, ADAM_SUMS = 1.0, 0.1
PROGRAM_NORM, PROGRAM_SUMS = 10.0, 1.0


class Gradient(NamedTuple):
    """The gradient of the sum of the losses of so many targets, in so many steps."""

    store: Matrix
    head: HeadGradient
    targets: int
    steps: int


class Optimizer(ABC):
    """An optimiser: what it steps, and in `arrays` its state, for a checkpoint; the softmax has AdaGrad's sums."""

    SUMS: ClassVar[float]

    def __init__(self, options: ElmoOptions, store: Store, head: Head) -> None:
        self.options, self.values, self.head = options, store.values, head
        self.arrays: dict[str, Matrix] = {
            "softmax_sums": np.full_like(head.rows, self.SUMS),
            "softmax_bias_sums": np.full_like(head.bias, self.SUMS),
        }

    @abstractmethod
    def rate(self, done: float) -> float:
        """Return the learning rate after this share of the training."""

    @abstractmethod
    def step(self, gradient: Gradient, done: float, number: int, pool: Executor) -> None:
        """Take the step of this number, from 1 on, after this share of the training."""

    def _step_softmax(self, gradient: HeadGradient, rate: float, scale: float, pool: Executor) -> None:
        sums, places = self.arrays["softmax_sums"], gradient.places

        def work(first: int, last: int) -> None:
            bilm.adagrad_rows(places, gradient.rows, self.head.rows, sums, first, last, np.float32(rate), np.float32(scale))

        in_halves(pool, work, sums.shape[1])
        step, sums = gradient.bias * np.float32(scale), self.arrays["softmax_bias_sums"]
        sums[places] += step * step
        self.head.bias[places] -= np.float32(rate) * step / np.sqrt(sums[places])


class _Adam(Optimizer):
    SUMS = ADAM_SUMS

    def __init__(self, options: ElmoOptions, store: Store, head: Head) -> None:
        super().__init__(options, store, head)
        self.arrays |= {"means": np.zeros_like(store.values), "squares": np.zeros_like(store.values)}

    def rate(self, done: float) -> float:
        return self.options.rate * _fallen(done)

    def step(self, gradient: Gradient, done: float, number: int, pool: Executor) -> None:
        scale = _clipped(_norm(gradient.store) / gradient.targets, ADAM_NORM) / gradient.targets
        corrected = self.rate(done) * math.sqrt(1 - KEEP_SQUARE**number) / (1 - KEEP**number)
        numbers = [np.float32(value) for value in (corrected, scale, KEEP, KEEP_SQUARE)]

        def work(first: int, last: int) -> None:
            bilm.adam(self.values, gradient.store, self.arrays["means"], self.arrays["squares"], first, last, *numbers)

        in_halves(pool, work, len(self.values))
        self._step_softmax(gradient.head, self.options.softmax_lr * _fallen(done), 0.5, pool)


class _Program(Optimizer):
    SUMS = PROGRAM_SUMS

    def __init__(self, options: ElmoOptions, store: Store, head: Head) -> None:
        super().__init__(options, store, head)
        self.arrays["value_sums"] = np.full_like(store.values, self.SUMS)

    def rate(self, done: float) -> float:
        return self.options.rate

    def step(self, gradient: Gradient, done: float, number: int, pool: Executor) -> None:
        """Take a step along the gradient of the loss times the number of steps that it was unrolled for."""
        each = gradient.steps / gradient.targets
        norm = math.hypot(_norm(gradient.store), _norm(gradient.head.rows.ravel()), _norm(gradient.head.bias))
        rate, scale = self.rate(done), _clipped(norm * each, PROGRAM_NORM) * each

        def work(first: int, last: int) -> None:
            sums = self.arrays["value_sums"]
            bilm.adagrad(self.values, gradient.store, sums, first, last, np.float32(rate), np.float32(scale))

        in_halves(pool, work, len(self.values))
        self._step_softmax(gradient.head, rate, scale, pool)


def _fallen(done: float) -> float:
    """Return the fraction to which rates have fallen after this share of the training."""
    return 1 - (1 - FLOOR) * done


def _norm(values: Matrix) -> float:
    return math.sqrt(float(np.dot(values, values)))


def _clipped(norm: float, most: float) -> float:
    """Return the factor that brings a norm down to `most`, or 1."""
    return most / norm if norm > most else 1.0


def optimizer_of(options: ElmoOptions, store: Store, head: Head) -> Optimizer:
    """Return the optimiser of a training, before its first step."""
    return _Adam(options, store, head) if options.optimizer == "adam" else _Program(options, store, head)

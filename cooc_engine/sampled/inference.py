"""Vectors of new documents: each document has a row of its own, which is trained on its text while all others stay.

The result for a document is a pure function of the model, its words and the seed: what it begins with and its random state
do not depend on what is inferred beside it, in any order and on any number of threads.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from cooc_engine._kernels.barrier import GATE, Team
from cooc_engine._kernels.rules import Clock
from cooc_engine._kernels.step import StepLog
from cooc_engine.models.sampled_options import SampledOptions
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import Matrix, WordIds
from cooc_engine.sampled.model import SampledModel, rate_at
from cooc_engine.sampled.softmax import take_listed
from cooc_engine.sampled.workspace import workspace_of
from cooc_engine.storage.scratch import aligned_zeros, padded, sphere_start, uniform_start

__all__ = ["Inference", "inferring_rate", "padded_copy"]

RANGES = 4  # ranges of documents for each thread, so that all end at about the same time


class Inference:
    """Infers documents with a model whose rule trains only the rows of documents.

    inputs, outputs  (n, d) rows, which are copied; outputs may have segments, (n, segments, d). The new documents' rows follow
                     in the matrix that the model's `DOCUMENTS` names, from row `Rule.document` on
    """

    def __init__(self, model: SampledModel, inputs: Matrix, outputs: Matrix, threads: int) -> None:
        self._model, self._d, self._first = model, outputs.shape[-1], model.rule.document
        slots = [0, 0]
        slots[model.DOCUMENTS] = threads
        self._matrices = padded_copy(inputs, len(inputs) + slots[0]), padded_copy(outputs, len(outputs) + slots[1])
        space = workspace_of(model, self._d)
        self._free = deque((slot, space.scratch(), space.step_log()) for slot in range(threads))
        self._pool = ThreadPoolExecutor(threads)
        self._ranges = RANGES * threads
        random = np.random.Generator(np.random.PCG64(model.seed))
        shape = 1, self._d
        self._start: Matrix = (sphere_start(random, shape) if model.SPHERE else uniform_start(random, shape, self._d, 1.0))[0]

    def vectors(self, documents: Iterable[WordIds]) -> Matrix:
        """Return the vectors of documents, float32 (n, d), given the ids of their words; zeros for one without words."""
        read = list(documents)
        found = np.zeros((len(read), self._d), np.float32)

        def infer(part: tuple[int, int]) -> None:
            space = self._free.pop()
            for number in range(*part):
                if len(read[number]):
                    found[number] = self._infer(read[number], *space)
            self._free.append(space)

        with threadpool_limits(1, "blas"):  # whose results depend on its number of threads
            list(self._pool.map(infer, cut_evenly(0, len(read), self._ranges)))
        return found

    def _begin(self, ids: WordIds) -> Matrix:
        """Return the vector with which a document begins."""
        return self._start

    def _infer(self, ids: WordIds, slot: int, scratch: object, log: StepLog) -> Matrix:
        """Train the row of a slot on a document, in as many epochs as the model has, and return it."""
        model, size = self._model, len(ids)
        row, offsets = self._matrices[model.DOCUMENTS][self._first + slot, : self._d], np.array([0, size])
        alone, unused = Team(0, 1, np.zeros(GATE, np.int64)), np.zeros((2, 0), np.int32)
        parts = np.zeros((-(-size // model.part), 2), np.int64)
        parts[:, 0] = np.arange(len(parts))
        results = np.zeros((len(parts), 1, 3))
        row[:] = self._begin(ids)
        for epoch in range(model.epochs):
            clock = Clock(model.seed, epoch, 0, slot, epoch * size, model.horizon(size), model.lr)
            for part in range(len(parts)):
                one = slice(part, part + 1)
                model.train(ids, offsets, parts[one], alone, clock, *self._matrices, scratch, log, unused, results[one])
                if model.listed:
                    take_listed(model.rule, log, *self._matrices, rate_at(clock, part * model.part))
        return row


def inferring_rate(options: SampledOptions, epochs: int, share: float) -> float:
    """Return the initial rate at which new documents get this share of the training that those of the model got.

    With more epochs the steps are shorter, and with few they are never longer than those of training were.
    """
    return options.lr * min(1.0, share * options.epochs / epochs)


def padded_copy(rows: Matrix, count: int) -> Matrix:
    """Return a matrix of `count` padded rows that begins with those given; each segment of a row is padded by itself."""
    *segments, d = rows.shape[1:]
    copy = aligned_zeros(count, padded(d) * math.prod(segments))
    copy.reshape(count, *segments, padded(d))[: len(rows), ..., :d] = rows
    return copy

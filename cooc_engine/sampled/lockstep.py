"""Vectors of new documents by Doc2Vec, for many documents at once: they are trained in step, one word of each at a time.

As in `inference`, the result for a document is a pure function of the model, its words and the seed: every document begins
with the same vector and meets the same noise, whatever is inferred beside it, in any order and on any number of threads.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cooc_engine._kernels import rules
from cooc_engine._kernels.infer import Lanes, Pace, infer_documents
from cooc_engine._kernels.simd import LANES
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Counts, Matrix, WordIds
from cooc_engine.sampled.inference import padded_copy
from cooc_engine.sampled.model import SampledModel
from cooc_engine.storage.scratch import aligned_zeros, padded, uniform_start

__all__ = ["LockstepInference"]

BATCH = 64 * LANES  # documents that are put in order of length together, and are read while others are trained


class LockstepInference:
    """Infers documents with a model whose rule trains only the rows of documents, from targets with noise of their own.

    words    (n, d) input rows of words, which are copied; none unless the rule has words as inputs
    outputs  (m, d) output rows, which are copied
    """

    def __init__(self, model: SampledModel, words: Matrix, outputs: Matrix, threads: int) -> None:
        self._model, self._d = model, outputs.shape[1]
        self._matrices = padded_copy(words, len(words)), padded_copy(outputs, len(outputs))
        self._pool = ThreadPoolExecutor(threads)
        random = np.random.Generator(np.random.PCG64(model.seed))
        self._start = uniform_start(random, (1, self._d), self._d, 1.0)[0]

    def vectors(self, documents: Iterable[WordIds]) -> Matrix:
        """Return the vectors of documents, float32 (n, d), given the ids of their words; zeros for one without words.

        Documents are read while those before them are trained.
        """
        rest = iter(documents)
        begun = [self._begin(batch) for batch in iter(lambda: list(itertools.islice(rest, BATCH)), [])]
        return np.concatenate([np.empty((0, self._d), np.float32), *(finish() for finish in begun)])

    def _begin(self, documents: Sequence[WordIds]) -> Callable[[], Matrix]:
        """Begin to train documents; returns a function that waits until they are trained, and returns their vectors."""
        lengths = np.array([len(words) for words in documents], np.int64)
        order = np.argsort(-lengths, kind="stable")  # so that documents of about the same length are trained together
        rows = padded(len(documents), LANES)
        offsets = offsets_of(np.pad(lengths[order], (0, rows - len(order))))
        ids = np.concatenate([np.empty(0, np.int32), *(documents[number] for number in order.tolist())])
        trained = aligned_zeros(rows, padded(self._d))
        trained[: np.count_nonzero(lengths), : self._d] = self._start
        ranges = self._pool.map(lambda first: self._train(ids, offsets, first, trained), range(0, rows, LANES))

        def finish() -> Matrix:
            deque(ranges, 0)
            found = np.empty((len(documents), self._d), np.float32)
            found[order] = trained[: len(order), : self._d]
            return found

        return finish

    def _train(self, ids: WordIds, offsets: Counts, first: int, trained: Matrix) -> None:
        """Train the rows of LANES documents from the `first` on."""
        model, last = self._model, first + LANES
        pace = Pace(model.seed, model.epochs, model.lr, model.horizon(1))
        lanes = self._lanes(int(offsets[last] - offsets[first]))
        infer_documents(ids, offsets, first, last, model.rule, model.tables, pace, *self._matrices, lanes, trained)

    def _lanes(self, words: int) -> Lanes:
        """Allocate the buffers for documents of so many words together."""
        tables, slots = self._model.tables, 1 + self._model.rule.negative
        if self._model.rule.output == rules.PATH:
            slots = int(np.diff(tables.path_starts).max())
        places = np.zeros((3, slots * LANES), np.float32)
        return Lanes(
            words=np.empty(words + 1, np.int32),
            counts=np.empty(LANES, np.int64),
            rows=np.empty(slots * LANES, np.int32),
            weights=places[0],
            positives=places[1],
            scores=places[2],
            numbers=np.tile(np.arange(LANES, dtype=np.int32), slots),
            hidden=aligned_zeros(LANES, padded(self._d)),
            turned=aligned_zeros(padded(self._d), LANES),
            targets=aligned_zeros(padded(self._d), LANES),
            shares=np.empty(LANES, np.float32),
            losses=np.zeros(LANES, np.float32),
        )

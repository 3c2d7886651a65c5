"""The text as both language models read it: rows side by side, some steps at a time, the backward model from their ends.

A document w₁ … wₙ is a sentence `<S> w₁ … wₙ </S>`, which has n + 1 places, each between two of its elements. At a place the
forward model reads the first and predicts the second, the backward model the other way round. The documents of a shard, in the
order that is given, make one line of places, which is cut into rows of the same length; where it does not come out even, rows
overlap by a place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cooc_engine._kernels import bilm
from cooc_engine.contextual.characters import UNKNOWN
from cooc_engine.corpus.shards import Shard
from cooc_engine.runtime.types import Rows

__all__ = ["Steps", "Stream"]


class Steps(NamedTuple):
    """Inputs and targets of both directions for some steps, each (2, T, B): words as `Words.marked` numbers them."""

    inputs: Rows
    targets: Rows

    def distinct(self) -> tuple[Rows, Rows]:
        """Return the distinct input words, and the place of each input among them, (2, T, B)."""
        distinct, places = np.unique(self.inputs, return_inverse=True)
        return distinct, places.reshape(self.inputs.shape)

    def rows_of_softmax(self, words: int) -> Rows:
        """Return the targets as rows of a softmax over `words` words; any other word is `<UNK>`."""
        return np.where(self.targets < words, self.targets, UNKNOWN)


class Stream:
    """The places of some documents of a shard, in rows."""

    def __init__(self, shard: Shard, documents: Rows, rows: int) -> None:
        """Read `documents`, numbers of documents that are not empty, in the given order, in this number of rows."""
        self.rows, self._shard, self._order = rows, shard, np.ascontiguousarray(documents)
        self._ends = np.cumsum(shard.offsets[documents + 1] - shard.offsets[documents] + 1)
        self.places = int(self._ends[-1]) if len(documents) else 0
        self.length = -(-self.places // rows)
        self._begins = np.arange(rows) * self.places // rows

    def in_rows(self, rows: int) -> Stream:
        """Return the same places in another number of rows."""
        return Stream(self._shard, self._order, rows)

    def read(self, first: int, steps: int) -> Steps:
        """Return at most `steps` steps from `first` on, fewer at the end of the rows."""
        steps = min(steps, self.length - first)
        found = np.empty((2, 2, steps, len(self._begins)), np.int64)
        shard = self._shard
        bilm.read_places(shard.ids, shard.offsets, self._order, self._ends, self._begins, self.length, first, found)
        return Steps(*found)

"""Work for two threads: one for each direction, or for each half of an array; the bits do not depend on their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from cooc_engine.contextual.shape import DIRECTIONS
from cooc_engine.runtime.threads import cut_evenly

__all__ = ["BOTH", "in_halves", "parallel"]

T = TypeVar("T")
R = TypeVar("R")
BOTH = range(len(DIRECTIONS))


def parallel(pool: Executor, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the results of a function for all items, without warnings: overflow is detected in the loss."""

    def work(item: T) -> R:
        with np.errstate(all="ignore"):
            return function(item)

    return list(pool.map(work, items))


def in_halves(pool: Executor, function: Callable[[int, int], None], size: int) -> None:
    """Call a function of (first, last) for both halves of 0:size."""
    parallel(pool, lambda part: function(*part), cut_evenly(0, size, len(BOTH)))

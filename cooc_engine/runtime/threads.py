"""Work for a thread pool: ranges cut evenly or by cost, and results in the order of the input."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from cooc_engine.runtime.types import Counts

__all__ = ["cut_by_cost", "cut_by_ends", "cut_evenly", "cut_falling", "in_order"]


def cut_evenly(first: int, last: int, parts: int) -> list[tuple[int, int]]:
    """Cut first:last into `parts` consecutive ranges whose lengths differ by at most one; some may be empty."""
    cuts = [first + (last - first) * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(cuts))


def cut_falling(last: int, threads: int) -> Iterator[tuple[int, int]]:
    """Cut 0:last into consecutive ranges of falling lengths, so that threads take few of them, and end at about the same time.

    Each is half of what every thread would get of the rest (guided self-scheduling, Polychronopoulos and Kuck 1987).
    """
    first = 0
    while first < last:
        end = first + max(1, (last - first) // (2 * threads))
        yield first, end
        first = end


def cut_by_cost(costs: Counts, most: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges that cover first:n, each with a total of `costs` (n,) of at most `most`.

    An item that alone costs more makes up one range.
    """
    return cut_by_ends(np.cumsum(costs), most, first)


def cut_by_ends(ends: Counts, most: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """Yield ranges as `cut_by_cost` does, given the cumulative costs `ends` (n,); a mapped array is not copied."""
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + most, "right")))
        yield first, last
        first = last


def in_order(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Yield function(item) in the order of the items, with at most `ahead` calls submitted at a time."""
    pending: deque[Future[Any]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()

"""The memory that work takes, as NumPy and Python ask for it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def traced_memory() -> Iterator[Callable[[], tuple[int, int]]]:
    """Trace what NumPy and Python allocate from here on; yields what tells how much is held, and was at most."""
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """List the most memory that was held above the beginning, as NumPy and Python ask for it."""
    peak = []
    with traced_memory() as traced:
        yield peak
        peak.append(traced()[1])


def least_peak(run: Callable[[], T]) -> tuple[int, T]:
    """Return the smaller peak of two equal runs, and what the second returned.

    What is loaded for the first time takes memory, and so does the interpreter's table of strings when it grows.
    """
    peaks = []
    for _ in range(2):
        with peak_memory() as peak:
            found = run()
        peaks += peak
    return min(peaks), found

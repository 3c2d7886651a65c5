"""Sparse matrices by rows, and tall dense matrices in panels of 32 columns.

The kernels see arrays, whether these are in memory or in a mapped file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import blocks
from cooc_engine._kernels.later import sparse as kernels
from cooc_engine._kernels.shapes import PANEL
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.threads import cut_by_ends
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.scratch import Allocate, in_memory

__all__ = [
    "ENTRY_BYTES",
    "PANEL",
    "Panels",
    "SparseRows",
    "add_product",
    "cut_work",
    "flat",
    "inner",
    "panels",
    "panels_of",
    "rotate",
    "run",
    "scratch_bytes",
]

ENTRY_BYTES = 8  # an int32 column and a float32 value
TASK_ENTRIES = 1 << 18
TASK_ROWS = 2048
BLOCK_COLUMNS = 1 << 15  # in a block of a product, whose rows of a panel a cache holds
LEAST_BLOCKS = 8  # with fewer, a cache holds much of the matrix as it is
BLOCK_ENTRIES = 1 << 23  # of the rows that share a block
LEAST_IN_BLOCK = 32  # entries of a row in a block, on average: with few, it takes longer to come back to each row
PARTS = 16  # ranges of rows into which an inner product is cut; their sums are added in a fixed order

Panels = npt.NDArray[np.float32]  # (P, n, 32)
Square = npt.NDArray[np.float64]


def scratch_bytes(columns: int, threads: int) -> int:
    """Return the temporary memory, in bytes, of products with a dense matrix of this many columns."""
    return 2 * threads * TASK_ROWS * 4 * columns + PARTS * 8 * 2 * PANEL * columns


def panels(count: int, rows: int) -> Panels:
    """Return `count` panels of zeros, (count, rows, 32)."""
    made: Panels = in_memory(count * rows * PANEL, np.float32).reshape(count, rows, PANEL)
    made[:] = 0
    return made


def panels_of(matrix: npt.NDArray[np.floating]) -> Panels:
    """Return a matrix (n, k) in panels, padded with columns of zeros."""
    rows, columns = matrix.shape
    made = panels(-(-columns // PANEL), rows)
    for p in range(len(made)):
        part = matrix[:, p * PANEL : (p + 1) * PANEL]
        made[p, :, : part.shape[1]] = part
    return made


def flat(matrix: Panels, k: int) -> Matrix:
    """Return a copy of the first k columns of panels as a matrix (n, k)."""
    made = np.empty((matrix.shape[1], k), np.float32)
    for p in range(len(matrix)):
        part = made[:, p * PANEL : (p + 1) * PANEL]
        part[:] = matrix[p, :, : part.shape[1]]
    return made


@dataclass(frozen=True)
class SparseRows:
    """A matrix by rows: offsets (n + 1,) int64, columns int32 and values float32 of the entries."""

    shape: tuple[int, int]
    offsets: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: Matrix

    @property
    def entries(self) -> int:
        """Number of entries."""
        return int(self.offsets[-1])

    def tasks(self) -> list[tuple[int, int]]:
        """Return ranges of rows with about equal work, the same for any number of threads.

        Rows that are long enough to be multiplied a block of columns at a time are in large ranges, which share a block.
        """
        large = cut_work(self.offsets, BLOCK_ENTRIES)
        return [
            (begin + a, begin + b)
            for begin, end in large
            for a, b in ([(0, end - begin)] if self._in_blocks(begin, end) else cut_work(self.offsets[begin : end + 1]))
        ]

    def _in_blocks(self, begin: int, end: int) -> bool:
        """Tell whether rows are multiplied in blocks: if most of the entries of a row share a block with some others."""
        blocks = self.shape[1] // BLOCK_COLUMNS
        return blocks >= LEAST_BLOCKS and int(self.offsets[end] - self.offsets[begin]) >= LEAST_IN_BLOCK * blocks * (
            end - begin
        )

    def multiply(self, right: Panels, result: Panels, pool: Executor) -> None:
        """result = self @ right, both in panels."""
        arrays = self.offsets, self.columns, self.values, right, result

        def work(task: tuple[int, int]) -> None:
            if self._in_blocks(*task):
                blocks.multiply_blocks(task, *arrays, BLOCK_COLUMNS, np.empty(task[1] - task[0], np.int64))
            else:
                kernels.multiply(task, *arrays)

        run(pool, work, self.tasks())

    def transposed(self, allocate: Allocate, room: int, pool: Executor) -> SparseRows:
        """Return the transpose; at most about `room` bytes of it are written at a time, each range by one thread."""
        rows, width = self.shape
        lengths = np.zeros(width, np.int64)
        arrays = self.offsets, self.columns

        def count(task: tuple[int, int]) -> None:
            kernels.count_columns(task, *arrays, lengths[task[0] : task[1]])

        half = -(-width // 2)
        run(pool, count, [(first, min(first + half, width)) for first in range(0, width, max(half, 1))])
        offsets = offsets_of(lengths)
        made = SparseRows((width, rows), offsets, allocate(self.entries, np.int32), allocate(self.entries, np.float32))

        def fill(task: tuple[int, int]) -> None:
            places = kernels.WrittenRows(offsets[task[0] : task[1]].copy(), made.columns, made.values)
            kernels.transpose(task, *arrays, self.values, places)

        run(pool, fill, cut_work(offsets, max(room // ENTRY_BYTES, TASK_ENTRIES)))
        return made


def cut_work(offsets: npt.NDArray[np.int64], entries: int = TASK_ENTRIES) -> list[tuple[int, int]]:
    """Cut rows into ranges of at least one row and about `entries` entries, each row counting as one entry more."""
    work = offsets[1:] - offsets[0] + np.arange(1, len(offsets))
    return list(cut_by_ends(work, entries))


def run(pool: Executor, work: Callable[[Any], None], tasks: list[Any]) -> None:
    """Run all tasks, and raise the first error."""
    for _ in pool.map(work, tasks):
        pass


def ranges(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of at most `step` rows."""
    for begin in range(0, rows, step):
        yield begin, min(begin + step, rows)


def inner(left: Panels, right: Panels, pool: Executor) -> Square:
    """Return left.T @ right, (32 P, 32 R), summed in double precision in the same order for any number of threads."""
    rows = left.shape[1]
    parts = list(ranges(rows, max(1, -(-rows // PARTS))))
    sums = np.zeros((len(parts), len(left), len(right), PANEL, PANEL))

    def work(task: tuple[int, int, int]) -> None:
        part, i, j = task
        kernels.gram(parts[part], left[i], right[j], sums[part, i, j])

    run(pool, work, list(np.ndindex(sums.shape[:3])))
    product: Square = sums.sum(axis=0).transpose(0, 2, 1, 3).reshape(len(left) * PANEL, len(right) * PANEL)
    return product


def tiled(factors: npt.NDArray[np.floating]) -> Matrix:
    """Return factors (32 P, 32 R) as tiles (R, P, 32, 32), float32: for each of R output panels, one tile per input panel."""
    rows, columns = factors.shape
    shape = rows // PANEL, PANEL, columns // PANEL, PANEL
    return np.ascontiguousarray(factors.reshape(shape).transpose(2, 0, 1, 3), np.float32)


def add_product(left: Panels, factors: npt.NDArray[np.floating], result: Panels, pool: Executor) -> None:
    """result += left @ factors, (32 P, 32 R)."""
    tiles = tiled(factors)

    def work(task: tuple[int, int]) -> None:
        for tile, panel in zip(tiles, result, strict=True):
            kernels.add_product(task, left, tile, panel)

    run(pool, work, list(ranges(left.shape[1], TASK_ROWS)))


def rotate(left: Panels, factors: npt.NDArray[np.floating], pool: Executor) -> None:
    """left[:R] = left @ factors, (32 P, 32 R) with R at most P, in place, a range of rows at a time."""
    tiles = tiled(factors)

    def work(task: tuple[int, int]) -> None:
        scratch = panels(len(tiles), task[1] - task[0])
        rows = np.ascontiguousarray(left[:, task[0] : task[1]])
        for tile, panel in zip(tiles, scratch, strict=True):
            kernels.add_product((0, task[1] - task[0]), rows, tile, panel)
        left[: len(tiles), task[0] : task[1]] = scratch

    run(pool, work, list(ranges(left.shape[1], TASK_ROWS)))

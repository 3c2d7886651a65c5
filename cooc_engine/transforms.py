"""From counts to pointwise mutual information, a row block at a time.

PMI_ij = log [ X_ij · Σ S / (X_i. · S_j) ] with S_j = X_.j ^ cds (Levy, Goldberg and Dagan 2015); from it log shift is taken.
PPMI keeps what is above 0; NPMI divides by -log (X_ij / X) (Bouma 2009). Entries that were not counted stay 0. Marginals
are exact integers, logs are taken in double precision, results are kept in single.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import sparse as kernels
from cooc_engine.config import PmiSvdOptions
from cooc_engine.cooc import Cooc
from cooc_engine.progress import Stage
from cooc_engine.sparse import Allocate, SparseRows, cut_work, run

__all__ = ["Factors", "copies", "is_symmetric", "pmi_rows", "transform_cooc"]

MODES = {"ppmi": kernels.PPMI, "pmi": kernels.PMI, "npmi": kernels.NPMI}
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """What turns a count x into the ratio x · row · column whose log is the PMI; `total` is the sum of all counts."""

    mode: int
    row: Values
    column: Values
    shift: float
    total: float

    @classmethod
    def of(cls, row_sums: Values, column_sums: Values, options: PmiSvdOptions) -> Factors:
        """Take sums of rows and columns; equal sums and cds 1 make equal factors, and so a symmetric matrix to the bit."""
        smoothed = np.where(column_sums > 0, column_sums**options.cds, 0)
        root = np.sqrt(smoothed.sum())
        row, column = (np.divide(root, sums, out=np.zeros_like(sums), where=sums > 0) for sums in (row_sums, smoothed))
        return cls(MODES[options.pmi], row, column, options.pmi_shift, float(column_sums.sum()))

    def turned(self) -> Factors:
        """Return the factors of the transpose."""
        return Factors(self.mode, self.column, self.row, self.shift, self.total)


def is_symmetric(cooc: Cooc) -> bool:
    """Tell whether X_ij = X_ji for all i and j, by how it was counted."""
    return cooc.options.context_side == "both" and cooc.columns == len(cooc.vocabulary)


def copies(cooc: Cooc, options: PmiSvdOptions) -> int:
    """Return how many matrices there are: one that is symmetric, or one and its transpose."""
    return 1 if is_symmetric(cooc) and options.cds == 1 else 2


def transform_cooc(
    cooc: Cooc, options: PmiSvdOptions, allocate: Allocate, room: int, pool: Executor, stage: Stage
) -> tuple[SparseRows, SparseRows | None]:
    """Return the PMI matrix by rows and its transpose by rows, None if it is symmetric itself.

    Symmetric counts whose PMI is not (cds other than 1) are read once: the transpose has the same counts with the marginals
    exchanged. Other counts are transposed afterwards, at most about `room` bytes at a time.
    """
    column_sums = np.rint(cooc.column_sums * cooc.denominator)
    factors = Factors.of(cooc.row_integers.astype(np.float64), column_sums, options)
    mirrored = is_symmetric(cooc) and options.cds != 1
    shape = len(cooc.vocabulary), cooc.columns
    writers = [
        _Writer(shape, part, cooc.entries, allocate) for part in ([factors, factors.turned()] if mirrored else [factors])
    ]
    for block in cooc.blocks:
        columns, values = cooc.block_integers(block)
        starts = cooc.row_offsets[block.first : block.last + 1] - cooc.row_offsets[block.first]
        for writer in writers:
            writer.add(block.first, starts, columns, values, pool)
        stage.advance(len(columns))
    rows, *rest = [writer.rows() for writer in writers]
    if rest:
        return rows, rest[0]
    return rows, None if copies(cooc, options) == 1 else rows.transposed(allocate, room, pool)


def pmi_rows(counts: SparseRows, values: Values, factors: Factors, allocate: Allocate, pool: Executor) -> SparseRows:
    """Return the PMI of counts that are in memory: offsets and columns of `counts`, the counts themselves in `values`."""
    writer = _Writer(counts.shape, factors, counts.entries, allocate)
    writer.add(0, counts.offsets, counts.columns, values, pool)
    return writer.rows()


class _Writer:
    """The transformed rows as they come, block after block, behind one another."""

    def __init__(self, shape: tuple[int, int], factors: Factors, entries: int, allocate: Allocate) -> None:
        self._shape, self._factors, self._lengths = shape, factors, np.zeros(shape[0], np.int64)
        self._columns, self._values = allocate(entries, np.int32), allocate(entries, np.float32)
        self._end = 0

    def add(
        self,
        first: int,
        starts: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int32],
        values: npt.NDArray[Any],
        pool: Executor,
    ) -> None:
        """Take the rows from `first` on: row first + r has the entries starts[r]:starts[r + 1]."""
        factors, last, tasks = self._factors, first + len(starts) - 1, cut_work(starts)
        block = starts, columns, values, factors.row[first:last], factors.column, factors.shift
        lengths = self._lengths[first:last]
        if factors.mode == kernels.PPMI:
            run(pool, lambda task: kernels.count_positive(*task, *block, lengths), tasks)
        else:
            lengths[:] = np.diff(starts)
        offsets = self._end + np.concatenate([[0], np.cumsum(lengths)])
        target = offsets, self._columns, self._values
        run(pool, lambda task: kernels.fill_pmi(factors.mode, *task, *block, factors.total, *target), tasks)
        self._end = int(offsets[-1])

    def rows(self) -> SparseRows:
        """Return the matrix."""
        offsets = np.concatenate([[0], np.cumsum(self._lengths)])
        return SparseRows(self._shape, offsets, self._columns[: self._end], self._values[: self._end])

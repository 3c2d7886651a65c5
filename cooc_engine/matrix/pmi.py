"""From counts to pointwise mutual information, a row block at a time.

PMI_ij = log [ X_ij · Σ S / (X_i. · S_j) ] with S_j = X_.j ^ cds (Levy, Goldberg and Dagan 2015); from it log shift is taken.
PPMI keeps what is above 0; NPMI divides by -log (X_ij / X) (Bouma 2009). Entries that were not counted stay 0. Marginals
are exact integers, logs are taken in double precision, results are kept in single.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import sparse as kernels
from cooc_engine._kernels.sparse import PmiFactors, WrittenRows
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import UsageError
from cooc_engine.linalg.sparse import SparseRows, cut_work, run
from cooc_engine.models.matrix_options import PmiOptions, PmiSvdOptions
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Floats
from cooc_engine.storage.scratch import Allocate, in_memory

__all__ = ["Factors", "PmiStream", "StoredCounts", "copies", "is_symmetric", "pmi_rows", "transform_cooc"]

MODES = {"ppmi": kernels.PPMI, "pmi": kernels.PMI, "npmi": kernels.NPMI}


@dataclass(frozen=True)
class Factors:
    """What turns a count x into the ratio x · row · column whose log is the PMI; `total` is the sum of all counts."""

    mode: int
    row: Floats
    column: Floats
    shift: float
    total: float

    @classmethod
    def of(cls, row_sums: Floats, column_sums: Floats, options: PmiOptions) -> Factors:
        """Take sums of rows and columns; equal sums and cds 1 make equal factors, and so a symmetric matrix to the bit.

        Raises `UsageError` if the sums to the power of cds are too large for a number.
        """
        with np.errstate(over="ignore"):
            smoothed = np.where(column_sums > 0, column_sums**options.cds, 0)
            root = np.sqrt(smoothed.sum())
        if not np.isfinite(root):
            raise UsageError(f"--cds is {options.cds:g}; the counts of contexts to this power are too large")
        row, column = (np.divide(root, sums, out=np.zeros_like(sums), where=sums > 0) for sums in (row_sums, smoothed))
        return cls(MODES[options.pmi], row, column, options.pmi_shift, float(column_sums.sum()))

    @classmethod
    def of_cooc(cls, cooc: Cooc, options: PmiOptions) -> Factors:
        """Take the sums of a co-occurrence directory, as integers."""
        return cls.of(cooc.row_integers.astype(np.float64), cooc.column_integers.astype(np.float64), options)

    def turned(self) -> Factors:
        """Return the factors of the transpose."""
        return Factors(self.mode, self.column, self.row, self.shift, self.total)

    def count(self, counts: StoredCounts, lengths: npt.NDArray[np.int64], pool: Executor) -> None:
        """Write to `lengths` how many entries each row keeps: for PPMI those above 0, otherwise all."""
        if self.mode == kernels.PPMI:
            block = self._block(counts)
            run(pool, lambda task: kernels.count_positive(task, *block, lengths), cut_work(counts.starts))
        else:
            lengths[:] = np.diff(counts.starts)

    def fill(
        self,
        counts: StoredCounts,
        offsets: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int32],
        values: npt.NDArray[np.float32],
        pool: Executor,
    ) -> None:
        """Write the transformed rows: row r of them to offsets[r]:offsets[r + 1] of columns and values."""
        block, to = self._block(counts), WrittenRows(offsets, columns, values)
        run(pool, lambda task: kernels.fill_pmi(task, *block, to), cut_work(counts.starts))

    def _block(self, counts: StoredCounts) -> tuple[Any, ...]:
        row = self.row[counts.first : counts.last]
        factors = PmiFactors(self.mode, row, self.column, float(self.shift), self.total)
        return counts.starts, counts.columns, counts.values, factors


def is_symmetric(cooc: Cooc) -> bool:
    """Tell whether X_ij = X_ji for all i and j, by how it was counted."""
    return cooc.options.context_side == "both" and not cooc.positional


def copies(cooc: Cooc, options: PmiSvdOptions) -> int:
    """Return 1 if the solver or a symmetric matrix needs no transpose, else 2."""
    return 2 if options.solver == "krylov" and not (is_symmetric(cooc) and options.cds == 1) else 1


@dataclass(frozen=True)
class StoredCounts:
    """Stored counts of some rows: row first + r has the entries starts[r]:starts[r + 1] of columns and values."""

    first: int
    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[Any]

    @property
    def last(self) -> int:
        """The row after them."""
        return self.first + len(self.starts) - 1

    def cut(self, entries: int) -> Iterator[StoredCounts]:
        """Yield ranges of the rows, of about so many entries each (at least one row)."""
        for begin, end in cut_work(self.starts, entries):
            yield StoredCounts(self.first + begin, self.starts[begin : end + 1], self.columns, self.values)


def _blocks(cooc: Cooc) -> Iterator[StoredCounts]:
    for block in cooc.blocks:
        starts = cooc.row_offsets[block.first : block.last + 1] - cooc.row_offsets[block.first]
        yield StoredCounts(block.first, starts, *cooc.block_integers(block))


def transform_cooc(
    cooc: Cooc, options: PmiSvdOptions, allocate: Allocate, room: int, pool: Executor, stage: Stage
) -> tuple[SparseRows, SparseRows | None]:
    """Return the PMI matrix by rows and its transpose by rows, None if it is symmetric itself or only one is wanted.

    Symmetric counts whose PMI is not (cds other than 1) are read once: the transpose has the same counts with the marginals
    exchanged. Other counts are transposed afterwards, at most about `room` bytes at a time.
    """
    factors, two = Factors.of_cooc(cooc, options.matrix), copies(cooc, options) == 2
    shape = len(cooc.vocabulary), cooc.columns
    sides = [factors, factors.turned()] if two and is_symmetric(cooc) else [factors]
    writers = [_Writer(shape, side, cooc.entries, allocate) for side in sides]
    for counts in _blocks(cooc):
        for writer in writers:
            writer.add(counts, pool)
        stage.advance(len(counts.columns))
    rows, *rest = [writer.rows() for writer in writers]
    if rest:
        return rows, rest[0]
    return rows, rows.transposed(allocate, room, pool) if two else None


def pmi_rows(counts: SparseRows, values: Floats, factors: Factors, allocate: Allocate, pool: Executor) -> SparseRows:
    """Return the PMI of counts that are in memory: offsets and columns of `counts`, the counts themselves in `values`."""
    writer = _Writer(counts.shape, factors, counts.entries, allocate)
    writer.add(StoredCounts(0, counts.offsets, counts.columns, values), pool)
    return writer.rows()


class _Writer:
    """The transformed rows as they come, block after block, behind one another."""

    def __init__(self, shape: tuple[int, int], factors: Factors, entries: int, allocate: Allocate) -> None:
        self._shape, self._factors, self._lengths = shape, factors, np.zeros(shape[0], np.int64)
        self._columns, self._values = allocate(entries, np.int32), allocate(entries, np.float32)
        self._end = 0

    def add(self, counts: StoredCounts, pool: Executor) -> None:
        """Take the next rows."""
        lengths = self._lengths[counts.first : counts.last]
        self._factors.count(counts, lengths, pool)
        offsets = self._end + np.concatenate([[0], np.cumsum(lengths)])
        self._factors.fill(counts, offsets, self._columns, self._values, pool)
        self._end = int(offsets[-1])

    def rows(self) -> SparseRows:
        """Return the matrix."""
        offsets = np.concatenate([[0], np.cumsum(self._lengths)])
        return SparseRows(self._shape, offsets, self._columns[: self._end], self._values[: self._end])


class PmiStream:
    """The PMI matrix by rows, made anew whenever it is read and never whole: for what only passes by.

    offsets   (V + 1,) int64: row r has the entries offsets[r] up to offsets[r + 1]
    """

    def __init__(self, cooc: Cooc, options: PmiOptions, entries: int, pool: Executor) -> None:
        """Count the entries of all rows; `entries` are held at a time, or those of the longest row."""
        self.shape = len(cooc.vocabulary), cooc.columns
        self._cooc, self._factors, self._pool = cooc, Factors.of_cooc(cooc, options), pool
        self._entries = entries
        lengths = np.zeros(self.shape[0], np.int64)
        for counts in _blocks(cooc):
            self._factors.count(counts, lengths[counts.first : counts.last], pool)
        self.offsets = np.concatenate([[0], np.cumsum(lengths)])

    def pieces(self) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
        """Yield columns and values of all entries, piece by piece; each piece is gone when the next is asked for."""
        longest = int(np.diff(self._cooc.row_offsets).max(initial=0))
        room = max(self._entries, longest)
        columns, values = in_memory(room, np.int32), in_memory(room, np.float32)
        for block in _blocks(self._cooc):
            for counts in block.cut(self._entries):
                offsets = self.offsets[counts.first : counts.last + 1] - self.offsets[counts.first]
                self._factors.fill(counts, offsets, columns, values, self._pool)
                yield columns[: offsets[-1]], values[: offsets[-1]]

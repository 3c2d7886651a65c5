"""From counts to pointwise mutual information, one row block at a time.

PMI_ij = log [ X_ij · Σ S / (X_i. · S_j) ] with S_j = X_.j ^ cds (Levy, Goldberg and Dagan 2015); log(shift) is subtracted.
PPMI keeps the positive values; NPMI divides by -log (X_ij / X) (Bouma 2009). Cells without a count stay 0. Marginals are
exact integers, logs are computed in double precision, results are stored in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine._kernels import sparse as kernels
from cooc_engine._kernels.sparse import PmiFactors, WrittenRows
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import UsageError
from cooc_engine.linalg.sparse import SparseRows, cut_work, run
from cooc_engine.models.matrix_options import PmiOptions, PmiSvdOptions
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Floats
from cooc_engine.storage.scratch import Allocate, in_memory

__all__ = [
    "PIECE", "Factors", "PmiStream", "StoredCounts", "copies", "is_symmetric", "new_rows", "pmi_rows", "transform_cooc",
    "transform_rows", "transposed_rows",
]  # fmt: skip

PIECE = 1 << 22  # maximum number of entries of a matrix in memory that is read in pieces
MODES = {"ppmi": kernels.PPMI, "pmi": kernels.PMI, "npmi": kernels.NPMI}


@dataclass(frozen=True)
class Factors:
    """Factors that turn a count x into the ratio x · row · column, whose log is the PMI; `total` is the sum of all counts."""

    mode: int
    row: Floats
    column: Floats
    shift: float
    total: float

    @classmethod
    def of(cls, row_sums: Floats, column_sums: Floats, options: PmiOptions) -> Factors:
        """Compute the factors from row and column sums; if these are equal and cds is 1, a symmetric matrix stays exactly so.

        Raises `UsageError` if the sums to the power of cds overflow a float.
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
        """Compute the factors from the integer sums of a co-occurrence directory."""
        return cls.of(cooc.row_integers.astype(np.float64), cooc.column_integers.astype(np.float64), options)

    def turned(self) -> Factors:
        """Return the factors of the transpose."""
        return Factors(self.mode, self.column, self.row, self.shift, self.total)

    def count(self, counts: StoredCounts, lengths: npt.NDArray[np.int64], pool: Executor) -> None:
        """Write the number of entries kept in each row to `lengths`: the positive ones for PPMI, otherwise all."""
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
        """Write the transformed rows: row r goes to offsets[r]:offsets[r + 1] of columns and values."""
        block, to = self._block(counts), WrittenRows(offsets, columns, values)
        run(pool, lambda task: kernels.fill_pmi(task, *block, to), cut_work(counts.starts))

    def _block(self, counts: StoredCounts) -> tuple[Any, ...]:
        row = self.row[counts.first : counts.last]
        factors = PmiFactors(self.mode, row, self.column, float(self.shift), self.total)
        return counts.starts, counts.columns, counts.values, factors


def is_symmetric(cooc: Cooc) -> bool:
    """Tell whether X_ij = X_ji for all i and j, according to the counting options."""
    return cooc.options.context_side == "both" and not (cooc.positional or cooc.rectangular)


def copies(cooc: Cooc, options: PmiSvdOptions) -> int:
    """Return 2 if the transpose must be stored too, 1 if the solver does not need it or the matrix is symmetric."""
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
        """The end of the rows: one more than the last."""
        return self.first + len(self.starts) - 1

    def cut(self, entries: int) -> Iterator[StoredCounts]:
        """Yield ranges of the rows with about `entries` entries each (at least one row)."""
        for begin, end in cut_work(self.starts, entries):
            yield StoredCounts(self.first + begin, self.starts[begin : end + 1], self.columns, self.values)


def _blocks(cooc: Cooc, first: int, last: int) -> Iterator[StoredCounts]:
    """Yield the counts of rows first:last, block after block."""
    for block in cooc.blocks:
        a, b = max(first, block.first), min(last, block.last)
        if a < b:
            starts = cooc.row_offsets[a : b + 1] - cooc.row_offsets[block.first]
            yield StoredCounts(a, starts, *cooc.block_integers(block))


def transform_cooc(
    cooc: Cooc, options: PmiSvdOptions, allocate: Allocate, room: int, pool: Executor, stage: Stage
) -> tuple[SparseRows, SparseRows | None]:
    """Return the PMI matrix as CSR and its transpose as CSR, None if the matrix is symmetric or the solver does not need it.

    Symmetric counts whose PMI is not symmetric (cds other than 1) are read once: the transpose has the same counts with the
    marginals swapped. Other matrices are transposed afterwards, about `room` bytes at a time.
    """
    rows, transpose = transform_rows(cooc, options, (0, len(cooc.vocabulary)), allocate, pool, stage)
    if transpose is None and copies(cooc, options) == 2:
        transpose = rows.transposed(allocate, room, pool)
    return rows, transpose


def transform_rows(
    cooc: Cooc, options: PmiSvdOptions, chosen: tuple[int, int], allocate: Allocate, pool: Executor, stage: Stage
) -> tuple[SparseRows, SparseRows | None]:
    """Return a range first:last of the rows of the PMI matrix, and the same rows of its transpose if they have these counts."""
    factors, both = Factors.of_cooc(cooc, options.matrix), copies(cooc, options) == 2 and is_symmetric(cooc)
    entries = int(cooc.row_offsets[chosen[1]] - cooc.row_offsets[chosen[0]])
    sides = [factors, factors.turned()] if both else [factors]
    writers = [_Writer(chosen, cooc.columns, side, entries, allocate) for side in sides]
    for counts in _blocks(cooc, *chosen):
        for writer in writers:
            writer.add(counts, pool)
        stage.advance(int(counts.starts[-1] - counts.starts[0]))
    rows, *rest = [writer.rows() for writer in writers]
    return rows, rest[0] if rest else None


def transposed_rows(
    cooc: Cooc, options: PmiSvdOptions, chosen: tuple[int, int], allocate: Allocate, pool: Executor
) -> SparseRows:
    """Return a range first:last of the columns of the PMI matrix as rows; reads all counts three times."""
    stream = PmiStream(cooc, options.matrix, PIECE, pool)
    lengths, begin = np.zeros(chosen[1] - chosen[0], np.int64), 0
    for columns, _ in stream.pieces():
        kernels.count_columns(chosen, np.array([0, len(columns)]), columns, lengths)
    offsets = offsets_of(lengths)
    to = WrittenRows(offsets[:-1].copy(), allocate(int(offsets[-1]), np.int32), allocate(int(offsets[-1]), np.float32))
    for columns, values in stream.pieces():
        inside = np.clip(stream.offsets - begin, 0, len(columns))  # rows that are not in this piece are empty
        kernels.transpose(chosen, inside, columns, values, to)
        begin += len(columns)
    return SparseRows((len(lengths), stream.shape[0]), offsets, to.columns, to.values)


def pmi_rows(counts: SparseRows, values: Floats, factors: Factors, allocate: Allocate, pool: Executor) -> SparseRows:
    """Return the PMI of counts in memory: their offsets and columns are those of `counts`, the counts are in `values`."""
    writer = _Writer((0, counts.shape[0]), counts.shape[1], factors, counts.entries, allocate)
    writer.add(StoredCounts(0, counts.offsets, counts.columns, values), pool)
    return writer.rows()


def new_rows(counts: scipy.sparse.csr_array, column_sums: Floats, options: PmiOptions, threads: int) -> SparseRows:
    """Return the PMI of rows that were not counted when the columns were summed; columns that were empty then stay empty.

    counts   (n, columns), canonical
    """
    values = counts.astype(np.float64, copy=True)
    row_sums = np.asarray(values.sum(axis=1), np.float64)
    values.data[column_sums[values.indices] == 0] = 0
    values.eliminate_zeros()
    columns, places = values.indices.astype(np.int32, copy=False), values.indptr.astype(np.int64)
    rows = SparseRows(values.shape, places, columns, values.data.astype(np.float32))
    with ThreadPoolExecutor(threads) as pool:
        return pmi_rows(rows, values.data, Factors.of(row_sums, column_sums, options), in_memory, pool)


class _Writer:
    """Collects the transformed rows of a range, block after block, into one CSR matrix."""

    def __init__(self, rows: tuple[int, int], width: int, factors: Factors, entries: int, allocate: Allocate) -> None:
        self._first, self._width = rows[0], width
        self._factors, self._lengths = factors, np.zeros(rows[1] - rows[0], np.int64)
        self._columns, self._values = allocate(entries, np.int32), allocate(entries, np.float32)
        self._end = 0

    def add(self, counts: StoredCounts, pool: Executor) -> None:
        """Transform and append the next rows."""
        lengths = self._lengths[counts.first - self._first : counts.last - self._first]
        self._factors.count(counts, lengths, pool)
        offsets = self._end + offsets_of(lengths)
        self._factors.fill(counts, offsets, self._columns, self._values, pool)
        self._end = int(offsets[-1])

    def rows(self) -> SparseRows:
        """Return all of them."""
        offsets = offsets_of(self._lengths)
        return SparseRows((len(self._lengths), self._width), offsets, self._columns[: self._end], self._values[: self._end])


class PmiStream:
    """The PMI matrix by rows, recomputed at each reading and never held as a whole: for streaming to a file.

    offsets   (V + 1,) int64: row r has the entries offsets[r]:offsets[r + 1]
    """

    def __init__(self, cooc: Cooc, options: PmiOptions, entries: int, pool: Executor) -> None:
        """Count the entries of all rows; at most `entries` are held at a time, or those of one longer row."""
        self.shape = len(cooc.vocabulary), cooc.columns
        self._cooc, self._factors, self._pool = cooc, Factors.of_cooc(cooc, options), pool
        self._entries = entries
        lengths = np.zeros(self.shape[0], np.int64)
        for counts in _blocks(cooc, 0, self.shape[0]):
            self._factors.count(counts, lengths[counts.first : counts.last], pool)
        self.offsets = offsets_of(lengths)

    def pieces(self) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
        """Yield columns and values of all entries, piece by piece; a piece is valid only until the next is requested."""
        longest = int(np.diff(self._cooc.row_offsets).max(initial=0))
        room = max(self._entries, longest)
        columns, values = in_memory(room, np.int32), in_memory(room, np.float32)
        for block in _blocks(self._cooc, 0, self.shape[0]):
            for counts in block.cut(self._entries):
                offsets = self.offsets[counts.first : counts.last + 1] - self.offsets[counts.first]
                self._factors.fill(counts, offsets, columns, values, self._pool)
                yield columns[: offsets[-1]], values[: offsets[-1]]

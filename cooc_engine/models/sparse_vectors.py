"""Explicit vectors: the rows of a sparse matrix, one number per context, without a factorisation.

`SparseVectors` has the operations that queries need of a matrix (V, C): rows, products and lengths. Only the requested rows are
ever made dense.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError
from cooc_engine.linalg.sparse import PANEL, SparseRows, cut_work, flat, panels, panels_of
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.relations import check_within

__all__ = ["SPARSE", "SparseVectors"]

SPARSE = "explicit vectors are sparse and cannot do this; take a model with an SVD"
PIECE = 1 << 20  # entries processed at a time

RowNumbers = npt.NDArray[np.integer] | list[int]


class SparseVectors:
    """V vectors of C numbers each, most of them 0, as float32; they may be mapped.

    An integer index gives a dense vector (C,), an array or list of them dense vectors (n, C), and a slice sparse vectors.
    Operations that need the whole dense matrix raise `UsageError`.
    """

    ndim = 2
    __array_ufunc__ = None

    def __init__(self, rows: SparseRows) -> None:
        self._rows = rows
        self.shape = rows.shape

    @classmethod
    def of(cls, rows: SparseRows, where: str) -> SparseVectors:
        """Wrap the rows of a file, after checking their columns; raises `FormatError` for a column out of range."""
        check_within(rows.columns[: rows.entries], 0, rows.shape[1], f"{where}/indices")
        return cls(rows)

    def __len__(self) -> int:
        """Return V."""
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Raise `UsageError` instead of making the whole matrix dense."""
        raise UsageError(SPARSE)

    @overload
    def __getitem__(self, rows: slice) -> SparseVectors: ...

    @overload
    def __getitem__(self, rows: int | np.integer | RowNumbers) -> Matrix: ...

    def __getitem__(self, rows: slice | int | np.integer | RowNumbers) -> SparseVectors | Matrix:
        """Return a slice of the vectors, sparse, or single vectors, dense."""
        if isinstance(rows, slice):
            begin, end, _ = rows.indices(len(self))
            found = self._rows
            shape = max(end - begin, 0), self.shape[1]
            return SparseVectors(SparseRows(shape, found.offsets[begin : end + 1], found.columns, found.values))
        asked = np.asarray(rows, np.int64)
        dense = np.zeros((asked.size, self.shape[1]), np.float32)
        for vector, row in zip(dense, asked.reshape(-1).tolist(), strict=True):
            columns, values = self._row(row)
            vector[columns] = values
        return dense.reshape(*asked.shape, self.shape[1])

    def take(self, rows: npt.NDArray[np.int64]) -> SparseVectors:
        """Return some of the vectors, sparse."""
        parts = [self._row(row) for row in rows.tolist()]
        offsets = offsets_of([len(columns) for columns, _ in parts])
        columns = np.concatenate([np.empty(0, np.int32), *(columns for columns, _ in parts)])
        values = np.concatenate([np.empty(0, np.float32), *(values for _, values in parts)])
        return SparseVectors(SparseRows((len(rows), self.shape[1]), offsets, columns, values))

    def _row(self, row: int) -> tuple[npt.NDArray[np.int32], Matrix]:
        part = slice(*self._rows.offsets[[row, row + 1]])
        return self._rows.columns[part], self._rows.values[part]

    def __matmul__(self, right: Matrix) -> Matrix:
        """Return the product (V, q) with a dense matrix (C, q); it does not depend on the number of threads."""
        result = panels(-(-right.shape[1] // PANEL), len(self))
        with ThreadPoolExecutor(usable_cores()) as pool:
            self._rows.multiply(panels_of(right), result, pool)
        return flat(result, right.shape[1])

    def lengths(self) -> Matrix:
        """Return the length of each vector, (V,)."""
        squares, offsets = np.zeros(len(self)), self._rows.offsets
        for begin, end in cut_work(offsets, PIECE):
            starts = offsets[begin : end + 1]
            values = self._rows.values[starts[0] : starts[-1]].astype(np.float64)
            filled = np.flatnonzero(np.diff(starts))  # reduceat would not give 0 for a row without entries
            if len(filled):
                squares[begin + filled] = np.add.reduceat(values * values, starts[filled] - starts[0])
        return np.sqrt(squares).astype(np.float32)

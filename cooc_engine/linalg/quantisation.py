"""Product quantisation: a matrix in a sixteenth of its space or less, whose rows and products are computed from codes.

Each row is cut into parts of `dsub` components, and each part replaced by the nearest of 256 centroids that k-means has found
for that part (Jégou, Douze and Schmid 2011). With the lengths of rows quantised apart, the parts are those of unit rows.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import quantising
from cooc_engine._kernels.shapes import CENTROIDS
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import Matrix, Rows

__all__ = ["CENTROIDS", "Codes", "Quantised", "parts_of", "quantise"]

ROUNDS = 25  # of k-means at most
SAMPLE = 256 * CENTROIDS  # rows from which centroids are learned at most
STEP = 1 << 15  # rows quantised or multiplied at a time

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Quantised:
    """A matrix (n, d) as codes, from which rows are computed when they are read, `found[rows]`, and products with vectors.

    codes       (n, parts) the centroid of each part of each row
    centroids   (256 · d,) those of each part, part after part
    dsub        components of a part; the last part may have fewer
    norm_codes  (n,) the centroid of each row's length; None if lengths are not quantised apart
    norms       (256,) the centroids of lengths
    """

    codes: Codes
    centroids: Matrix
    dsub: int
    norm_codes: Codes | None = None
    norms: Matrix | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """n and d."""
        return len(self.codes), len(self.centroids) // CENTROIDS

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 2

    def __len__(self) -> int:
        """Return n."""
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Matrix:
        """Return rows as an array does, float32; only these are computed."""
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        numbers = np.flatnonzero(numbers) if numbers.dtype == bool else numbers.astype(np.int64) % max(1, len(self))
        flat = numbers.reshape(-1)
        found = np.empty((len(flat), self.shape[1]), np.float32)
        quantising.decode_rows(self.codes, flat, self.centroids, self.dsub, self._scales(flat), found)
        return found.reshape(*numbers.shape, self.shape[1])

    def whole(self) -> Matrix:
        """Return all rows, which takes the space that codes save."""
        return self[:]

    def _scales(self, rows: Any) -> Matrix:
        if self.norms is None or self.norm_codes is None:
            return np.ones(len(self.codes[rows]), np.float32)
        found: Matrix = self.norms[self.norm_codes[rows]]
        return found

    def of(self, rows: slice | Rows) -> Quantised:
        """Return some of the rows, still as codes; those of a slice are not copied."""
        norm_codes = None if self.norm_codes is None else self.norm_codes[rows]
        return replace(self, codes=self.codes[rows], norm_codes=norm_codes)

    def like(self, other: Quantised) -> bool:
        """Tell whether the codes of another matrix mean the same as these."""
        both = ((self.centroids, other.centroids), (self.norms, other.norms))
        return self.dsub == other.dsub and all(np.array_equal(ours, theirs) for ours, theirs in both)  # type: ignore[arg-type]

    def stacked(self, others: Sequence[Quantised]) -> Quantised:
        """Return these rows and, below them, those of others whose codes mean the same."""
        codes = np.concatenate([self.codes, *(other.codes for other in others)])
        norm_codes = [each.norm_codes for each in (self, *others) if each.norm_codes is not None]
        return replace(self, codes=codes, norm_codes=np.concatenate(norm_codes) if norm_codes else None)

    def dot(self, vector: Matrix, begin: int = 0, end: int | None = None) -> Matrix:
        """Return the inner products (n,) of rows begin:end with a vector (d,): one addition for each part of a row."""
        codes = self.codes[begin:end]
        found = np.empty(len(codes), np.float32)
        quantising.sum_products(codes, self._products(vector), found)
        return found if self.norms is None else found * self._scales(slice(begin, end))

    def _products(self, vector: Matrix) -> Matrix:
        """Return the inner products (parts, 256) of each centroid with its part of a vector."""
        return np.stack([table @ vector[a:b] for (a, b), table in zip(self.cuts, self.tables, strict=True)])

    @property
    def cuts(self) -> list[tuple[int, int]]:
        """The components of each part, as (first, end)."""
        return parts_of(self.shape[1], self.dsub)

    @functools.cached_property
    def tables(self) -> list[Matrix]:
        """The centroids (256, k) of each part."""
        return [self.centroids[CENTROIDS * a : CENTROIDS * b].reshape(CENTROIDS, b - a) for a, b in self.cuts]


def parts_of(d: int, dsub: int) -> list[tuple[int, int]]:
    """Return the parts of d components, as (first, end)."""
    return [(first, min(first + dsub, d)) for first in range(0, d, dsub)]


def quantise(rows: Any, dsub: int = 2, *, norms: bool = False, seed: int = 1, threads: int = 1) -> Quantised:
    """Quantise a matrix, float32 (n, d), which is read a part at a time.

    dsub    components of a part
    norms   quantise the lengths of rows apart from their directions

    Centroids are learned from 65,536 rows at most. The result does not depend on `threads`.
    """
    (size, width), random = rows.shape, np.random.default_rng(seed)
    dsub = min(dsub, width)
    learned, lengths = _directions(rows[np.sort(random.permutation(size)[:SAMPLE])], norms)
    cuts = parts_of(width, dsub)
    codes, norm_codes = np.empty((size, len(cuts)), np.uint8), np.empty(size if norms else 0, np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        coder = _Coder(pool, threads, random)
        tables = [coder.learn(learned[:, a:b]) for a, b in cuts]
        scales = coder.learn(lengths) if norms else None
        for start in range(0, size, STEP):
            block, lengths = _directions(rows[start : start + STEP], norms)
            if scales is not None:
                norm_codes[start : start + STEP] = coder.nearest(lengths, scales)
            for part, ((a, b), table) in enumerate(zip(cuts, tables, strict=True)):
                codes[start : start + STEP, part] = coder.nearest(block[:, a:b], table)
    flat = np.concatenate([table.reshape(-1) for table in tables])
    return Quantised(codes, flat, dsub, *((norm_codes, scales.reshape(-1)) if scales is not None else ()))


def _directions(rows: Matrix, norms: bool) -> tuple[Matrix, Matrix]:
    """Return rows and 1, or unit rows and the lengths (n, 1) that they had; zero rows stay zero."""
    if not norms:
        return rows, np.ones((1, 1), np.float32)
    lengths: Matrix = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32), lengths


class _Coder:
    """Finds nearest centroids with several threads, and centroids by k-means (Lloyd 1982)."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int, random: np.random.Generator) -> None:
        self._pool, self._threads, self._random = pool, threads, random

    def nearest(self, points: Matrix, table: Matrix) -> npt.NDArray[np.int32]:
        """Return the number of the nearest of some centroids (m, k) for each of n points (n, k)."""
        return self._nearest(_columns(points), table)[: len(points)]

    def learn(self, points: Matrix) -> Matrix:
        """Return 256 centroids (256, k) of points (n, k); fewer than 256 points are the first centroids, and the rest are 0."""
        table = np.zeros((CENTROIDS, points.shape[1]), np.float32)
        start = self._random.permutation(len(points))[:CENTROIDS]
        table[: len(start)] = points[start]
        columns, before = _columns(points), np.empty(0, np.int32)
        for _ in range(ROUNDS if len(points) > CENTROIDS else 0):
            chosen = self._nearest(columns, table)[: len(points)]
            if np.array_equal(chosen, before):
                break
            table, before = self._means(points, columns, chosen), chosen
        return table

    def _nearest(self, columns: Matrix, table: Matrix) -> npt.NDArray[np.int32]:
        chosen = np.empty(columns.shape[1], np.int32)
        parts = cut_evenly(0, len(chosen) // quantising.BLOCK, self._threads)
        list(self._pool.map(lambda part: quantising.nearest_centroids(columns, table, part, chosen), parts))
        return chosen

    def _means(self, points: Matrix, columns: Matrix, chosen: npt.NDArray[np.int32]) -> Matrix:
        """Return the mean of the points of each cluster; an empty one begins anew at a point drawn at random."""
        sums = np.empty((len(columns) + 1, CENTROIDS))
        values = [*columns, np.ones(len(chosen), np.float32)]
        list(self._pool.map(lambda axis: quantising.sum_clusters(values[axis], chosen, sums[axis]), range(len(sums))))
        table = (sums[:-1] / np.maximum(sums[-1], 1)).T.astype(np.float32)
        empty = np.flatnonzero(sums[-1] == 0)
        table[empty] = points[self._random.integers(0, len(points), len(empty))]
        return np.ascontiguousarray(table)


def _columns(points: Matrix) -> Matrix:
    """Return points (n, k) as columns, with zeros up to a whole block of them."""
    columns = np.zeros((points.shape[1], -(-len(points) // quantising.BLOCK) * quantising.BLOCK), np.float32)
    columns[:, : len(points)] = points.T
    return columns

"""Finding the best rows of a matrix: block by block, for many queries at once, or by a preselection with 8-bit integers.

A block of rows is multiplied by all queries, and only scores that beat the best so far are kept and sorted: at most 64 MB
are needed besides the matrix, however many rows it has. For single queries `Screen` holds the rows as bytes, a quarter of
the data; the few candidates that may be among the best are then compared exactly, so the answers are the same.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import screening
from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.models.published import Published
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.options import AtLeast, checked
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import Floats, Matrix, Rows

__all__ = [
    "BLOCK",
    "DENSE",
    "QUERIES",
    "CodedSearch",
    "ExactSearch",
    "RowReader",
    "Score",
    "Screen",
    "Search",
    "best_rows",
    "cosines",
    "inverse_norms",
    "scaled",
    "search_of",
    "top",
]

QUERIES = 256  # queries answered by one product
BLOCK = 2048  # rows of one product; QUERIES * BLOCK scores take some 50 bytes each if all are candidates: 30 MB
FIRST = 64  # rows of the first block; each block is twice the size of the last, so that few scores beat the best so far
WIDTH = 300  # columns up to which a block has BLOCK rows; wider matrices have smaller blocks, to take no more memory
PART = 12 << 20  # bytes of a screen per thread; scanning fewer takes no longer than waking a thread
DENSE = 1 << 21  # numbers of vectors copied at a time
KEPT_NORMS = 1 << 22  # up to this many rows norms are kept (16 MB); otherwise they are recomputed for each block
SCREENED = 1 << 12, 48 << 20  # a screen is made if there are at least this many rows, and it takes at most this many bytes
SCREENED_ANSWERS = 256  # the most answers, with excluded rows, for which a screen is used
FIRST_SINGLES = 4  # single queries answered without a screen, since making one takes as long as about ten of them

FEW = 4  # queries that are answered from codes by tables of products; for more queries, blocks of rows are decoded

Score = Callable[[int, Matrix], Matrix]  # from the first row of a block and its rows, the scores (rows, queries)


class RowReader(Protocol):
    """A matrix, float32 (V, d), that can be read in parts: an array, or an object that computes rows on demand."""

    @property
    def shape(self) -> Any:
        """V and d."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Return the rows of a slice, or those with the given numbers."""


def top(size: int, topn: int) -> int:
    """Return the largest possible number of answers; raises `UsageError` if `topn` is not a whole number from 1 on."""
    wanted: int = checked("topn", topn, Annotated[int, AtLeast(1)])
    return min(wanted, size)


def batches(queries: int, topn: int, width: int) -> list[slice]:
    """Return slices of the queries to be answered together: smaller ones for very long vectors or lists of answers."""
    step = max(1, min(QUERIES, QUERIES * BLOCK // (8 * topn), DENSE // max(1, width)))
    return [slice(start, start + step) for start in range(0, queries, step)]


def best_rows(rows: RowReader, score: Score, topn: int, exclude: Sequence[Sequence[int]]) -> tuple[Rows, Matrix]:
    """Return rows and scores, both (q, topn), of the rows with the highest score for each of q queries, best first.

    exclude   for each query the rows that must not be answers

    Equal scores are ordered by row. Where there are fewer than `topn` answers, the rest are row -1.
    """
    (size, width), queries = rows.shape, len(exclude)
    banned_query = np.repeat(np.arange(queries), [len(some) for some in exclude])
    banned_row = np.fromiter((row for some in exclude for row in some), np.int64)
    best = np.full((queries, topn), -1, np.int64), np.full((queries, topn), -np.inf, np.float32)
    copied = 0 if isinstance(rows, SparseVectors) else width
    most = max(1, min(BLOCK, BLOCK * WIDTH // max(1, copied)))
    start, step = 0, min(FIRST, most)
    while start < size:
        stop = min(start + step, size)
        scores = score(start, rows[start:stop])
        inside = (banned_row >= start) & (banned_row < stop)
        scores[banned_row[inside] - start, banned_query[inside]] = -np.inf
        best = _merge(*best, scores, start)
        start, step = stop, min(2 * step, most)
    return best


def _merge(rows: Rows, scores: Matrix, block: Matrix, start: int) -> tuple[Rows, Matrix]:
    """Return the best of the answers so far, (q, n), and of the scores, (block, q), of a block that begins at row `start`."""
    queries, topn = rows.shape
    block_row, query = np.nonzero(block > scores[:, -1])
    if not len(query):
        return rows, scores
    owner = np.concatenate([np.repeat(np.arange(queries), topn), query])
    value = np.concatenate([scores.ravel(), block[block_row, query]])
    found = np.concatenate([rows.ravel(), block_row + start])
    order = np.lexsort((found, -value, owner))
    first = np.searchsorted(owner[order], np.arange(queries))
    kept = order[first[:, None] + np.arange(topn)]
    return found[kept], value[kept]


def inverse_norms(rows: Matrix | SparseVectors) -> Matrix:
    """Return one over the length of each row, (n,); 0 for a zero row."""
    norms: Matrix = rows.lengths() if isinstance(rows, SparseVectors) else np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.divide(np.float32(1), norms, out=np.zeros_like(norms), where=norms > 0)


def scaled(vectors: Matrix) -> Matrix:
    """Return vectors scaled to length 1; zero vectors stay zero."""
    return vectors * inverse_norms(vectors)[:, None]


def cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """Return the cosines between corresponding rows, in double precision, within -1..1; 0 for a zero row."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    dots: Floats = np.einsum("ij,ij->i", a, b)
    found: Floats = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0).clip(-1, 1)
    return found


# ---------------------------------------------------------------------------------------------------- nearest by cosine


class Search(Protocol):
    """A method of finding the rows nearest to query vectors by cosine."""

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]]) -> tuple[Rows, Matrix]:
        """Return rows and cosines, both (q, topn), best first; row -1 where there are fewer answers."""


class ExactSearch:
    """The nearest rows of a matrix by cosine, by comparison with every row."""

    def __init__(self, rows: RowReader) -> None:
        """Take a matrix (V, d) without reading it."""
        self._rows, (self._size, self._width) = rows, rows.shape
        self._singles = 0  # number of single queries so far

    @functools.cached_property
    def inverse_norms(self) -> Matrix:
        """One over the length of each row, (V,)."""
        parts = [inverse_norms(self._rows[start : start + BLOCK]) for start in range(0, self._size, BLOCK)]
        return np.concatenate([*parts, np.empty(0, np.float32)])

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]]) -> tuple[Rows, Matrix]:
        """Return rows and cosines, both (q, topn), best first; equal cosines are ordered by row."""
        if len(queries) == 1 and topn + len(exclude[0]) <= SCREENED_ANSWERS and self._may_screen():
            found = self._screen.nearest(queries[0], topn, exclude[0])
            if found is not None and len(found[0]) == topn:
                return found[0][None], found[1][None]
        rows, values = np.empty((len(queries), topn), np.int64), np.empty((len(queries), topn), np.float32)
        for part in batches(len(queries), topn, self._width):
            score = functools.partial(self.cosines_with, scaled(queries[part]).T.copy())
            rows[part], values[part] = best_rows(self._rows, score, topn, exclude[part])
        return rows, values

    def cosines_with(self, units: Matrix, start: int, block: Matrix) -> Matrix:
        """Return the cosines (rows, q) of a block of rows, the first being row `start`, with the columns of `units` (d, q)."""
        scores: Matrix = block @ units
        scores *= self._factors(start, block)[:, None]
        return scores

    def _factors(self, start: int, block: Matrix) -> Matrix:
        """Return one over the lengths of the rows of `block`, the first of which is row `start`."""
        if self._size > KEPT_NORMS:
            return inverse_norms(block)
        return self.inverse_norms[start : start + len(block)]

    def _may_screen(self) -> bool:
        """Count a single query, and tell whether a screen is worthwhile: enough queries, and neither few nor too many rows."""
        least, most = SCREENED
        self._singles += 1
        return self._singles > FIRST_SINGLES and least <= self._size <= most // (self._width + 8)

    @functools.cached_property
    def _screen(self) -> Screen:
        return Screen(self._rows, self._factors)


class CodedSearch(ExactSearch):
    """The nearest rows of a quantised matrix by cosine: a few queries are answered from the codes alone."""

    def __init__(self, rows: RowReader, codes: Quantised) -> None:
        """Take a matrix (V, d) and the codes from which its rows are computed."""
        super().__init__(rows)
        self._codes = codes

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]]) -> tuple[Rows, Matrix]:
        """Return rows and cosines, both (q, topn), best first; equal cosines are ordered by row."""
        if len(queries) > FEW:
            return super().nearest(queries, topn, exclude)
        found = [self._nearest_to(*each, topn) for each in zip(scaled(queries), exclude, strict=True)]
        return np.stack([rows for rows, _ in found]), np.stack([values for _, values in found])

    def _nearest_to(self, unit: Matrix, exclude: Sequence[int], topn: int) -> tuple[Rows, Matrix]:
        scores: Matrix = self._codes.dot(unit) * self.inverse_norms
        scores[list(exclude)] = -np.inf
        rows = np.flatnonzero(scores >= np.partition(scores, -topn)[-topn])
        rows = rows[np.lexsort((rows, -scores[rows]))[:topn]]
        return np.where(scores[rows] > -np.inf, rows, -1), scores[rows]

    def _may_screen(self) -> bool:
        """Return False: a screen would take at least twice the memory of the codes."""
        return False


def search_of(rows: RowReader) -> ExactSearch:
    """Return the search for the rows of a matrix: by their codes, if they have any and nothing is computed from them."""
    codes = rows.only if isinstance(rows, Published) else None
    return CodedSearch(rows, codes) if isinstance(codes, Quantised) else ExactSearch(rows)


# --------------------------------------------------------------------------------------------------------- screening


class Screen:
    """The unit rows of a matrix rounded to 8 bits, V · d bytes: finds exactly those nearest to one vector.

    Rounding changes a score by at most the norm of the row's rounding error. So every row whose score is within twice the
    largest possible change of the best is a candidate, and is compared again in double precision.
    """

    MOST = 4096  # candidates per thread; with more, as for many equal rows, the query is left to `best_rows`

    def __init__(self, rows: RowReader, factors: Callable[[int, Matrix], Matrix]) -> None:
        """Round all rows; `factors` returns one over the lengths of a block's rows."""
        self._rows, (size, width) = rows, rows.shape
        blocks = np.zeros((-(-size // screening.BLOCK), -(-width // 2), screening.BLOCK, 2), np.int8)
        self._rounded, errors = screening.RoundedRows(blocks, np.empty(size, np.float32)), np.empty(size, np.float32)
        for start in range(0, size, BLOCK):
            block = np.ascontiguousarray(rows[start : start + BLOCK])
            screening.fill_blocks(block, factors(start, block), start, self._rounded, errors)
        self._most_query = min(screening.MOST_QUERY, (1 << 31) // (screening.MOST * (width + 1)))  # so that sums fit 32 bits
        self._error = float(errors.max(initial=0)) + 1e-5
        threads = max(1, min(usable_cores(), blocks.nbytes // PART))
        self._parts = cut_evenly(0, len(blocks), threads)
        self._scratch = [self._make_scratch() for _ in self._parts]
        self._pool, self._lock = ThreadPoolExecutor(threads), threading.Lock()

    def _make_scratch(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Matrix]:
        return np.empty(screening.BLOCK, np.int32), np.empty(self.MOST, np.int32), np.empty(self.MOST, np.float32)

    def nearest(self, query: Matrix, topn: int, exclude: Sequence[int]) -> tuple[Rows, Matrix] | None:
        """Return rows and cosines as `best_rows` does for one query, or None if there are too many candidates."""
        wide = query.astype(np.float64)
        unit = wide / (np.sqrt(wide @ wide) or 1.0)
        scale = float(np.abs(unit).max()) / self._most_query or 1.0
        rounded = np.rint(unit / scale)
        missed = float(np.sqrt(((unit - rounded * scale) ** 2).sum()))
        slack = 2 * (self._error + (1 + self._error) * missed) / scale
        stored = np.zeros(2 * self._rounded.blocks.shape[1], np.int16)
        stored[: len(rounded)] = rounded
        with self._lock:  # the scratch serves one query at a time
            candidates = self._candidates(stored, slack, topn + len(exclude))
        if candidates is None:
            return None
        kept = candidates[(candidates[:, None] != np.array(exclude, np.int64)).all(1)]
        rows = self._rows[kept].astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        cosines = np.divide(rows @ unit, norms, out=np.zeros_like(norms), where=norms > 0).astype(np.float32)
        order = np.lexsort((kept, -cosines))[:topn]
        return kept[order], cosines[order]

    def _candidates(self, query: npt.NDArray[np.int16], slack: float, count: int) -> Rows | None:
        def look(part: tuple[int, int], scratch: Any) -> tuple[int, Matrix]:
            sums, rows, scores = scratch
            candidates = screening.Candidates(np.full(count, -np.inf, np.float32), rows, scores)
            found = screening.screen_blocks(part, self._rounded, query, np.float32(slack), sums, candidates)
            return found, candidates.best

        waiting = [self._pool.submit(look, *pair) for pair in list(zip(self._parts, self._scratch, strict=True))[1:]]
        results = [look(self._parts[0], self._scratch[0]), *(future.result() for future in waiting)]
        if any(found < 0 for found, _ in results):
            return None
        lowest = np.sort(np.concatenate([best for _, best in results]))[-count] - slack
        parts = zip(results, self._scratch, strict=True)
        return np.concatenate([rows[:n][scores[:n] >= lowest] for (n, _), (_, rows, scores) in parts]).astype(np.int64)

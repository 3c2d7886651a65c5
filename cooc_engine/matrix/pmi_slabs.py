"""The PMI matrix in slabs, each held by a worker: for a product, all workers read the block, and each writes its rows.

Nothing is summed over workers, and the rows of a product do not depend on the slab that they are in: the bits are those of one
process. Blocks travel as files in the directory of the training, so a worker that replaces a lost one computes its slab from
the counts and goes on.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import CoocError
from cooc_engine.linalg.sparse import ENTRY_BYTES, PANEL, Panels, panels, scratch_bytes
from cooc_engine.linalg.svd import Operator
from cooc_engine.matrix.pmi import PIECE, copies, is_symmetric, transform_rows, transposed_rows
from cooc_engine.models.checkpoints import slabs_path
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Floats
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.arrays import ArrayWriter, load_array
from cooc_engine.storage.attempts import attempt
from cooc_engine.storage.outputs import beside, directory_beside
from cooc_engine.storage.scratch import in_memory, on_disk

__all__ = ["Slab", "cut_slabs", "shared_operator", "slab_bytes", "worker_bytes"]

Range = tuple[int, int]
SUBLINEAR = 0.75  # entries of a word's row grow with its count to about this power


@dataclass(frozen=True)
class Slab:
    """What a worker holds: some rows of the PMI matrix, and of its transpose unless the matrix is symmetric.

    counts, digest  the co-occurrence directory that it is made from
    scratch         the directory of the unnamed files that hold it; None if it fits into memory
    """

    counts: Path
    digest: str
    options: PmiSvdOptions
    rows: Range
    columns: Range | None
    threads: int
    scratch: Path | None

    def make(self, pool: Executor, stage: Stage) -> Operator:
        """Compute it from the counts."""
        cooc = Cooc.unchanged(self.counts, self.digest)
        allocate = on_disk(self.scratch) if self.scratch else in_memory
        rows, transpose = transform_rows(cooc, self.options, self.rows, allocate, pool, stage)
        if transpose is None and self.columns:
            transpose = transposed_rows(cooc, self.options, self.columns, allocate, pool)
        return Operator(rows, transpose)


class _Held(threading.local):
    """The slab that a worker holds until it is released; a worker is a thread, since several may be in one process."""

    slab: Slab | None = None
    operator: Operator | None = None


_held = _Held()


def hold(slab: Slab, stage: Stage) -> int:
    """Task: compute a slab; returns the number of entries of its rows."""
    with ThreadPoolExecutor(slab.threads) as pool:
        return _operator(slab, pool, stage).rows.entries


def _operator(slab: Slab, pool: Executor, stage: Stage) -> Operator:
    """Return the slab that is held, or compute it in place of another one."""
    if _held.operator is None or _held.slab != slab:
        _release()
        _held.operator, _held.slab = slab.make(pool, stage), slab
    return _held.operator


def product(slab: Slab, turned: bool, block: Path, result: Path, stage: Stage) -> None:
    """Task: write the product of a slab, or of its transpose if `turned`, with the block in a file."""
    with ThreadPoolExecutor(slab.threads) as pool:
        operator = _operator(slab, pool, Stage("", None, ""))
        rows = operator.transpose if turned else operator.rows
        assert rows is not None
        right = load_array(block, np.float32).reshape(-1, rows.shape[1], PANEL)
        made = panels(len(right), rows.shape[0])
        rows.multiply(right, made, pool)
    _write(result, made)


def release(stage: Stage) -> None:
    """Task: release the slab of a worker that outlives the training."""
    _release()


def _release() -> None:
    """Release the memory of a slab, before another one takes as much."""
    _held.slab = _held.operator = None


def _write(path: Path, block: Panels) -> None:
    with attempt(path) as suffix, ArrayWriter(beside(path, suffix), np.float32) as file:
        file.append(block)


@dataclass(frozen=True)
class _SharedRows:
    """The PMI matrix, or its transpose if `turned`, whose slabs are held by workers."""

    shape: Range
    entries: int
    slabs: list[Slab]
    workers: Workers
    numbers: Iterator[int]
    directory: Path
    turned: bool = False

    def multiply(self, right: Panels, result: Panels, pool: Executor) -> None:
        """result = self @ right, both in panels; each product has files of its own."""
        name = f"product-{next(self.numbers):05d}"
        block, parts = self.directory / f"{name}.bin", [self.directory / f"{name}-{n:05d}.bin" for n in range(len(self.slabs))]
        _write(block, right)
        items = ((slab, self.turned, block, part) for slab, part in zip(self.slabs, parts, strict=True))
        done = self.workers.each(product, items, Stage("", None, ""), stay=True)
        for slab, part, _ in zip(self.slabs, parts, done, strict=True):
            first, last = slab.columns if self.turned and slab.columns else slab.rows
            result[:, first:last] = load_array(part, np.float32).reshape(len(result), last - first, PANEL)
            part.unlink()
        block.unlink()


@contextmanager
def shared_operator(cooc: Cooc, slabs: list[Slab], workers: Workers, output: Path, stage: Stage) -> Iterator[Operator]:
    """Have workers hold slabs while the block lasts; yields the matrix that these make up. Blocks travel in a directory."""
    directory = slabs_path(output)
    with directory_beside(directory), workers.at(directory):
        entries = sum(workers.each(hold, ((slab,) for slab in slabs), stage, stay=True))
        shape, numbers = (len(cooc.vocabulary), cooc.columns), itertools.count()
        rows = _SharedRows(shape, entries, slabs, workers, numbers, directory)
        turned = replace(rows, shape=(shape[1], shape[0]), turned=True)
        try:
            yield Operator(rows, turned if copies(cooc, slabs[0].options) == 2 else None)
        finally:
            with suppress(CoocError):  # the error that ended the training is the one to raise
                list(workers.each(release, (() for _ in slabs), Stage("", None, ""), stay=True))


def cut_slabs(cooc: Cooc, options: PmiSvdOptions, workers: Workers, scratch: Path | None) -> list[Slab]:
    """Return a slab for each worker, with about equal work; none is empty."""
    rows = _cut(np.diff(cooc.row_offsets), workers.count)
    columns: list[Range | None] = [None] * len(rows)
    if copies(cooc, options) == 2 and not is_symmetric(cooc):
        found = _cut(cooc.column_integers.astype(np.float64) ** SUBLINEAR, len(rows))
        columns = [*found, *[(0, 0)] * (len(rows) - len(found))]
    known, last = (cooc.path.absolute(), cooc.digest, options), (workers.threads, scratch)
    return [Slab(*known, *ranges, *last) for ranges in zip(rows, columns, strict=True)]


def _cut(costs: Any, parts: int) -> list[Range]:
    """Cut rows into at most so many ranges of about equal costs, each row costing a little more."""
    ends: Floats = np.cumsum(costs + 1.0)
    inner = np.searchsorted(ends, ends[-1] * np.arange(1, parts) / parts)
    cuts = sorted({0, *inner.tolist(), len(ends)})
    return list(itertools.pairwise(cuts))


def slab_bytes(cooc: Cooc, options: PmiSvdOptions, slabs: list[Slab]) -> int:
    """Return the bytes of the largest slab, if the entries of the transpose are as evenly cut as those of the rows."""
    entries = max(int(cooc.row_offsets[slab.rows[1]] - cooc.row_offsets[slab.rows[0]]) for slab in slabs)
    return ENTRY_BYTES * entries * copies(cooc, options)


def worker_bytes(cooc: Cooc, options: PmiSvdOptions, workers: Workers) -> int:
    """Return the memory of a worker beside its slab: tables of words, rows of a product, and a piece that is transposed."""
    words, width = len(cooc.vocabulary) + cooc.columns, -(-options.vector_size // PANEL)
    piece = 0 if is_symmetric(cooc) else ENTRY_BYTES * PIECE
    return 100 * words + 4 * PANEL * width * words // workers.count + scratch_bytes(PANEL, workers.threads) + piece

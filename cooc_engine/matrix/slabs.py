"""Training by workers that share it: tiles and parameters lie in files, by slabs, and each task visits a part of a round.

A task reads the slabs of parameters that its part needs, as the round before has left them, and writes them anew, under a
name of its own: what was read stays until the round has ended, so that a task whose worker is lost can begin again, and two
attempts at it write the same bytes. No two parts of a round share a slab, and all visits of a slab are in the order of one
machine: the parameters have its bits.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cooc_engine._kernels import adagrad as kernels
from cooc_engine._kernels.tiles import TileEntries
from cooc_engine.counts.directory import Cooc
from cooc_engine.matrix.adagrad import Parameters, Schedule, Shape, State
from cooc_engine.matrix.tiles import Dealing, Extent, Grid, Order, deal, order_of
from cooc_engine.matrix.visits import Table, Visitor
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Floats, Matrix, Rows
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.attempts import attempt
from cooc_engine.storage.outputs import beside
from cooc_engine.storage.scratch import aligned_zeros, map_raw, new_raw

__all__ = ["Job", "OnWorkers"]

KINDS = {"places": np.uint32, "targets": np.float32, "weights": np.float32}


class Stored(NamedTuple):
    """Where a slab of parameters lies: it is the slab of this number in a file."""

    path: Path
    number: int


@dataclass(frozen=True)
class Job:
    """What all tasks of a training know.

    kernel, dealing   the name of the kernel that trains, and the function that says what becomes of the counts
    slabs             number of slabs per side: those of words are numbered from 0, those of contexts from there on
    """

    directory: Path
    cooc: Path
    options: Any
    kernel: str
    dealing: Callable[[Cooc, Any], Dealing]
    schedule: Schedule
    shape: Shape
    grid: Grid
    slabs: int
    threads: int

    @property
    def sides(self) -> int:
        """Number of matrices of parameters."""
        return 1 if self.shape.tied else 2

    @property
    def groups(self) -> int:
        """Number of groups in a slab."""
        return self.grid.sides // self.slabs

    @property
    def blocks(self) -> int:
        """Number of blocks in a slab."""
        return self.groups * self.grid.group

    @property
    def rows(self) -> int:
        """Number of rows of parameters in a slab."""
        return self.blocks * self.grid.height

    def file(self, what: str, slab: int) -> Path:
        """Return the path of the tiles of a slab of rows: of their bounds, or of one of the arrays of their entries."""
        return self.directory / f"{what}-{slab:03d}.bin"


# ------------------------------------------------------------------------------------------------------------- tasks


def deal_slab(job: Job, slab: int, stage: Stage) -> Extent:
    """Task: deal the entries of a slab of rows, and write their tiles; returns their extent, of the whole grid."""
    rows, blocks = range(slab * job.blocks, (slab + 1) * job.blocks), job.grid.blocks
    finals = [job.file(what, slab) for what in (*KINDS, "bounds")]
    with attempt(*finals) as suffix:
        *parts, bounds = (beside(path, suffix) for path in finals)

        def room(size: int) -> tuple[TileEntries, None]:
            return TileEntries(*(new_raw(path, kind, size) for path, kind in zip(parts, KINDS.values(), strict=True))), None

        cooc = Cooc(job.cooc)
        dealing, seed = job.dealing(cooc, job.options), job.schedule.seed
        tiles = deal(cooc, dealing, job.grid, seed, job.threads, stage, room, rows)
        own = slice(rows.start * blocks, rows.stop * blocks)
        _write(bounds, [tiles.starts[own], tiles.stops[own], tiles.starts[1:][own]])
        for path in parts:
            with path.open("rb") as file:
                os.fsync(file.fileno())  # what was written by a mapping is seen by other machines only then
    return tiles.extent


class Visited(NamedTuple):
    """What a task has done: seconds of work, and pairs of groups with their costs."""

    busy: float
    pairs: Rows
    costs: Floats


def visit(job: Job, strata: Sequence[Rows], turn: int, stored: dict[int, Stored], output: Path, stage: Stage) -> Visited:
    """Task: train on strata of a part, (k, m) each, and write its slabs of parameters to `output`, in the order of `stored`."""
    part = _Part.read(job, strata, stored)
    step, kernel = part.parameters.step(job.schedule.lr, job.schedule.clip), getattr(kernels, job.kernel)
    busy, costs = 0.0, np.zeros(part.table.grid.sides**2)
    with ThreadPoolExecutor(job.threads) as pool:
        visitor = Visitor(pool, job.threads, part.table, part.parameters)
        for stratum in part.strata:
            busy += visitor.train(kernel, step, stratum, turn, costs)
            stage.advance(int(visitor.sizes[stratum].sum()))
    with attempt(output) as suffix:
        _write(beside(output, suffix), part.parameters.matrices().values())
    return Visited(busy, part.pairs, costs[part.local_pairs])


def judge(job: Job, strata: Sequence[Rows], stored: dict[int, Stored], stage: Stage) -> Visited:
    """Task: compute the costs of the held-out entries of strata of a part."""
    part = _Part.read(job, strata, stored)
    with ThreadPoolExecutor(job.threads) as pool:
        costs = Visitor(pool, job.threads, part.table, part.parameters).judge(part.local_pairs, part.table.held_out)
    return Visited(0.0, part.pairs, costs[part.local_pairs])


@dataclass(frozen=True)
class _Part:
    """A part of a round in memory: a grid of its own, whose groups are those of its slabs."""

    strata: list[Rows]
    pairs: Rows
    table: Table
    parameters: Parameters

    @classmethod
    def read(cls, job: Job, strata: Sequence[Rows], stored: dict[int, Stored]) -> _Part:
        """Read the slabs of parameters, which are `stored` in files, and map the tiles that the strata visit."""
        sides = [
            {slab % job.slabs: at for slab, at in stored.items() if slab // job.slabs == side} for side in range(job.sides)
        ]
        groups = job.groups * len(sides[0])
        grid = Grid(groups * job.grid.group * job.grid.height, groups * job.grid.group, job.grid.group)
        matrices = [_read(job, list(side.values()), aligned_zeros(grid.rows, job.shape.width)) for side in sides]
        words, contexts = list(sides[0]), list(sides[-1])
        rows, columns = _numbers(words, job), _numbers(contexts, job)
        local = [rows[some // job.grid.sides] * groups + columns[some % job.grid.sides] for some in strata]
        pairs = np.concatenate([some.ravel() for some in strata])
        return cls(local, pairs, _table(job, grid, words, contexts), Parameters(job.shape, grid, matrices[0], matrices[-1]))

    @property
    def local_pairs(self) -> Rows:
        """The pairs of all strata by the numbers that they have in this grid."""
        return np.concatenate([some.ravel() for some in self.strata])


def _numbers(slabs: Sequence[int], job: Job) -> Rows:
    """Return (G,) the number of each group of these slabs among all of them."""
    numbers = np.zeros(job.grid.sides, np.int64)
    for first, slab in enumerate(slabs):
        numbers[slab * job.groups : (slab + 1) * job.groups] = first * job.groups + np.arange(job.groups)
    return numbers


def _table(job: Job, grid: Grid, words: Sequence[int], contexts: Sequence[int]) -> Table:
    """Map the tiles of slabs of rows; the table has their columns in slabs of contexts."""
    columns = np.concatenate([np.arange(slab * job.blocks, (slab + 1) * job.blocks) for slab in contexts])
    bounds = [map_raw(job.file("bounds", slab), np.int64).reshape(3, job.blocks, -1) for slab in words]
    begins, stops, ends = np.concatenate([some[:, :, columns] for some in bounds], axis=1).reshape(3, -1)
    pieces = [TileEntries(*(map_raw(job.file(what, slab), kind, "c") for what, kind in KINDS.items())) for slab in words]
    return Table(grid, begins, stops, ends, pieces, job.groups * grid.sides)


def _read(job: Job, places: Sequence[Stored], matrix: Matrix) -> Matrix:
    """Read slabs of parameters into the rows of a matrix, one behind the other; returns it."""
    for rows, (path, number) in zip(matrix.reshape(-1, job.rows, job.shape.width), places, strict=True):
        rows[:] = map_raw(path, np.float32).reshape(-1, job.rows, job.shape.width)[number]
    return matrix


def _write(path: Path, arrays: Any) -> None:
    with path.open("wb") as file:
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)


# ------------------------------------------------------------------------------------------ who divides the work


class OnWorkers:
    """Visits by workers, which read and write slabs of tiles and of parameters in a directory that all of them see."""

    def __init__(self, workers: Workers, job: Job, state: State, stage: Stage) -> None:
        """Deal the tiles; the stage advances by their entries."""
        self._workers, self._job, self._state = workers, job, state
        self._stored: dict[int, Stored] = {}
        self._collected = True
        self.threads = workers.count * workers.threads
        found = list(workers.each(deal_slab, ((job, slab) for slab in range(job.slabs)), stage))
        held_out = sum(one.held_out for one in found)
        self.extent = Extent(sum(one.sizes for one in found), held_out, sum(one.losses for one in found))  # type: ignore[arg-type]

    def train(self, order: Order, stage: Stage) -> tuple[int, float]:
        """Visit what is left of a round."""
        left = order.left(self._state.strata)
        at = self._job.directory / f"rows-{self._state.epoch}-{self._state.strata}"
        parts = [
            (self._job, strata, order.turn, self._needed(strata), beside(at, f"-{number:03d}.bin"))
            for number, strata in enumerate(self._parts(left))
        ]
        busy, stored = 0.0, dict(self._stored)
        for (*_, read, written), one in zip(parts, self._workers.each(visit, parts, stage, stay=True), strict=True):
            self._state.costs[one.pairs] = one.costs
            busy += one.busy
            stored |= {slab: Stored(written, number) for number, slab in enumerate(read)}
        self._stored, self._collected = stored, False
        self._clear()
        return len(left), busy

    def judge(self) -> float:
        """Return the sum of the costs of all held-out entries."""
        costs = np.zeros_like(self._state.costs)
        order = order_of(self._job.grid.sides, 0, 0, tied=self._job.shape.tied)
        parts = [(self._job, strata, self._needed(strata)) for some in order.rounds for strata in self._parts(some)]
        for one in self._workers.each(judge, parts, Stage("judge", None, "entries")):
            costs[one.pairs] = one.costs
        return float(costs.sum())

    def collect(self) -> None:
        """Read what the workers have written into the parameters of the state."""
        if not self._collected:
            for side, matrix in enumerate(self._state.parameters.matrices().values()):
                _read(self._job, [self._stored[side * self._job.slabs + slab] for slab in range(self._job.slabs)], matrix)
        self._collected = True

    def _parts(self, strata: list[Rows]) -> Iterator[list[Rows]]:
        """Divide strata of a round, (P, k, m) each, among the workers: yields the strata of each, (k, m)."""
        parts = len(strata[0])
        bounds = np.linspace(0, parts, min(parts, self._workers.count) + 1).astype(int).tolist()
        for first, last in itertools.pairwise(bounds):
            yield [some[first:last].reshape(-1, some.shape[2]) for some in strata]

    def _needed(self, strata: list[Rows]) -> dict[int, Stored]:
        """Return the slabs that these strata visit, and where they are."""
        if not self._stored:
            self._spread()
        job, pairs = self._job, np.concatenate([some.ravel() for some in strata])
        rows, columns = pairs // job.grid.sides // job.groups, pairs % job.grid.sides // job.groups
        found = np.union1d(rows, columns if job.shape.tied else columns + job.slabs)
        return {slab: self._stored[slab] for slab in found.tolist()}

    def _spread(self) -> None:
        """Write the parameters of the state for the workers."""
        for side, (name, matrix) in enumerate(self._state.parameters.matrices().items()):
            path = self._job.directory / f"rows-{name}.bin"
            _write(path, [matrix])
            self._stored |= {side * self._job.slabs + slab: Stored(path, slab) for slab in range(self._job.slabs)}

    def _clear(self) -> None:
        """Delete what no slab is stored in any more."""
        used = {stored.path for stored in self._stored.values()}
        for path in self._job.directory.glob("rows-*"):
            if path not in used:
                path.unlink(missing_ok=True)

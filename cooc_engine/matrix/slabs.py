"""Training shared by workers: tiles and parameters are in files, cut into slabs, and each task visits a part of a stratum.

A slab is what belongs to one group of blocks: their rows of tiles, or of parameters. A task reads the slabs of parameters that
its part needs, as the previous stratum left them, and writes them under a new name: what was read stays until the stratum has
ended, so that a task whose worker is lost can begin again, and two attempts at it write the same bytes. No two parts of a
stratum share a slab, and all visits of a slab are in the order of one machine: the parameters have the same bits as there.
A single worker is given many strata at once, since it would otherwise read and write all parameters for each of them.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import adagrad as kernels
from cooc_engine._kernels.tiles import TileEntries
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import FormatError
from cooc_engine.matrix.adagrad import Done, Parameters, Schedule, Shape, State
from cooc_engine.matrix.tiles import Dealing, Extent, Grid, Order, deal, order_of
from cooc_engine.matrix.visits import Table, Visitor
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Floats, Matrix, Rows
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.attempts import attempt
from cooc_engine.storage.checksums import crc32
from cooc_engine.storage.outputs import beside
from cooc_engine.storage.scratch import aligned_zeros, map_raw, new_raw

__all__ = ["Job", "OnWorkers"]

TASK = 20.0  # seconds that a task of a single worker may take, for which an interrupt waits
SPEED = 1e9  # components (one per entry and dimension) that a thread trains per second, assumed for the first task
KINDS = {"places": np.uint32, "targets": np.float32, "weights": np.float32}
Units = Sequence[Rows]  # (k, m) units of each of some strata, which are visited one after the other


class Stored(NamedTuple):
    """Where a slab of parameters is: the slab of this number in a file; and the CRC-32 of its values."""

    path: Path
    number: int
    checksum: int


@dataclass(frozen=True)
class Job:
    """What all tasks of a training have in common.

    cooc, digest      the co-occurrence directory that is trained on
    kernel, dealing   the name of the kernel that trains, and the function that turns counts into targets and weights
    batch             number of slabs whose tiles one task deals, into common files

    The slabs of the parameters of words are numbered from 0, those of contexts from G; tied vectors have only the former.
    """

    directory: Path
    cooc: Path
    digest: str
    options: Any
    kernel: str
    dealing: Callable[[Cooc, Any], Dealing]
    schedule: Schedule
    shape: Shape
    grid: Grid
    threads: int
    batch: int

    @property
    def sides(self) -> tuple[int, int]:
        """The matrix of parameters that has the slabs of words, and that of contexts: 0 or 1."""
        return (0, 0) if self.shape.tied else (0, 1)

    @property
    def rows(self) -> int:
        """Number of rows of parameters in a slab."""
        return self.grid.group * self.grid.height

    def file(self, what: str, slab: int) -> Path:
        """Return the path of what has the tiles of a slab of rows: their bounds, or one of the arrays of their entries."""
        return self.directory / f"{what}-{slab - slab % self.batch:03d}.bin"


# ------------------------------------------------------------------------------------------------------------- tasks


class Dealt(NamedTuple):
    """What a task has dealt: (n · G,) entries to train on by slab and group of columns, those held out, and losses."""

    sizes: Rows
    held_out: int
    losses: Floats


def deal_batch(job: Job, first: int, stage: Stage) -> Dealt:
    """Task: deal the entries of the rows of a batch of slabs, and write their tiles."""
    grid, last = job.grid, min(first + job.batch, job.grid.sides)
    rows = range(first * grid.group, last * grid.group)
    finals = [job.file(what, first) for what in (*KINDS, "bounds")]
    with attempt(*finals) as suffix:
        *parts, bounds = (beside(path, suffix) for path in finals)

        def room(size: int) -> tuple[TileEntries, None]:
            return TileEntries(*(new_raw(path, kind, size) for path, kind in zip(parts, KINDS.values(), strict=True))), None

        cooc = _counts(job.cooc, job.digest)
        tiles = deal(cooc, job.dealing(cooc, job.options), grid, job.schedule.seed, job.threads, stage, room, rows)
        own = slice(rows.start * grid.blocks, rows.stop * grid.blocks)
        _write(bounds, [tiles.starts[own], tiles.stops[own], tiles.starts[1:][own]])
        for path in parts:
            with path.open("rb") as file:
                os.fsync(file.fileno())  # what was written by a mapping is seen by other machines only then
    return Dealt(tiles.sizes.reshape(grid.sides, -1)[first:last].ravel(), tiles.held_out, tiles.losses[rows.start : rows.stop])


@functools.lru_cache(maxsize=1)
def _counts(path: Path, digest: str) -> Cooc:
    """Open the counts, which a worker verifies only once, although the rows of each slab are spread over all of them."""
    return Cooc.unchanged(path, digest)


class Visited(NamedTuple):
    """What a task has done.

    busy        seconds of work of all threads
    costs       for each stratum, (k, m) the costs of the pairs of its units
    checksums   those of the slabs of parameters that it wrote
    """

    busy: float
    costs: list[Floats]
    checksums: list[int]


def visit(job: Job, strata: Units, turn: int, stored: dict[int, Stored], output: Path, stage: Stage) -> Visited:
    """Task: train on some units of strata, and write their slabs of parameters to `output`, in the order of `stored`."""
    part, busy = _Part.read(job, strata, stored), 0.0
    step, kernel = part.parameters.step(job.schedule.lr, job.schedule.clip), getattr(kernels, job.kernel)
    costs = np.zeros(part.table.grid.sides**2)
    with ThreadPoolExecutor(job.threads) as pool:
        visitor = Visitor(pool, job.threads, part.table, part.parameters)
        for units in part.strata:
            busy += visitor.train(kernel, step, units, turn, costs)
            stage.advance(int(visitor.sizes[units].sum()))
    with attempt(output) as suffix:
        checksums = _write_slabs(job, beside(output, suffix), part.parameters.matrices().values())
    return Visited(busy, [costs[units] for units in part.strata], checksums)


def judge(job: Job, strata: Units, stored: dict[int, Stored], stage: Stage) -> list[Floats]:
    """Task: return, for each stratum, (k, m) the costs of the held-out entries of its units."""
    part = _Part.read(job, strata, stored)
    with ThreadPoolExecutor(job.threads) as pool:
        visitor = Visitor(pool, job.threads, part.table, part.parameters)
        return [visitor.judge(units.ravel(), part.table.held_out)[units] for units in part.strata]


@dataclass(frozen=True)
class _Part:
    """Parts of strata in memory, as a grid of their own: its groups are those of the slabs; `strata` are numbered by it."""

    strata: Units
    table: Table
    parameters: Parameters

    @classmethod
    def read(cls, job: Job, strata: Units, stored: dict[int, Stored]) -> _Part:
        """Read the slabs of parameters, which are `stored` in files, and map the tiles that the units visit."""
        sides = job.grid.sides
        slabs = {side: [slab for slab in stored if slab // sides == side] for side in job.sides}
        words, contexts = (np.array(slabs[side]) % sides for side in job.sides)
        groups = job.grid.group * len(words)
        grid = Grid(groups * job.grid.height, groups, job.grid.group)
        matrices = {
            side: _read(job, [stored[slab] for slab in some], aligned_zeros(grid.rows, job.shape.width))
            for side, some in slabs.items()
        }
        numbers = [
            np.searchsorted(words, units // sides) * grid.sides + np.searchsorted(contexts, units % sides) for units in strata
        ]
        parameters = Parameters(job.shape, grid, *(matrices[side] for side in job.sides))
        return cls(numbers, _table(job, grid, words, contexts), parameters)


def _table(job: Job, grid: Grid, words: Rows, contexts: Rows) -> Table:
    """Map the tiles of the slabs of words; the table has their columns in the slabs of contexts."""
    group, blocks = job.grid.group, job.grid.blocks
    columns = (contexts[:, None] * group + np.arange(group)).ravel()
    bounds = [map_raw(job.file("bounds", slab), np.int64).reshape(3, -1, group, blocks)[:, slab % job.batch] for slab in words]
    begins, stops, ends = np.concatenate([some[:, :, columns] for some in bounds], axis=1).reshape(3, -1)
    pieces = [TileEntries(*(map_raw(job.file(what, slab), kind, "c") for what, kind in KINDS.items())) for slab in words]
    return Table(grid, begins, stops, ends, pieces, grid.sides)


def _read(job: Job, places: Sequence[Stored], matrix: Matrix) -> Matrix:
    """Read slabs of parameters into the rows of a matrix, one after another; returns it.

    Raises `FormatError` for a slab that is not what was written.
    """
    for rows, (path, number, checksum) in zip(_slabs_of(job, matrix), places, strict=True):
        with path.open("rb") as file:
            file.seek(number * rows.nbytes)
            file.readinto(rows.data)  # what a truncated file lacks is missed by the checksum
        if crc32(rows.data) != checksum:
            raise FormatError(f"{path}: damaged (the checksum of slab {number} differs); continue with --resume")
    return matrix


def _write_slabs(job: Job, path: Path, matrices: Collection[Matrix]) -> list[int]:
    """Write slabs of parameters to a file; returns the checksum of each."""
    _write(path, matrices)
    return [crc32(rows.data) for matrix in matrices for rows in _slabs_of(job, matrix)]


def _slabs_of(job: Job, matrix: Matrix) -> Matrix:
    """Return the slabs of a matrix of parameters, as a view (n, values of a slab)."""
    return matrix.reshape(-1, job.rows * job.shape.width)


def _write(path: Path, arrays: Iterable[npt.NDArray[Any]]) -> None:
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
        found = list(workers.each(deal_batch, ((job, first) for first in range(0, job.grid.sides, job.batch)), stage))
        sizes, losses = np.concatenate([one.sizes for one in found]), np.concatenate([one.losses for one in found])
        self.extent = Extent(sizes, sum(one.held_out for one in found), losses)
        self._at_once = self._strata_in(job.shape.d * self.extent.trained / job.grid.sides / (job.threads * SPEED))

    def train(self, order: Order, stage: Stage) -> Done:
        """Visit the next stratum, or as many as a single worker visits in `TASK` seconds."""
        strata, begin = order.strata[self._state.strata :][: self._at_once], time.perf_counter()
        at = self._job.directory / f"rows-{self._state.epoch}-{self._state.strata}"
        items = [
            (self._job, part, order.turn, self._needed(part), beside(at, f"-{number:03d}.bin"))
            for number, part in enumerate(self._parts(strata))
        ]
        busy, stored = 0.0, dict(self._stored)
        for (_, part, _, read, written), one in zip(items, self._workers.each(visit, items, stage, stay=True), strict=True):
            self._note(part, one.costs, self._state.costs)
            busy += one.busy
            stored |= {slab: Stored(written, *place) for slab, place in zip(read, enumerate(one.checksums), strict=True)}
        self._stored, self._collected = stored, False
        self._clear()
        self._at_once = self._strata_in((time.perf_counter() - begin) / len(strata))
        return Done(len(strata), busy)

    def judge(self) -> float:
        """Return the sum of the costs of all held-out entries."""
        costs = np.zeros_like(self._state.costs)
        strata = order_of(self._job.grid.sides, 0, 0, tied=self._job.shape.tied).strata
        items = [(self._job, part, self._needed(part)) for part in self._parts(strata)]
        for (_, part, _), found in zip(items, self._workers.each(judge, items, Stage("judge", None, "entries")), strict=True):
            self._note(part, found, costs)
        return float(costs.sum())

    def collect(self) -> None:
        """Read what the workers have written into the parameters of the state."""
        if not self._collected:
            sides = self._job.grid.sides
            for side, matrix in enumerate(self._state.parameters.matrices().values()):
                _read(self._job, [self._stored[side * sides + slab] for slab in range(sides)], matrix)
        self._collected = True

    @property
    def _alone(self) -> bool:
        """Whether a single worker does everything."""
        return self._workers.count == 1

    def _strata_in(self, seconds: float) -> int:
        """Return the number of strata to visit at once if each takes so many seconds: one if several workers share it."""
        return max(1, int(TASK / max(seconds, 1e-9))) if self._alone else 1

    def _parts(self, strata: Units) -> list[Units]:
        """Return what each task visits: that of a single worker all of the strata, that of one among several a part of one."""
        if self._alone:
            return [strata]
        return [[units] for stratum in strata for units in np.array_split(stratum, min(len(stratum), self._workers.count))]

    @staticmethod
    def _note(strata: Units, costs: Sequence[Floats], whole: Floats) -> None:
        """Write the costs of some units among those of all."""
        for units, found in zip(strata, costs, strict=True):
            whole[units] = found

    def _needed(self, strata: Units) -> dict[int, Stored]:
        """Return the slabs that these units visit, and where they are."""
        if not self._stored:
            self._spread()
        sides, units = self._job.grid.sides, np.concatenate([units.ravel() for units in strata])
        found = np.union1d(units // sides, units % sides + sides * self._job.sides[-1])
        return {slab: self._stored[slab] for slab in found.tolist()}

    def _spread(self) -> None:
        """Write the parameters of the state, for the workers to read."""
        for side, (name, matrix) in enumerate(self._state.parameters.matrices().items()):
            path = self._job.directory / f"rows-{name}.bin"
            first = side * self._job.grid.sides
            checksums = enumerate(_write_slabs(self._job, path, [matrix]))
            self._stored |= {first + slab: Stored(path, slab, checksum) for slab, checksum in checksums}

    def _clear(self) -> None:
        """Delete the files that no longer hold a current slab."""
        used = {stored.path for stored in self._stored.values()}
        for path in self._job.directory.glob("rows-*"):
            if path not in used:
                path.unlink(missing_ok=True)

"""Visits of tiles by the threads of a process: strata of pairs of groups, whose units are shared among the threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cooc_engine._kernels import adagrad
from cooc_engine._kernels.adagrad import Step, Walk
from cooc_engine._kernels.tiles import TileEntries
from cooc_engine.matrix.adagrad import Done, Parameters, Schedule, State
from cooc_engine.matrix.tiles import Grid, Order, Tiles, share
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Floats, Rows

__all__ = ["InMemory", "Kernel", "Table", "Visitor", "whole_loss"]

Kernel = Callable[..., None]


@dataclass(frozen=True)
class Table:
    """The entries of B·B tiles in one or more pieces, each of which has those of `depth` pairs of groups, in their order.

    begins, stops, ends   (B·B,) tile t has entries begins[t]:ends[t] of its piece, of which those from stops[t] are held out
    """

    grid: Grid
    begins: Rows
    stops: Rows
    ends: Rows
    pieces: Sequence[TileEntries]
    depth: int

    @classmethod
    def of(cls, tiles: Tiles) -> Table:
        """Return the table of all tiles, in one piece."""
        return cls(tiles.grid, tiles.starts[:-1], tiles.stops, tiles.starts[1:], [tiles.entries], tiles.grid.sides**2)

    @property
    def trained(self) -> tuple[Rows, Rows]:
        """Begins and ends of the entries to train on."""
        return self.begins, self.stops

    @property
    def held_out(self) -> tuple[Rows, Rows]:
        """Begins and ends of the other entries."""
        return self.stops, self.ends


class Visitor:
    """The threads of this process, with the tiles and the parameters that they visit."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int, table: Table, parameters: Parameters) -> None:
        self._pool, self._threads, self._table, self._parameters = pool, threads, table, parameters
        self.sizes = table.grid.by_pair(table.stops - table.begins)

    def train(self, kernel: Kernel, step: Step, stratum: Rows, turn: int, costs: Floats) -> float:
        """Train on the entries of a stratum; returns the seconds of work of all threads. The pairs' costs go to `costs`."""
        begins, ends = self._table.trained
        parts = share(stratum, self.sizes, self._threads)
        return sum(self._pool.map(lambda pairs: self._visit(kernel, step, Walk(pairs, 0, turn, begins, ends), costs), parts))

    def judge(self, pairs: Rows, stretch: tuple[Rows, Rows]) -> Floats:
        """Return (G·G,) the costs of these pairs, over a stretch of the entries of each tile: its begins and ends."""
        step, parts = self._parameters.step(0, None), np.array_split(pairs, len(pairs) // self._table.grid.sides or 1)
        costs = np.zeros(self._table.grid.sides**2)
        list(self._pool.map(lambda part: self._visit(adagrad.judge, step, Walk(part, 0, 0, *stretch), costs), parts))
        return costs

    def _visit(self, kernel: Kernel, step: Step, walk: Walk, costs: Floats) -> float:
        begin, table = time.perf_counter(), self._table
        for part in np.split(walk.pairs, np.flatnonzero(np.diff(walk.pairs // table.depth)) + 1):
            if len(part):
                one = walk._replace(pairs=part, group=table.grid.group)
                kernel(one, table.pieces[part[0] // table.depth], self._parameters.rows(), step, costs)
        return time.perf_counter() - begin


class InMemory:
    """Visits of tiles and of a state that this process holds, by its threads."""

    def __init__(
        self, pool: ThreadPoolExecutor, threads: int, kernel: Kernel, tiles: Tiles, state: State, schedule: Schedule
    ) -> None:
        self.threads, self.extent = threads, tiles.extent
        self._tiles, self._table, self._state = tiles, Table.of(tiles), state
        self._kernel, self._step = kernel, state.parameters.step(schedule.lr, schedule.clip)
        self._visitor = Visitor(pool, threads, self._table, state.parameters)

    def train(self, order: Order, stage: Stage) -> Done:
        """Visit the next stratum."""
        stratum, *later = order.strata[self._state.strata : self._state.strata + 2]
        for soon in (stratum, *later):
            self._tiles.expect(soon)
        busy = self._visitor.train(self._kernel, self._step, stratum, order.turn, self._state.costs)
        stage.advance(int(self.extent.sizes[stratum].sum()))
        return Done(1, busy)

    def judge(self) -> float:
        """Return the sum of the costs of all held-out entries."""
        return float(self._visitor.judge(np.arange(self._table.grid.sides**2), self._table.held_out).sum())

    def collect(self) -> None:
        """Do nothing: the state has its parameters."""


def whole_loss(tiles: Tiles, parameters: Parameters, threads: int) -> float:
    """Return the mean of ½ f diff² over all training entries, at the current parameters."""
    table = Table.of(tiles)
    with ThreadPoolExecutor(threads) as pool:
        costs = Visitor(pool, threads, table, parameters).judge(np.arange(table.grid.sides**2), table.trained)
    return float(costs.sum()) / tiles.trained

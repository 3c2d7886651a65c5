"""AdaGrad over tiles: parameters, training state, and epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import tiles as kernels
from cooc_engine._kernels.adagrad import Rows, Step
from cooc_engine.errors import ANEW, DivergenceError
from cooc_engine.matrix.tiles import Extent, Grid, Order, order_of
from cooc_engine.models.checkpoints import Between, TrainingState
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.scratch import aligned_zeros, padded, uniform_start

__all__ = ["LANES", "Done", "Parameters", "Schedule", "Shape", "State", "Visitors", "entries_done", "run_epochs"]

LANES = 16  # floats in a cache line, which hold the accumulators of a row
CHUNK_ROWS = 1 << 14  # rows initialised at a time
ABSURD = 1e3  # a loss this many times that of vectors of zeros will not come down again
LEAST_LOSS = 0.01  # taken for the loss of zeros where that is smaller, as for counts that are all about 1
LARGEST_COST = 1e200  # of a pair: so many of them can be added up


class Schedule(NamedTuple):
    """The hyperparameters of training.

    lr         learning rate, the same in all epochs
    clip       bound on each component of a vector's gradient, or None
    epochs     maximum number of epochs
    patience   epochs without a lower held-out loss after which training stops
    seed       seed of the order of the strata
    """

    lr: float
    clip: float | None
    epochs: int
    patience: int
    seed: int


@dataclass(frozen=True)
class Shape:
    """The layout of a row: a vector of dimension d, a bias and a 1 if `biases`, and accumulators per component or `by_rows`.

    tied    words and contexts share their vectors
    """

    d: int
    biases: bool = True
    tied: bool = False
    by_rows: bool = False

    @property
    def size(self) -> int:
        """Number of floats in a row without its accumulators."""
        return padded(self.d + 2 * self.biases)

    @property
    def width(self) -> int:
        """Number of floats in a row."""
        return self.size + (LANES if self.by_rows else self.size)

    @property
    def row_bytes(self) -> int:
        """Bytes per row."""
        return 4 * self.width

    def memory(self, rows: int) -> int:
        """Return the memory of all parameters in bytes, for this number of rows."""
        return rows * self.row_bytes * (1 if self.tied else 2)


@dataclass
class Parameters:
    """Fused rows as `_kernels/adagrad.py` describes them: words and contexts (rows, width) float32, 64-byte aligned.

    The rows are in the order of the grid. If tied, both are the same matrix.
    """

    shape: Shape
    grid: Grid
    words: Matrix
    contexts: Matrix

    @classmethod
    def random(cls, shape: Shape, grid: Grid, seed: int) -> Parameters:
        """Return values uniform in (−0.5, 0.5)/d and accumulators of 1; the same seed gives the same values."""
        d, size, random = shape.d, shape.size, np.random.Generator(np.random.PCG64(seed))
        matrices = []
        for bias, one in ((d, d + 1), (d + 1, d))[: 1 if shape.tied else 2]:
            matrix = aligned_zeros(grid.rows, shape.width)
            matrix[:, size:] = 1
            for rows in _chunks(grid):
                values = uniform_start(random, (len(rows), d + shape.biases), d)
                matrix[rows, :d] = values[:, :d]
                if shape.biases:
                    matrix[rows, bias], matrix[rows, one] = values[:, d], 1
            matrices.append(matrix)
        return cls(shape, grid, matrices[0], matrices[-1])

    def rows(self) -> Rows:
        """Return the parameters as kernels take them."""
        return Rows(self.words, self.contexts, self.grid.height, self.shape.d)

    def step(self, lr: float, clip: float | None) -> Step:
        """Return learning rates and bounds by component: lr and `clip` for the vector, 1 and no bound for the bias."""
        d, rates = self.shape.d, np.zeros((2, self.shape.size), np.float32)
        rates[:, :d] = lr
        if self.shape.biases and not self.shape.by_rows:
            rates[0, d] = rates[1, d + 1] = 1
        clips = np.full(self.shape.size, np.inf, np.float32)
        clips[:d] = np.inf if clip is None else clip
        return Step(rates[0], rates[1], clips)

    def matrices(self) -> dict[str, Matrix]:
        """Return the matrices to save in a checkpoint."""
        return {"words": self.words} if self.shape.tied else {"words": self.words, "contexts": self.contexts}

    def arrays(self) -> dict[str, Matrix]:
        """Return views of the trained parameters, in the row order of the grid, by their names in the model file."""
        d = self.shape.d
        found = {name: matrix[:, :d] for name, matrix in self.matrices().items()}
        if self.shape.biases:
            found |= {"word_bias": self.words[:, d], "context_bias": self.contexts[:, d + 1]}
        return found

    def finished(self) -> dict[str, Matrix]:
        """Return the trained parameters in word order. The rows are permuted in place, so training cannot continue."""
        for matrix in self.matrices().values():
            kernels.in_word_order(matrix, self.grid.blocks, np.zeros(len(matrix), np.uint8))
        return {name: values[: self.grid.words] for name, values in self.arrays().items()}


def _chunks(grid: Grid) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of all words, in chunks."""
    for first in range(0, grid.words, CHUNK_ROWS):
        yield grid.row_of(np.arange(first, min(first + CHUNK_ROWS, grid.words)))


@dataclass
class State(TrainingState):
    """The training state: `strata` strata of epoch `epoch` are done; `costs` by pair, seconds and idle seconds so far in it.

    collect   brings the parameters up to date, where others hold them
    """

    KEPT = ("epoch", "strata", "seconds", "idle", "history")

    parameters: Parameters
    costs: npt.NDArray[np.float64]
    epoch: int = 0
    strata: int = 0
    seconds: float = 0.0
    idle: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    collect: Callable[[], None] = lambda: None

    def order(self, seed: int) -> Order:
        """Return the order of the current epoch."""
        return order_of(self.parameters.grid.sides, seed, self.epoch, tied=self.parameters.shape.tied)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return parameters and costs for a checkpoint."""
        self.collect()
        return {**self.parameters.matrices(), "costs": self.costs}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint; raises `ValueError` for more strata than an epoch has, or impossible costs."""
        if meta["strata"] >= len(self.order(0).strata):
            raise ValueError(f"an epoch does not have {meta['strata']} strata")
        super().load(arrays, meta)
        if not ((self.costs >= 0) & (self.costs < LARGEST_COST)).all():
            raise ValueError("a cost is negative or too large to be right")

    def is_over(self, schedule: Schedule) -> bool:
        """Tell whether all epochs are done, or the held-out loss has not fallen for `patience` epochs."""
        losses = [record["held_out_loss"] for record in self.history if "held_out_loss" in record]
        best = losses.index(min(losses)) if losses else 0
        return self.epoch >= schedule.epochs or (len(losses) - 1 - best >= schedule.patience and bool(losses))


class Done(NamedTuple):
    """What visitors have done: the number of strata, and seconds of work of all threads."""

    strata: int
    busy: float


class Visitors(Protocol):
    """Those who visit the tiles, with `threads` in all; between two calls nothing is under way."""

    threads: int
    extent: Extent

    def train(self, order: Order, stage: Stage) -> Done:
        """Visit the next stratum of the epoch, or several.

        The stage advances by their entries, and their costs are written into the state.
        """
        ...

    def judge(self) -> float:
        """Return the sum of the costs of all held-out entries at the current parameters."""
        ...

    def collect(self) -> None:
        """Bring the state's parameters up to date, where others hold them."""
        ...


def run_epochs(visitors: Visitors, state: State, schedule: Schedule, stage: Stage, between: Between) -> None:
    """Train from `state` to the last epoch; calls `between`, see `Checkpoint.between`, whenever `state` is consistent."""
    state.collect = visitors.collect
    while not state.is_over(schedule):
        order = state.order(schedule.seed)
        strata = len(order.strata)
        while state.strata < strata:
            begin = time.perf_counter()
            done = visitors.train(order, stage)
            state.strata += done.strata
            seconds = time.perf_counter() - begin
            state.seconds += seconds
            state.idle += visitors.threads * seconds - done.busy
            _check_loss(state, visitors.extent, schedule)
            stage.advance(0, _note(state, schedule))
            if state.strata == strata:
                _end_epoch(state, visitors, schedule)
                stage.advance(0, _note(state, schedule))
                between(f"epoch {state.epoch}", True)
                break
            between(f"epoch {state.epoch + 1}", False)
    state.collect()


def entries_done(state: State, extent: Extent, schedule: Schedule) -> int:
    """Return the number of entries already visited in the current epoch of `state`."""
    return sum(int(extent.sizes[stratum].sum()) for stratum in state.order(schedule.seed).strata[: state.strata])


def _check_loss(state: State, extent: Extent, schedule: Schedule) -> None:
    """Raise `DivergenceError` for a loss that is not finite, or so large that the steps must be far too long.

    What is summed up so far in an epoch is compared with what the whole epoch may have, since no cost is negative.
    """
    untrained = extent.untrained
    loss = float(state.costs.sum()) / (extent.trained + extent.held_out)
    if not loss <= ABSURD * max(LEAST_LOSS, untrained):  # NaN too
        what = f"{loss:.3g}, and {untrained:.3g} for vectors of zeros," if math.isfinite(loss) else "not finite"
        raise DivergenceError(f"the loss is {what} in epoch {state.epoch + 1}; lower --lr (it is {schedule.lr:g}) and {ANEW}")


def _end_epoch(state: State, visitors: Visitors, schedule: Schedule) -> None:
    entries, held_out = visitors.extent.trained, visitors.extent.held_out
    record: dict[str, float] = {
        "epoch": state.epoch + 1,
        "loss": float(state.costs.sum()) / entries,
        "seconds": state.seconds,
        "items": entries,
        "lr": schedule.lr,
        "rate": entries / max(state.seconds, 1e-9),
        "idle": max(0.0, state.idle / max(visitors.threads * state.seconds, 1e-9)),
    }
    if held_out:
        record["held_out_loss"] = visitors.judge() / held_out
    state.history.append(record)
    state.epoch, state.strata, state.seconds, state.idle = state.epoch + 1, 0, 0.0, 0.0
    state.costs[:] = 0


def _note(state: State, schedule: Schedule) -> str:
    last: Mapping[str, float] = state.history[-1] if state.history else {}
    names = {"loss": "loss", "held_out_loss": "held out"}
    losses = "".join(f", {name} {last[key]:.4f}" for key, name in names.items() if key in last)
    return f"epoch {min(state.epoch + 1, schedule.epochs)}/{schedule.epochs}{losses}"

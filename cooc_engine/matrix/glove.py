"""GloVe and simpler-GloVe, trained on tiles: the same bits for any number of threads.

GloVe (Pennington, Socher and Manning 2014) fits w_i·c_j + b_i + b'_j to log X_ij; simpler-GloVe (Su Jianlin 2017) fits v_i·v_j,
or v_i·c_j, to the PMI, log X_ij − log T − log n_i − log n_j + 2 log N, for i ≠ j. Both minimise squared errors weighted
by f(X_ij), by AdaGrad with the update rules of the reference programs, see `_kernels/adagrad.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cooc_engine._kernels import adagrad
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import InputError, UsageError
from cooc_engine.matrix.adagrad import Parameters, Schedule, Shape, State, Visitors, entries_done, run_epochs
from cooc_engine.matrix.slabs import Job, OnWorkers
from cooc_engine.matrix.tiles import (
    ENTRY_BYTES,
    Dealing,
    Extent,
    Grid,
    Transform,
    deal,
    dealing_bytes,
    room_in,
)
from cooc_engine.matrix.visits import InMemory
from cooc_engine.models.checkpoints import Begun, Checkpoint, claimed, slabs_path
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
from cooc_engine.models.published import combined, mean_vector
from cooc_engine.models.record import origin_of_counts
from cooc_engine.models.warm_start import begin_with, checksums, open_older
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.interrupts import deferred_interrupt
from cooc_engine.runtime.keywords import Run, SharedTrainKeywords
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.outputs import directory_beside

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["GLOVE", "SIMPLER", "Solver", "derive", "train_glove", "train_simpler_glove"]

Options = GloveOptions | SimplerGloveOptions
BATCHES = 4  # of slabs that a worker deals: each opens all of the counts, and all workers should end at about the same time


@dataclass(frozen=True)
class Solver:
    """A family trained on tiles: its kernels by kind of accumulator, the shape of its rows, and the dealing of its entries.

    The kernels are named, and the functions are those of a module: so others can be told what to do.
    """

    family: str
    kernels: Mapping[str, str]
    shape: Callable[[Any], Shape]
    dealing: Callable[[Cooc, Any], Dealing]


def train_glove(
    cooc: PathLike | Cooc, output: PathLike, options: GloveOptions | None = None, **run: Unpack[SharedTrainKeywords]
) -> ModelFile:
    """Train GloVe on co-occurrence counts and write the model file `output`.

    The vectors have the same bits for any number of threads, interrupted or not. Raises `DivergenceError` as soon as the
    loss is not finite, `InterruptedRun` after Ctrl-C; `resume` then continues from a checkpoint beside the output.
    """
    return _train(GLOVE, cooc, output, options or GloveOptions(), Run.of("train_glove", run, SharedTrainKeywords))


def train_simpler_glove(
    cooc: PathLike | Cooc, output: PathLike, options: SimplerGloveOptions | None = None, **run: Unpack[SharedTrainKeywords]
) -> ModelFile:
    """Train simpler-GloVe on co-occurrence counts, usually with uniform window weights; otherwise like `train_glove`."""
    how = Run.of("train_simpler_glove", run, SharedTrainKeywords)
    return _train(SIMPLER, cooc, output, options or SimplerGloveOptions(), how)


# ------------------------------------------------------------------------------------------------- what entries become


def weights_of(log_x: Matrix, x_max: float, power: float, *, truncated: bool) -> Matrix:
    """Return (x / x_max)^power, at most 1 if `truncated`."""
    scaled = np.float32(power) * (log_x - np.float32(np.log(x_max)))
    weights: Matrix = np.exp(np.minimum(scaled, np.float32(0)) if truncated else scaled)
    return weights


def log_counts(options: GloveOptions) -> Transform:
    """Return the function that turns counts x into targets log x, or log(1 + x), and weights f(x)."""

    def transform(counts: Matrix) -> tuple[Matrix, Matrix]:
        log_x = np.log(counts)
        targets = log_x if options.target == "log" else np.log1p(counts)
        return targets, weights_of(log_x, options.x_max, options.weight_power, truncated=True)

    return transform


def glove_dealing(cooc: Cooc, options: GloveOptions) -> Dealing:
    """Return the dealing of GloVe: log counts and their weights."""
    return Dealing(log_counts(options), np.zeros(len(cooc.vocabulary), np.float32), held_out=options.held_out)


def pmi_shifts(cooc: Cooc) -> Matrix:
    """Return s (V,) with PMI_ij = log X_ij − s_i − s_j: log n_i + ½ log T − log N, T the sum of X_ij over i ≠ j."""
    counts = np.maximum(cooc.vocabulary.counts, 1)
    total = (cooc.manifest["total"] - sum(cooc.diagonal.tolist())) / cooc.denominator
    shifts: Matrix = (np.log(counts) + 0.5 * np.log(max(total, 1.0)) - np.log(counts.sum())).astype(np.float32)
    return shifts


def simpler_dealing(cooc: Cooc, options: SimplerGloveOptions) -> Dealing:
    """Return the dealing of simpler-GloVe: PMI and its weights, without the diagonal."""
    truncated = options.truncate_weight == "on"

    def transform(counts: Matrix) -> tuple[Matrix, Matrix]:
        log_x = np.log(counts)
        return log_x, weights_of(log_x, options.x_max, options.weight_power, truncated=truncated)

    return Dealing(transform, pmi_shifts(cooc), skip_diagonal=True, held_out=options.held_out)


GLOVE = Solver(
    "glove",
    {"component": "train_glove", "row": "train_glove_by_rows"},
    lambda options: Shape(options.vector_size, by_rows=options.accumulators == "row"),
    glove_dealing,
)
SIMPLER = Solver(
    "simpler-glove",
    {"component": "train_simpler", "row": "train_simpler_by_rows"},
    lambda options: Shape(
        options.vector_size, biases=False, tied=options.tying == "tied", by_rows=options.accumulators == "row"
    ),
    simpler_dealing,
)


# ------------------------------------------------------------------------------------------------------------ training


@dataclass(frozen=True)
class _Allotment:
    """The plan of a training, and the bytes that it keeps in mapped files: the entries, if they do not fit into memory."""

    plan: Plan
    mapped: int

    @classmethod
    def of(cls, shape: Shape, grid: Grid, cooc: Cooc, stage: str, workers: Workers) -> _Allotment:
        """Divide the budget of each who trains; raises `UsageError` if it is below the minimum."""
        words, entries = len(cooc.vocabulary), ENTRY_BYTES * cooc.entries
        tables, parameters = {"tables of words": 100 * words}, shape.memory(grid.rows)
        if not workers.local:
            Plan(f"{stage} with others", workers.here.memory, {"parameters": parameters, **tables}).check()
        parts = {
            "parameters": -(-parameters // min(workers.count, -(-grid.sides // (2 if shape.tied else 1)))),
            "dealing": dealing_bytes(words, grid.blocks, workers.threads),
            **tables,
        }
        inside = workers.local and sum(parts.values()) + entries <= workers.memory
        if inside:
            parts["entries"] = entries
        plan = Plan(stage, workers.memory, parts)
        plan.check()
        return cls(plan, 0 if inside else entries)

    def line(self) -> str:
        """Return the plan as one line."""
        return self.plan.line() + (f"; {show_size(self.mapped)} of entries on the disk" if self.mapped else "")


def _train(solver: Solver, source: PathLike | Cooc, output: PathLike, options: Options, run: Run) -> ModelFile:
    with run.shared() as workers:
        # Threads of one process have the bits of several processes, and nothing to move.
        here = workers.here if workers.local else workers
        _Training(solver, Cooc.of(source), path_of(output), options, run, here).carry_out()
    return open_model(output)


@dataclass(frozen=True)
class _Training:
    """A training, and those who do its work: this process, if they are `local`, or workers."""

    solver: Solver
    cooc: Cooc
    output: Path
    options: Options
    run: Run
    workers: Workers

    @property
    def shape(self) -> Shape:
        """The shape of a row of parameters."""
        return self.solver.shape(self.options)

    @property
    def grid(self) -> Grid:
        """The grid of the tiles."""
        return Grid.of(len(self.cooc.vocabulary), self.shape.row_bytes, tied=self.shape.tied)

    def carry_out(self) -> None:
        """Train, from a checkpoint if there is one, and write the model."""
        solver, cooc, options, grid = self.solver, self.cooc, self.options, self.grid
        allotment = _Allotment.of(self.shape, grid, cooc, f"train {solver.family}", self.workers)
        with claimed(self.output, self.run) as checkpoint:
            _check(solver, cooc)
            older = open_older(options.init, self.shape.d, self.output)
            plan = Begun.of(options, solver.family, cooc.digest, checksums(older), grid.blocks, grid.group)
            plan.check(checkpoint, resume=self.run.resume)
            self.run.shown.say(allotment.line())
            started = _started(solver.family, Parameters.random(self.shape, grid, options.seed), cooc, older)
            state = State(started, np.zeros(grid.sides**2))
            with self._visitors(state, mapped=allotment.mapped > 0) as visitors:
                _check_extent(visitors.extent, cooc, options.held_out)
                self._train(state, visitors, checkpoint, plan)

    @contextmanager
    def _visitors(self, state: State, *, mapped: bool) -> Iterator[Visitors]:
        """Deal the tiles, and yield those who visit them."""
        dealing = self.run.shown.stage("deal tiles", self.cooc.entries, "entries")
        kernel, schedule, workers = self.solver.kernels[self.options.accumulators], schedule_of(self.options), self.workers
        if workers.local:
            with dealing as stage:
                room, what = room_in(self.output.parent if mapped else None), self.solver.dealing(self.cooc, self.options)
                tiles = deal(self.cooc, what, self.grid, schedule.seed, workers.threads, stage, room)
            with ThreadPoolExecutor(workers.threads) as pool:
                yield InMemory(pool, workers.threads, getattr(adagrad, kernel), tiles, state, schedule)
            return
        workers.check_processors()
        at, cooc, grid = slabs_path(self.output), self.cooc, self.grid
        batch = -(-grid.sides // (workers.count * BATCHES))
        with directory_beside(at), workers.at(at):
            known = (at, cooc.path.absolute(), cooc.digest, self.options, kernel, self.solver.dealing, schedule)
            job = Job(*known, self.shape, grid, workers.threads, batch)
            with dealing as stage:
                visitors = OnWorkers(workers, job, state, stage)
            yield visitors

    def _train(self, state: State, visitors: Visitors, checkpoint: Path, plan: Begun) -> None:
        extent, schedule, shown = visitors.extent, schedule_of(self.options), self.run.shown
        with deferred_interrupt() as interrupted, shown.stage("train", schedule.epochs * extent.trained, "entries") as stage:
            saved = Checkpoint(checkpoint, "glove", plan, state, self.run.checkpoint_every, interrupted)
            if self.run.resume and checkpoint.exists():
                saved.load()
            stage.resume_at(state.epoch * extent.trained + entries_done(state, extent, schedule))
            run_epochs(visitors, state, schedule, stage, saved.between)
            data = _model_data(self.solver, self.cooc, state, self.options, visitors.threads)
            save_model(self.output, data, force=self.run.force)  # from now on Ctrl-C has no effect


def schedule_of(options: Options) -> Schedule:
    """Return the hyperparameters of the optimiser."""
    return Schedule(options.lr, options.clip, options.epochs, options.patience, options.seed)


def _check(solver: Solver, cooc: Cooc) -> None:
    cooc.refuse_rectangular(f"{solver.family} takes counts of words near words; train pmi-svd on it, or pmi")
    if cooc.positional:
        raise UsageError(f"{cooc.path}: has a column for each position; {solver.family} takes counts made without --positional")
    cooc.refuse_empty()


def _check_extent(extent: Extent, cooc: Cooc, held_out: float) -> None:
    if held_out and not (extent.held_out and extent.trained):
        what = "none" if extent.trained else "all"
        raise UsageError(f"--held-out={held_out:g} of {cooc.entries} entries is {what}; take another share")
    if not extent.trained:
        raise InputError(f"{cooc.path}: holds nothing to train on, only words paired with themselves")


def _started(family: str, parameters: Parameters, cooc: Cooc, older: ModelFile | None) -> Parameters:
    """Initialise the words that an older model has with its vectors."""
    if older is not None:
        arrays, axes = parameters.arrays(), FAMILIES[family].arrays
        begin_with(older, cooc.vocabulary, cooc.path, arrays, axes, parameters.grid.row_of)
    return parameters


def _model_data(solver: Solver, cooc: Cooc, state: State, options: Options, threads: int) -> ModelData:
    arrays, published = state.parameters.finished(), str(options.vectors)
    if options.center == "mean":
        arrays["center"] = mean_vector(arrays, published)
    origin = origin_of_counts(cooc, options, threads)
    return ModelData(solver.family, cooc.vocabulary, arrays, published, *origin, state.history)


def derive(model: ModelFile, options: Options) -> Any:
    """Return the vectors of a model for a different choice of `vectors`; the `derive` of `Family.vectors`."""
    chosen = options.vectors or model.published
    vectors = combined(model.arrays, chosen)
    return vectors - mean_vector(model.arrays, chosen) if options.center == "mean" else vectors

"""GloVe and simpler-GloVe, trained on tiles: the same bits for any number of threads.

GloVe (Pennington, Socher and Manning 2014) fits w_i·c_j + b_i + b'_j to log X_ij; simpler-GloVe (Su Jianlin 2017) fits v_i·v_j,
or v_i·c_j, to the PMI, log X_ij − log T − log n_i − log n_j + 2 log N, for i ≠ j. Both minimise squared errors weighted
by f(X_ij), by AdaGrad with the update rules of the reference programs, see `_kernels/adagrad.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cooc_engine._kernels import adagrad
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import InputError, UsageError
from cooc_engine.matrix.adagrad import Parameters, Schedule, Shape, State, entries_done, run_epochs
from cooc_engine.matrix.tiles import ENTRY_BYTES, Dealing, Grid, Tiles, Transform, deal, dealing_bytes
from cooc_engine.models.checkpoints import Begun, Checkpoint, claimed
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
from cooc_engine.models.published import combined, mean_vector
from cooc_engine.models.record import origin_of_counts, plan_digest
from cooc_engine.models.warm_start import begin_with, checksums, open_older
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.interrupts import deferred_interrupt
from cooc_engine.runtime.keywords import Run, TrainKeywords
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.types import Matrix, PathLike

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["GLOVE", "SIMPLER", "Solver", "derive", "train_glove", "train_simpler_glove"]

Options = GloveOptions | SimplerGloveOptions


@dataclass(frozen=True)
class Solver:
    """A family trained on tiles: its kernels by kind of accumulator, the shape of its rows, and the dealing of its entries."""

    family: str
    kernels: Mapping[str, Callable[..., None]]
    shape: Callable[[Any], Shape]
    dealing: Callable[[Cooc, Any], Dealing]


def train_glove(
    cooc: PathLike | Cooc, output: PathLike, options: GloveOptions | None = None, **run: Unpack[TrainKeywords]
) -> ModelFile:
    """Train GloVe on co-occurrence counts and write the model file `output`.

    The vectors have the same bits for any number of threads, interrupted or not. Raises `DivergenceError` as soon as the
    loss is not finite, `InterruptedRun` after Ctrl-C; `resume` then continues from a checkpoint beside the output.
    """
    return _train(GLOVE, cooc, output, options or GloveOptions(), Run.of("train_glove", run, TrainKeywords))


def train_simpler_glove(
    cooc: PathLike | Cooc, output: PathLike, options: SimplerGloveOptions | None = None, **run: Unpack[TrainKeywords]
) -> ModelFile:
    """Train simpler-GloVe on co-occurrence counts, usually with uniform window weights; otherwise like `train_glove`."""
    how = Run.of("train_simpler_glove", run, TrainKeywords)
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
    {"component": adagrad.train_glove, "row": adagrad.train_glove_by_rows},
    lambda options: Shape(options.vector_size, by_rows=options.accumulators == "row"),
    glove_dealing,
)
SIMPLER = Solver(
    "simpler-glove",
    {"component": adagrad.train_simpler, "row": adagrad.train_simpler_by_rows},
    lambda options: Shape(options.vector_size, False, options.tying == "tied", options.accumulators == "row"),
    simpler_dealing,
)


# ------------------------------------------------------------------------------------------------------------ training


@dataclass(frozen=True)
class _Allotment:
    """The plan of a training, and whether its entries are kept in memory or in a mapped file."""

    plan: Plan
    mapped: int  # size of that file in bytes

    @classmethod
    def of(cls, shape: Shape, grid: Grid, cooc: Cooc, stage: str, run: Run) -> _Allotment:
        """Divide the budget; raises `UsageError` if it is below the minimum."""
        words, entries = len(cooc.vocabulary), ENTRY_BYTES * cooc.entries
        parts = {
            "parameters": shape.memory(grid.rows),
            "dealing": dealing_bytes(words, grid.blocks, run.workers),
            "tables of words": 100 * words,
        }
        inside = sum(parts.values()) + entries <= run.budget
        if inside:
            parts["entries"] = entries
        plan = Plan(stage, run.budget, parts)
        plan.check()
        return cls(plan, 0 if inside else entries)

    def line(self) -> str:
        """Return the plan as one line."""
        return self.plan.line() + (f"; {show_size(self.mapped)} of entries on the disk" if self.mapped else "")


def _train(solver: Solver, source: PathLike | Cooc, output: PathLike, options: Options, run: Run) -> ModelFile:
    cooc, output = Cooc.of(source), Path(output)
    shape = solver.shape(options)
    grid = Grid.of(len(cooc.vocabulary), shape.row_bytes, tied=shape.tied)
    allotment = _Allotment.of(shape, grid, cooc, f"train {solver.family}", run)
    with claimed(output, run) as checkpoint:
        _check(solver, cooc)
        older = open_older(options.init, shape.d, output.parent)
        data = (solver.family, cooc.digest, options.record(), checksums(older), grid.blocks, grid.group)
        plan = Begun(plan_digest(*data), options)
        plan.check(checkpoint, resume=run.resume)
        run.shown.say(allotment.line())
        scratch = output.parent if allotment.mapped else None
        with run.shown.stage("deal tiles", cooc.entries, "entries") as stage:
            tiles = deal(cooc, solver.dealing(cooc, options), grid, options.seed, run.workers, stage, scratch)
        _check_tiles(tiles, cooc, options.held_out)
        started = _started(solver.family, Parameters.random(shape, grid, options.seed), cooc, older)
        state = State(started, np.zeros(grid.sides**2))
        total, schedule = options.epochs * tiles.trained, schedule_of(options)
        with deferred_interrupt() as interrupted, run.shown.stage("train", total, "entries") as stage:
            saved = Checkpoint(checkpoint, "glove", plan, state, run.checkpoint_every, interrupted)
            if run.resume and checkpoint.exists():
                saved.load()
            stage.resume_at(state.epoch * tiles.trained + entries_done(state, tiles, schedule))
            kernel = solver.kernels[options.accumulators]
            run_epochs(kernel, state, tiles, schedule, run.workers, stage, saved.between)
            save_model(output, _model_data(solver, cooc, state, options, run))  # from now on Ctrl-C has no effect
    return open_model(output)


def schedule_of(options: Options) -> Schedule:
    """Return the hyperparameters of the optimiser."""
    return Schedule(options.lr, options.clip, options.epochs, options.patience, options.seed)


def _check(solver: Solver, cooc: Cooc) -> None:
    if cooc.positional:
        raise UsageError(f"{cooc.path}: has a column for each position; {solver.family} takes counts made without --positional")
    cooc.refuse_empty()


def _check_tiles(tiles: Tiles, cooc: Cooc, held_out: float) -> None:
    if held_out and not (tiles.held_out and tiles.trained):
        what = "none" if tiles.trained else "all"
        raise UsageError(f"--held-out={held_out:g} of {cooc.entries} entries is {what}; take another share")
    if not tiles.trained:
        raise InputError(f"{cooc.path}: holds nothing to train on, only words paired with themselves")


def _started(family: str, parameters: Parameters, cooc: Cooc, older: ModelFile | None) -> Parameters:
    """Initialise the words that an older model has with its vectors."""
    if older is not None:
        arrays, axes = parameters.arrays(), FAMILIES[family].arrays
        begin_with(older, cooc.vocabulary, cooc.path, arrays, axes, parameters.grid.row_of)
    return parameters


def _model_data(solver: Solver, cooc: Cooc, state: State, options: Options, run: Run) -> ModelData:
    arrays, published = state.parameters.finished(), str(options.vectors)
    if options.center == "mean":
        arrays["center"] = mean_vector(arrays, published)
    origin = origin_of_counts(cooc, options, run.workers)
    return ModelData(solver.family, cooc.vocabulary, arrays, published, *origin, state.history)


def derive(model: ModelFile, options: Options) -> Any:
    """Return the vectors of a model for a different choice of `vectors`; the `derive` of `Family.vectors`."""
    chosen = options.vectors or model.published
    vectors = combined(model.arrays, chosen)
    return vectors - mean_vector(model.arrays, chosen) if options.center == "mean" else vectors

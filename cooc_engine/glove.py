"""GloVe (Pennington, Socher and Manning 2014) on tiles: the same bits for any number of threads.

J = Σ f(X_ij) (w_i·c_j + b_i + b'_j − log X_ij)² over the nonzero X_ij, f(x) = min(1, (x / x_max)^power), by AdaGrad with the
update rule of the reference program: `_kernels/factoring.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import factoring
from cooc_engine.budget import Plan, memory_budget
from cooc_engine.config import GloveOptions, usable_cores
from cooc_engine.cooc import Cooc
from cooc_engine.errors import DivergenceError, InputError, InterruptedRun, UsageError
from cooc_engine.interrupts import deferred_interrupt
from cooc_engine.modelfile import Model, ModelData, load_arrays, open_model, save_arrays, save_model
from cooc_engine.progress import Progress, Stage
from cooc_engine.store import beside, disk_errors, locked, refuse_overwrite
from cooc_engine.tiles import Tiles, Transform, deal, share, strata
from cooc_engine.versions import versions

__all__ = ["checkpoint_path", "train_glove"]

CHECKPOINT_MINUTES = 10.0
ENTRY_BYTES = 12
CLIP = 100  # the reference program's bound of a gradient's components
LANES = 16  # rows are padded to whole vectors of 16 floats, 64 bytes
PathLike = str | os.PathLike[str]
Matrix = npt.NDArray[np.float32]


def log_counts(options: GloveOptions) -> Transform:
    """Return the function that turns counts x into targets log x and weights f(x)."""
    power, log_x_max = np.float32(options.weight_power), np.float32(np.log(options.x_max))

    def transform(counts: Matrix) -> tuple[Matrix, Matrix]:
        log_x = np.log(counts)
        return log_x, np.exp(np.minimum(power * (log_x - log_x_max), np.float32(0)))

    return transform


@dataclass
class Parameters:
    """Fused rows as `_kernels/factoring.py` describes them: words and contexts (V, 2 size) float32, 64-byte aligned."""

    d: int
    words: Matrix
    contexts: Matrix

    @classmethod
    def random(cls, words: int, d: int, seed: int) -> Parameters:
        """Return uniform(−0.5, 0.5)/d values and accumulators at 1, the same for the same seed."""
        size = -(-(d + 2) // LANES) * LANES
        random = np.random.Generator(np.random.PCG64(seed))
        matrices = []
        for bias, one in ((d, d + 1), (d + 1, d)):
            matrix = aligned_zeros(words, 2 * size)
            values = (random.random((words, d + 1), np.float32) - np.float32(0.5)) / np.float32(d)
            matrix[:, :d], matrix[:, bias], matrix[:, one], matrix[:, size:] = values[:, :d], values[:, d], 1, 1
            matrices.append(matrix)
        return cls(d, *matrices)

    def rates(self, lr: float) -> tuple[Matrix, Matrix]:
        """Return the learning rates of a word and of a context row: lr for the vector, 1 for the bias, 0 for the rest."""
        rates = np.zeros((2, self.words.shape[1] // 2), np.float32)
        rates[:, : self.d] = lr
        rates[0, self.d] = rates[1, self.d + 1] = 1
        return rates[0], rates[1]

    def clips(self) -> Matrix:
        """Return what the gradients of a row are clipped at: CLIP for the vector; the program leaves biases alone."""
        clips = np.full(self.words.shape[1] // 2, np.inf, np.float32)
        clips[: self.d] = CLIP
        return clips

    def arrays(self) -> dict[str, Matrix]:
        """Return the trained parameters by the names that a model file gives them."""
        d = self.d
        return {
            "words": self.words[:, :d],
            "contexts": self.contexts[:, :d],
            "word_bias": self.words[:, d],
            "context_bias": self.contexts[:, d + 1],
        }


def aligned_zeros(rows: int, columns: int) -> Matrix:
    """Return a matrix of zeros that begins at a cache line."""
    raw = np.zeros(rows * columns + LANES, np.float32)
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + rows * columns].reshape(rows, columns)


@dataclass
class State:
    """Where training is: `strata` of epoch `epoch` are done; `costs` of its tiles so far; seconds it took so far."""

    parameters: Parameters
    costs: npt.NDArray[np.float64]
    epoch: int = 0
    strata: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path, plan: str) -> None:
        """Write a checkpoint from which training goes on with the same bits."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "words": self.parameters.words,
            "contexts": self.parameters.contexts,
            "costs": self.costs,
        }
        meta = {
            "plan": plan,
            "epoch": self.epoch,
            "strata": self.strata,
            "seconds": self.seconds,
            "history": self.history,
        }
        save_arrays(path, "glove", arrays, meta)

    def load(self, path: Path, plan: str) -> None:
        """Go on from a checkpoint; raises `UsageError` if it was begun with other options or other counts."""
        arrays, meta = load_arrays(path, "glove")
        if meta["plan"] != plan:
            raise UsageError(f"{path}: was begun with other options or other counts; pass --force to start anew")
        self.parameters.words[:], self.parameters.contexts[:], self.costs[:] = (
            arrays[k] for k in ("words", "contexts", "costs")
        )
        self.epoch, self.strata, self.seconds, self.history = (
            meta["epoch"],
            meta["strata"],
            meta["seconds"],
            meta["history"],
        )


def memory_plan(cooc: Cooc, options: GloveOptions, budget: int) -> Plan:
    """Return what training takes: 12 bytes an entry, and the parameters with their accumulators, twice while they are saved."""
    row = 2 * 4 * (-(-(options.vector_size + 2) // LANES) * LANES)
    words = len(cooc.vocabulary)
    parts = {"entries": (ENTRY_BYTES * cooc.entries), "parameters": 3 * words * row, "tables of words": 100 * words}
    return Plan("train glove", budget, parts)


def checkpoint_path(output: Path) -> Path:
    """Return where a checkpoint of the model stands while it is trained."""
    return beside(output, ".checkpoint")


def train_glove(
    cooc: PathLike | Cooc,
    output: PathLike,
    options: GloveOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Model:
    """Train GloVe on co-occurrence counts and write the model file `output`.

    The vectors have the same bits for any number of threads, interrupted or not. Raises `DivergenceError` as soon as a loss
    is not finite, `InterruptedRun` after Ctrl-C; a checkpoint beside the output then waits for `resume`.
    """
    cooc, output = cooc if isinstance(cooc, Cooc) else Cooc(cooc), Path(output)
    options, progress, threads = options or GloveOptions(), progress or Progress(), threads or usable_cores()
    room = memory_plan(cooc, options, memory_budget(memory))
    room.check()
    checkpoint = checkpoint_path(output)
    refuse_overwrite(output, checkpoint, force=force, resume=resume)
    if output.is_dir():
        raise UsageError(f"{output}: is a directory; choose another --output")
    if cooc.columns != len(cooc.vocabulary):
        raise UsageError(f"{cooc.path}: has a column for each position; GloVe takes counts made without --positional")
    if cooc.entries == 0:
        raise InputError(f"{cooc.path}: holds no co-occurrences; every document has a single word")
    lock = beside(output, ".lock")
    with disk_errors(output), locked(lock):
        progress.say(room.line())
        try:
            with progress.stage("deal tiles", cooc.entries, "entries") as stage:
                tiles = deal(cooc, log_counts(options), options.seed, threads, stage)
            state = State(
                Parameters.random(len(cooc.vocabulary), options.vector_size, options.seed), np.zeros(len(tiles.sizes))
            )
            plan = hashlib.sha256(json.dumps([cooc.digest, options.record()]).encode()).hexdigest()
            if resume and checkpoint.exists():
                state.load(checkpoint, plan)
            with (
                deferred_interrupt() as interrupted,
                progress.stage("train", options.epochs * cooc.entries, "entries") as stage,
            ):
                stage.resume_at(state.epoch * cooc.entries + _entries_done(state, tiles, options))
                saver = _Saver(state, checkpoint, plan, interrupted)
                run_epochs(state, tiles, options, threads, stage, saver.between_strata)
                save_model(output, _model_data(cooc, state, options, threads))  # a Ctrl-C from now on comes too late
            checkpoint.unlink(missing_ok=True)
        finally:
            lock.unlink(missing_ok=True)
    return open_model(output)


@dataclass
class _Saver:
    """Between two strata: save now and then, and stop when asked to."""

    state: State
    path: Path
    plan: str
    interrupted: Callable[[], bool]
    last: float = field(default_factory=time.monotonic)

    def between_strata(self) -> None:
        if self.interrupted():
            self.state.save(self.path, self.plan)
            raise InterruptedRun(f"{self.path}: interrupted in epoch {self.state.epoch + 1}; continue with --resume")
        if time.monotonic() - self.last >= 60 * CHECKPOINT_MINUTES:
            self.state.save(self.path, self.plan)
            self.last = time.monotonic()


def run_epochs(
    state: State, tiles: Tiles, options: GloveOptions, threads: int, stage: Stage, between: Callable[[], None]
) -> None:
    """Train to the last epoch from where `state` is; calls `between` whenever `state` is consistent."""
    sizes, rates = tiles.sizes, state.parameters.rates(options.lr)
    parameters = state.parameters
    entries = tiles.starts, tiles.cuts, tiles.places, tiles.targets, tiles.weights
    rest = (*entries, parameters.words, parameters.contexts, *rates, parameters.clips())
    with ThreadPoolExecutor(threads) as pool:
        while state.epoch < options.epochs:
            order = strata(tiles.blocks, options.seed, state.epoch)
            while state.strata < tiles.blocks:
                begin = time.perf_counter()
                stratum = order[state.strata]
                list(pool.map(lambda part: factoring.train_tiles(part, *rest, state.costs), share(stratum, sizes, threads)))
                state.strata += 1
                state.seconds += time.perf_counter() - begin
                _check_finite(state, stratum, options)
                stage.advance(int(sizes[stratum].sum()), _note(state, options))
                between()
            _end_epoch(state, options, len(tiles.places))
            stage.advance(0, _note(state, options))


def _entries_done(state: State, tiles: Tiles, options: GloveOptions) -> int:
    """Return how many entries of its epoch `state` has behind it."""
    return int(tiles.sizes[strata(tiles.blocks, options.seed, state.epoch)[: state.strata]].sum())


def _check_finite(state: State, stratum: npt.NDArray[np.int64], options: GloveOptions) -> None:
    if not np.isfinite(state.costs[stratum]).all():
        raise DivergenceError(f"the loss is not finite in epoch {state.epoch + 1}; lower --lr (it is {options.lr:g})")


def _end_epoch(state: State, options: GloveOptions, entries: int) -> None:
    loss = float(state.costs.sum()) / entries
    state.history.append({"epoch": state.epoch + 1, "loss": loss, "seconds": state.seconds, "items": entries, "lr": options.lr})
    state.epoch, state.strata, state.seconds = state.epoch + 1, 0, 0.0
    state.costs[:] = 0


def _note(state: State, options: GloveOptions) -> str:
    loss = f", loss {state.history[-1]['loss']:.4f}" if state.history else ""
    return f"epoch {min(state.epoch + 1, options.epochs)}/{options.epochs}{loss}"


def _model_data(cooc: Cooc, state: State, options: GloveOptions, threads: int) -> ModelData:
    stages: dict[str, Any] = {"encode": cooc.manifest["corpus"]["options"], "count": cooc.options.record()}
    return ModelData(
        family="glove",
        vocabulary=cooc.vocabulary,
        arrays=state.parameters.arrays(),
        published=options.vectors,
        config={**stages, "train": options.record()},
        provenance={
            "corpus": cooc.manifest["corpus"]["digest"],
            "cooc": cooc.digest,
            "tokens": cooc.manifest["tokens"],
            "entries": cooc.entries,
            "seed": options.seed,
            "threads": threads,
            **versions(),
        },
        history=state.history,
    )

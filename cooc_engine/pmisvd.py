"""PMI-SVD (Levy, Goldberg and Dagan 2015): words U Σ^eig and contexts V Σ^eig of the truncated SVD of a PMI matrix.

The transformed matrix stands in memory if the budget holds it, and otherwise in unnamed files beside the output, which every
pass reads from front to back. The bits are the same either way, and for any number of threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cooc_engine.budget import Plan
from cooc_engine.config import PmiSvdOptions
from cooc_engine.cooc import Cooc
from cooc_engine.errors import InputError, InterruptedRun, UsageError
from cooc_engine.interrupts import deferred_interrupt
from cooc_engine.modelfile import Model, ModelData, load_arrays, open_model, save_arrays, save_model
from cooc_engine.progress import Progress, Stage
from cooc_engine.running import How, Run
from cooc_engine.sparse import ENTRY_BYTES, in_memory, on_disk, scratch_bytes
from cooc_engine.store import beside, disk_errors, locked, refuse_busy, refuse_overwrite
from cooc_engine.svd import SVD, Krylov, Operator, arpack, basis_bytes, krylov
from cooc_engine.transforms import copies, transform_cooc
from cooc_engine.versions import versions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["train_pmi_svd"]

CHECKPOINT_SHARE = 20  # a checkpoint is written when the passes since the last took so many times as long as that one
PathLike = str | os.PathLike[str]


def memory_plan(cooc: Cooc, options: PmiSvdOptions, threads: int, budget: int) -> Plan:
    """Return what the factorisation takes at least; the matrix itself can stand on the disk."""
    words, columns, d = len(cooc.vocabulary), cooc.columns, options.vector_size
    vectors = 4 * d * (words + columns)
    basis = basis_bytes((words, columns), d) if options.solver == "krylov" else 4 * vectors
    scratch = scratch_bytes(basis // (4 * (words + columns)), threads)
    parts = {"basis": basis, "vectors": vectors, "scratch": scratch, "tables of words": 100 * (words + columns)}
    return Plan("train pmi-svd", budget, parts)


def train_pmi_svd(cooc: PathLike | Cooc, output: PathLike, options: PmiSvdOptions | None = None, **how: Unpack[How]) -> Model:
    """Factorise the PMI matrix of co-occurrence counts and write the model file `output`.

    The vectors have the same bits for any number of threads and any budget, interrupted or not. The model also holds the
    singular values and the residual ‖A v − σ u‖ / σ of each component; its history has a record for each pass with the
    largest residual as the loss. Raises `UsageError` for a budget that cannot hold the basis and `InterruptedRun` after
    Ctrl-C; a checkpoint beside the output then waits for `resume`.
    """
    cooc, output = cooc if isinstance(cooc, Cooc) else Cooc(cooc), Path(output)
    options, run = options or PmiSvdOptions(), Run(**how)
    progress, threads = run.shown, run.workers
    room = memory_plan(cooc, options, threads, run.budget)
    room.check()
    _check(cooc, output, options)
    checkpoint, lock = beside(output, ".checkpoint"), beside(output, ".lock")
    refuse_busy(lock)
    refuse_overwrite(output, checkpoint, force=run.force, resume=run.resume)
    with disk_errors(output), locked(lock), ThreadPoolExecutor(threads) as pool:
        progress.say(room.line())
        try:
            with progress.stage("transform", cooc.entries, "entries") as stage:
                matrix, free = _transformed(cooc, options, output, room, pool, stage)
            plan = hashlib.sha256(json.dumps([cooc.digest, options.record()]).encode()).hexdigest()
            with deferred_interrupt() as interrupted, progress.stage("factorise", None, "products") as stage:
                saver = _Saver(checkpoint, plan, interrupted, stage, progress)
                if options.solver == "arpack":
                    found = arpack(matrix.rows, options.vector_size, options.seed, options.tol)
                    saver.history = [_single(found, stage, matrix)]
                else:
                    found = _factorised(matrix, options, free, pool, saver, resume=run.resume)
                save_model(output, _model_data(cooc, found, saver.history, options, threads))
            checkpoint.unlink(missing_ok=True)
        finally:
            lock.unlink(missing_ok=True)
    return open_model(output)


def _check(cooc: Cooc, output: Path, options: PmiSvdOptions) -> None:
    if output.is_dir():
        raise UsageError(f"{output}: is a directory; choose another --output")
    if cooc.entries == 0:
        raise InputError(f"{cooc.path}: holds no co-occurrences; every document has a single word")
    most = len(cooc.vocabulary)
    if options.vector_size > most:
        raise UsageError(f"--vector-size is {options.vector_size}; a matrix of {most} words has {most} components at most")
    if cooc.columns != most and options.vectors != "w":
        raise UsageError(f"--vectors {options.vectors}: {cooc.path} has a context for each position; take --vectors w")


def _transformed(
    cooc: Cooc, options: PmiSvdOptions, output: Path, room: Plan, pool: Executor, stage: Stage
) -> tuple[Operator, int]:
    """Return the matrix, in memory or mapped, and the bytes of the budget that are left for a wider basis."""
    left, size = room.budget - room.least, ENTRY_BYTES * cooc.entries * copies(cooc, options)
    allocate = in_memory if size <= left else on_disk(output.parent)
    free = left - size if size <= left else left
    return Operator(*transform_cooc(cooc, options, allocate, max(left, size) // 4, pool, stage)), free + room.memory["basis"]


def _factorised(matrix: Operator, options: PmiSvdOptions, room: int, pool: Executor, saver: _Saver, *, resume: bool) -> SVD:
    state = Krylov.empty(matrix, options.vector_size, options.seed, room)
    if resume and saver.path.exists():
        saver.load(state)
    found = krylov(state, options.tol, options.max_passes, pool, lambda: saver.between_passes(state))
    if state.passes[-1].residual > options.tol:
        saver.progress.say(
            f"stopped after {len(state.passes)} passes; pass a larger --max-passes to reach --tol {options.tol:g}"
        )
    return found


@dataclass
class _Saver:
    """After a pass: record it, save the state now and then, and stop when asked to."""

    path: Path
    plan: str
    interrupted: Callable[[], bool]
    stage: Stage
    progress: Progress
    history: list[dict[str, float]] = field(default_factory=list)
    last: float = field(default_factory=time.monotonic)
    begin: float = field(default_factory=time.perf_counter)
    cost: float = 0.0

    def between_passes(self, state: Krylov) -> None:
        """Record the last pass; a checkpoint takes at most a small share of the time."""
        done = state.passes[-1]
        now = time.perf_counter()
        self.history.append({"epoch": done.number, "loss": done.residual, "seconds": now - self.begin, "items": done.items})
        self.stage.advance(done.items, f"pass {done.number}, residual {done.residual:.1e}")
        stopping = self.interrupted()
        if stopping or time.monotonic() - self.last >= CHECKPOINT_SHARE * self.cost:
            self.save(state)
        if stopping:
            raise InterruptedRun(f"{self.path}: interrupted after pass {done.number}; continue with --resume")
        self.begin = time.perf_counter()

    def save(self, state: Krylov) -> None:
        """Write a checkpoint from which the passes go on with the same bits."""
        begin = time.monotonic()
        save_arrays(self.path, "pmi-svd", state.arrays(), {"plan": self.plan, "history": self.history, "state": state.meta()})
        self.last = time.monotonic()
        self.cost = self.last - begin

    def load(self, state: Krylov) -> None:
        """Go on from a checkpoint; raises `UsageError` if it was begun with other options or other counts."""
        arrays, meta = load_arrays(self.path, "pmi-svd")
        if meta["plan"] != self.plan:
            raise UsageError(f"{self.path}: was begun with other options or other counts; pass --force to start anew")
        state.load(arrays, meta["state"])
        self.history = meta["history"]


def _single(found: SVD, stage: Stage, matrix: Operator) -> dict[str, float]:
    """Return the record of a solver that tells nothing of its passes."""
    return {"epoch": 1, "loss": float(found.residuals.max()), "seconds": stage.seconds, "items": matrix.rows.entries}


def _model_data(cooc: Cooc, found: SVD, history: list[dict[str, float]], options: PmiSvdOptions, threads: int) -> ModelData:
    powers = np.where(found.singular_values > 0, found.singular_values, 1) ** options.eig  # vectors of no component stay 0
    for matrix in (found.left, found.right):
        matrix *= powers.astype(np.float32)
        if options.normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))[:, None]
            np.divide(matrix, lengths, out=matrix, where=lengths > 0, casting="same_kind")
    stages: dict[str, Any] = {"encode": cooc.manifest["corpus"]["options"], "count": cooc.options.record()}
    return ModelData(
        family="pmi-svd",
        vocabulary=cooc.vocabulary,
        arrays={
            "words": found.left,
            "contexts": found.right,
            "singular_values": found.singular_values,
            "residuals": found.residuals,
        },
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
        history=history,
    )

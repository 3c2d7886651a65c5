"""PMI-SVD (Levy, Goldberg and Dagan 2015): words U Σ^eig and contexts V Σ^eig of the truncated SVD of a PMI matrix.

The transformed matrix is kept in memory if the budget allows, and otherwise in unnamed files beside the output, which every
pass reads sequentially. The bits are the same either way, and for any number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import UsageError
from cooc_engine.linalg.sparse import ENTRY_BYTES, SparseRows, scratch_bytes
from cooc_engine.linalg.svd import NOISE, SVD, Krylov, KrylovRecord, Operator, arpack, basis_bytes, krylov
from cooc_engine.matrix.pmi import copies, new_rows, transform_cooc
from cooc_engine.matrix.pmi_slabs import cut_slabs, shared_operator, slab_bytes, worker_bytes
from cooc_engine.matrix.sparse_pmi import write_rows
from cooc_engine.models.checkpoints import Begun, Checkpoint, claimed
from cooc_engine.models.documents import Counted
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.models.published import RECIPES, combined
from cooc_engine.models.record import origin_of_counts
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.interrupts import deferred_interrupt
from cooc_engine.runtime.keywords import Run, SharedTrainKeywords
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.scratch import in_memory, on_disk

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["derive", "fold_in", "passes_to_come", "train_pmi_svd"]


def memory_plan(cooc: Cooc, options: PmiSvdOptions, threads: int, budget: int, others: int = 0) -> Plan:
    """Return the minimum memory of the factorisation, and of `others` that share it; the matrix itself can be on disk."""
    words, columns, d = len(cooc.vocabulary), cooc.columns, options.vector_size
    tables = {"tables of words": 100 * (words + columns)}
    vectors = 4 * d * (words + columns)
    basis = basis_bytes((words, columns), d) if options.solver == "krylov" else 4 * vectors
    scratch = scratch_bytes(basis // (4 * (words + columns)), threads)
    workers = {"workers": others} if others else {}
    return Plan("train pmi-svd", budget, {"basis": basis, "vectors": vectors, "scratch": scratch, **tables, **workers})


def train_pmi_svd(
    cooc: PathLike | Cooc, output: PathLike, options: PmiSvdOptions | None = None, **how: Unpack[SharedTrainKeywords]
) -> ModelFile:
    """Factorise the PMI matrix of co-occurrence counts and write the model file `output`.

    The vectors have the same bits for any number of threads, processes and machines and any budget, interrupted or not. The
    model also holds the singular values and the residual ‖A v − σ u‖ / σ of each component; its history has one record per
    pass, with the largest residual as the loss. With `solver` "none" the model is that of `train_pmi`. Raises `UsageError` for
    a budget that cannot hold the basis and `InterruptedRun` after Ctrl-C; `resume` then continues from a checkpoint beside the
    output.
    """
    cooc, output = Cooc.of(cooc), path_of(output)
    options, run = options or PmiSvdOptions(), Run.of("train_pmi_svd", how, SharedTrainKeywords)
    if options.solver != "krylov" and (run.processes or run.cluster is not None):
        name = "processes" if run.processes else "cluster"
        raise UsageError(f"--{name}: only the products of --solver=krylov can be shared, not those of {options.solver}")
    if options.solver == "none":
        return write_rows(cooc, output, options.matrix, options, run)
    _check(cooc, options)
    with run.shared() as workers:
        room = _planned(cooc, options, workers)
        with claimed(output, run) as checkpoint, ThreadPoolExecutor(workers.here.threads) as pool:
            run.shown.say(room.line())
            _Work(cooc, output, options, run, room, pool, workers).factorise(checkpoint)
    return open_model(output)


def _planned(cooc: Cooc, options: PmiSvdOptions, workers: Workers) -> Plan:
    """Return the plan of this process, and of workers on the same machine; raises `UsageError` if a budget is too small."""
    workers.check_processors(numpy=True)
    each = 0 if workers is workers.here else worker_bytes(cooc, options, workers)
    if not workers.local:
        Plan("train pmi-svd with workers", workers.memory, {"of each": each}).check()
    room = memory_plan(cooc, options, workers.here.threads, workers.here.memory, each * workers.count if workers.local else 0)
    room.check()
    return room


def _check(cooc: Cooc, options: PmiSvdOptions) -> None:
    cooc.refuse_empty()
    most = min(len(cooc.vocabulary), len(cooc.column_vocabulary))  # both are read now, so that damage is found before the work
    if options.vector_size > most:
        size = f"{len(cooc.vocabulary)} rows and {cooc.columns} columns" if cooc.rectangular else f"{most} words"
        raise UsageError(f"--vector-size is {options.vector_size}; a matrix of {size} has {most} components at most")
    if options.vectors != "w":
        cooc.refuse_rectangular(f"a row has no context vector to take with --vectors={options.vectors}; take --vectors=w")
    if cooc.positional and options.vectors != "w":
        raise UsageError(f"--vectors={options.vectors}: {cooc.path} has a context for each position; take --vectors=w")


@dataclass(frozen=True)
class _Work:
    """One training, validated, with its output locked."""

    cooc: Cooc
    output: Path
    options: PmiSvdOptions
    run: Run
    room: Plan
    pool: Executor
    workers: Workers

    def factorise(self, checkpoint: Path) -> None:
        """Compute the SVD and write the model."""
        plan = Begun.of(self.options, self.cooc.digest)
        plan.check(checkpoint, resume=self.run.resume)
        with ExitStack() as held:
            with self.run.shown.stage("transform", self.cooc.entries, "entries") as stage:
                matrix, free = self._transformed(stage) if self.workers is self.workers.here else self._shared(stage, held)
            arrays, history = self._components(matrix, free, checkpoint, plan)
        self._save(arrays, history)

    def _components(
        self, matrix: Operator, free: int, checkpoint: Path, plan: Begun
    ) -> tuple[dict[str, Any], list[dict[str, float]]]:
        """Return the arrays and the history of the model."""
        options = self.options
        with deferred_interrupt() as interrupted, self.run.shown.stage("factorise", None, "products") as stage:
            if options.solver == "arpack":
                assert isinstance(matrix.rows, SparseRows)
                found = arpack(matrix.rows, options.vector_size, options.seed, options.tol)
                history = [_single(found, stage, matrix)]
            else:
                passes = _Passes(Krylov.empty(matrix, options.vector_size, options.seed, free), options, stage)
                saved = Checkpoint(checkpoint, "pmi-svd", plan, passes, self.run.checkpoint_every, interrupted)
                found, history = self._factorised(passes, saved), passes.history
            arrays = {"words": found.left, "contexts": found.right}
            try:
                _scale(arrays, found.singular_values, options.eig)
            except UsageError:
                checkpoint.unlink(missing_ok=True)  # which no other --eig continues
                raise
            if options.normalize:
                _normalize(arrays)
            values = {"singular_values": found.singular_values, "residuals": found.residuals}
            return {**arrays, **values}, history

    def _transformed(self, stage: Stage) -> tuple[Operator, int]:
        """Return the matrix, in memory or mapped, and the bytes of the budget left for a wider basis."""
        left, size = self.room.budget - self.room.least, ENTRY_BYTES * self.cooc.entries * copies(self.cooc, self.options)
        allocate = in_memory if size <= left else on_disk(self.output.parent)
        free = left - size if size <= left else left
        matrix = transform_cooc(self.cooc, self.options, allocate, max(left, size) // 4, self.pool, stage)
        return Operator(*matrix), free + self.room.memory["basis"]

    def _shared(self, stage: Stage, held: ExitStack) -> tuple[Operator, int]:
        """Return the matrix that workers hold until `held` ends, and the bytes left for a wider basis."""
        left, options, workers = self.room.budget - self.room.least, self.options, self.workers
        largest = slab_bytes(self.cooc, options, cut_slabs(self.cooc, options, workers, None))
        here = largest * workers.count if workers.local else 0
        fits = here <= left if workers.local else largest <= workers.memory - worker_bytes(self.cooc, options, workers)
        slabs = cut_slabs(self.cooc, options, workers, None if fits else self.output.parent.absolute())
        matrix = held.enter_context(shared_operator(self.cooc, slabs, workers, self.output, stage))
        return matrix, left - (here if fits else 0) + self.room.memory["basis"]

    def _factorised(self, passes: _Passes, saved: Checkpoint) -> SVD:
        if self.run.resume and saved.path.exists():
            saved.load()

        def between() -> None:
            passes.record()
            saved.between(f"pass {len(passes.history)}", True)

        state, tol = passes.state, self.options.tol
        found = krylov(state, tol, self.options.max_passes, self.pool, between)
        if state.passes[-1].residual > tol:
            count = len(state.passes)
            self.run.shown.say(f"stopped after {count} passes; pass a larger --max-passes to reach --tol {tol:g}")
        return found

    def _save(self, arrays: dict[str, Any], history: list[dict[str, float]]) -> None:
        origin = origin_of_counts(self.cooc, self.options, self.run.workers)
        parts = arrays, self.options.vectors, *origin, history
        save_model(
            self.output,
            ModelData("pmi-svd", self.cooc.vocabulary, *parts, column_names=self.cooc.column_names),
            force=self.run.force,
        )


class _PassesRecord(TypedDict):
    """What a checkpoint records beside the arrays of the solver."""

    history: list[Counted]
    krylov: KrylovRecord


@dataclass
class _Passes:
    """The state of a factorisation, and the record of its passes."""

    state: Krylov
    options: PmiSvdOptions
    stage: Stage
    history: list[dict[str, float]] = field(default_factory=list)
    begin: float = field(default_factory=time.perf_counter)

    def record(self) -> None:
        """Record the pass just finished, and show how many remain."""
        done, now = self.state.passes[-1], time.perf_counter()
        self.history.append({"epoch": done.number, "loss": done.residual, "seconds": now - self.begin, "items": done.items})
        expected = passes_to_come([done.residual for done in self.state.passes], self.options.tol)
        if expected is not None:
            expected = min(expected, self.options.max_passes - done.number)
            self.stage.total = self.stage.done + (1 + expected) * done.items
        self.stage.advance(done.items, f"pass {done.number}, residual {done.residual:.1e}")
        self.begin = time.perf_counter()

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a checkpoint."""
        return self.state.arrays()

    def meta(self) -> dict[str, Any]:
        """Return the rest of the checkpoint."""
        return {"history": self.history, "krylov": self.state.meta()}

    def shape(self) -> Any:
        """Return the description of this record."""
        return _PassesRecord

    def load(self, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Continue from a checkpoint, with the same bits."""
        self.state.load(arrays, meta["krylov"])
        self.history = meta["history"]
        self.stage.resume_at(sum(record["items"] for record in self.history))


def passes_to_come(residuals: Sequence[float], tol: float) -> float | None:
    """Return how many more passes the largest residual needs to fall to `tol`; None until it has started to fall.

    Its logarithm falls nearly linearly from the last pass at which it was 1.
    """
    begun = max((i for i, residual in enumerate(residuals) if residual >= 1), default=-1)
    passed = len(residuals) - 1 - begun
    if not passed:
        return None
    return max(0.0, passed * (math.log(tol) / math.log(max(residuals[-1], NOISE)) - 1))


def _single(found: SVD, stage: Stage, matrix: Operator) -> dict[str, float]:
    """Return the record for a solver that does not report its passes."""
    return {"epoch": 1, "loss": float(found.residuals.max()), "seconds": stage.seconds, "items": matrix.rows.entries}


# ----------------------------------------------------------------------------------------------- of U, S and V, vectors


def derive(model: ModelFile, options: PmiSvdOptions) -> Any:
    """Return the vectors of a model for a different `eig`, `vectors` or `normalize`; the `derive` of `Family.vectors`.

    Raises `UsageError` for a model that was normalized and so has lost the lengths of its vectors.
    """
    had = model.trained_with(PmiSvdOptions)
    if had.normalize:
        raise UsageError(f"{model.path}: was made with a different normalize")
    if options.solver == "none":
        return model.matrix
    model.rows(options.vectors)  # refuses those of columns with names of their own
    arrays = {name: model.array(name).copy() for name in RECIPES[options.vectors].arrays}
    if len({len(array) for array in (model.array("words"), *arrays.values())}) > 1:
        raise UsageError(f"{model.path}: has a context for each position; take vectors w")
    _scale(arrays, model.array("singular_values"), options.eig - had.eig)
    if options.normalize:
        _normalize(arrays)
    return combined(arrays, options.vectors)


def fold_in(model: ModelFile, counts: Any, threads: int) -> Matrix:
    """Return vectors (n, d) of new rows of counts (n, C), CSR, as if they had been there: P V Σ^(eig − 1), P being their PMI.

    They do not change sums or components: rows of the training get their own vectors, up to the residuals. Raises `UsageError`
    for a model that lacks what it takes: columns with names of their own, whose sums it has, and V and Σ as they were found.
    """
    names = model.column_names
    if names is None or "singular_values" not in model.names:
        raise UsageError(
            f"{model.path}: takes no new rows; train pmi-svd on counts whose columns have names makes one that does"
        )
    options = model.trained_with(PmiSvdOptions)
    if options.normalize:
        raise UsageError(f"{model.path}: was trained with --normalize, which discards what new rows need; train without it")
    made = new_rows(counts, names.counts.astype(np.float64), options.matrix, threads)
    values = model.array("singular_values").astype(np.float64)
    components = model.array("contexts") * np.divide(1, values, out=np.zeros_like(values), where=values > 0)
    found: Matrix = (csr_array((made.values, made.columns, made.offsets), made.shape) @ components).astype(np.float32)
    return found


def _scale(arrays: dict[str, Any], values: npt.NDArray[np.floating], power: float) -> None:
    """Multiply columns by their singular values to a power, in place; columns without a component stay 0."""
    with np.errstate(over="ignore"):
        powers = (np.where(values > 0, values, 1).astype(np.float64) ** power).astype(np.float32)
        if not np.isfinite(powers).all():
            raise UsageError(f"--eig={power:g}: the singular values, up to {values.max():.0f}, to this power are too large")
        for matrix in arrays.values():
            matrix *= powers


def _normalize(arrays: dict[str, Any]) -> None:
    """Scale rows to length 1, in place."""
    for matrix in arrays.values():
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))[:, None]
        np.divide(matrix, lengths, out=matrix, where=lengths > 0, casting="same_kind")

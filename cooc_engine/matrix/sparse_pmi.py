"""The rows of a PMI matrix as vectors (Levy, Goldberg and Dagan 2015): one number per context, without a factorisation.

The matrix is computed in pieces and streamed to the model file, so it may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.counts.directory import Cooc
from cooc_engine.linalg.sparse import ENTRY_BYTES
from cooc_engine.matrix.pmi import PmiStream
from cooc_engine.models.checkpoints import claimed
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.matrix_options import PmiOptions
from cooc_engine.models.record import origin_of_counts
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import Run, TrainKeywords
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.hdf5 import Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["memory_plan", "train_pmi", "write_rows"]

PIECE = 1 << 22  # maximum number of entries in memory at a time
LEAST_PIECE = 1 << 18
WRITE_BYTES = 1 << 23  # memory taken by writing


def memory_plan(cooc: Cooc, budget: int) -> Plan:
    """Return the minimum memory of writing the rows."""
    longest = int(np.diff(cooc.row_offsets).max(initial=0))
    tables = 100 * (len(cooc.vocabulary) + cooc.columns)
    return Plan("train pmi", budget, {"rows": ENTRY_BYTES * max(LEAST_PIECE, longest) + WRITE_BYTES, "tables of words": tables})


def train_pmi(
    cooc: PathLike | Cooc, output: PathLike, options: PmiOptions | None = None, **how: Unpack[TrainKeywords]
) -> ModelFile:
    """Write the rows of the PMI matrix of co-occurrence counts, sparse, as the vectors of the model file `output`.

    The vectors have the same bits for any number of threads and any budget; the model has no history. Raises `InputError`
    for counts without an entry, `UsageError` for a budget that cannot hold the longest row.
    """
    options = options or PmiOptions()
    return write_rows(Cooc.of(cooc), path_of(output), options, options, Run.of("train_pmi", how, TrainKeywords))


def write_rows(cooc: Cooc, output: Path, options: PmiOptions, recorded: Options, run: Run) -> ModelFile:
    """Write the model; `recorded` are the options that it records, as the user gave them."""
    cooc.refuse_empty()
    plan = memory_plan(cooc, run.budget)
    plan.check()
    with claimed(output, run), ThreadPoolExecutor(run.workers) as pool:
        run.shown.say(plan.line())
        made = PmiStream(cooc, options, min(PIECE, LEAST_PIECE + (plan.budget - plan.least) // ENTRY_BYTES), pool)
        moved = 4 * int(made.offsets[-1])  # columns and values are computed twice: for their checksums, and for the file
        with run.shown.stage("write vectors", moved, "entries") as stage:
            origin = origin_of_counts(cooc, recorded, run.workers)
            data = ModelData("pmi", cooc.vocabulary, _csr(made, stage), "w", *origin, column_names=cooc.column_names)
            save_model(output, data, force=run.force)
    return open_model(output)


def _csr(made: PmiStream, stage: Stage) -> dict[str, Any]:
    """Return the arrays of a CSR matrix, those of its entries as streams."""

    def stream(part: int, dtype: npt.DTypeLike) -> Stream:
        def pieces() -> Iterator[npt.NDArray[Any]]:
            for piece in made.pieces():
                yield piece[part]
                stage.advance(len(piece[part]))

        return Stream((int(made.offsets[-1]),), np.dtype(dtype), pieces)

    shape = np.array(made.shape, np.int64)
    return {"data": stream(1, np.float32), "indices": stream(0, np.int32), "indptr": made.offsets, "shape": shape}

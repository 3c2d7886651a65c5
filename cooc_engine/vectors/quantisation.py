"""Small models: vectors as codes of a product quantiser, from which queries are answered (Jégou, Douze and Schmid 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine.errors import UsageError
from cooc_engine.linalg.quantisation import Quantised, quantise
from cooc_engine.models.file import Model, ModelData, open_model, save_model
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.sparse_vectors import SPARSE, SparseVectors
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.types import PathLike
from cooc_engine.runtime.versions import versions
from cooc_engine.storage.outputs import disk_errors, refuse_file
from cooc_engine.vectors.search import BLOCK, RowReader, cosines

__all__ = ["Small", "quantize"]


@dataclass(frozen=True)
class Small:
    """A quantised model: the file, its words, bytes before and after, and mean and largest 1 - cos of the vectors' change."""

    path: Path
    words: int
    bytes_before: int
    bytes_after: int
    mean_error: float
    largest_error: float

    def record(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        sizes = {"words": self.words, "bytes_before": self.bytes_before, "bytes_after": self.bytes_after}
        errors = {"mean_cosine_error": self.mean_error, "largest_cosine_error": self.largest_error}
        return {"output": str(self.path), **sizes, **errors}


def quantize(
    model: PathLike,
    output: PathLike,
    options: QuantizeOptions | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
) -> Small:
    """Write a model whose vectors are codes: those that queries use, one byte for each `dsub` components.

    Queries are answered from the codes, and so are the rows of subwords of words that were never seen. What queries do not use,
    such as context vectors or biases, is left out. Raises
    `UsageError` for explicit vectors, and for a model that is quantised already.
    """
    output, options, older = Path(output), options or QuantizeOptions(), open_model(Path(model))
    refuse_file(output, force=force)
    rows = _rows(older)
    matrices = {"words": rows} | ({} if older.subwords is None else {"subwords": older.subwords.matrix})
    how: dict[str, Any] = {"norms": options.qnorm, "seed": options.seed, "threads": threads or usable_cores()}
    codes = {name: quantise(matrix, options.dsub, **how) for name, matrix in matrices.items()}
    config = {**older.config, "quantize": options.record()}
    provenance = {**older.provenance, "quantized": {"model": str(model), **versions()}}
    with disk_errors(output):
        kept = config, provenance, older.history
        save_model(output, ModelData(older.family, older.vocabulary, {}, "w", *kept, codes=codes))
    errors = _errors(rows, codes["words"])
    before, after = (path.stat().st_size for path in (older.path, output))
    return Small(output, len(older.vocabulary), before, after, float(errors.mean()), float(errors.max(initial=0)))


def _rows(model: Model) -> RowReader:
    """Return the published vectors, whose rows are read a part at a time."""
    rows = model.rows()
    if isinstance(rows, SparseVectors):
        raise UsageError(f"{model.path}: {SPARSE}")
    if model.codes:
        raise UsageError(f"{model.path}: is quantised already; name the model that it was made of")
    return rows


def _errors(rows: RowReader, found: Quantised) -> Any:
    """Return 1 - cos between each vector that is not 0 and what its codes give."""
    parts = []
    for start in range(0, len(found), BLOCK):
        block = rows[start : start + BLOCK]
        parts.append((1 - cosines(block, found[start : start + BLOCK]))[block.any(1)])
    return np.concatenate(parts)

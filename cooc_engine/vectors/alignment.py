"""Aligning two models: the rotation that best superimposes the words that both have (Schönemann 1966)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.models.sparse_vectors import SPARSE
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Floats, PathLike, Rows
from cooc_engine.runtime.versions import versions
from cooc_engine.storage.outputs import disk_errors, refuse_file
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.search import BLOCK

__all__ = ["Alignment", "align", "rotation"]


@dataclass(frozen=True)
class Alignment:
    """An alignment: the file, the number of common words, and their mean cosine before (if sizes are equal) and after."""

    path: Path
    words: int
    before: float | None
    after: float

    def record(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        return {"output": str(self.path), "words": self.words, "before": self.before, "after": self.after}


@gated
def align(model: PathLike, reference: PathLike, output: PathLike, *, force: bool = False) -> Alignment:
    """Rotate the vectors of a model onto those of a reference, and write them as the model file `output`.

    >>> other = train("glove", cooc, "other.h5", vector_size=10, x_max=10, seed=2, threads=1)
    >>> found = align(other, model, "aligned.h5")
    >>> found.words, found.after > found.before
    (21, True)

    The rotation is the least-squares fit between the unit vectors of all common words (orthogonal Procrustes; Hamilton et
    al. 2016): cosines within the model do not change, and those between the models become meaningful.
    Raises `UsageError` if the vectors have more dimensions than the reference's, or are explicit; `InputError` if the models
    have no word in common.
    """
    output = path_of(output)
    refuse_file(output, force=force)
    ours, theirs = _opened(model), _opened(reference)
    if ours.vector_size > theirs.vector_size:
        sizes = f"has vectors of {ours.vector_size}, those of {reference} are of {theirs.vector_size}"
        raise UsageError(f"{model}: {sizes}; align the other to it")
    rows = ours.vocabulary.common(theirs.vocabulary)
    if not len(rows[0]):
        raise InputError(f"{model}: has no word in common with {reference}")
    turn = rotation(ours, theirs, *rows)
    vectors = np.empty((len(ours), theirs.vector_size), np.float32)
    for start in range(0, len(ours), BLOCK):
        vectors[start : start + BLOCK] = np.asarray(ours.part(start, start + BLOCK), np.float64) @ turn
    after = _mean_cosine(Vectors(ours.vocabulary, vectors), theirs, *rows)
    before = _mean_cosine(ours, theirs, *rows) if ours.vector_size == theirs.vector_size else None
    with disk_errors(output):
        provenance = {"model": str(model), "reference": str(reference), **versions()}
        config = {"align": {"words": len(rows[0]), "before": before, "after": after}}
        save_model(output, ModelData("imported", ours.vocabulary, {"words": vectors}, "w", config, provenance), force=force)
    return Alignment(output, len(rows[0]), before, after)


def rotation(ours: Vectors, theirs: Vectors, rows: Rows, others: Rows) -> Floats:
    """Return R, (d, e) with d ≤ e and R R' = 1, that maps the unit vectors of `rows` nearest to those of `others`."""
    products = np.zeros((ours.vector_size, theirs.vector_size))
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        products += ours.unit_rows(rows[part]).astype(np.float64).T @ theirs.unit_rows(others[part]).astype(np.float64)
    left, _, right = np.linalg.svd(products, full_matrices=False)
    turn: Floats = left @ right
    return turn


def _opened(path: PathLike) -> Vectors:
    vectors = Vectors.open(path_of(path))
    if vectors.family and FAMILIES[vectors.family].rows == "sparse":
        raise UsageError(f"{path}: {SPARSE}")
    return vectors


def _mean_cosine(ours: Vectors, theirs: Vectors, rows: Rows, others: Rows) -> float:
    total = 0.0
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        total += float(np.einsum("ij,ij->", ours.unit_rows(rows[part]), theirs.unit_rows(others[part]), dtype=np.float64))
    return total / len(rows)

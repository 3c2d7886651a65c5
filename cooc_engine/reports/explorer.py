"""The explorer: one HTML file for searching, mapping and comparing the words of models, without a server.

Vectors are rounded to bytes and, like all data, are part of the page; queries are computed by its script. Its content
security policy admits this script and its style by their hashes, and nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._version import __version__
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.comparison import named_models
from cooc_engine.formats.vectors import format_of
from cooc_engine.models.file import open_model
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.reports.html import TEMPLATES, check_name, environment, palette
from cooc_engine.reports.word_map import frequent_words, groups_of, neighbourhood_map, units_of
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Shown, progress_of
from cooc_engine.runtime.types import Floats, PathLike
from cooc_engine.storage.outputs import refuse_file, utf8, write_files
from cooc_engine.vectors.columns import ColumnVectors
from cooc_engine.vectors.query import Vectors

__all__ = ["Explorer", "explore"]

LANDMARKS = 600  # words that t-SNE places; its exact method takes a time that grows with their square
NEAREST = 5  # landmarks between which another word is placed
LARGEST = 127  # of a rounded component


@dataclass(frozen=True)
class Explorer:
    """What was written: the page, its size, and the number of words of each model in it."""

    path: Path
    bytes: int
    words: dict[str, int]


@gated
def explore(
    models: Iterable[PathLike] | PathLike | Mapping[str, PathLike],
    output: PathLike,
    words: int = 10_000,
    *,
    force: bool = False,
    progress: Shown = None,
) -> Explorer:
    """Write one self-contained HTML page with a map, search, neighbours side by side, analogies and lengths of vectors.

    models   model files or files of vectors, one or more; a mapping gives them names; one whose columns have names of their own
             is two in the page, its rows and its columns
    output   the page, *.html
    words    the number of the most frequent words of each model that the page contains and answers with

    The page loads nothing from elsewhere and works when it is opened as a file. It takes about 1.4 bytes for each component
    of a vector. Raises `UsageError` if the page exists, unless `force`, for vectors that are sparse, and if Jinja or
    scikit-learn is missing; and what `Vectors.open` raises.
    """
    page, progress = path_of(output), progress_of(progress)
    check_name(page)
    if words < 3:
        raise UsageError(f"--words is {words}; it must be at least 3")
    require("an explorer", "plot", "jinja2", "sklearn.manifold")
    refuse_file(page, force=force)
    records = []
    if not (named := named_models(models)):
        raise UsageError("an explorer takes one or more models; name them")
    with progress.stage("explore", len(named), "models") as stage:
        for name, path in named.items():
            sides = _sides(name, path)
            records += [_record(*side, words, path, of_text=len(sides) == 1) for side in sides.items()]
            stage.advance(1)
    content = utf8(_render(records))
    write_files({page: content}, force=force)
    return Explorer(page, len(content), {record["name"]: len(record["words"]) for record in records})


def _sides(name: str, path: Path) -> dict[str, Vectors]:
    """Return by name the vectors of a model, and those of its columns if these have names of their own."""
    named = format_of(path) is None and open_model(path).column_names is not None
    return {name: Vectors.open(path), **({f"{name} columns": ColumnVectors.open(path)} if named else {})}


def _record(name: str, vectors: Vectors, words: int, path: Path, *, of_text: bool) -> dict[str, Any]:
    """Return what the page holds of vectors, which are those of the file `path`; without a text, no name is a function word."""
    rows = vectors.part(0, min(words, len(vectors)))
    if isinstance(rows, SparseVectors):
        raise UsageError(f"{path}: has sparse vectors; an explorer takes dense ones, such as those of pmi-svd")
    if len(rows) < 3:
        raise UsageError(f"{path}: has {len(rows)} words; an explorer takes at least 3")
    shown = vectors.index_to_key[: len(rows)]
    landmarks = frequent_words(vectors.vocabulary, LANDMARKS) if of_text else []
    landmarks = [row for row in landmarks if row < len(rows)]
    if len(landmarks) < 3:  # such as numbers alone, or names
        landmarks = list(range(min(len(rows), LANDMARKS)))
    places, colours = _map(np.asarray(rows, np.float64), landmarks)
    squares, surprises = vectors.norms(shown)
    return {
        "name": name,
        "size": vectors.vector_size,
        "known": len(vectors),
        "words": shown,
        "first": landmarks[0],
        "landmarks": len(landmarks),
        "vectors": _text(_rounded(np.asarray(rows, np.float64))),
        "places": _text(places.astype("<f4")),
        "colours": _text(colours.astype(np.uint8)),
        "norms": _text(np.sqrt(squares).astype("<f4")),
        "surprise": _text(surprises.astype("<f4")),
    }


def _map(vectors: Floats, landmarks: list[int]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return a place in the plane (n, 2) and a colour (n,) for each vector (n, d).

    Landmarks are placed by t-SNE, other words at the weighted mean of the places of their nearest landmarks.
    """
    units = units_of(vectors)
    fixed = units[landmarks]
    at, groups = neighbourhood_map(fixed), np.array(groups_of(fixed))
    cosines = units @ fixed.T
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    weights = np.exp(8 * np.take_along_axis(cosines, near, axis=1))
    weights[np.isin(np.arange(len(units)), landmarks), 1:] = 0  # a landmark is its own nearest
    places: Floats = np.einsum("ij,ijk->ik", weights / weights.sum(axis=1, keepdims=True), at[near])
    return places, groups[near[:, 0]]


def _rounded(vectors: Floats) -> npt.NDArray[np.int8]:
    """Return vectors as whole numbers of which the largest of each row is 127: directions are kept, lengths are not."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    return np.rint(LARGEST * vectors / np.where(largest > 0, largest, 1)).astype(np.int8)


def _text(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _render(records: list[dict[str, Any]]) -> str:
    """Return the page. Words are part of its data, in which no tag can begin, and the script shows them as text."""
    script, style = ((TEMPLATES / f"explorer.{kind}").read_text("utf-8") for kind in ("js", "css"))
    style = f"{palette()}\n{style}"
    data = json.dumps(records, separators=(",", ":")).replace("<", "\\u003c")
    return (
        environment()
        .get_template("explorer.html")
        .render(
            models=records,
            names=[record["name"] for record in records],
            landmarks=max(record["landmarks"] for record in records),
            hashes={"script": _hash(script), "style": _hash(style)},
            script=script,
            style=style,
            data=data,
            version=__version__,
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""Approximate neighbour search for millions of words, by a graph stored beside the model.

The graph is HNSW (Malkov and Yashunin 2020), built by the package usearch. The cosines of the candidates that it finds are
computed exactly, so a neighbour may be missed, but no cosine is wrong. Recall is measured when the graph is built.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from cooc_engine.errors import FormatError, InputError, UsageError, advising
from cooc_engine.models.sparse_vectors import SPARSE, SparseVectors
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Shown, progress_of
from cooc_engine.runtime.types import Matrix, PathLike, Rows
from cooc_engine.storage.arrays import Bound
from cooc_engine.storage.outputs import beside, building, read_manifest, write_manifest
from cooc_engine.storage.schema import Crc, Digest, Natural
from cooc_engine.vectors.near_graph import Form, check_graph
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.search import RowReader, cosines

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BuiltIndex", "IndexedVectors", "build_index", "index_path"]

KIND, VERSION, GRAPH = "index", 2, "graph.usearch"
LINKS, TRIED = 16, 128  # links per word, and candidates examined for them (HNSW's M and efConstruction)
SEARCHED = 256  # candidates that a search keeps, at least (HNSW's ef)
SAMPLE, NEIGHBOURS = 500, 10  # words and neighbours of each by which recall is measured


_Manifest = TypedDict("_Manifest", {"vectors": Digest, "words": Natural, "crc-32": Crc, "recall": float})
"""The manifest of an index, as FORMAT.md specifies it."""


@dataclass(frozen=True)
class BuiltIndex:
    """An index that was built: its path, its number of words, and its recall, the share of exact neighbours found, 0..1."""

    path: Path
    words: int
    recall: float


class IndexedVectors(Vectors):
    """`Vectors` that use the index beside their file for cosine neighbours: `most_similar`, `neighbours`, `analogy`.

    All other methods are exact.
    """

    @classmethod
    @gated
    def open(cls, source: PathLike, *, trust_tokenizer: bool = False) -> Self:
        """Open vectors and map their index; a tokenizer is trusted or not as in `Vectors.open`.

        Raises `InputError` if there is no index, `FormatError` if it is damaged or was built from other vectors, `UsageError`
        if usearch is missing, and what `Vectors.open` raises.
        """
        vectors = super().open(source, trust_tokenizer=trust_tokenizer)
        vectors._search = GraphSearch(_open_graph(path_of(source), vectors), vectors._rows)
        return vectors


class GraphSearch:
    """A `Search` by a graph: it finds rows near a vector and computes their exact cosines."""

    def __init__(self, graph: Any, rows: RowReader) -> None:
        """Take a graph of usearch and the matrix (V, d) that it was built from."""
        self._graph, self._rows = graph, rows

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]]) -> tuple[Rows, Matrix]:
        """Return rows and cosines, (q, topn), of the nearest rows found that are not excluded, padded with row -1."""
        rows = np.full((len(queries), topn), -1, np.int64)
        values = np.full((len(queries), topn), -np.inf, np.float32)
        for at, (unit, banned) in enumerate(zip(_units(queries), exclude, strict=True)):
            found = self._graph.search(unit, min(len(self._graph), max(SEARCHED, topn + len(banned)))).keys.astype(np.int64)
            found = found[~np.isin(found, banned)]
            exact = cosines(self._rows[found], np.broadcast_to(unit, (len(found), len(unit)))).astype(np.float32)
            order = np.lexsort((found, -exact))[:topn]
            rows[at, : len(order)], values[at, : len(order)] = found[order], exact[order]
        return rows, values


def index_path(path: PathLike) -> Path:
    """Return the path of the index of a file of vectors, which lies beside it."""
    return beside(path_of(path), ".index")


@gated
def build_index(path: PathLike, *, threads: int | None = None, force: bool = False, progress: Shown = None) -> BuiltIndex:
    """Build the index of a model file, or of a file of vectors, beside it, and measure its recall.

    Raises `UsageError` if an index exists (unless `force`), if usearch is missing or the vectors are sparse, and what
    `Vectors.open` raises.
    """
    usearch, exact = _usearch(), Vectors.open(path)
    size, width = len(exact), exact.vector_size
    if isinstance(exact._rows, SparseVectors):
        raise UsageError(f"{path}: {SPARSE}")
    output, threads = index_path(path), usable_threads(threads)
    plan = {"kind": KIND, "vectors": exact.digest}
    with advising("run again"), building(output, plan, (GRAPH,), force=force, resume=True) as work:
        graph = usearch.Index(ndim=width, metric="ip", dtype="f16", connectivity=LINKS, expansion_add=TRIED)
        with progress_of(progress).stage("index", size, "words") as stage:
            for part in exact._parts(size):
                block = np.arange(part.start, part.stop)
                graph.add(block, exact.unit_rows(block), threads=threads)
                stage.advance(len(block))
        graph.expansion_search = SEARCHED
        share = _recall(graph, exact)
        _save(graph, work / GRAPH)
        fields = {"vectors": exact.digest, "words": size, "crc-32": Bound.of(work / GRAPH).crc, "recall": share}
        write_manifest(work, KIND, VERSION, fields)
    return BuiltIndex(output, size, share)


def _save(graph: Any, path: Path) -> None:
    """Write a graph; usearch does not say why it could not, which writing a little more does."""
    try:
        graph.save(str(path))
    except RuntimeError as error:
        with path.open("ab") as file:
            file.write(bytes(1 << 20))
        raise OSError(errno.EIO, f"{os.strerror(errno.EIO)}: {error}") from None


def _recall(graph: Any, vectors: Vectors) -> float:
    """Return the recall of a graph over evenly spaced words: the share of exact neighbours found; 1 if there are none."""
    rows = np.linspace(0, len(vectors) - 1, min(SAMPLE, len(vectors))).astype(np.int64)
    queries, exclude = vectors.unit_rows(rows), [[row] for row in rows.tolist()]
    wanted, _ = vectors.nearest(queries, NEIGHBOURS, exclude)
    found, _ = GraphSearch(graph, vectors._rows).nearest(queries, wanted.shape[1], exclude)
    there = wanted >= 0
    hits = (wanted[:, :, None] == found[:, None, :]).any(2) & there
    return float(hits.sum() / there.sum()) if there.any() else 1.0


def _open_graph(path: Path, vectors: Vectors) -> Any:
    usearch, place = _usearch(), index_path(path)
    if not place.exists():
        raise InputError(f"{path}: has no index; build it with: cooc-engine index {path}")
    try:
        fields = read_manifest(place, KIND, (VERSION,), _Manifest)
    except FormatError as error:
        raise FormatError(f"{error.text.removesuffix('; build it again')}; build it again with --force") from None
    if fields["vectors"] != vectors.digest:
        raise FormatError(f"{place}: was built for other vectors than {path} has now; build it again with --force")
    if not (place / GRAPH).is_file() or Bound.of(place / GRAPH).crc != fields["crc-32"]:
        raise FormatError(f"{place / GRAPH}: damaged; build it again with --force")
    check_graph(place / GRAPH, Form(len(vectors), vectors.vector_size, LINKS))
    try:
        return usearch.Index.restore(str(place / GRAPH), view=True, expansion_search=SEARCHED)
    except RuntimeError as error:
        raise FormatError(f"{place / GRAPH}: cannot be used ({error}); build it again with --force") from None


def _units(queries: Matrix) -> Matrix:
    norms = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))[:, None]
    units: Matrix = np.divide(queries, norms, out=np.zeros(queries.shape), where=norms > 0).astype(np.float32)
    return units


def _usearch() -> Any:
    """Return the module of usearch, chosen because hnswlib, the alternative, has no wheels and no release since 2023."""
    try:
        import usearch.index
    except ImportError:
        raise UsageError('approximate search needs usearch: python -m pip install "cooc_engine[approximate]"') from None
    return usearch.index

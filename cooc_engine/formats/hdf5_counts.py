"""Counts as one HDF5 file: CSR for SciPy and AnnData, and enough to restore the same directory from it (FORMAT.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.directory import KIND, READ, RELATIONS, Cooc, CoocManifest
from cooc_engine.counts.from_coo import Coordinates, build, rows_of, whole_counts
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import FreshKeywords, Run, RunKeywords
from cooc_engine.runtime.options import recorded_options
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.elements import Contents, Words, csr_element, document, element_name, vocabulary_element
from cooc_engine.storage.hdf5 import Element, Stream, write_elements
from cooc_engine.storage.outputs import refuse_file
from cooc_engine.storage.relations import check_within
from cooc_engine.storage.schema import Relation, fitted, read_json

if TYPE_CHECKING:
    import scipy.sparse
    from typing_extensions import Unpack

__all__ = ["COUNTS", "CountFile", "export_hdf5", "import_hdf5"]

COUNTS = "cooc-engine counts"
COLUMNS = "column-vocabulary"  # element of the names of columns that have some of their own
EXACT = 2**51  # for integers below this, count in float64 times denominator is off by less than 1/2
CHUNK = 1 << 18  # entries written at a time
LEAST_CHUNK = 1 << 12
CHUNK_BYTES = 40  # bytes of memory per entry being written


class _Document(TypedDict):
    """The record that holds the text of a directory's manifest."""

    manifest: str


OURS = Relation(
    "version",
    f"that of counts, {' or '.join(map(str, READ))}",
    lambda manifest: manifest.get("format") == f"cooc-engine {KIND}" and manifest["version"] in READ,
)


class CountFile:
    """Counts in an HDF5 file; opening maps the values without reading them.

    >>> export_hdf5(cooc, "counts.h5", force=True)
    >>> CountFile("counts.h5").csr().shape
    (21, 21)

    Raises `InputError` if there is no such file, `FormatError` if it is not a complete file of counts of a known version.
    """

    @gated
    def __init__(self, path: PathLike) -> None:
        self.path = path_of(path)
        self.name = str(path)
        contents = Contents.open(self.path, COUNTS)
        self.vocabulary = Vocabulary(*contents.take("vocabulary", "vocabulary"))
        self.manifest = self._read_manifest(contents.take("manifest", "document"))
        named = "column_vocabulary" in self.manifest
        self.column_names = Vocabulary(*contents.take(COLUMNS, "vocabulary")) if named else None
        self._counts: Element = contents.take("counts", "csr")
        self._counts.array("data", np.float64, (None,))
        self._values = {name: dataset.values for name, dataset in self._counts.datasets.items()}
        self._check_shape()

    def _read_manifest(self, content: Any) -> CoocManifest:
        """Return the manifest of the directory, keys in their original order, and set `options`."""
        where = element_name(self.path, "manifest")
        text = fitted(content, _Document, where)["manifest"]
        found = read_json(text.encode(errors="replace"), CoocManifest, where, OURS, *RELATIONS)
        self.options = recorded_options(CountOptions, found["options"], self.path, done="counted", redo="count")
        return found

    def _check_shape(self) -> None:
        words, found = len(self.vocabulary), self.manifest
        columns = found["columns"] if self.column_names is None else len(self.column_names)
        if self.shape != (words, found["columns"]) or self.size != found["entries"] or columns != found["columns"]:
            raise FormatError(f"{self.path}: the counts do not match its manifest; make it again")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self._counts.numbers["shape"]
        return rows, columns

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self._values["data"])

    @property
    def origin(self) -> dict[str, Any]:
        """The checksums, which identify these counts."""
        return {"counts": {name: dataset.crc for name, dataset in self._counts.datasets.items()}}

    def csr(self) -> scipy.sparse.csr_array:
        """Return the counts, once they are verified, as a (rows, columns) float64 CSR matrix over the mapped file."""
        from scipy.sparse import csr_array

        self.verify()
        check_within(self._values["indices"], 0, self.shape[1], f"{self._counts.where}/indices")
        parts = tuple(self._values[name] for name in ("data", "indices", "indptr"))
        return csr_array(parts, self.shape)

    def read(self, begin: int, end: int) -> Coordinates:
        """Return rows, columns and integer counts of entries begin:end."""
        values = whole_counts(self._values["data"][begin:end], self.manifest["denominator"], self.name, begin)
        if "remainders" in self._values:
            values += self._values["remainders"][begin:end]
        return rows_of(self._values["indptr"], begin, end), self._values["indices"][begin:end], values

    def verify(self) -> None:
        """Raise `FormatError` if the counts do not match their checksums."""
        self._counts.verify()


@gated
def export_hdf5(
    cooc: PathLike | Cooc,
    output: PathLike,
    **run: Unpack[FreshKeywords],
) -> None:
    """Write counts, the names of rows and columns, and their manifest to one HDF5 file, atomically and a piece at a time.

    >>> export_hdf5(cooc, "counts.h5", force=True)

    Raises `UsageError` if the budget is too small.
    """
    how = Run.of("export_hdf5", run, FreshKeywords)
    cooc, output, progress = Cooc.of(cooc), path_of(output), how.shown
    budget, tables = how.budget, 32 * (len(cooc.vocabulary) + (cooc.columns if cooc.rectangular else 0))
    chunk = min(CHUNK, max(LEAST_CHUNK, (budget - tables) // CHUNK_BYTES))
    plan = Plan("export", budget, {"tables of words": tables, "values": chunk * CHUNK_BYTES})
    plan.check()
    refuse_file(output, force=how.force)
    progress.say(plan.line())
    with progress.stage("export", 2 * cooc.entries, "entries") as stage:
        elements = {
            "counts": _csr(cooc, element_name(output, "counts"), chunk, stage),
            "vocabulary": _named(output, "vocabulary", cooc.vocabulary),
            "manifest": document({"manifest": json.dumps(cooc.manifest)}, output, "manifest"),
        }
        if cooc.column_names is not None:
            elements[COLUMNS] = _named(output, COLUMNS, cooc.column_names)
        write_elements(output, COUNTS, elements, force=how.force)


def _named(path: Path, name: str, words: Vocabulary) -> Element:
    return vocabulary_element(path, name, Words(words.text, words.offsets, words.counts))


def _csr(cooc: Cooc, where: str, chunk: int, stage: Stage) -> Element:
    """Return the element of the matrix; its values are computed from the mapped blocks as they are written."""
    blocks = [cooc.block_integers(block) for block in cooc.blocks]  # once, since this verifies the blocks
    shape = len(cooc.vocabulary), cooc.columns

    def pieces() -> Iterable[tuple[npt.NDArray[np.int32], npt.NDArray[Any]]]:
        for columns, values in blocks:
            for begin in range(0, len(columns), chunk):
                yield columns[begin : begin + chunk], values[begin : begin + chunk]

    def data() -> Iterable[npt.NDArray[np.float64]]:
        for _, values in pieces():
            yield values / cooc.denominator
            stage.advance(len(values))

    def remainders() -> Iterable[npt.NDArray[np.int16]]:
        for _, values in pieces():
            rounded = np.rint(values / cooc.denominator * cooc.denominator).astype(np.int64)
            yield (values.astype(np.int64) - rounded).astype(np.int16)

    def stream(values: Any, dtype: type[np.generic]) -> Stream:
        return Stream((cooc.entries,), np.dtype(dtype), values)

    parts: dict[str, npt.NDArray[Any] | Stream] = {
        "data": stream(data, np.float64),
        "indices": stream(lambda: (columns for columns, _ in pieces()), np.int32),
        "indptr": cooc.row_offsets,
        "shape": np.array(shape, np.int64),
    }
    if cooc.row_integers.max(initial=0) >= EXACT:
        parts["remainders"] = stream(remainders, np.int16)
    return csr_element(where, parts)


@gated
def import_hdf5(counts: PathLike, output: PathLike, **run: Unpack[RunKeywords]) -> Cooc:
    """Restore, byte for byte, the co-occurrence directory that a file of counts was exported from.

    >>> export_hdf5(cooc, "counts.h5", force=True)
    >>> import_hdf5("counts.h5", "restored", threads=1).digest == cooc.digest
    True

    `run` takes threads, memory, force, resume and progress. Raises what `CountFile` and `build` of `counts.from_coo` raise.
    """
    how, found = Run.of("import_hdf5", run), CountFile(counts)
    found.verify()
    return build(found, path_of(output), how)

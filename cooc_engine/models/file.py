"""Models and checkpoints: what their elements hold. FORMAT.md specifies them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.linalg.sparse import SparseRows
from cooc_engine.models.published import PUBLISHED, Published
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.storage.hdf5 import FLOAT, Dataset, Element, Stream, document, read_elements, write_elements

__all__ = [
    "READERS",
    "Model",
    "ModelData",
    "append_evaluation",
    "csr_element",
    "load_arrays",
    "open_model",
    "save_arrays",
    "save_model",
    "take",
]

MODEL = "cooc-engine model"
CHECKPOINT = "cooc-engine checkpoint"

# What each family's `parameters` must hold: V is the number of words, d the vector size, C any number of contexts.
FAMILIES: Mapping[str, Mapping[str, str]] = {
    "glove": {"words": "Vd", "contexts": "Vd", "word_bias": "V", "context_bias": "V"},
    "simpler-glove": {"words": "Vd"},
    "pmi-svd": {"words": "Vd", "contexts": "Cd", "singular_values": "d", "residuals": "d"},
    "pmi": {},
    "skipgram": {"words": "Vd"},
    "cbow": {"words": "Vd"},
    "imported": {"words": "Vd"},  # vectors of another program
}
# Families of explicit vectors: the parameters are one sparse matrix, the arrays `data`, `indices`, `indptr` and `shape`.
EXPLICIT = ("pmi",)
WORDS = {"text": np.uint8, "offsets": np.int64, "counts": np.int64}
CHUNK = 1 << 18  # numbers of a vocabulary that are looked at together
DOCUMENTS = ("config", "provenance", "history")


@dataclass(frozen=True)
class ModelData:
    """Everything that a model file holds.

    vocabulary  V words; row i of the matrices belongs to word i
    arrays      parameters by name, kept as float32; GloVe: words, contexts (V, d), word_bias, context_bias (V,); a `center`
                is subtracted from the published vectors; explicit vectors are CSR: data, indices, indptr and shape, which
                may be a `Stream`
    published   which vectors queries use: "w", "c", "w+c" or "concat"
    config      every option of every stage; as JSON holds it
    provenance  seed, versions, digests, tokeniser: where the model comes from; as JSON holds it
    history     by epoch: epoch, loss, seconds, items, lr
    evaluation  rows of `evaluate`: model, dataset, kind, value, covered, total
    """

    family: str
    vocabulary: Vocabulary
    arrays: Mapping[str, Any]
    published: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    history: Sequence[Mapping[str, float]] = ()
    evaluation: Sequence[Mapping[str, Any]] = ()


def _read_vocabulary(where: str, element: Element) -> Vocabulary:
    text = element.array("text", where, np.uint8, (None,))
    counts = element.array("counts", where, np.int64, (None,))
    offsets = element.array("offsets", where, np.int64, (len(counts) + 1,))
    element.verify(where)
    if offsets[0] != 0 or offsets[-1] != len(text) or _falls(offsets):
        raise FormatError(f"{where}/offsets do not fit the text")
    order = element.array("order", where, np.int32, (len(counts),)) if "order" in element.datasets else None
    if order is not None and any(part.min() < 0 or part.max() >= len(counts) for part in _parts(order)):
        raise FormatError(f"{where}/order does not hold rows")
    element.release()
    return Vocabulary(text, offsets, counts, order)


def _falls(values: npt.NDArray[np.int64]) -> bool:
    return any((part[1:] < part[:-1]).any() for part in _parts(values, 1))


def _parts(values: npt.NDArray[Any], overlap: int = 0) -> Iterator[npt.NDArray[Any]]:
    """Yield a mapped array in parts, so that a test of all its values takes no memory."""
    return (values[start : start + CHUNK + overlap] for start in range(0, len(values), CHUNK))


def _read_document(where: str, element: Element) -> Any:
    if "json" not in element.datasets:
        raise FormatError(f"{where} has no json")
    element.verify(where)
    try:
        return json.loads(element.datasets["json"].values.tobytes())
    except ValueError:
        raise FormatError(f"{where}/json is not JSON") from None


def _read_parameters(where: str, element: Element) -> Element:
    for name, dataset in element.datasets.items():
        element.array(name, where, FLOAT, (None,) * dataset.values.ndim)
    return element


def csr_element(where: str, parts: Mapping[str, npt.NDArray[Any] | Stream], labels: Mapping[str, str] | None = None) -> Element:
    """Make an element of a matrix by rows: data, indices, indptr and shape, and more that belongs to the entries."""
    datasets = {name: Dataset.of(values, f"{where}/{name}") for name, values in parts.items()}
    labels = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", **(labels or {})}
    version = next(version for version, kind in CSR.items() if datasets["data"].dtype == kind)
    return Element("csr", version, datasets, labels, {"shape": tuple(np.asarray(parts["shape"]).tolist())})


CSR: Mapping[int, np.dtype[Any]] = {1: np.dtype("<f8"), 2: FLOAT}  # type of the values, by version of the element


def _read_csr(where: str, element: Element) -> Element:
    rows, columns = element.numbers.get("shape", (0, 0))[:2]
    entries = element.array("data", where, CSR[element.version], (None,)).size
    for name in ("indices", "remainders"):
        if name == "indices" or name in element.datasets:
            element.array(name, where, np.int32 if name == "indices" else np.int16, (entries,))
    starts = element.array("indptr", where, np.int64, (rows + 1,))
    if (rows, columns) != tuple(element.array("shape", where, np.int64, (2,)).tolist()):
        raise FormatError(f"{where}/shape is not what the attribute says")
    if starts[0] != 0 or starts[-1] != entries or (np.diff(starts) < 0).any():
        raise FormatError(f"{where}/indptr does not fit the data")
    return element


def _read_arrays(where: str, element: Element) -> Element:
    return element


READERS: Mapping[tuple[str, int], Callable[[str, Element], Any]] = {
    ("vocabulary", 1): _read_vocabulary,
    ("parameters", 1): _read_parameters,
    ("arrays", 1): _read_arrays,
    ("csr", 1): _read_csr,
    ("csr", 2): _read_csr,
    ("document", 1): _read_document,
}


def take(path: Path, elements: Mapping[str, Element], name: str, kind: str) -> Any:
    """Return the content of a required element, by the reader of its type and version."""
    if name not in elements:
        raise FormatError(f"{path}: has no element {name}")
    element, where = elements[name], f"{path}: element {name}"
    if element.kind != kind:
        raise FormatError(f"{where} is of type {element.kind!r}, expected {kind!r}")
    return READERS[element.kind, element.version](where, element)


class Model:
    """An open model: small parts are in memory, the parameters are mapped and read-only.

    path, family, published, vocabulary, config, provenance, history, evaluation: as in `ModelData`.
    """

    def __init__(self, path: Path, data: ModelData, checksums: Mapping[str, int]) -> None:
        """Wrap what `open_model` has read; call that instead."""
        self.path, self._data, self._checksums = path, data, checksums
        self.family, self.published, self.vocabulary = data.family, data.published, data.vocabulary
        self.config, self.provenance = data.config, data.provenance
        self.history, self.evaluation = data.history, data.evaluation

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return sorted(self._data.arrays)

    @property
    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The parameters by name, mapped and read-only."""
        return self._data.arrays

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return a parameter, mapped and read-only; raises `FormatError` if the model has none of that name."""
        try:
            found: npt.NDArray[Any] = self._data.arrays[name]
            return found
        except KeyError:
            raise FormatError(f"{self.path}: has no parameter {name}; it has {', '.join(self.names)}") from None

    @functools.cached_property
    def vectors(self) -> Any:
        """The published vectors, float32: (V, d), or (V, 2d) for "concat"; sums are made at the first use and kept.

        A model with a `center` has it subtracted. `rows` gives a part of them without making all. Explicit vectors are
        `SparseVectors`, on the mapped file.
        """
        return self.rows()[:]

    def rows(self, published: str | None = None) -> Published | SparseVectors:
        """Return the published vectors, or those of another choice, to be read a part at a time.

        Raises `UsageError` for a choice that the model does not have.
        """
        arrays, chosen = self._data.arrays, published or self.published
        if self.family in EXPLICIT and chosen == "w":
            shape = tuple(self.array("shape").tolist())
            rows = SparseRows(shape, *(self.array(name) for name in ("indptr", "indices", "data")))
            return SparseVectors.of(rows, f"{self.path}: element parameters")
        if any(name not in arrays for name in PUBLISHED.get(chosen, (chosen,))):
            raise UsageError(f"{self.path}: --vectors {chosen}: the model has only {', '.join(self.names)}")
        return Published(arrays, chosen, arrays.get("center") if chosen == self.published else None)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of words and vectors, by the checksums that the file has: none of them is read."""
        made_of = [self.published, sorted(self._checksums.items())]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def data(self) -> ModelData:
        """Return the content, as `save_model` takes it."""
        return self._data


def save_model(path: Path, model: ModelData) -> None:
    """Write a model to `path`, replacing what is there only when the new file is whole.

    Equal content gives equal bytes. Raises `DivergenceError` for a value that is not finite, `UsageError` for a family
    or array that the format does not have, `ResourceError` on a full disk; then `path` is as it was.
    """
    path = Path(path)
    _check_data(model)
    size = len(model.vocabulary)
    words = {name: Dataset.of(getattr(model.vocabulary, name), f"{path}: {name}", kind) for name, kind in WORDS.items()}
    words["order"] = Dataset.of(model.vocabulary.sorted_rows(), f"{path}: order", np.int32)
    elements = {"vocabulary": Element("vocabulary", 1, words), "parameters": _parameters(path, model)}
    for name in DOCUMENTS:
        content = getattr(model, name)
        elements[name] = document(list(content) if name == "history" else dict(content), f"{path}: {name}")
    if model.evaluation:
        elements["evaluation"] = document(list(model.evaluation), f"{path}: evaluation")
    _check_shapes(f"{path}: element parameters", elements["parameters"], size)
    write_elements(path, MODEL, elements)


def _parameters(path: Path, model: ModelData) -> Element:
    labels = {"family": model.family, "published": model.published}
    if model.family in EXPLICIT:
        return csr_element(f"{path}: element parameters", model.arrays, labels)
    arrays = {name: Dataset.of(np.asarray(a), f"{path}: parameter {name}", FLOAT) for name, a in model.arrays.items()}
    return Element("parameters", 1, arrays, labels)


def _check_data(model: ModelData) -> None:
    if model.family not in FAMILIES:
        raise UsageError(f"unknown model family {model.family!r}; known: {', '.join(FAMILIES)}")
    if model.published not in PUBLISHED:
        raise UsageError(f"--vectors is {model.published!r}; it must be one of {', '.join(PUBLISHED)}")


def _check_shapes(where: str, parameters: Element, size: int) -> None:
    """Check what the family requires; `words` says what d is."""
    if (parameters.kind == "csr") != (parameters.labels["family"] in EXPLICIT):
        raise FormatError(f"{where} is of type {parameters.kind!r}, which family {parameters.labels['family']!r} does not have")
    if parameters.kind == "csr":
        parameters.array("data", where, FLOAT, (None,))
        if parameters.array("shape", where, np.int64, (2,))[0] != size or parameters.labels["published"] != "w":
            raise FormatError(f"{where} does not fit the vocabulary of {size} words")
        return
    vector_size = parameters.array("words", where, FLOAT, (size, None)).shape[1]
    lengths = {"V": size, "d": vector_size, "C": None}
    for name, axes in FAMILIES[parameters.labels["family"]].items():
        parameters.array(name, where, FLOAT, tuple(lengths[axis] for axis in axes))
    published = parameters.labels["published"]
    for name in PUBLISHED[published]:
        parameters.array(name, where, FLOAT, (size, vector_size))
    if "center" in parameters.datasets:
        parameters.array("center", where, FLOAT, (vector_size * (2 if published == "concat" else 1),))


def open_model(path: Path | str, *, verify: bool = False) -> Model:
    """Open a model without reading its parameters, which are mapped.

    Structure, vocabulary and records are always checked; with `verify` the parameters are compared with their checksums
    too. Raises `InputError` if there is no such file and `FormatError`, naming file and element, if it is not a whole
    and undamaged model of a known version.
    """
    path = Path(path)
    elements = read_elements(path, MODEL, READERS)
    vocabulary: Vocabulary = take(path, elements, "vocabulary", "vocabulary")
    sparse = "parameters" in elements and elements["parameters"].kind == "csr"
    parameters: Element = take(path, elements, "parameters", "csr" if sparse else "parameters")
    documents = {name: take(path, elements, name, "document") for name in DOCUMENTS}
    documents["evaluation"] = take(path, elements, "evaluation", "document") if "evaluation" in elements else []
    _check_documents(path, documents)
    where = f"{path}: element parameters"
    family, published = (_choice(where, parameters, *pair) for pair in (("family", FAMILIES), ("published", PUBLISHED)))
    _check_shapes(where, parameters, len(vocabulary))
    if verify:
        parameters.verify(where)
    arrays = {name: dataset.values for name, dataset in parameters.datasets.items()}
    used = {**elements["vocabulary"].datasets, **parameters.datasets}
    checksums = {name: dataset.crc for name, dataset in used.items()}
    return Model(path, ModelData(family, vocabulary, arrays, published, **documents), checksums)


def _choice(where: str, element: Element, label: str, known: Mapping[str, Any]) -> str:
    value = element.labels.get(label, "")
    if value not in known:
        raise FormatError(f"{where}: {label} is {value!r}; this program knows {', '.join(known)}")
    return value


def _check_documents(path: Path, documents: Mapping[str, Any]) -> None:
    for name, content in documents.items():
        record = name in ("config", "provenance")
        if not _is_record(content) if record else not (isinstance(content, list) and all(map(_is_record, content))):
            raise FormatError(f"{path}: element {name} does not hold a {'record' if record else 'list of records'}")


def _is_record(content: Any) -> bool:
    return isinstance(content, dict)


def append_evaluation(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add evaluation rows to a model; a row of the same dataset and kind is replaced.

    The model is written anew beside its place and renamed. Raises what `open_model` and `save_model` raise.
    """
    path = Path(path)
    data = open_model(path, verify=True).data()
    kept = {(row.get("dataset"), row.get("kind")): row for row in [*data.evaluation, *rows]}
    fields = {name: getattr(data, name) for name in ModelData.__dataclass_fields__}
    save_model(path, ModelData(**fields | {"evaluation": list(kept.values())}))


# ------------------------------------------------------------------------------------------------------ checkpoints


def save_arrays(path: Path, kind: str, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint: arrays of any number type and a record, whole or not at all.

    `kind` says what may read it. Raises `DivergenceError` for a number that is not finite, `ResourceError` on a full
    disk; then an older checkpoint at `path` is as it was.
    """
    path = Path(path)
    datasets = {name: Dataset.of(np.asarray(values), f"{path}: {name}") for name, values in arrays.items()}
    element = Element("arrays", 1, datasets, {"kind": kind})
    write_elements(path, CHECKPOINT, {"arrays": element, "meta": document(dict(meta), f"{path}: meta")})


def load_arrays(path: Path, kind: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays, mapped and read-only, and the record of a checkpoint, all compared with their checksums.

    Raises `InputError` if there is no such file and `FormatError` if it is damaged or of another kind.
    """
    path = Path(path)
    elements = read_elements(path, CHECKPOINT, READERS)
    element: Element = take(path, elements, "arrays", "arrays")
    found = element.labels.get("kind")
    if found != kind:
        raise FormatError(f"{path}: is a checkpoint of {found}, expected one of {kind}")
    element.verify(f"{path}: element arrays")
    meta: dict[str, Any] = take(path, elements, "meta", "document")
    return {name: dataset.values for name, dataset in element.datasets.items()}, meta

"""Models and checkpoints: what their elements hold. FORMAT.md specifies them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
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
from cooc_engine.storage.elements import Contents, Words, csr_element, document, element_name, vocabulary_element
from cooc_engine.storage.hdf5 import FLOAT, Dataset, Element, write_elements

__all__ = [
    "Model",
    "ModelData",
    "append_evaluation",
    "load_arrays",
    "open_model",
    "save_arrays",
    "save_model",
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
    vocabulary = model.vocabulary
    words = Words(vocabulary.text, vocabulary.offsets, vocabulary.counts, vocabulary.sorted_rows())
    elements = {"vocabulary": vocabulary_element(path, words), "parameters": _parameters(path, model)}
    for name in DOCUMENTS:
        content = getattr(model, name)
        elements[name] = document(list(content) if name == "history" else dict(content), path, name)
    if model.evaluation:
        elements["evaluation"] = document(list(model.evaluation), path, "evaluation")
    _check_shapes(elements["parameters"], size)
    write_elements(path, MODEL, elements)


def _parameters(path: Path, model: ModelData) -> Element:
    labels = {"family": model.family, "published": model.published}
    where = element_name(path, "parameters")
    if model.family in EXPLICIT:
        return csr_element(where, model.arrays, labels)
    arrays = {name: Dataset.of(np.asarray(a), f"{path}: parameter {name}", FLOAT) for name, a in model.arrays.items()}
    return Element(where, "parameters", 1, arrays, labels)


def _check_data(model: ModelData) -> None:
    if model.family not in FAMILIES:
        raise UsageError(f"unknown model family {model.family!r}; known: {', '.join(FAMILIES)}")
    if model.published not in PUBLISHED:
        raise UsageError(f"--vectors is {model.published!r}; it must be one of {', '.join(PUBLISHED)}")


def _check_shapes(parameters: Element, size: int) -> None:
    """Check what the family requires; `words` says what d is."""
    where = parameters.where
    if (parameters.kind == "csr") != (parameters.labels["family"] in EXPLICIT):
        raise FormatError(f"{where} is of type {parameters.kind!r}, which family {parameters.labels['family']!r} does not have")
    if parameters.kind == "csr":
        parameters.array("data", FLOAT, (None,))
        if parameters.array("shape", np.int64, (2,))[0] != size or parameters.labels["published"] != "w":
            raise FormatError(f"{where} does not fit the vocabulary of {size} words")
        return
    vector_size = parameters.array("words", FLOAT, (size, None)).shape[1]
    lengths = {"V": size, "d": vector_size, "C": None}
    for name, axes in FAMILIES[parameters.labels["family"]].items():
        parameters.array(name, FLOAT, tuple(lengths[axis] for axis in axes))
    published = parameters.labels["published"]
    for name in PUBLISHED[published]:
        parameters.array(name, FLOAT, (size, vector_size))
    if "center" in parameters.datasets:
        parameters.array("center", FLOAT, (vector_size * (2 if published == "concat" else 1),))


def open_model(path: Path | str, *, verify: bool = False) -> Model:
    """Open a model without reading its parameters, which are mapped.

    Structure, vocabulary and records are always checked; with `verify` the parameters are compared with their checksums
    too. Raises `InputError` if there is no such file and `FormatError`, naming file and element, if it is not a whole
    and undamaged model of a known version.
    """
    path = Path(path)
    found = Contents.open(path, MODEL)
    vocabulary = Vocabulary(*found.take("vocabulary", "vocabulary"))
    sparse = "parameters" in found and found.elements["parameters"].kind == "csr"
    parameters: Element = found.take("parameters", "csr" if sparse else "parameters")
    documents = {name: found.take(name, "document") for name in DOCUMENTS}
    documents["evaluation"] = found.take("evaluation", "document") if "evaluation" in found else []
    _check_documents(path, documents)
    family, published = (_choice(parameters, *pair) for pair in (("family", FAMILIES), ("published", PUBLISHED)))
    _check_shapes(parameters, len(vocabulary))
    if verify:
        parameters.verify()
    arrays = {name: dataset.values for name, dataset in parameters.datasets.items()}
    used = {**found.elements["vocabulary"].datasets, **parameters.datasets}
    checksums = {name: dataset.crc for name, dataset in used.items()}
    return Model(path, ModelData(family, vocabulary, arrays, published, **documents), checksums)


def _choice(element: Element, label: str, known: Mapping[str, Any]) -> str:
    value = element.labels.get(label, "")
    if value not in known:
        raise FormatError(f"{element.where}: {label} is {value!r}; this program knows {', '.join(known)}")
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
    element = Element(element_name(path, "arrays"), "arrays", 1, datasets, {"kind": kind})
    write_elements(path, CHECKPOINT, {"arrays": element, "meta": document(dict(meta), path, "meta")})


def load_arrays(path: Path, kind: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays, mapped and read-only, and the record of a checkpoint, all compared with their checksums.

    Raises `InputError` if there is no such file and `FormatError` if it is damaged or of another kind.
    """
    path = Path(path)
    contents = Contents.open(path, CHECKPOINT)
    element: Element = contents.take("arrays", "arrays")
    found = element.labels.get("kind")
    if found != kind:
        raise FormatError(f"{path}: is a checkpoint of {found}, expected one of {kind}")
    element.verify()
    meta: dict[str, Any] = contents.take("meta", "document")
    return {name: dataset.values for name, dataset in element.datasets.items()}, meta

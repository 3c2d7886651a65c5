"""Model files and checkpoints: writing and reading their elements, as specified in FORMAT.md."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UnknownArrayError, UsageError
from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.models.coded import PREFIX, codes_elements, read_codes
from cooc_engine.models.documents import checked_documents
from cooc_engine.models.families import FAMILIES, Family
from cooc_engine.models.published import RECIPES, WORDLESS, Published, Recipe
from cooc_engine.models.subwords import NgramOptions, SubwordRows
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import O, recorded_options
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike, Rows
from cooc_engine.storage.elements import Contents, Words, csr_element, document, element_name, vocabulary_element
from cooc_engine.storage.hdf5 import FLOAT, Dataset, Element, write_elements
from cooc_engine.storage.opened import Opened
from cooc_engine.storage.relations import check_words
from cooc_engine.storage.schema import fitted, read_json
from cooc_engine.storage.verified import VerifiedArrays

if TYPE_CHECKING:
    from typing_extensions import Self

    from cooc_engine.models.sparse_vectors import SparseVectors

__all__ = [
    "ModelData",
    "ModelFile",
    "append_evaluation",
    "load_arrays",
    "load_meta",
    "open_model",
    "save_arrays",
    "save_model",
]

MODEL = "cooc-engine model"
CHECKPOINT = "cooc-engine checkpoint"

RECORDS = ("config", "provenance", "history")
DOCUMENTS, IDS = "documents", "document-ids"  # the array of their vectors, and the element of their ids
NAMES = {"D": IDS, "L": "labels", "C": "column-names"}  # elements that name the rows of an axis, as the vocabulary does of V
UNNAMED = "C"  # the axis whose rows have names in some models only
NAMED_COLUMNS = 4  # version of parameters whose contexts have names of their own, and are not words
WITH_SUBWORDS = Recipe(("words",), listed="ngrams")  # how the vectors of words are made of the rows of a classifier
CENTER = {"center": "p"}  # for any family; p is the dimension of the published vectors


@dataclass(frozen=True)
class ModelData:
    """The content of a model file.

    vocabulary    V words; row i of an array whose first axis is V belongs to word i
    arrays        parameters by name, kept as float32, with the axes that the family's entry in `FAMILIES` names; a `center` is
                  subtracted from the published vectors; explicit vectors are CSR: data, indices, indptr and shape, which may
                  be a `Stream`
    published     which vectors queries use: "w", "c", "w+c" or "concat", or "none" if words have none
    config        every option of every stage, JSON-serialisable
    provenance    where the model comes from: seed, versions, digests, tokeniser; JSON-serialisable
    history       one record per epoch: epoch, loss, seconds, items, lr
    evaluation    rows of `evaluate`: model, dataset, kind, value, covered, total
    axes          axes of all arrays by name, as "V d"; those of arrays that the family does not know may be given
    document_ids  for a family with the axis D: ids of the documents, with the number of tokens of each as its count
    codes         arrays that are quantised, with the names and axes of `arrays`, in the place of these; a model that has any
                  may lack whatever its published vectors do not need
    labels        for a family with the axis L: the labels, with the number of times that each occurs
    kept          the bucket of each row of n-grams, ascending, if they are quantised and some were left out
    column_names  for a family with the axis C: the names of columns, if they are not words, with their sums for counts
    """

    family: str
    vocabulary: Vocabulary
    arrays: Mapping[str, Any]
    published: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = ()
    evaluation: Sequence[Mapping[str, Any]] = ()
    axes: Mapping[str, str] = field(default_factory=dict)
    document_ids: Vocabulary | None = None
    codes: Mapping[str, Quantised] = field(default_factory=dict)
    labels: Vocabulary | None = None
    kept: Rows | None = None
    column_names: Vocabulary | None = None

    @property
    def named(self) -> dict[str, Vocabulary]:
        """The names of the rows of further axes, by the axis."""
        found = {"D": self.document_ids, "L": self.labels, "C": self.column_names}
        return {axis: names for axis, names in found.items() if names is not None}


class ModelFile(Opened):
    """An open model file: its small parts are in memory, its parameters mapped and read-only. It can stand in for its path.

    Parameters are compared with their checksums before they are used, which raises `FormatError` if they are damaged.

    path, family, published, vocabulary, config, provenance, history, evaluation, axes, document_ids, codes, labels, kept,
    column_names: as in `ModelData`.
    """

    def __init__(self, path: Path, data: ModelData, checksums: Mapping[str, int | list[int]]) -> None:
        """Wrap what `open_model` has read; use that function instead."""
        self.path, self._data, self._checksums = path, data, checksums
        self._arrays = cast("VerifiedArrays", data.arrays).joined(data.codes)
        self.family, self.published, self.vocabulary = data.family, data.published, data.vocabulary
        self.config, self.provenance = data.config, data.provenance
        self.history, self.evaluation, self.axes = data.history, data.evaluation, data.axes
        self.document_ids, self.codes, self.labels, self.kept = data.document_ids, data.codes, data.labels, data.kept
        self.column_names = data.column_names

    @classmethod
    def open(cls, path: PathLike, *, verify: bool = False) -> Self:
        """Open a model as `open_model` does."""
        path = path_of(path)
        found = Contents.open(path, MODEL)
        data = _read(found)
        used = {**found.elements["vocabulary"].datasets, **found.elements["parameters"].datasets}
        for name in data.codes:
            used |= {f"{name}/{key}": dataset for key, dataset in found.elements[f"{PREFIX}{name}"].datasets.items()}
        model = cls(path, data, {name: dataset.crc for name, dataset in used.items()})
        if verify:
            model._arrays.verify()
        return model

    @classmethod
    def of(cls, model: ModelFile) -> Self:
        """Return an open model as one of this class."""
        return cls(model.path, model._data, model._checksums)

    def called(self, path: Path) -> Self:
        """Return the open model under another path for messages, such as that of the file that it was made from."""
        return type(self)(path, self._data, self._checksums)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path."""
        return type(self).open, (self.path.absolute(),)

    def facts(self) -> dict[str, str]:
        """Return family, numbers, loss, scores and path of the model."""
        size = {"words": f"{len(self.vocabulary):,}", "size": f"{self.vector_size:,}"}
        facts = {"family": self.family, **size, "vectors": self.published}
        for what, names in (("documents", self.document_ids), ("columns", self.column_names)):
            if names is not None:
                facts[what] = f"{len(names):,}"
        if self.history:
            facts["loss"] = f"{self.history[-1]['loss']:.4f} in epoch {len(self.history)}"
        scored = [row for row in self.evaluation if row["value"] is not None]
        return {**facts, **{f"{row['dataset']} {row['kind']}": f"{row['value']:.4f}" for row in scored}, "file": str(self.path)}

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return sorted(self._arrays)

    @property
    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The parameters by name, mapped and read-only."""
        return self._arrays

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters by name; no parameter is read for them."""
        return {name: self._arrays.rows[name].shape for name in self.names}

    @gated
    def array(self, name: str) -> npt.NDArray[Any]:
        """Return a parameter, mapped and read-only; raises `UnknownArrayError`, naming those there are, or `FormatError`."""
        found: npt.NDArray[Any] = self._reader(name).whole()
        return found

    @gated
    def reader(self, name: str) -> Any:
        """Return a parameter as an object with a `shape`, whose rows are read as an array's; raises as `array` does."""
        return self._reader(name)

    def _reader(self, name: str) -> Any:
        try:
            return self._arrays.rows[name]
        except KeyError:
            raise UnknownArrayError(f"{self.path}: has no parameter {name}; it has {', '.join(self.names)}") from None

    @property
    def vector_size(self) -> int:
        """Length of the published vectors, or of those of documents if words have none."""
        return int((self.rows() if RECIPES[self.published].needs else self.document_rows()[1]).shape[1])

    @functools.cached_property
    def matrix(self) -> Any:
        """The published vectors, float32: (V, d), or (V, 2d) for "concat"; sums are computed on first use and kept.

        A `center`, if the model has one, is subtracted. `rows` gives a part of them without computing all. Explicit vectors are
        `SparseVectors`, on the mapped file.
        """
        return self.rows()[:]

    def trained_with(self, kind: type[O]) -> O:
        """Return the options of the model's training; raises `FormatError` for those of a later version."""
        return recorded_options(kind, self.config.get("train", {}), self.path, done="trained", redo="train")

    @property
    def recorded(self) -> Mapping[str, Any]:
        """The options of the model's training as they were recorded, by us or in the file that it was imported from."""
        found: Mapping[str, Any] = self.config.get("train") or self.config.get("import", {})
        return found

    def rows(self, published: str | None = None) -> Published | SparseVectors:
        """Return the published vectors, or those of another choice ("w", "c", "w+c" or "concat"), to be read a part at a time.

        Raises `UsageError` for a choice that the model does not have, and for a model without vectors of words.
        """
        arrays, chosen, family = self._arrays, published or self.published, FAMILIES[self.family]
        if chosen not in family.published or (family.rows == "dense" and not {*RECIPES[chosen].needs} <= {*arrays}):
            raise UsageError(f"{self.path}: --vectors={chosen}: the model has only {', '.join(self.names)}")
        if not RECIPES[chosen].needs:
            raise UsageError(f"{self.path}: {WORDLESS}")
        if self.column_names is not None and chosen != "w":
            raise UsageError(f"{self.path}: --vectors={chosen}: its columns have names of their own; take w, or columns")
        if family.rows == "sparse":
            return self._sparse_rows()
        if self.labels is not None and self.subwords is not None:
            return Published(arrays.rows, WITH_SUBWORDS, lists=self.subwords.lists(self.vocabulary))
        recipe, center = RECIPES[chosen], arrays.get("center") if chosen == self.published else None
        return Published(arrays.rows, recipe, center)

    def _sparse_rows(self) -> SparseVectors:
        from cooc_engine.linalg.sparse import SparseRows  # with kernels that few commands need
        from cooc_engine.models.sparse_vectors import SparseVectors

        rows = SparseRows(tuple(self.array("shape").tolist()), *(self.array(name) for name in ("indptr", "indices", "data")))
        return SparseVectors.of(rows, element_name(self.path, "parameters"))

    @functools.cached_property
    def subwords(self) -> SubwordRows | None:
        """The rows of n-grams, which give any word a vector; None if the published vectors are not made of any."""
        family, name = FAMILIES[self.family], "subwords" if self.labels is None else "ngrams"
        if family.subwords is None or name not in self._arrays or self.published != "w":
            return None
        where, matrix = element_name(self.path, "config"), self.reader(name)
        options = fitted(self.recorded, NgramOptions, where)
        if self.labels is not None and not options["max_n"]:
            return None  # its n-grams are of words
        if len(matrix) != (options["buckets"] if self.kept is None else len(self.kept)):
            raise FormatError(f"{where}: {options['buckets']} buckets, but {len(matrix)} rows of n-grams; train again")
        return SubwordRows(family.subwords(options), matrix, self.kept)

    def document_rows(self) -> tuple[Vocabulary, Published]:
        """Return the ids of documents and their vectors; raises `UsageError` if there are none."""
        if self.document_ids is None:
            raise UsageError(f"{self.path}: has no vectors of documents; only doc2vec and jose train them")
        return self.document_ids, Published({DOCUMENTS: self._reader(DOCUMENTS)}, Recipe((DOCUMENTS,)))

    def column_rows(self) -> tuple[Vocabulary, Published]:
        """Return the names of columns, or words if they have none, and their vectors; raises `UsageError` if there are none."""
        names = self.vocabulary if self.column_names is None else self.column_names
        if "contexts" not in self._arrays or self.shapes["contexts"][:-1] != (len(names),):
            raise UsageError(f"{self.path}: has no vectors of columns; pmi-svd trains them")
        return names, Published({"contexts": self._reader("contexts")}, Recipe(("contexts",)))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 that identifies words and vectors, from the checksums stored in the file, without reading the data."""
        made_of = [self.published, sorted(self._checksums.items())]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def data(self) -> ModelData:
        """Return the content, as `save_model` takes it."""
        return self._data


def save_model(path: Path, model: ModelData, *, force: bool = True) -> None:
    """Write a model to `path`; with `force`, an existing file is replaced, only when the new one is complete.

    Equal content gives equal bytes. Raises `DivergenceError` for a value that is not finite, `UsageError` for a family
    or array that the format does not have, `ResourceError` on a full disk; then `path` is as it was.
    """
    path = path_of(path)
    _check_data(model)
    elements = {"vocabulary": _named(path, "vocabulary", model.vocabulary), "parameters": _parameters(path, model)}
    elements |= {NAMES[axis]: _named(path, NAMES[axis], names) for axis, names in model.named.items()}
    elements |= {name: document(getattr(model, name), path, name) for name in RECORDS}
    elements |= codes_elements(path, model.codes, model.kept)
    if model.evaluation:
        elements["evaluation"] = document(model.evaluation, path, "evaluation")
    _read(Contents(path, elements))  # what would be refused later is not written
    write_elements(path, MODEL, elements, force=force)


def _named(path: Path, name: str, rows: Vocabulary) -> Element:
    """Make the element that names the rows of an axis: by words, ids of documents, or labels."""
    check_words(rows.text, rows.offsets, rows.counts, element_name(path, name))
    return vocabulary_element(path, name, Words(rows.text, rows.offsets, rows.counts, rows.sorted_rows()))


def _parameters(path: Path, model: ModelData) -> Element:
    labels = {"family": model.family, "published": model.published}
    where = element_name(path, "parameters")
    family = FAMILIES[model.family]
    if family.rows == "sparse":
        return csr_element(where, model.arrays, labels)
    arrays = {name: Dataset.of_parameter(np.asarray(a), f"{path}: parameter {name}") for name, a in model.arrays.items()}
    dimensions = {name: np.ndim(values) for name, values in {**model.arrays, **model.codes}.items()}
    axes = {name: axes_of(name, ndim, family, model.axes) for name, ndim in dimensions.items()}
    version = 3 if model.column_names is None else NAMED_COLUMNS
    return Element(where, "parameters", version, arrays, {**labels, "axes": json.dumps(axes, sort_keys=True)})


def axes_of(name: str, ndim: int, family: Family, given: Mapping[str, str]) -> str:
    """Return the axes of an array: those that its family gives it, or else those `given`, or else new ones of its own."""
    own = " ".join(f"{name}-{axis}" for axis in range(ndim))
    return {name: own, **given, **CENTER, **family.arrays}[name]


def _check_data(model: ModelData) -> None:
    if model.family not in FAMILIES:
        raise UsageError(f"unknown model family {model.family!r}; known: {', '.join(FAMILIES)}")
    known = FAMILIES[model.family].published
    if model.published not in known:
        raise UsageError(f"--vectors is {model.published!r}; it must be one of {', '.join(known)}")


def _check_parameters(parameters: Element, sizes: Mapping[str, int]) -> dict[str, str]:
    """Check an element against its family's entry and return the axes of its arrays; raises `FormatError`.

    `sizes` has the lengths of the axes that follow from other elements: of V, N, and each axis whose rows have names.
    """
    size = sizes["V"]
    name = parameters.labels["family"]
    family = FAMILIES[name]
    letters = {letter for axes in family.arrays.values() for letter in axes.split()}
    needless = [element for axis, element in NAMES.items() if axis in sizes and axis not in letters]
    if needless:
        raise FormatError(f"{parameters.where}: the file has an element {needless[0]}, of which family {name!r} has no rows")
    if (parameters.kind == "csr") != (family.rows == "sparse"):
        raise FormatError(f"{parameters.where} is of type {parameters.kind!r}, which family {name!r} does not have")
    if parameters.kind == "csr":
        parameters.array("data", FLOAT, (None,))
        rows, columns = parameters.array("shape", np.int64, (2,)).tolist()
        if rows != size or columns != sizes.get("C", columns) or parameters.labels["published"] not in family.published:
            raise FormatError(f"{parameters.where} does not fit the vocabulary of {size} words")
        return {}
    if ("C" in sizes) != (parameters.version == NAMED_COLUMNS):
        raise FormatError(f"{parameters.where} is of version {parameters.version}, which does not fit the names of its columns")
    axes = _read_axes(parameters, family)
    _check_lengths(parameters, axes, dict(sizes))
    used = {letter for letters in axes.values() for letter in letters.split()}
    missing = [name for axis, name in NAMES.items() if axis in used - {*UNNAMED} and axis not in sizes]
    if missing:
        raise FormatError(f"{parameters.where}: its rows have names, but the file has no element {missing[0]}")
    _check_published(parameters, size)
    if "C" in sizes and parameters.labels["published"] != "w":
        raise FormatError(f"{parameters.where}: its columns have names of their own, but published is not 'w'")
    return axes


def _read_axes(parameters: Element, family: Family) -> dict[str, str]:
    """Return the axes of all arrays, those of the family first; version 1 did not record them."""
    where, found = parameters.where, parameters.datasets
    missing = [name for name in family.arrays if name not in found and name not in family.optional]
    if missing and not any(isinstance(dataset.values, Quantised) for dataset in found.values()):
        raise FormatError(f"{where} has no {missing[0]}")
    known = {**family.arrays, **CENTER}
    recorded = _recorded_axes(parameters) if parameters.version > 1 else {}
    wrong = [name for name, axes in recorded.items() if axes != known.get(name, axes)]
    if wrong:
        raise FormatError(f"{where}/{wrong[0]} has the axes {recorded[wrong[0]]!r}, expected {known[wrong[0]]!r}")
    names = sorted(found, key=lambda name: ([*known, name].index(name), name))
    return {name: axes_of(name, found[name].values.ndim, family, recorded) for name in names}


def _recorded_axes(parameters: Element) -> dict[str, str]:
    axes = read_json(parameters.labels.get("axes", "").encode(), dict[str, str], f"{parameters.where}: attribute axes")
    if axes.keys() != parameters.datasets.keys():
        raise FormatError(f"{parameters.where}: attribute axes does not name the axes of each array")
    return axes


def _check_lengths(parameters: Element, axes: Mapping[str, str], lengths: dict[str, int]) -> None:
    """Check that each axis has the same length in all arrays, namely the one in `lengths` if it is there."""
    for name, letters in axes.items():
        found = parameters.array(name, FLOAT, tuple(lengths.get(letter) for letter in letters.split()))
        lengths.update(zip(letters.split(), found.shape, strict=True))


def _check_published(parameters: Element, size: int) -> None:
    """Check that the arrays from which the vectors are made exist and have matching shapes."""
    published, known = parameters.labels["published"], FAMILIES[parameters.labels["family"]].published
    if published not in known:
        raise FormatError(f"{parameters.where}: published is {published!r}; its family has {', '.join(known)}")
    recipe = RECIPES[published]
    width = parameters.array(recipe.needs[0], FLOAT, (None, None)).shape[1] if recipe.needs else 0
    for name in recipe.needs:
        parameters.array(name, FLOAT, (None if name == recipe.listed else size, width))
    if "center" in parameters.datasets:
        parameters.array("center", FLOAT, (recipe.width(width),))


def open_model(path: PathLike, *, verify: bool = False) -> ModelFile:
    """Open a model without reading its parameters, which are mapped, and verified when they are first read.

    Structure, vocabulary and records are checked now; with `verify` so are all parameters. Raises `InputError` if there is no
    such file and `FormatError`, naming file and element, if it is not a complete, undamaged model of a known version.
    """
    return ModelFile.open(path, verify=verify)


def _read(found: Contents) -> ModelData:
    """Return the content of a model, of which structure, vocabulary and records are checked."""
    vocabulary = Vocabulary(*found.take("vocabulary", "vocabulary"))
    sparse = "parameters" in found and found.elements["parameters"].kind == "csr"
    parameters: Element = found.take("parameters", "csr" if sparse else "parameters")
    named = {axis: Vocabulary(*found.take(name, "vocabulary")) for axis, name in NAMES.items() if name in found}
    records = {name: found.take(name, "document") for name in RECORDS}
    records["evaluation"] = found.take("evaluation", "document") if "evaluation" in found else []
    checked = checked_documents(records, f"{found.path}")
    family, published = (_choice(parameters, *pair) for pair in (("family", FAMILIES), ("published", RECIPES)))
    codes, kept = read_codes(found)
    sizes = {"V": len(vocabulary), "N": len(vocabulary) - 1, **{axis: len(names) for axis, names in named.items()}}
    axes = _check_parameters(_with_codes(parameters, codes), sizes)
    parts = named.get("D"), codes, named.get("L"), kept
    arrays, columns = VerifiedArrays(parameters), named.get("C")
    return ModelData(family, vocabulary, arrays, published, *checked, axes, *parts, column_names=columns)


def _with_codes(parameters: Element, codes: Mapping[str, Quantised]) -> Element:
    """Return the parameters together with the quantised ones, so that all are checked in the same way."""
    twice = sorted(parameters.datasets.keys() & codes.keys())
    if twice:
        raise FormatError(f"{parameters.where}/{twice[0]} is quantised too")
    return replace(parameters, datasets={**parameters.datasets, **{name: Dataset(m, FLOAT, ()) for name, m in codes.items()}})


def _choice(element: Element, label: str, known: Mapping[str, Any]) -> str:
    value = element.labels.get(label, "")
    if value not in known:
        raise FormatError(f"{element.where}: {label} is {value!r}; this program knows {', '.join(known)}")
    return value


def append_evaluation(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add evaluation rows to a model; a row of the same dataset and kind is replaced.

    The model is rewritten to a file beside it, which then replaces it. Raises what `open_model` and `save_model` raise.
    """
    path = path_of(path)
    data = open_model(path, verify=True).data()
    kept = {(row["dataset"], row["kind"]): row for row in [*data.evaluation, *rows]}
    fields = {name: getattr(data, name) for name in ModelData.__dataclass_fields__}
    save_model(path, ModelData(**fields | {"evaluation": list(kept.values())}))


# ------------------------------------------------------------------------------------------------------ checkpoints


def save_arrays(path: Path, kind: str, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint, arrays of any number type and a record, completely or not at all.

    `kind` identifies the training that may read it. Raises `DivergenceError` for a number that is not finite, `ResourceError`
    on a full disk; then an older checkpoint at `path` is left unchanged.
    """
    path = path_of(path)
    datasets = {name: Dataset.of(np.asarray(values), f"{path}: {name}") for name, values in arrays.items()}
    element = Element(element_name(path, "arrays"), "arrays", 1, datasets, {"kind": kind})
    write_elements(path, CHECKPOINT, {"arrays": element, "meta": document(dict(meta), path, "meta")})


def load_meta(path: Path) -> dict[str, Any]:
    """Return the record of a checkpoint without reading its arrays; raises as `load_arrays` does."""
    meta: dict[str, Any] = Contents.open(path, CHECKPOINT).take("meta", "document")
    return meta


def load_arrays(path: Path, kind: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays, mapped and read-only, and the record of a checkpoint, all compared with their checksums.

    Raises `InputError` if there is no such file and `FormatError` if it is damaged or of another kind.
    """
    path = path_of(path)
    contents = Contents.open(path, CHECKPOINT)
    element: Element = contents.take("arrays", "arrays")
    found = element.labels.get("kind")
    if found != kind:
        raise FormatError(f"{path}: is a checkpoint of {found}, expected one of {kind}")
    element.verify()
    meta: dict[str, Any] = contents.take("meta", "document")
    return {name: dataset.values for name, dataset in element.datasets.items()}, meta

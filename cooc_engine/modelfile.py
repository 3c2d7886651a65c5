"""Models and checkpoints in HDF5: the one module that talks to h5py. FORMAT.md specifies the layout.

A file is made of elements: groups with a type and a version, holding contiguous datasets with a checksum each. HDF5
keeps the structure (with its own checksums); the values are written and mapped by us at the places that it assigns, so
a model opens without being read, and a full disk fails in a plain `write`.
"""

from __future__ import annotations

import functools
import json
import mmap
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from cooc_engine.errors import CoocError, DivergenceError, FormatError, InputError, UsageError
from cooc_engine.store import disk_errors, locked, part_path
from cooc_engine.vocab import Vocabulary

__all__ = ["Model", "ModelData", "append_evaluation", "load_arrays", "open_model", "save_arrays", "save_model"]

MODEL = "cooc-engine model"
CHECKPOINT = "cooc-engine checkpoint"
VERSION = 1
SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHUNK = 1 << 22  # bytes that are checked, converted or written at a time
FLOAT = np.dtype("<f4")

# What each family's `parameters` must hold: V is the number of words, d the vector size.
FAMILIES: Mapping[str, Mapping[str, str]] = {
    "glove": {"words": "Vd", "contexts": "Vd", "word_bias": "V", "context_bias": "V"},
}
# What queries use, as the arrays that each choice needs.
PUBLISHED = {"w": ("words",), "c": ("contexts",), "w+c": ("words", "contexts"), "concat": ("words", "contexts")}
WORDS = {"text": np.uint8, "offsets": np.int64, "counts": np.int64}
DOCUMENTS = ("config", "provenance", "history")


@dataclass(frozen=True)
class ModelData:
    """Everything that a model file holds.

    vocabulary  V words; row i of the matrices belongs to word i
    arrays      parameters by name, kept as float32; GloVe: words, contexts (V, d), word_bias, context_bias (V,)
    published   which vectors queries use: "w", "c", "w+c" or "concat"
    config      every option of every stage; as JSON holds it
    provenance  seed, versions, digests, tokeniser: where the model comes from; as JSON holds it
    history     by epoch: epoch, loss, seconds, items, lr
    evaluation  rows of `evaluate`: model, dataset, kind, value, covered, total
    """

    family: str
    vocabulary: Vocabulary
    arrays: Mapping[str, npt.NDArray[Any]]
    published: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    history: Sequence[Mapping[str, float]] = ()
    evaluation: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class _Dataset:
    """Values on their way to or from a file, and the CRC-32 of their bytes as `dtype`."""

    values: npt.NDArray[Any]
    dtype: np.dtype[Any]
    crc: int

    @classmethod
    def of(cls, values: npt.NDArray[Any], where: str, dtype: npt.DTypeLike | None = None) -> _Dataset:
        """Take values for writing; raises `DivergenceError` if one is not finite."""
        wanted = np.dtype(values.dtype if dtype is None else dtype).newbyteorder("<")
        crc = 0
        for chunk in _chunks(values, wanted):
            if wanted.kind == "f" and not np.isfinite(chunk).all():
                raise DivergenceError(f"{where} holds values that are not finite; nothing was written; lower --lr")
            crc = zlib.crc32(chunk.view(np.uint8).data, crc)
        return cls(values, wanted, crc)

    def write(self, file: BinaryIO) -> None:
        for chunk in _chunks(self.values, self.dtype):
            data = chunk.view(np.uint8).data
            while data:
                data = data[file.write(data) :]

    def verify(self, where: str) -> None:
        crc = 0
        for chunk in _chunks(self.values, self.dtype):
            crc = zlib.crc32(chunk.view(np.uint8).data, crc)
        if crc != self.crc:
            raise FormatError(f"{where} is damaged (checksum differs)")


def _chunks(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the values as flat arrays of `dtype`, about CHUNK bytes each: padded rows are never copied whole."""
    rows = np.atleast_1d(values)
    step = max(1, CHUNK * len(rows) // max(1, rows.size * dtype.itemsize))
    for start in range(0, len(rows) if rows.size else 0, step):
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which the caller refuses
            yield np.ascontiguousarray(rows[start : start + step], dtype).reshape(-1)


@dataclass(frozen=True)
class _Element:
    """A group of a file: its type and version, its labels and its datasets."""

    kind: str
    version: int
    datasets: Mapping[str, _Dataset]
    labels: Mapping[str, str] = field(default_factory=dict)

    def array(self, name: str, where: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """Return a dataset, mapped, after checking that it is there, of this type and shape (None: any length)."""
        if name not in self.datasets:
            raise FormatError(f"{where} has no {name}")
        found = self.datasets[name]
        actual = found.values.shape
        if found.dtype != np.dtype(dtype).newbyteorder("<"):
            raise FormatError(f"{where}/{name} holds {found.dtype}, expected {np.dtype(dtype)}")
        if len(actual) != len(shape) or any(s is not None and s != a for s, a in zip(shape, actual, strict=True)):
            wanted = " x ".join("any" if s is None else str(s) for s in shape)
            raise FormatError(f"{where}/{name} has the shape {' x '.join(map(str, actual))}, expected {wanted}")
        return found.values

    def verify(self, where: str) -> None:
        """Compare all values with their checksums."""
        for name, dataset in self.datasets.items():
            dataset.verify(f"{where}/{name}")


# ---------------------------------------------------------------------------------------------------------- writing


def _document(content: Any, where: str) -> _Element:
    """Make an element of anything that JSON can hold."""
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False, default=_plain)
    except ValueError:
        raise DivergenceError(f"{where} holds a number that is not finite; nothing was written; lower --lr") from None
    return _Element("document", 1, {"json": _Dataset.of(np.array(text.encode()), where)})


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be recorded in a file")


def _write(path: Path, form: str, elements: Mapping[str, _Element]) -> None:
    """Write a file beside its place and rename it there; on any error nothing is left."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory; make it or choose another --output")
    work = part_path(path)
    with disk_errors(path), locked(work):
        try:
            places = _write_structure(work, form, elements)
            with work.open("r+b", buffering=0) as file:
                for (element, name), place in places.items():
                    file.seek(place)
                    elements[element].datasets[name].write(file)
                os.fsync(file.fileno())
            with _writing(), h5py.File(work, "r+", libver=("v108", "v108"), locking=False) as whole:
                whole.attrs.modify("complete", np.uint8(1))
            work.replace(path)
        except BaseException:
            work.unlink(missing_ok=True)
            raise


def _write_structure(work: Path, form: str, elements: Mapping[str, _Element]) -> dict[tuple[str, str], int]:
    """Write all but the values; return the byte offset at which each dataset's belong.

    The format of HDF5 1.8 has checksums over all of its structure and is read by every later version.
    """
    places = {}
    with _writing(), h5py.File(work, "w", libver=("v108", "v108"), locking=False, **_ALIGNED) as file:
        file.attrs["format"] = np.bytes_(form)
        file.attrs["format-version"] = np.uint32(VERSION)
        file.attrs["complete"] = np.uint8(0)
        for name, element in sorted(elements.items()):
            group = file.create_group(name)
            group.attrs["element-type"] = np.bytes_(element.kind)
            group.attrs["element-version"] = np.uint32(element.version)
            for label, text in sorted(element.labels.items()):
                group.attrs[label] = np.bytes_(text)
            for key, dataset in sorted(element.datasets.items()):
                place = _create_dataset(group, key, dataset)
                if place is not None:
                    places[name, key] = place
    return places


_ALIGNED = {"alignment_threshold": 1, "alignment_interval": 64}  # so that mapped rows suit vector instructions


def _create_dataset(group: h5py.Group, name: str, dataset: _Dataset) -> int | None:
    """Reserve room for a dataset without writing to it; return its offset in the file, None if it is empty."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    space = h5py.h5s.create_simple(dataset.values.shape) if dataset.values.ndim else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(dataset.dtype, logical=True)
    created = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, properties))
    created.attrs["crc-32"] = np.uint32(dataset.crc)
    place: int | None = created.id.get_offset()
    return place


@contextmanager
def _writing() -> Iterator[None]:
    """Give HDF5's errors the error number that they mention, so that a full disk is known as one."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


# ---------------------------------------------------------------------------------------------------------- reading


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever h5py raises on a damaged file, which is nearly anything, into one line."""
    try:
        yield
    except CoocError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split())
        reason = "truncated" if "truncated" in detail else f"damaged HDF5 structure: {detail[:200]}"
        raise FormatError(f"{path}: {reason}") from None


def _read(path: Path, form: str) -> dict[str, _Element]:
    """Return the elements of a file, their values mapped and not yet read."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with file, _reading(path):
        head = file.read(len(SIGNATURE))
        if head != SIGNATURE:
            raise FormatError(f"{path}: {'not an HDF5 file' if head else 'empty file'}, expected a {form}")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with h5py.File(path, "r", locking=False) as structure:
            _check_root(path, structure, form)
            elements = {name: _read_element(path, name, structure, mapped) for name in structure}
        if not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise FormatError(f"{path}: was replaced while it was opened; try again")
    return elements


def _check_root(path: Path, file: h5py.File, form: str) -> None:
    if "format" not in file.attrs:
        raise FormatError(f"{path}: an HDF5 file, but not of cooc-engine (expected a {form})")
    found = _label(file, "format", f"{path}")
    if found != form:
        raise FormatError(f"{path}: is a {found}, expected a {form}")
    version = _number(file, "format-version", f"{path}")
    if version != VERSION:
        raise FormatError(f"{path}: {form} version {version}; this program reads version {VERSION}")
    if _number(file, "complete", f"{path}") != 1:
        raise FormatError(f"{path}: half-written; make it again")


def _label(owner: h5py.Group, name: str, where: str) -> str:
    value = owner.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise FormatError(f"{where}: attribute {name} is missing or not a string")
    return value


def _number(owner: h5py.Group | h5py.Dataset, name: str, where: str) -> int:
    value = owner.attrs.get(name)
    if not isinstance(value, np.integer):
        raise FormatError(f"{where}: attribute {name} is missing or not a whole number")
    return int(value)


def _member(owner: h5py.Group, name: str, where: str) -> Any:
    """Return a group or dataset; a link, which could lead to another file, is not followed."""
    if not isinstance(owner.get(name, getlink=True), h5py.HardLink):
        raise FormatError(f"{where} is a link")
    try:
        return owner[name]
    except (KeyError, OSError, RuntimeError) as error:
        raise FormatError(f"{where} cannot be opened ({' '.join(str(error).split())})") from None


def _read_element(path: Path, name: str, file: h5py.File, mapped: mmap.mmap) -> _Element:
    where = f"{path}: element {name}"
    group = _member(file, name, where)
    if not isinstance(group, h5py.Group):
        raise FormatError(f"{where} is not a group")
    kind, version = _label(group, "element-type", where), _number(group, "element-version", where)
    if (kind, version) not in READERS:
        known = ", ".join(str(v) for k, v in READERS if k == kind)
        hint = f"reads version {known}" if known else "does not know it; a newer one may"
        raise FormatError(f"{where} is of type {kind!r} version {version}; this program {hint}")
    labels = {key: _label(group, key, where) for key in group.attrs if not key.startswith("element-")}
    datasets = {key: _map_dataset(f"{where}/{key}", _member(group, key, f"{where}/{key}"), mapped) for key in group}
    return _Element(kind, version, datasets, labels)


def _map_dataset(where: str, dataset: Any, mapped: mmap.mmap) -> _Dataset:
    """Return a dataset's values as an array on the mapped file."""
    if not isinstance(dataset, h5py.Dataset):
        raise FormatError(f"{where} is not a dataset")
    crc = _number(dataset, "crc-32", where)
    dtype, shape = dataset.dtype, dataset.shape
    if shape is None or dtype.hasobject:
        raise FormatError(f"{where} holds no plain values")
    count = int(np.prod(shape, dtype=object))
    if count == 0:
        return _Dataset(np.empty(shape, dtype), dtype, crc)
    place = dataset.id.get_offset()
    if place is None or dataset.chunks is not None:
        raise FormatError(f"{where} is not contiguous and uncompressed; another program rewrote the file")
    if place + count * dtype.itemsize > len(mapped):
        raise FormatError(f"{where} lies beyond the end of the file; truncated")
    return _Dataset(np.frombuffer(mapped, dtype, count, place).reshape(shape), dtype, crc)


def _read_vocabulary(where: str, element: _Element) -> Vocabulary:
    text = element.array("text", where, np.uint8, (None,))
    counts = element.array("counts", where, np.int64, (None,))
    offsets = element.array("offsets", where, np.int64, (len(counts) + 1,))
    element.verify(where)
    if offsets[0] != 0 or offsets[-1] != len(text) or (np.diff(offsets) < 0).any():
        raise FormatError(f"{where}/offsets do not fit the text")
    return Vocabulary(text, offsets, counts)


def _read_document(where: str, element: _Element) -> Any:
    if "json" not in element.datasets:
        raise FormatError(f"{where} has no json")
    element.verify(where)
    try:
        return json.loads(element.datasets["json"].values.tobytes())
    except ValueError:
        raise FormatError(f"{where}/json is not JSON") from None


def _read_parameters(where: str, element: _Element) -> _Element:
    for name, dataset in element.datasets.items():
        element.array(name, where, FLOAT, (None,) * dataset.values.ndim)
    return element


def _read_arrays(where: str, element: _Element) -> _Element:
    return element


READERS: Mapping[tuple[str, int], Callable[[str, _Element], Any]] = {
    ("vocabulary", 1): _read_vocabulary,
    ("parameters", 1): _read_parameters,
    ("arrays", 1): _read_arrays,
    ("document", 1): _read_document,
}


def _take(path: Path, elements: Mapping[str, _Element], name: str, kind: str) -> Any:
    """Return the content of a required element, by the reader of its type and version."""
    if name not in elements:
        raise FormatError(f"{path}: has no element {name}")
    element, where = elements[name], f"{path}: element {name}"
    if element.kind != kind:
        raise FormatError(f"{where} is of type {element.kind!r}, expected {kind!r}")
    return READERS[element.kind, element.version](where, element)


# ----------------------------------------------------------------------------------------------------------- models


class Model:
    """An open model: small parts are in memory, the parameters are mapped and read-only.

    path, family, published, vocabulary, config, provenance, history, evaluation: as in `ModelData`.
    """

    def __init__(self, path: Path, data: ModelData) -> None:
        """Wrap what `open_model` has read; call that instead."""
        self.path, self._data = path, data
        self.family, self.published, self.vocabulary = data.family, data.published, data.vocabulary
        self.config, self.provenance = data.config, data.provenance
        self.history, self.evaluation = data.history, data.evaluation

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return sorted(self._data.arrays)

    def array(self, name: str) -> npt.NDArray[np.float32]:
        """Return a parameter, mapped and read-only; raises `FormatError` if the model has none of that name."""
        try:
            return self._data.arrays[name]
        except KeyError:
            raise FormatError(f"{self.path}: has no parameter {name}; it has {', '.join(self.names)}") from None

    @functools.cached_property
    def vectors(self) -> npt.NDArray[np.float32]:
        """The published vectors, float32: (V, d), or (V, 2d) for "concat"; sums are made at the first use and kept."""
        parts = [self.array(name) for name in PUBLISHED[self.published]]
        if len(parts) == 1:
            return parts[0]
        if self.published == "concat":
            return np.concatenate(parts, axis=1)
        return parts[0] + parts[1]

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
    words = {name: _Dataset.of(getattr(model.vocabulary, name), f"{path}: {name}", kind) for name, kind in WORDS.items()}
    arrays = {name: _Dataset.of(np.asarray(a), f"{path}: parameter {name}", FLOAT) for name, a in model.arrays.items()}
    elements = {
        "vocabulary": _Element("vocabulary", 1, words),
        "parameters": _Element("parameters", 1, arrays, {"family": model.family, "published": model.published}),
    }
    for name in DOCUMENTS:
        content = getattr(model, name)
        elements[name] = _document(list(content) if name == "history" else dict(content), f"{path}: {name}")
    if model.evaluation:
        elements["evaluation"] = _document(list(model.evaluation), f"{path}: evaluation")
    _check_shapes(f"{path}: element parameters", elements["parameters"], size)
    _write(path, MODEL, elements)


def _check_data(model: ModelData) -> None:
    if model.family not in FAMILIES:
        raise UsageError(f"unknown model family {model.family!r}; known: {', '.join(FAMILIES)}")
    if model.published not in PUBLISHED:
        raise UsageError(f"--vectors is {model.published!r}; it must be one of {', '.join(PUBLISHED)}")


def _check_shapes(where: str, parameters: _Element, size: int) -> None:
    """Check what the family requires; `words` says what d is."""
    vector_size = parameters.array("words", where, FLOAT, (size, None)).shape[1]
    lengths = {"V": size, "d": vector_size}
    for name, axes in FAMILIES[parameters.labels["family"]].items():
        parameters.array(name, where, FLOAT, tuple(lengths[axis] for axis in axes))
    for name in PUBLISHED[parameters.labels["published"]]:
        parameters.array(name, where, FLOAT, (size, vector_size))


def open_model(path: Path | str, *, verify: bool = False) -> Model:
    """Open a model without reading its parameters, which are mapped.

    Structure, vocabulary and records are always checked; with `verify` the parameters are compared with their checksums
    too. Raises `InputError` if there is no such file and `FormatError`, naming file and element, if it is not a whole
    and undamaged model of a known version.
    """
    path = Path(path)
    elements = _read(path, MODEL)
    vocabulary: Vocabulary = _take(path, elements, "vocabulary", "vocabulary")
    parameters: _Element = _take(path, elements, "parameters", "parameters")
    documents = {name: _take(path, elements, name, "document") for name in DOCUMENTS}
    documents["evaluation"] = _take(path, elements, "evaluation", "document") if "evaluation" in elements else []
    _check_documents(path, documents)
    where = f"{path}: element parameters"
    family, published = (_choice(where, parameters, *pair) for pair in (("family", FAMILIES), ("published", PUBLISHED)))
    _check_shapes(where, parameters, len(vocabulary))
    if verify:
        parameters.verify(where)
    arrays = {name: dataset.values for name, dataset in parameters.datasets.items()}
    return Model(path, ModelData(family, vocabulary, arrays, published, **documents))


def _choice(where: str, element: _Element, label: str, known: Mapping[str, Any]) -> str:
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
    datasets = {name: _Dataset.of(np.asarray(values), f"{path}: {name}") for name, values in arrays.items()}
    element = _Element("arrays", 1, datasets, {"kind": kind})
    _write(path, CHECKPOINT, {"arrays": element, "meta": _document(dict(meta), f"{path}: meta")})


def load_arrays(path: Path, kind: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays, mapped and read-only, and the record of a checkpoint, all compared with their checksums.

    Raises `InputError` if there is no such file and `FormatError` if it is damaged or of another kind.
    """
    path = Path(path)
    elements = _read(path, CHECKPOINT)
    element: _Element = _take(path, elements, "arrays", "arrays")
    found = element.labels.get("kind")
    if found != kind:
        raise FormatError(f"{path}: is a checkpoint of {found}, expected one of {kind}")
    element.verify(f"{path}: element arrays")
    meta: dict[str, Any] = _take(path, elements, "meta", "document")
    return {name: dataset.values for name, dataset in element.datasets.items()}, meta

"""The element types: how each is written, and how it is checked when it is read. FORMAT.md specifies them.

Reading an element gives arrays or JSON values; the rooms that use them give them their meaning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import DivergenceError, FormatError
from cooc_engine.runtime.types import Counts
from cooc_engine.storage.hdf5 import FLOAT, LARGEST, UNWRITTEN, Dataset, Element, Stream, read_elements
from cooc_engine.storage.relations import check_offsets, check_within, check_words
from cooc_engine.storage.schema import Natural, Positive, fitted, parse_json

__all__ = ["Contents", "Words", "csr_element", "document", "element_name", "vocabulary_element"]

CENTROIDS = 256  # of each part of a quantised matrix, so that a code is a byte
CSR: Mapping[int, np.dtype[Any]] = {1: np.dtype("<f8"), 2: FLOAT}  # type of the values, by version of the element


def element_name(path: Path, name: str) -> str:
    """Return the name of an element for messages."""
    return f"{path}: element {name}"


class Words(NamedTuple):
    """A vocabulary as arrays, in the order of the arguments of `Vocabulary`.

    text (bytes,) uint8, offsets (V + 1,) int64, counts (V,) int64, and order (V,) int32, None if the file has none.
    """

    text: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    counts: Counts
    order: npt.NDArray[np.int32] | None = None


WORDS: Mapping[str, npt.DTypeLike] = {"text": np.uint8, "offsets": np.int64, "counts": np.int64, "order": np.int32}


# ---------------------------------------------------------------------------------------------------------- writing


def vocabulary_element(path: Path, name: str, words: Words) -> Element:
    """Make an element of type `vocabulary`."""
    given = {name: values for name, values in words._asdict().items() if values is not None}
    datasets = {name: Dataset.of(values, f"{path}: {name}", WORDS[name]) for name, values in given.items()}
    return Element(element_name(path, name), "vocabulary", 1, datasets)


def document(content: Any, path: Path, name: str) -> Element:
    """Make an element of anything that JSON can hold."""
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False, default=_plain)
    except ValueError:
        raise DivergenceError(f"{path}: {name} holds a number that is not finite; {UNWRITTEN}") from None
    where = element_name(path, name)
    return Element(where, "document", 1, {"json": Dataset.of(np.array(text.encode()), where)})


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be recorded in a file")


def csr_element(where: str, parts: Mapping[str, npt.NDArray[Any] | Stream], labels: Mapping[str, str] | None = None) -> Element:
    """Make an element of a CSR matrix: data, indices, indptr and shape, and possibly further arrays, one value per entry."""
    datasets = {name: Dataset.of(values, f"{where}/{name}") for name, values in parts.items()}
    labels = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", **(labels or {})}
    version = next(version for version, kind in CSR.items() if datasets["data"].dtype == kind)
    shape = tuple(np.asarray(parts["shape"]).tolist())
    return Element(where, "csr", version, datasets, labels, {"shape": shape})


# ---------------------------------------------------------------------------------------------------------- reading


def _read_vocabulary(element: Element) -> Words:
    text = element.array("text", np.uint8, (None,))
    counts = element.array("counts", np.int64, (None,))
    offsets = element.array("offsets", np.int64, (len(counts) + 1,))
    element.verify()
    check_words(text, offsets, counts, element.where)
    order = element.array("order", np.int32, (len(counts),)) if "order" in element.datasets else None
    if order is not None:
        check_within(order, 0, len(counts), f"{element.where}/order")
    element.release()
    return Words(text, offsets, counts, order)


def _read_document(element: Element) -> Any:
    if "json" not in element.datasets:
        raise FormatError(f"{element.where} has no json")
    element.verify()
    return parse_json(element.datasets["json"].values.tobytes(), f"{element.where}/json")


def _read_parameters(element: Element) -> Element:
    for name, dataset in element.datasets.items():
        element.array(name, FLOAT, (None,) * dataset.values.ndim)
    return element


class _CsrAttributes(TypedDict):
    """The numeric attribute of a CSR matrix: its numbers of rows and of columns."""

    shape: tuple[Natural, Natural]


def _read_csr(element: Element) -> Element:
    rows, columns = fitted({**element.numbers}, _CsrAttributes, element.where)["shape"]
    entries = element.array("data", CSR[element.version], (None,)).shape[0]
    for name in ("indices", "remainders"):
        if name == "indices" or name in element.datasets:
            element.array(name, np.int32 if name == "indices" else np.int16, (entries,))
    starts = element.array("indptr", np.int64, (rows + 1,))
    if (rows, columns) != tuple(element.array("shape", np.int64, (2,)).tolist()):
        raise FormatError(f"{element.where}/shape is not what the attribute says")
    check_offsets(starts, entries, f"{element.where}/indptr", columns)
    return element


class _CodesAttributes(TypedDict):
    """The numeric attribute of a quantised matrix: the number of components for which a code stands."""

    dsub: tuple[Positive]


def _read_codes(element: Element) -> Element:
    """Check a quantised matrix (n, d) as a whole: 256 centroids for each of its parts, and a code for each part of a row."""
    (dsub,) = fitted({**element.numbers}, _CodesAttributes, element.where)["dsub"]
    size, parts = element.array("codes", np.uint8, (None, None)).shape
    numbers = len(element.array("centroids", FLOAT, (None,)))
    if numbers == 0 or numbers % CENTROIDS or parts != -(-numbers // CENTROIDS // dsub):
        raise FormatError(f"{element.where}: {numbers} numbers of centroids do not fit {parts} codes of {dsub} components")
    if "norms" in element.datasets or "norm-codes" in element.datasets:
        element.array("norms", FLOAT, (CENTROIDS,))
        element.array("norm-codes", np.uint8, (size,))
    if "kept" in element.datasets:
        kept = element.array("kept", np.int32, (size,))
        if size and (kept[0] < 0 or (kept[1:] <= kept[:-1]).any()):
            raise FormatError(f"{element.where}/kept: its numbers do not ascend from 0")
    for name, dataset in element.datasets.items():
        replace(dataset, bound=LARGEST).verify(f"{element.where}/{name}")
    return element


def _read_arrays(element: Element) -> Element:
    return element


READERS: Mapping[tuple[str, int], Callable[[Element], Any]] = {
    ("vocabulary", 1): _read_vocabulary,
    ("parameters", 1): _read_parameters,
    ("parameters", 2): _read_parameters,
    ("parameters", 3): _read_parameters,
    ("parameters", 4): _read_parameters,
    ("arrays", 1): _read_arrays,
    ("csr", 1): _read_csr,
    ("csr", 2): _read_csr,
    ("document", 1): _read_document,
    ("codes", 1): _read_codes,
}


@dataclass(frozen=True)
class Contents:
    """The elements of an open file: its structure is checked, the values are mapped and not yet read."""

    path: Path
    elements: Mapping[str, Element]

    @classmethod
    def open(cls, path: Path, form: str) -> Contents:
        """Open a file of format `form`; raises `InputError` if it is missing, `FormatError` if damaged or of another format."""
        return cls(path, read_elements(path, form, READERS))

    def __contains__(self, name: str) -> bool:
        return name in self.elements

    def take(self, name: str, kind: str) -> Any:
        """Return the content of a required element, read according to its type and version."""
        if name not in self.elements:
            raise FormatError(f"{self.path}: has no element {name}")
        element = self.elements[name]
        if element.kind != kind:
            raise FormatError(f"{element.where} is of type {element.kind!r}, expected {kind!r}")
        return READERS[element.kind, element.version](element)

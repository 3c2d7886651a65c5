"""Arrays of a model that are stored as codes of a product quantiser, each in an element of its own: `codes-` and its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.storage.elements import Contents, element_name
from cooc_engine.storage.hdf5 import FLOAT, Dataset, Element

__all__ = ["PREFIX", "codes_elements", "read_codes"]

PREFIX = "codes-"


def codes_elements(path: Path, codes: Mapping[str, Quantised]) -> dict[str, Element]:
    """Make the elements of quantised arrays; raises `DivergenceError` for centroids that are not finite."""
    return {f"{PREFIX}{name}": _element(path, f"{PREFIX}{name}", matrix) for name, matrix in codes.items()}


def _element(path: Path, name: str, matrix: Quantised) -> Element:
    where = element_name(path, name)
    values = {"codes": matrix.codes, "norm-codes": matrix.norm_codes, "centroids": matrix.centroids, "norms": matrix.norms}
    datasets = {
        key: Dataset.of(np.ascontiguousarray(array), f"{where}/{key}", FLOAT if array.dtype.kind == "f" else None)
        for key, array in values.items()
        if array is not None
    }
    return Element(where, "codes", 1, datasets, {}, {"dsub": (matrix.dsub,)})


def read_codes(found: Contents) -> dict[str, Quantised]:
    """Return the quantised arrays of a file by name; all of them is verified now. Raises `FormatError`."""
    elements = {name: found.take(name, "codes") for name in found.elements if name.startswith(PREFIX)}
    return {name.removeprefix(PREFIX): _quantised(element) for name, element in elements.items()}


def _quantised(element: Element) -> Quantised:
    found = {name: dataset.values for name, dataset in element.datasets.items()}
    norms = (found["norm-codes"], found["norms"]) if "norms" in found else ()
    return Quantised(found["codes"], found["centroids"], element.numbers["dsub"][0], *norms)

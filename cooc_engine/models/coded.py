"""Arrays of a model that are stored as codes of a product quantiser, each in an element of its own: `codes-` and its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.runtime.types import Rows
from cooc_engine.storage.elements import Contents, element_name
from cooc_engine.storage.hdf5 import FLOAT, Dataset, Element

__all__ = ["PREFIX", "codes_elements", "read_codes"]

PREFIX, NGRAMS = "codes-", "ngrams"


def codes_elements(path: Path, codes: Mapping[str, Quantised], kept: Rows | None) -> dict[str, Element]:
    """Make the elements of quantised arrays; raises `DivergenceError` for centroids that are not finite.

    kept   the bucket of each row of n-grams, if some were left out
    """
    chosen = {NGRAMS: None if kept is None else kept.astype(np.int32)}
    return {f"{PREFIX}{name}": _element(path, f"{PREFIX}{name}", matrix, chosen.get(name)) for name, matrix in codes.items()}


def _element(path: Path, name: str, matrix: Quantised, kept: npt.NDArray[np.int32] | None) -> Element:
    where = element_name(path, name)
    values = {
        "kept": kept,
        "codes": matrix.codes,
        "norm-codes": matrix.norm_codes,
        "centroids": matrix.centroids,
        "norms": matrix.norms,
    }
    datasets = {
        key: Dataset.of(np.ascontiguousarray(array), f"{where}/{key}", FLOAT if array.dtype.kind == "f" else None)
        for key, array in values.items()
        if array is not None
    }
    return Element(where, "codes", 1, datasets, {}, {"dsub": (matrix.dsub,)})


def read_codes(found: Contents) -> tuple[dict[str, Quantised], Rows | None]:
    """Return the quantised arrays of a file by name, and the buckets of n-grams that were kept; all of it is verified now.

    Raises `FormatError`.
    """
    elements = {name: found.take(name, "codes") for name in found.elements if name.startswith(PREFIX)}
    ngrams = elements[f"{PREFIX}{NGRAMS}"].datasets if f"{PREFIX}{NGRAMS}" in elements else {}
    kept = ngrams["kept"].values.astype(np.int64) if "kept" in ngrams else None
    return {name.removeprefix(PREFIX): _quantised(element) for name, element in elements.items()}, kept


def _quantised(element: Element) -> Quantised:
    found = {name: dataset.values for name, dataset in element.datasets.items()}
    norms = (found["norm-codes"], found["norms"]) if "norms" in found else ()
    return Quantised(found["codes"], found["centroids"], element.numbers["dsub"][0], *norms)

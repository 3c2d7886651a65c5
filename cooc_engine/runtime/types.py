"""Types of arrays and paths used in every package: an alias says what an array holds; docstrings of its users say the shape."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError

__all__ = ["Counts", "Floats", "Mask", "Matrix", "Offsets", "PathLike", "Paths", "Rows", "WordIds", "listed", "several"]

PathLike = str | os.PathLike[str]
P = TypeVar("P", bound=PathLike)
Paths = PathLike | Iterable[PathLike]
"""One path, or several."""
Matrix = npt.NDArray[np.float32]
"""Vectors, weights or scores, float32."""
Floats = npt.NDArray[np.float64]
"""Statistics and sums, float64."""
Mask = npt.NDArray[np.bool_]
"""Whether something holds, for each item."""
Counts = npt.NDArray[np.int64]
"""How often something occurs, int64."""
Offsets = npt.NDArray[np.int64]
"""Where each part of a flat array begins, and where the last ends, int64."""
Rows = npt.NDArray[np.int64]
"""Row numbers of a matrix, int64: their products with a row length do not overflow."""
WordIds = npt.NDArray[np.int32]
"""Words of a text as a corpus stores them, int32; -1 is a word outside the vocabulary."""


def several(given: P | Iterable[P]) -> list[P]:
    """Return strings, paths, or what stands for a path, as a list: one alone is one, and not taken letter by letter.

    Raises `UsageError` for what is neither one nor several.
    """
    if isinstance(given, str | os.PathLike):
        return [given]
    if not isinstance(given, Iterable):
        raise UsageError(f"{given!r:.40} was given where a string, a path, or a list of these is expected")
    return list(given)


def listed(paths: Paths) -> list[Path]:
    """Return one path, or several, as a list of paths; raises `UsageError` for what is none."""
    found = several(paths)
    wrong = next((path for path in found if not isinstance(path, str | os.PathLike)), None)
    if wrong is not None:
        raise UsageError(f"{wrong!r:.40} was given where a path is expected")
    return [Path(path) for path in found]

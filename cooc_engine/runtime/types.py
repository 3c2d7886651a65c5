"""Types of arrays and paths used in every package: an alias says what an array holds; docstrings of its users say the shape."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["Counts", "Floats", "Mask", "Matrix", "Offsets", "PathLike", "Paths", "Rows", "WordIds"]

PathLike = str | os.PathLike[str]
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

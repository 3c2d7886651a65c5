"""The vectors that queries use, made of a model's matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Published", "mean_vector"]
# What queries use, as the arrays that each choice needs.
PUBLISHED = {"w": ("words",), "c": ("contexts",), "w+c": ("words", "contexts"), "concat": ("words", "contexts")}


# ----------------------------------------------------------------------------------------------------------- models


def combined(arrays: Mapping[str, npt.NDArray[np.float32]], published: str) -> npt.NDArray[np.float32]:
    """Return the vectors of a choice: one of the matrices as it is, their sum, or both side by side."""
    parts = [arrays[name] for name in PUBLISHED[published]]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=-1) if published == "concat" else parts[0] + parts[1]


class Published:
    """The vectors that queries use, float32 (V, d), made of a model's matrices a part at a time.

    `rows[ids]` and `rows[a:b]` are such vectors; a slice of a single matrix is a view of it, mapped and not copied.
    """

    def __init__(
        self, arrays: Mapping[str, npt.NDArray[np.float32]], published: str, center: npt.NDArray[np.float32] | None = None
    ) -> None:
        self._arrays, self._published, self._center = {n: arrays[n] for n in PUBLISHED[published]}, published, center
        size, width = arrays[PUBLISHED[published][0]].shape
        self.shape: tuple[int, int] = (size, width * 2 if published == "concat" else width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> npt.NDArray[np.float32]:
        part = combined({name: values[rows] for name, values in self._arrays.items()}, self._published)
        return part if self._center is None else part - self._center


def mean_vector(arrays: Mapping[str, npt.NDArray[np.float32]], published: str) -> npt.NDArray[np.float32]:
    """Return the mean of the vectors of a choice, summed in float64."""
    means = {name: arrays[name].mean(0, dtype=np.float64)[None] for name in PUBLISHED[published]}
    mean: npt.NDArray[np.float32] = combined(means, published)[0].astype(np.float32)
    return mean

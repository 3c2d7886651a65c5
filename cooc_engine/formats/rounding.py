"""Vectors as whole numbers or small floats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError

__all__ = ["Rounded", "Values"]

Values = npt.NDArray[Any]


# --------------------------------------------------------------------------------------------------------- rounding


@dataclass
class Rounded:
    """Vectors as float32, float16 or int8, and what the rounding did to their directions.

    An int8 vector is multiplied by its scale, the largest of its numbers divided by 127. `mean` and `largest` are of
    1 - cos of each vector and what is read again, over those that are not 0.
    """

    dtype: str
    scales: list[Values] = field(default_factory=list)
    sum: float = 0.0
    largest: float = 0.0
    size: int = 0

    def take(self, rows: npt.NDArray[np.float32], where: str) -> Values:
        """Return rows as they are written; raises `UsageError` if one does not fit into float16."""
        if self.dtype == "float32":
            return np.ascontiguousarray(rows, "<f4")
        if self.dtype == "float16":
            with np.errstate(over="ignore"):
                halves: Values = rows.astype("<f2")
            if not np.isfinite(halves).all():
                raise UsageError(f"{where}: holds numbers above 65504, too large for float16; take --dtype int8 or float32")
            self._compare(rows, halves.astype(np.float32))
            return halves
        scales = np.abs(rows).max(axis=1, initial=0) / np.float32(127)
        parts = np.divide(rows, scales[:, None], out=np.zeros_like(rows), where=scales[:, None] > 0)
        stored: Values = np.rint(parts).astype("|i1")
        self.scales.append(scales.astype("<f4"))
        self._compare(rows, stored * scales[:, None])
        return stored

    def _compare(self, rows: npt.NDArray[np.float32], returned: npt.NDArray[np.float32]) -> None:
        a, b = rows.astype(np.float64), returned.astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
        known = lengths > 0
        errors = np.maximum(1 - np.einsum("ij,ij->i", a, b)[known] / lengths[known], 0)
        self.sum, self.size = self.sum + float(errors.sum()), self.size + int(known.sum())
        self.largest = max(self.largest, float(errors.max(initial=0)))

    @property
    def mean(self) -> float:
        """Mean of 1 - cos."""
        return self.sum / max(1, self.size)

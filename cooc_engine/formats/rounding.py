"""Rounding vectors to float16 or int8 and restoring them, and measuring how much their directions change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError
from cooc_engine.runtime.types import Matrix

__all__ = ["STORED", "Rounded", "Values", "restored"]

Values = npt.NDArray[Any]
STORED: Mapping[str, str] = {"float32": "<f4", "float16": "<f2", "int8": "|i1"}  # types in a file, by `--dtype`


@dataclass
class Rounded:
    """Rounds vectors to float32, float16 or int8, and records how much their directions change.

    An int8 vector is its integers times its scale, the largest absolute component divided by 127. `mean` and `largest` are
    those of 1 - cos between each nonzero vector and its restored value.
    """

    dtype: str
    scales: list[Values] = field(default_factory=list)
    sum: float = 0.0
    largest: float = 0.0
    size: int = 0

    @property
    def stored(self) -> str:
        """Type of the vectors in the file, as a NumPy type string."""
        return STORED[self.dtype]

    def take(self, rows: Matrix, where: str) -> Values:
        """Return rows as they are to be written; raises `UsageError` if a value is too large for float16."""
        if self.dtype == "float32":
            return np.ascontiguousarray(rows, "<f4")
        if self.dtype == "float16":
            with np.errstate(over="ignore"):
                halves: Values = rows.astype("<f2")
            if not np.isfinite(halves).all():
                raise UsageError(f"{where}: holds numbers above 65504, too large for float16; take --dtype=int8 or float32")
            self._compare(rows, halves.astype(np.float32))
            return halves
        scales = np.abs(rows).max(axis=1, initial=0) / np.float32(127)
        parts = np.divide(rows, scales[:, None], out=np.zeros_like(rows), where=scales[:, None] > 0)
        stored: Values = np.rint(parts).astype("|i1")
        self.scales.append(scales.astype("<f4"))
        self._compare(rows, stored * scales[:, None])
        return stored

    def _compare(self, rows: Matrix, returned: Matrix) -> None:
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


def restored(values: Values, scales: Values | None = None) -> Matrix:
    """Return stored vectors (n, d) as float32; values too large for float32 become infinite, or NaN by an infinite scale."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows: Matrix = values.astype(np.float32)
        if scales is not None:
            rows *= scales[:, None]
    return rows

"""Pearson and Spearman correlation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cooc_engine.runtime.types import Floats

__all__ = ["CORRELATIONS", "pearson", "ranks", "spearman"]


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Return Pearson's correlation of two series of equal length; None for fewer than two values or a constant series."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Return the rank correlation of two series, ties having their average rank; None in the same cases as `pearson`."""
    return pearson(ranks(x), ranks(y))


def ranks(values: npt.ArrayLike) -> Floats:
    """Return ranks from 1; ties have their average rank."""
    # scipy.stats has this as rankdata, but takes half a second to import
    _, codes = np.unique(np.asarray(values, np.float64), return_inverse=True)
    counts = np.bincount(codes)
    found: Floats = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    return found


CORRELATIONS = {"spearman": spearman, "pearson": pearson}

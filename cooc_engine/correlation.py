"""Correlation of two series, and how far a score may be from what other samples would give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["CORRELATIONS", "correlation_interval", "mean_interval", "pearson", "ranks", "spearman"]

Interval = tuple[float, float] | None
Values = npt.NDArray[np.float64]
SHARE = 0.95  # of the resampled scores that lie within an interval


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Return the correlation of two series of equal length; None for fewer than two values or a constant series."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Return the correlation of the ranks of two series, equal values sharing their average rank; None as `pearson`."""
    return pearson(ranks(x), ranks(y))


def ranks(values: npt.ArrayLike) -> Values:
    """Return ranks from 1; equal values share the average of theirs."""
    # scipy.stats has this as rankdata, but takes half a second to import
    return _ranked(np.unique(np.asarray(values, np.float64), return_inverse=True)[1])


def _ranked(codes: npt.NDArray[np.int64]) -> Values:
    """Return the ranks of whole numbers, without sorting them."""
    counts = np.bincount(codes) if len(codes) else np.zeros(0, np.int64)
    found: Values = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    return found


CORRELATIONS = {"spearman": spearman, "pearson": pearson}


def correlation_interval(kind: str, x: npt.ArrayLike, y: npt.ArrayLike, resamples: int, seed: int) -> Interval:
    """Return the limits of 95 % of the correlations of pairs drawn with replacement; `kind` as in `CORRELATIONS`.

    The percentile bootstrap (Efron 1979). Samples whose correlation is not defined are left out; None if all are.
    """
    if kind == "spearman":  # the order stays, so ranks are counted instead of sorted
        a, b = (np.unique(np.asarray(values, np.float64), return_inverse=True)[1] for values in (x, y))
        return _interval(lambda drawn: pearson(_ranked(a[drawn]), _ranked(b[drawn])), len(a), resamples, seed)
    series = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return _interval(lambda drawn: pearson(series[0][drawn], series[1][drawn]), len(series[0]), resamples, seed)


def mean_interval(values: npt.ArrayLike, resamples: int, seed: int) -> Interval:
    """Return the limits of 95 % of the means of values drawn with replacement; None without values."""
    series = np.asarray(values, np.float64)
    return _interval(lambda drawn: float(series[drawn].mean()), len(series), resamples, seed)


def _interval(measure: Callable[[npt.NDArray[np.int64]], float | None], size: int, resamples: int, seed: int) -> Interval:
    if size == 0:
        return None
    rng = np.random.default_rng(seed)
    found = [value for _ in range(resamples) if (value := measure(rng.integers(size, size=size))) is not None]
    if not found:
        return None
    low, high = np.quantile(found, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)

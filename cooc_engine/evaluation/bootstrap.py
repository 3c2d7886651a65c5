"""The uncertainty of scores: bootstrap intervals of scores, and of differences between models on the same items.

A resample draws as many items (word pairs or questions) as the set has, with replacement, and is represented by the number
of times that each item was drawn. All models are scored on the same resamples, so that what is hard or easy about the items
drawn cancels out in their differences (Efron and Tibshirani 1993; Koehn 2004).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.runtime.types import Floats

__all__ = ["difference", "draws_of", "holm", "interval", "resampled_correlations", "resampled_means", "resamples"]

LEVEL = 0.95
HELD = 1 << 20  # draws held at a time: 8 MB


def draws_of(name: str, samples: int, seed: int) -> tuple[int, tuple[int, int]]:
    """Return the number of resamples of a test set and their seed, which depends on the set's name, not on its position."""
    return samples, (seed, zlib.crc32(name.encode()))


def resamples(items: int, samples: int, seed: Sequence[int]) -> Iterator[Floats]:
    """Yield blocks of resamples, (n, items): how often each item was drawn; `samples` rows in all."""
    rng = np.random.default_rng(seed)
    block = max(1, HELD // max(1, items))
    for start in range(0, samples, block):
        rows = min(block, samples - start)
        drawn = rng.integers(0, items, (rows, items)) + items * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items).astype(np.float64)


def resampled_correlations(kind: str, series: Sequence[Floats], wanted: Floats, samples: int, seed: Sequence[int]) -> Floats:
    """Return the correlation of each series with `wanted` on each resample: (series, samples).

    kind   "pearson", or "spearman": ranks are taken within the resample, an item drawn twice being tied with itself

    NaN where one side is constant.
    """
    if len(wanted) < 2:
        return np.full((len(series), samples), np.nan)
    shown = {"pearson": _unranked, "spearman": _weighted_ranks}[kind]
    found = []
    for weights in resamples(len(wanted), samples, seed):
        goal = shown(wanted, weights)
        found.append(np.stack([_weighted_pearson(shown(values, weights), goal, weights) for values in series]))
    return np.concatenate(found, axis=1)


def _unranked(values: Floats, weights: Floats) -> Floats:
    return np.broadcast_to(values, weights.shape)


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Return the average rank of each item in each resample, (samples, items); an item of weight w counts w times."""
    _, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    groups = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(groups, axis=1) - (groups - 1) / 2)[:, place]
    return ranks


def _weighted_pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    a, b = (z - (weights * z).sum(axis=1, keepdims=True) / total for z in (x, y))
    squares = np.einsum("ij,ij,ij->i", weights, a, a) * np.einsum("ij,ij,ij->i", weights, b, b)
    dots = np.einsum("ij,ij,ij->i", weights, a, b)
    found: Floats = np.divide(dots, np.sqrt(squares), out=np.full(len(dots), np.nan), where=squares > 1e-9)
    return found.clip(-1, 1)


def resampled_means(series: Sequence[npt.NDArray[Any]], samples: int, seed: Sequence[int]) -> Floats:
    """Return the mean of each series on each resample, (series, samples), such as the share of correct answers."""
    values = np.stack(series).astype(np.float64)
    items = values.shape[1]
    if not items:
        return np.full((len(values), samples), np.nan)
    return np.concatenate([values @ weights.T / items for weights in resamples(items, samples, seed)], axis=1)


def interval(values: Floats) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of resampled values, ignoring NaN; None if no value is left."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def difference(value: float, first: Floats, second: Floats) -> dict[str, Any] | None:
    """Return {value, low, high, p, clear} of the difference first minus second, scored on the same resamples.

    value   the difference on the set itself
    p       two-sided: twice the share of resamples on the other side of 0, at least 2 / (samples + 1)
    clear   whether 0 lies outside the 95 % interval: the difference is not within noise
    """
    gaps = first - second
    bounds = interval(gaps)
    if bounds is None:
        return None
    gaps = gaps[~np.isnan(gaps)]
    other = min((gaps <= 0).sum(), (gaps >= 0).sum())
    p = min(1.0, 2 * float(other + 1) / (len(gaps) + 1))
    return {"value": value, "low": bounds[0], "high": bounds[1], "p": p, "clear": not bounds[0] <= 0 <= bounds[1]}


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's step-down method (1979), in the order given.

    If nothing differs, the chance that any adjusted value is below a level is at most that level.
    """
    order = np.argsort(values, kind="stable")
    scaled = np.asarray(values, np.float64)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(value) for value in adjusted]

"""The geometry of vectors, independent of any test set: neighbours, spectrum, and norms against frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cooc_engine.evaluation.correlation import spearman
from cooc_engine.runtime.types import Counts, Floats, Rows
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.search import BLOCK, QUERIES

__all__ = ["nearest_rows", "norm_profile", "overlaps", "spectrum"]

BINS = 32  # groups of words by frequency
QUANTILES = (0.1, 0.5, 0.9)


def nearest_rows(vectors: Vectors, words: int, topn: int) -> Rows:
    """Return the rows of the `topn` nearest neighbours, by cosine, of each of the first `words` words: (words, topn)."""
    asked = min(words, len(vectors))
    parts = [np.arange(start, min(start + QUERIES, asked)) for start in range(0, asked, QUERIES)]
    return np.concatenate([vectors.nearest(vectors.unit_rows(rows), topn, rows[:, None].tolist())[0] for rows in parts])


def overlaps(nearest: Sequence[Rows]) -> tuple[Floats, Floats]:
    """Return the mean share of neighbours that each two of m models have in common, and their mean Jaccard index, both (m, m).

    nearest   for each model, the rows of the neighbours of the same words, (words, topn), padded with -1
    """
    share, jaccard = np.eye(len(nearest)), np.eye(len(nearest))
    for i, first in enumerate(nearest):
        for j, second in enumerate(nearest[:i]):
            pairs = [({*a} - {-1}, {*b} - {-1}) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
            share[i, j] = share[j, i] = np.mean([len(a & b) / max(1, len(a)) for a, b in pairs])
            jaccard[i, j] = jaccard[j, i] = np.mean([len(a & b) / max(1, len(a | b)) for a, b in pairs])
    return share, jaccard


def spectrum(vectors: Vectors) -> dict[str, Any]:
    """Return the singular values of the centred vectors, which must be dense, and two summary numbers.

    singular_values        (d,) in falling order, scaled so that their squares add up to 1
    effective_dimensions   (Σ σ²)² / Σ σ⁴: d if all are equal, 1 if all but one are 0
    mean_share             |mean|² over the mean of |v|²: the share removed by centring, 0..1
    """
    size, width = len(vectors), vectors.vector_size
    total, products = np.zeros(width), np.zeros((width, width))
    for start in range(0, size, BLOCK):
        rows = np.asarray(vectors.part(start, start + BLOCK), np.float64)
        total += rows.sum(axis=0)
        products += rows.T @ rows
    mean = total / size
    squares = np.maximum(np.linalg.eigvalsh(products - size * np.outer(mean, mean))[::-1], 0)
    whole, power = float(np.trace(products)), float(squares.sum())
    return {
        "singular_values": (np.sqrt(squares / power) if power > 0 else squares).tolist(),
        "effective_dimensions": power**2 / float(squares @ squares) if power > 0 else 0.0,
        "mean_share": size * float(mean @ mean) / whole if whole > 0 else 0.0,
    }


def norm_profile(squares: Floats, counts: Counts) -> dict[str, Any]:
    """Return how |v|², (V,), depends on frequency: its rank correlation with −log P(w), and quantiles in groups of words.

    Words with count 0 are left out. The groups are equally wide in log P, the rarest words last: `surprise` is the mean
    −log P; `low`, `middle` and `high` are the 10 %, 50 % and 90 % quantiles of |v|² divided by its mean over all words.
    """
    known = counts > 0
    squares, surprise = squares[known], -np.log(counts[known] / counts.sum(dtype=np.float64))
    correlation = spearman(squares, surprise)
    if not len(squares) or squares.mean() == 0:
        return {"rank_correlation": correlation, "groups": []}
    edges = np.linspace(surprise.min(), surprise.max(), BINS + 1)[1:-1]
    place, squares = np.digitize(surprise, edges), squares / squares.mean()
    groups = []
    for number in np.unique(place):
        inside = place == number
        low, middle, high = np.quantile(squares[inside], QUANTILES).tolist()
        mean = float(surprise[inside].mean())
        groups.append({"surprise": mean, "words": int(inside.sum()), "low": low, "middle": middle, "high": high})
    return {"rank_correlation": correlation, "groups": groups}

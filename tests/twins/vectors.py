"""Slow and obvious twins of queries and evaluation, one word at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def cosine(a, b) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    norms = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(a @ b) / norms if norms else 0.0


def nearest(matrix, query, topn: int, exclude: Sequence[int] = ()) -> list[tuple[int, float]]:
    scored = [(i, cosine(row, query)) for i, row in enumerate(matrix) if i not in exclude]
    return sorted(scored, key=lambda pair: -pair[1])[:topn]


def unit(vector):
    wide = np.asarray(vector, np.float64)
    norm = math.sqrt(float(wide @ wide))
    return wide / norm if norm else wide


def answer(matrix, a: int, b: int, c: int, *, multiply: bool) -> int:
    """The row nearest to b - a + c, or best by 3CosMul, excluding the three."""
    best, found = -math.inf, -1
    for i, row in enumerate(matrix):
        if i in (a, b, c):
            continue
        ca, cb, cc = (cosine(row, matrix[j]) for j in (a, b, c))
        score = ((cb + 1) / 2) * ((cc + 1) / 2) / ((ca + 1) / 2 + 0.001) if multiply else cb - ca + cc
        if score > best:
            best, found = score, i
    return found


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; ties share their mean rank."""
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    mx, my = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return top / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def cosmul(matrix, positive: Sequence[int], negative: Sequence[int]) -> list[tuple[int, float]]:
    """All rows except the given ones, by the product of (1 + cos) / 2, best first."""
    found = []
    for i, row in enumerate(matrix):
        if i not in (*positive, *negative):
            shifted = [[(1 + cosine(row, matrix[j])) / 2 for j in side] for side in (positive, negative)]
            found.append((i, math.prod(shifted[0]) / (math.prod(shifted[1]) + 1e-6)))
    return sorted(found, key=lambda pair: -pair[1])


def profile_correlation(matrix, i: int, j: int, count: int) -> float:
    """Pearson correlation of the inner products of two rows with the first `count`."""
    wide = np.asarray(matrix, np.float64)
    return pearson([float(wide[i] @ row) for row in wide[:count]], [float(wide[j] @ row) for row in wide[:count]])


def pmi_sum(matrix, words1: Sequence[int], words2: Sequence[int]) -> float:
    wide = np.asarray(matrix, np.float64)
    return sum(float(wide[i] @ wide[j]) for i in words1 for j in words2)


def purity(clusters: Sequence[int], classes: Sequence[str]) -> float:
    groups = [[c for k, c in zip(clusters, classes, strict=True) if k == cluster] for cluster in set(clusters)]
    return sum(max(group.count(c) for c in group) for group in groups) / len(classes)


def outlier_place(matrix, members: Sequence[int], outlier: int) -> tuple[bool, float]:
    """Whether the outlier has the least compactness among the words, and the share of words ranked above it."""
    every = [*members, outlier]
    nearness = {i: sum(cosine(matrix[i], matrix[j]) for j in every if j != i) / len(members) for i in every}
    above = sum(nearness[i] > nearness[outlier] for i in members)
    return above == len(members), above / len(members)

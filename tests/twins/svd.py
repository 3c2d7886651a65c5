"""Slow and obvious twins of the matrix side: PMI entry by entry, products by loops, singular values by LAPACK."""

from __future__ import annotations

import math

import numpy as np


def pmi(counts, kind: str = "ppmi", shift: float = 1.0, cds: float = 1.0):
    """The transformed matrix, dense, of dense counts; cells without a count are 0."""
    rows = [math.fsum(row) for row in counts]
    columns = [math.fsum(column) for column in np.transpose(counts)]
    smoothed = [n**cds if n else 0.0 for n in columns]
    total, smoothed_total = math.fsum(rows), math.fsum(smoothed)
    result = np.zeros(np.shape(counts))
    for i, row in enumerate(counts):
        for j, x in enumerate(row):
            if x:
                value = math.log(x * smoothed_total / (rows[i] * smoothed[j])) - math.log(shift)
                if kind == "npmi":
                    value = value / -math.log(x / total) if x < total else 1.0
                result[i, j] = max(value, 0.0) if kind == "ppmi" else value
    return result


def product(matrix, right):
    """matrix @ right by three loops over lists, in double precision."""
    result = np.zeros((len(matrix), len(right[0])))
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if value:
                for k, x in enumerate(right[j]):
                    result[i, k] += float(value) * float(x)
    return result


def singular_values(matrix, k: int):
    return np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)[:k]


def residuals(matrix, left, values, right):
    """‖A v − σ u‖ and ‖Aᵀ u − σ v‖ of each component, without division by σ."""
    dense, left, right = (np.asarray(m, np.float64) for m in (matrix, left, right))
    one = [np.linalg.norm(dense @ right[:, i] - value * left[:, i]) for i, value in enumerate(values)]
    other = [np.linalg.norm(dense.T @ left[:, i] - value * right[:, i]) for i, value in enumerate(values)]
    return np.array(one), np.array(other)

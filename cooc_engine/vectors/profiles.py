"""Profiles of words, the inner products with the most frequent words, in compact form: as one factor of their Gram matrix."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from cooc_engine.errors import UsageError
from cooc_engine.models.sparse_vectors import SPARSE, SparseVectors
from cooc_engine.runtime.types import Matrix
from cooc_engine.vectors.search import BLOCK, RowReader

__all__ = ["profile_factor"]


def profile_factor(rows: RowReader, count: int) -> Matrix:
    """Return U, float32 (d, at most d), with UU' = V'V, V being the first `count` rows, centred; V is read in blocks."""
    if isinstance(rows, SparseVectors):
        raise UsageError(SPARSE)
    blocks = [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    size = int(rows.shape[1])
    mean = np.zeros(size)
    for part in blocks:
        mean += rows[part].sum(0, dtype=np.float64) / count
    if count > size:
        gram = np.zeros((size, size))
        for part in blocks:
            centred = rows[part] - mean
            gram += centred.T @ centred
        with suppress(np.linalg.LinAlgError):
            return np.linalg.cholesky(gram).astype(np.float32)
    triangle = np.empty((0, size))
    for part in blocks:
        triangle = np.linalg.qr(np.concatenate([triangle, rows[part] - mean]))[1]
    return np.ascontiguousarray(triangle.T, np.float32)

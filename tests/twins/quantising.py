"""Product quantisation in plain Python."""

from __future__ import annotations

import numpy as np


def decode(codes, centroids, dsub, d, scales):
    """Rows (n, d) of codes (n, parts): the centroids of part p begin at 256 · p · dsub."""
    rows = []
    for row, scale in zip(codes, scales, strict=True):
        found = []
        for part, code in enumerate(row):
            first = part * dsub
            size = min(dsub, d - first)
            begin = 256 * first + size * int(code)
            found.extend(centroids[begin : begin + size] * scale)
        rows.append(found)
    return np.array(rows, np.float32).reshape(len(codes), d)


def nearest(points, table):
    """The nearest centroid of each point, the first of several."""
    return [int(np.argmin([np.sum((centroid - point) ** 2, dtype=np.float64) for centroid in table])) for point in points]

"""Product quantisation: vectors as codes of one byte for each few components (Jégou, Douze and Schmid 2011).

The components are cut into parts of `dsub`, the last of which may be shorter. Each part has 256 centroids, and a code is the
number of one. All centroids are in one flat array, part after part: those of the part from component c on begin at 256 c.
"""

from __future__ import annotations

import numpy as np
from numba import float32, int32, int64, uint8, void

from cooc_engine._kernels.jit import RANGE, array, kernel, out
from cooc_engine._kernels.shapes import CENTROIDS

BLOCK = 256  # points that are compared with one centroid after another, side by side


@kernel(void(array(uint8, 2), array(int64), array(float32), int64, array(float32), out(float32, 2)))
def decode_rows(codes, rows, centroids, dsub, scales, found):
    """Write row rows[i] of a matrix of codes to found[i], as its centroids times scales[i]."""
    width = found.shape[1]
    for i in range(len(rows)):
        for part in range(codes.shape[1]):
            first = part * dsub
            size = min(dsub, width - first)
            place = CENTROIDS * first + size * int64(codes[rows[i], part])
            for k in range(size):
                found[i, first + k] = centroids[place + k] * scales[i]


@kernel(void(array(uint8, 2), array(float32, 2), out(float32)), fast=True)
def sum_products(codes, products, found):
    """Write to found[i] the sum of products[part, code] over the parts of row i of codes."""
    for i in range(len(codes)):
        total = float32(0)
        for part in range(codes.shape[1]):
            total += products[part, codes[i, part]]
        found[i] = total


@kernel(void(array(float32, 2), array(float32, 2), RANGE, out(float32), out(float32), out(int32)), fast=True)
def nearest_centroids(points, centroids, part, scratch, best, chosen):
    """Write the nearest centroid of each point of a range to its place in `chosen`.

    Points are columns (k, n) and centroids rows (m, k); `scratch` and `best` have BLOCK numbers. A block of points is compared
    with a centroid by loops without branches, which become SIMD.
    """
    for start in range(part[0], part[1], BLOCK):
        size = min(BLOCK, part[1] - start)
        codes = chosen[start : start + size]
        for i in range(size):
            best[i] = np.inf
            codes[i] = 0
        for centroid in range(len(centroids)):
            for k in range(len(points)):
                block, place = points[k, start : start + size], centroids[centroid, k]
                for i in range(size):
                    gap = block[i] - place
                    scratch[i] = gap * gap if k == 0 else scratch[i] + gap * gap
            for i in range(size):
                square, least = scratch[i], best[i]
                less = square < least
                best[i] = square if less else least
                codes[i] = int32(centroid) if less else codes[i]

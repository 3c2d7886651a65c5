"""A first look at all vectors for one query, as small integers: which of them may be among the nearest.

Vectors of length 1 stand as int8 in tiles of TILE rows, (tiles, d, TILE), d a multiple of 4: a tile is read once, and its
rows are summed side by side. Queries are rounded to 63, so that four products fit into 16 bits.
"""

from __future__ import annotations

import numpy as np
from numba import float32, int8, int16, int32, int64, void

from cooc_engine._kernels.jit import array, kernel, out

TILE = 256
MOST, MOST_QUERY = 127, 63
SEEN = 4  # columns that are multiplied together


@kernel(void(array(float32, 2), array(float32), int64, out(int8, 3), out(float32), out(float32)))
def fill_tiles(rows, factors, start, tiles, scales, errors):
    """Write rows, times their factors, from row `start` of the tiles on; scales of the integers, and lengths of the errors."""
    width = rows.shape[1]
    for r in range(rows.shape[0]):
        row, factor, largest = rows[r], factors[r], float32(0)
        for k in range(width):
            largest = max(largest, abs(row[k] * factor))
        scale = largest / float32(MOST)
        inverse, at, error = float32(1) / scale if scale > 0 else float32(0), start + r, float32(0)
        tile, lane = tiles[at // TILE], at % TILE
        for k in range(width):
            value = row[k] * factor
            rounded = np.rint(value * inverse)
            tile[k, lane] = int8(rounded)
            error += (value - rounded * scale) * (value - rounded * scale)
        scales[at], errors[at] = scale, np.sqrt(error)


@kernel(int64(int64, int64, array(int8, 3), array(float32), array(int8), float32, float32, out(int32), out(float32),
              out(int32), out(float32)))  # fmt: skip
def screen_tiles(begin, end, tiles, scales, query, factor, slack, sums, best, rows, scores):
    """Find the rows of tiles begin:end whose score may be among the best; return how many, -1 if there is no room for them.

    factor   turns a sum of integers, times the row's scale, into the score
    slack    a score may be off by half of this
    sums     (TILE,) scratch
    best     (n,) the n highest scores, rising; -inf at first; of what a row may miss at most, its slack is added
    rows     the rows found, and in `scores` their scores: at least best[0] - slack when they were met
    """
    found, most = 0, best.shape[0]
    size = scales.shape[0]
    for t in range(begin, end):
        tile = tiles[t]
        for r in range(TILE):
            sums[r] = int32(0)
        for k in range(0, query.shape[0], SEEN):
            q0, q1, q2, q3 = int16(query[k]), int16(query[k + 1]), int16(query[k + 2]), int16(query[k + 3])
            c0, c1, c2, c3 = tile[k], tile[k + 1], tile[k + 2], tile[k + 3]
            for r in range(TILE):
                first = int16(int16(int16(c0[r]) * q0) + int16(int16(c1[r]) * q1))
                second = int16(int16(int16(c2[r]) * q2) + int16(int16(c3[r]) * q3))
                sums[r] += int32(int16(first + second))
        rest = min(TILE, size - t * TILE)
        part = scales[t * TILE : t * TILE + rest]
        threshold = best[0] - slack
        highest = float32(-np.inf)
        for r in range(rest):
            highest = max(highest, float32(sums[r]) * part[r])
        if highest * factor < threshold:
            continue
        for r in range(rest):
            score = float32(sums[r]) * part[r] * factor
            if score < threshold:
                continue
            if found == rows.shape[0]:
                return -1
            rows[found], scores[found] = t * TILE + r, score
            found += 1
            if score > best[0]:
                p = 0
                while p + 1 < most and best[p + 1] < score:
                    best[p] = best[p + 1]
                    p += 1
                best[p] = score
                threshold = best[0] - slack
    return found

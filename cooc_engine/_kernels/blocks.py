"""Products of long sparse rows with a tall matrix that no cache holds, a block of its rows at a time."""

from __future__ import annotations

from numba import float32, int32, int64, void

from cooc_engine._kernels.basics import prefetch
from cooc_engine._kernels.jit import RANGE, array, kernel, out
from cooc_engine._kernels.shapes import PANEL
from cooc_engine._kernels.sparse import AHEAD


@kernel(
    void(RANGE, array(int64), array(int32), array(float32), array(float32, 3), out(float32, 3), int64, out(int64)), fast=True
)
def multiply_blocks(rows, offsets, columns, values, panels, result, width, cursor):
    """Do what `multiply` does with the same bits, for all rows of the range within `width` columns, then within the next.

    Of four entries that are added at a time the first decides. It pays if the columns of each row rise.
    cursor   (end - begin,) where each row goes on
    """
    begin, end = rows
    most, columns_in_all = columns.shape[0] - 1, panels.shape[1]
    for panel in range(panels.shape[0]):
        x, y = panels[panel], result[panel]
        for r in range(begin, end):
            cursor[r - begin] = offsets[r]
            for k in range(PANEL):
                y[r, k] = float32(0)
        edge = int64(0)
        while edge < columns_in_all:
            edge += width
            for r in range(begin, end):
                total, p, stop = y[r], cursor[r - begin], offsets[r + 1]
                while p + 4 <= stop and columns[p] < edge:  # as in `multiply`: a helper for both took up to a fifth longer
                    for q in range(p + AHEAD, p + AHEAD + 4):
                        soon = int64(columns[min(q, most)]) * PANEL
                        prefetch(x, soon)
                        prefetch(x, soon + 16)
                    v0, v1, v2, v3 = values[p], values[p + 1], values[p + 2], values[p + 3]
                    x0, x1, x2, x3 = x[columns[p]], x[columns[p + 1]], x[columns[p + 2]], x[columns[p + 3]]
                    for k in range(PANEL):
                        total[k] += v0 * x0[k] + v1 * x1[k] + v2 * x2[k] + v3 * x3[k]
                    p += 4
                cursor[r - begin] = p
        for r in range(begin, end):
            total = y[r]
            for p in range(cursor[r - begin], offsets[r + 1]):
                v, row = values[p], x[columns[p]]
                for k in range(PANEL):
                    total[k] += v * row[k]

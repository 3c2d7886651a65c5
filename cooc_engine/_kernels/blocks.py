"""Products of long sparse rows with a tall matrix that no cache holds, a block of its rows at a time."""

from __future__ import annotations

from numba import float32, int32, int64, void

from cooc_engine._kernels.jit import RANGE, array, kernel, out
from cooc_engine._kernels.shapes import PANEL
from cooc_engine._kernels.sparse import add_four


@kernel(
    void(RANGE, array(int64), array(int32), array(float32), array(float32, 3), out(float32, 3), int64, out(int64)), fast=True
)
def multiply_blocks(rows, offsets, columns, values, panels, result, width, cursor):
    """Do what `multiply` does with the same bits, for all rows of the range within `width` columns, then within the next.

    Of four entries that are added at a time the first decides. It pays if the columns of each row rise.
    cursor   (end - begin,) where each row goes on
    """
    begin, end = rows
    for panel in range(panels.shape[0]):
        x, y = panels[panel], result[panel]
        for r in range(begin, end):
            cursor[r - begin] = offsets[r]
            for k in range(PANEL):
                y[r, k] = float32(0)
        edge = int64(0)
        while edge < panels.shape[1]:
            edge += width
            for r in range(begin, end):
                total, p, stop = y[r], cursor[r - begin], offsets[r + 1]
                while p + 4 <= stop and columns[p] < edge:
                    add_four(columns, values, p, x, total)
                    p += 4
                cursor[r - begin] = p
        for r in range(begin, end):
            total = y[r]
            for p in range(cursor[r - begin], offsets[r + 1]):
                v, row = values[p], x[columns[p]]
                for k in range(PANEL):
                    total[k] += v * row[k]

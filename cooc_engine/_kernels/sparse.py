"""PMI of stored counts, products of sparse rows with tall matrices, and the dense products that a block method needs.

A tall matrix stands in panels of 32 columns, (P, n, 32): a row of a panel is two cache lines, and the rows that are met
often stay in the cache. Every sum has one order, whichever thread runs which part.
"""

from __future__ import annotations

import numpy as np
from numba import float32, float64, int32, int64, uint32, uint64, void

from cooc_engine._kernels.basics import prefetch
from cooc_engine._kernels.jit import array, helper, kernel, out

PANEL = 32
AHEAD = 16  # entries before its turn that a row is asked for (measured: without, 1.3 times as long)
PPMI, PMI, NPMI = 0, 1, 2


@kernel([
    void(int64, int64, array(int64), array(int32), array(value), array(float64), array(float64), float64, out(int64))
    for value in (uint32, uint64, float64)
])  # fmt: skip
def count_positive(begin, end, starts, columns, values, row_factors, column_factors, shift, lengths):
    """Count the entries of rows begin:end whose PMI is above log shift; arguments as for `fill_pmi`."""
    for r in range(begin, end):
        factor, n = row_factors[r], 0
        for p in range(starts[r], starts[r + 1]):
            n += float64(values[p]) * (factor * column_factors[columns[p]]) > shift
        lengths[r] = n


@helper
def pmi_value(mode, x, ratio, shift, total):
    """Return log(ratio / shift), for NPMI over -log(x / total), which is 1 where x is all there is."""
    pmi = np.log(ratio / shift)
    if mode == NPMI:
        return pmi / -np.log(x / total) if x < total else 1.0
    return pmi


@kernel([
    void(int64, int64, int64, array(int64), array(int32), array(value), array(float64), array(float64), float64, float64,
         array(int64), out(int32), out(float32))
    for value in (uint32, uint64, float64)
])  # fmt: skip
def fill_pmi(
    mode, begin, end, starts, columns, values, row_factors, column_factors, shift, total, offsets, to_columns, to_values
):
    """Write the transformed entries of rows begin:end of a block; row r goes to offsets[r]:offsets[r + 1].

    starts, columns, values: the block's counts x; x · row_factors[r] · column_factors[c] is the ratio whose log is the PMI.
    """
    for r in range(begin, end):
        factor, q = row_factors[r], offsets[r]
        for p in range(starts[r], starts[r + 1]):
            column, x = columns[p], float64(values[p])
            ratio = x * (factor * column_factors[column])
            if mode != PPMI or ratio > shift:
                to_columns[q] = column
                to_values[q] = pmi_value(mode, x, ratio, shift, total)
                q += 1


@kernel(void(array(int64), array(int32), int64, int64, out(int64)))
def count_columns(offsets, columns, first, last, counts):
    """Add to counts[c - first] the entries in each of the columns first:last."""
    for p in range(offsets[0], offsets[-1]):
        column = columns[p]
        if first <= column < last:
            counts[column - first] += 1


@kernel(void(array(int64), array(int32), array(float32), int64, int64, out(int64), out(int32), out(float32)))
def transpose(offsets, columns, values, first, last, fill, to_columns, to_values):
    """Write the columns first:last of a matrix as rows; fill[c - first] is where column c goes, and where it ends then."""
    for r in range(offsets.shape[0] - 1):
        for p in range(offsets[r], offsets[r + 1]):
            column = columns[p]
            if first <= column < last:
                q = fill[column - first]
                fill[column - first] = q + 1
                to_columns[q], to_values[q] = r, values[p]


@kernel(void(int64, int64, array(int64), array(int32), array(float32), array(float32, 3), out(float32, 3)), fast=True)
def multiply(begin, end, offsets, columns, values, panels, result):
    """result[:, r] = sum of values · panels[:, columns] for rows begin:end: gathers only, four entries at a time."""
    most = columns.shape[0] - 1
    for panel in range(panels.shape[0]):
        x, y = panels[panel], result[panel]
        for r in range(begin, end):
            total, p, stop = y[r], offsets[r], offsets[r + 1]
            for k in range(PANEL):
                total[k] = float32(0)
            while p + 4 <= stop:
                for q in range(p + AHEAD, p + AHEAD + 4):
                    soon = int64(columns[min(q, most)]) * PANEL
                    prefetch(x, soon)
                    prefetch(x, soon + 16)
                v0, v1, v2, v3 = values[p], values[p + 1], values[p + 2], values[p + 3]
                x0, x1, x2, x3 = x[columns[p]], x[columns[p + 1]], x[columns[p + 2]], x[columns[p + 3]]
                for k in range(PANEL):
                    total[k] += v0 * x0[k] + v1 * x1[k] + v2 * x2[k] + v3 * x3[k]
                p += 4
            while p < stop:
                v, row = values[p], x[columns[p]]
                for k in range(PANEL):
                    total[k] += v * row[k]
                p += 1


@kernel(void(int64, int64, array(float32, 2), array(float32, 2), out(float64, 2)), fast=True)
def gram(begin, end, left, right, product):
    """product = left[begin:end].T @ right[begin:end] of two panels, (32, 32), in double precision, four rows at a time."""
    for j in range(PANEL):
        for k in range(PANEL):
            product[j, k] = 0.0
    r = begin
    while r + 4 <= end:
        a0, a1, a2, a3 = left[r], left[r + 1], left[r + 2], left[r + 3]
        b0, b1, b2, b3 = right[r], right[r + 1], right[r + 2], right[r + 3]
        for j in range(PANEL):
            total, v0, v1, v2, v3 = product[j], float64(a0[j]), float64(a1[j]), float64(a2[j]), float64(a3[j])
            for k in range(PANEL):
                total[k] += v0 * float64(b0[k]) + v1 * float64(b1[k]) + v2 * float64(b2[k]) + v3 * float64(b3[k])
        r += 4
    while r < end:
        a, b = left[r], right[r]
        for j in range(PANEL):
            total, v = product[j], float64(a[j])
            for k in range(PANEL):
                total[k] += v * float64(b[k])
        r += 1


@kernel(void(int64, int64, array(float32, 3), array(float32, 3), out(float32, 2)), fast=True)
def add_product(begin, end, panels, factors, result):
    """result[begin:end] += sum of panels[p, begin:end] @ factors[p] over p, factors (P, 32, 32).

    Four rows and four columns at a time: each load of a factor serves four rows (measured: 1.6 times as fast as one row).
    """
    for panel in range(panels.shape[0]):
        x, factor = panels[panel], factors[panel]
        r = begin
        while r + 4 <= end:
            a, b, c, d = x[r], x[r + 1], x[r + 2], x[r + 3]
            ta, tb, tc, td = result[r], result[r + 1], result[r + 2], result[r + 3]
            for j in range(0, PANEL, 4):
                a0, a1, a2, a3 = a[j], a[j + 1], a[j + 2], a[j + 3]
                b0, b1, b2, b3 = b[j], b[j + 1], b[j + 2], b[j + 3]
                c0, c1, c2, c3 = c[j], c[j + 1], c[j + 2], c[j + 3]
                d0, d1, d2, d3 = d[j], d[j + 1], d[j + 2], d[j + 3]
                f0, f1, f2, f3 = factor[j], factor[j + 1], factor[j + 2], factor[j + 3]
                for k in range(PANEL):
                    g0, g1, g2, g3 = f0[k], f1[k], f2[k], f3[k]
                    ta[k] += a0 * g0 + a1 * g1 + a2 * g2 + a3 * g3
                    tb[k] += b0 * g0 + b1 * g1 + b2 * g2 + b3 * g3
                    tc[k] += c0 * g0 + c1 * g1 + c2 * g2 + c3 * g3
                    td[k] += d0 * g0 + d1 * g1 + d2 * g2 + d3 * g3
            r += 4
        while r < end:
            row, total = x[r], result[r]
            for j in range(PANEL):
                v, f = row[j], factor[j]
                for k in range(PANEL):
                    total[k] += v * f[k]
            r += 1

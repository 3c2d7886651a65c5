"""PMI of stored counts, products of sparse rows with tall matrices, and the dense products of a block eigensolver.

A tall matrix is stored in panels of 32 columns, (P, n, 32): a row of a panel is two cache lines, and frequently used rows
stay in the cache. The order of every sum is fixed, whichever thread computes which part.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float32, float64, int32, int64, uint32, uint64, void

from cooc_engine._kernels.basics import prefetch
from cooc_engine._kernels.jit import RANGE, array, helper, kernel, named, out
from cooc_engine._kernels.shapes import PANEL

AHEAD = 16  # prefetch distance, in entries (measured: without prefetching 1.3 times as long)
PPMI, PMI, NPMI = 0, 1, 2


class PmiFactors(NamedTuple):
    """Factors that turn a count x in row r and column c into the ratio x · row[r] · column[c], whose log is the PMI.

    log(shift) is subtracted from the PMI; `total`, the sum of all counts, is needed for NPMI.
    """

    mode: int
    row: Any
    column: Any
    shift: float
    total: float


class WrittenRows(NamedTuple):
    """Buffers for rows in CSR format: row r is at offsets[r]:offsets[r + 1] of columns and values."""

    offsets: Any
    columns: Any
    values: Any


FACTORS = named(PmiFactors, mode=int64, row=out(float64), column=out(float64), shift=float64, total=float64)
WRITTEN = named(WrittenRows, offsets=out(int64), columns=out(int32), values=out(float32))
COUNTED = uint32, uint64, float64  # types of stored counts


@kernel([void(RANGE, array(int64), array(int32), array(value), FACTORS, out(int64)) for value in COUNTED])
def count_positive(rows, starts, columns, values, factors, lengths):
    """Count the entries of each of a range of rows whose PMI is above log(shift); arguments as for `fill_pmi`."""
    column_factors, shift = factors.column, factors.shift
    for r in range(rows[0], rows[1]):
        factor, n = factors.row[r], 0
        for p in range(starts[r], starts[r + 1]):
            n += float64(values[p]) * (factor * column_factors[columns[p]]) > shift
        lengths[r] = n


@helper
def pmi_value(mode, x, ratio, shift, total):
    """Return log(ratio / shift), divided by -log(x / total) for NPMI, which is 1 if x is the total."""
    pmi = np.log(ratio / shift)
    if mode == NPMI:
        return pmi / -np.log(x / total) if x < total else 1.0
    return pmi


@kernel([void(RANGE, array(int64), array(int32), array(value), FACTORS, WRITTEN) for value in COUNTED])
def fill_pmi(rows, starts, columns, values, factors, to):
    """Write the PMI of the entries of a range of rows of a block; starts, columns and values are the counts of the block."""
    mode, column_factors, shift, total = factors.mode, factors.column, factors.shift, factors.total
    to_columns, to_values = to.columns, to.values
    for r in range(rows[0], rows[1]):
        factor, q = factors.row[r], to.offsets[r]
        for p in range(starts[r], starts[r + 1]):
            column, x = columns[p], float64(values[p])
            ratio = x * (factor * column_factors[column])
            if mode != PPMI or ratio > shift:
                to_columns[q] = column
                to_values[q] = pmi_value(mode, x, ratio, shift, total)
                q += 1


@kernel(void(RANGE, array(int64), array(int32), out(int64)))
def count_columns(chosen, offsets, columns, counts):
    """Add the number of entries in column c to counts[c - first], for each c in a range first:last."""
    first, last = chosen
    for p in range(offsets[0], offsets[-1]):
        column = columns[p]
        if first <= column < last:
            counts[column - first] += 1


@kernel(void(RANGE, array(int64), array(int32), array(float32), WRITTEN))
def transpose(chosen, offsets, columns, values, to):
    """Write a range of columns as rows: column c starts at to.offsets[c - first], which is advanced to its end."""
    first, last = chosen
    fill, to_columns, to_values = to
    for r in range(offsets.shape[0] - 1):
        for p in range(offsets[r], offsets[r + 1]):
            column = columns[p]
            if first <= column < last:
                q = fill[column - first]
                fill[column - first] = q + 1
                to_columns[q], to_values[q] = r, values[p]


@kernel(void(RANGE, array(int64), array(int32), array(float32), array(float32, 3), out(float32, 3)), fast=True)
def multiply(rows, offsets, columns, values, panels, result):
    """Compute result[:, r] = sum of values · panels[:, columns] for a range of rows r: gathers only, four entries at a time."""
    begin, end = rows
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


@kernel(void(RANGE, array(float32, 2), array(float32, 2), out(float64, 2)), fast=True)
def gram(rows, left, right, product):
    """Compute product = left[rows].T @ right[rows] of two panels, (32, 32), in double precision, four rows at a time."""
    begin, end = rows
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


@kernel(void(RANGE, array(float32, 3), array(float32, 3), out(float32, 2)), fast=True)
def add_product(rows, panels, factors, result):
    """Compute result[rows] += sum of panels[p, rows] @ factors[p] over p, with factors (P, 32, 32).

    Four rows and four columns at a time: each load of a factor serves four rows (measured: 1.6 times as fast as row by row).
    """
    begin, end = rows
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

"""Matrix entries in COO format, in any order: validation, row sums, and a counting sort by row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float64, int32, int64, uint64, void

from cooc_engine._kernels.basics import mix64
from cooc_engine._kernels.jit import array, helper, kernel, named, out

LIMIT = 2.0**63
MOST = np.int64(2**63 - 1)


class RowTally(NamedTuple):
    """Number and sum of the entries of each row, and fingerprints of the whole matrix.

    lengths  (rows,) number of entries
    sums     (rows,) their sums
    marks    (2,) fingerprints of the matrix and of its transpose: they depend neither on the order of the entries nor on how
             a cell's value is split among duplicates; they are equal if the matrix is symmetric, and almost surely only then
    """

    lengths: Any
    sums: Any
    marks: Any


TALLY = named(RowTally, lengths=out(int64), sums=out(int64), marks=out(uint64))


@kernel(int64(array(float64), float64, float64, out(int64)))
def round_counts(counts, denominator, tolerance, values):
    """Write counts times `denominator` as integers; returns the index of the first invalid one, or the number of counts.

    A product is invalid if it is negative, not finite, at least 2**63, or if rounding changes it by more than `tolerance`,
    relative to the rounded value or to 1, whichever is larger.
    """
    for i in range(counts.shape[0]):
        exact = counts[i] * denominator
        value = np.rint(exact)
        if not (exact >= 0.0 and value < LIMIT and abs(exact - value) <= tolerance * max(value, 1.0)):
            return i
        values[i] = int64(value)
    return counts.shape[0]


@helper
def mark(row, column, value):
    """Return the contribution of an entry to the fingerprint of a matrix."""
    return uint64(value) * mix64((uint64(row) << uint64(32)) | uint64(column))


@kernel(int64(array(int32), array(int32), array(int64), int64, TALLY))
def tally(rows, columns, values, width, found):
    """Add entries to the tally of their rows; zeros are ignored.

    Returns the index of the first entry that is outside the matrix, which has `width` columns, or that makes the sum of its row
    exceed 2**63 - 1; or, if there is none, the number of entries.
    """
    lengths, sums, marks = found
    height = lengths.shape[0]
    straight, turned = uint64(0), uint64(0)
    n = rows.shape[0]
    for i in range(rows.shape[0]):
        row, column, value = int64(rows[i]), int64(columns[i]), values[i]
        if row < 0 or row >= height or column < 0 or column >= width or value > MOST - sums[row]:
            n = i
            break
        if value != 0:
            lengths[row] += 1
            sums[row] += value
            straight += mark(row, column, value)
            turned += mark(column, row, value)
    marks[0] += straight
    marks[1] += turned
    return n


@kernel(void(array(int32), array(int32), array(int64), out(int64), out(int32), out(int64)))
def deal(rows, columns, values, fill, dealt_columns, dealt_values):
    """Write each entry to position fill[row] and advance fill[row]; zeros are left out."""
    for i in range(rows.shape[0]):
        row, value = rows[i], values[i]
        if value != 0:
            place = fill[row]
            dealt_columns[place], dealt_values[place] = columns[i], value
            fill[row] = place + 1

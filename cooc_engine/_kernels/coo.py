"""Entries of a matrix in any order: checked, added up by row, and dealt to their rows by a counting sort."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float64, int32, int64, uint64, void

from cooc_engine._kernels.basics import mix64
from cooc_engine._kernels.jit import array, helper, kernel, named, out

LIMIT = 2.0**63
MOST = np.int64(2**63 - 1)


class RowTally(NamedTuple):
    """What has been found in each row, and a fingerprint of it all.

    lengths  (rows,) number of entries
    sums     (rows,) their sums
    marks    (2,) of the matrix and of its transpose: neither depends on the order of the entries, nor on how the sum of a
             place is split, and they are equal if the matrix is symmetric, and almost surely only then
    """

    lengths: Any
    sums: Any
    marks: Any


TALLY = named(RowTally, lengths=out(int64), sums=out(int64), marks=out(uint64))


@kernel(int64(array(float64), float64, float64, out(int64)))
def round_counts(counts, denominator, tolerance, values):
    """Write counts times `denominator` as integers; returns the place of the first that is none, or their number.

    None is whatever is negative, not finite, 2**63 or more, or off by more than `tolerance` of itself (or of 1).
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
    """Return what an entry adds to the fingerprint of a matrix."""
    return uint64(value) * mix64((uint64(row) << uint64(32)) | uint64(column))


@kernel(int64(array(int32), array(int32), array(int64), int64, TALLY))
def tally(rows, columns, values, width, found):
    """Add entries to what was found in their rows; zeros are no entries.

    Returns the place of the first that is outside the matrix, which has `width` columns, or with which a sum passes 64 bits,
    or the number of entries.
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
    """Write entries to the places that `fill` holds for their rows, and advance these; zeros are left out."""
    for i in range(rows.shape[0]):
        row, value = rows[i], values[i]
        if value != 0:
            place = fill[row]
            dealt_columns[place], dealt_values[place] = columns[i], value
            fill[row] = place + 1

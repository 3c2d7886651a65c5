"""Exact co-occurrence counts, a row at a time, in a dense integer accumulator.

The words are laid out with `window` separators between documents, so the inner loop has no branch. A separator is counted
as the word after the last one and dropped. Positions are listed by centre word, so a row's windows are scattered over the
whole text: prefetching them is worth a factor of three.
"""

from __future__ import annotations

import numpy as np
from numba import int32, int64, uint32, uint64, void

from cooc_engine._kernels.basics import prefetch, trailing_zeros
from cooc_engine._kernels.jit import array, helper, kernel, out

BOTH, LEFT, RIGHT = 0, 1, 2
AHEAD = 8  # positions prefetched


@kernel(int64(array(int32)))
def count_kept(ids):
    """Return how many ids are words of the vocabulary."""
    kept = 0
    for i in range(ids.shape[0]):
        kept += ids[i] >= 0
    return kept


@kernel(int64(array(int32), array(int64), int64, int64, int32, int64, out(int32), int64))
def lay_out(ids, offsets, first, last, separator, window, laid, n):
    """Write the known words of documents first:last to laid[n:], `window` separators behind each; returns the new n."""
    for d in range(first, last):
        for p in range(offsets[d], offsets[d + 1]):
            if ids[p] >= 0:
                laid[n] = ids[p]
                n += 1
        for _ in range(window):
            laid[n] = separator
            n += 1
    return n


@kernel(void(array(int32), out(int64)))
def histogram(laid, counts):
    """Add the number of occurrences of each id to `counts`."""
    for p in range(laid.shape[0]):
        counts[laid[p]] += 1


@kernel(void(array(int32), int64, int64, int32, out(int64), out(int32)))
def list_positions(laid, begin, end, separator, fill, positions):
    """Write each position in begin:end to the place that `fill` holds for its word, and advance that place."""
    for p in range(begin, end):
        word = laid[p]
        if word != separator:
            positions[fill[word]] = p
            fill[word] += 1


@helper
def add(accumulator, touched, column, weight):
    """Add to one column of the row under way, and note that it is not empty."""
    touched[column >> 6] |= uint64(1) << uint64(column & 63)
    accumulator[column] += weight


@helper
def emit(accumulator, touched, words, columns, values, n):
    """Append the row under way in order of columns, clear it, and return the new n."""
    touched[words >> 6] &= ~(uint64(1) << uint64(words & 63))  # the separator's column
    accumulator[words] = 0
    for w in range((words >> 6) + 1):
        bits = touched[w]
        touched[w] = 0
        while bits != 0:
            column = (w << 6) + trailing_zeros(bits)
            bits &= bits - uint64(1)
            columns[n] = column
            values[n] = accumulator[column]
            accumulator[column] = 0
            n += 1
    return n


@kernel(
    int64(
        array(int32), array(int64), array(int32), int64, int64, int64, array(int64), out(int64), out(uint64), out(int32), out(int64),
        out(int64), out(int64),
    )
)  # fmt: skip
def count_rows(
    laid, starts, positions, first, last, side, weights, accumulator, touched, columns, values, lengths, sums
):
    """Count rows first:last into `columns` and `values`; returns the number of entries.

    positions[starts[r]:starts[r + 1]] are the places of word r, with AHEAD more places readable behind the last.
    weights[k - 1] is the integer weight of distance k. `accumulator` (words + 1,) and `touched` (a bit each) are zero
    before and after. lengths[r - first] and sums[r - first] become the row's number and sum of entries.
    """
    words, window = accumulator.shape[0] - 1, weights.shape[0]
    n = 0
    for row in range(first, last):
        for q in range(starts[row], starts[row + 1]):
            p, soon = int64(positions[q]), int64(positions[q + AHEAD])
            prefetch(laid, soon - window)
            prefetch(laid, soon + window)
            if side == BOTH:
                for k in range(1, window + 1):
                    add(accumulator, touched, laid[p + k], weights[k - 1])
                    add(accumulator, touched, laid[p - k], weights[k - 1])
            elif side == LEFT:
                for k in range(1, window + 1):
                    add(accumulator, touched, laid[p - k], weights[k - 1])
            else:
                for k in range(1, window + 1):
                    add(accumulator, touched, laid[p + k], weights[k - 1])
        begin = n
        n = emit(accumulator, touched, words, columns, values, n)
        total = int64(0)
        for i in range(begin, n):
            total += values[i]
        lengths[row - first], sums[row - first] = n - begin, total
    return n


@kernel([void(array(int32), array(uint32), out(int64)), void(array(int32), array(uint64), out(int64))])
def add_columns(columns, values, sums):
    """Add every value to the sum of its column."""
    for i in range(columns.shape[0]):
        sums[columns[i]] += np.int64(values[i])

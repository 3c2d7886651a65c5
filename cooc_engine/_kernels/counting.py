"""Exact co-occurrence counts, a row at a time, in a dense integer accumulator.

The words are laid out with `window` separators between documents, so the inner loop has no branch. What is no context, a
separator or a gap, is counted as the word after the last one and dropped. Positions are listed by centre word, so a row's
windows are scattered over the whole text: prefetching them is worth a factor of 2.5.

An accumulator has a bit for each column, and above these a bit for each word of bits: the columns of a row come out
sorted, and a row that is short costs little however many columns there are.
"""

from __future__ import annotations

import numpy as np
from numba import int32, int64, uint32, uint64, void

from cooc_engine._kernels.basics import mix64, prefetch, trailing_zeros
from cooc_engine._kernels.jit import array, helper, kernel, out

BOTH, LEFT, RIGHT = 0, 1, 2
DROP, KEEP = 0, 1
AHEAD = 8  # positions prefetched


@kernel(
    int64(
        array(int32), array(int64), int64, int64, int64, int64, int32, int64, int64, array(uint64), uint64, int64, out(int32),
        int64,
    )
)  # fmt: skip
def lay_out(ids, offsets, document, begin, end, number, gap, window, gaps, keep, seed, write, laid, n):
    """Write the words of ids[begin:end] to laid[n:], and `window` gaps where a document ends; returns the new n.

    `document` is the one that holds `begin`, `number` that of the shard's first. Unknown words are dropped, or gaps where
    `gaps` is KEEP. keep[w] (or nothing) is the probability of keeping word w, times 2**64. Without `write` n is only counted.
    """
    while document < offsets.shape[0] - 1 and begin < end:
        stop = min(end, offsets[document + 1])
        state = mix64(seed ^ mix64(uint64(number + document)))
        for p in range(begin, stop):
            word = ids[p]
            if word < 0:
                if gaps == DROP:
                    continue
                word = gap
            elif keep.shape[0] > 0 and mix64(state + uint64(p - offsets[document])) > keep[word]:
                continue
            if write:
                laid[n] = word
            n += 1
        if stop == offsets[document + 1] and stop > offsets[document]:
            if write:
                for k in range(window):
                    laid[n + k] = gap
            n += window
        begin = stop
        document += 1
    return n


@kernel(void(array(int32), out(int64)))
def histogram(laid, counts):
    """Add the number of occurrences of each id to `counts`."""
    for p in range(laid.shape[0]):
        counts[laid[p]] += 1


@kernel(void(array(int32), int64, int64, int32, out(int64), out(int32)))
def list_positions(laid, begin, end, gap, fill, positions):
    """Write each position in begin:end to the place that `fill` holds for its word, and advance that place."""
    for p in range(begin, end):
        word = laid[p]
        if word != gap:
            positions[fill[word]] = p
            fill[word] += 1


@helper
def add(accumulator, bits, top, column, value):
    """Add to one column of the row under way, and note that it is not empty."""
    bits[column >> 6] |= uint64(1) << uint64(column & 63)
    bits[top + (column >> 12)] |= uint64(1) << uint64((column >> 6) & 63)
    accumulator[column] += value


@helper
def emit(accumulator, bits, top, width, columns, values, n):
    """Append the row under way in order of columns, those from `width` on left out; clear it, and return the new n."""
    for t in range(bits.shape[0] - top):
        upper = bits[top + t]
        bits[top + t] = 0
        while upper != 0:
            w = (t << 6) + trailing_zeros(upper)
            upper &= upper - uint64(1)
            lower = bits[w]
            bits[w] = 0
            while lower != 0:
                column = (w << 6) + trailing_zeros(lower)
                lower &= lower - uint64(1)
                if column < width:
                    columns[n] = column
                    values[n] = accumulator[column]
                    n += 1
                accumulator[column] = 0
    return n


@helper
def total(values, begin, end):
    """Return the sum of values[begin:end]."""
    result = int64(0)
    for i in range(begin, end):
        result += values[i]
    return result


@helper
def add_window(laid, p, side, slots, weights, accumulator, bits, top):
    """Add the contexts of the centre at p; with `slots`, each distance has a column of its own: -window..-1, 1..window."""
    window = weights.shape[0]
    if slots == 1:
        if side == BOTH:
            for k in range(1, window + 1):
                add(accumulator, bits, top, int64(laid[p + k]), weights[k - 1])
                add(accumulator, bits, top, int64(laid[p - k]), weights[k - 1])
        elif side == LEFT:
            for k in range(1, window + 1):
                add(accumulator, bits, top, int64(laid[p - k]), weights[k - 1])
        else:
            for k in range(1, window + 1):
                add(accumulator, bits, top, int64(laid[p + k]), weights[k - 1])
        return
    if side != RIGHT:
        for k in range(1, window + 1):
            add(accumulator, bits, top, laid[p - k] * slots + (window - k), weights[k - 1])
    if side != LEFT:
        for k in range(1, window + 1):
            add(accumulator, bits, top, laid[p + k] * slots + (slots - window + k - 1), weights[k - 1])


@kernel(
    int64(
        array(int32), array(int64), array(int32), int64, int64, int64, int64, int64, array(int64), out(int64), out(uint64),
        int64,
        out(int32), out(int64), out(int64), out(int64),
    )
)  # fmt: skip
def count_rows(
    laid,
    starts,
    positions,
    first,
    last,
    side,
    slots,
    width,
    weights,
    accumulator,
    bits,
    top,
    columns,
    values,
    lengths,
    sums,
):
    """Count rows first:last into `columns` and `values`; returns the number of entries.

    positions[starts[r]:starts[r + 1]] are the places of word r, with AHEAD more places readable behind the last.
    weights[k - 1] is the integer weight of distance k. `accumulator` and `bits`, whose upper level begins at `top`, are zero
    before and after. lengths[r - first] and sums[r - first] become the row's number and sum of entries.
    """
    window = weights.shape[0]
    n = 0
    for row in range(first, last):
        for q in range(starts[row], starts[row + 1]):
            soon = int64(positions[q + AHEAD])
            prefetch(laid, soon - window)
            prefetch(laid, soon + window)
            add_window(laid, int64(positions[q]), side, slots, weights, accumulator, bits, top)
        begin = n
        n = emit(accumulator, bits, top, width, columns, values, n)
        lengths[row - first], sums[row - first] = n - begin, total(values, begin, n)
    return n


@kernel(void(array(int32), array(int64), out(int64), out(uint64), int64))
def add_entries(columns, values, accumulator, bits, top):
    """Add entries to the row under way."""
    for i in range(columns.shape[0]):
        add(accumulator, bits, top, int64(columns[i]), values[i])


@kernel(
    int64(
        array(int64, 2), array(int32), array(int64), int64, out(int64), out(uint64), int64, out(int32), out(int64), out(int64),
        out(int64),
    )
)  # fmt: skip
def merge_rows(offsets, source_columns, source_values, width, accumulator, bits, top, columns, values, lengths, sums):
    """Add the rows of several runs; what is under way in the accumulator is part of the first row. Returns the entries.

    Row r of run s has the entries offsets[s, r]:offsets[s, r + 1] of the sources.
    """
    n = 0
    for r in range(offsets.shape[1] - 1):
        for s in range(offsets.shape[0]):
            for i in range(offsets[s, r], offsets[s, r + 1]):
                add(accumulator, bits, top, int64(source_columns[i]), source_values[i])
        begin = n
        n = emit(accumulator, bits, top, width, columns, values, n)
        lengths[r], sums[r] = n - begin, total(values, begin, n)
    return n


@kernel(void(array(int32), int64, int64, array(int32), int32, int64, int64, int64, out(uint64, 2)))
def mark_contexts(laid, begin, end, sample, gap, side, slots, window, marks):
    """Set, for centres in begin:end that are in the sample, a bit for each column that they have an entry in.

    sample[w] is the row of `marks` that belongs to word w, or -1; columns are those of `count_rows`.
    """
    for p in range(begin, end):
        s = sample[laid[p]]
        if s < 0:
            continue
        row = marks[s]
        for k in range(1, window + 1):
            if side != LEFT and laid[p + k] != gap:
                column = int64(laid[p + k])
                if slots > 1:
                    column = column * slots + (slots - window + k - 1)
                row[column >> 6] |= uint64(1) << uint64(column & 63)
            if side != RIGHT and laid[p - k] != gap:
                column = int64(laid[p - k])
                if slots > 1:
                    column = column * slots + (window - k)
                row[column >> 6] |= uint64(1) << uint64(column & 63)


@kernel([void(array(int32), array(uint32), out(int64)), void(array(int32), array(uint64), out(int64))])
def add_columns(columns, values, sums):
    """Add every value to the sum of its column."""
    for i in range(columns.shape[0]):
        sums[columns[i]] += np.int64(values[i])


@kernel(
    [
        void(array(int64), array(int32), array(uint32), int64, out(int64)),
        void(array(int64), array(int32), array(uint64), int64, out(int64)),
    ]
)
def find_diagonal(starts, columns, values, row0, found):
    """found[r] = the value of row row0 + r in its own column, where it has one; rows are sorted by columns."""
    for r in range(found.shape[0]):
        low, high = starts[r], starts[r + 1]
        while low < high:
            middle = (low + high) >> 1
            if columns[middle] < row0 + r:
                low = middle + 1
            else:
                high = middle
        if low < starts[r + 1] and columns[low] == row0 + r:
            found[r] = int64(values[low])

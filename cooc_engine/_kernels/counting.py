"""Exact co-occurrence counts, computed row by row in a dense integer accumulator.

The words are laid out with `window` separators between documents, so that the inner loop has no branch. A separator, or a gap
in place of an unknown word, is counted as if it were one more word, V, and then dropped. Positions are listed by centre word,
so the windows of a row are scattered over the whole text: prefetching them is worth a factor of 2.5.

The accumulator has a bitmap with one bit per column, and a second level with one bit per 64-bit word of the bitmap: the columns
of a row come out sorted, and a short row costs little however many columns there are. A row of many centres does not mark its
leading columns, which hold most of its contexts, and lists the others until it prefetches what it adds to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import int32, int64, uint32, uint64, void

from cooc_engine._kernels.basics import mix64, prefetch, trailing_zeros
from cooc_engine._kernels.jit import RANGE, array, helper, kernel, named, out

BOTH, LEFT, RIGHT = 0, 1, 2
DROP, KEEP = 0, 1
AHEAD = 8  # prefetch distance, in positions
LISTED, SOON = 1 << 10, 24  # columns that are listed before they are added to, and the prefetch distance among them
LEAST_LEADING, MOST_LEADING = 1 << 12, 1 << 15  # leading columns; the sums of the most fit into the second-level cache
EACH = 8  # leading columns for each centre: all of them are read once, in about a nanosecond each


class TextSpan(NamedTuple):
    """Words begin:end of a shard: the first is in its document `document`; `number` is the number of its first document."""

    document: int
    begin: int
    end: int
    number: int


class LayoutRule(NamedTuple):
    """How words are laid out for counting.

    gap      the id that marks a gap, V
    window   number of gaps between documents
    unknown  whether unknown words are dropped (DROP) or leave a gap (KEEP)
    keep     (V,) the probability of keeping each word, times 2**64, or (0,) to keep all
    seed     seed of the random choice of the words to keep
    """

    gap: int
    window: int
    unknown: int
    keep: Any
    seed: Any


class PositionLists(NamedTuple):
    """Words laid out with gaps between documents, and the positions of each word as a centre.

    The text is cut into segments, so that positions counted from the beginning of a segment fit into 32 bits.

    laid       (n,) int32
    bases      (S,) int64: where each segment begins
    starts     (V S + 1,) int64: word w occurs in segment s at bases[s] + positions[starts[w S + s]:starts[w S + s + 1]]
    positions  (tokens + AHEAD,) int32
    """

    laid: Any
    bases: Any
    starts: Any
    positions: Any

    @property
    def ends(self) -> Any:
        """(V + 1,) where the positions of each word begin, and where the last end."""
        return self.starts[:: len(self.bases)]

    @property
    def counts(self) -> Any:
        """(V,) occurrences of each word."""
        return np.diff(self.ends)


class ContextWindow(NamedTuple):
    """Which words around a centre are its contexts, and the weight of each.

    side     BOTH, LEFT or RIGHT
    slots    number of columns per context word: 1, or one for each relative position
    weights  (radius,) the integer weights of the distances 1, 2, …
    """

    side: int
    slots: int
    weights: Any


class RowAccumulator(NamedTuple):
    """The current row; all zero between rows.

    totals  (columns,) sums by column; columns from `width` on are those of gaps and are dropped
    bits    a bit for each nonempty column, then, from index `top` on, a bit for each nonzero element of that bitmap
    listed  (LISTED + SOON,) columns that will be added to, and `amounts` (LISTED,) what to add
    """

    totals: Any
    bits: Any
    top: int
    width: int
    listed: Any
    amounts: Any


class CountedRows(NamedTuple):
    """Consecutive rows of counts: columns and values (entries,); lengths and sums (rows,) are those of each row's entries."""

    columns: Any
    values: Any
    lengths: Any
    sums: Any


SPAN = named(TextSpan, document=int64, begin=int64, end=int64, number=int64)
RULE = named(LayoutRule, gap=int64, window=int64, unknown=int64, keep=out(uint64), seed=uint64)
POSITIONS = named(PositionLists, laid=out(int32), bases=out(int64), starts=out(int64), positions=out(int32))
WINDOW = named(ContextWindow, side=int64, slots=int64, weights=out(int64))
ROW = named(RowAccumulator, totals=out(int64), bits=out(uint64), top=int64, width=int64, listed=out(int32), amounts=out(int64))
ROWS = named(CountedRows, columns=out(int32), values=out(int64), lengths=out(int64), sums=out(int64))


@kernel(int64(array(int32), array(int64), SPAN, RULE, out(int32), int64))
def lay_text(ids, offsets, span, rule, laid, n):
    """Write the words of a span to laid[n:], with gaps where a document ends; returns the new n.

    If `laid` is empty, nothing is written and n is only counted.
    """
    document, begin, end, number = span
    window, keep, seed, gap, drop = rule.window, rule.keep, rule.seed, int32(rule.gap), rule.unknown == DROP
    write, thin = laid.shape[0] > 0, keep.shape[0] > 0
    while document < offsets.shape[0] - 1 and begin < end:
        stop = min(end, offsets[document + 1])
        state = mix64(seed ^ mix64(uint64(number + document)))
        for p in range(begin, stop):
            word = ids[p]
            if word < 0:
                if drop:
                    continue
                word = gap
            elif thin and mix64(state + uint64(p - offsets[document])) > keep[word]:
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


@kernel(void(array(int32), RANGE, int64, int32, out(int64), out(int32)))
def list_positions(laid, chosen, base, gap, fill, positions):
    """Write p - base for each position p in a range to positions[fill[word]], where word = laid[p], and advance fill[word]."""
    for p in range(chosen[0], chosen[1]):
        word = laid[p]
        if word != gap:
            positions[fill[word]] = p - base
            fill[word] += 1


@helper
def add(totals, bits, top, column, value):
    """Add to one column of the current row, and mark it as nonempty."""
    bits[column >> 6] |= uint64(1) << uint64(column & 63)
    bits[top + (column >> 12)] |= uint64(1) << uint64((column >> 6) & 63)
    totals[column] += value


@helper
def count_leading(centres, width, radius):
    """Return how many leading columns, those of frequent words, a row of so many centres does not mark: it reads all of them.

    The others are listed, so that they are in the cache when they are added to. 0 if neither is worth while.
    """
    most = min(width, MOST_LEADING)
    leading = min(most, EACH * centres)
    return leading if leading >= min(most, LEAST_LEADING) and 4 * radius <= LISTED else int64(0)


@helper
def add_or_list(row, leading, n, column, value):
    """Add to a leading column of the current row, or list another as number n; returns how many are listed."""
    if leading == 0:
        add(row.totals, row.bits, row.top, column, value)
    elif column < leading:
        row.totals[column] += value
    else:
        row.listed[n] = column
        row.amounts[n] = value
        n += 1
    return n


@helper
def add_listed(row, n):
    """Add to the n columns that are listed."""
    for i in range(n):
        prefetch(row.totals, int64(row.listed[i + SOON]))
        add(row.totals, row.bits, row.top, int64(row.listed[i]), row.amounts[i])


@helper
def emit_leading(row, leading, rows, n):
    """Write the entries of leading columns to `rows` from entry n on, as `emit` does those that are marked."""
    for column in range(leading):
        if row.totals[column] != 0:
            rows.columns[n] = column
            rows.values[n] = row.totals[column]
            row.totals[column] = 0
            n += 1
    return n


@helper
def emit(row, rows, n):
    """Write the entries of the current row to `rows` from entry n on, sorted by column; clear the row and return the new n."""
    totals, bits, top, width = row.totals, row.bits, row.top, row.width
    columns, values = rows.columns, rows.values
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
                    values[n] = totals[column]
                    n += 1
                totals[column] = 0
    return n


@helper
def total(values, begin, end):
    """Return the sum of values[begin:end]."""
    result = int64(0)
    for i in range(begin, end):
        result += values[i]
    return result


@helper
def end_row(row, leading, rows, r, begin):
    """Write the current row to `rows` as row r, from entry `begin` on; returns the end of its entries."""
    end = emit(row, rows, emit_leading(row, leading, rows, begin))
    rows.lengths[r], rows.sums[r] = end - begin, total(rows.values, begin, end)
    return end


@helper
def add_window(laid, p, window, row, leading, n):
    """Add or list the contexts of the centre at p; returns how many are listed, with n before.

    With a column per relative position, these are in the order -radius..-1, 1..radius.
    """
    side, slots, weights = window
    radius = weights.shape[0]
    if slots == 1:
        if side == BOTH:
            for k in range(1, radius + 1):
                n = add_or_list(row, leading, n, int64(laid[p + k]), weights[k - 1])
                n = add_or_list(row, leading, n, int64(laid[p - k]), weights[k - 1])
        elif side == LEFT:
            for k in range(1, radius + 1):
                n = add_or_list(row, leading, n, int64(laid[p - k]), weights[k - 1])
        else:
            for k in range(1, radius + 1):
                n = add_or_list(row, leading, n, int64(laid[p + k]), weights[k - 1])
        return n
    if side != RIGHT:
        for k in range(1, radius + 1):
            n = add_or_list(row, leading, n, laid[p - k] * slots + (radius - k), weights[k - 1])
    if side != LEFT:
        for k in range(1, radius + 1):
            n = add_or_list(row, leading, n, laid[p + k] * slots + (slots - radius + k - 1), weights[k - 1])
    return n


@helper
def add_centres(text, r, share, window, row, leading):
    """Add the contexts of a share of the centres of row r."""
    laid, bases, starts, positions = text
    piece, pieces = share
    segments, radius, listed = bases.shape[0], window.weights.shape[0], int64(0)
    for s in range(segments):
        base, begin = bases[s], starts[r * segments + s]
        found = starts[r * segments + s + 1] - begin
        for q in range(begin + found * piece // pieces, begin + found * (piece + 1) // pieces):
            soon = base + int64(positions[q + AHEAD])
            prefetch(laid, soon - radius)
            prefetch(laid, soon)
            prefetch(laid, soon + radius)
            listed = add_window(laid, base + int64(positions[q]), window, row, leading, listed)
            if listed > LISTED - 2 * radius:
                add_listed(row, listed)
                listed = int64(0)
    add_listed(row, listed)


@kernel(int64(POSITIONS, RANGE, RANGE, WINDOW, ROW, ROWS))
def count_rows(text, chosen, share, window, row, rows):
    """Count a range of rows of the matrix into `rows`; returns the number of entries.

    Of a share (piece, pieces) only as many of the centres of each row, which are those of no other piece.
    """
    first, last = chosen
    segments, n = text.bases.shape[0], 0
    for r in range(first, last):
        centres = (text.starts[(r + 1) * segments] - text.starts[r * segments]) // share[1]
        leading = count_leading(centres, row.width, window.weights.shape[0])
        if leading > 0:
            add_centres(text, r, share, window, row, leading)
        else:
            add_centres(text, r, share, window, row, 0)  # compiled for this number
        n = end_row(row, leading, rows, r - first, n)
    return n


@kernel(void(array(int32), array(int64), ROW))
def add_entries(columns, values, row):
    """Add entries to the current row."""
    totals, bits, top = row.totals, row.bits, row.top
    for i in range(columns.shape[0]):
        add(totals, bits, top, int64(columns[i]), values[i])


@kernel(int64(array(int64, 2), array(int32), array(int64), ROW, ROWS))
def merge_rows(offsets, columns, values, row, rows):
    """Add up the rows of several runs; the accumulator may already hold part of the first row. Returns the number of entries.

    Row r of run s has the entries offsets[s, r]:offsets[s, r + 1] of `columns` and `values`.
    """
    totals, bits, top = row.totals, row.bits, row.top
    n = 0
    for r in range(offsets.shape[1] - 1):
        for s in range(offsets.shape[0]):
            for i in range(offsets[s, r], offsets[s, r + 1]):
                add(totals, bits, top, int64(columns[i]), values[i])
        n = end_row(row, 0, rows, r, n)
    return n


@kernel(void(array(int32), RANGE, array(int32), WINDOW, out(uint64, 2)))
def mark_contexts(laid, centres, sample, window, marks):
    """Set a bit for each column in which a sampled word has an entry, for the centres at a range of positions.

    sample[w] is the row of `marks` for word w, or -1 if w is not sampled; the last element is that of the gap, always -1.
    Columns are as in `count_rows`.
    """
    side, slots, radius, gap = window.side, window.slots, window.weights.shape[0], sample.shape[0] - 1
    for p in range(centres[0], centres[1]):
        s = sample[laid[p]]
        if s < 0:
            continue
        row = marks[s]
        for k in range(1, radius + 1):
            if side != LEFT and laid[p + k] != gap:
                column = int64(laid[p + k])
                if slots > 1:
                    column = column * slots + (slots - radius + k - 1)
                row[column >> 6] |= uint64(1) << uint64(column & 63)
            if side != RIGHT and laid[p - k] != gap:
                column = int64(laid[p - k])
                if slots > 1:
                    column = column * slots + (radius - k)
                row[column >> 6] |= uint64(1) << uint64(column & 63)


@kernel([void(array(int32), array(uint32), out(int64)), void(array(int32), array(uint64), out(int64))])
def add_columns(columns, values, sums):
    """Add every value to the sum of its column."""
    for i in range(columns.shape[0]):
        sums[columns[i]] += np.int64(values[i])


@kernel(
    [
        int64(array(int64), array(int32), array(uint32), int64, array(int64)),
        int64(array(int64), array(int32), array(uint64), int64, array(int64)),
    ]
)
def first_wrong_row(starts, columns, values, width, sums):
    """Return the first row that is not one of a matrix of `width` columns with these sums, or -1.

    The columns of a row must rise, and its values must be above 0 and have the row's sum.
    """
    for r in range(sums.shape[0]):
        before, left = int64(-1), uint64(sums[r])
        for i in range(starts[r], starts[r + 1]):
            column, value = int64(columns[i]), uint64(values[i])
            if column <= before or column >= width or value == 0 or value > left:
                return r
            before, left = column, left - value
        if left != 0:
            return r
    return -1


@kernel(
    [
        void(array(int64), array(int32), array(uint32), int64, out(int64)),
        void(array(int64), array(int32), array(uint64), int64, out(int64)),
    ]
)
def find_diagonal(starts, columns, values, row0, found):
    """Set found[r] to the diagonal value of row row0 + r, if it has one; the entries of a row are sorted by column."""
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

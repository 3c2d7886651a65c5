"""Hidden rows: each the mean or the sum of some input rows, or all of them side by side, and the way of its step back to these.

The windows of a group overlap, so sums of places up to each are kept, and a window is a difference of two.
"""

from __future__ import annotations

from numba import float32, int64

from cooc_engine._kernels.examples import HIDDEN, INPUTS, OWN, padded_to
from cooc_engine._kernels.jit import helper
from cooc_engine._kernels.rules import CENTRE, CONCAT, CONTEXTS, SUM
from cooc_engine._kernels.simd import (
    LANES,
    add_differences,
    add_row,
    add_to_row,
    clear_row,
    copy_row,
    set_differences,
    transpose,
)  # fmt: skip


@helper
def clear(matrix, rows):
    """Set the first rows of a matrix to zero."""
    for i in range(rows):
        clear_row(matrix, i)


@helper
def read_places(W, example, target, first):
    """Sum up the input rows of each place, in rows of `target` from a first one on."""
    starts, inputs = example.starts, example.inputs
    for place in range(example.sizes[INPUTS]):
        copy_row(W, int64(inputs[starts[place]]), target, first + place)
        for p in range(starts[place] + 1, starts[place + 1]):
            add_row(W, int64(inputs[p]), target, first + place)


@helper
def word_places(rule, example):
    """Return the number of input places of words: all but the document's."""
    return example.sizes[INPUTS] - (1 if rule.document >= 0 else 0)


@helper
def sum_up(matrix, rows):
    """Replace each of the first rows of a matrix by the sum of those up to it."""
    for i in range(1, rows):
        add_row(matrix, i - 1, matrix, i)


@helper
def window_of(rule, example, i):
    """Return a < b <= c < d: the inputs of the i-th window are the places a:b and c:d, and the document's if there is one."""
    own = example.sizes[OWN] + i
    if rule.inputs == CONTEXTS:
        return int64(example.low[i]), own, own + 1, int64(example.high[i])
    if rule.inputs == CENTRE:
        return i, i + 1, i + 1, i + 1
    return int64(0), int64(0), int64(0), int64(0)


@helper
def count_rows(rule, example, i):
    """Return the number of input rows of the i-th window, at least 1."""
    a, b, c, d = window_of(rule, example, i)
    starts, places = example.starts, example.sizes[INPUTS]
    own = starts[places] - starts[places - 1] if rule.document >= 0 else 0
    return max(1, starts[b] - starts[a] + starts[d] - starts[c] + own)


@helper
def share_of(rule, example, i):
    """Return the share that each input row has in the i-th hidden row."""
    return float32(1) / float32(1 if rule.mean == SUM else count_rows(rule, example, i))


@helper
def segment_place(rule, example, i, segment):
    """Return the input place of a segment of the i-th hidden row: the document's, then those of the window's words in turn.

    Beyond the ends of the text it is the one after the last.
    """
    last = example.sizes[INPUTS]
    if segment == 0:
        return last - 1
    own = example.sizes[OWN] + i
    place = own + segment - rule.window - (1 if segment <= rule.window else 0)
    return place if example.low[i] <= place < example.high[i] else last


@helper
def read_segments(rule, W, example, scratch):
    """Lay the input rows of each window side by side, as its hidden row."""
    places, size = scratch.places, 2 * rule.window + 1
    read_places(W, example, places, 0)
    copy_row(W, rule.document - 1, places, example.sizes[INPUTS])
    for i in range(example.sizes[HIDDEN]):
        for segment in range(size):
            copy_row(places, segment_place(rule, example, i, segment), scratch.segments, i * size + segment)


@helper
def read_hidden(rule, W, example, scratch):
    """Compute the hidden rows, each the mean of its input rows, and turn them into columns."""
    hidden = scratch.hidden
    if rule.mean == CONCAT:
        read_segments(rule, W, example, scratch)
    elif rule.mean:
        places = scratch.places
        clear_row(places, 0)
        read_places(W, example, places, 1)
        sum_up(places, 1 + word_places(rule, example))
        for i in range(example.sizes[HIDDEN]):
            share = share_of(rule, example, i)
            a, b, c, d = window_of(rule, example, i)
            set_differences(share, places, a, b, c, d, hidden, i)
            if rule.document >= 0:
                add_to_row(share, places, example.sizes[INPUTS], hidden, i)
    else:
        read_places(W, example, hidden, 0)
        for place in range(example.sizes[INPUTS]):
            n = example.starts[place + 1] - example.starts[place]
            if n > 1:
                add_to_row(float32(1) / float32(n) - float32(1), hidden, place, hidden, place)
    for first in range(0, padded_to(example.sizes[HIDDEN], LANES), LANES):
        for column in range(0, hidden.shape[1], LANES):
            transpose(hidden, first, column, scratch.turned)


@helper
def spread_steps(rule, example, scratch):
    """Give each place of a window the step of its mean; the document's place is the last."""
    steps, words = scratch.place_steps, word_places(rule, example)
    clear(steps, words + 1)
    for i in range(example.sizes[HIDDEN]):
        share = float32(1) / float32(count_rows(rule, example, i) if rule.spread else 1)
        a, b, c, d = window_of(rule, example, i)
        add_differences(share, scratch.hidden_steps, i, steps, a, b, c, d)
    sum_up(steps, words)
    if rule.document >= 0:
        clear_row(steps, words)
        for i in range(example.sizes[HIDDEN]):
            share = float32(1) / float32(count_rows(rule, example, i) if rule.spread else 1)
            add_to_row(share, scratch.hidden_steps, i, steps, words)


@helper
def gather_segments(rule, example, scratch):
    """Give each place the steps of its segments; the last but one is the document's."""
    size = 2 * rule.window + 1
    clear(scratch.place_steps, example.sizes[INPUTS] + 1)
    for i in range(example.sizes[HIDDEN]):
        for segment in range(size):
            add_row(scratch.segment_steps, i * size + segment, scratch.place_steps, segment_place(rule, example, i, segment))

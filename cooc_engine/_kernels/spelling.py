"""Words as the ids of their characters, and the convolutions over them by gathering rows of tables.

The value of a filter of width w at a place p is Σ_k T_k[c_{p+k}], where T_k = E W_k has a row for each character: no product is
taken for a place, and the gradient touches only the rows at the place of the largest value.
"""

from __future__ import annotations

from numba import float32, int16, int32, int64, uint8, void

from cooc_engine._kernels.jit import array, helper, kernel, out

BEGIN_SENTENCE, END_SENTENCE, BEGIN, END, PADDING = 256, 257, 258, 259, 260
CLOSING, SLASH, OPENING, LETTER_S = 62, 47, 60, 83  # > / < S


@helper
def mark_of(text, begin, end):
    """Return the character of the word `<S>` or `</S>`, or -1 for any other word."""
    n = end - begin
    if n < 3 or n > 4 or text[begin] != OPENING or text[end - 2] != LETTER_S or text[end - 1] != CLOSING:
        return -1
    if n == 3:
        return BEGIN_SENTENCE
    return END_SENTENCE if text[begin + 1] == SLASH else -1


@kernel(void(array(uint8), array(int64), array(int64), array(int64), out(int16, 2), out(int64)))
def spell(text, begins, ends, words, ids, lengths):
    """Write the characters of some words, whose bytes are text[begins[w]:ends[w]], to `ids` (n, places).

    Each is a begin mark, at most `places` - 2 bytes, an end mark and padding; `lengths` (n,) are those without the padding.
    """
    places = ids.shape[1]
    for r in range(words.shape[0]):
        begin, end = begins[words[r]], ends[words[r]]
        mark = mark_of(text, begin, end)
        n = 1 if mark >= 0 else min(end - begin, places - 2)
        ids[r, 0] = BEGIN
        for p in range(n):
            ids[r, 1 + p] = mark if mark >= 0 else text[begin + p]
        ids[r, 1 + n] = END
        for p in range(n + 2, places):
            ids[r, p] = PADDING
        lengths[r] = n + 2


@kernel(
    void(
        array(int16, 2), array(int64), array(float32, 3), out(float32, 2), out(int32), int64, out(float32, 2), out(int16, 2)
    ),
    fast=True,
)  # fmt: skip
def convolve(ids, lengths, tables, values, found, first, largest, places):
    """Write the largest value of each of n filters over all places of each word, and where it is.

    tables (width, characters, n); the results go to columns first:first + n; `values` (2, n) and `found` (n,) are scratch.
    Windows of nothing but padding are alike: the first of them stands for all.
    """
    width, _, n = tables.shape
    for r in range(ids.shape[0]):
        for p in range(min(lengths[r], ids.shape[1] - width) + 1):
            c = ids[r, p]
            for j in range(n):
                values[0, j] = tables[0, c, j]
            for k in range(1, width):
                c = ids[r, p + k]
                for j in range(n):
                    values[0, j] += tables[k, c, j]
            place = int32(p)
            for j in range(n):  # all numbers are 32 bits wide, or the choice does not vectorise
                value, most, at = values[0, j], values[1, j], found[j]
                larger = place == 0 or value > most
                found[j] = place if larger else at
                values[1, j] = value if larger else most
        for j in range(n):
            largest[r, first + j], places[r, first + j] = values[1, j], found[j]


@kernel(void(array(int16, 2), array(int16, 2), array(float32, 2), int64, out(float32, 3)), fast=True)
def unconvolve(ids, places, gradient, first, tables):
    """Add the gradient of the largest values to that of the tables, which `convolve` gathered them from."""
    width, _, n = tables.shape
    for r in range(ids.shape[0]):
        for k in range(width):
            for j in range(n):
                g = gradient[r, first + j]
                if g != 0:
                    tables[k, ids[r, places[r, first + j] + k], j] += g

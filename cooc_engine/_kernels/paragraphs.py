"""Joining the lines of a document: a line end becomes a space, except where a blank line ends the document."""

from __future__ import annotations

from numba import boolean, int64, uint8, void

from cooc_engine._kernels.jit import kernel, out

LINE_END, SPACE = 10, 32
OPEN, BLANK = 0, 1  # of the state


@kernel(void(out(uint8), int64, boolean, out(int64)))
def join_lines(text, size, at_blank_lines, state):
    """Replace line ends in text[:size] by spaces, but keep that of the first blank line after a document, if these end there.

    state: whether a document is open, and whether the line so far is blank.
    """
    for p in range(size):
        byte = text[p]
        if byte == LINE_END:
            if at_blank_lines and state[OPEN] and state[BLANK]:
                state[OPEN] = 0
            else:
                text[p] = SPACE
            state[BLANK] = 1
        elif byte != SPACE and (byte < 9 or byte > 13):
            state[OPEN] = 1
            state[BLANK] = 0

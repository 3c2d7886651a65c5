"""Taking one column out of tab-separated lines."""

from __future__ import annotations

from numba import int64, uint8

from cooc_engine._kernels.jit import kernel, out

TAB, LINE_END, RETURN, SPACE = 9, 10, 13, 32
COLUMN, LENGTH, LINES, EMPTY, HELD = range(5)  # of the state


@kernel(int64(out(uint8), int64, int64, out(int64), out(uint8)))
def take_column(text, size, column, state, taken):
    """Move a column of text[:size] to `taken`, each line's with a line end after it; in the text its bytes become spaces.

    state: the column that the text is in, the bytes of the wanted one so far that are no spaces, the lines so far, the first
    line without any, or 0, and whether a carriage return was the last byte of the column: it is a part of it unless a line end
    follows. Returns the number of bytes taken, at most `size` + 1.
    """
    n = 0
    for p in range(size):
        byte = text[p]
        if byte == LINE_END:
            state[LINES] += 1
            if state[LENGTH] == 0 and state[EMPTY] == 0:
                state[EMPTY] = state[LINES]
            taken[n] = LINE_END
            n += 1
            state[COLUMN] = state[LENGTH] = state[HELD] = 0
            continue
        if state[HELD]:
            taken[n] = RETURN
            n += 1
            state[LENGTH] += 1
            state[HELD] = 0
        if byte == TAB:
            state[COLUMN] += 1
        elif state[COLUMN] == column:
            text[p] = SPACE
            if byte == RETURN:
                state[HELD] = 1
            else:
                taken[n] = byte
                n += 1
                state[LENGTH] += byte != SPACE
    return n

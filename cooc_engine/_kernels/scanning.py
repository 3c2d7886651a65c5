"""Scanning text: where words begin and end, their hashes, bytes that are no text, and room on the stack for what is found."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import int64, types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.basics import load64, trailing_zeros
from cooc_engine._kernels.jit import helper

AHEAD = 32  # words that are found before they are looked up, so that what is prefetched for them is there
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_ONES = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)


@intrinsic
def room_ahead(typing):
    """Return room for AHEAD int64, which the kernel has until it returns."""

    def codegen(context, builder, signature, arguments):
        room = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(64), AHEAD))
        return builder.bitcast(room, ir.IntType(64).as_pointer())

    return types.CPointer(types.int64)(), codegen


@helper
def is_space(byte):
    """Tell whether a byte is ASCII white space."""
    return byte == 32 or (byte >= 9 and byte <= 13)


@helper
def up_to_space(chunk):
    """Return a mask with the high bit set in each byte of `chunk` that is at most 32; exact up to the first such byte."""
    return (chunk - _ONES * np.uint64(33)) & ~chunk & _HIGH


@helper
def hash_chunk(hash_, chunk):
    """Return the hash, updated with 8 more bytes."""
    h = (hash_ ^ chunk) * MULTIPLIER
    return h ^ (h >> np.uint64(32))


@helper
def inside_chunk(block, p, chunk):
    """Return how many of the 8 bytes at p belong to the same word: those before the first white space, or all."""
    flags = up_to_space(chunk)
    if flags == 0:
        return int64(8)
    inside = trailing_zeros(flags) >> 3
    while inside < 8 and not is_space(block[p + inside]):  # a control character is part of a word
        inside += 1
    return inside


@helper
def hash_word(block, start):
    """Return the end of the word at `start`, and its hash."""
    p, h = start, uint64(0)
    while True:
        chunk = load64(block, p)
        inside = inside_chunk(block, p, chunk)
        if inside < 8:
            if inside > 0:
                h = hash_chunk(h, chunk & (~np.uint64(0) >> np.uint64(64 - 8 * inside)))
            return p + inside, h
        h = hash_chunk(h, chunk)
        p += 8


@helper
def bad_text(block, start, stop):
    """Return the first position in a word with a NUL byte or invalid UTF-8 (RFC 3629), or -1."""
    p = start
    while p < stop:
        b = block[p]
        if b == 0:
            return p
        if b < 0x80:
            p += 1
            continue
        lowest, highest = 0x80, 0xBF
        if 0xC2 <= b <= 0xDF:
            more = 1
        elif 0xE0 <= b <= 0xEF:
            more = 2
            if b == 0xE0:
                lowest = 0xA0
            elif b == 0xED:
                highest = 0x9F
        elif 0xF0 <= b <= 0xF4:
            more = 3
            if b == 0xF0:
                lowest = 0x90
            elif b == 0xF4:
                highest = 0x8F
        else:
            return p
        if p + more >= stop or block[p + 1] < lowest or block[p + 1] > highest:
            return p
        for k in range(2, more + 1):
            if block[p + k] < 0x80 or block[p + k] > 0xBF:
                return p
        p += more + 1
    return -1

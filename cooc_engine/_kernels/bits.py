"""Sets of numbers as one bit for each number, 64 to a word, and the rank of a number among those of the set (Jacobson 1989)."""

from __future__ import annotations

from numba import int64, types, uint64
from numba.extending import intrinsic

from cooc_engine._kernels.jit import helper


@intrinsic
def count_ones(typing_context, word):
    """Return the number of bits of a uint64 that are 1."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@helper
def rank(words, ranks, number):
    """Return how many numbers of a set are less than one of it, or -1 if that is not in the set.

    ranks   for each of `words`, the number of bits that are 1 in the words before it
    """
    place, bit = number >> 6, uint64(1) << uint64(number & 63)
    if words[place] & bit == 0:
        return int64(-1)
    return int64(ranks[place]) + count_ones(words[place] & (bit - uint64(1)))

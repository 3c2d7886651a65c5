"""Sets of numbers as one bit for each number, 64 to a word, the rank of a number in a set (Jacobson 1989), and remainders."""

from __future__ import annotations

from llvmlite import ir
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
    place, shift = number >> 6, uint64(number & 63)
    before = int64(ranks[place]) + count_ones(words[place] & ((uint64(1) << shift) - uint64(1)))
    return (before + 1) * int64((words[place] >> shift) & uint64(1)) - 1  # not a branch, which would often be mispredicted


@intrinsic
def upper_product(typing_context, a, b):
    """Return the upper 64 of the 128 bits of the product of two uint64."""

    def codegen(context, builder, signature, args):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(value, wide) for value in args))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@helper
def inverse_of(divisor):
    """Return what `remainder` multiplies by."""
    return ~uint64(0) // divisor


@helper
def remainder(value, divisor, inverse):
    """Return value modulo divisor, both uint64, faster than a division.

    The product is at most one less than the quotient: it lacks value (2^64 - divisor inverse) / (2^64 divisor) < 1 of it.
    """
    rest = value - upper_product(value, inverse) * divisor
    return rest - divisor if rest >= divisor else rest

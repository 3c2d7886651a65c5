"""Primitives that Numba lacks and several kernels need: unaligned loads, prefetching, bit scans, random numbers."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.jit import helper


def _element_pointer(context, builder, array_type, array_value, index):
    array = context.make_array(array_type)(context, builder, array_value)
    return builder.gep(array.data, [index])


@intrinsic
def load64(typing_context, data, position):
    """Return 8 bytes of a uint8 array, starting at `position`, as a little-endian uint64; bounds are not checked."""
    signature = types.uint64(data, types.int64)

    def codegen(context, builder, signature, args):
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)

    return signature, codegen


def _prefetch(locality, written=False):
    """Make the function that prefetches the cache line of `data[position]`; harmless even if that is outside the array.

    A line that will be `written` is taken from other cores at once.
    """

    @intrinsic
    def prefetch(typing_context, data, position):
        signature = types.void(data, types.int64)

        def codegen(context, builder, signature, args):
            pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
            i32 = ir.IntType(32)
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32]), "llvm.prefetch.p0"
            )
            how = [ir.Constant(i32, number) for number in (int(written), locality, 1)]
            builder.call(function, [builder.bitcast(pointer, cgutils.voidptr_t), *how])

        return signature, codegen

    return prefetch


prefetch = _prefetch(3)
prefetch_to_write = _prefetch(3, written=True)
prefetch_later = _prefetch(2)  # to the second level: what is worked on now stays in the first (skip-gram: 8 % faster)


@intrinsic
def trailing_zeros(typing_context, word):
    """Return the number of zero bits below the lowest set bit of a nonzero uint64."""
    signature = types.int64(types.uint64)

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return signature, codegen


@helper
def mix64(x):
    """Return a 64-bit hash of a uint64 (the finaliser of SplitMix64, Steele et al. 2014)."""
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@helper
def next_random(state):
    """Return the next state, which is also the 64 random bits (xorshift64, Marsaglia 2003); a nonzero state stays nonzero."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@helper
def below(random, bound):
    """Return an integer in 0..bound-1, computed from the upper 32 bits of `random` (bound below 2**32)."""
    return np.int64(((random >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))

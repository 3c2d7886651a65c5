"""What Numba lacks and several kernels need: unaligned loads, prefetches, bits of floats, random numbers."""

from __future__ import annotations

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
    """Return the 8 bytes of a uint8 array from `position` on, as a little-endian uint64; no bounds are checked."""
    signature = types.uint64(data, types.int64)

    def codegen(context, builder, signature, args):
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)

    return signature, codegen


@intrinsic
def prefetch(typing_context, data, position):
    """Ask for the cache line of `data[position]`; harmless wherever it points."""
    signature = types.void(data, types.int64)

    def codegen(context, builder, signature, args):
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        i32 = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32]), "llvm.prefetch.p0"
        )
        read, everywhere, is_data = ir.Constant(i32, 0), ir.Constant(i32, 3), ir.Constant(i32, 1)
        builder.call(function, [builder.bitcast(pointer, cgutils.voidptr_t), read, everywhere, is_data])

    return signature, codegen


@intrinsic
def trailing_zeros(typing_context, word):
    """Return the number of zero bits below the lowest set bit of a uint64 that is not 0."""
    signature = types.int64(types.uint64)

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return signature, codegen


@intrinsic
def bits_of(typing_context, value):
    """Return the bits of a float32 as int32."""
    signature = types.int32(types.float32)

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return signature, codegen


@intrinsic
def float_of(typing_context, bits):
    """Return the float32 that has these bits."""
    signature = types.float32(types.int32)

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return signature, codegen

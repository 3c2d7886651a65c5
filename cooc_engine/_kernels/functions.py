"""Elementary functions in single precision that vectorise, unlike those of the C library."""

from __future__ import annotations

from llvmlite import ir
from numba import float32, int32, types
from numba.extending import intrinsic

from cooc_engine._kernels.jit import helper

LOG2E = float32(1.4426950408889634)
LOWEST = float32(-126)


@intrinsic
def power_of_two(typing_context, n):
    """Return 2**n as a float32, for an int32 from -126 to 127."""
    signature = types.float32(types.int32)

    def codegen(context, builder, signature, args):
        biased = builder.add(args[0], ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

    return signature, codegen


@helper
def exponential(x):
    """Return exp(x) for x <= 0, to about 1e-6 of itself; it vectorises."""
    t = max(x * LOG2E, LOWEST)
    n = int32(t - float32(0.5))
    f = t - float32(n)
    p = float32(1.5403530e-4) * f + float32(1.3333558e-3)
    p = p * f + float32(9.6181291e-3)
    p = p * f + float32(5.5504109e-2)
    p = p * f + float32(2.4022651e-1)
    p = p * f + float32(6.9314718e-1)
    return (p * f + float32(1)) * power_of_two(n)


@helper
def tanh(x):
    """Return the hyperbolic tangent, to about 1e-7."""
    e = exponential(float32(-2) * abs(x))
    t = (float32(1) - e) / (float32(1) + e)
    return -t if x < float32(0) else t

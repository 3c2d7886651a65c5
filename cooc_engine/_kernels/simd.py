"""Small dense products on rows of floats, 16 at a time, as vectors of LLVM, which keep in registers what plain loops cannot.

A *panel* is a few hidden rows by a few output rows. Its inner products are summed in registers, one vector each, and the
gradients of all its rows are computed in one run over the columns. Written as loops in Python the stores of one row would
stop the compiler from keeping the others in registers. Rows are padded to LANES floats, so no remainder is left; LLVM
splits the vectors to the width of the machine.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["COLUMNS", "LANES", "ROWS", "add_row", "dot_panel", "logistic", "mean_row", "scale_row", "update_panel"]

LANES = 16  # 64 bytes: a cache line, and the widest register
ROWS, COLUMNS = 2, 6  # of a panel; 12 sums, 12 factors and the rows themselves fit into 32 registers

F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INTEGERS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)


def splat(value: float) -> ir.Constant:
    """Return a vector of one constant."""
    return ir.Constant(VECTOR, [float(value)] * LANES)


class _Code:
    """A builder of LLVM code with the operations that the panels need."""

    def __init__(self, context, builder, signature, arguments):
        self.context, self.builder = context, builder
        self.types, self.arguments = signature.args, arguments

    def array(self, index):
        """Return an array argument."""
        return self.context.make_array(self.types[index])(self.context, self.builder, self.arguments[index])

    def item(self, index, position):
        """Return one element of a vector argument."""
        return self.builder.load(self.builder.gep(self.array(index).data, [position]))

    def following(self, first, count):
        """Return the numbers first, first + 1, …"""
        return [self.builder.add(first, ir.Constant(I64, i)) for i in range(count)]

    def row(self, index, number):
        """Return the address of a row of a matrix argument."""
        matrix = self.array(index)
        columns = self.builder.extract_value(matrix.shape, 1)
        if number.type != I64:
            number = self.builder.sext(number, I64)
        return self.builder.gep(matrix.data, [self.builder.mul(number, columns)])

    def width(self, index):
        """Return the number of columns of a matrix argument."""
        return self.builder.extract_value(self.array(index).shape, 1)

    def load(self, pointer, place=None):
        """Return the vector at an address."""
        return self.builder.load(self._vector(pointer, place), align=4)

    def store(self, value, pointer, place=None):
        """Write a vector to an address."""
        self.builder.store(value, self._vector(pointer, place), align=4)

    def _vector(self, pointer, place):
        if place is not None:
            pointer = self.builder.gep(pointer, [place])
        return self.builder.bitcast(pointer, VECTOR.as_pointer())

    def spread(self, scalar):
        """Return a vector of one scalar."""
        one = self.builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(INTEGERS, [0] * LANES)
        return self.builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)

    def call(self, name, *values):
        """Call a function of LLVM that works lane by lane."""
        kind = ir.FunctionType(VECTOR, [VECTOR] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.v{LANES}f32")
        return self.builder.call(function, values)

    def fma(self, a, b, c):
        """Return a b + c, rounded once where the machine can."""
        return self.call("fmuladd", a, b, c)

    def polynomial(self, x, coefficients):
        """Return Σ c_i x^i by Horner's rule."""
        value = splat(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            value = self.fma(value, x, splat(c))
        return value

    def sums(self, vectors):
        """Return the sums of up to LANES vectors as the lanes of one: a tree that halves the vectors in each step."""
        zero = splat(0)
        level = [*vectors, *[zero] * (LANES - len(vectors))]
        even, odd = (ir.Constant(INTEGERS, list(range(first, 2 * LANES, 2))) for first in (0, 1))
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [zero if a is zero and b is zero else self._add_pairs(a, b, even, odd) for a, b in pairs]
        return level[0]

    def _add_pairs(self, a, b, even, odd):
        return self.builder.fadd(self.builder.shuffle_vector(a, b, even), self.builder.shuffle_vector(a, b, odd))

    def chunks(self, width):
        """Loop over the columns, LANES at a time; gives the first of each."""
        return cgutils.for_range_slice(self.builder, ir.Constant(I64, 0), width, ir.Constant(I64, LANES), I64)


def dot_panel(rows, columns):
    """Make the function of a panel's inner products.

    f(H, h, a, O, o, b, scores, t): lane i columns + j of scores[t] becomes H[h[a + i]] · O[o[b + j]]; other lanes 0.
    """

    @intrinsic
    def panel(typing, H, h, a, O, o, b, scores, t):  # noqa: E741
        signature = types.void(H, h, types.int64, O, o, types.int64, scores, types.int64)

        def codegen(context, builder, signature, arguments):
            code = _Code(context, builder, signature, arguments)
            _, _, a, _, _, b, _, t = arguments
            hidden = [code.row(0, code.item(1, n)) for n in code.following(a, rows)]
            output = [code.row(3, code.item(4, n)) for n in code.following(b, columns)]
            sums = [cgutils.alloca_once_value(builder, splat(0)) for _ in range(rows * columns)]
            with code.chunks(code.width(0)) as (z, _):
                x, y = [code.load(p, z) for p in hidden], [code.load(p, z) for p in output]
                for n, place in enumerate(sums):
                    builder.store(code.fma(x[n // columns], y[n % columns], builder.load(place)), place)
            code.store(code.sums([builder.load(place) for place in sums]), code.row(6, t))
            return context.get_dummy_value()

        return signature, codegen

    return panel


def update_panel(rows, columns):
    """Make the function that adds a panel's share to the gradients of its rows.

    f(H, h, base, a, O, o, b, G, t, dH, dO, zeros): dH[a + i] += Σ_j g_ij O[o[b + j]], dO[b + j] += Σ_i g_ij H[h[base + a + i]]
    with g_ij = G[t, i columns + j]. The panels with b = 0 set dH, those with a = 0 set dO; `zeros` is a row of zeros.
    """

    @intrinsic
    def panel(typing, H, h, base, a, O, o, b, G, t, dH, dO, zeros):  # noqa: E741
        n = types.int64
        signature = types.void(H, h, n, n, O, o, n, G, n, dH, dO, zeros)

        def codegen(context, builder, signature, arguments):
            code = _Code(context, builder, signature, arguments)
            _, _, base, a, _, _, b, _, t, _, _, _ = arguments
            across, down = code.following(a, rows), code.following(b, columns)
            hidden = [code.row(0, code.item(1, builder.add(base, n))) for n in across]
            output = [code.row(4, code.item(5, n)) for n in down]
            dhidden, doutput = [code.row(9, n) for n in across], [code.row(10, n) for n in down]
            nothing, origin = code.array(11).data, ir.Constant(I64, 0)
            first_b, first_a = builder.icmp_signed("==", b, origin), builder.icmp_signed("==", a, origin)
            before_h = [builder.select(first_b, nothing, p) for p in dhidden]
            before_o = [builder.select(first_a, nothing, p) for p in doutput]
            factors = code.row(7, t)
            g = [code.spread(builder.load(builder.gep(factors, [ir.Constant(I64, n)]))) for n in range(rows * columns)]
            with code.chunks(code.width(0)) as (z, _):
                x, y = [code.load(p, z) for p in hidden], [code.load(p, z) for p in output]
                dx, dy = [code.load(p, z) for p in before_h], [code.load(p, z) for p in before_o]
                for n, factor in enumerate(g):
                    i, j = n // columns, n % columns
                    dx[i], dy[j] = code.fma(factor, y[j], dx[i]), code.fma(factor, x[i], dy[j])
                for value, pointer in zip(dx + dy, dhidden + doutput, strict=True):
                    code.store(value, pointer, z)
            return context.get_dummy_value()

        return signature, codegen

    return panel


EXP2 = [math.log(2) ** n / math.factorial(n) for n in range(8)]  # 2^r for |r| ≤ 1/2, to the last bit
ATANH = [2 / (2 * n + 1) for n in range(7)]  # log(1 + e) = 2 artanh(e / (2 + e))


def _exp_of_minus(code, x):
    """Return e^-x for x ≥ 0, at least e^-80; NaN stays NaN."""
    builder = code.builder
    x = builder.select(builder.fcmp_ordered(">", x, splat(80)), splat(80), x)
    power = builder.fmul(x, splat(-1 / math.log(2)))
    whole = code.call("rint", power)
    fraction = code.polynomial(builder.fsub(power, whole), EXP2)
    exponent = builder.shl(builder.fptosi(whole, INTEGERS), ir.Constant(INTEGERS, [23] * LANES))
    return builder.bitcast(builder.add(builder.bitcast(fraction, INTEGERS), exponent), VECTOR)


@intrinsic
def logistic(typing, scores, t, labels, weights, u, lanes, lr, clamp, beyond):
    """Turn the inner products scores[t] into gradients; returns their loss −Σ w log σ(y z) over the first `lanes`.

    y = labels[u] is 1 or −1, w = weights[u]; z becomes lr w y (1 − σ(y z)), where 1 − σ counts as 0 for y z > clamp and as
    `beyond` for y z < −clamp.
    """
    f = types.float32
    signature = types.float32(scores, types.int64, labels, weights, types.int64, types.int64, f, f, f)

    def codegen(context, builder, signature, arguments):
        code = _Code(context, builder, signature, arguments)
        _, t, _, _, u, lanes, lr, clamp, beyond = arguments
        one, zero = splat(1), splat(0)
        place = code.row(0, t)
        y, w = code.load(code.row(2, u)), code.load(code.row(3, u))
        number = builder.trunc(lanes, I32)
        numbers = builder.bitcast(code.spread(builder.bitcast(number, F32)), INTEGERS)
        used = builder.icmp_signed("<", ir.Constant(INTEGERS, list(range(LANES))), numbers)
        w = builder.select(used, w, zero)
        x = builder.fmul(y, code.load(place))
        e = _exp_of_minus(code, code.call("fabs", x))
        right = builder.fcmp_ordered(">", x, zero)
        error = builder.fdiv(builder.select(right, e, one), builder.fadd(one, e))
        above = builder.fcmp_ordered(">", x, code.spread(clamp))
        below = builder.fcmp_ordered("<", x, code.spread(builder.fneg(clamp)))
        error = builder.select(above, zero, builder.select(below, code.spread(beyond), error))
        code.store(builder.fmul(builder.fmul(builder.fmul(error, y), w), code.spread(lr)), place)
        s = builder.fdiv(e, builder.fadd(e, splat(2)))
        log1p = builder.fmul(s, code.polynomial(builder.fmul(s, s), ATANH))
        loss = builder.fmul(w, builder.fadd(log1p, builder.select(right, zero, builder.fneg(x))))
        return builder.extract_element(code.sums([loss]), ir.Constant(I32, 0))

    return signature, codegen


@intrinsic
def add_row(typing, source, i, target, row):
    """Add row i of `source` to a row of `target`."""
    signature = types.void(source, types.int64, target, types.int64)

    def codegen(context, builder, signature, arguments):
        code = _Code(context, builder, signature, arguments)
        a, b = code.row(0, arguments[1]), code.row(2, arguments[3])
        with code.chunks(code.width(0)) as (z, _):
            code.store(builder.fadd(code.load(a, z), code.load(b, z)), b, z)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def scale_row(typing, matrix, row, factor):
    """Multiply a row of a matrix by a factor."""
    signature = types.void(matrix, types.int64, types.float32)

    def codegen(context, builder, signature, arguments):
        code = _Code(context, builder, signature, arguments)
        place, factor = code.row(0, arguments[1]), code.spread(arguments[2])
        with code.chunks(code.width(0)) as (z, _):
            code.store(builder.fmul(code.load(place, z), factor), place, z)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def mean_row(typing, source, rows, n, target):
    """Write the mean of the rows rows[:n] of `source` to target[0]."""
    signature = types.void(source, rows, types.int64, target)

    def codegen(context, builder, signature, arguments):
        code = _Code(context, builder, signature, arguments)
        n = arguments[2]
        share = code.spread(builder.fdiv(ir.Constant(F32, 1.0), builder.sitofp(n, F32)))
        target = code.array(3).data
        total = cgutils.alloca_once_value(builder, splat(0))
        with code.chunks(code.width(0)) as (z, _):
            builder.store(splat(0), total)
            with cgutils.for_range(builder, n, intp=I64) as loop:
                row = code.row(0, code.item(1, loop.index))
                builder.store(builder.fadd(builder.load(total), code.load(row, z)), total)
            code.store(builder.fmul(builder.load(total), share), target, z)
        return context.get_dummy_value()

    return signature, codegen

"""Small dense products on rows of floats, 16 at a time, as vectors of LLVM, which keep in registers what plain loops cannot.

Everything dense in the training step is one operation, `out[r, :] += Σ_s F[r, s] X[s, :]`, on a *tile* of TILE rows by LANES
columns: its sums stay in registers while s runs, and each vector of X is used for all rows. Rows are padded to LANES floats and
panels to TILE rows, so no remainder is left; LLVM splits the vectors to the width of the machine.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba import float32, types
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.jit import helper

__all__ = [
    "COLUMNS", "LANES", "TILE", "add_differences", "add_row", "add_tile", "add_to_row", "clear_row", "copy_row", "dots",
    "logistic", "pair_dots", "pair_step", "set_differences", "set_tile", "single_dots", "single_step", "transpose",
    "transpose_listed",
]  # fmt: skip

LANES = 16  # 64 bytes: a cache line, and the widest register
COLUMNS = 6  # output rows of a panel, which has one or two hidden rows
TILE = 4  # rows; 4 to 12 run at the peak of cores with 32 registers of 64 bytes, more than 6 spill where there are 16 of 32

F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INTEGERS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)

# The lanes of two vectors that are added to the others when a tree of sums halves them: first within quarters of 4 lanes, which
# takes a core a cycle instead of three, then whole quarters.
QUARTERS = range(0, LANES, 4)
WITHIN = [([0, 16, 1, 17], [2, 18, 3, 19]), ([0, 1, 16, 17], [2, 3, 18, 19])]
ACROSS = [([0, 4, 16, 20], [8, 12, 24, 28]), ([0, 8, 16, 24], [4, 12, 20, 28])]
HALVES = [[[first + lane for first in QUARTERS for lane in half] for half in halves] for halves in WITHIN] + [
    [[first + lane for first in half for lane in range(4)] for half in halves] for halves in ACROSS
]


def splat(value: float) -> ir.Constant:
    """Return a vector of one constant."""
    return ir.Constant(VECTOR, [float(value)] * LANES)


class RowCode:
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
        for low, high in HALVES:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [zero if a is zero and b is zero else self._add_halves(a, b, low, high) for a, b in pairs]
        return level[0]

    def _add_halves(self, a, b, low, high):
        return self.builder.fadd(*(self.builder.shuffle_vector(a, b, ir.Constant(INTEGERS, half)) for half in (low, high)))

    def place(self, index, first, by, number):
        """Return the address `first` + `by` `number` of an array argument's data."""
        return self.builder.gep(
            self.array(index).data, [self.builder.add(first, self.builder.mul(by, ir.Constant(I64, number)))]
        )

    def chunks(self, width):
        """Loop over the columns, LANES at a time; gives the first of each."""
        return cgutils.for_range_slice(self.builder, ir.Constant(I64, 0), width, ir.Constant(I64, LANES), I64)


def _tile(add):
    """Make the function of a tile, which adds to what is there or overwrites it.

    f(F, f, row, step, X, x, pitch, steps, out, o, width): out[r, :] (+)= Σ_s F[r, s] X[s, :], with element (r, s) of F at place
    f + r row + s step, row s of X at x + s pitch and row r of `out` at o + r width of the arrays' data.
    """

    @intrinsic
    def tile(typing, F, f, row, step, X, x, pitch, steps, out, o, width):
        n = types.int64
        signature = types.void(F, n, n, n, X, n, n, n, out, n, n)

        def codegen(context, builder, signature, arguments):
            code = RowCode(context, builder, signature, arguments)
            _, f, row, step, _, x, pitch, steps, _, o, width = arguments
            factors, results = (
                [code.place(index, first, by, r) for r in range(TILE)] for index, first, by in ((0, f, row), (8, o, width))
            )
            sums = [cgutils.alloca_once_value(builder, splat(0)) for _ in range(TILE)]
            for total, place in zip(sums, results, strict=True):
                builder.store(code.load(place) if add else splat(0), total)
            with cgutils.for_range(builder, steps, intp=I64) as loop:
                values = code.load(builder.gep(code.array(4).data, [builder.add(x, builder.mul(loop.index, pitch))]))
                across = builder.mul(loop.index, step)
                for total, place in zip(sums, factors, strict=True):
                    factor = code.spread(builder.load(builder.gep(place, [across])))
                    builder.store(code.fma(factor, values, builder.load(total)), total)
            for total, place in zip(sums, results, strict=True):
                code.store(builder.load(total), place)
            return context.get_dummy_value()

        return signature, codegen

    return tile


set_tile, add_tile = _tile(False), _tile(True)


@intrinsic
def dots(typing, A, a, B, b, first, scores):
    """Write the inner products A[a[first + i]] · B[b[first + i]], i < LANES, to scores[first:first + LANES]."""
    signature = types.void(A, a, B, b, types.int64, scores)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        numbers = code.following(arguments[4], LANES)
        left, right = ([code.row(m, code.item(m + 1, n)) for n in numbers] for m in (0, 2))
        sums = [cgutils.alloca_once_value(builder, splat(0)) for _ in range(LANES)]
        with code.chunks(code.width(0)) as (z, _):
            for total, p, q in zip(sums, left, right, strict=True):
                builder.store(code.fma(code.load(p, z), code.load(q, z), builder.load(total)), total)
        code.store(code.sums([builder.load(total) for total in sums]), code.array(5).data, arguments[4])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def transpose(typing, matrix, first, column, target):
    """Write LANES rows from `first`, LANES columns from `column`, of a matrix to rows `column`, columns `first` of `target`."""
    signature = types.void(matrix, types.int64, types.int64, target)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        _, first, column, _ = arguments
        rows = [code.row(0, n) for n in code.following(first, LANES)]
        _transpose(code, rows, column, [code.row(3, n) for n in code.following(column, LANES)], first)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def transpose_listed(typing, matrix, rows, place, column, target):
    """Write rows that are listed from `place` on, LANES columns from `column`, of a matrix to rows `column` of `target`."""
    signature = types.void(matrix, rows, types.int64, types.int64, target)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        _, _, place, column, _ = arguments
        rows = [code.row(0, code.item(1, n)) for n in code.following(place, LANES)]
        _transpose(code, rows, column, [code.row(4, n) for n in code.following(column, LANES)], ir.Constant(I64, 0))
        return context.get_dummy_value()

    return signature, codegen


def _transpose(code, rows, column, targets, place):
    """Write LANES columns from `column` of rows at some addresses to `place` in those at others."""
    values = [code.load(row, column) for row in rows]
    for half in (8, 4, 2, 1):  # exchange the off-diagonal blocks of ever smaller squares
        values = _exchanged(code, values, half)
    for target, value in zip(targets, values, strict=True):
        code.store(value, target, place)


def _exchanged(code, rows, half):
    """Return rows where, in each square of 2 `half`, the upper right and the lower left block have changed places."""
    lower = [n if not n & half else n - half + LANES for n in range(LANES)]
    upper = [n + half if not n & half else n + LANES for n in range(LANES)]
    result = list(rows)
    for n in range(LANES):
        if not n & half:
            pair = rows[n], rows[n + half]
            result[n], result[n + half] = (
                code.builder.shuffle_vector(*pair, ir.Constant(INTEGERS, mask)) for mask in (lower, upper)
            )
    return result


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
def logistic(typing, scores, place, positives, weights, other, lr, clamp, beyond, losses):
    """Turn the LANES inner products z at a place of `scores` into gradients; their losses are added to losses[:LANES].

    Each stands for w examples, p of which have label 1 and w − p label 0: the loss is w log(1 + e^z) − p z, and z becomes
    lr (p − w σ(z)). σ counts as 0 or 1 where |z| > clamp, and what is left of the gradient there is multiplied by `beyond`.
    p and w are at place `other` of `positives` and `weights`.
    """
    f = types.float32
    signature = types.void(scores, types.int64, positives, weights, types.int64, f, f, f, losses)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        _, place, _, _, other, lr, clamp, beyond, _ = arguments
        one, zero = splat(1), splat(0)
        p, w = (code.load(code.array(n).data, other) for n in (2, 3))
        z = code.load(code.array(0).data, place)
        size, positive = code.call("fabs", z), builder.fcmp_ordered(">", z, zero)
        e = _exp_of_minus(code, size)
        share = builder.fdiv(one, builder.fadd(one, e))
        sigma = builder.select(positive, share, builder.fmul(e, share))
        far = builder.fcmp_ordered(">", size, code.spread(clamp))
        sigma = builder.select(far, builder.select(positive, one, zero), sigma)
        factor = builder.select(far, code.spread(builder.fmul(lr, beyond)), code.spread(lr))
        code.store(builder.fmul(factor, builder.fsub(p, builder.fmul(w, sigma))), code.array(0).data, place)
        s = builder.fdiv(e, builder.fadd(e, splat(2)))
        log1p = builder.fmul(s, code.polynomial(builder.fmul(s, s), ATANH))
        softplus = builder.fadd(log1p, builder.select(positive, z, zero))
        loss = builder.fsub(builder.fmul(w, softplus), builder.fmul(p, z))
        code.store(builder.fadd(code.load(code.array(8).data), loss), code.array(8).data)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def clear_row(typing, target, row):
    """Set a row of `target` to zero."""
    signature = types.void(target, types.int64)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        place = code.row(0, arguments[1])
        with code.chunks(code.width(0)) as (z, _):
            code.store(splat(0), place, z)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy_row(typing, source, i, target, row):
    """Copy row i of `source` to a row of `target`."""
    signature = types.void(source, types.int64, target, types.int64)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        a, b = code.row(0, arguments[1]), code.row(2, arguments[3])
        with code.chunks(code.width(0)) as (z, _):
            code.store(code.load(a, z), b, z)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def add_to_row(typing, factor, source, i, target, row):
    """Add a multiple of row i of `source` to a row of `target`."""
    signature = types.void(types.float32, source, types.int64, target, types.int64)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        factor, a, b = code.spread(arguments[0]), code.row(1, arguments[2]), code.row(3, arguments[4])
        with code.chunks(code.width(1)) as (z, _):
            code.store(code.fma(factor, code.load(a, z), code.load(b, z)), b, z)
        return context.get_dummy_value()

    return signature, codegen


@helper
def add_row(source, i, target, row):
    """Add row i of `source` to a row of `target`."""
    add_to_row(float32(1), source, i, target, row)


@intrinsic
def set_differences(typing, factor, sums, a, b, c, d, target, row):
    """Set a row of `target` to a multiple of rows b − a + d − c of `sums`."""
    n = types.int64
    signature = types.void(types.float32, sums, n, n, n, n, target, n)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        factor, place = code.spread(arguments[0]), code.row(6, arguments[7])
        rows = [code.row(1, number) for number in arguments[2:6]]
        with code.chunks(code.width(1)) as (z, _):
            low, high, after, last = (code.load(row, z) for row in rows)
            total = builder.fadd(builder.fsub(high, low), builder.fsub(last, after))
            code.store(builder.fmul(factor, total), place, z)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def add_differences(typing, factor, source, row, target, a, b, c, d):
    """Add a multiple of a row of `source` to the rows a and c of `target`, and subtract it from the rows b and d."""
    n = types.int64
    signature = types.void(types.float32, source, n, target, n, n, n, n)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        factor, place = code.spread(arguments[0]), code.row(1, arguments[2])
        rows = [code.row(3, number) for number in arguments[4:8]]
        with code.chunks(code.width(1)) as (z, _):
            step = builder.fmul(factor, code.load(place, z))
            for number, row in enumerate(rows):  # one after the other: some are equal
                code.store((builder.fsub if number % 2 else builder.fadd)(code.load(row, z), step), row, z)
        return context.get_dummy_value()

    return signature, codegen


def _panel_dots(rows):
    """Make the function of a panel's inner products.

    f(H, a, O, b, scores, t): place i COLUMNS + j of scores[t] becomes H[a + i] · O[b + j], i < rows; the places beyond are 0.
    """

    @intrinsic
    def panel(typing, H, a, O, b, scores, t):  # noqa: E741
        signature = types.void(H, types.int64, O, types.int64, scores, types.int64)

        def codegen(context, builder, signature, arguments):
            code = RowCode(context, builder, signature, arguments)
            hidden = [code.row(0, n) for n in code.following(arguments[1], rows)]
            output = [code.row(2, n) for n in code.following(arguments[3], COLUMNS)]
            sums = [cgutils.alloca_once_value(builder, splat(0)) for _ in range(rows * COLUMNS)]
            with code.chunks(code.width(0)) as (z, _):
                x, y = [code.load(p, z) for p in hidden], [code.load(p, z) for p in output]
                for n, place in enumerate(sums):
                    builder.store(code.fma(x[n // COLUMNS], y[n % COLUMNS], builder.load(place)), place)
            code.store(code.sums([builder.load(place) for place in sums]), code.row(4, arguments[5]))
            return context.get_dummy_value()

        return signature, codegen

    return panel


def _panel_step(rows):
    """Make the function that adds a panel's share to the steps of its rows.

    f(H, a, O, b, G, t, dH, dO): dH[a + i] += Σ_j g_ij O[b + j], dO[b + j] += Σ_i g_ij H[a + i] with g_ij = G[t, i COLUMNS + j].
    """

    @intrinsic
    def panel(typing, H, a, O, b, G, t, dH, dO):  # noqa: E741
        signature = types.void(H, types.int64, O, types.int64, G, types.int64, dH, dO)

        def codegen(context, builder, signature, arguments):
            code = RowCode(context, builder, signature, arguments)
            across, down = code.following(arguments[1], rows), code.following(arguments[3], COLUMNS)
            hidden, output = [code.row(0, n) for n in across], [code.row(2, n) for n in down]
            places = [code.row(6, n) for n in across] + [code.row(7, n) for n in down]
            factors = code.row(4, arguments[5])
            g = [code.spread(builder.load(builder.gep(factors, [ir.Constant(I64, n)]))) for n in range(rows * COLUMNS)]
            with code.chunks(code.width(0)) as (z, _):
                x, y = [code.load(p, z) for p in hidden], [code.load(p, z) for p in output]
                steps = [code.load(p, z) for p in places]
                for n, factor in enumerate(g):
                    i, j = n // COLUMNS, n % COLUMNS
                    steps[i], steps[rows + j] = code.fma(factor, y[j], steps[i]), code.fma(factor, x[i], steps[rows + j])
                for value, place in zip(steps, places, strict=True):
                    code.store(value, place, z)
            return context.get_dummy_value()

        return signature, codegen

    return panel


pair_dots, single_dots, pair_step, single_step = _panel_dots(2), _panel_dots(1), _panel_step(2), _panel_step(1)

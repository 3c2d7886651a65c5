"""Rows that lie anywhere in memory: prefetching, sums and steps of listed rows, LANES columns at a time, in a register."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.basics import prefetch, prefetch_later, prefetch_to_write
from cooc_engine._kernels.jit import helper
from cooc_engine._kernels.simd import I32, I64, INTEGERS, LANES, VECTOR, RowCode, splat

AHEAD = 32  # rows that are prefetched before they are read
MASK = ir.VectorType(ir.IntType(1), LANES)


@helper
def prefetch_row(matrix, row):
    """Prefetch a row, a cache line at a time."""
    for z in range(0, matrix.shape[1], LANES):
        prefetch(matrix, row * matrix.shape[1] + z)


@helper
def prefetch_row_to_write(matrix, row):
    """Prefetch a row that will be written, so that no other core has it when it is."""
    for z in range(0, matrix.shape[1], LANES):
        prefetch_to_write(matrix, row * matrix.shape[1] + z)


@helper
def prefetch_listed(words, ngrams, row):
    """Prefetch a row of two matrices, of which the second follows the first, to the second level of caches."""
    if row < words.shape[0]:
        prefetch_ends(words, row)
    else:
        prefetch_ends(ngrams, row - words.shape[0])


@helper
def prefetch_ends(matrix, row):
    """Prefetch all cache lines of a row, wherever in a line it begins."""
    d = matrix.shape[1]
    for z in range(0, d, LANES):
        prefetch_later(matrix, row * d + z)
    if d % LANES:
        prefetch_later(matrix, row * d + d - 1)


class _SumCode(RowCode):
    """The operations of a sum over the rows of two matrices, of which the second follows the first."""

    def __init__(self, context, builder, signature, arguments):
        super().__init__(context, builder, signature, arguments)
        words = self.array(0)
        self.words, self.columns = (builder.extract_value(words.shape, axis) for axis in (0, 1))
        self.left = builder.sub(self.columns, arguments[4])  # columns from the first on
        lanes, ends = ir.Constant(INTEGERS, list(range(LANES))), self.spread_integer(builder.trunc(self.left, I32))
        self.mask = builder.icmp_signed("<", lanes, ends)

    def spread_integer(self, scalar):
        """Return a vector of one integer."""
        undefined = ir.Constant(INTEGERS, ir.Undefined)
        one = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(one, undefined, ir.Constant(INTEGERS, [0] * LANES))

    def listed(self, place):
        """Return the address of the columns of a listed row."""
        builder = self.builder
        row = builder.sext(self.item(2, place), I64)
        known = builder.icmp_signed("<", row, self.words)
        data = builder.select(known, self.array(0).data, self.array(1).data)
        row = builder.select(known, row, builder.sub(row, self.words))
        return builder.gep(data, [builder.add(builder.mul(row, self.columns), self.arguments[4])])

    def prefetch(self, pointer):
        """Prefetch the columns at an address: they may be in two cache lines."""
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, I32, I32, I32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        size = self.least(self.left, ir.Constant(I64, LANES))
        last = self.builder.gep(pointer, [self.builder.sub(size, ir.Constant(I64, 1))])
        how = [ir.Constant(I32, number) for number in (0, 3, 1)]  # to be read, soon, as data
        for place in (pointer, last):
            self.builder.call(function, [self.builder.bitcast(place, cgutils.voidptr_t), *how])

    def least(self, a, b):
        """Return the smaller of two integers."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def masked_load(self, pointer):
        """Return the columns at an address, and 0 for what is beyond the last."""
        kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), I32, MASK, VECTOR])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
        return self.builder.call(function, [self._vector(pointer, None), ir.Constant(I32, 4), self.mask, splat(0)])

    def masked_store(self, value, pointer):
        """Write columns to an address."""
        kind = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), I32, MASK])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.store.v{LANES}f32.p0")
        self.builder.call(function, [value, self._vector(pointer, None), ir.Constant(I32, 4), self.mask])


@intrinsic
def set_columns(typing, words, ngrams, inputs, n, first, total):
    """Set the columns first:first + LANES of `total` to the sums of those of n input rows, in their order."""
    signature = types.void(words, ngrams, inputs, types.int64, types.int64, total)

    def codegen(context, builder, signature, arguments):
        code = _SumCode(context, builder, signature, arguments)
        n, first = arguments[3:5]
        last, some = builder.sub(n, ir.Constant(I64, 1)), ir.Constant(I64, AHEAD)
        with cgutils.for_range(builder, code.least(n, some), intp=I64) as loop:
            code.prefetch(code.listed(loop.index))
        value = cgutils.alloca_once_value(builder, splat(0))
        with cgutils.for_range(builder, n, intp=I64) as loop:
            code.prefetch(code.listed(code.least(builder.add(loop.index, some), last)))
            added = builder.fadd(builder.load(value), code.masked_load(code.listed(loop.index)))
            builder.store(code.call("arithmetic.fence", added), value)  # the order of a sum is not to change
        code.masked_store(builder.load(value), builder.gep(code.array(5).data, [first]))
        return context.get_dummy_value()

    return signature, codegen


@helper
def sum_rows(words, ngrams, inputs, n, total):
    """Write the sum of n input rows, of which those of n-grams may be in a matrix of their own."""
    for first in range(0, words.shape[1], LANES):
        set_columns(words, ngrams, inputs, n, first, total)


@intrinsic
def add_columns(typing, matrix, inputs, n, first, step):
    """Add the columns first:first + LANES of `step` to those of n input rows."""
    signature = types.void(matrix, inputs, types.int64, types.int64, step)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        n, first = arguments[2:4]
        added = code.load(code.array(4).data, first)
        with cgutils.for_range(builder, n, intp=I64) as loop:
            place = builder.gep(code.row(0, code.item(1, loop.index)), [first])
            code.store(builder.fadd(code.load(place), added), place)
        return context.get_dummy_value()

    return signature, codegen


@helper
def add_to_rows(matrix, inputs, n, step):
    """Add a vector to n input rows, which are padded to whole vectors; one that is listed twice takes it twice."""
    for first in range(0, matrix.shape[1], LANES):
        add_columns(matrix, inputs, n, first, step)

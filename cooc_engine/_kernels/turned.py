"""Products with LANES vectors that are the columns of a matrix, so that what is computed for each is a lane of a register.

A row that all of them have to do with is read once for all, an element at a time, and no sum goes across lanes.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.simd import I64, LANES, RowCode, splat

PANEL = 5  # rows that are multiplied together
CHAINS = 4  # sums that run side by side, as a core adds to four while it waits for one


class _TurnedCode(RowCode):
    """The operations on a matrix (d, LANES), and on listed rows of d elements."""

    def loop(self, index, step):
        """Loop over the rows of a matrix argument, `step` at a time; gives the first of each."""
        rows = self.builder.extract_value(self.array(index).shape, 0)
        return cgutils.for_range_slice(self.builder, ir.Constant(I64, 0), rows, ir.Constant(I64, step), I64)

    def element(self, row, place):
        """Return one element of the row at an address as a vector."""
        return self.spread(self.builder.load(self.builder.gep(row, [place])))

    def slots(self, count):
        """Return the places of so many slots of LANES numbers, from the one on that is the third argument."""
        return [self.builder.mul(slot, ir.Constant(I64, LANES)) for slot in self.following(self.arguments[2], count)]

    def listed(self, count):
        """Return the addresses of the rows of the first argument that the second has in the first places of slots."""
        return [self.row(0, self.item(1, place)) for place in self.slots(count)]


@intrinsic
def column_dots(typing, A, B, scores):
    """Write the inner products of the columns of A and of B, both (d, LANES), to the first slot of `scores`."""
    signature = types.void(A, B, scores)

    def codegen(context, builder, signature, arguments):
        code = _TurnedCode(context, builder, signature, arguments)
        totals = [cgutils.alloca_once_value(builder, splat(0)) for _ in range(CHAINS)]
        with code.loop(0, CHAINS) as (z, _):
            for total, n in zip(totals, code.following(z, CHAINS), strict=True):
                product = code.fma(code.load(code.row(0, n)), code.load(code.row(1, n)), builder.load(total))
                builder.store(product, total)
        first, second, third, fourth = (builder.load(total) for total in totals)
        code.store(builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth)), code.array(2).data)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def add_columns_scaled(typing, scores, A, B):
    """Add each column of A times its number in the first slot of `scores` to that of B, both (d, LANES)."""
    signature = types.void(scores, A, B)

    def codegen(context, builder, signature, arguments):
        code = _TurnedCode(context, builder, signature, arguments)
        factors = code.load(code.array(0).data)
        with code.loop(1, 1) as (z, _):
            place = code.row(2, z)
            code.store(code.fma(factors, code.load(code.row(1, z)), code.load(place)), place)
        return context.get_dummy_value()

    return signature, codegen


def _row_dots(count):
    """Make the function of the inner products of `count` rows with all columns.

    f(C, rows, slot, A, scores): the slots from `slot` on of `scores` become the products of A (d, LANES) with the rows of C
    that the same slots of `rows` begin with.
    """

    @intrinsic
    def row_dots(typing, C, rows, slot, A, scores):
        signature = types.void(C, rows, types.int64, A, scores)

        def codegen(context, builder, signature, arguments):
            code = _TurnedCode(context, builder, signature, arguments)
            addresses = code.listed(count)
            totals = [cgutils.alloca_once_value(builder, splat(0)) for _ in range(count)]
            with code.loop(3, 1) as (z, _):
                column = code.load(code.row(3, z))
                for total, address in zip(totals, addresses, strict=True):
                    builder.store(code.fma(code.element(address, z), column, builder.load(total)), total)
            for total, place in zip(totals, code.slots(count), strict=True):
                code.store(builder.load(total), code.array(4).data, place)
            return context.get_dummy_value()

        return signature, codegen

    return row_dots


def _add_rows(count):
    """Make the function that adds multiples of `count` rows to all columns.

    f(C, rows, slot, A, scores): the rows of C that the slots of `rows` from `slot` on begin with are added to each column of A
    (d, LANES), times its number in the same slots of `scores`.
    """

    @intrinsic
    def add_rows(typing, C, rows, slot, A, scores):
        signature = types.void(C, rows, types.int64, A, scores)

        def codegen(context, builder, signature, arguments):
            code = _TurnedCode(context, builder, signature, arguments)
            addresses = code.listed(count)
            factors = [code.load(code.array(4).data, place) for place in code.slots(count)]
            with code.loop(3, 1) as (z, _):
                place = code.row(3, z)
                total = code.load(place)
                for address, factor in zip(addresses, factors, strict=True):
                    total = code.fma(code.element(address, z), factor, total)
                code.store(total, place)
            return context.get_dummy_value()

        return signature, codegen

    return add_rows


panel_dots, single_dots, add_panel, add_single = _row_dots(PANEL), _row_dots(1), _add_rows(PANEL), _add_rows(1)

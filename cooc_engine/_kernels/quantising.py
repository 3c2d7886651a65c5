"""Product quantisation: vectors as codes of one byte for each few components (Jégou, Douze and Schmid 2011).

The components are cut into parts of `dsub`, the last of which may be shorter. Each part has 256 centroids, and a code is the
number of one. All centroids are in one flat array, part after part: those of the part from component c on begin at 256 c.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba import float32, float64, int32, int64, types, uint8, void
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.jit import RANGE, array, kernel, out
from cooc_engine._kernels.shapes import CENTROIDS
from cooc_engine._kernels.simd import F32, I64, INTEGERS, LANES, RowCode, splat

VECTORS = 4  # of points that are compared with one centroid after another, side by side, in registers
BLOCK = VECTORS * LANES  # points


@kernel(void(array(uint8, 2), array(int64), array(float32), int64, array(float32), out(float32, 2)))
def decode_rows(codes, rows, centroids, dsub, scales, found):
    """Write row rows[i] of a matrix of codes to found[i], as its centroids times scales[i]."""
    width = found.shape[1]
    for i in range(len(rows)):
        for part in range(codes.shape[1]):
            first = part * dsub
            size = min(dsub, width - first)
            place = CENTROIDS * first + size * int64(codes[rows[i], part])
            for k in range(size):
                found[i, first + k] = centroids[place + k] * scales[i]


@kernel(void(array(uint8, 2), array(float32, 2), out(float32)), fast=True)
def sum_products(codes, products, found):
    """Write to found[i] the sum of products[part, code] over the parts of row i of codes."""
    for i in range(len(codes)):
        total = float32(0)
        for part in range(codes.shape[1]):
            total += products[part, codes[i, part]]
        found[i] = total


@intrinsic
def find_nearest(typing, points, centroids, first, chosen):
    """Write the nearest centroid of each of BLOCK points, columns from `first` on; of equal distances the first."""
    signature = types.void(points, centroids, types.int64, chosen)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        places = [builder.add(arguments[2], ir.Constant(I64, LANES * number)) for number in range(VECTORS)]
        sums, least, numbers = (
            [cgutils.alloca_once_value(builder, splat(start)) for _ in places] for start in (0, math.inf, 0)
        )
        count, size = (builder.extract_value(code.array(1).shape, axis) for axis in (0, 1))
        with cgutils.for_range(builder, count, intp=I64) as loop:
            centroid = code.row(1, loop.index)
            for total in sums:
                builder.store(splat(0), total)
            with cgutils.for_range(builder, size, intp=I64) as component:
                middle = code.spread(builder.load(builder.gep(centroid, [component.index])))
                for total, place in zip(sums, places, strict=True):
                    gap = builder.fsub(code.load(code.row(0, component.index), place), middle)
                    builder.store(code.fma(gap, gap, builder.load(total)), total)
            number = code.spread(builder.sitofp(loop.index, F32))
            for total, best, nearest in zip(sums, least, numbers, strict=True):
                square = builder.load(total)
                less = builder.fcmp_ordered("<", square, builder.load(best))
                builder.store(builder.select(less, square, builder.load(best)), best)
                builder.store(builder.select(less, number, builder.load(nearest)), nearest)
        for nearest, place in zip(numbers, places, strict=True):
            found = builder.bitcast(builder.gep(code.array(3).data, [place]), INTEGERS.as_pointer())
            builder.store(builder.fptosi(builder.load(nearest), INTEGERS), found, align=4)
        return context.get_dummy_value()

    return signature, codegen


@kernel(void(array(float32, 2), array(float32, 2), RANGE, out(int32)))
def nearest_centroids(points, centroids, part, chosen):
    """Write the nearest centroid of each point of some blocks, of BLOCK points each, to its place in `chosen`.

    Points are columns (k, n), and centroids rows (m, k); n is a multiple of BLOCK.
    """
    for block in range(part[0], part[1]):
        find_nearest(points, centroids, block * BLOCK, chosen)


@kernel(void(array(float32), array(int32), out(float64)))
def sum_clusters(values, chosen, sums):
    """Write to sums[c] the sum of the values of the points whose centroid is c, added in their order."""
    sums[:] = 0
    for i in range(len(chosen)):
        sums[chosen[i]] += values[i]

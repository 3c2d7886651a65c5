"""A first look at all vectors for one query, as small integers: which of them may be among the nearest.

Vectors of length 1 stand as int8 in blocks of BLOCK rows, (blocks, pairs, BLOCK, 2): the first and second number of each
row, then the third and fourth of each, … A block is read once, and its rows are summed side by side, in registers. The query
is int16.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import float32, int8, int16, int32, int64, types, void
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.jit import RANGE, array, helper, kernel, named, out

BLOCK = 64
MOST, MOST_QUERY = 127, 32767
LANES = 16  # sums of a register; a block has BLOCK / LANES


class RoundedRows(NamedTuple):
    """Vectors as small integers: blocks (blocks, pairs, BLOCK, 2) int8, times the scale of each row, (rows,) float32."""

    blocks: Any
    scales: Any


class Candidates(NamedTuple):
    """Rows that may be among the nearest n.

    best    (n,) the n highest scores so far, rising; -inf at first
    rows    the rows, int32, with room for so many
    scores  their scores: at least best[0] less the slack when they were met
    """

    best: Any
    rows: Any
    scores: Any


ROUNDED = named(RoundedRows, blocks=out(int8, 4), scales=out(float32))
CANDIDATES = named(Candidates, best=out(float32), rows=out(int32), scores=out(float32))
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


@intrinsic
def sum_block(typing_context, blocks, block, query, sums):
    """Write the inner products of the rows of a block with the query, int32, to `sums`.

    In plain loops sums go to memory and back at every column, which takes more than twice as long. Written as what it is, a
    product of pairs, it becomes one instruction for 32 products where the machine has it; LLVM cuts the vectors elsewhere.
    """
    signature = types.void(blocks, block, query, sums)

    def codegen(context, builder, signature, arguments):
        matrix, vector, result = (context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2, 3))
        pairs = builder.extract_value(matrix.shape, 1)
        row_bytes = ir.Constant(I64, 2 * BLOCK)
        start = builder.gep(matrix.data, [builder.mul(arguments[1], builder.mul(pairs, row_bytes))])
        sum_type = ir.VectorType(I32, LANES)
        totals = [cgutils.alloca_once_value(builder, ir.Constant(sum_type, [0] * LANES)) for _ in range(BLOCK // LANES)]
        with cgutils.for_range(builder, pairs) as loop:
            two = builder.load(builder.bitcast(builder.gep(vector.data, [builder.shl(loop.index, ir.Constant(I64, 1))]),
                                               I32.as_pointer()), align=2)  # fmt: skip
            factors = builder.bitcast(_spread(builder, two), ir.VectorType(I16, 2 * LANES))
            line = builder.gep(start, [builder.mul(loop.index, row_bytes)])
            for number, total in enumerate(totals):
                place = builder.gep(line, [ir.Constant(I64, 2 * LANES * number)])
                codes = builder.load(builder.bitcast(place, ir.VectorType(I8, 2 * LANES).as_pointer()), align=1)
                builder.store(builder.add(builder.load(total), _pair_products(builder, codes, factors)), total)
        for number, total in enumerate(totals):
            place = builder.gep(result.data, [ir.Constant(I64, LANES * number)])
            builder.store(builder.load(total), builder.bitcast(place, sum_type.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, codegen


def _spread(builder, scalar):
    """Return a vector of one scalar."""
    undefined = ir.Constant(ir.VectorType(I32, LANES), ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


def _pair_products(builder, codes, factors):
    """Return a_0 b_0 + a_1 b_1, a_2 b_2 + a_3 b_3, … of two vectors."""
    wide = ir.VectorType(I32, 2 * LANES)
    products = builder.mul(builder.sext(codes, wide), builder.sext(factors, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    sides = [
        builder.shuffle_vector(products, undefined, ir.Constant(ir.VectorType(I32, LANES), list(range(first, 2 * LANES, 2))))
        for first in (0, 1)
    ]
    return builder.add(*sides)


@kernel(void(array(float32, 2), array(float32), int64, ROUNDED, out(float32)))
def fill_blocks(rows, factors, start, rounded, errors):
    """Write rows, times their factors, from row `start` of the rounded ones on, and the lengths of their errors."""
    blocks, scales = rounded
    width = rows.shape[1]
    for r in range(rows.shape[0]):
        row, factor, largest = rows[r], factors[r], float32(0)
        for k in range(width):
            largest = max(largest, abs(row[k] * factor))
        scale = largest / float32(MOST)
        inverse, at, error = float32(1) / scale if scale > 0 else float32(0), start + r, float32(0)
        block, lane = blocks[at // BLOCK], at % BLOCK
        for k in range(width):
            value = row[k] * factor
            rounded_value = np.rint(value * inverse)
            block[k // 2, lane, k % 2] = int8(rounded_value)
            error += (value - rounded_value * scale) * (value - rounded_value * scale)
        scales[at], errors[at] = scale, np.sqrt(error)


@helper
def rise(best, score):
    """Put a score that is above the lowest of `best` into its place, and drop the lowest."""
    p = 0
    while p + 1 < best.shape[0] and best[p + 1] < score:
        best[p] = best[p + 1]
        p += 1
    best[p] = score


@kernel(int64(RANGE, ROUNDED, array(int16), float32, out(int32), CANDIDATES))
def screen_blocks(some, rounded, query, slack, sums, candidates):
    """Find the rows of a range of blocks whose score may be among the best; return how many, -1 if there is no room for them.

    A score is a row's inner product with the query, as integers, times the row's scale. It may be `slack` below the n-th
    best. `sums` (BLOCK,) is scratch.
    """
    blocks, scales = rounded
    best, rows, scores = candidates
    found, size = 0, scales.shape[0]
    for b in range(some[0], some[1]):
        sum_block(blocks, b, query, sums)
        rest = min(BLOCK, size - b * BLOCK)
        part = scales[b * BLOCK : b * BLOCK + rest]
        threshold, among = best[0] - slack, int32(0)
        for r in range(rest):  # counted, since the highest would be found one by one
            among += int32(float32(sums[r]) * part[r] >= threshold)
        if among == 0:
            continue
        for r in range(rest):
            score = float32(sums[r]) * part[r]
            if score < threshold:
                continue
            if found == rows.shape[0]:
                return -1
            rows[found], scores[found] = b * BLOCK + r, score
            found += 1
            if score > best[0]:
                rise(best, score)
                threshold = best[0] - slack
    return found

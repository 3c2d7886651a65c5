"""A first pass over all vectors for one query, in small integers, to find those that may be among the nearest.

Unit vectors are stored as int8 in blocks of BLOCK rows, (blocks, pairs, BLOCK, 2): the first two components of each row, then
the next two of each row, … A block is read once, and the inner products of its rows are summed side by side in registers. The
query is int16.
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
LANES = 16  # sums per SIMD vector; a block has BLOCK / LANES of these


class RoundedRows(NamedTuple):
    """Quantised vectors: blocks (blocks, pairs, BLOCK, 2) int8, to be multiplied by the scale of each row, (rows,) float32."""

    blocks: Any
    scales: Any


class Candidates(NamedTuple):
    """Rows that may be among the nearest n.

    best    (n,) the n highest scores so far, ascending; -inf at first
    rows    (capacity,) the rows, int32
    scores  (capacity,) their scores: at least best[0] minus the slack at the time they were found
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

    Plain loops store and reload the sums at every column, which takes more than twice as long. Written as products of pairs,
    it becomes one instruction for 32 products if the machine has it; otherwise LLVM splits the vectors.
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
    """Return a vector with all lanes equal to a scalar."""
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
    """Quantise rows times their factors into `rounded`, from row `start` on, and write the norms of their rounding errors."""
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
    """Insert a score above the lowest into `best`, which is ascending, and drop the lowest."""
    p = 0
    while p + 1 < best.shape[0] and best[p + 1] < score:
        best[p] = best[p + 1]
        p += 1
    best[p] = score


@kernel(int64(RANGE, ROUNDED, array(int16), float32, out(int32), CANDIDATES))
def screen_blocks(some, rounded, query, slack, sums, candidates):
    """Find the rows of a range of blocks that may be among the nearest; returns how many, or -1 if they exceed the capacity.

    A row's score is its integer inner product with the query, times its scale. Rows up to `slack` below the n-th best score are
    candidates. `sums` (BLOCK,) is scratch.
    """
    blocks, scales = rounded
    best, rows, scores = candidates
    found, size = 0, scales.shape[0]
    for b in range(some[0], some[1]):
        sum_block(blocks, b, query, sums)
        rest = min(BLOCK, size - b * BLOCK)
        part = scales[b * BLOCK : b * BLOCK + rest]
        threshold, among = best[0] - slack, int32(0)
        for r in range(rest):  # a count is vectorised, a maximum would not be
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

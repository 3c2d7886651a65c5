"""AdaGrad on tiles of the co-occurrence matrix (Pennington et al. 2014, eq. 8; the reference program's update).

A row of parameters is [vector, own bias, 1, padding | AdaGrad accumulators of the same]; in the column matrix bias and 1
change places. So the inner product of two rows is w·c + b + b', and one loop updates vectors and biases alike: `rates` holds
the learning rate for the vector, 1 for the own bias (the program's rule) and 0 for the constant, `clips` the bound of each
component of the gradient.
"""

from __future__ import annotations

import numpy as np
from numba import float32, float64, int32, int64, uint32, uint64, void

from cooc_engine._kernels.basics import below, mixed, next_random, prefetch
from cooc_engine._kernels.jit import array, helper, kernel, out


@helper
def clipped(x, bound):
    """Return x within ±bound."""
    return min(max(x, -bound), bound)


@kernel(void(array(int64), array(int32), int64, array(int32), int64, out(int64)))
def count_tiles(starts, columns, row_block, column_blocks, blocks, sizes):
    """Add the entries of some rows of one row block to the sizes of its tiles."""
    first = row_block * blocks
    for p in range(starts[0], starts[-1]):
        sizes[first + column_blocks[columns[p]]] += 1


@kernel(
    void(array(int64), array(int32), array(float32), array(float32), int64, int64, array(int32), array(int64), out(int64),
         out(uint32), out(float32), out(float32))
)  # fmt: skip
def deal_rows(starts, columns, row_targets, row_weights, row0, row_block, column_blocks, cuts, fill, places, targets, weights):
    """Deal the entries of rows row0.. of one row block to its tiles; fill[t] is where tile t has been filled to.

    Row row0 + r has entries starts[r]:starts[r + 1] of `columns`, and the same less starts[0] of targets and weights.
    """
    first, origin = row_block * (cuts.shape[0] - 1), starts[0]
    for r in range(starts.shape[0] - 1):
        place = uint32((row0 + r - cuts[row_block]) << 16)
        for p in range(starts[r], starts[r + 1]):
            block = column_blocks[columns[p]]
            q = fill[first + block]
            fill[first + block] = q + 1
            places[q] = place | uint32(columns[p] - cuts[block])
            targets[q], weights[q] = row_targets[p - origin], row_weights[p - origin]


@kernel(void(array(int64), int64, int64, uint64, out(uint32), out(float32), out(float32)))
def shuffle_tiles(starts, first, last, seed, places, targets, weights):
    """Shuffle the entries within each of the tiles first:last (Fisher and Yates), by the seed and the tile's number."""
    for t in range(first, last):
        state = mixed(seed ^ mixed(uint64(t)))
        begin, size = starts[t], starts[t + 1] - starts[t]
        for k in range(size - 1, 0, -1):
            state = next_random(state)
            i, j = begin + k, begin + below(state, k + 1)
            places[i], places[j] = places[j], places[i]
            targets[i], targets[j] = targets[j], targets[i]
            weights[i], weights[j] = weights[j], weights[i]


@helper
def prefetch_rows(words, word, contexts, context):
    """Ask for a row of each matrix, a cache line at a time."""
    for k in range(0, words.shape[1], 16):
        prefetch(words, word * words.shape[1] + k)
        prefetch(contexts, context * words.shape[1] + k)


@helper
def train_tile(places, targets, weights, begin, end, words, contexts, row0, column0, word_rates, context_rates, clips):
    """Visit entries begin:end of one tile in order; returns the sum of ½ f diff², each taken just before its update."""
    size = word_rates.shape[0]
    cost = 0.0
    for p in range(begin, end):
        place, target, weight = places[p], targets[p], weights[p]
        soon = places[min(p + 1, end - 1)]  # its rows come while this entry is computed (measured: a tenth faster)
        prefetch_rows(words, row0 + int64(soon >> uint32(16)), contexts, column0 + int64(soon & uint32(0xFFFF)))
        word, context = words[row0 + int64(place >> uint32(16))], contexts[column0 + int64(place & uint32(0xFFFF))]
        dot = float32(0)
        for k in range(size):
            dot += word[k] * context[k]
        diff = dot - target
        step = weight * diff
        cost += float64(float32(0.5) * step * diff)
        for k in range(size):
            w, c, gw, gc = word[k], context[k], word[size + k], context[size + k]
            a = clipped(step * c, clips[k]) * word_rates[k]
            b = clipped(step * w, clips[k]) * context_rates[k]
            word[k] = w - a / np.sqrt(gw)
            context[k] = c - b / np.sqrt(gc)
            word[size + k] = gw + a * a
            context[size + k] = gc + b * b
    return cost


@kernel(
    void(array(int64), array(int64), array(int64), array(uint32), array(float32), array(float32), out(float32, 2),
         out(float32, 2),
         array(float32), array(float32), array(float32), out(float64)),
    fast=True,
)  # fmt: skip
def train_tiles(tiles, starts, cuts, places, targets, weights, words, contexts, word_rates, context_rates, clips, costs):
    """Train on some tiles, one after the other; costs[t] becomes the cost of tile t.

    Tile t = i B + j has rows cuts[i]:cuts[i + 1] and columns cuts[j]:cuts[j + 1], and entries starts[t]:starts[t + 1].
    places[p] is (row - cuts[i]) << 16 | (column - cuts[j]). words and contexts (V, 2 size) are changed in place.
    """
    blocks = cuts.shape[0] - 1
    for n in range(tiles.shape[0]):
        t = tiles[n]
        costs[t] = train_tile(
            places, targets, weights, starts[t], starts[t + 1], words, contexts, cuts[t // blocks], cuts[t % blocks],
            word_rates,
            context_rates, clips,
        )  # fmt: skip

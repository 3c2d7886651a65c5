"""AdaGrad on tiles of the co-occurrence matrix, by the update rules of the reference programs.

A row of parameters is [vector, own bias, 1, padding | AdaGrad accumulators of these]; in the column matrix the bias and the 1
are swapped. The inner product of two rows is therefore w·c + b + b', and one loop updates vectors and biases alike: `rates`
holds the learning rate of the vector, 1 for the own bias (as in the reference program) and 0 for the constant; `clips` bounds
each component of the gradient. A model without biases omits both; tied vectors pass one matrix as words and contexts.

GloVe (Pennington et al. 2014): g = clip(f diff other) lr; step g / √G, then G grows by g².
simpler-GloVe (Su 2017):        g = f diff other; G grows by g², then step lr g / √(G + 10⁻⁸).

With one accumulator per row (the variants `_by_rows`) G belongs to the whole vector and grows by the mean of its g²; the row is
then [vector, own bias, 1, padding | G, G of the bias, padding], and `rates` are 0 for the bias, which is updated separately.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float32, float64, int64, uint32, void

from cooc_engine._kernels.basics import prefetch
from cooc_engine._kernels.jit import helper, kernel, named, out
from cooc_engine._kernels.tiles import ENTRIES, LEAST

__all__ = []

GLOVE, SIMPLER, GLOVE_BY_ROWS, SIMPLER_BY_ROWS, NONE = range(5)  # update rule of an entry; NONE only computes the cost


class Walk(NamedTuple):
    """The tiles to visit, in order; B blocks per side of the grid form G = B / group groups.

    pairs    (n,) pairs of groups: I G + J is the tiles whose block row is in group I and whose block column is in group J
    group    number of blocks in a group
    turn     offset by which the order of the tiles within a pair is rotated
    begins   (B·B,), like ends: tile t = i B + j has the entries begins[t]:ends[t]
    """

    pairs: Any
    group: int
    turn: int
    begins: Any
    ends: Any


class Tile(NamedTuple):
    """One tile: its entries are begin:end; the parameters of its words start at `row`, those of its contexts at `column`."""

    begin: int
    end: int
    row: int
    column: int


class Rows(NamedTuple):
    """Parameters (B height, width), updated in place: `height` rows per block, with vectors of dimension d."""

    words: Any
    contexts: Any
    height: int
    d: int


class Step(NamedTuple):
    """Learning rates of the components of a word's and a context's row, and the bounds of their gradients, (size,) each."""

    word_rates: Any
    context_rates: Any
    clips: Any


WALK = named(Walk, pairs=out(int64), group=int64, turn=int64, begins=out(int64), ends=out(int64))
ROWS = named(Rows, words=out(float32, 2), contexts=out(float32, 2), height=int64, d=int64)
STEP = named(Step, word_rates=out(float32), context_rates=out(float32), clips=out(float32))


@helper
def clipped(x, bound):
    """Return x clipped to ±bound."""
    return min(max(x, -bound), bound)


@helper
def prefetch_rows(words, word, contexts, context):
    """Prefetch a row of each matrix, one cache line at a time."""
    for k in range(0, words.shape[1], 16):
        prefetch(words, word * words.shape[1] + k)
        prefetch(contexts, context * words.shape[1] + k)


@helper
def update(rule, word, context, error, step):
    """Update two rows, the gradient of each being `error` times the other; `rule` is a compile-time constant."""
    word_rates, context_rates, clips = step
    size = word_rates.shape[0]
    for k in range(size):
        w, c, gw, gc = word[k], context[k], word[size + k], context[size + k]
        if rule == GLOVE:
            a = clipped(error * c, clips[k]) * word_rates[k]
            b = clipped(error * w, clips[k]) * context_rates[k]
            word[k] = w - a / np.sqrt(gw)
            context[k] = c - b / np.sqrt(gc)
            word[size + k] = gw + a * a
            context[size + k] = gc + b * b
        else:
            a, b = clipped(error * c, clips[k]), clipped(error * w, clips[k])
            gw += a * a
            gc += b * b
            word[k] = w - word_rates[k] * a / np.sqrt(gw + LEAST)
            context[k] = c - context_rates[k] * b / np.sqrt(gc + LEAST)
            word[size + k] = gw
            context[size + k] = gc


@helper
def update_by_rows(rule, word, context, error, d, step):
    """Like `update`, but with one accumulator per row; the rows' own biases are word[d] and context[d + 1]."""
    rates, clips = step.word_rates, step.clips
    size = rates.shape[0]
    gw, gc, squares_w, squares_c = word[size], context[size], float32(0), float32(0)
    if rule == SIMPLER_BY_ROWS:
        for k in range(size):
            a, b = clipped(error * context[k], clips[k]), clipped(error * word[k], clips[k])
            squares_w += a * a
            squares_c += b * b
        gw += squares_w / float32(d) + LEAST
        gc += squares_c / float32(d) + LEAST
    scale_w, scale_c = float32(1) / np.sqrt(gw), float32(1) / np.sqrt(gc)
    for k in range(size):
        w, c = word[k], context[k]
        a, b = clipped(error * c, clips[k]) * rates[k], clipped(error * w, clips[k]) * rates[k]
        word[k], context[k] = w - a * scale_w, c - b * scale_c
        squares_w += a * a
        squares_c += b * b
    if rule == SIMPLER_BY_ROWS:
        word[size], context[size] = gw - LEAST, gc - LEAST
    else:
        word[size], context[size] = gw + squares_w / float32(d), gc + squares_c / float32(d)
        word[d] -= error / np.sqrt(word[size + 1])
        context[d + 1] -= error / np.sqrt(context[size + 1])
        word[size + 1] += error * error
        context[size + 1] += error * error


@helper
def visit_tile(rule, entries, tile, rows, step):
    """Apply the rule to the entries of one tile in order; returns the sum of ½ f diff², each computed before its update."""
    begin, end, row0, column0 = tile
    places, targets, weights = entries
    words, contexts, size = rows.words, rows.contexts, step.word_rates.shape[0]
    cost = 0.0
    for p in range(begin, end):
        place, target, weight = places[p], targets[p], weights[p]
        soon = places[min(p + 1, end - 1)]  # its rows load while this entry is computed (measured: a tenth faster)
        prefetch_rows(words, row0 + int64(soon >> uint32(16)), contexts, column0 + int64(soon & uint32(0xFFFF)))
        word, context = words[row0 + int64(place >> uint32(16))], contexts[column0 + int64(place & uint32(0xFFFF))]
        dot = float32(0)
        for k in range(size):
            dot += word[k] * context[k]
        diff = dot - target
        error = weight * diff
        cost += float64(float32(0.5) * error * diff)
        if rule in (GLOVE, SIMPLER):
            update(rule, word, context, error, step)
        elif rule != NONE:
            update_by_rows(rule, word, context, error, rows.d, step)
    return cost


def visiting(rule):
    """Return the kernel that applies a rule to the tiles of given pairs of groups; costs[q] becomes the cost of pair q.

    The tiles of a pair are taken row by row in alternating direction, so that consecutive tiles share a row or a column.
    """

    @kernel(void(WALK, ENTRIES, ROWS, STEP, out(float64)), fast=True)
    def visit(walk, entries, rows, step, costs):
        order, group, turn, height = walk.pairs, walk.group, walk.turn, rows.height
        blocks = rows.words.shape[0] // height
        sides = blocks // group
        for n in range(order.shape[0]):
            row0, column0 = order[n] // sides * group, order[n] % sides * group
            cost = 0.0
            for k in range(group):
                i = row0 + (k + turn) % group
                for m in range(group):
                    there = m if k & 1 == 0 else group - 1 - m
                    j = column0 + (there + turn) % group
                    t = i * blocks + j
                    tile = Tile(walk.begins[t], walk.ends[t], i * height, j * height)
                    cost += visit_tile(rule, entries, tile, rows, step)
            costs[order[n]] = cost

    return visit


train_glove, train_simpler, train_glove_by_rows, train_simpler_by_rows, judge = (visiting(rule) for rule in range(5))

"""AdaGrad on tiles of the co-occurrence matrix, by the update rules of the reference programs.

A row of parameters is [vector, own bias, 1, padding | AdaGrad accumulators of the same]; in the column matrix bias and 1
change places. So the inner product of two rows is w·c + b + b', and one loop updates vectors and biases alike: `rates` holds
the learning rate for the vector, 1 for the own bias (the program's rule) and 0 for the constant, `clips` the bound of each
component of the gradient. A model without biases has neither; tied vectors are one matrix that stands for both.

GloVe (Pennington et al. 2014): g = clip(f diff other) lr; step g / √G, then G grows by g².
simpler-GloVe (Su 2017):        g = f diff other; G grows by g², then step lr g / √(G + 10⁻⁸).

With one accumulator a row (the variants `_by_rows`) G belongs to the whole vector and grows by the mean of its g²; the row is
then [vector, own bias, 1, padding | G, that of the bias, padding], and `rates` are 0 for the bias, which is updated apart.
"""

from __future__ import annotations

import numpy as np
from numba import float32, float64, int64, uint32, void

from cooc_engine._kernels.basics import prefetch
from cooc_engine._kernels.jit import array, helper, kernel, out
from cooc_engine._kernels.tiles import LEAST

__all__ = []

GLOVE, SIMPLER, GLOVE_BY_ROWS, SIMPLER_BY_ROWS, NONE = range(5)  # how an entry changes its two rows


@helper
def clipped(x, bound):
    """Return x within ±bound."""
    return min(max(x, -bound), bound)


@helper
def prefetch_rows(words, word, contexts, context):
    """Ask for a row of each matrix, a cache line at a time."""
    for k in range(0, words.shape[1], 16):
        prefetch(words, word * words.shape[1] + k)
        prefetch(contexts, context * words.shape[1] + k)


@helper
def update(rule, word, context, step, word_rates, context_rates, clips):
    """Change two rows by the gradient `step` times the other; `rule` is a constant where this is called."""
    size = word_rates.shape[0]
    for k in range(size):
        w, c, gw, gc = word[k], context[k], word[size + k], context[size + k]
        if rule == GLOVE:
            a = clipped(step * c, clips[k]) * word_rates[k]
            b = clipped(step * w, clips[k]) * context_rates[k]
            word[k] = w - a / np.sqrt(gw)
            context[k] = c - b / np.sqrt(gc)
            word[size + k] = gw + a * a
            context[size + k] = gc + b * b
        else:
            a, b = clipped(step * c, clips[k]), clipped(step * w, clips[k])
            gw += a * a
            gc += b * b
            word[k] = w - word_rates[k] * a / np.sqrt(gw + LEAST)
            context[k] = c - context_rates[k] * b / np.sqrt(gc + LEAST)
            word[size + k] = gw
            context[size + k] = gc


@helper
def update_by_rows(rule, word, context, step, d, rates, clips):
    """Do the same with one accumulator a row; the own biases are word[d] and context[d + 1]."""
    size = rates.shape[0]
    gw, gc, squares_w, squares_c = word[size], context[size], float32(0), float32(0)
    if rule == SIMPLER_BY_ROWS:
        for k in range(size):
            a, b = clipped(step * context[k], clips[k]), clipped(step * word[k], clips[k])
            squares_w += a * a
            squares_c += b * b
        gw += squares_w / float32(d) + LEAST
        gc += squares_c / float32(d) + LEAST
    scale_w, scale_c = float32(1) / np.sqrt(gw), float32(1) / np.sqrt(gc)
    for k in range(size):
        w, c = word[k], context[k]
        a, b = clipped(step * c, clips[k]) * rates[k], clipped(step * w, clips[k]) * rates[k]
        word[k], context[k] = w - a * scale_w, c - b * scale_c
        squares_w += a * a
        squares_c += b * b
    if rule == SIMPLER_BY_ROWS:
        word[size], context[size] = gw - LEAST, gc - LEAST
    else:
        word[size], context[size] = gw + squares_w / float32(d), gc + squares_c / float32(d)
        word[d] -= step / np.sqrt(word[size + 1])
        context[d + 1] -= step / np.sqrt(context[size + 1])
        word[size + 1] += step * step
        context[size + 1] += step * step


@helper
def visit_tile(rule, places, targets, weights, begin, end, words, contexts, row0, column0, d, word_rates, context_rates, clips):
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
        if rule in (GLOVE, SIMPLER):
            update(rule, word, context, step, word_rates, context_rates, clips)
        elif rule != NONE:
            update_by_rows(rule, word, context, step, d, word_rates, clips)
    return cost


@helper
def visit(
    rule, order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates, context_rates,
    clips, costs,
):  # fmt: skip
    """Visit the tiles of some group pairs: row by row there and back, so that every tile shares a side with the one before."""
    blocks = words.shape[0] // height
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
                cost += visit_tile(
                    rule, places, targets, weights, begins[t], ends[t], words, contexts, i * height, j * height, d,
                    word_rates, context_rates, clips,
                )  # fmt: skip
        costs[order[n]] = cost


VISITING = void(
    array(int64), int64, int64, array(int64), array(int64), int64, array(uint32), array(float32), array(float32),
    out(float32, 2), out(float32, 2), int64, array(float32), array(float32), array(float32), out(float64),
)  # fmt: skip


@kernel(VISITING, fast=True)
def train_glove(
    order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates, context_rates, clips,
    costs,
):  # fmt: skip
    """Train on the tiles of some group pairs, by the rule of GloVe; costs[q] becomes the cost of pair q.

    Blocks have `height` rows of parameters, one after the other. Pair q = I G + J has the tiles of block rows I group to
    (I + 1) group and of the block columns of J likewise. Tile t = i B + j has entries begins[t]:ends[t]; places[p] is
    row << 16 | column within the blocks. `turn` rotates the order of the tiles. words and contexts (B height, width) are
    changed in place; d is the length of a vector.
    """
    visit(
        GLOVE, order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates,
        context_rates, clips, costs,
    )  # fmt: skip


@kernel(VISITING, fast=True)
def train_glove_by_rows(
    order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates, context_rates, clips,
    costs,
):  # fmt: skip
    """Do the same with one accumulator a row."""
    visit(
        GLOVE_BY_ROWS, order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates,
        context_rates, clips, costs,
    )  # fmt: skip


@kernel(VISITING, fast=True)
def train_simpler(
    order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates, context_rates, clips,
    costs,
):  # fmt: skip
    """Do the same by the rule of simpler-GloVe."""
    visit(
        SIMPLER, order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates,
        context_rates, clips, costs,
    )  # fmt: skip


@kernel(VISITING, fast=True)
def train_simpler_by_rows(
    order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates, context_rates, clips,
    costs,
):  # fmt: skip
    """Do the same by the rule of simpler-GloVe with one accumulator a row."""
    visit(
        SIMPLER_BY_ROWS, order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates,
        context_rates, clips, costs,
    )  # fmt: skip


@kernel(VISITING, fast=True)
def judge(
    order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates, context_rates, clips,
    costs,
):  # fmt: skip
    """Only find the costs: words and contexts stay as they are."""
    visit(
        NONE, order, group, turn, begins, ends, height, places, targets, weights, words, contexts, d, word_rates,
        context_rates, clips, costs,
    )  # fmt: skip

"""Training two language models: places of a text, the sampled softmax, sums of rows, and the steps of the optimisers."""

from __future__ import annotations

import math

from numba import float32, float64, int32, int64, uint64, void

from cooc_engine._kernels.basics import next_random
from cooc_engine._kernels.functions import exponential
from cooc_engine._kernels.jit import array, helper, kernel, out
from cooc_engine._kernels.sampling import draw_alias, seeded

MARKS = 3  # <S>, </S> and <UNK>, before the words


@helper
def element(ids, offsets, document, number):
    """Return an element of a document between its marks: <S>, the words, </S>."""
    begin, end = offsets[document], offsets[document + 1]
    if number == 0:
        return int64(0)
    return int64(1) if number > end - begin else int64(ids[begin + number - 1]) + MARKS


@kernel(void(array(int32), array(int64), array(int64), array(int64), array(int64), int64, int64, out(int64, 4)))
def read_places(ids, offsets, order, ends, begins, length, first, found):
    """Write the inputs and the targets of some steps of both directions to `found` (2, 2, T, B): inputs, targets; directions.

    A document of n words has n + 1 places, each between two elements; the places of the documents in `order` end at `ends`.
    Row b has `length` places from begins[b] on; forward it is read from its begin, and the first element predicts the second;
    backward from its end, the other way round. `first` is the number of steps before.
    """
    for t in range(found.shape[2]):
        for b in range(found.shape[3]):
            for direction in range(2):
                step = first + t
                place = begins[b] + (length - 1 - step if direction else step)
                low, high = int64(0), int64(ends.shape[0] - 1)
                while low < high:
                    middle = (low + high) // 2
                    if ends[middle] > place:
                        high = middle
                    else:
                        low = middle + 1
                number = place - (ends[low - 1] if low > 0 else int64(0))
                for role in range(2):
                    later = role != direction
                    found[role, direction, t, b] = element(ids, offsets, order[low], number + later)


@kernel(void(array(uint64), uint64, int64, int64, out(int64)))
def draw_noise(table, seed, epoch, step, drawn):
    """Fill an array with words drawn from an alias table."""
    state = seeded(seed, epoch, step)
    for k in range(drawn.shape[0]):
        state = next_random(state)
        drawn[k] = draw_alias(table, state)


@kernel(void(out(float32, 2), array(float32), array(int64), out(float32), out(float32), out(float32), out(float64)), fast=True)
def soften(logits, offsets, hits, largest, own, scales, losses):
    """Turn logits into shares of a softmax over the drawn words and each row's own target.

    logits (n, U) become exp(logit + offset - largest), 0 for a row's target if it was drawn, at column `hits` (or -1).
    own (n,) are logits of the targets and become shares less 1; scales (n,): what `logits` are to be multiplied by for shares;
    losses (n,). `largest` (n,) must not be below any sum.
    """
    for r in range(logits.shape[0]):
        m, total = largest[r], float32(0)
        for u in range(logits.shape[1]):
            e = exponential(logits[r, u] + offsets[u] - m)
            logits[r, u] = e
            total += e
        if hits[r] >= 0:
            total -= logits[r, hits[r]]
            logits[r, hits[r]] = 0
        z = own[r] - m
        e = exponential(z)
        total += e
        losses[r] = math.log(float64(total)) - z
        scales[r] = float32(1) / total
        own[r] = e / total - float32(1)


@kernel(void(array(int64), array(float32, 2), int64, int64, out(float32, 2)), fast=True)
def add_rows(places, rows, first, last, sums):
    """Add the columns first:last of rows (n, d) to those rows of `sums` that `places` (n,) name, one after another."""
    for k in range(places.shape[0]):
        for j in range(first, last):
            sums[places[k], j] += rows[k, j]


@kernel(
    void(out(float32), array(float32), out(float32), out(float32), int64, int64, float32, float32, float32, float32), fast=True
)
def adam(values, gradient, means, squares, first, last, rate, scale, keep, keep_square):
    """Take a step of Adam (Kingma and Ba 2015) of the values first:last, whose gradient is multiplied by `scale`."""
    one, tiny = float32(1), float32(1e-8)
    for i in range(first, last):
        g = gradient[i] * scale
        means[i] = keep * means[i] + (one - keep) * g
        squares[i] = keep_square * squares[i] + (one - keep_square) * g * g
        values[i] -= rate * means[i] / (math.sqrt(squares[i]) + tiny)


@kernel(void(out(float32), array(float32), out(float32), int64, int64, float32, float32), fast=True)
def adagrad(values, gradient, sums, first, last, rate, scale):
    """Take a step of AdaGrad (Duchi et al. 2011) of the values first:last, whose gradient is multiplied by `scale`."""
    for i in range(first, last):
        g = gradient[i] * scale
        sums[i] += g * g
        values[i] -= rate * g / math.sqrt(sums[i])


@kernel(void(array(int64), array(float32, 2), out(float32, 2), out(float32, 2), int64, int64, float32, float32), fast=True)
def adagrad_rows(places, gradient, values, sums, first, last, rate, scale):
    """Take a step of AdaGrad of the columns first:last of some rows, whose gradients are multiplied by `scale`."""
    for k in range(places.shape[0]):
        r = places[k]
        for j in range(first, last):
            g = gradient[k, j] * scale
            sums[r, j] += g * g
            values[r, j] -= rate * g / math.sqrt(sums[r, j])

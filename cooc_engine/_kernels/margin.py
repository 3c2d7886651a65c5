"""Joint spherical embedding (Meng et al. 2019): vectors of length 1, and a margin between a word and noise.

A *hinge* max(0, m − u·s + n·s) has a word u that belongs to a target, a noise word n that does not, and the sum s of its
targets: a word as context, or a document, or both (the article's single hinge, equation 3). If it is above 0, each row x takes
a step along the sphere, x ← norm(x + r (g − (x·g) x)), where g, the descent of the hinge, is u − n for a target, s for u and −s
for n. The rate r is the learning rate times a factor, by `Margin.step`:

    PROGRAM  1 − x·g for targets and u, and 2 n·s for n, as in the authors' program; of two targets, s is the mean here
    COSINE   1 − x·g / |g|, the article's: from 0, where g points at x, to 2
    PLAIN    1: Riemannian gradient descent

All values are those before the step.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

from llvmlite import ir
from numba import float32, float64, int32, int64, types, uint64, void
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.basics import below, next_random
from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.row_sums import prefetch_row, prefetch_row_to_write
from cooc_engine._kernels.rules import CLOCK, RULE, TABLES
from cooc_engine._kernels.sampling import draw_alias, seeded
from cooc_engine._kernels.sgd import EXAMPLES, LOSS, WORDS, document_of, lay_piece
from cooc_engine._kernels.simd import I32, I64, RowCode, splat

PROGRAM, COSINE, PLAIN = 0, 1, 2
STAY = 16  # positions after which a shared noise word is drawn anew
NONE = -1  # in place of a noise word
NEAR = float32(1e-6)  # the square of the least difference of two rows; cosines are known to 1e-7
F32 = types.float32


class Margin(NamedTuple):
    """The hinge: its margin, the factor of its steps, and 1 if it joins the two targets, context and document, else 0."""

    margin: float
    step: int
    joint: int


class MarginScratch(NamedTuple):
    """Buffers of one thread.

    words    (PIECE + 2 window,): the text laid out
    random   (8,), a cache line
    windows  (2, 2), noise (2, most): the window of a position and its noise words; those of the next one are drawn ahead
    ring     (shared,): noise words that positions share
    """

    words: Any
    random: Any
    windows: Any
    noise: Any
    ring: Any


MARGIN = named(Margin, margin=float64, step=int64, joint=int64)
MARGIN_SCRATCH = named(
    MarginScratch, words=out(int32), random=out(uint64), windows=out(int64, 2), noise=out(int32, 2), ring=out(int32),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------------- rows as vectors


class _Hinge(RowCode):
    """The rows of hinges, from the first arguments of an intrinsic: X, targets, W, words. Targets come first."""

    def addresses(self):
        """Return the addresses of the rows."""
        return [self.row(index, number) for index in (0, 2) for number in self.elements(index + 1)]

    def elements(self, index):
        """Return the elements of a tuple argument."""
        return [self.builder.extract_value(self.arguments[index], i) for i in range(self.types[index].count)]

    def combined(self, values, factors):
        """Return a sum of multiples."""
        total = self.builder.fmul(values[0], factors[0])
        for value, factor in zip(values[1:], factors[1:], strict=True):
            total = self.fma(value, factor, total)
        return total


@intrinsic
def products(typing, X, targets, W, words):
    """Return the inner products of all rows x, y, z …, targets first: x·x, x·y, x·z …, y·y, y·z …, z·z …"""
    count = targets.count + words.count
    pairs = list(itertools.combinations_with_replacement(range(count), 2))
    result = types.UniTuple(F32, len(pairs))

    def codegen(context, builder, signature, arguments):
        code = _Hinge(context, builder, signature, arguments)
        places = code.addresses()
        totals = [cgutils.alloca_once_value(builder, splat(0)) for _ in pairs]
        with code.chunks(code.width(0)) as (z, _):
            values = [code.load(place, z) for place in places]
            for total, (i, j) in zip(totals, pairs, strict=True):
                builder.store(code.fma(values[i], values[j], builder.load(total)), total)
        sums = code.sums([builder.load(total) for total in totals])
        numbers = [builder.extract_element(sums, ir.Constant(I32, i)) for i in range(len(pairs))]
        return context.make_tuple(builder, result, numbers)

    return result(X, targets, W, words), codegen


def _moving(parts: tuple[tuple[int, ...], ...]):
    """Make the function that replaces rows by sums of multiples of rows.

    f(X, targets, W, words, factors, frozen): row i becomes the sum of the rows in parts[i], each times the next one of the
    factors; if `frozen`, only the last target is replaced.
    """

    @intrinsic
    def move(typing, X, targets, W, words, factors, frozen):
        signature = types.void(X, targets, W, words, factors, types.int64)
        last = targets.count - 1

        def codegen(context, builder, signature, arguments):
            code = _Hinge(context, builder, signature, arguments)
            places, spread = code.addresses(), iter([code.spread(factor) for factor in code.elements(4)])
            factors = [[next(spread) for _ in part] for part in parts]
            free = builder.icmp_signed("==", arguments[5], ir.Constant(I64, 0))
            with code.chunks(code.width(0)) as (z, _):
                values = [code.load(place, z) for place in places]
                moved = [code.combined([values[i] for i in part], own) for part, own in zip(parts, factors, strict=True)]
                code.store(moved[last], places[last], z)
                with builder.if_then(free, likely=True):
                    for number, place in enumerate(places):
                        if number != last:
                            code.store(moved[number], place, z)
            return context.get_dummy_value()

        return signature, codegen

    return move


move_one = _moving(((0, 1, 2), (0, 1), (0, 2)))  # x, u, n
move_two = _moving(((0, 1, 2, 3), (0, 1, 2), (0, 2), (0, 1, 2, 3)))  # x, u, n, and the second noise word
move_joint = _moving(((0, 2, 3), (1, 2, 3), (0, 1, 2), (0, 1, 3)))  # x, y, u, n


# ------------------------------------------------------------------------------------------------------------ the step


@helper
def factors_of(rate, own, cosine, square):
    """Return a and b of norm(x + r (g − (x·g) x)) = a x + b g, given r, x·x, x·g and g·g."""
    rest = float32(1) - rate * cosine
    scale = float32(1) / math.sqrt(rest * rest * own + rate * (float32(2) * rest * cosine + rate * square))
    return rest * scale, rate * scale


@helper
def toward(step, lr, cosine, square, share):
    """Return the rate of a target or of u, which moves towards g, given x·g and g·g; with PROGRAM a `share` of g counts."""
    if step == PROGRAM:
        return lr * (float32(1) - share * cosine)
    if step == COSINE:
        return lr * (float32(1) - cosine / math.sqrt(square))
    return lr


@helper
def away(step, lr, cosine, square, share):
    """Return the rate of n, negative where it moves away from s, given n·s and s·s; with PROGRAM a `share` of s counts."""
    if step == PROGRAM:
        return -lr * float32(2) * share * cosine
    if step == COSINE:
        return -lr * (float32(1) + cosine / math.sqrt(square))
    return -lr


@helper
def loss_of(margin, us, ns):
    """Return the loss of a hinge, which is NaN where a number is."""
    loss = float32(margin.margin) - us + ns
    return float32(0) if loss <= 0 else loss


@helper
def separate_factors(margin, xx, uu, nn, xu, xn, un, lr, frozen):
    """Return the factors of x, u and n in the hinge of one target x."""
    apart, one = max(uu + nn - float32(2) * un, NEAR), float32(1)
    a, b = factors_of(toward(margin.step, lr, xu - xn, apart, one), xx, xu - xn, apart)
    if frozen:
        return a, b, one, float32(0), one, float32(0)
    c, d = factors_of(toward(margin.step, lr, xu, xx, one), uu, xu, xx)
    e, f = factors_of(away(margin.step, lr, xn, xx, one), nn, xn, xx)
    return a, b, c, d, e, f


@helper
def take_separate(margin, X, x, W, u, n, lr, frozen):
    """Take the steps of the hinge of one target; returns its loss."""
    xx, xu, xn, uu, un, nn = products(X, (x,), W, (u, n))
    loss = loss_of(margin, xu, xn)
    if loss != 0:
        a, b, c, d, e, f = separate_factors(margin, xx, uu, nn, xu, xn, un, lr, frozen)
        move_one(X, (x,), W, (u, n), (a, b, -b, d, c, f, e), frozen)
    return loss


@helper
def take_two(margin, X, x, W, u, n, m, lr, frozen):
    """Take the steps of the hinges of one target with a noise word n and then with another, m; returns the sum of the losses.

    The steps are linear combinations of the rows, and so the second ones can be computed from the products before the first:
    the core waits for products half as often.
    """
    xx, xu, xn, xm, uu, un, um, nn, nm, mm = products(X, (x,), W, (u, n, m))
    first = loss_of(margin, xu, xn)
    if first == 0:
        second = loss_of(margin, xu, xm)
        if second != 0:
            a, b, c, d, e, f = separate_factors(margin, xx, uu, mm, xu, xm, um, lr, frozen)
            move_one(X, (x,), W, (u, m), (a, b, -b, d, c, f, e), frozen)
        return second
    a, b, c, d, e, f = separate_factors(margin, xx, uu, nn, xu, xn, un, lr, frozen)
    one, later_xu = float32(1), a * (c * xu + d * xx) + b * (c * (uu - un) + d * (xu - xn))
    later_xm, later_um = a * xm + b * (um - nm), c * um + d * xm
    second = loss_of(margin, later_xu, later_xm)
    if second == 0:
        move_one(X, (x,), W, (u, n), (a, b, -b, d, c, f, e), frozen)
        return first
    p, q, r, s, t, v = separate_factors(margin, one, one, mm, later_xu, later_xm, later_um, lr, frozen)
    move_two(
        X, (x,), W, (u, n, m),
        (p * a + q * d, p * b + q * c, -p * b, -q, r * d + s * a, r * c + s * b, -s * b, f, e, v * a, v * b, -v * b, t), frozen,
    )  # fmt: skip
    return first + second


@helper
def take_joint(margin, X, x, y, W, u, n, lr, frozen):
    """Take the steps of the hinge of two targets; returns its loss."""
    xx, xy, xu, xn, yy, yu, yn, uu, un, nn = products(X, (x, y), W, (u, n))
    us, ns, half = xu + yu, xn + yn, float32(0.5)
    loss = loss_of(margin, us, ns)
    if loss != 0:
        apart, ss = max(uu + nn - float32(2) * un, NEAR), max(xx + yy + float32(2) * xy, NEAR)
        a, b = factors_of(toward(margin.step, lr, xu - xn, apart, float32(1)), xx, xu - xn, apart)
        c, d = factors_of(toward(margin.step, lr, yu - yn, apart, float32(1)), yy, yu - yn, apart)
        e, f = factors_of(toward(margin.step, lr, us, ss, half), uu, us, ss)
        g, h = factors_of(away(margin.step, lr, ns, ss, half), nn, ns, ss)
        move_joint(X, (x, y), W, (u, n), (a, b, -b, c, d, -d, f, f, e, h, h, g), frozen)
    return loss


# ------------------------------------------------------------------------------------------------ the walk over text


@helper
def fetch(rule, matrix, row):
    """Prefetch a row; to write it, if it is trained: where another core has written it last, that saves a tenth of the time."""
    if rule.frozen:
        prefetch_row(matrix, row)
    else:
        prefetch_row_to_write(matrix, row)


@helper
def draw_noise(rule, tables, W, random):
    """Draw a noise word and prefetch its row; returns the word and the random state."""
    random = next_random(random)
    word = draw_alias(tables.noise, random)
    fetch(rule, W, word)
    return word, random


@helper
def fill_ring(rule, tables, begin, end, W, scratch):
    """Draw the shared noise words of the places begin:end of the ring."""
    for place in range(begin, end):
        scratch.ring[place], scratch.random[0] = draw_noise(rule, tables, W, scratch.random[0])


@helper
def draw_position(rule, margin, tables, first, last, c, W, X, scratch):
    """Draw the window of the word at c and its noise words, from the table or from those that are shared.

    There are noise words for each neighbour, and unless both are joint then for the document. If rows are frozen, neighbours
    are of use only where they are joint. Rows that the word at c is the first to need are prefetched.
    """
    slot, random = c & 1, next_random(scratch.random[0])
    radius = rule.window if rule.fixed else below(random, rule.window) + 1
    scratch.random[0] = random
    low, high = max(first, c - radius), min(last, c + radius + 1)
    if rule.frozen and not margin.joint:
        low, high = c, c + 1
    scratch.windows[slot, 0], scratch.windows[slot, 1] = low, high
    fetch(rule, X, int64(scratch.words[c]))
    fetch(rule, W, int64(scratch.words[min(c + rule.window, last - 1)]))
    turn = (c - rule.window) % STAY
    fill_ring(rule, tables, turn * rule.shared // STAY, (turn + 1) * rule.shared // STAY, W, scratch)
    random = scratch.random[0]
    for i in range((high - low - margin.joint) * rule.negative):
        if rule.shared > 0:
            random = next_random(random)
            scratch.noise[slot, i] = scratch.ring[below(random, rule.shared)]
        else:
            scratch.noise[slot, i], random = draw_noise(rule, tables, W, random)
    scratch.random[0] = random


@helper
def train_position(rule, margin, c, document, W, X, lr, scratch):
    """Train on the word at c: as context of each neighbour and then, unless that is joint, with the document as its target.

    A noise word that equals the word is left out, since its hinge is constant, and as in the program one that is the context.
    """
    slot, words, i, loss, count = c & 1, scratch.words, 0, 0.0, 0
    low, high = scratch.windows[slot, 0], scratch.windows[slot, 1]
    own = int64(words[c])
    for place in range(low, high + 1 - margin.joint):
        if place == c:
            continue
        is_neighbour = place < high
        word, target = (int64(words[place]), own) if is_neighbour else (own, document)
        waiting = NONE
        for _ in range(rule.negative):
            noise = int64(scratch.noise[slot, i])
            i += 1
            if noise not in (own, word):
                count += 1
                if margin.joint:
                    loss += take_joint(margin, X, target, document, W, word, noise, lr, rule.frozen)
                elif waiting == NONE:
                    waiting = noise
                elif waiting == noise:
                    loss += take_separate(margin, X, target, W, word, waiting, lr, rule.frozen)
                else:
                    loss += take_two(margin, X, target, W, word, waiting, noise, lr, rule.frozen)
                    waiting = NONE
        if waiting != NONE:
            loss += take_separate(margin, X, target, W, word, waiting, lr, rule.frozen)
    return loss, count


@helper
def train_part(ids, offsets, begin, end, later, rule, margin, tables, clock, W, X, scratch, result):
    """Train on the tokens begin:end of a shard, visited some tokens later than their place in the text tells.

    result becomes loss, examples and words. Windows cross the ends of parts, but never those of documents.
    """
    scratch.random[0] = seeded(uint64(clock.seed), clock.epoch, clock.origin + begin)
    fill_ring(rule, tables, 0, rule.shared, W, scratch)
    document, middle = document_of(offsets, begin), rule.window
    loss, examples, known = 0.0, 0, 0
    while begin < end:
        stop, document, first, behind, last, words, lr = lay_piece(
            ids, offsets, begin, end, later, document, rule, tables, clock, scratch.words
        )
        for c in range(middle, behind + 1):
            if c < behind:
                draw_position(rule, margin, tables, first, last, c, W, X, scratch)
            if c > middle:
                row = rule.document + clock.document + document
                added, count = train_position(rule, margin, c - 1, row, W, X, lr, scratch)
                loss += added
                examples += count
        known += words
        begin = stop
    result[LOSS], result[EXAMPLES], result[WORDS] = loss, examples, known


@kernel(
    void(
        array(int32), array(int64), array(int64, 2), int64, RULE, MARGIN, TABLES, CLOCK, out(float32, 2), out(float32, 2),
        MARGIN_SCRATCH, out(float64, 3),
    ),
    fast=True,
)  # fmt: skip
def train_margins(ids, offsets, parts, size, rule, margin, tables, clock, W, X, scratch, results):
    """Train on parts of a shard: their numbers, and how many tokens later than their place tells they are visited, (n, 2).

    W are the rows of words, X those of contexts, then from `Rule.document` on of documents. With `Rule.frozen`, only those of
    documents are trained. results[i, 0] becomes loss, examples and words of the i-th part.
    """
    for i in range(parts.shape[0]):
        begin = parts[i, 0] * size
        end = min(begin + size, ids.shape[0])
        train_part(ids, offsets, begin, end, parts[i, 1], rule, margin, tables, clock, W, X, scratch, results[i, 0])

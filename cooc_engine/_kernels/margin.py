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

import math
from typing import Any, NamedTuple

from llvmlite import ir
from numba import float32, float64, int32, int64, types, uint64, void
from numba.core import cgutils
from numba.extending import intrinsic

from cooc_engine._kernels.basics import below, next_random
from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.row_sums import prefetch_row
from cooc_engine._kernels.rules import CLOCK, RULE, TABLES
from cooc_engine._kernels.sampling import draw_alias, seeded
from cooc_engine._kernels.sgd import EXAMPLES, LOSS, WORDS, document_of, lay_piece
from cooc_engine._kernels.simd import I64, RowCode, splat

PROGRAM, COSINE, PLAIN = 0, 1, 2
STAY = 16  # positions after which a shared noise word is drawn anew
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
    """The rows of a hinge, from the arguments X, targets, W, u, n of an intrinsic: targets first, then u and n."""

    def addresses(self):
        """Return the addresses of the rows."""
        targets = [self.builder.extract_value(self.arguments[1], i) for i in range(self.types[1].count)]
        return [self.row(0, target) for target in targets] + [self.row(2, word) for word in self.arguments[3:5]]

    def inner(self, pairs, size):
        """Return a tuple of inner products, of the pairs that a function makes of targets, word, noise and sum of targets."""
        places = self.addresses()
        totals = [cgutils.alloca_once_value(self.builder, splat(0)) for _ in range(size)]
        with self.chunks(self.width(0)) as (z, _):
            *x, word, noise = (self.load(place, z) for place in places)
            for total, (left, right) in zip(totals, pairs(x, word, noise, self.sum(x)), strict=True):
                self.builder.store(self.fma(left, right, self.builder.load(total)), total)
        sums = self.sums([self.builder.load(total) for total in totals])
        numbers = [self.builder.extract_element(sums, ir.Constant(ir.IntType(32), i)) for i in range(size)]
        return self.context.make_tuple(self.builder, types.UniTuple(F32, size), numbers)

    def sum(self, vectors):
        """Return the sum of vectors."""
        total = vectors[0]
        for vector in vectors[1:]:
            total = self.builder.fadd(total, vector)
        return total


@intrinsic
def cosines(typing, X, targets, W, u, n):
    """Return u·s and n·s."""
    signature = types.UniTuple(F32, 2)(X, targets, W, types.int64, types.int64)

    def codegen(context, builder, signature, arguments):
        code = _Hinge(context, builder, signature, arguments)

        def pairs(x, word, noise, s):
            return [(word, s), (noise, s)]

        return code.inner(pairs, 2)

    return signature, codegen


@intrinsic
def products(typing, X, targets, W, u, n):
    """Return u·u, n·n, (u − n)·(u − n) and s·s; if there are several targets x also x·x and x·(u − n) of each."""
    size = 4 + (2 * targets.count if targets.count > 1 else 0)
    signature = types.UniTuple(F32, size)(X, targets, W, types.int64, types.int64)

    def codegen(context, builder, signature, arguments):
        code = _Hinge(context, builder, signature, arguments)

        def pairs(x, word, noise, s):
            apart = builder.fsub(word, noise)
            own = [(word, word), (noise, noise), (apart, apart), (s, s)]
            return own + [pair for row in x for pair in ((row, row), (row, apart)) if len(x) > 1]

        return code.inner(pairs, size)

    return signature, codegen


@intrinsic
def move(typing, X, targets, W, u, n, factors, frozen):
    """Replace each row by a row + b g, with a and b from `factors`; if `frozen`, only the last target."""
    signature = types.void(X, targets, W, types.int64, types.int64, factors, types.int64)

    def codegen(context, builder, signature, arguments):
        code = _Hinge(context, builder, signature, arguments)
        places, (*_, factors, frozen) = code.addresses(), arguments
        own, other = ([code.spread(builder.extract_value(factors, 2 * i + k)) for i in range(len(places))] for k in range(2))
        last = len(places) - 3
        free = builder.icmp_signed("==", frozen, ir.Constant(I64, 0))
        with code.chunks(code.width(0)) as (z, _):
            rows = [code.load(place, z) for place in places]
            *x, word, noise = rows
            s, apart = code.sum(x), builder.fsub(word, noise)
            along = [apart for _ in x] + [s, s]
            moved = [code.fma(a, row, builder.fmul(b, g)) for a, row, b, g in zip(own, rows, other, along, strict=True)]
            code.store(moved[last], places[last], z)
            with builder.if_then(free, likely=True):
                for number, place in enumerate(places):
                    if number != last:
                        code.store(moved[number], place, z)
        return context.get_dummy_value()

    return signature, codegen


# ------------------------------------------------------------------------------------------------------------ the step


@helper
def factors_of(rate, square, cosine, length):
    """Return a and b of norm(x + r (g − (x·g) x)) = a x + b g, given r, x·x, x·g and g·g."""
    own = float32(1) - rate * cosine
    scale = float32(1) / math.sqrt(own * own * square + rate * (float32(2) * own * cosine + rate * length))
    return own * scale, rate * scale


@helper
def toward(step, lr, cosine, length, share):
    """Return the rate of a target or of u, which moves towards g, given x·g and g·g; with PROGRAM a `share` of g counts."""
    if step == PROGRAM:
        return lr * (float32(1) - share * cosine)
    if step == COSINE:
        return lr * (float32(1) - cosine / math.sqrt(length))
    return lr


@helper
def away(step, lr, cosine, length, share):
    """Return the rate of n, negative where it moves away from s, given n·s and s·s; with PROGRAM a `share` of s counts."""
    if step == PROGRAM:
        return -lr * float32(2) * share * cosine
    if step == COSINE:
        return -lr * (float32(1) + cosine / math.sqrt(length))
    return -lr


@helper
def words_factors(step, lr, uu, us, nn, ns, ss, share):
    """Return the factors of u and of n."""
    a, b = factors_of(toward(step, lr, us, ss, share), uu, us, ss)
    c, d = factors_of(away(step, lr, ns, ss, share), nn, ns, ss)
    return a, b, c, d


@helper
def take_separate(margin, X, x, W, u, n, lr, frozen):
    """Take the steps of the hinge of one target; returns its loss, which is NaN where a number is."""
    us, ns = cosines(X, (x,), W, u, n)
    loss = float32(margin.margin) - us + ns
    if loss <= 0:
        return float32(0)
    uu, nn, dd, xx = products(X, (x,), W, u, n)
    a, b = factors_of(toward(margin.step, lr, us - ns, dd, float32(1)), xx, us - ns, dd)
    c, d, e, f = words_factors(margin.step, lr, uu, us, nn, ns, xx, float32(1))
    move(X, (x,), W, u, n, (a, b, c, d, e, f), frozen)
    return loss


@helper
def take_joint(margin, X, x, y, W, u, n, lr, frozen):
    """Take the steps of the hinge of two targets; returns its loss, which is NaN where a number is."""
    us, ns = cosines(X, (x, y), W, u, n)
    loss = float32(margin.margin) - us + ns
    if loss <= 0:
        return float32(0)
    uu, nn, dd, ss, xx, xd, yy, yd = products(X, (x, y), W, u, n)
    a, b = factors_of(toward(margin.step, lr, xd, dd, float32(1)), xx, xd, dd)
    c, d = factors_of(toward(margin.step, lr, yd, dd, float32(1)), yy, yd, dd)
    e, f, g, h = words_factors(margin.step, lr, uu, us, nn, ns, ss, float32(0.5))
    move(X, (x, y), W, u, n, (a, b, c, d, e, f, g, h), frozen)
    return loss


# ------------------------------------------------------------------------------------------------ the walk over text


@helper
def draw_noise(tables, W, random):
    """Draw a noise word and prefetch its row; returns the word and the random state."""
    random = next_random(random)
    word = draw_alias(tables.noise, random)
    prefetch_row(W, word)
    return word, random


@helper
def fill_ring(tables, begin, end, W, scratch):
    """Draw the shared noise words of the places begin:end of the ring."""
    for place in range(begin, end):
        scratch.ring[place], scratch.random[0] = draw_noise(tables, W, scratch.random[0])


@helper
def draw_position(rule, margin, tables, first, last, c, W, X, scratch):
    """Draw the window of the word at c and its noise words, from the table or from those that are shared.

    There are noise words for each neighbour, and unless both are joint then for the document. If rows are frozen, neighbours
    are of use only where they are joint. Some of the shared words are drawn anew for each position, in turn.
    """
    slot, random, shared = c & 1, next_random(scratch.random[0]), rule.shared
    radius = rule.window if rule.fixed else below(random, rule.window) + 1
    scratch.random[0] = random
    low, high = max(first, c - radius), min(last, c + radius + 1)
    if rule.frozen and not margin.joint:
        low, high = c, c + 1
    scratch.windows[slot, 0], scratch.windows[slot, 1] = low, high
    # Nothing has read the word's row as a context yet, nor that of the word that comes into the window next: 5 % of the time.
    prefetch_row(X, int64(scratch.words[c]))
    prefetch_row(W, int64(scratch.words[min(c + rule.window, last - 1)]))
    turn = (c - rule.window) % STAY
    fill_ring(tables, turn * shared // STAY, (turn + 1) * shared // STAY, W, scratch)
    random = scratch.random[0]
    for i in range((high - low - margin.joint) * rule.negative):
        if shared > 0:
            random = next_random(random)
            scratch.noise[slot, i] = scratch.ring[below(random, shared)]
        else:
            scratch.noise[slot, i], random = draw_noise(tables, W, random)
    scratch.random[0] = random


@helper
def train_position(rule, margin, c, document, W, X, lr, scratch, result):
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
        for _ in range(rule.negative):
            noise = int64(scratch.noise[slot, i])
            i += 1
            if noise not in (own, word):
                count += 1
                if margin.joint:
                    loss += take_joint(margin, X, target, document, W, word, noise, lr, rule.frozen)
                else:
                    loss += take_separate(margin, X, target, W, word, noise, lr, rule.frozen)
    result[LOSS] += loss
    result[EXAMPLES] += count


@helper
def train_part(ids, offsets, begin, end, later, rule, margin, tables, clock, W, X, scratch, result):
    """Train on the tokens begin:end of a shard, visited some tokens later than their place in the text tells.

    result becomes loss, examples and words. Windows cross the ends of parts, but never those of documents.
    """
    scratch.random[0] = seeded(uint64(clock.seed), clock.epoch, clock.origin + begin)
    fill_ring(tables, 0, rule.shared, W, scratch)
    result[:] = 0
    document, middle = document_of(offsets, begin), rule.window
    while begin < end:
        stop, document, first, behind, last, known, lr = lay_piece(
            ids, offsets, begin, end, later, document, rule, tables, clock, scratch.words
        )
        for c in range(middle, behind + 1):
            if c < behind:
                draw_position(rule, margin, tables, first, last, c, W, X, scratch)
            if c > middle:
                train_position(rule, margin, c - 1, rule.document + clock.document + document, W, X, lr, scratch, result)
        result[WORDS] += known
        begin = stop


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

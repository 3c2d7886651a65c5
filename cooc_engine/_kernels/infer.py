"""Inference of documents: the row of each is trained on its words, while all other rows stay.

LANES documents are trained together, one word of each at a time. They draw the same noise, so that its rows are read once for
all, and products and σ are taken for all at once. What is done for a document depends on no other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import float32, float64, int32, int64, types, uint64, void
from numba.extending import intrinsic

from cooc_engine._kernels.basics import below, mix64, next_random, prefetch_later
from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.rules import CONTEXTS, PATH, RULE, SUM, TABLES
from cooc_engine._kernels.sampling import draw_alias, is_kept, seeded
from cooc_engine._kernels.simd import (
    I64,
    LANES,
    RowCode,
    add_row,
    add_to_row,
    copy_row,
    dots,
    logistic,
    transpose,
    transpose_listed,
)
from cooc_engine._kernels.turned import (
    PANEL,
    add_columns_scaled,
    add_panel,
    add_single,
    column_dots,
    panel_dots,
    single_dots,
)

SEVERAL = 3  # slots whose steps are added together


class Pace(NamedTuple):
    """The learning rate: lr (1 − epoch / total) in each of some epochs."""

    seed: int
    epochs: int
    lr: float
    total: float


class Lanes(NamedTuple):
    """The buffers of one thread; a slot is an output row for each of LANES documents.

    words      the words of the documents that survive thinning, at their places in the text
    counts     (LANES,): their number in each document
    rows       (slots LANES,): output rows; weights and positives (slots LANES,): how many examples, and how many with label 1
    scores     (slots LANES,): inner products, which become gradients
    numbers    (slots LANES,): the row of `hidden` that belongs to each of them
    hidden     (LANES, d): the hidden rows
    turned     (d, LANES): rows of documents as columns, and targets (d, LANES) those of their words
    shares     (LANES,): the share that an input row has in its hidden row
    losses     (LANES,)
    """

    words: Any
    counts: Any
    rows: Any
    weights: Any
    positives: Any
    scores: Any
    numbers: Any
    hidden: Any
    turned: Any
    targets: Any
    shares: Any
    losses: Any


PACE = named(Pace, seed=int64, epochs=int64, lr=float64, total=float64)
LANES_OF = named(
    Lanes, words=out(int32), counts=out(int64), rows=out(int32), weights=out(float32), positives=out(float32),
    scores=out(float32), numbers=out(int32), hidden=out(float32, 2), turned=out(float32, 2), targets=out(float32, 2),
    shares=out(float32), losses=out(float32),
)  # fmt: skip


@helper
def thin(ids, offsets, group, keep, thinning, lanes):
    """Lay out the words of a group's documents that survive thinning; returns the largest number of a document."""
    longest, base = int64(0), offsets[group]
    for lane in range(LANES):
        begin, n = offsets[group + lane], int64(0)
        for p in range(begin, offsets[group + lane + 1]):
            lanes.words[begin - base + n] = ids[p]
            n += is_kept(keep, thinning, p - begin, ids[p])
        lanes.counts[lane] = n
        longest = max(longest, n)
    return longest


@helper
def set_slot(lanes, slot, lane, row, weight, positive):
    """Set the output row of a document."""
    place = slot * LANES + lane
    lanes.rows[place], lanes.weights[place], lanes.positives[place] = row, weight, positive


@helper
def list_words(rule, tables, offsets, group, c, random, lanes):
    """List the c-th word of each document and noise for all; returns the number of slots and the random state."""
    base = offsets[group]
    for lane in range(LANES):
        there = c < lanes.counts[lane]
        word = lanes.words[offsets[group + lane] - base + c] if there else int32(0)
        set_slot(lanes, 0, lane, word, float32(there), float32(there))
    for slot in range(1, 1 + rule.negative):
        random = next_random(random)
        word = int32(draw_alias(tables.noise, random))
        for lane in range(LANES):
            known = lanes.weights[lane] > 0 and lanes.rows[lane] != word
            set_slot(lanes, slot, lane, word, float32(known), float32(0))
    return 1 + rule.negative, random


@helper
def list_nodes(tables, offsets, group, c, lanes):
    """List the nodes on the path of the c-th word of each document; returns the number of slots, that of the longest path."""
    slots, base = int64(0), offsets[group]
    for lane in range(LANES):
        if c < lanes.counts[lane]:
            word = lanes.words[offsets[group + lane] - base + c]
            slots = max(slots, tables.path_starts[word + 1] - tables.path_starts[word])
    for lane in range(LANES):
        begin, end = int64(0), int64(0)
        if c < lanes.counts[lane]:
            word = lanes.words[offsets[group + lane] - base + c]
            begin, end = tables.path_starts[word], tables.path_starts[word + 1]
        for slot in range(slots):
            if begin + slot < end:
                node, label = tables.path_nodes[begin + slot], tables.path_labels[begin + slot]
                set_slot(lanes, slot, lane, node, float32(1), max(label, float32(0)))
            else:
                set_slot(lanes, slot, lane, int32(0), float32(0), float32(0))
    return slots


@helper
def read_hidden(rule, offsets, group, c, radius, W, documents, lanes):
    """Compute the hidden rows: each document's own row, or its mean, or sum, with the words around the c-th."""
    hidden, base = lanes.hidden, offsets[group]
    for lane in range(LANES):
        copy_row(documents, group + lane, hidden, lane)
        lanes.shares[lane] = float32(1)
        if rule.inputs == CONTEXTS and c < lanes.counts[lane]:
            place, low, high = offsets[group + lane] - base, max(int64(0), c - radius), min(lanes.counts[lane], c + radius + 1)
            for p in range(low, high):
                if p != c:
                    add_row(W, int64(lanes.words[place + p]), hidden, lane)
            share = float32(1) / float32(1 if rule.mean == SUM else high - low)
            add_to_row(share - float32(1), hidden, lane, hidden, lane)
            lanes.shares[lane] = share if rule.spread else float32(1)


@helper
def fetch_target(rule, tables, offsets, group, c, C, lanes):
    """Prefetch the output row of the c-th word of each document."""
    base = offsets[group]
    if rule.output != PATH:
        for lane in range(LANES):
            if c < lanes.counts[lane]:
                row = int64(lanes.words[offsets[group + lane] - base + c])
                for z in range(0, C.shape[1], LANES):
                    prefetch_later(C, row * C.shape[1] + z)


@intrinsic
def add_several(typing, scores, rows, place, share, C, target, row):
    """Add share · scores[p] · C[rows[p]] for SEVERAL places p, LANES apart, to a row of `target`, which is written once."""
    signature = types.void(scores, rows, types.int64, types.float32, C, target, types.int64)

    def codegen(context, builder, signature, arguments):
        code = RowCode(context, builder, signature, arguments)
        _, _, place, share, _, _, row = arguments
        places = [builder.add(place, ir.Constant(I64, LANES * n)) for n in range(SEVERAL)]
        factors = [code.spread(builder.fmul(share, code.item(0, p))) for p in places]
        sources, goal = [code.row(4, code.item(1, p)) for p in places], code.row(5, row)
        with code.chunks(code.width(4)) as (z, _):
            total = code.load(goal, z)
            for factor, source in zip(factors, sources, strict=True):
                total = code.fma(factor, code.load(source, z), total)
            code.store(total, goal, z)
        return context.get_dummy_value()

    return signature, codegen


@helper
def weigh_scores(rule, lr, slots, lanes):
    """Turn the inner products into gradients."""
    for place in range(0, slots * LANES, LANES):
        logistic(
            lanes.scores, place, lanes.positives, lanes.weights, place, lr, float32(rule.clamp), float32(rule.beyond),
            lanes.losses,
        )  # fmt: skip


@helper
def take_step(rule, lr, group, slots, C, documents, lanes):
    """Take the step of each document, from the slots listed."""
    for place in range(0, slots * LANES, LANES):
        dots(C, lanes.rows, lanes.hidden, lanes.numbers, place, lanes.scores)
    weigh_scores(rule, lr, slots, lanes)
    for lane in range(LANES):
        if lanes.weights[lane] > 0:
            for slot in range(0, slots - SEVERAL + 1, SEVERAL):
                add_several(lanes.scores, lanes.rows, slot * LANES + lane, lanes.shares[lane], C, documents, group + lane)
            for slot in range(slots - slots % SEVERAL, slots):
                place = slot * LANES + lane
                add_to_row(lanes.shares[lane] * lanes.scores[place], C, int64(lanes.rows[place]), documents, group + lane)


@helper
def score_columns(slots, C, lanes):
    """Compute the inner products of documents, which are columns, with their words, the first slot, and with noise for all."""
    for z in range(0, C.shape[1], LANES):
        transpose_listed(C, lanes.rows, 0, z, lanes.targets)
    column_dots(lanes.targets, lanes.turned, lanes.scores)
    slot = 1
    while slot + PANEL <= slots:
        panel_dots(C, lanes.rows, slot, lanes.turned, lanes.scores)
        slot += PANEL
    while slot < slots:
        single_dots(C, lanes.rows, slot, lanes.turned, lanes.scores)
        slot += 1


@helper
def step_columns(slots, C, lanes):
    """Add to the documents, which are columns, their words and the noise, each times its gradient."""
    add_columns_scaled(lanes.scores, lanes.targets, lanes.turned)
    slot = 1
    while slot + PANEL <= slots:
        add_panel(C, lanes.rows, slot, lanes.turned, lanes.scores)
        slot += PANEL
    while slot < slots:
        add_single(C, lanes.rows, slot, lanes.turned, lanes.scores)
        slot += 1


@kernel(
    void(
        array(int32),
        array(int64),
        int64,
        int64,
        RULE,
        TABLES,
        PACE,
        out(float32, 2),
        out(float32, 2),
        LANES_OF,
        out(float32, 2),
    ),
    fast=True,
)
def infer_documents(ids, offsets, first, last, rule, tables, pace, W, C, lanes, documents):
    """Train the rows of `documents` first:last, LANES at a time, each on its words ids[offsets[i]:offsets[i + 1]].

    W and C are the input rows of words and the output rows. Rows of documents that have no words stay.
    """
    alone = rule.inputs != CONTEXTS and rule.output != PATH  # and then documents are columns of a matrix while they are trained
    for group in range(first, last, LANES):
        rows = documents[group : group + LANES]
        for z in range(0, rows.shape[1] if alone else 0, LANES):
            transpose(rows, 0, z, lanes.turned)
        for epoch in range(pace.epochs):
            thinning = mix64(mix64(uint64(pace.seed)) ^ mix64(uint64(epoch)))
            random = seeded(uint64(pace.seed), epoch, 0)
            lr = float32(pace.lr * (1 - epoch / pace.total))
            longest = thin(ids, offsets, group, tables.keep, thinning, lanes)
            for c in range(longest):
                random = next_random(random)
                radius = rule.window if rule.fixed else below(random, rule.window) + 1
                if rule.output == PATH:
                    slots = list_nodes(tables, offsets, group, c, lanes)
                else:
                    slots, random = list_words(rule, tables, offsets, group, c, random, lanes)
                fetch_target(rule, tables, offsets, group, c + 1, C, lanes)
                if alone:
                    score_columns(slots, C, lanes)
                    weigh_scores(rule, lr, slots, lanes)
                    step_columns(slots, C, lanes)
                else:
                    read_hidden(rule, offsets, group, c, radius, W, documents, lanes)
                    take_step(rule, lr, group, slots, C, documents, lanes)
        for z in range(0, rows.shape[1] if alone else 0, LANES):
            transpose(lanes.turned, z, 0, rows)

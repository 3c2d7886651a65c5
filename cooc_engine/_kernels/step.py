"""The one step of all sampled models (Mikolov et al. 2013).

    Z = O Hᵀ;  G = lr (P - T σ(Z));  ΔO = G H;  ΔH = Gᵀ O;  O += ΔO, scatter ΔH

An *example* is a group of neighbouring windows: hidden rows H, output rows O, and for each pair of both how many examples it
stands for, T, and how many of them have label 1, P. A family is data: which words of a window are inputs and which are targets
(`Rule.inputs`), whether the hidden layer is their mean, and which further rows belong to a word or a document. Instead of the
mean it may be their SUM, or, with CONCAT, all of them side by side. The products are taken block by block, where a block is
some output rows with the hidden rows that they have to do with; output rows that have to do with a single hidden row are paired
with it without a product.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import float32, int32, int64, uint64

from cooc_engine._kernels.examples import (
    EXAMPLE,
    HIDDEN,
    INPUTS,
    OUTPUTS,
    SHARED,
    SINGLES,
    TARGETS,
    document_lane,
    is_single,
    lanes_of,
    padded_to,
    target_word,
)  # fmt: skip
from cooc_engine._kernels.hidden import clear, gather_segments, read_hidden, spread_steps
from cooc_engine._kernels.jit import helper, named, out
from cooc_engine._kernels.rules import CONCAT, OUTPUT_ROWS, PATH, WORD_ROWS
from cooc_engine._kernels.simd import (
    COLUMNS,
    LANES,
    TILE,
    add_row,
    add_tile,
    add_to_row,
    clear_row,
    copy_row,
    dots,
    logistic,
    pair_dots,
    pair_step,
    set_tile,
    single_dots,
    single_step,
)  # fmt: skip


class Scratch(NamedTuple):
    """The vector size and the buffers of one thread; `d` numbers of each row are used, the others are 0.

    words     (PIECE + 2 window,): the text laid out
    random    (8,), a cache line
    ahead, behind: the example that is built, while the other is trained
    places    (1 + input places, d): the sum of the input rows of all places before, if the hidden rows are means of several
    hidden    (lanes, d); turned (d, lanes): the hidden rows as columns
    outputs   (rows, d): the output rows as they were before the step
    positives, weights, scores (rows, lanes): P, T, and Z, which becomes G
    blocks    (most, 4): first output row, number of output rows, first hidden row and the one after the last
    singles   (most,): scores of single pairs
    uses      (1, lanes): how much noise each hidden row has
    losses    (LANES,)
    panel_scores, panel_positives, panel_weights (panels, LANES): the same for the nodes of one target, panel by panel
    place_steps, hidden_steps, output_steps: the steps of these rows
    segments, segment_steps (lanes segments, d): the same memory, in segments as wide as an input row

    Numbers of rows are padded to tiles, lanes to vectors.
    """

    d: int
    words: Any
    random: Any
    ahead: Any
    behind: Any
    places: Any
    hidden: Any
    turned: Any
    outputs: Any
    positives: Any
    weights: Any
    scores: Any
    blocks: Any
    singles: Any
    uses: Any
    losses: Any
    panel_scores: Any
    panel_positives: Any
    panel_weights: Any
    place_steps: Any
    hidden_steps: Any
    output_steps: Any
    segments: Any
    segment_steps: Any


class StepLog(NamedTuple):
    """Steps that are recorded instead of taken, part by part; without rows if they are taken at once.

    rows (parts, most): input row r as r, output row r as -1 - r; steps (parts, most, d); used (parts,). Examples listed for
    a full softmax use `rows` alone: the number of inputs, the number of targets, then both lists.
    """

    rows: Any
    steps: Any
    used: Any


SCRATCH = named(
    Scratch, d=int64, words=out(int32), random=out(uint64), ahead=EXAMPLE, behind=EXAMPLE, places=out(float32, 2),
    hidden=out(float32, 2), turned=out(float32, 2), outputs=out(float32, 2), positives=out(float32, 2),
    weights=out(float32, 2), scores=out(float32, 2), blocks=out(int64, 2), singles=out(float32), uses=out(float32, 2),
    losses=out(float32), panel_scores=out(float32, 2), panel_positives=out(float32, 2), panel_weights=out(float32, 2),
    place_steps=out(float32, 2), hidden_steps=out(float32, 2), output_steps=out(float32, 2), segments=out(float32, 2),
    segment_steps=out(float32, 2),
)  # fmt: skip
STEP_LOG = named(StepLog, rows=out(int32, 2), steps=out(float32, 3), used=out(int64))


# ------------------------------------------------------------------------------------------------------------ rows read


@helper
def read_outputs(C, example, scratch):
    """Copy the output rows; those that fill up a tile are zero."""
    for k in range(example.sizes[OUTPUTS]):
        if example.outputs[k] >= 0:
            copy_row(C, int64(example.outputs[k]), scratch.outputs, k)
        else:
            clear_row(scratch.outputs, k)


# ---------------------------------------------------------------------------------------------- weights of the products


@helper
def put_block(first, rows, low, high, n, scratch):
    """Append the block of some output rows and the hidden rows low:high; returns the number of blocks."""
    block = scratch.blocks[n]
    block[0], block[1], block[2], block[3] = first, rows, low, high
    return n + 1


@helper
def weigh_noise(rule, example, scratch):
    """Weigh the shared noise: each hidden row has `negative` noise words for each target, none of them the target itself."""
    uses, shared = scratch.uses, example.sizes[SHARED]
    clear_row(uses, 0)
    clear(scratch.positives, shared)
    clear(scratch.weights, shared)
    for t in range(example.sizes[TARGETS]):
        target, equal = example.outputs[shared + t], 0
        for k in range(shared):
            equal += example.outputs[k] == target
        if equal < shared:
            share = float32(rule.negative) / float32(shared - (equal if rule.redraw else 0))
            add_to_row(share, example.pairs, t, uses, 0)
            for k in range(shared if equal > 0 else 0):
                if example.outputs[k] == target:
                    add_to_row(-share, example.pairs, t, scratch.weights, k)
    for k in range(shared):
        add_row(uses, 0, scratch.weights, k)


@helper
def weigh_words(rule, example, scratch):
    """Weigh output rows that are words; returns the number of blocks."""
    n, targets, shared, alone = 0, example.sizes[TARGETS], example.sizes[SHARED], document_lane(rule, example)
    if shared > 0:
        weigh_noise(rule, example, scratch)
        n = put_block(0, shared, 0, example.sizes[HIDDEN], n, scratch)
    if is_single(rule):
        return n
    for t in range(padded_to(targets, TILE)):
        if t < targets:
            if alone >= 0:
                example.pairs[t, alone] = 0
            copy_row(example.pairs, t, scratch.positives, shared + t)
            copy_row(example.pairs, t, scratch.weights, shared + t)
        else:
            clear_row(scratch.positives, shared + t)
            clear_row(scratch.weights, shared + t)
    for t in range(0, targets, TILE):
        low, high = lanes_of(rule, example, t, min(t + TILE, targets))
        n = put_block(shared + t, TILE, low, high, n, scratch)
    return n


@helper
def weigh_nodes(rule, tables, example, words, scratch):
    """Weigh the nodes near the root, which all paths share; returns the number of blocks."""
    sizes, base = example.sizes, tables.path_starts.shape[0] - 2 - example.tops.shape[0]
    if is_single(rule):
        return 0
    clear(scratch.positives, sizes[SHARED])
    clear(scratch.weights, sizes[SHARED])
    for t in range(sizes[TARGETS]):
        word = target_word(rule, example, words, t)
        for p in range(tables.path_starts[word], tables.path_starts[word + 1]):
            top = tables.path_nodes[p] - base
            if top < 0:
                break
            add_row(example.pairs, t, scratch.weights, int64(example.tops[top]))
            if tables.path_labels[p] > 0:
                add_row(example.pairs, t, scratch.positives, int64(example.tops[top]))
    return put_block(0, sizes[SHARED], 0, sizes[HIDDEN], 0, scratch)


# ------------------------------------------------------------------------------------------------------------- the step


@helper
def score_block(block, lr, rule, scratch):
    """Compute the inner products of a block and turn them into gradients."""
    outputs, turned, scores = scratch.outputs, scratch.turned, scratch.scores
    width, pitch = outputs.shape[1], scores.shape[1]
    clamp, beyond = float32(rule.clamp), float32(rule.beyond)
    chunks = padded_to(block[3] - block[2], LANES)
    low = min(block[2], pitch - chunks)
    for lane in range(low, low + chunks, LANES):
        for k in range(block[0], block[0] + block[1], TILE):
            set_tile(outputs, k * width, width, 1, turned, lane, pitch, scratch.d, scores, k * pitch + lane, pitch)
        for k in range(block[0], block[0] + block[1]):
            place = k * pitch + lane
            logistic(scores, place, scratch.positives, scratch.weights, place, lr, clamp, beyond, scratch.losses)


@helper
def step_block(block, scratch):
    """Set the steps of a block's output rows, and add what it contributes to those of its hidden rows."""
    outputs, hidden, scores = scratch.outputs, scratch.hidden, scratch.scores
    first, rows, low, count = block[0], block[1], block[2], block[3] - block[2]
    width, pitch, lanes = outputs.shape[1], scores.shape[1], padded_to(count, TILE)
    start = min(low, pitch - lanes)
    for z in range(0, width, LANES):
        for k in range(first, first + rows, TILE):
            set_tile(
                scores, k * pitch + low, pitch, 1, hidden, low * width + z, width, count, scratch.output_steps, k * width + z,
                width,
            )  # fmt: skip
        for lane in range(start, start + lanes, TILE):
            add_tile(
                scores, first * pitch + lane, 1, pitch, outputs, first * width + z, width, rows, scratch.hidden_steps,
                lane * width + z, width,
            )  # fmt: skip


@helper
def take_singles(example, lr, rule, scratch):
    """Add what the single pairs contribute to the steps."""
    rows, lanes, gradients, used = example.rows, example.lanes, scratch.singles, example.sizes[SINGLES]
    for i in range(0, used, LANES):
        dots(scratch.outputs, rows, scratch.hidden, lanes, i, gradients)
        logistic(
            gradients, i, example.positives, example.weights, i, lr, float32(rule.clamp), float32(rule.beyond), scratch.losses
        )
    for i in range(used):
        row, lane = int64(rows[i]), int64(lanes[i])
        add_to_row(gradients[i], scratch.hidden, lane, scratch.output_steps, row)
        add_to_row(gradients[i], scratch.outputs, row, scratch.hidden_steps, lane)


@helper
def weigh_panel(example, t, lane, rows, k, panel, scratch):
    """Weigh the pairs of one or two hidden rows with the nodes from the k-th output row on."""
    positives, weights = scratch.panel_positives[panel], scratch.panel_weights[panel]
    for j in range(COLUMNS):
        known, label = float32(example.outputs[k + j] >= 0), example.labels[k + j]
        for i in range(2):
            weight = known * example.pairs[t, lane + i] if i < rows else float32(0)
            weights[i * COLUMNS + j], positives[i * COLUMNS + j] = weight, weight * label


@helper
def take_nodes(rule, example, t, lr, scratch):
    """Add what the nodes of the t-th target alone contribute.

    All products are taken before any step, so that the core works on several panels at a time.
    """
    hidden, outputs, scores = scratch.hidden, scratch.outputs, scratch.panel_scores
    low, high = lanes_of(rule, example, t, t + 1)
    first, last, panel = int64(example.firsts[t]), int64(example.firsts[t + 1]), 0
    for k in range(first, last, COLUMNS):
        for lane in range(low, high - 1, 2):
            weigh_panel(example, t, lane, 2, k, panel, scratch)
            pair_dots(hidden, lane, outputs, k, scores, panel)
            panel += 1
        if (high - low) % 2:
            weigh_panel(example, t, high - 1, 1, k, panel, scratch)
            single_dots(hidden, high - 1, outputs, k, scores, panel)
            panel += 1
    for place in range(0, panel * LANES, LANES):
        logistic(
            scores, place, scratch.panel_positives, scratch.panel_weights, place, lr, float32(rule.clamp), float32(rule.beyond),
            scratch.losses,
        )  # fmt: skip
    panel = 0
    for k in range(first, last, COLUMNS):
        for lane in range(low, high - 1, 2):
            pair_step(hidden, lane, outputs, k, scores, panel, scratch.hidden_steps, scratch.output_steps)
            panel += 1
        if (high - low) % 2:
            single_step(hidden, high - 1, outputs, k, scores, panel, scratch.hidden_steps, scratch.output_steps)
            panel += 1


@helper
def record_step(steps, i, row, log, part):
    """Record a step."""
    used = log.used[part]
    log.rows[part, used] = row
    copy_row(steps, i, log.steps[part], used)
    log.used[part] = used + 1


@helper
def take_outputs(C, example, scratch, log, part):
    """Take the steps of the output rows."""
    for k in range(example.sizes[OUTPUTS]):
        row = int64(example.outputs[k])
        if row >= 0 and log.steps.shape[0] == 0:
            add_row(scratch.output_steps, k, C, row)
        elif row >= 0:
            record_step(scratch.output_steps, k, -1 - row, log, part)


@helper
def take_input(steps, place, row, W, log, part):
    """Take the step of one input row."""
    if log.steps.shape[0] == 0:
        add_row(steps, place, W, row)
    else:
        record_step(steps, place, row, log, part)


@helper
def take_inputs(rule, W, example, scratch, log, part):
    """Take the steps of the input rows; each row of a place receives the place's step."""
    steps, places = scratch.place_steps if rule.mean else scratch.hidden_steps, example.sizes[INPUTS]
    if rule.mean == CONCAT:
        gather_segments(rule, example, scratch)
    elif rule.mean:
        spread_steps(rule, example, scratch)
    lowest = rule.document if rule.frozen & WORD_ROWS else 0
    for place in range(places):
        for p in range(example.starts[place], example.starts[place + 1]):
            row = int64(example.inputs[p])
            if row >= lowest:
                take_input(steps, place, row, W, log, part)
    if rule.mean == CONCAT and lowest == 0:
        take_input(steps, places, rule.document - 1, W, log, part)


@helper
def train_example(rule, tables, example, words, W, C, lr, scratch, log, part):
    """Train on an example; returns its loss. All rows are as they were before the step."""
    read_hidden(rule, W, example, scratch)
    read_outputs(C, example, scratch)
    if rule.output == PATH:
        blocks = weigh_nodes(rule, tables, example, words, scratch)
    else:
        blocks = weigh_words(rule, example, scratch)
    clear(scratch.hidden_steps, padded_to(example.sizes[HIDDEN], TILE))
    scratch.losses[:] = 0
    covered = 0
    for b in range(blocks):
        score_block(scratch.blocks[b], lr, rule, scratch)
        step_block(scratch.blocks[b], scratch)
        covered = scratch.blocks[b, 0] + scratch.blocks[b, 1]
    for k in range(covered, example.sizes[OUTPUTS]):
        clear_row(scratch.output_steps, k)
    take_singles(example, lr, rule, scratch)
    if rule.output == PATH and not is_single(rule):
        for t in range(example.sizes[TARGETS]):
            take_nodes(rule, example, t, lr, scratch)
    if not rule.frozen & OUTPUT_ROWS:
        take_outputs(C, example, scratch, log, part)
    take_inputs(rule, W, example, scratch, log, part)
    loss = 0.0
    for lane in range(LANES):
        loss += scratch.losses[lane]
    return loss

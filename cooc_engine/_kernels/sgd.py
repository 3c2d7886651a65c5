"""The one step of all sampled models, and the walk over the text that feeds it (Mikolov et al. 2013).

    Z = H Oᵀ;  G = lr W (Y - σ(Z));  ΔH = G O;  O += Gᵀ H;  scatter ΔH

A window becomes an *example*: hidden rows H, each an input row or one mean of all of them, and output rows O with labels Y
and weights W. A family is data: which words of a window are inputs and which are targets (`Rule.inputs`), whether the hidden
layer is their mean, and which further rows belong to a word or a document. While one example is trained, the next is built and
its rows are prefetched.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import float32, float64, int32, int64, uint64, void

from cooc_engine._kernels.basics import below, mix64, next_random, prefetch
from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.sampling import draw_alias, lay_out, seeded
from cooc_engine._kernels.simd import COLUMNS, LANES, ROWS, add_row, dot_panel, logistic, mean_row, scale_row, update_panel

CONTEXTS, CENTRE, DOCUMENT = 0, 1, 2  # the input: the window's other words, its centre, or nothing but the document
NOISE, PATH, LIST = 0, 1, 2  # the output layer: negative sampling, a Huffman path, or examples listed for a full softmax
PIECE = 2048  # words laid out at a time, all with one learning rate
REDRAWS = 64  # of a noise word that equals the target, at most: there may be no other word
OUTPUT_ROWS, WORD_ROWS = 1, 2  # bits of `Rule.frozen`
LOSS, EXAMPLES, WORDS = 0, 1, 2  # columns of the results of a part

pair_dots, single_dots = dot_panel(ROWS, COLUMNS), dot_panel(1, COLUMNS)
pair_update, single_update = update_panel(ROWS, COLUMNS), update_panel(1, COLUMNS)


class Rule(NamedTuple):
    """The rule of a family, as numbers.

    inputs     CONTEXTS (the centre is the target), CENTRE (the contexts are) or DOCUMENT (the centre is)
    mean       1: one hidden row, the mean of the inputs; 0: each input is one
    spread     1: an input's gradient is its share 1/C of the hidden row's; 0: the whole
    document   first input row of the documents, which have one row each; -1: none
    window     the radius; drawn from 1..window unless `fixed`
    output     NOISE, PATH or LIST
    negative   noise words of each target
    own        1: each hidden row draws its own noise and is trained by itself; 0: the rows of a window share their noise
    clamp      where σ counts as 0 or 1
    beyond     the error there on the wrong side: 1, or 0 where word2vec skips the node
    redraw     1: a noise word that equals the target is drawn again, as in fastText's program; 0: it is left out
    frozen     rows that are not updated: OUTPUT_ROWS, WORD_ROWS (input rows before the documents'), the sum of both, or 0
    """

    inputs: int
    mean: int
    spread: int
    document: int
    window: int
    fixed: int
    output: int
    negative: int
    own: int
    clamp: float
    beyond: float
    redraw: int = 0
    frozen: int = 0


class Tables(NamedTuple):
    """The tables that training draws from and looks up; one that a family does not use is empty.

    keep          (V,)  probability that a word survives thinning, times 2**64
    noise         (V,)  alias table
    path_starts   (V + 1,), path_nodes, path_labels: the Huffman paths
    row_starts    (V + 1,), rows: the input rows of each word; empty if word w has row w alone
    """

    keep: Any
    noise: Any
    path_starts: Any
    path_nodes: Any
    path_labels: Any
    row_starts: Any
    rows: Any


class Clock(NamedTuple):
    """The learning rate: lr (1 - (done + position) / total), with positions counted in the corpus; it ends above 0."""

    seed: int
    epoch: int
    origin: int
    document: int
    done: int
    total: float
    lr: float


class Scratch(NamedTuple):
    """Buffers of one thread; of those with two slots, one is filled for the next example while the other is trained.

    words (PIECE + 2 window,); random (8,), a cache line; sizes (2, 3): inputs, outputs, targets; inputs (2, most) and
    outputs (2, most), padded to whole panels; targets (2, most); labels, weights (2 panels, LANES) as the lanes of a panel;
    first (1,) zero; hidden (1, d), scores (panels, LANES), input_steps, output_steps (most, d), zeros (1, d).
    """

    words: Any
    random: Any
    sizes: Any
    inputs: Any
    outputs: Any
    targets: Any
    labels: Any
    weights: Any
    first: Any
    hidden: Any
    scores: Any
    input_steps: Any
    output_steps: Any
    zeros: Any


class StepLog(NamedTuple):
    """Steps that are recorded instead of taken, part by part; without rows if they are taken at once.

    rows (parts, most): input row r as r, output row r as -1 - r; steps (parts, most, d); used (parts,). Examples listed for
    a full softmax use `rows` alone: the number of inputs, the number of targets, then both lists.
    """

    rows: Any
    steps: Any
    used: Any


RULE = named(Rule, **{name: float64 if name in ("clamp", "beyond") else int64 for name in Rule._fields})
CLOCK = named(Clock, **{name: float64 if name in ("total", "lr") else int64 for name in Clock._fields})
TABLES = named(
    Tables, keep=out(uint64), noise=out(uint64), path_starts=out(int64), path_nodes=out(int32), path_labels=out(float32),
    row_starts=out(int64), rows=out(int32),
)  # fmt: skip
SCRATCH = named(
    Scratch, words=out(int32), random=out(uint64), sizes=out(int64, 2), inputs=out(int32, 2), outputs=out(int32, 2),
    targets=out(int32, 2), labels=out(float32, 2), weights=out(float32, 2), first=out(int32), hidden=out(float32, 2),
    scores=out(float32, 2), input_steps=out(float32, 2), output_steps=out(float32, 2), zeros=out(float32, 2),
)  # fmt: skip
STEP_LOG = named(StepLog, rows=out(int32, 2), steps=out(float32, 3), used=out(int64))


# ------------------------------------------------------------------------------------------------------- row builders


@helper
def add_word(word, tables, inputs, n):
    """Append a word's input rows; returns the new number of inputs."""
    if tables.row_starts.shape[0] == 0:
        inputs[n] = word
        return n + 1
    for p in range(tables.row_starts[word], tables.row_starts[word + 1]):
        inputs[n] = tables.rows[p]
        n += 1
    return n


@helper
def build_inputs(rule, tables, words, low, high, c, document, inputs):
    """List the input rows of the window low:high around the word at c; returns their number."""
    n = 0
    if rule.inputs == CONTEXTS:
        for q in range(low, high):
            if q != c:
                n = add_word(words[q], tables, inputs, n)
    elif rule.inputs == CENTRE:
        n = add_word(words[c], tables, inputs, n)
    if rule.document >= 0:
        inputs[n] = rule.document + document
        n += 1
    return n


@helper
def build_targets(rule, words, low, high, c, targets):
    """List the target words of the window low:high around the word at c; returns their number."""
    if rule.inputs != CENTRE:
        targets[0] = words[c]
        return 1
    n = 0
    for q in range(low, high):
        if q != c:
            targets[n] = words[q]
            n += 1
    return n


@helper
def put_output(row, label, weight, slot, k, scratch):
    """Write the k-th output row of an example, its label and its weight."""
    panel = slot * (scratch.labels.shape[0] // 2) + k // COLUMNS
    scratch.outputs[slot, k] = row
    for i in range(ROWS):
        scratch.labels[panel, i * COLUMNS + k % COLUMNS] = label
        scratch.weights[panel, i * COLUMNS + k % COLUMNS] = weight


@helper
def draw_noise(target, tables, rule, slot, k, scratch):
    """Append the noise of one target; the target itself is drawn again, or left out. Returns the new number of outputs."""
    random = scratch.random[0]
    for _ in range(rule.negative):
        random = next_random(random)
        word = int32(draw_alias(tables.noise, random))
        turn = 0 if rule.redraw else REDRAWS
        while word == target and turn < REDRAWS:
            random = next_random(random)
            word = int32(draw_alias(tables.noise, random))
            turn += 1
        if word != target:
            put_output(word, float32(-1), float32(1), slot, k, scratch)
            k += 1
    scratch.random[0] = random
    return k


@helper
def build_outputs(rule, tables, slot, count, scratch):
    """List the output rows of a slot's targets with labels and weights, padded to whole panels by rows that weigh nothing."""
    targets, k = scratch.targets[slot], 0
    if rule.output == PATH:
        for i in range(count):
            for p in range(tables.path_starts[targets[i]], tables.path_starts[targets[i] + 1]):
                put_output(tables.path_nodes[p], tables.path_labels[p], float32(1), slot, k, scratch)
                k += 1
    else:
        for i in range(count):
            put_output(targets[i], float32(1), float32(1), slot, k, scratch)
            k = draw_noise(targets[i], tables, rule, slot, k + 1, scratch)
    for pad in range(k, (k + COLUMNS - 1) // COLUMNS * COLUMNS):
        put_output(scratch.outputs[slot, 0], float32(1), float32(0), slot, pad, scratch)
    return k


# ----------------------------------------------------------------------------------------------------------- the step


@helper
def logistic_step(H, hidden, a0, m, O, outputs, k, slot, lr, rule, scratch):  # noqa: E741
    """Compute the steps of m hidden rows H[hidden[a0:]] and k output rows into the scratch; returns the loss.

    Both use the rows as they are before the step.
    """
    panels = (k + COLUMNS - 1) // COLUMNS
    first = slot * (scratch.labels.shape[0] // 2)
    clamp, beyond, loss, t = float32(rule.clamp), float32(rule.beyond), 0.0, 0
    G, dH, dO, zeros = scratch.scores, scratch.input_steps, scratch.output_steps, scratch.zeros
    y, w = scratch.labels, scratch.weights
    for u in range(panels):
        for a in range(0, m - 1, ROWS):
            pair_dots(H, hidden, a0 + a, O, outputs, u * COLUMNS, G, t)
            loss += float64(logistic(G, t, y, w, first + u, ROWS * COLUMNS, lr, clamp, beyond))
            t += 1
        if m % ROWS:
            single_dots(H, hidden, a0 + m - 1, O, outputs, u * COLUMNS, G, t)
            loss += float64(logistic(G, t, y, w, first + u, COLUMNS, lr, clamp, beyond))
            t += 1
    t = 0
    for u in range(panels):
        for a in range(0, m - 1, ROWS):
            pair_update(H, hidden, a0, a, O, outputs, u * COLUMNS, G, t, dH, dO, zeros)
            t += 1
        if m % ROWS:
            single_update(H, hidden, a0, m - 1, O, outputs, u * COLUMNS, G, t, dH, dO, zeros)
            t += 1
    return loss


@helper
def take_steps(steps, single, matrix, rows, first, n, low, sign, log, part):
    """Add the steps of rows[first:first + n] to a matrix, or record them; with `single` each of them is steps[0].

    Rows below `low` are not updated.
    """
    if log.steps.shape[0] == 0:
        for i in range(n):
            if rows[first + i] >= low:
                add_row(steps, 0 if single else i, matrix, int64(rows[first + i]))
        return
    used = log.used[part]
    for i in range(n):
        if rows[first + i] < low:
            continue
        log.rows[part, used] = rows[first + i] if sign > 0 else -1 - rows[first + i]
        step, source = log.steps[part, used], steps[0 if single else i]
        for z in range(step.shape[0]):
            step[z] = source[z]
        used += 1
    log.used[part] = used


@helper
def train_example(rule, tables, slot, W, C, lr, scratch, log, part):
    """Train on the example of a slot; returns its loss."""
    n, k, count = scratch.sizes[slot, 0], scratch.sizes[slot, 1], scratch.sizes[slot, 2]
    inputs, outputs = scratch.inputs[slot], scratch.outputs[slot]
    low = rule.document if rule.frozen & WORD_ROWS else 0
    alone = rule.own and not rule.mean  # inputs one after the other, as word2vec's program does
    loss = 0.0
    if rule.mean:
        mean_row(W, inputs, n, scratch.hidden)
    H, hidden = (scratch.hidden, scratch.first) if rule.mean else (W, inputs)
    for turn in range(n if alone else 1):
        if turn > 0 and rule.output == NOISE:
            k = build_outputs(rule, tables, slot, count, scratch)
        m = 1 if alone or rule.mean else n
        loss += logistic_step(H, hidden, turn, m, C, outputs, k, slot, lr, rule, scratch)
        if not rule.frozen & OUTPUT_ROWS:
            take_steps(scratch.output_steps, False, C, outputs, 0, k, 0, -1, log, part)
        if rule.spread:
            scale_row(scratch.input_steps, 0, float32(1) / float32(n))
        take_steps(scratch.input_steps, rule.mean, W, inputs, turn, n if rule.mean else m, low, 1, log, part)
    return loss


@helper
def list_example(slot, scratch, log, part):
    """Record an example for the full softmax."""
    n, count, used = scratch.sizes[slot, 0], scratch.sizes[slot, 2], log.used[part]
    rows = log.rows[part]
    rows[used], rows[used + 1] = n, count
    used += 2
    for i in range(n):
        rows[used + i] = scratch.inputs[slot, i]
    for i in range(count):
        rows[used + n + i] = scratch.targets[slot, i]
    log.used[part] = used + n + count


# ------------------------------------------------------------------------------------------------ the walk over text


@helper
def fetch(matrix, row):
    """Prefetch a row, a cache line at a time."""
    for z in range(0, matrix.shape[1], LANES):
        prefetch(matrix, row * matrix.shape[1] + z)


@helper
def build_example(rule, tables, first, last, c, document, slot, W, C, scratch):
    """Build the example of the word at c of words[first:last] in a slot, and prefetch its rows."""
    words, random = scratch.words, next_random(scratch.random[0])
    scratch.random[0] = random
    radius = rule.window if rule.fixed else below(random, rule.window) + 1
    low, high = max(first, c - radius), min(last, c + radius + 1)
    n = build_inputs(rule, tables, words, low, high, c, document, scratch.inputs[slot])
    count, k = build_targets(rule, words, low, high, c, scratch.targets[slot]), 0
    if n > 0 and count > 0 and rule.output != LIST:
        k = build_outputs(rule, tables, slot, count, scratch)
        for b in range(k):
            fetch(C, int64(scratch.outputs[slot, b]))
        fetch(W, int64(words[min(last - 1, c + 1 + rule.window)]))  # the word that comes in next
    scratch.sizes[slot, 0], scratch.sizes[slot, 1], scratch.sizes[slot, 2] = n, k, count


@helper
def train_piece(first, begin, end, last, document, rule, tables, W, C, lr, scratch, log, part, results):
    """Train on the words begin:end of first:last; each example is trained after the next one has been built."""
    loss, examples = 0.0, 0
    for c in range(begin, end + 1):
        if c < end:
            build_example(rule, tables, first, last, c, document, c & 1, W, C, scratch)
        slot = (c - 1) & 1
        if c == begin or scratch.sizes[slot, 0] == 0 or scratch.sizes[slot, 2] == 0:
            continue
        examples += (1 if rule.mean else scratch.sizes[slot, 0]) * scratch.sizes[slot, 2]
        if rule.output == LIST:
            list_example(slot, scratch, log, part)
        elif scratch.sizes[slot, 1] > 0:
            loss += train_example(rule, tables, slot, W, C, lr, scratch, log, part)
    results[LOSS] += loss
    results[EXAMPLES] += examples


@helper
def document_of(offsets, position):
    """Return the document of a position: the last one that begins at it or before."""
    low, high = 0, offsets.shape[0] - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if offsets[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@kernel(
    void(
        array(int32), array(int64), int64, int64, int64, RULE, TABLES, CLOCK, out(float32, 2), out(float32, 2), SCRATCH,
        STEP_LOG, out(float64, 2),
    ),
    fast=True,
)  # fmt: skip
def train_parts(ids, offsets, first, last, size, rule, tables, clock, W, C, scratch, log, results):
    """Train on parts first:last of a shard, `size` tokens each; results[p - first] becomes loss, examples and words.

    Each part has its own random generator. Windows cross the ends of parts, but never those of documents.
    """
    thinning = mix64(mix64(uint64(clock.seed)) ^ mix64(uint64(clock.epoch)))
    for part in range(first, last):
        begin, end = part * size, min((part + 1) * size, ids.shape[0])
        scratch.random[0] = seeded(uint64(clock.seed), clock.epoch, clock.origin + begin)
        number, result = part - first, results[part - first]
        result[:] = 0
        if log.used.shape[0] > 0:
            log.used[number] = 0
        document = document_of(offsets, begin)
        while begin < end:
            while offsets[document + 1] <= begin:
                document += 1
            stop = min(end, begin + PIECE, offsets[document + 1])
            a, b, c, known = lay_out(
                ids, begin, stop, offsets[document], offsets[document + 1], tables.keep, thinning, clock.origin, rule.window,
                scratch.words,
            )  # fmt: skip
            lr = clock.lr * (1 - (clock.done + clock.origin + begin) / clock.total)
            train_piece(
                a, rule.window, b, c, clock.document + document, rule, tables, W, C, float32(lr), scratch, log, number, result
            )  # fmt: skip
            result[WORDS] += known
            begin = stop


@kernel(void(STEP_LOG, int64, int64, int64, int64, out(int32, 2), out(float32, 2), out(float32, 2)))
def take_recorded(log, parts, owner, owners, most, uses, W, C):
    """Add the recorded steps of the rows that belong to one of several owners, in the order of the parts.

    If a row has more than `most` steps, they are scaled by `most` over their number: computed against parameters that stood
    still, all of them would overshoot. uses (2, rows) is zero before and after.
    """
    for turn in range(3):
        for part in range(parts):
            for i in range(log.used[part]):
                row = int64(log.rows[part, i])
                side, row = (0, row) if row >= 0 else (1, -1 - row)
                if row % owners != owner:
                    continue
                if turn == 0:
                    uses[side, row] += 1
                elif turn == 2:
                    uses[side, row] = 0
                else:
                    target, step = W[row] if side == 0 else C[row], log.steps[part, i]
                    share = min(float32(1), float32(most) / float32(uses[side, row]))
                    for z in range(target.shape[0]):
                        target[z] += share * step[z]

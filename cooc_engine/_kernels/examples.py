"""From text to examples: what a group of neighbouring windows has as hidden rows and as output rows, and which go together.

The windows of neighbouring words overlap, so a group has few rows. Each is read once, used in one product for all windows, and
written once (Ji et al. 2016; Rengasamy et al. 2017). A *place* is a word of a group's text, its windows included; a *lane* is a
hidden row. An example is built while the one before it is trained, and its rows are prefetched.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import float32, int32, int64

from cooc_engine._kernels.basics import below, next_random, prefetch_later
from cooc_engine._kernels.jit import helper, named, out
from cooc_engine._kernels.rules import CENTRE, CONTEXTS, DOCUMENT, LIST, PATH
from cooc_engine._kernels.sampling import draw_alias
from cooc_engine._kernels.simd import COLUMNS, LANES, TILE

TOPS = 15  # nodes of a Huffman tree, those nearest to the root, that the paths of a group share
REDRAWS = 64  # of a noise word that equals the target, at most: there may be no other word
CENTRES, BEGIN, OWN, PLACES, INPUTS, HIDDEN, TARGETS, SHARED, OUTPUTS, SINGLES = range(10)  # places of `Example.sizes`
SIZES = SINGLES + 1


class Example(NamedTuple):
    """A group of windows, as lists.

    sizes    (SIZES,): number of centres; the group's first word in the text laid out; place of its first centre; numbers of
             places, of input places (the document is the last), of hidden rows, of targets, of output rows that are shared, of
             all output rows, and of single pairs
    low      (group,), high: the window of each centre, as places
    starts   (inputs + 1,), inputs: the input rows of each input place
    pairs    (targets, lanes): how often a target is predicted from a hidden row
    outputs  the output rows: first those that are shared, then those of each target; -1: none
    labels   the labels of nodes that are not shared, 1 or 0
    firsts   (targets + 1,): the first output row of each target that is not shared, in panels, if these are nodes
    tops     (TOPS,): where the output row of a node near the root is; -1: nowhere
    rows     single pairs: output row rows[i] and hidden row lanes[i], weights[i] examples of which positives[i] have label 1
    """

    sizes: Any
    low: Any
    high: Any
    starts: Any
    inputs: Any
    pairs: Any
    outputs: Any
    labels: Any
    firsts: Any
    tops: Any
    rows: Any
    lanes: Any
    positives: Any
    weights: Any


EXAMPLE = named(
    Example, sizes=out(int64), low=out(int32), high=out(int32), starts=out(int32), inputs=out(int32), pairs=out(float32, 2),
    outputs=out(int32), labels=out(float32), firsts=out(int32), tops=out(int32), rows=out(int32), lanes=out(int32),
    positives=out(float32), weights=out(float32),
)  # fmt: skip


@helper
def padded_to(n, size):
    """Return the next multiple of a size."""
    return (n + size - 1) // size * size


@helper
def target_word(rule, example, words, t):
    """Return the t-th target of an example: a centre, or any word of the group if the centres are inputs."""
    return words[example.sizes[BEGIN] + t + (0 if rule.inputs == CENTRE else example.sizes[OWN])]


@helper
def document_lane(rule, example):
    """Return the hidden row that the document has for itself, or -1."""
    return example.sizes[HIDDEN] - 1 if rule.document >= 0 and not rule.mean else -1


# ------------------------------------------------------------------------------------------------------------- inputs


@helper
def draw_windows(rule, first, last, c, centres, random, example):
    """Draw the windows of the words c:c + centres of first:last; returns the random state."""
    sizes, begin, end = example.sizes, c, c + centres
    for i in range(centres):
        random = next_random(random)
        radius = rule.window if rule.fixed else below(random, rule.window) + 1
        low, high = max(first, c + i - radius), min(last, c + i + radius + 1)
        example.low[i], example.high[i] = low, high
        begin, end = min(begin, low), max(end, high)
    for i in range(centres):
        example.low[i] -= begin
        example.high[i] -= begin
    sizes[CENTRES], sizes[BEGIN], sizes[OWN], sizes[PLACES] = centres, begin, c - begin, end - begin
    return random


@helper
def list_inputs(rule, tables, document, words, example):
    """List the input rows of each input place; the document is a place of its own, the last.

    `document` is the range of its rows, or of their places in `Tables.rows` if words have lists of rows.
    """
    sizes, starts, inputs = example.sizes, example.starts, example.inputs
    begin, count = sizes[BEGIN], 0
    if rule.inputs == CONTEXTS:
        count = sizes[PLACES]
    elif rule.inputs == CENTRE:
        begin, count = begin + sizes[OWN], sizes[CENTRES]
    n = 0
    for place in range(count):
        word = words[begin + place]
        starts[place] = n
        if tables.row_starts.shape[0] == 0:
            inputs[n] = word
            n += 1
        else:
            for p in range(tables.row_starts[word], tables.row_starts[word + 1]):
                inputs[n] = tables.rows[p]
                n += 1
    if rule.document >= 0:
        starts[count] = n
        for p in range(document[0], document[1]):
            inputs[n] = p if tables.row_starts.shape[0] == 0 else tables.rows[p]
            n += 1
        count += 1
    starts[count] = n
    sizes[INPUTS] = count
    sizes[HIDDEN] = sizes[CENTRES] if rule.mean else count
    sizes[TARGETS] = sizes[PLACES] if rule.inputs == CENTRE else sizes[CENTRES]


@helper
def pair(rule, example):
    """Count how often each target is predicted from each hidden row; returns the number of such examples."""
    sizes, pairs, total, alone = example.sizes, example.pairs, 0, document_lane(rule, example)
    for t in range(sizes[TARGETS]):
        for lane in range(pairs.shape[1]):
            pairs[t, lane] = 0
    for i in range(sizes[CENTRES]):
        if is_single(rule):
            if rule.document >= 0 or example.high[i] - example.low[i] > 1:
                pairs[i, i if rule.mean else 0] = 1
                total += 1
            continue
        for place in range(example.low[i], example.high[i]):
            if place != sizes[OWN] + i:
                t, lane = (place, i) if rule.inputs == CENTRE else (i, place)
                pairs[t, lane] += 1
                total += 1
                if alone >= 0 and rule.inputs == CENTRE:
                    pairs[t, alone] += 1
                    total += 1
        if alone >= 0 and rule.inputs == CONTEXTS:
            pairs[i, alone] = 1
            total += 1
    return total


# ------------------------------------------------------------------------------------------------------------ outputs


@helper
def add_single(row, lane, positive, weight, example):
    """Append a single pair of an output row and a hidden row."""
    n = example.sizes[SINGLES]
    example.rows[n], example.lanes[n] = row, lane
    example.positives[n], example.weights[n] = positive, weight
    example.sizes[SINGLES] = n + 1


@helper
def is_single(rule):
    """Tell whether each target has one hidden row, its window's mean or its document's, so that there is no product to take."""
    return rule.inputs == DOCUMENT or (rule.mean and rule.inputs == CONTEXTS)


@helper
def add_singles(rule, row, t, label, example):
    """Append the pair of an output row of the t-th target, with a label of 1 or -1, and the hidden row that stands alone."""
    lane = document_lane(rule, example)
    if lane < 0 and is_single(rule):
        lane = t
    if lane >= 0 and example.pairs[t, lane] > 0:
        add_single(row, lane, example.pairs[t, lane] if label > 0 else float32(0), example.pairs[t, lane], example)


@helper
def lanes_of(rule, example, t, last):
    """Return the range of the hidden rows that the targets t:last have to do with; a document's own is not among them."""
    if rule.inputs == CENTRE:
        own = example.sizes[OWN]
        return max(0, t - own - rule.window), min(example.sizes[CENTRES], last - own + rule.window)
    low, high = int64(example.low[t]), int64(example.high[t])
    for i in range(t + 1, last):
        low, high = min(low, int64(example.low[i])), max(high, int64(example.high[i]))
    return low, high


@helper
def draw_noise_word(tables, random, target, turns):
    """Draw a noise word, again if it equals the target, at most so often; returns it and the random state."""
    random = next_random(random)
    word = int32(draw_alias(tables.noise, random))
    for _ in range(turns):
        if word != target:
            break
        random = next_random(random)
        word = int32(draw_alias(tables.noise, random))
    return word, random


@helper
def draw_own(rule, tables, words, example, k, random):
    """List noise words of their own for each hidden row, `negative` for each of its targets; returns rows and random state."""
    sizes = example.sizes
    for lane in range(sizes[HIDDEN]):
        for t in range(sizes[TARGETS]):
            for _ in range(int64(example.pairs[t, lane]) * rule.negative):
                target = target_word(rule, example, words, t)
                word, random = draw_noise_word(tables, random, target, REDRAWS if rule.redraw else 0)
                if word != target:
                    example.outputs[k] = word
                    add_single(k, lane, float32(0), float32(1), example)
                    k += 1
    return k, random


@helper
def list_words(rule, tables, words, example, random):
    """List shared noise words, targets, and noise words of their own; returns the random state."""
    sizes, k = example.sizes, rule.shared
    for i in range(k):
        example.outputs[i], random = draw_noise_word(tables, random, -1, 0)
    for t in range(sizes[TARGETS]):
        example.outputs[k + t] = target_word(rule, example, words, t)
        add_singles(rule, k + t, t, 1, example)
    k = pad_outputs(example, 0, k + sizes[TARGETS], TILE)
    if rule.shared == 0:
        k, random = draw_own(rule, tables, words, example, k, random)
    sizes[SHARED], sizes[OUTPUTS] = rule.shared, pad_outputs(example, 0, k, TILE)
    return random


@helper
def pad_outputs(example, first, k, size):
    """Fill up the last tile, or panel, of the output rows first:k by rows that are none; returns where they end."""
    end = first + padded_to(k - first, size)
    for pad in range(k, end):
        example.outputs[pad] = -1
    return end


@helper
def list_tops(rule, tables, words, example):
    """List the nodes near the root that are on a path of any target, each once; returns their number, padded."""
    example.tops[:] = -1
    base, k = tables.path_starts.shape[0] - 2 - TOPS, 0  # node V - 2 is the root
    for t in range(example.sizes[TARGETS]):
        word = target_word(rule, example, words, t)
        for p in range(tables.path_starts[word], tables.path_starts[word + 1]):
            top = tables.path_nodes[p] - base
            if top < 0:
                break
            if example.tops[top] < 0:
                example.outputs[k], example.tops[top] = tables.path_nodes[p], k
                k += 1
    return pad_outputs(example, 0, k, TILE)


@helper
def list_nodes(rule, tables, words, example):
    """List the nodes of the targets' paths: those near the root once, the others one target after the other, in panels."""
    sizes, k = example.sizes, list_tops(rule, tables, words, example)
    sizes[SHARED], base = k, tables.path_starts.shape[0] - 2 - TOPS
    for t in range(sizes[TARGETS]):
        word, first = target_word(rule, example, words, t), k
        for p in range(tables.path_starts[word], tables.path_starts[word + 1]):
            top, row = tables.path_nodes[p] - base, k
            if top >= 0:
                row = int64(example.tops[top])
            else:
                example.outputs[k], example.labels[k] = tables.path_nodes[p], max(tables.path_labels[p], float32(0))
                k += 1
            if top < 0 or is_single(rule):
                add_singles(rule, row, t, tables.path_labels[p], example)
        example.firsts[t] = first
        k = pad_outputs(example, first, k, COLUMNS)
    example.firsts[sizes[TARGETS]] = sizes[OUTPUTS] = k


@helper
def pad_singles(example):
    """Fill up the last vector of single pairs by pairs that weigh nothing."""
    used = example.sizes[SINGLES]
    for _ in range(used, padded_to(used, LANES)):
        add_single(0, 0, float32(0), float32(0), example)


# ------------------------------------------------------------------------------------------------------------ examples


@helper
def fetch(matrix, row):
    """Prefetch a row, a cache line at a time."""
    for z in range(0, matrix.shape[1], LANES):
        prefetch_later(matrix, row * matrix.shape[1] + z)


@helper
def fetch_rows(example, W, C):
    """Prefetch the rows of an example."""
    for i in range(example.starts[example.sizes[INPUTS]]):
        fetch(W, int64(example.inputs[i]))
    for k in range(example.sizes[OUTPUTS]):
        fetch(C, int64(max(0, example.outputs[k])))


@helper
def build_example(rule, tables, first, last, c, centres, document, words, random, example):
    """Build the example of the words c:c + centres of words[first:last]; returns its pairs and the random state."""
    random = draw_windows(rule, first, last, c, centres, random, example)
    list_inputs(rule, tables, document, words, example)
    total = pair(rule, example)
    example.sizes[SINGLES] = example.sizes[OUTPUTS] = 0
    if total > 0 and rule.output == PATH:
        list_nodes(rule, tables, words, example)
    elif total > 0 and rule.output != LIST:
        random = list_words(rule, tables, words, example, random)
    pad_singles(example)
    return total, random

"""Training a classifier of lines: the mean of a line's input rows predicts one of its labels, or all (Joulin et al. 2017).

h = (1/n) Σ W[input];  g_j = t_j - p_j;  ∂h = Σ g_j C[j];  C[j] += lr g_j h;  W[input] += lr ∂h / n
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numba import float32, float64, int32, int64, uint64, void

from cooc_engine._kernels.basics import below, next_random
from cooc_engine._kernels.examples import REDRAWS, draw_noise_word
from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.lines import INPUTS, LABELS, LINE, LINES, dot, list_line, mean_row
from cooc_engine._kernels.row_sums import add_to_rows
from cooc_engine._kernels.rules import ALL, CLOCK, EACH, PATH, RULE, TABLES
from cooc_engine._kernels.sampling import seeded
from cooc_engine._kernels.sgd import EXAMPLES, LOSS, WORDS


class LineScratch(NamedTuple):
    """Buffers of one thread: a line, its hidden row and the step of that (d,), the scores of all labels, random (8,)."""

    line: Any
    hidden: Any
    step: Any
    scores: Any
    random: Any


LINE_SCRATCH = named(
    LineScratch, line=LINE, hidden=out(float32), step=out(float32), scores=out(float32), random=out(uint64)
)  # fmt: skip


@helper
def take_output(C, row, gradient, hidden, step):
    """Add a multiple of an output row to the step of the hidden row, then that multiple of the hidden row to the output row."""
    for z in range(hidden.shape[0]):
        old = C[row, z]
        step[z] += gradient * old
        C[row, z] = old + gradient * hidden[z]


@helper
def take_binary(C, row, positive, lr, clamp, scratch):
    """Take a step towards label 1, or 0, of one output row; returns the loss. σ counts as 0 or 1 beyond ±`clamp`."""
    z = dot(C, row, scratch.hidden)
    size = -z if positive else z
    loss = max(size, float32(0)) + math.log1p(math.exp(-abs(size)))
    share = float32(1) / (float32(1) + math.exp(-z))
    if z > clamp:
        share = float32(1)
    elif z < -clamp:
        share = float32(0)
    take_output(C, row, lr * (float32(1 if positive else 0) - share), scratch.hidden, scratch.step)
    return loss


@helper
def take_softmax(C, target, lr, scratch):
    """Take a step of the full softmax; returns the loss."""
    scores, labels = scratch.scores, C.shape[0]
    largest = dot(C, 0, scratch.hidden)
    for label in range(labels):
        scores[label] = dot(C, label, scratch.hidden)
        largest = max(largest, scores[label])
    own, total = scores[target] - largest, float32(0)
    for label in range(labels):
        scores[label] = math.exp(scores[label] - largest)
        total += scores[label]
    for label in range(labels):
        share = scores[label] / total
        take_output(C, label, lr * (float32(1 if label == target else 0) - share), scratch.hidden, scratch.step)
    return math.log(total) - own


@helper
def take_noise(rule, tables, C, target, lr, scratch):
    """Take a step of negative sampling; returns the loss. With a single label there is no noise."""
    clamp = float32(rule.clamp)
    loss = take_binary(C, target, True, lr, clamp, scratch)
    for _ in range(rule.negative):
        noise, scratch.random[0] = draw_noise_word(tables, scratch.random[0], target, REDRAWS)
        if noise != target:
            loss += take_binary(C, int64(noise), False, lr, clamp, scratch)
    return loss


@helper
def take_path(rule, tables, C, target, lr, scratch):
    """Take a step of the hierarchical softmax; returns the loss. As in fastText, the label of a node is 1 on the right."""
    loss = float32(0)
    for place in range(tables.path_starts[target], tables.path_starts[target + 1]):
        right = tables.path_labels[place] < 0
        loss += take_binary(C, int64(tables.path_nodes[place]), right, lr, float32(rule.clamp), scratch)
    return loss


@helper
def is_among(label, line):
    """Tell whether a line has a label."""
    found = False
    for i in range(line.sizes[LABELS]):
        found |= line.labels[i] == label
    return found


@helper
def take_labels(rule, tables, C, lr, scratch):
    """Take the step of the output rows for one of a line's labels, which is drawn, or for all; returns the loss."""
    line, loss = scratch.line, float32(0)
    if rule.output == EACH:
        for label in range(C.shape[0]):
            loss += take_binary(C, label, is_among(label, line), lr, float32(rule.clamp), scratch)
        return loss
    scratch.random[0] = next_random(scratch.random[0])
    target = int64(line.labels[below(scratch.random[0], line.sizes[LABELS])])
    if rule.output == ALL:
        return take_softmax(C, target, lr, scratch)
    if rule.output == PATH:
        return take_path(rule, tables, C, target, lr, scratch)
    return take_noise(rule, tables, C, target, lr, scratch)


@helper
def train_line(rule, tables, W, C, lr, scratch):
    """Train on the line that is listed; returns the loss."""
    line, step = scratch.line, scratch.step
    mean_row(W, W, line, scratch.hidden)
    step[:] = 0
    loss = take_labels(rule, tables, C, lr, scratch)
    share = float32(1) / float32(line.sizes[INPUTS])
    for z in range(step.shape[0]):
        step[z] *= share
    add_to_rows(W, line.inputs, line.sizes[INPUTS], step)
    return loss


@kernel(
    void(
        array(int32), array(int64), array(int64, 2), int64, RULE, TABLES, LINES, CLOCK, out(float32, 2), out(float32, 2),
        LINE_SCRATCH, out(float64, 3),
    ),
    fast=True,
)  # fmt: skip
def train_lines(ids, offsets, parts, size, rule, tables, lines, clock, W, C, scratch, results):
    """Train on parts of a shard: their numbers, and how many tokens later than their place tells they are visited, (n, 2).

    There is a part for each `size` tokens; the p-th of P takes the lines p, p + P, p + 2 P, …, so each is a sample of the text
    however that is ordered. A line without a label, or without a word, is no example. results[i, 0] becomes loss, examples and
    words of the i-th.
    """
    documents = offsets.shape[0] - 1
    whole = (ids.shape[0] + size - 1) // size
    for i in range(parts.shape[0]):
        part, result = parts[i, 0], results[i, 0]
        begin, length = clock.origin + part * size, min(size, ids.shape[0] - part * size)
        scratch.random[0] = seeded(uint64(clock.seed), clock.epoch, begin)
        result[:] = 0
        for document in range(part, documents, whole):
            position = begin + parts[i, 1] + length * document / documents
            lr = clock.lr * (1 - (clock.done + position) / clock.total)
            list_line(ids, offsets[document], offsets[document + 1], lines, scratch.line, W, W)
            result[WORDS] += offsets[document + 1] - offsets[document]
            if scratch.line.sizes[INPUTS] > 0 and scratch.line.sizes[LABELS] > 0:
                result[LOSS] += train_line(rule, tables, W, C, float32(lr), scratch)
                result[EXAMPLES] += 1

"""Predicting the labels of lines: the best k of a softmax, of logistic regressions, or of the leaves of a Huffman tree.

Scores are log(p + 10⁻⁵), and labels of equal score are ordered as in fastText's program, whose heap is that of libstdc++.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import float32, float64, int8, int32, int64

from cooc_engine._kernels.jit import array, helper, kernel, named, out
from cooc_engine._kernels.lines import INPUTS, LABELS, LINE, LINES, dot, list_line, mean_row
from cooc_engine._kernels.rules import ALL, PATH

SIGMAS = np.float32(512)  # numbers between −clamp and clamp
EXTRA = 1e-5  # of a probability whose logarithm is taken
GOLD, PREDICTED, HITS = 0, 1, 2  # rows of the tally
UNTESTED = -1  # what is right about a line without labels, or without an answer


class Tree(NamedTuple):
    """A Huffman tree of L labels: children (2 L - 1, 2), node L + k is the k-th inner node, the last one is the root."""

    children: Any
    stack: Any
    stack_scores: Any


class Found(NamedTuple):
    """What is found for each line: numbers (lines,), and up to k labels and scores (lines, k), the best first.

    right  (lines,) 1 if the best is a label of the line itself, 0 if not, or UNTESTED
    """

    numbers: Any
    labels: Any
    scores: Any
    right: Any


class Predicting(NamedTuple):
    """Buffers of one thread: a line, its hidden row (d,), the probabilities of all labels (L,), and a heap (k + 1,)."""

    line: Any
    hidden: Any
    shares: Any
    heap_scores: Any
    heap_labels: Any


TREE = named(Tree, children=out(int32, 2), stack=out(int32), stack_scores=out(float32))
FOUND = named(Found, numbers=out(int32), labels=out(int32, 2), scores=out(float32, 2), right=out(int8))
PREDICTING = named(
    Predicting, line=LINE, hidden=out(float32), shares=out(float32), heap_scores=out(float32), heap_labels=out(int32)
)  # fmt: skip


@helper
def log_share(share):
    """Return the score of a probability."""
    return float32(math.log(float64(float32(share)) + EXTRA))


# --------------------------------------------------------------------------------------- a heap whose least entry is the first


@helper
def sift_up(scores, labels, hole, score, label):
    """Put an entry where a hole is, or above it, where its score belongs."""
    while hole > 0 and scores[(hole - 1) // 2] > score:
        above = (hole - 1) // 2
        scores[hole], labels[hole] = scores[above], labels[above]
        hole = above
    scores[hole], labels[hole] = score, label


@helper
def pop_least(scores, labels, size):
    """Move the least of `size` entries to their end; the others are a heap again."""
    last = size - 1
    score, label = scores[last], labels[last]
    scores[last], labels[last] = scores[0], labels[0]
    hole, child = 0, 0
    while child < (last - 1) // 2:
        child = 2 * (child + 1)
        if scores[child] > scores[child - 1]:
            child -= 1
        scores[hole], labels[hole] = scores[child], labels[child]
        hole = child
    if last & 1 == 0 and child == (last - 2) // 2:
        child = 2 * (child + 1)
        scores[hole], labels[hole] = scores[child - 1], labels[child - 1]
        hole = child - 1
    sift_up(scores, labels, hole, score, label)


@helper
def push_best(scores, labels, size, most, score, label):
    """Add an entry to the heap of the best `most`; returns the new size."""
    sift_up(scores, labels, size, score, label)
    if size < most:
        return size + 1
    pop_least(scores, labels, size + 1)
    return size


@helper
def take_sorted(buffers, size, found, line):
    """Write the heap's entries, the best first."""
    scores, labels = buffers.heap_scores, buffers.heap_labels
    for left in range(size, 1, -1):
        pop_least(scores, labels, left)
    for i in range(size):
        found.scores[line, i], found.labels[line, i] = scores[i], labels[i]
    found.numbers[line] = size


# ---------------------------------------------------------------------------------------------------------- probabilities


@helper
def fill_softmax(C, hidden, shares):
    """Compute the probabilities of all labels, which add up to 1."""
    largest, total = dot(C, 0, hidden), float32(0)
    for label in range(shares.shape[0]):
        shares[label] = dot(C, label, hidden)
        largest = max(largest, shares[label])
    for label in range(shares.shape[0]):
        shares[label] = math.exp(shares[label] - largest)
        total += shares[label]
    for label in range(shares.shape[0]):
        shares[label] /= total


@helper
def fill_logistic(C, hidden, clamp, shares):
    """Compute the probability of each label by itself; it is 0 or 1 beyond ±`clamp`.

    As in fastText's program, σ is that of the next lower of SIGMAS numbers, so that there are as many equal probabilities.
    """
    for label in range(shares.shape[0]):
        z = dot(C, label, hidden)
        lower = float32(math.floor((z + clamp) * SIGMAS / clamp / 2)) * 2 * clamp / SIGMAS - clamp
        share = float32(1) / (float32(1) + math.exp(-lower))
        shares[label] = float32(1) if z > clamp else float32(0) if z < -clamp else share


@helper
def best_shares(buffers, k, threshold):
    """Collect the best k labels of at least a probability; returns their number."""
    size, shares, scores = 0, buffers.shares, buffers.heap_scores
    for label in range(shares.shape[0]):
        if shares[label] < threshold:
            continue
        score = log_share(shares[label])
        if size < k or score >= scores[0]:
            size = push_best(scores, buffers.heap_labels, size, k, score, label)
    return size


@helper
def best_leaves(C, tree, buffers, k, threshold):
    """Collect the best k leaves of the tree, depth first; what lies below a node is no better than it. Returns their number."""
    labels, scores, least = C.shape[0], buffers.heap_scores, log_share(threshold)
    tree.stack[0], tree.stack_scores[0] = 2 * labels - 2, float32(0)
    size, waiting = 0, 1
    while waiting > 0:
        waiting -= 1
        node, score = int64(tree.stack[waiting]), tree.stack_scores[waiting]
        if score < least or (size == k and score < scores[0]):
            continue
        if node < labels:
            size = push_best(scores, buffers.heap_labels, size, k, score, node)
            continue
        share = float32(1) / (float32(1) + math.exp(-dot(C, node - labels, buffers.hidden)))
        tree.stack[waiting], tree.stack[waiting + 1] = tree.children[node, 1], tree.children[node, 0]
        tree.stack_scores[waiting] = score + log_share(share)
        tree.stack_scores[waiting + 1] = score + log_share(float32(1) - share)
        waiting += 2
    return size


@helper
def tally_line(line, found, number, tally):
    """Count the labels of a line, those predicted, and those that are both; note whether the best is right."""
    for i in range(line.sizes[LABELS]):
        tally[GOLD, line.labels[i]] += 1
    for j in range(found.numbers[number]):
        label = found.labels[number, j]
        hit = 0
        for i in range(line.sizes[LABELS]):
            if line.labels[i] == label:
                hit = 1
                break
        tally[PREDICTED, label] += 1
        tally[HITS, label] += hit
        if j == 0:
            found.right[number] = hit


@kernel(
    int64(
        array(int32), array(int64), int64, float64, LINES, TREE, array(float32, 2), array(float32, 2), array(float32, 2), int64,
        float32, PREDICTING, FOUND, out(int64, 2),
    ),
    fast=True,
)  # fmt: skip
def predict_lines(ids, ends, output, clamp, lines, tree, W, N, C, k, threshold, buffers, found, tally):
    """Predict the labels of each line; line i ends before word ends[i]. W are the rows of words, N those of n-grams.

    Returns the number of lines with words and labels, which are tallied, (3, L): the labels that they have, those predicted,
    and those that are both.
    """
    begin, counted = int64(0), 0
    for number in range(ends.shape[0]):
        list_line(ids, begin, ends[number], lines, buffers.line, W, N)
        begin = ends[number]
        found.numbers[number], found.right[number] = 0, UNTESTED
        if buffers.line.sizes[INPUTS] == 0:
            continue
        mean_row(W, N, buffers.line, buffers.hidden)
        if output == PATH:
            size = best_leaves(C, tree, buffers, k, threshold)
        else:
            if output == ALL:
                fill_softmax(C, buffers.hidden, buffers.shares)
            else:
                fill_logistic(C, buffers.hidden, float32(clamp), buffers.shares)
            size = best_shares(buffers, k, threshold)
        take_sorted(buffers, size, found, number)
        if buffers.line.sizes[LABELS] > 0:
            tally_line(buffers.line, found, number, tally)
            counted += 1
    return counted

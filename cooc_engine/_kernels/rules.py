"""What distinguishes the sampled models: rules, tables and the clock of the learning rate, as the kernels read them."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import float32, float64, int32, int64, uint64

from cooc_engine._kernels.jit import named, out

CONTEXTS, CENTRE, DOCUMENT = 0, 1, 2  # the input: the window's other words, its centre, or nothing but the document
NOISE, PATH, LIST = 0, 1, 2  # the output layer: negative sampling, a Huffman path, or examples listed for a full softmax
ALL, EACH = 3, 4  # that of a classifier besides: a full softmax, or one logistic regression for each label
OUTPUT_ROWS, WORD_ROWS = 1, 2  # bits of `Rule.frozen`
SUM, CONCAT = 2, 3  # of `Rule.mean`, beside 0 and 1


class Rule(NamedTuple):
    """The rule of a family, as numbers.

    inputs     CONTEXTS (the centre is the target), CENTRE (the contexts are) or DOCUMENT (the centre is)
    mean       1: one hidden row for each window, the mean of its input rows; SUM: their sum; CONCAT: all of them side by side,
               which goes with documents, and with a row for words beyond a text's ends before theirs; 0: one for each input
               word, the mean of its rows
    spread     1: an input's gradient is its share 1/C of the hidden row's; 0: the whole
    document   first input row of the documents, which have one row each; -1: none
    window     the radius; drawn from 1..window unless `fixed`
    output     NOISE, PATH or LIST; of a classifier NOISE, PATH, ALL or EACH
    negative   noise words of each target
    group      neighbouring windows that are trained as one example
    shared     noise words that a group shares, each with weight `negative / shared`; 0: each hidden row draws its own
    clamp      where σ counts as 0 or 1
    beyond     the error there on the wrong side: 1, or 0 where word2vec skips the node
    redraw     1: a target has all its noise, however many noise words equal it, as in fastText's program; 0: these are left out
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
    group: int
    shared: int
    clamp: float
    beyond: float
    redraw: int = 0
    frozen: int = 0


class Tables(NamedTuple):
    """The tables that training draws from and looks up; one that a family does not use is empty.

    keep          (V,)  probability that a word survives thinning, times 2**64
    noise         (V,)  alias table
    path_starts   (V + 1,), path_nodes, path_labels: the Huffman paths
    row_starts    (V + 1,), rows: the input rows of each word, then those of each document; empty if each has one, in this order
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


RULE = named(Rule, **{name: float64 if name in ("clamp", "beyond") else int64 for name in Rule._fields})
CLOCK = named(Clock, **{name: float64 if name in ("total", "lr") else int64 for name in Clock._fields})
TABLES = named(
    Tables, keep=out(uint64), noise=out(uint64), path_starts=out(int64), path_nodes=out(int32), path_labels=out(float32),
    row_starts=out(int64), rows=out(int32),
)  # fmt: skip

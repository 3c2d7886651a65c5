"""A line of words as the input of a classifier: its rows, those of its word n-grams, and its labels (Joulin et al. 2017)."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import int32, int64, uint64

from cooc_engine._kernels.bits import inverse_of, rank, remainder
from cooc_engine._kernels.jit import helper, named, out
from cooc_engine._kernels.row_sums import prefetch_listed, sum_rows

UNKNOWN, NO_LABEL, LABEL = -1, -2, -3  # kinds of words: without a row, a label that is not known, label k is LABEL - k
NGRAM_FACTOR = 116049371  # of fastText's hash of word n-grams


class Lines(NamedTuple):
    """How the words of a line become input rows.

    kinds      (words,): the row of a word, or what else it is: UNKNOWN, NO_LABEL, or LABEL - k for label k
    starts     (words + 1,), rows: the input rows of each word that is no label; empty if these are `kinds`
    hashes     (words,): for word n-grams, which unknown words belong to as well
    ngrams     words of the longest word n-gram
    first      first row of n-grams, of which there are `buckets`
    kept       (⌈buckets / 64⌉,): a bit for each bucket, 1 if it has a row, which is its rank among these; empty if all have one
    ranks      (⌈buckets / 64⌉,): how many bits are 1 before those of each of `kept`
    end        row of the line end, or UNKNOWN; it is the last word of each line, and has the hash `end_hash`
    """

    kinds: Any
    starts: Any
    rows: Any
    hashes: Any
    ngrams: int
    first: int
    buckets: int
    kept: Any
    ranks: Any
    end: int
    end_hash: int


class Line(NamedTuple):
    """Room for one line: its input rows, its labels, the hashes of its words, all int32, and sizes (2,): inputs and labels."""

    inputs: Any
    labels: Any
    hashes: Any
    sizes: Any


LINES = named(
    Lines, kinds=out(int32), starts=out(int64), rows=out(int32), hashes=out(int32), ngrams=int64, first=int64,
    buckets=int64, kept=out(uint64), ranks=out(int32), end=int64, end_hash=int64,
)  # fmt: skip
LINE = named(Line, inputs=out(int32), labels=out(int32), hashes=out(int32), sizes=out(int64))
INPUTS, LABELS = 0, 1  # places of `Line.sizes`


@helper
def list_line(ids, begin, end, lines, line, words, ngrams):
    """List the input rows and the labels of the words ids[begin:end]; words that a corpus left out are -1.

    `words` and `ngrams` are the matrices of the rows, as in `mean_row`. Rows of n-grams are prefetched while others are listed.
    """
    n, labels, size = 0, 0, 0
    for p in range(begin, end):
        word = int64(ids[p])
        kind = int64(lines.kinds[word]) if word >= 0 else int64(NO_LABEL)
        if kind <= LABEL:
            line.labels[labels] = LABEL - kind
            labels += 1
        elif kind != NO_LABEL:
            if lines.starts.shape[0] > 0:
                for place in range(lines.starts[word], lines.starts[word + 1]):
                    line.inputs[n] = lines.rows[place]
                    n += 1
            else:
                line.inputs[n] = kind
                n += int64(kind >= 0)  # not a branch, which would often be mispredicted
            if lines.ngrams > 1:
                line.hashes[size] = lines.hashes[word]
                size += 1
    if lines.end >= 0:
        line.inputs[n] = lines.end
        n += 1
    if lines.ngrams > 1:
        line.hashes[size] = lines.end_hash
        n = list_ngrams(lines, line, size + 1, n, words, ngrams)
    line.sizes[INPUTS], line.sizes[LABELS] = n, labels


@helper
def list_ngrams(lines, line, size, n, words, ngrams):
    """Append the rows of all n-grams of two words or more; returns the number of input rows."""
    buckets, some_kept = uint64(lines.buckets), lines.kept.shape[0] > 0
    inverse = inverse_of(buckets)
    for i in range(size):
        value = uint64(int64(line.hashes[i]))
        for j in range(i + 1, min(size, i + lines.ngrams)):
            value = value * uint64(NGRAM_FACTOR) + uint64(int64(line.hashes[j]))
            row = int64(remainder(value, buckets, inverse))
            if some_kept:
                row = rank(lines.kept, lines.ranks, row)
            prefetch_listed(words, ngrams, lines.first + row)
            line.inputs[n] = lines.first + row
            n += int64(row >= 0)
    return n


@helper
def mean_row(words, ngrams, line, hidden):
    """Write the mean of a line's input rows."""
    n = line.sizes[INPUTS]
    sum_rows(words, ngrams, line.inputs, n, hidden)
    for z in range(hidden.shape[0]):
        hidden[z] /= n


@helper
def dot(matrix, row, vector):
    """Return the inner product of a row and a vector."""
    total = matrix[row, 0] * vector[0]
    for z in range(1, vector.shape[0]):
        total += matrix[row, z] * vector[z]
    return total

"""The random draws of a sampled model, subsampling and negative sampling, and its tables: alias table and Huffman tree."""

from __future__ import annotations

import numpy as np
from numba import float32, float64, int8, int32, int64, uint64, void

from cooc_engine._kernels.basics import below, mix64
from cooc_engine._kernels.jit import array, helper, kernel, out

LOWER = np.uint64(0xFFFFFFFF)


@helper
def seeded(seed, epoch, part):
    """Return the initial random state for one part of one epoch; it is never 0."""
    state = mix64(mix64(mix64(seed) + uint64(epoch)) + uint64(part))
    return state | uint64(state == 0)


@helper
def draw_alias(table, random):
    """Return an index drawn from an alias table (Walker 1977) with 64 random bits.

    The lower half of an entry is its alias, the upper half the probability of not taking the alias, times 2**32.
    """
    place = below(random, table.shape[0])
    entry = table[place]
    return place if (random & LOWER) < (entry >> uint64(32)) else int64(entry & LOWER)


@helper
def is_kept(keep, seed, position, word):
    """Tell whether subsampling keeps the word at a position: a hash of the position decides, however the text is split."""
    return keep.shape[0] == 0 or mix64(seed + uint64(position)) <= keep[word]


@helper
def lay_out(ids, begin, end, low, high, keep, seed, origin, window, words):
    """Write the kept words of ids[begin:end] to words[window:], around them up to `window` each of low:begin and end:high.

    `origin` is the position of ids[0] in the corpus. Returns where the words written begin, where those of begin:end end, where
    all end, and how many of begin:end are in the vocabulary. If none of begin:end is kept, the words around are not read.
    """
    n, known = window, 0
    for p in range(begin, end):
        word = ids[p]
        if word >= 0:
            known += 1
            words[n] = word
            n += is_kept(keep, seed, origin + p, word)
    first, p = window, begin
    if n == window:  # or a text of unknown words only would be read in full for each of its parts
        return first, n, n, known
    while p > low and first > 0:
        p -= 1
        if ids[p] >= 0 and is_kept(keep, seed, origin + p, ids[p]):
            first -= 1
            words[first] = ids[p]
    last, p = n, end
    while p < high and last < n + window:
        if ids[p] >= 0 and is_kept(keep, seed, origin + p, ids[p]):
            words[last] = ids[p]
            last += 1
        p += 1
    return first, n, last, known


@kernel(void(out(float64), out(int64), out(uint64)))
def fill_alias(shares, stack, table):
    """Fill an alias table (Vose 1991) from shares (n,) with mean 1, which are overwritten; `stack` (n,) is scratch."""
    n, small, large = shares.shape[0], 0, shares.shape[0]
    for i in range(n):
        if shares[i] < 1:
            stack[small] = i
            small += 1
        else:
            large -= 1
            stack[large] = i
    while small > 0 and large < n:
        small -= 1
        i, j = stack[small], stack[large]
        table[i] = (uint64(shares[i] * 4294967296.0) << uint64(32)) | uint64(j)
        shares[j] -= 1 - shares[i]
        if shares[j] < 1:
            large += 1
            stack[small] = j
            small += 1
    for k in range(n):
        if k < small or k >= large:
            table[stack[k]] = (LOWER << uint64(32)) | uint64(stack[k])


@kernel(void(array(int64), out(int64), out(int64), out(int8)))
def join_huffman(order, sums, parents, codes):
    """Build a Huffman tree over words; node V + k is the k-th inner node, the last is the root.

    `order` lists the words by decreasing count; `sums` (2 V - 1,) holds the counts of the words and receives those of the inner
    nodes. codes[n] is 1 for the larger of two children; as in word2vec, an inner node is taken before a word of the same count.
    """
    words, leaf = order.shape[0], order.shape[0] - 1
    node = words
    for inner in range(words, 2 * words - 1):
        for code in range(2):
            if leaf >= 0 and (node == inner or sums[order[leaf]] < sums[node]):
                least = order[leaf]
                leaf -= 1
            else:
                least = node
                node += 1
            parents[least], codes[least] = inner, code
            sums[inner] += sums[least]


@kernel(void(array(int64), array(int8), out(int64), out(int32), out(float32), int64))
def trace_paths(parents, codes, starts, nodes, labels, write):
    """Write each word's path from the root down: inner nodes, and labels 1 for code 0, -1 for code 1.

    The path of word w is at starts[w]:starts[w + 1]. If `write` is 0, only `starts` is computed, from starts[0] on.
    """
    words = starts.shape[0] - 1
    root = 2 * words - 2
    for w in range(words):
        n, place = w, starts[w + 1]
        length = 0
        while n != root:
            if write:
                place -= 1
                nodes[place] = int32(parents[n] - words)
                labels[place] = 1 - 2 * codes[n]
            length += 1
            n = parents[n]
        if not write:
            starts[w + 1] = starts[w] + length

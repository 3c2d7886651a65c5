"""Distributing counts over the tiles of a grid: counting, dealing, shuffling, holding out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float32, int32, int64, uint8, uint32, uint64, void

from cooc_engine._kernels.basics import below, mix64, next_random
from cooc_engine._kernels.jit import array, kernel, named, out

__all__ = []
LEAST = np.float32(1e-8)


class TileEntries(NamedTuple):
    """Entries, grouped by tile: places (n,) are row << 16 | column, both within their blocks; targets and weights (n,)."""

    places: Any
    targets: Any
    weights: Any


class DealtWords(NamedTuple):
    """Words first, first + blocks, …: word w is row w // blocks of block w mod blocks; `skipped` = 1 omits the diagonal."""

    first: int
    blocks: int
    skipped: int


class DealtValues(NamedTuple):
    """Targets and weights (n,) of the entries, in order; the shifts (V,) of row and column are subtracted from a target."""

    targets: Any
    weights: Any
    shifts: Any


class TileRow(NamedTuple):
    """A row of the grid: tiles row * blocks to (row + 1) * blocks - 1; tile t has the entries starts[t]:starts[t + 1]."""

    starts: Any
    row: int
    blocks: int


ENTRIES = named(TileEntries, places=out(uint32), targets=out(float32), weights=out(float32))
WORDS = named(DealtWords, first=int64, blocks=int64, skipped=int64)
VALUES = named(DealtValues, targets=out(float32), weights=out(float32), shifts=out(float32))
ROW = named(TileRow, starts=out(int64), row=int64, blocks=int64)


@kernel(void(WORDS, array(int64, 2), array(int32), out(int64)))
def count_tiles(words, spans, columns, sizes):
    """Add the number of entries of words to the sizes of their tiles; the r-th word has columns[spans[r, 0]:spans[r, 1]]."""
    first, blocks = words.first, words.blocks
    tile0, divisor = first % blocks * blocks, uint32(blocks)
    for r in range(spans.shape[0]):
        left_out = first + r * blocks if words.skipped else -1
        for p in range(spans[r, 0], spans[r, 1]):
            column = columns[p]
            sizes[tile0 + int64(uint32(column) % divisor)] += column != left_out


@kernel(void(WORDS, array(int64, 2), array(int32), VALUES, out(int64), ENTRIES))
def deal_rows(words, spans, columns, values, fill, entries):
    """Deal the entries of words to their tiles; fill[t] is the end of the entries already in tile t.

    The r-th word has columns[spans[r, 0]:spans[r, 1]]; `values` holds the entries of these words consecutively.
    """
    first, blocks, shifts, row_targets, row_weights = words.first, words.blocks, values.shifts, values.targets, values.weights
    places, targets, weights = entries
    tile0, divisor, q = first % blocks * blocks, uint32(blocks), 0
    for r in range(spans.shape[0]):
        word = first + r * blocks
        place, shift, left_out = uint32((word // blocks) << 16), shifts[word], word if words.skipped else -1
        for p in range(spans[r, 0], spans[r, 1]):
            column = columns[p]
            if column != left_out:
                row = uint32(column) // divisor
                tile = tile0 + int64(uint32(column) - row * divisor)
                at = fill[tile]
                fill[tile] = at + 1
                places[at] = place | row
                targets[at], weights[at] = row_targets[q] - shift - shifts[column], row_weights[q]
            q += 1


@kernel(void(ROW, uint64, ENTRIES))
def shuffle_tiles(tiles, seed, entries):
    """Shuffle the entries within each tile of a row (Fisher and Yates), seeded by `seed` and the tile's number."""
    starts, row, blocks = tiles
    places, targets, weights = entries
    for t in range(row * blocks, (row + 1) * blocks):
        state = mix64(seed ^ mix64(uint64(t)))
        begin, size = starts[t], starts[t + 1] - starts[t]
        for k in range(size - 1, 0, -1):
            state = next_random(state)
            i, j = begin + k, begin + below(state, k + 1)
            places[i], places[j] = places[j], places[i]
            targets[i], targets[j] = targets[j], targets[i]
            weights[i], weights[j] = weights[j], weights[i]


@kernel(void(ROW, uint64, uint64, ENTRIES, out(int64)))
def hold_out(tiles, seed, share, entries, stops):
    """Move held-out entries to the end of each tile of a row; those before stops[t] are trained on.

    A hash of the unordered pair of words decides, so that both entries of the pair in a symmetric matrix are held out together.
    """
    starts, row, blocks = tiles
    places, targets, weights = entries
    for t in range(row * blocks, (row + 1) * blocks):
        p, end = starts[t], starts[t + 1]
        while p < end:
            a = t // blocks + blocks * int64(places[p] >> uint32(16))
            b = t % blocks + blocks * int64(places[p] & uint32(0xFFFF))
            if mix64(seed ^ mix64(uint64(min(a, b)) << np.uint64(32) | uint64(max(a, b)))) >= share:
                p += 1
                continue
            end -= 1
            places[p], places[end] = places[end], places[p]
            targets[p], targets[end] = targets[end], targets[p]
            weights[p], weights[end] = weights[end], weights[p]
        stops[t] = end


@kernel(void(out(float32, 2), int64, out(uint8)))
def in_word_order(rows, blocks, moved):
    """Permute rows (B height, width) in place from block order to word order, by cycles of swaps.

    moved   (B height,) all zeros, overwritten
    """
    height = rows.shape[0] // blocks
    for start in range(rows.shape[0]):
        word = start
        while not moved[word]:
            moved[word] = 1
            source = word % blocks * height + word // blocks
            if source != start:
                for k in range(rows.shape[1]):
                    rows[word, k], rows[source, k] = rows[source, k], rows[word, k]
            word = source

"""Compares stages with the limits of the machine: arithmetic, memory bandwidth, and rows gathered from the caches.

    python scripts/roofline.py TEXT WORK     TEXT is encoded and counted in the directory WORK

The limits are measured here, on the same threads. What a stage needs is counted from its own data: the arithmetic and the
bytes that no implementation of the same computation can do without, and the rows that it looks up one by one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import bench
import numpy as np
from numba import float32, int64, void

from cooc_engine import count, encode, train
from cooc_engine._kernels.jit import array, kernel, out
from cooc_engine._kernels.simd import LANES, TILE, set_tile
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.thinning import keep_probabilities
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.linalg import svd
from cooc_engine.linalg.sparse import PANEL, panels, panels_of
from cooc_engine.matrix.pmi import transform_cooc
from cooc_engine.models.matrix_options import GloveOptions, PmiSvdOptions
from cooc_engine.models.sampled_options import CbowOptions, SkipgramOptions
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.progress import Stage
from cooc_engine.sampled.model import GROUP
from cooc_engine.storage.scratch import in_memory, padded

D, NEGATIVE, WINDOW, SUBSAMPLE = 100, 5, 5, 1e-4
COLUMNS = 112  # of the sparse product: 100 vectors and those beyond
PROBES = 1 << 22


class Limits(NamedTuple):
    """What all threads together reach: operations, bytes and rows per second."""

    flop: float
    bytes: float
    rows: Callable[[int, int], float]


class Need(NamedTuple):
    """What a stage takes and needs; `table` is the number and the length in bytes of the rows that it looks up."""

    name: str
    seconds: float
    flop: float
    bytes: float
    lookups: float
    table: tuple[int, int]


@kernel(void(int64, array(float32), array(float32), out(float32)))
def multiply_tiles(turns, factors, vectors, result):
    """Multiply tiles that stay in the first cache."""
    for _ in range(turns):
        set_tile(factors, 0, D, 1, vectors, 0, LANES, D, result, 0, LANES)


@kernel(void(array(float32), out(float32)), fast=True)
def read(data, total):
    """Add up an array."""
    value = float32(0)
    for i in range(data.shape[0]):
        value += data[i]
    total[0] = value


@kernel(void(array(int64), array(float32, 2), out(float32)), fast=True)
def gather(numbers, matrix, total):
    """Add up rows of a matrix in any order."""
    for i in range(numbers.shape[0]):
        row = matrix[numbers[i]]
        for z in range(total.shape[0]):
            total[z] += row[z]


def together(threads: int, work: Callable[[int], None]) -> float:
    """Return the seconds of a piece of work done by all threads at once: the median of five."""
    taken = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            begin = time.perf_counter()
            list(pool.map(work, range(threads)))
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def limits(threads: int) -> Limits:
    """Measure the machine."""
    turns, tile = 1 << 18, [(np.ones(TILE * D, np.float32), np.ones(D * LANES, np.float32), np.zeros(TILE * LANES, np.float32))]
    tiles = tile + [tuple(map(np.copy, tile[0])) for _ in range(1, threads)]
    flop = threads * turns * 2 * TILE * LANES * D / together(threads, lambda n: multiply_tiles(turns, *tiles[n]))
    data = [np.ones(1 << 27, np.float32) for _ in range(threads)]
    sums = [np.zeros(1, np.float32) for _ in range(threads)]
    streamed = threads * data[0].nbytes / together(threads, lambda n: read(data[n], sums[n]))

    def rows(number: int, size: int) -> float:
        matrix = np.ones((number, size // 4), np.float32)
        order = [np.random.default_rng(n).integers(0, number, PROBES) for n in range(threads)]
        totals = [np.zeros(size // 4, np.float32) for _ in range(threads)]
        return threads * PROBES / together(threads, lambda n: gather(order[n], matrix, totals[n]))

    return Limits(flop, streamed, rows)


def encoding(text: Path, corpus: Path, threads: int) -> Need:
    """Read the text, write the ids; each word is looked up twice, in a table with an entry of 16 bytes per word."""
    encode(text, corpus, threads=threads, force=True)  # the file is in memory then, and the kernels are compiled
    begin = time.perf_counter()
    made = encode(text, corpus, threads=threads, force=True)
    seconds = time.perf_counter() - begin
    return Need("encode", seconds, 0, text.stat().st_size + 4 * made.tokens, 2 * made.tokens, (len(made.vocabulary), 16))


def product(cooc: Cooc, threads: int) -> Need:
    """Multiply the PPMI matrix by 112 columns: read it once for each panel, and a row of the panel for each entry."""
    with ThreadPoolExecutor(threads) as pool:
        matrix = svd.Operator(*transform_cooc(cooc, PmiSvdOptions(), in_memory, 0, pool, Stage("transform", None, "entries")))
        left = panels_of(np.ones((matrix.rows.shape[1], COLUMNS), np.float32))
        result = panels(len(left), matrix.rows.shape[0])
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            matrix.rows.multiply(left, result, pool)
            taken.append(time.perf_counter() - begin)
    entries, turns = len(matrix.rows.values), len(left)
    traffic = 8 * entries * turns + left.nbytes + result.nbytes
    return Need(
        "sparse product of PMI-SVD", statistics.median(taken), 2 * COLUMNS * entries, traffic, entries * turns,
        (left.shape[1], 4 * PANEL),
    )  # fmt: skip


def glove(cooc: Cooc, work: Path, threads: int) -> Need:
    """An epoch over all entries of 16 bytes: two rows with their gradients' squares; d products, 13 operations a number."""
    history = train("glove", cooc, work / "glove.h5", GloveOptions(epochs=2, x_max=10), threads=threads, force=True).history
    entries = history[-1]["items"]
    return Need("GloVe, an epoch", history[-1]["seconds"], 15 * D * entries, 16 * entries, 0, (1, 64))


def sampled(corpus: Corpus, work: Path, threads: int) -> Iterator[Need]:
    """An epoch: 6 d operations for each pair of vectors; each group reads and writes the rows of its words and its noise."""
    keep = keep_probabilities(corpus.counts, SUBSAMPLE, corpus.tokens)
    groups = float(corpus.counts @ np.ldexp(keep.astype(np.float64), -64)) / GROUP
    rows, pitch = groups * (2 * GROUP + 2 * WINDOW + SkipgramOptions().noise_words), 4 * padded(D)
    for name, options in (("skipgram", SkipgramOptions), ("cbow", CbowOptions)):
        given = options(epochs=1, subsample=SUBSAMPLE, vector_size=D, negative=NEGATIVE, window=WINDOW)
        (epoch,) = train(name, corpus, work / f"{name}.h5", given, threads=threads, force=True).history
        pairs = epoch["examples"] * (1 + NEGATIVE)
        yield Need(f"{name}, an epoch", epoch["seconds"], 6 * D * pairs, 0, 2 * rows, (2 * len(corpus.vocabulary), pitch))


def row(need: Need, machine: Limits) -> tuple[str, ...]:
    """Return a line of the table: what the stage needs, the time that each takes at the limit, and the share of the largest."""
    least = need.flop / machine.flop, need.bytes / machine.bytes, need.lookups / machine.rows(*need.table)
    counted = f"{need.flop / 1e9:.1f}", f"{need.bytes / 1e9:.2f}", f"{need.lookups / 1e6:.0f}"
    cells = [f"{amount}: {seconds:.3f} s" if seconds else "-" for amount, seconds in zip(counted, least, strict=True)]
    return need.name, f"{need.seconds:.2f} s", *cells, f"{100 * max(least) / need.seconds:.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/roofline.py", description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found = [encoding(given.text, given.work / "corpus", given.threads)]
    corpus = Corpus.of(given.work / "corpus")
    cooc = count(corpus, given.work / "cooc", CountOptions(window=10), threads=given.threads, force=True)
    found += [product(cooc, given.threads), glove(cooc, given.work, given.threads), *sampled(corpus, given.work, given.threads)]
    limit = limits(given.threads)
    print("; ".join(f"{name} {value}" for name, value in bench.machine().items()))
    print(f"{given.threads} threads reach {limit.flop / 1e9:.0f} GFLOP/s and read {limit.bytes / 1e9:.1f} GB/s\n")
    head = ("stage", "takes", "GFLOP, and at the limit", "GB streamed", "million rows looked up", "of the largest limit")
    print(bench.table([head, *(row(need, limit) for need in found)]))


if __name__ == "__main__":
    main()

"""Predicting the number of entries and the disk usage of counts, by counting a sample of the rows.

Rows are drawn with probabilities proportional to a size (Hansen and Hurwitz 1943; systematically, as Madow 1949), and each
entry of a drawn row is weighted by its row's inverse probability (Horvitz and Thompson 1952): an unbiased estimate for any
text, without assumptions about how words co-occur. A row is recorded as one bit per column, so the sample takes little memory.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import counting
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.directory import Block
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.row_writer import Stored
from cooc_engine.counts.windows import CorpusPart, Window, cut_corpus, lay_out
from cooc_engine.runtime.budget import Disk
from cooc_engine.storage.arrays import HEADER_BYTES

__all__ = ["ROWS", "Sample", "Sizes", "count_sample", "merge_sample"]

ROWS = 256
MANIFEST = 1000  # approximate bytes of a manifest and of the plan
CHUNK = 1 << 22  # bytes of text laid out at a time by a thread


@dataclass(frozen=True)
class Sample:
    """Rows (K,) int64 in ascending order, and weights (K,) float64: the number of rows that each represents."""

    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    @classmethod
    def draw(cls, bounds: npt.NDArray[np.int64], work: npt.NDArray[np.int64], size: int) -> Sample:
        """Draw about `size` rows, preferring those that are informative for little work; the result is deterministic.

        bounds[r] bounds the entries of row r, and serves as a proxy for its variation; work[r] is the cost of counting it.
        """
        if len(bounds) <= size:
            return cls(np.arange(len(bounds)), np.ones(len(bounds)))
        weight = bounds / np.maximum(work, 1) ** 0.25  # on English, a fourth root errs less than a square root for equal work
        chances = np.minimum(1.0, weight * (size / max(weight.sum(), 1e-300)))
        places = np.floor(np.cumsum(chances) + np.random.default_rng(1).random())
        rows = np.flatnonzero(np.diff(places, prepend=0.0) >= 1)
        return cls(rows, 1 / chances[rows])


@dataclass(frozen=True)
class Sizes:
    """Predicted sizes of a directory's files, in bytes: entries of the blocks, rows of the blocks, and all others."""

    entries: int  # number of entries
    blocks: int
    rows: int
    rest: int

    @classmethod
    def of(
        cls, vocabulary: Vocabulary, columns: int, blocks: list[Block], sample: Sample, found: npt.NDArray[np.int64]
    ) -> Sizes:
        """Predict from the numbers of entries found in the sampled rows; see FORMAT.md for the files."""
        words = len(vocabulary)
        wide = np.repeat([block.wide for block in blocks], [block.last - block.first for block in blocks])
        entries = found * sample.weights
        rest = len(vocabulary.text) + 8 * (4 * words + columns) + MANIFEST + 25 * len(blocks)
        return cls(
            round(entries.sum()),
            round(float(entries @ np.where(wide[sample.rows], 12, 8))) + 2 * HEADER_BYTES * len(blocks),
            16 * words + (HEADER_BYTES + 8) * len(blocks),
            rest + 6 * HEADER_BYTES,
        )

    def disk(self, output: Path, runs: Sequence[float]) -> Disk:
        """Return the disk usage; `runs` are the bytes of entries in each run, which is kept until all blocks are written."""
        output_bytes = self.blocks + self.rest
        kept = sum(round(size) + self.rows + 3 * HEADER_BYTES + 25 for size in runs)
        return Disk(output.absolute().parent, output_bytes, self.rows + kept, output_bytes + self.rows + kept, self.entries)


def count_sample(
    corpus: Corpus, options: CountOptions, runs: Sequence[CorpusPart], sample: Sample, threads: int, text: int
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.int64]]]:
    """Return the numbers of entries of the sampled rows: (K,) in the whole matrix, and (K,) in each run.

    At most `text` bytes of text are laid out at a time for each thread.
    """
    window, words = Window.of(options), len(corpus.vocabulary)
    places = np.full(words + 1, -1, np.int32)
    places[sample.rows] = np.arange(len(sample.rows))
    shape = len(sample.rows), words * window.slots // 64 + 1
    marks, every = [np.zeros(shape, np.uint64) for _ in range(threads)], np.zeros(shape, np.uint64)
    free: queue.SimpleQueue[npt.NDArray[np.uint64]] = queue.SimpleQueue()
    for one in marks:
        free.put(one)

    def mark(chunk: CorpusPart) -> None:
        laid, begin, end = lay_out(corpus, chunk, options, 1, map)
        mine = free.get()
        counting.mark_contexts(laid, (begin, end), places, window.shape, mine)
        free.put(mine)

    in_runs = []
    with ThreadPoolExecutor(threads) as pool:
        for run in runs:
            list(pool.map(mark, cut_corpus(corpus, options.window, min(CHUNK + 24 * options.window, text), run)))
            for other in marks[1:]:
                marks[0] |= other
                other[:] = 0
            in_runs.append(_ones(marks[0]))
            every |= marks[0]
            marks[0][:] = 0
    return _ones(every), in_runs


def merge_sample(sources: Sequence[Stored], sample: Sample) -> npt.NDArray[np.int64]:
    """Return the numbers of entries (K,) that the sampled rows have in the sum of some directories."""
    found = np.empty(len(sample.rows), np.int64)
    for i, row in enumerate(sample.rows.tolist()):
        slices = [source.entries(*source.offsets(row, row + 1).tolist())[0] for source in sources]
        found[i] = len(np.unique(np.concatenate(slices)))
    return found


def _ones(marks: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return np.array([int(np.bitwise_count(row).sum()) for row in marks], np.int64)

"""The co-occurrence matrix dealt into tiles, and the order in which threads may take them.

A tile is a block of rows times a block of columns, small enough that the parameters it touches stay in the cache. A
stratum is a diagonal of the tile grid: its tiles share no row and no column, so threads that work on one never meet, and
the result is the same for any number of them. The grid depends on the matrix alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import factoring
from cooc_engine.cooc import Block, Cooc
from cooc_engine.progress import Stage

__all__ = ["Tiles", "cut_blocks", "deal", "share", "strata"]

BLOCK_ROWS = 1024  # 512 and 2048 are slower at d 100 with 1 MiB of L2: scripts/lab.py
BLOCKS = 48  # a block has at most this share of the entries (rows permitting), so that a stratum keeps many threads busy
MOST_ROWS = 1 << 16

Transform = Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Tiles:
    """Entries by tile. cuts (B + 1,) int64 rows of the blocks; starts (B·B + 1,) int64 entries of the tiles.

    places (n,) uint32 row and column within the tile; targets and weights (n,) float32.
    """

    cuts: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    places: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]

    @property
    def blocks(self) -> int:
        """Number of blocks on a side of the grid."""
        return len(self.cuts) - 1

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B·B,) number of entries of each tile."""
        return np.diff(self.starts)


def cut_blocks(row_offsets: npt.NDArray[np.int64], rows: int = BLOCK_ROWS, blocks: int = BLOCKS) -> npt.NDArray[np.int64]:
    """Cut rows into blocks of at most `rows` rows and about 1/`blocks` of the entries; returns the (B + 1,) cuts."""
    words, most = len(row_offsets) - 1, max(1, int(row_offsets[-1]) // blocks)
    cuts = [0]
    while cuts[-1] < words:
        full = int(np.searchsorted(row_offsets, row_offsets[cuts[-1]] + most, "right")) - 1
        cuts.append(min(max(full, cuts[-1] + 1), cuts[-1] + min(rows, MOST_ROWS), words))
    return np.array(cuts, np.int64)


def deal(
    cooc: Cooc, transform: Transform, seed: int, threads: int, stage: Stage, cuts: npt.NDArray[np.int64] | None = None
) -> Tiles:
    """Deal all entries of a matrix to tiles and shuffle each; `transform` gives targets and weights of counts.

    The stage advances by half the entries when they are counted, and by the rest when they are dealt.
    """
    cuts = cut_blocks(cooc.row_offsets) if cuts is None else cuts
    blocks = len(cuts) - 1
    column_blocks = np.repeat(np.arange(blocks, dtype=np.int32), np.diff(cuts))
    sizes = np.zeros(blocks * blocks, np.int64)
    n = cooc.entries
    entries = np.empty(n, np.uint32), np.empty(n, np.float32), np.empty(n, np.float32)
    tiles = Tiles(cuts, np.empty(len(sizes) + 1, np.int64), *entries)

    def count(job: _Job) -> None:
        factoring.count_tiles(job.starts, job.columns, job.row_block, column_blocks, blocks, sizes)
        stage.advance(job.entries / 2)

    def place(job: _Job) -> None:
        begin, end = job.starts[0], job.starts[-1]
        pair = transform((job.values[begin:end] / cooc.denominator).astype(np.float32))
        factoring.deal_rows(
            job.starts,
            job.columns,
            *pair,
            job.first,
            job.row_block,
            column_blocks,
            cuts,
            fill,
            tiles.places,
            tiles.targets,
            tiles.weights,
        )
        stage.advance(job.entries / 2)

    with ThreadPoolExecutor(threads) as pool:
        _for_all_rows(cooc, cuts, pool, count)
        tiles.starts[0] = 0
        np.cumsum(sizes, out=tiles.starts[1:])
        fill = tiles.starts[:-1].copy()
        _for_all_rows(cooc, cuts, pool, place)
        rest = (np.uint64(seed % 2**64), tiles.places, tiles.targets, tiles.weights)
        list(pool.map(lambda b: factoring.shuffle_tiles(tiles.starts, b * blocks, (b + 1) * blocks, *rest), range(blocks)))
    return tiles


@dataclass(frozen=True)
class _Job:
    """The rows from `first` on that one row block has in one block of the matrix."""

    row_block: int
    first: int
    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[Any]

    @property
    def entries(self) -> int:
        return int(self.starts[-1] - self.starts[0])


def _for_all_rows(cooc: Cooc, cuts: npt.NDArray[np.int64], pool: ThreadPoolExecutor, work: Callable[[_Job], None]) -> None:
    """Run `work` on all rows; never on the same row block in two threads, and in the order of the rows within it."""
    for block in cooc.blocks:
        list(pool.map(work, _jobs(cooc, block, cuts)))


def _jobs(cooc: Cooc, block: Block, cuts: npt.NDArray[np.int64]) -> Iterator[_Job]:
    columns, values = cooc.block_integers(block)
    offsets = cooc.row_offsets - cooc.row_offsets[block.first]
    for row_block in range(
        int(np.searchsorted(cuts, block.first, "right")) - 1, int(np.searchsorted(cuts, block.last, "left"))
    ):
        first, last = max(int(cuts[row_block]), block.first), min(int(cuts[row_block + 1]), block.last)
        yield _Job(row_block, first, offsets[first : last + 1], columns, values)


def strata(blocks: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the tiles of every stratum of an epoch, (B, B) int64: a random Latin square, a stratum a row."""
    random = np.random.Generator(np.random.PCG64([seed, epoch + 1]))  # [seed, 0] would be the stream of the initial values
    columns, order = random.permutation(blocks), random.permutation(blocks)
    rows = np.arange(blocks)
    tiles: npt.NDArray[np.int64] = rows * blocks + columns[(rows + order[:, None]) % blocks]
    return tiles


def share(tiles: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], threads: int) -> list[npt.NDArray[np.int64]]:
    """Deal a stratum's tiles to threads: the largest first, each to the least loaded thread; empty ones to none."""
    load = [0] * threads
    parts: list[list[int]] = [[] for _ in range(threads)]
    for tile in tiles[np.argsort(-sizes[tiles], kind="stable")].tolist():
        size = int(sizes[tile])
        if size == 0:
            break
        least = load.index(min(load))
        parts[least].append(tile)
        load[least] += size
    return [np.array(part, np.int64) for part in parts]

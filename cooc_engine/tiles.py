"""The co-occurrence matrix dealt into tiles, and the order in which threads may take them.

A tile is a block of rows times a block of columns, small enough that the parameters it touches stay in the cache.
Neighbouring blocks form groups, and a thread takes all tiles of a pair of groups, each sharing a side with the one before.
A stratum is a set of pairs that share no row and no column: threads that work on it never meet, and the result is the same
for any number of them. Grid and strata depend on the matrix, the size of a row of parameters and the seed alone.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import factoring
from cooc_engine.cooc import Block, Cooc
from cooc_engine.progress import Stage
from cooc_engine.rows import cut_rows

__all__ = ["ENTRY_BYTES", "Dealing", "Entries", "Grid", "Tiles", "cut_blocks", "deal", "dealing_bytes", "share", "strata"]

ENTRY_BYTES = 12
BLOCK_BYTES = 1 << 20  # parameters of a block: half and twice as many are slower with 1 MiB of L2 (scripts/lab.py)
GROUP_BLOCKS = 8  # neighbours share a side: 10 to 15 % faster than single tiles (scripts/lab.py)
PARTS = 48  # a block, and a group, has at most this share of the entries, so that a stratum keeps many threads busy
MOST_ROWS = 1 << 16
MOST_BLOCKS = 1 << 11  # of millions of words, so that the table of tiles stays small
CHUNK_ENTRIES = 1 << 18  # dealt at a time by a thread

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Transform = Callable[[Floats], tuple[Floats, Floats]]


def cut_blocks(row_offsets: Numbers, rows: int, parts: int = PARTS) -> Numbers:
    """Cut rows into blocks of at most `rows` rows and about 1/`parts` of the entries; returns the (B + 1,) cuts."""
    words, most = len(row_offsets) - 1, max(1, int(row_offsets[-1]) // parts)
    cuts = [0]
    while cuts[-1] < words:
        full = int(np.searchsorted(row_offsets, row_offsets[cuts[-1]] + most, "right")) - 1
        cuts.append(min(max(full, cuts[-1] + 1), cuts[-1] + min(rows, MOST_ROWS), words))
    return np.array(cuts, np.int64)


@dataclass(frozen=True)
class Grid:
    """cuts (B + 1,): block i has the rows, or columns, cuts[i]:cuts[i + 1]; groups (G + 1,): a group's blocks likewise."""

    cuts: Numbers
    groups: Numbers

    @classmethod
    def of(cls, row_offsets: Numbers, row_bytes: int) -> Grid:
        """Cut a matrix for parameters with rows of `row_bytes`."""
        words = len(row_offsets) - 1
        cuts = cut_blocks(row_offsets, max(1, BLOCK_BYTES // row_bytes, words // MOST_BLOCKS))
        return cls(cuts, cut_blocks(row_offsets[cuts], GROUP_BLOCKS))

    @property
    def blocks(self) -> int:
        """Number of blocks on a side of the grid."""
        return len(self.cuts) - 1

    @property
    def sides(self) -> int:
        """Number of groups on a side of the grid."""
        return len(self.groups) - 1

    def by_pair(self, sizes: Numbers) -> Numbers:
        """Add up sizes of tiles (B·B,) to sizes of pairs of groups (G·G,)."""
        table = sizes.reshape(self.blocks, self.blocks)
        return np.add.reduceat(np.add.reduceat(table, self.groups[:-1], 0), self.groups[:-1], 1).ravel()


@dataclass(frozen=True)
class Entries:
    """places (n,) uint32 row and column within the tile; targets and weights (n,) float32; in memory or on the disk."""

    places: npt.NDArray[np.uint32]
    targets: Floats
    weights: Floats
    mapping: mmap.mmap | None = None

    @classmethod
    def empty(cls, size: int, scratch: Path | None) -> Entries:
        """Make room in memory, or in a file that is deleted at once and lives as long as it is mapped."""
        if scratch is None:
            return cls(np.empty(size, np.uint32), np.empty(size, np.float32), np.empty(size, np.float32))
        with scratch.open("w+b") as file:
            scratch.unlink()
            os.posix_fallocate(file.fileno(), 0, ENTRY_BYTES * size)  # a full disk is known now, and not by a signal
            mapping = mmap.mmap(file.fileno(), ENTRY_BYTES * size)
        targets, weights = (np.frombuffer(mapping, np.float32, size, part * 4 * size) for part in (1, 2))
        return cls(np.frombuffer(mapping, np.uint32, size), targets, weights, mapping)

    def expect(self, begin: int, end: int) -> None:
        """Have the system read entries begin:end, which are needed soon, if they are on the disk."""
        if self.mapping is None or begin == end:
            return
        for part in range(3):
            first = 4 * (part * len(self.places) + begin) // mmap.PAGESIZE * mmap.PAGESIZE
            self.mapping.madvise(mmap.MADV_WILLNEED, first, 4 * (part * len(self.places) + end) - first)


@dataclass(frozen=True)
class Tiles:
    """Entries by tile: tile t = i B + j has the entries starts[t]:starts[t + 1], of which those from stops[t] are held out."""

    grid: Grid
    starts: Numbers
    stops: Numbers
    entries: Entries

    @property
    def sizes(self) -> Numbers:
        """(G·G,) number of entries of each pair of groups that are trained on."""
        return self.grid.by_pair(self.stops - self.starts[:-1])

    @property
    def trained(self) -> int:
        """Number of entries that are trained on."""
        return int((self.stops - self.starts[:-1]).sum())

    @property
    def held_out(self) -> int:
        """Number of entries that are not."""
        return int(self.starts[-1]) - self.trained

    def expect(self, pairs: Numbers) -> None:
        """Have the entries of these pairs of groups read, which are needed soon."""
        if self.entries.mapping is None:
            return
        grid = self.grid
        for pair in pairs.ravel().tolist():
            rows, columns = divmod(pair, grid.sides)
            first, last = grid.groups[columns : columns + 2].tolist()
            for i in range(*grid.groups[rows : rows + 2].tolist()):
                self.entries.expect(int(self.starts[i * grid.blocks + first]), int(self.starts[i * grid.blocks + last]))


@dataclass(frozen=True)
class Dealing:
    """What entries become: `transform` gives targets and weights of counts; `shifts` (V,) lower the targets of their rows and
    of their columns; `skip_diagonal` leaves out a word with itself; a share `held_out` is not trained on.
    """  # fmt: skip

    transform: Transform
    shifts: Floats
    skip_diagonal: bool = False
    held_out: float = 0.0


def dealing_bytes(words: int, blocks: int, threads: int) -> int:
    """Return the memory that dealing takes beside the entries: chunks on their way, and tables of tiles."""
    return threads * max(CHUNK_ENTRIES, words) * 40 + blocks * blocks * 32


def deal(cooc: Cooc, dealing: Dealing, grid: Grid, seed: int, threads: int, stage: Stage, scratch: Path | None = None) -> Tiles:
    """Deal all entries of a matrix to tiles and shuffle each.

    The stage advances by half the entries when they are counted, and by the rest when they are dealt. The entries go to
    the file `scratch` if it is given.
    """
    blocks, cuts = grid.blocks, grid.cuts
    column_blocks = np.repeat(np.arange(blocks, dtype=np.int32), np.diff(cuts))
    skipped, sizes = int(dealing.skip_diagonal), np.zeros(blocks * blocks, np.int64)

    def count(job: _Job) -> None:
        factoring.count_tiles(job.starts, job.columns, job.first, job.row_block, column_blocks, blocks, skipped, sizes)
        stage.advance(job.entries / 2)

    def place(job: _Job) -> None:
        for part in job.chunks():
            begin, end = part.starts[0], part.starts[-1]
            pair = dealing.transform((part.values[begin:end] / cooc.denominator).astype(np.float32))
            factoring.deal_rows(
                part.starts, part.columns, *pair, part.first, part.row_block, column_blocks, cuts, dealing.shifts, skipped,
                fill, entries.places, entries.targets, entries.weights,
            )  # fmt: skip
            stage.advance(part.entries / 2)

    with ThreadPoolExecutor(threads) as pool:
        _for_all_rows(cooc, cuts, pool, count)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        entries = Entries.empty(int(starts[-1]), scratch)
        fill = starts[:-1].copy()
        _for_all_rows(cooc, cuts, pool, place)
        stops = starts[1:].copy()
        rest, key = (entries.places, entries.targets, entries.weights), np.uint64(seed % 2**64)
        share = np.uint64(dealing.held_out * 2.0**64)

        def shuffle(row: int) -> None:
            stretch = starts, row * blocks, (row + 1) * blocks
            factoring.shuffle_tiles(*stretch, key, *rest)
            if share:
                factoring.hold_out(*stretch, cuts, key, share, *rest, stops)

        list(pool.map(shuffle, range(blocks)))
    return Tiles(grid, starts, stops, entries)


@dataclass(frozen=True)
class _Job:
    """The rows from `first` on that one row block has in one block of the matrix."""

    row_block: int
    first: int
    starts: Numbers
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[Any]

    @property
    def entries(self) -> int:
        return int(self.starts[-1] - self.starts[0])

    def chunks(self) -> Iterator[_Job]:
        """Cut into stretches of rows with a bounded number of entries, or one row."""
        for a, b in cut_rows(np.diff(self.starts), CHUNK_ENTRIES):
            yield _Job(self.row_block, self.first + a, self.starts[a : b + 1], self.columns, self.values)


def _for_all_rows(cooc: Cooc, cuts: Numbers, pool: ThreadPoolExecutor, work: Callable[[_Job], None]) -> None:
    """Run `work` on all rows; never on the same row block in two threads, and in the order of the rows within it."""
    for block in cooc.blocks:
        list(pool.map(work, _jobs(cooc, block, cuts)))


def _jobs(cooc: Cooc, block: Block, cuts: Numbers) -> Iterator[_Job]:
    columns, values = cooc.block_integers(block)
    begin = cooc.row_offsets[block.first]
    for row_block in range(
        int(np.searchsorted(cuts, block.first, "right")) - 1, int(np.searchsorted(cuts, block.last, "left"))
    ):
        first, last = max(int(cuts[row_block]), block.first), min(int(cuts[row_block + 1]), block.last)
        yield _Job(row_block, first, cooc.row_offsets[first : last + 1] - begin, columns, values)


def strata(sides: int, seed: int, epoch: int, *, tied: bool = False) -> tuple[list[Numbers], int]:
    """Return the strata of an epoch, and a number by which the order within pairs is rotated.

    A stratum is (k, m) int64: k units that share no row and no column, each of m pairs of groups for one thread. Free
    vectors have the diagonals of a random Latin square, m = 1. Tied ones, where a group of columns stands for rows too, have
    the rounds of a round-robin tournament, m = 2 (a pair and its mirror image), and one round of the pairs on the diagonal.
    """
    random = np.random.Generator(np.random.PCG64([seed, epoch + 1]))  # [seed, 0] would be the stream of the initial values
    found = _rounds(sides, random) if tied else _diagonals(sides, random)
    return found, int(random.integers(1 << 30))


def _diagonals(sides: int, random: np.random.Generator) -> list[Numbers]:
    columns, order = random.permutation(sides), random.permutation(sides)
    rows = np.arange(sides)
    return [(rows * sides + columns[(rows + k) % sides])[:, None] for k in order]


def _rounds(sides: int, random: np.random.Generator) -> list[Numbers]:
    """Return the rounds by the circle method: one player stays, the others move on; with an odd number one has a rest."""
    players = random.permutation(sides + sides % 2)
    last = len(players) - 1
    found = [np.arange(sides)[:, None] * (sides + 1)]
    for k in range(last):
        steps = np.arange(1, (last + 1) // 2)
        a = players[np.concatenate([[last], (k + steps) % last])]
        b = players[np.concatenate([[k], (k - steps) % last])]
        there = (a < sides) & (b < sides)
        a, b = a[there], b[there]
        if len(a):
            found.append(np.stack([a * sides + b, b * sides + a], 1))
    return [found[k] for k in random.permutation(len(found))]


def share(stratum: Numbers, sizes: Numbers, threads: int) -> list[Numbers]:
    """Deal a stratum's units to threads: the largest first, each to the least loaded thread; empty ones to none."""
    load = [0] * threads
    parts: list[list[int]] = [[] for _ in range(threads)]
    work = sizes[stratum].sum(1)
    for unit in np.argsort(-work, kind="stable").tolist():
        if work[unit] == 0:
            break
        least = load.index(min(load))
        parts[least] += stratum[unit].tolist()
        load[least] += int(work[unit])
    return [np.array(part, np.int64) for part in parts]

"""The co-occurrence matrix dealt into tiles, and the order in which threads may visit them.

A tile is a block of rows times a block of columns, small enough that its parameters stay in the cache. Words are dealt to
blocks in turn, so that every block is a fair sample of frequent and rare words: all tiles have about the same size, and the
last one visited does not bias the parameters. Adjacent blocks form groups, and a thread takes all tiles of a pair of groups,
consecutive ones sharing a row or a column of blocks. A stratum is a set of pairs that share no row and no column: threads
that work on it never conflict, and the result is the same for any number of them. Grid and strata depend only on the
number of words, the size of a row of parameters and the seed.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import tiles
from cooc_engine._kernels.tiles import DealtValues, DealtWords, TileEntries, TileRow
from cooc_engine.counts.directory import Block, Cooc
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.threads import cut_by_cost
from cooc_engine.runtime.types import Matrix, Rows
from cooc_engine.storage.scratch import map_nameless

__all__ = [
    "ENTRY_BYTES", "Dealing", "Extent", "Grid", "Order", "Room", "Tiles", "Transform", "deal", "dealing_bytes", "order_of",
    "room_in", "share",
]  # fmt: skip

ENTRY_BYTES = 12
BLOCK_BYTES = 1 << 20  # bytes of parameters per block: half as many are slower with 1 MiB of L2 cache (scripts/lab.py)
GROUP_BLOCKS = 4  # consecutive tiles share a side: a fifth faster than single tiles; 8 raise the final loss (scripts/lab.py)
LEAST_BLOCKS = 128  # with fewer, the last tiles of an epoch weigh more in the final loss, and threads may lack work
MOST_BLOCKS = 1 << 11  # for millions of words, so that the table of tiles stays small
MOST_ROWS = 1 << 16
CHUNK_ENTRIES = 1 << 18  # entries dealt at a time by a thread

Transform = Callable[[Matrix], tuple[Matrix, Matrix]]
Room = Callable[[int], tuple[TileEntries, "mmap.mmap | None"]]  # allocates entries; returns a file's mapping too


@dataclass(frozen=True)
class Grid:
    """`words` dealt in turn to `blocks` of equal height: word w is row w // blocks of block w mod blocks.

    Every `group` blocks form a group; the number of blocks is a multiple of it, and some of the last rows may be empty.
    """

    words: int
    blocks: int
    group: int

    @classmethod
    def of(cls, words: int, row_bytes: int, *, tied: bool = False) -> Grid:
        """Choose the grid for parameters with rows of `row_bytes` bytes.

        A tile updates `tied` parameters twice, as rows and as columns: they get twice as many blocks, each a group by itself.
        """
        least, group = (2 * LEAST_BLOCKS, 1) if tied else (LEAST_BLOCKS, GROUP_BLOCKS)
        blocks = min(max(words * row_bytes // BLOCK_BYTES, least), MOST_BLOCKS, words)
        blocks = max(blocks, -(-words // MOST_ROWS))
        return cls(words, -(-blocks // group) * group, group)

    @property
    def height(self) -> int:
        """Number of rows in a block."""
        return -(-self.words // self.blocks)

    @property
    def rows(self) -> int:
        """Number of rows in all blocks, including empty ones."""
        return self.blocks * self.height

    @property
    def sides(self) -> int:
        """Number of groups per side of the grid, G."""
        return self.blocks // self.group

    def row_of(self, words: Rows) -> Rows:
        """Return the rows of words in block order."""
        return words % self.blocks * self.height + words // self.blocks

    def by_pair(self, sizes: Rows) -> Rows:
        """Sum the sizes of tiles (B·B,) to sizes of pairs of groups (G·G,)."""
        table: Rows = sizes.reshape(self.sides, self.group, self.sides, self.group).sum((1, 3)).ravel()
        return table


def room_in(directory: Path | None) -> Room:
    """Return where `deal` puts entries: in memory, or in an unnamed file in a directory."""
    return functools.partial(_room_for, directory=directory)


def _room_for(size: int, directory: Path | None) -> tuple[TileEntries, mmap.mmap | None]:
    if directory is None:
        return TileEntries(np.empty(size, np.uint32), np.empty(size, np.float32), np.empty(size, np.float32)), None
    mapping = map_nameless(directory, max(ENTRY_BYTES * size, 1))
    targets, weights = (np.frombuffer(mapping, np.float32, size, part * 4 * size) for part in (1, 2))
    return TileEntries(np.frombuffer(mapping, np.uint32, size), targets, weights), mapping


@dataclass(frozen=True)
class Extent:
    """How many entries there are: (G·G,) `sizes`, those to train on in each pair of groups, and those held out.

    losses   (B,) sum of ½ f target² over the entries of each row of blocks, which is their loss for vectors of zeros
    """

    sizes: Rows
    held_out: int
    losses: npt.NDArray[np.float64]

    @property
    def trained(self) -> int:
        """Number of training entries."""
        return int(self.sizes.sum())

    @property
    def untrained(self) -> float:
        """The mean loss of all entries for vectors of zeros."""
        return float(self.losses.sum()) / (self.trained + self.held_out)


@dataclass(frozen=True)
class Tiles:
    """Entries by tile: tile t = i B + j has the entries starts[t]:starts[t + 1], of which those from stops[t] are held out.

    losses    as in `Extent`
    mapping   the mapped file of the entries, if they are on disk
    """

    grid: Grid
    starts: Rows
    stops: Rows
    entries: TileEntries
    losses: npt.NDArray[np.float64]
    mapping: mmap.mmap | None = None

    @property
    def extent(self) -> Extent:
        """How many entries there are."""
        return Extent(self.sizes, self.held_out, self.losses)

    @property
    def sizes(self) -> Rows:
        """(G·G,) number of training entries in each pair of groups."""
        return self.grid.by_pair(self.stops - self.starts[:-1])

    @property
    def trained(self) -> int:
        """Number of training entries."""
        return int((self.stops - self.starts[:-1]).sum())

    @property
    def held_out(self) -> int:
        """Number of held-out entries."""
        return int(self.starts[-1]) - self.trained

    def expect(self, pairs: Rows) -> None:
        """Ask the system to read ahead the entries of these pairs of groups, if they are on disk."""
        if self.mapping is None:
            return
        grid = self.grid
        for pair in pairs.ravel().tolist():
            rows, columns = divmod(pair, grid.sides)
            for i in range(rows * grid.group, (rows + 1) * grid.group):
                first = i * grid.blocks + columns * grid.group
                self._advise(self.mapping, int(self.starts[first]), int(self.starts[first + grid.group]))

    def _advise(self, mapping: mmap.mmap, begin: int, end: int) -> None:
        for part in range(3 if begin < end else 0):
            first = 4 * (part * len(self.entries.places) + begin) // mmap.PAGESIZE * mmap.PAGESIZE
            mapping.madvise(mmap.MADV_WILLNEED, first, 4 * (part * len(self.entries.places) + end) - first)


@dataclass(frozen=True)
class Dealing:
    """What counts become: `transform` gives their targets and weights; `shifts` (V,) of row and column are subtracted from the
    targets; `skip_diagonal` leaves out pairs of a word with itself; a share `held_out` is not trained on.
    """  # fmt: skip

    transform: Transform
    shifts: Matrix
    skip_diagonal: bool = False
    held_out: float = 0.0


def dealing_bytes(words: int, blocks: int, threads: int) -> int:
    """Return the bytes that dealing takes besides the entries: chunks in progress, and tables of tiles."""
    return threads * max(CHUNK_ENTRIES, words) * 40 + blocks * blocks * 32


def deal(
    cooc: Cooc,
    dealing: Dealing,
    grid: Grid,
    seed: int,
    threads: int,
    stage: Stage,
    room: Room | None = None,
    rows: range | None = None,
) -> Tiles:
    """Deal all entries of a matrix, or of some `rows` of blocks of the grid, to tiles and shuffle each.

    The stage advances by half of the entries when they are counted, and by the other half when they are dealt.
    """
    blocks, rows = grid.blocks, range(grid.blocks) if rows is None else rows
    skipped, sizes = int(dealing.skip_diagonal), np.zeros(blocks * blocks, np.int64)

    def count(some: _Rows) -> None:
        tiles.count_tiles(DealtWords(some.first, blocks, skipped), some.spans, some.columns, sizes)
        stage.advance(some.entries / 2)

    def place(some: _Rows) -> None:
        for part in some.chunks(blocks):
            pair = dealing.transform((part.gathered() / cooc.denominator).astype(np.float32))
            words, values = DealtWords(part.first, blocks, skipped), DealtValues(*pair, dealing.shifts)
            tiles.deal_rows(words, part.spans, part.columns, values, fill, entries)
            stage.advance(part.entries / 2)

    with ThreadPoolExecutor(threads) as pool:
        _for_all_rows(cooc, blocks, rows, pool, count)
        starts = offsets_of(sizes)
        entries, mapping = (room or room_in(None))(int(starts[-1]))
        fill = starts[:-1].copy()
        _for_all_rows(cooc, blocks, rows, pool, place)
        stops = starts[1:].copy()
        key, losses = np.uint64(seed % 2**64), np.zeros(blocks)
        share = np.uint64(dealing.held_out * 2.0**64)

        def shuffle(row: int) -> None:
            losses[row] = _loss_of_zeros(entries, int(starts[row * blocks]), int(starts[(row + 1) * blocks]))
            some = TileRow(starts, row, blocks)
            tiles.shuffle_tiles(some, key, entries)
            if share:
                tiles.hold_out(some, key, share, entries, stops)

        list(pool.map(shuffle, rows))
    return Tiles(grid, starts, stops, entries, losses, mapping)


def _loss_of_zeros(entries: TileEntries, begin: int, end: int) -> float:
    """Return the sum of ½ f target² over entries begin:end."""
    loss = 0.0
    for first in range(begin, end, CHUNK_ENTRIES):
        some = slice(first, min(first + CHUNK_ENTRIES, end))
        targets = entries.targets[some].astype(np.float64)
        loss += 0.5 * float(np.dot(entries.weights[some] * targets, targets))
    return loss


@dataclass(frozen=True)
class _Rows:
    """Words `first`, `first` + B, … of one row block of the grid, as far as they are in one block of the matrix.

    spans (n, 2) int64: begin and end of the entries of each word in the `columns` and `values` of the block
    """

    first: int
    spans: Rows
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[Any]

    @property
    def lengths(self) -> Rows:
        return self.spans[:, 1] - self.spans[:, 0]

    @property
    def entries(self) -> int:
        return int(self.lengths.sum())

    def chunks(self, blocks: int) -> Iterator[_Rows]:
        """Split into ranges of rows with a bounded number of entries, or a single row."""
        for a, b in cut_by_cost(self.lengths, CHUNK_ENTRIES):
            yield _Rows(self.first + a * blocks, self.spans[a:b], self.columns, self.values)

    def gathered(self) -> npt.NDArray[Any]:
        """Return the values of all rows, concatenated."""
        return np.concatenate([self.values[begin:end] for begin, end in self.spans.tolist()])


def _for_all_rows(cooc: Cooc, blocks: int, rows: range, pool: ThreadPoolExecutor, work: Callable[[_Rows], None]) -> None:
    """Run `work` on these row blocks, in order within each and never on the same row block in two threads."""
    for block in cooc.blocks:
        list(pool.map(work, _row_blocks(cooc, block, blocks, rows)))


def _row_blocks(cooc: Cooc, block: Block, blocks: int, rows: range) -> Iterator[_Rows]:
    columns, values = cooc.block_integers(block)
    offsets = cooc.row_offsets[block.first : block.last + 1] - cooc.row_offsets[block.first]
    for k in sorted((row - block.first) % blocks for row in rows):
        if k >= block.last - block.first:
            break
        yield _Rows(block.first + k, np.stack([offsets[:-1][k::blocks], offsets[1:][k::blocks]], 1), columns, values)


class Order(NamedTuple):
    """The order of an epoch: its strata, and a number by which the order of the tiles within pairs is rotated.

    A stratum is (k, m) int64: k units that share no row and no column, each of m pairs of groups for one thread.
    """

    strata: list[Rows]
    turn: int


def order_of(sides: int, seed: int, epoch: int, *, tied: bool = False) -> Order:
    """Return the order of an epoch for a grid of so many groups per side.

    Untied vectors use the diagonals of a random Latin square, m = 1. Tied vectors, where a group of columns is also one of
    rows, use the rounds of a round-robin tournament, m = 2 (a pair and its mirror image), and one round of the pairs on the
    diagonal.
    """
    random = np.random.Generator(np.random.PCG64([seed, epoch + 1]))  # [seed, 0] would be the stream of the initial values
    found = _rounds(sides, random) if tied else _diagonals(sides, random)
    return Order(found, int(random.integers(1 << 30)))


def _diagonals(sides: int, random: np.random.Generator) -> list[Rows]:
    columns, order = random.permutation(sides), random.permutation(sides)
    rows = np.arange(sides)
    return [(rows * sides + columns[(rows + k) % sides])[:, None] for k in order]


def _rounds(sides: int, random: np.random.Generator) -> list[Rows]:
    """Return the rounds of a tournament by the circle method: one player stays, the others rotate; one sits out if odd."""
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


def share(stratum: Rows, sizes: Rows, threads: int) -> list[Rows]:
    """Distribute a stratum's units over threads: largest first, each to the least loaded thread; empty units to none."""
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

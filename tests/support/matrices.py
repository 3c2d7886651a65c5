"""A small matrix, grids that cut it into many tiles, and the order in which kernels visit them: for tests of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.matrix import glove
from cooc_engine.matrix.adagrad import Parameters, Shape
from cooc_engine.matrix.tiles import Grid, Tiles, deal, order_of
from cooc_engine.runtime.progress import Stage

BLOCKS = 5  # so that the small matrix makes a grid of many tiles
ANIMALS = [f"animal{i}" for i in range(15)]
METALS = [f"metal{i}" for i in range(15)]


def topics() -> list[list[str]]:
    """Documents on one of two topics, with common words and a few of the other topic in between."""
    rng = np.random.default_rng(11)
    common = [f"the{i}" for i in range(10)]
    choices = [(ANIMALS, METALS, common), (METALS, ANIMALS, common)] * 60
    return [[str(rng.choice(choice[k])) for k in rng.choice(3, 20, p=[0.6, 0.1, 0.3])] for choice in choices]


def make_cooc(at: Path, options: CountOptions) -> Cooc:
    return count(encode_documents(topics(), at / "corpus", EncodeOptions(min_count=1)), at / "cooc", options)


def cut_into(monkeypatch, blocks: int, group: int = 1) -> None:
    """Have all grids cut into so many blocks, and groups of so many."""
    monkeypatch.setattr(Grid, "of", lambda words, row_bytes, **tied: Grid(words, blocks, group))


def random_parameters(words: int, shape: Shape, seed: int) -> Parameters:
    """Parameters with a row for each word in turn."""
    return Parameters.random(shape, Grid(words, 1, 1), seed)


def same_bits(*models) -> bool:
    first = models[0]
    return all(np.array_equal(first.array(n), other.array(n)) for other in models[1:] for n in first.names)


def kernel_order(tiles: Tiles, options, *, tied: bool = False) -> Iterator[list[tuple[int, int, int]]]:
    """Yield for each epoch all entries (place in the tiles, row, column), as the kernel visits them on one thread."""
    for epoch in range(options.epochs):
        visits = []
        order = order_of(tiles.grid.sides, options.seed, epoch, tied=tied)
        for pair in np.concatenate([stratum.ravel() for stratum in order.strata]).tolist():
            for i, j in there_and_back(tiles.grid, pair, order.turn):
                tile = i * tiles.grid.blocks + j
                for p in range(int(tiles.starts[tile]), int(tiles.stops[tile])):
                    visits.append((p, *words_of(tiles, tile, p)))
        yield visits


def words_of(tiles: Tiles, tile: int, p: int) -> tuple[int, int]:
    """The words of entry p, which stands in this tile: every B-th word is in the same block."""
    places, blocks = divmod(int(tiles.entries.places[p]), 1 << 16), divmod(tile, tiles.grid.blocks)
    row, column = (block + tiles.grid.blocks * place for block, place in zip(blocks, places, strict=True))
    return row, column


def there_and_back(grid: Grid, pair: int, turn: int) -> Iterator[tuple[int, int]]:
    """The tiles of a pair of groups in the kernel's order: each shares a side with the one before."""
    rows, columns = (list(range(side * grid.group, (side + 1) * grid.group)) for side in divmod(pair, grid.sides))
    rows, columns = (blocks[turn % len(blocks) :] + blocks[: turn % len(blocks)] for blocks in (rows, columns))
    for k, i in enumerate(rows):
        for j in columns[:: 1 if k % 2 == 0 else -1]:
            yield i, j


def tiles_of(cooc: Cooc, options, dealing=glove.glove_dealing, shape: Shape | None = None) -> Tiles:
    shape = shape or Shape(options.vector_size)
    grid = Grid.of(len(cooc.vocabulary), shape.row_bytes, tied=shape.tied)
    return deal(cooc, dealing(cooc, options), grid, options.seed, 1, Stage("deal", None, "entries"))


def entries(cooc: Cooc) -> Iterator[tuple[int, int, float]]:
    for row, columns, values in cooc.rows():
        yield from ((row, column, x) for column, x in zip(columns.tolist(), values.tolist(), strict=True))


@contextmanager
def never() -> Iterator:
    yield lambda: False


def interrupt_at(monkeypatch, stratum: int) -> None:
    """Have Ctrl-C asked for just when so many strata have been done by this run."""
    done = iter(range(1, 1 << 30))

    @contextmanager
    def deferred() -> Iterator:
        yield lambda: next(done) == stratum

    monkeypatch.setattr(glove, "deferred_interrupt", deferred)

"""Every entry goes to the right tile once, every tile to one stratum and one thread."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine import cooc as cooc_module
from cooc_engine._kernels import factoring
from cooc_engine.config import CountOptions, EncodeOptions
from cooc_engine.cooc import Cooc, count
from cooc_engine.corpus import encode_documents
from cooc_engine.progress import Stage
from cooc_engine.tiles import MOST_BLOCKS, MOST_ROWS, PARTS, Dealing, Entries, Grid, Tiles, cut_blocks, deal, share, strata


def make_cooc(at: Path, side: str, block_entries: int) -> Cooc:
    """A matrix of 60 words, most of them rare, cut into many row blocks."""
    rng = np.random.default_rng(3)
    texts = [[f"w{min(k, 60)}" for k in rng.geometric(0.06, 25)] for _ in range(60)]
    corpus = encode_documents(texts, at / "corpus", EncodeOptions(min_count=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cooc_module, "BLOCK_ENTRIES", block_entries)
        return count(corpus, at / "cooc", CountOptions(window=4, context_side=side))


@pytest.fixture(scope="module", params=[("both", 400), ("left", 400), ("both", 1 << 25)], ids=str)
def matrix(request, tmp_path_factory) -> Cooc:
    cooc = make_cooc(tmp_path_factory.mktemp("tiles"), *request.param)
    assert (len(cooc.blocks) > 3) == (request.param[1] == 400)
    return cooc


def as_targets_and_weights(counts):
    """Both different functions of the count, so that neither can stand for the other."""
    return counts, counts * np.float32(0.5) + np.float32(1)


def dealt(cooc: Cooc, cuts: list[int] | None = None, seed: int = 1, threads: int = 2, scratch=None, **dealing) -> Tiles:
    stage = Stage("deal", cooc.entries, "entries")
    what = Dealing(as_targets_and_weights, **{"shifts": np.zeros(len(cooc.vocabulary), np.float32), **dealing})
    tiles = deal(cooc, what, grid_of(cooc, cuts), seed, threads, stage, scratch)
    assert stage.done == stage.total
    return tiles


def grid_of(cooc: Cooc, cuts: list[int] | None) -> Grid:
    """A grid of these blocks, two to a group."""
    if cuts is None:
        return Grid.of(cooc.row_offsets, 1 << 17)
    blocks = len(cuts) - 1
    return Grid(np.array(cuts, np.int64), np.array([*range(0, blocks, 2), blocks], np.int64))


def entries_of(tiles: Tiles, tile: int) -> list[tuple[int, int, float, float]]:
    """Entries of a tile in its order: row, column, target, weight."""
    part = slice(int(tiles.starts[tile]), int(tiles.starts[tile + 1]))
    cuts, blocks, places = tiles.grid.cuts, tiles.grid.blocks, tiles.entries.places[part].astype(np.int64)
    rows = cuts[tile // blocks] + (places >> 16)
    columns = cuts[tile % blocks] + (places & 0xFFFF)
    values = rows, columns, tiles.entries.targets[part], tiles.entries.weights[part]
    return list(zip(*(value.tolist() for value in values), strict=True))


CUTS = [None, [0, 1, 2, 30, 31, -1], [0, -1], [0, 20, 40, -1]]


def whole(cuts: list[int] | None, cooc: Cooc) -> list[int] | None:
    return cuts and [len(cooc.vocabulary) if c < 0 else c for c in cuts]


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_every_entry_is_dealt_once_to_the_tile_of_its_row_and_column(matrix, cuts):
    tiles = dealt(matrix, whole(cuts, matrix))
    found, cuts = {}, tiles.grid.cuts
    for tile in range(tiles.grid.blocks**2):
        i, j = divmod(tile, tiles.grid.blocks)
        for row, column, target, weight in entries_of(tiles, tile):
            assert cuts[i] <= row < cuts[i + 1]
            assert cuts[j] <= column < cuts[j + 1]
            assert (row, column) not in found
            found[row, column] = target, weight
    expected = {}
    for row, columns, counts in matrix.rows():
        for column, value in zip(columns.tolist(), counts.astype(np.float32).tolist(), strict=True):
            expected[row, column] = value, value * 0.5 + 1
    assert found.keys() == expected.keys()
    for place, pair in expected.items():
        assert found[place] == pytest.approx(pair, rel=1e-6)
    assert tiles.sizes.sum() == tiles.trained == matrix.entries == len(tiles.entries.places)
    assert len(tiles.sizes) == tiles.grid.sides**2
    assert tiles.held_out == 0


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_tiles_do_not_depend_on_threads(matrix, cuts):
    one, *others = (dealt(matrix, whole(cuts, matrix), threads=threads) for threads in (1, 2, 3, 4))
    for other in others:
        assert same_tiles(one, other)


def same_tiles(one: Tiles, other: Tiles) -> bool:
    pairs = [(one.starts, other.starts), (one.stops, other.stops), (one.grid.cuts, other.grid.cuts)]
    pairs += [(getattr(one.entries, name), getattr(other.entries, name)) for name in ("places", "targets", "weights")]
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_entries_on_the_disk_are_those_in_memory_and_leave_no_file(matrix, tmp_path, held_out):
    mapped = dealt(matrix, whole([0, 20, 40, -1], matrix), scratch=tmp_path / "tiles", held_out=held_out)
    assert same_tiles(mapped, dealt(matrix, whole([0, 20, 40, -1], matrix), held_out=held_out))
    assert mapped.entries.mapping is not None
    assert not list(tmp_path.iterdir())
    for pair in range(mapped.grid.sides**2):
        mapped.expect(np.array([pair]))  # any of them, the first and the last


def test_a_disk_without_room_is_known_before_anything_is_dealt(tmp_path, monkeypatch):
    def full(descriptor: int, begin: int, size: int) -> None:
        assert size == 12_000
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        Entries.empty(1000, tmp_path / "tiles")
    assert not list(tmp_path.iterdir())


def test_the_diagonal_can_be_left_out(matrix):
    diagonal = sum(row in columns for row, columns, _ in matrix.rows())
    tiles = dealt(matrix, whole([0, 20, 40, -1], matrix), skip_diagonal=True)
    found = [entry[:2] for tile in range(tiles.grid.blocks**2) for entry in entries_of(tiles, tile)]
    assert all(row != column for row, column in found)
    assert len(found) == len(set(found)) == matrix.entries - diagonal == len(tiles.entries.places)
    assert diagonal


def test_targets_are_lowered_by_the_shifts_of_row_and_column(matrix):
    shifts = np.random.default_rng(1).normal(size=len(matrix.vocabulary)).astype(np.float32)
    plain, shifted = (dealt(matrix, whole([0, 30, -1], matrix), shifts=s) for s in (shifts * 0, shifts))
    for tile in range(4):
        for one, other in zip(entries_of(plain, tile), entries_of(shifted, tile), strict=True):
            assert one[:2] == other[:2]
            assert other[2] == pytest.approx(one[2] - shifts[one[0]] - shifts[one[1]], abs=1e-4)
            assert other[3] == one[3]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_share_of_the_entries_is_held_out_with_their_mirror_images(matrix, share):
    tiles = dealt(matrix, whole([0, 20, 40, -1], matrix), held_out=share)
    kept, held = set(), set()
    for tile in range(tiles.grid.blocks**2):
        trained = int(tiles.stops[tile] - tiles.starts[tile])
        entries = [entry[:2] for entry in entries_of(tiles, tile)]
        kept |= set(entries[:trained])
        held |= set(entries[trained:])
    assert len(kept) == tiles.trained == tiles.sizes.sum()
    assert len(held) == tiles.held_out
    assert len(kept | held) == matrix.entries
    assert not {(j, i) for i, j in held} & kept
    spread = 4 * (share * (1 - share) * matrix.entries * 2) ** 0.5
    assert abs(len(held) - share * matrix.entries) < spread
    other = dealt(matrix, whole([0, 30, -1], matrix), held_out=share, threads=1)
    assert other.held_out == tiles.held_out, "it depends on the words and the seed alone"


def test_row_blocks_of_the_disk_do_not_matter(tmp_path):
    for name, block_entries in (("one", 1 << 25), ("many", 300)):
        (tmp_path / name).mkdir()
        tiles = dealt(make_cooc(tmp_path / name, "both", block_entries), [0, 7, 20, len_words(tmp_path / name)])
        if name == "one":
            first = tiles
    assert same_tiles(first, tiles)


def len_words(at: Path) -> int:
    return len(Cooc(at / "cooc").vocabulary)


def test_tiles_are_shuffled_by_the_seed(matrix):
    cuts = whole([0, 30, -1], matrix)
    tiles, again, other = (dealt(matrix, cuts, seed) for seed in (1, 1, 2))
    assert same_tiles(tiles, again)
    sizes = np.diff(tiles.starts)
    for tile in np.flatnonzero(sizes > 20):
        order, other_order = ([entry[:2] for entry in entries_of(t, tile)] for t in (tiles, other))
        assert order != sorted(order)
        assert order != other_order
        assert sorted(order) == sorted(other_order)
    assert sizes.max() > 20


def test_tiles_of_one_size_are_shuffled_each_in_its_own_way():
    starts, places = np.array([0, 50, 100, 150]), np.tile(np.arange(50, dtype=np.uint32), 3)
    factoring.shuffle_tiles(starts, 0, 3, np.uint64(1), places, np.zeros(150, np.float32), np.zeros(150, np.float32))
    orders = places.reshape(3, 50)
    assert (np.sort(orders, axis=1) == np.arange(50)).all()
    assert len({order.tobytes() for order in orders}) == 3


def test_shuffles_are_fair(tmp_path):
    """Over seeds, each of the entries of a small tile is first about equally often (chi-square, 5 degrees)."""
    corpus = encode_documents(["a b c"], tmp_path / "corpus", EncodeOptions(min_count=1))
    cooc = count(corpus, tmp_path / "cooc")
    assert cooc.entries == 6
    firsts = [entries_of(dealt(cooc, [0, 3], seed, 1), 0)[0][:2] for seed in range(600)]
    seen = np.unique(np.array(firsts), axis=0, return_counts=True)[1]
    assert len(seen) == 6
    assert ((seen - 100) ** 2 / 100).sum() < 20.5  # passed by chance in 999 of 1000; seeds are fixed


# ------------------------------------------------------------------------------------------------------------ cutting


@settings(deadline=None, max_examples=100)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=80), rows=st.integers(1, 30), blocks=st.integers(1, 12))
def test_blocks_keep_to_rows_and_entries(lengths, rows, blocks):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    cuts = cut_blocks(offsets, rows, blocks).tolist()
    assert cuts[0] == 0
    assert cuts[-1] == len(lengths)
    most = max(1, sum(lengths) // blocks)
    for first, last in itertools.pairwise(cuts):
        assert 1 <= last - first <= rows
        entries = sum(lengths[first:last])
        assert entries <= most or last - first == 1
        full = last - first == rows or last == len(lengths)
        assert full or entries + lengths[last] > most, "a block could have taken one more row"


@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=120), row_bytes=st.sampled_from([1 << 16, 1 << 18, 1 << 22]))
def test_groups_cover_the_blocks_and_sizes_add_up(lengths, row_bytes):
    grid = Grid.of(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), row_bytes)
    assert grid.groups[0] == 0
    assert grid.groups[-1] == grid.blocks
    assert (np.diff(grid.groups) >= 1).all()
    assert (np.diff(grid.groups) <= 8).all()
    sizes = np.arange(grid.blocks**2)
    pairs = grid.by_pair(sizes)
    assert pairs.sum() == sizes.sum()
    first = sizes.reshape(grid.blocks, -1)[: grid.groups[1], : grid.groups[1]]
    assert pairs[0] == first.sum()


def test_the_table_of_tiles_stays_small_for_millions_of_words():
    grid = Grid.of(np.arange(3_000_001, dtype=np.int64), 2432)
    assert grid.blocks <= MOST_BLOCKS + PARTS
    assert grid.sides < 300


def test_blocks_never_have_more_rows_than_a_place_holds():
    cuts = cut_blocks(np.zeros(200_001, np.int64), 1 << 20)
    assert np.diff(cuts).max() == MOST_ROWS == 1 << 16


# ------------------------------------------------------------------------------------------------------------- strata


@settings(deadline=None, max_examples=80)
@given(sides=st.integers(1, 40), seed=st.integers(0, 2**70), epoch=st.integers(0, 50), tied=st.booleans())
def test_strata_cover_each_pair_once_and_units_share_no_row_or_column(sides, seed, epoch, tied):
    order, turn = strata(sides, seed, epoch, tied=tied)
    assert sorted(np.concatenate([stratum.ravel() for stratum in order]).tolist()) == list(range(sides**2))
    for stratum in order:
        for side in (stratum // sides, stratum % sides):
            groups = [set(unit) for unit in side.tolist()]
            assert sum(map(len, groups)) == len(set().union(*groups)), "a group stands in two units"
        if tied:
            units = [set(unit) for unit in np.hstack([stratum // sides, stratum % sides]).tolist()]
            assert sum(map(len, units)) == len(set().union(*units)), "rows of one unit are columns of another"
    again, turn_again = strata(sides, seed, epoch, tied=tied)
    assert turn == turn_again
    assert all(np.array_equal(a, b) for a, b in zip(order, again, strict=True))


@pytest.mark.parametrize("sides", [2, 7, 48])
def test_strata_are_as_few_as_they_can_be(sides):
    assert len(strata(sides, 1, 0)[0]) == sides
    assert len(strata(sides, 1, 0, tied=True)[0]) == sides + sides % 2


@pytest.mark.parametrize("tied", [False, True])
def test_strata_change_with_epoch_and_seed(tied):
    orders = set()
    for seed, epoch in itertools.product(range(4), range(4)):
        orders.add(b"".join(stratum.tobytes() for stratum in strata(20, seed, epoch, tied=tied)[0]))
    assert len(orders) == 16


def test_the_first_epochs_strata_are_independent_of_the_initial_values():
    """Both are drawn by PCG64; a seed sequence ignores trailing zeros, so [seed, 0] would be the stream of seed."""
    for seed in range(5):
        same = np.random.Generator(np.random.PCG64(seed))
        columns, order, rows = same.permutation(20), same.permutation(20), np.arange(20)
        assert not np.array_equal(np.hstack(strata(20, seed, 0)[0]).T, rows * 20 + columns[(rows + order[:, None]) % 20])


# ------------------------------------------------------------------------------------------------------------ sharing


@settings(deadline=None, max_examples=100)
@given(sizes=st.lists(st.integers(0, 40), min_size=2, max_size=40), threads=st.integers(1, 6), data=st.data())
def test_every_unit_with_entries_is_dealt_to_one_thread(sizes, threads, data):
    pairs = data.draw(st.sampled_from([1, 2]))
    chosen = data.draw(st.permutations(range(len(sizes))))[: pairs * data.draw(st.integers(1, len(sizes) // pairs))]
    stratum, table = np.array(chosen, np.int64).reshape(-1, pairs), np.array(sizes, np.int64)
    parts = share(stratum, table, threads)
    assert len(parts) == threads
    work = {tuple(unit): int(table[unit].sum()) for unit in stratum.tolist()}
    assert sorted(np.concatenate(parts).tolist()) == sorted(t for unit, size in work.items() if size for t in unit)
    for part in parts:
        assert all(tuple(unit) in work for unit in part.reshape(-1, pairs).tolist()), "a unit is never divided"
    loads = [int(table[part].sum()) for part in parts]
    assert max(loads) <= sum(loads) / threads + max(work.values())  # what the largest-first rule promises

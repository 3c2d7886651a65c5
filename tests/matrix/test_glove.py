"""GloVe against its float64 twin, entry by entry in the kernel's order; the same bits however it was run."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.matrices import (
    ANIMALS,
    BLOCKS,
    METALS,
    cut_into,
    entries,
    interrupt_at,
    kernel_order,
    make_cooc,
    never,
    random_parameters,
    same_bits,
    tiles_of,
)  # fmt: skip
from twins import adagrad as naive

from cooc_engine._kernels import adagrad as kernels
from cooc_engine._kernels.adagrad import Rows, Walk
from cooc_engine._kernels.tiles import TileEntries
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import DivergenceError, FormatError, InputError, InterruptedRun, UsageError
from cooc_engine.matrix import adagrad, glove
from cooc_engine.matrix import visits as visiting
from cooc_engine.matrix.adagrad import Parameters, Shape
from cooc_engine.matrix.glove import log_counts, train_glove, train_simpler_glove
from cooc_engine.matrix.tiles import Tiles, deal
from cooc_engine.models import checkpoints, file
from cooc_engine.models.checkpoints import Checkpoint, checkpoint_path
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.versions import numpy_code
from cooc_engine.storage.scratch import aligned_zeros
from cooc_engine.vectors.query import Vectors


@pytest.fixture(scope="module")
def cooc(tmp_path_factory) -> Cooc:
    at = tmp_path_factory.mktemp("glove")
    return make_cooc(at, CountOptions(window=5))


@pytest.fixture
def small_tiles(monkeypatch) -> None:
    cut_into(monkeypatch, BLOCKS)


SMALL = GloveOptions(vector_size=12, epochs=3, x_max=10, seed=4)


# ------------------------------------------------------------------------------------------------ one entry at a time


def twin_of(parameters: Parameters) -> naive.Glove:
    return naive.Glove(**parameters.arrays(), by_rows=parameters.shape.by_rows)


def run_tile(parameters: Parameters, blocks: int, tile: int, entries, lr: float) -> float:
    """Visit entries (row, column, target, weight), all of one tile, by the kernel; returns the cost."""
    height = len(parameters.words) // blocks
    i, j = divmod(tile, blocks)
    places = [((row - i * height) << 16) | (column - j * height) for row, column, _, _ in entries]
    starts = np.zeros(blocks * blocks + 1, np.int64)
    starts[tile + 1 :] = len(entries)
    targets, weights = (np.array([entry[k] for entry in entries], np.float32) for k in (2, 3))
    costs = np.full(blocks * blocks, np.nan)
    train = kernels.train_glove_by_rows if parameters.shape.by_rows else kernels.train_glove
    train(
        Walk(np.array([tile]), 1, 0, starts[:-1], starts[1:]), TileEntries(np.array(places, np.uint32), targets, weights),
        Rows(parameters.words, parameters.contexts, height, parameters.shape.d), parameters.step(lr, 100), costs,
    )  # fmt: skip
    assert np.isnan(np.delete(costs, tile)).all()
    return float(costs[tile])


def assert_close(parameters: Parameters, twin: naive.Glove, *, rtol: float, atol: float) -> None:
    for name, values in parameters.arrays().items():
        np.testing.assert_allclose(values, getattr(twin, name), rtol=rtol, atol=atol, err_msg=name)


def assert_close_squares(parameters: Parameters, twin: naive.Glove, rtol: float) -> None:
    d, size, by_rows = parameters.shape.d, parameters.shape.size, parameters.shape.by_rows
    words, contexts = parameters.words[:, size:], parameters.contexts[:, size:]
    vectors, biases = (slice(1), (1, 1)) if by_rows else (slice(d), (d, d + 1))
    fused = words[:, vectors], contexts[:, vectors], words[:, biases[0]], contexts[:, biases[1]]
    for name, values, squares in zip(parameters.arrays(), fused, twin.squares, strict=True):
        expected = squares[:, vectors] if squares.ndim == 2 else squares
        np.testing.assert_allclose(values, expected, rtol=rtol, err_msg=f"squares of {name}")


def assert_constant(parameters: Parameters) -> None:
    """The 1 beside the own bias, and the padding, were not touched."""
    d, size, width, by_rows = parameters.shape.d, parameters.shape.size, parameters.shape.width, parameters.shape.by_rows
    for matrix, one in ((parameters.words, d + 1), (parameters.contexts, d)):
        assert (matrix[:, one] == 1).all()
        assert not matrix[:, d + 2 : size].any()
        unused = range(size + 2, width) if by_rows else [size + one, *range(size + d + 2, width)]
        assert (matrix[:, list(unused)] == 1).all()


sizes = st.sampled_from([1, 2, 13, 14, 15, 16, 17, 30, 100])


@settings(deadline=None, max_examples=80)
@given(
    d=sizes,
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.1, 1.0, 4.0]),
    target=st.floats(-3, 12, width=32),
    weight=st.floats(2**-10, 1, width=32),
    lr=st.sampled_from([0.001, 0.05, 0.5]),
)
def test_one_visit_is_the_twins_to_single_precision(d, seed, scale, target, weight, lr):
    """Values from anywhere, accumulators well above 1: one update agrees to a few units in the last place."""
    rng = np.random.default_rng(seed)
    parameters = random_parameters(6, Shape(d), seed)
    size = parameters.words.shape[1] // 2
    for matrix, columns in ((parameters.words, [*range(d), d]), (parameters.contexts, [*range(d), d + 1])):
        matrix[:, columns] = rng.normal(0, scale, (6, d + 1))
        matrix[:, [size + c for c in columns]] = rng.uniform(1, 9, (6, d + 1))
    twin = twin_of(parameters)
    twin.squares = [
        parameters.words[:, size : size + d].astype(float),
        parameters.contexts[:, size : size + d].astype(float),
        parameters.words[:, size + d].astype(float),
        parameters.contexts[:, size + d + 1].astype(float),
    ]
    cost = run_tile(parameters, 2, 1, [(2, 4, target, weight)], lr)
    products = np.abs(twin.words[2] * twin.contexts[4]).sum()
    terms = products + abs(twin.word_bias[2]) + abs(twin.context_bias[4]) + abs(target)
    off = 1e-6 * terms  # what rounding may do to the difference
    diff = abs(twin.difference(2, 4, target))
    assert twin.visit(2, 4, target, weight, lr) == pytest.approx(cost, rel=1e-5, abs=weight * off * (diff + off))
    largest = max(1.0, np.abs(twin.words).max(), np.abs(twin.contexts).max())
    assert_close(parameters, twin, rtol=1e-6, atol=max(lr, 1) * off * largest)
    assert_close_squares(parameters, twin, rtol=1e-5 + 20 * off)
    assert_constant(parameters)


def test_accumulators_divide_before_they_grow():
    """With lr 1 and a gradient of 2 the first step is 2, not 2/√5; the second is divided by √5."""
    parameters = random_parameters(1, Shape(1), 0)
    parameters.words[0, :2], parameters.contexts[0, 0], parameters.contexts[0, 2] = (1, 0), 2, 0
    run_tile(parameters, 1, 0, [(0, 0, 1, 1)], 1.0)  # diff = 2 - 1 = 1
    word, context = parameters.words[0], parameters.contexts[0]
    size = len(word) // 2
    assert (word[0], word[1], word[size], word[size + 1]) == (1 - 2, -1, 5, 2)
    assert (context[0], context[2], context[size], context[size + 2]) == (2 - 1, -1, 2, 2)
    run_tile(parameters, 1, 0, [(0, 0, -4, 1)], 1.0)  # diff = -1 - 2 + 4 = 1
    assert word[0] == pytest.approx(-1 - 1 / math.sqrt(5), rel=1e-6)
    assert context[0] == pytest.approx(1 + 1 / math.sqrt(2), rel=1e-6)
    assert word[1] == pytest.approx(-1 - 1 / math.sqrt(2), rel=1e-6)


@pytest.mark.parametrize("target", [30.0, -30.0])
def test_gradients_are_clipped_at_100_before_the_rate(target):
    parameters, lr = random_parameters(2, Shape(3), 0), 0.05
    parameters.words[0, :4] = (0, 50, -50, 0)
    parameters.contexts[1, :3] = (0.5, 0, 90)
    parameters.words[0, 2] = 0
    twin = twin_of(parameters)
    run_tile(parameters, 1, 0, [(0, 1, target, 1)], lr)
    twin.visit(0, 1, target, 1, lr)
    assert_close(parameters, twin, rtol=1e-5, atol=1e-5)
    sign = math.copysign(1, target)
    assert parameters.words[0, 2] == pytest.approx(sign * 100 * lr, rel=1e-6), "clipped"
    assert abs(parameters.words[0, 0]) < 16 * lr, "not clipped"
    assert parameters.contexts[1, 1] == pytest.approx(sign * 100 * lr, rel=1e-6), "clipped"


def test_biases_are_not_clipped():
    parameters = random_parameters(1, Shape(2), 0)
    twin = twin_of(parameters)
    entry = (0, 0, 250.0, 1.0)
    run_tile(parameters, 1, 0, [entry], 0.05)
    twin.visit(*entry, 0.05)
    assert twin.word_bias[0] > 200
    assert_close(parameters, twin, rtol=1e-5, atol=1e-6)
    assert_close_squares(parameters, twin, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(d=sizes, seed=st.integers(0, 1000), lr=st.sampled_from([0.01, 0.05, 0.1]), by_rows=st.booleans(), data=st.data())
def test_a_tile_is_visited_in_its_order(d, seed, lr, by_rows, data):
    """Rows that come again at once, tiles away from the corner, one entry or many: all equal to the twin's."""
    blocks = data.draw(st.sampled_from([1, 2, 3, 6]))
    tile = data.draw(st.integers(0, blocks**2 - 1))
    places = st.tuples(*(st.integers(side * 6 // blocks, (side + 1) * 6 // blocks - 1) for side in divmod(tile, blocks)))
    entry = st.tuples(places, st.floats(-2, 6, width=32), st.floats(2**-6, 1, width=32))
    entries = [(*p, t, w) for p, t, w in data.draw(st.lists(entry, max_size=40))]
    parameters = random_parameters(6, Shape(d, by_rows=by_rows), seed)
    twin = twin_of(parameters)
    cost = run_tile(parameters, blocks, tile, entries, lr)
    expected = sum(twin.visit(*entry, lr) for entry in entries)
    assert cost == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert_close(parameters, twin, rtol=1e-4, atol=1e-4)
    assert_close_squares(parameters, twin, rtol=1e-3)
    assert_constant(parameters)


# ---------------------------------------------------------------------------------------------------- whole trainings


@pytest.mark.parametrize(
    "options",
    [
        GloveOptions(vector_size=1, epochs=2, x_max=10),
        GloveOptions(vector_size=15, epochs=2, x_max=100, lr=0.1, seed=2),
        GloveOptions(vector_size=16, epochs=2, x_max=3, weight_power=0.5, vectors="w"),
        GloveOptions(vector_size=100, epochs=1, x_max=10, weight_power=0.0, lr=0.02, seed=2**64 + 5),
        GloveOptions(vector_size=14, epochs=2, x_max=10, accumulators="row"),
    ],
    ids=lambda options: f"d{options.vector_size}-{options.accumulators}",
)
@pytest.mark.parametrize("grid", ["one tile", "many tiles", "groups"])
def test_training_is_the_twins_entry_by_entry(cooc, tmp_path, monkeypatch, options, grid):
    cut_into(monkeypatch, *{"one tile": (1,), "many tiles": (BLOCKS,), "groups": (12, 3)}[grid])
    model = train_glove(cooc, tmp_path / "model.h5", options, threads=2)
    tiles = tiles_of(cooc, options)
    assert (tiles.grid.blocks, tiles.grid.sides) == {"one tile": (1, 1), "many tiles": (5, 5), "groups": (12, 4)}[grid]
    counts = {(i, j): x for i, j, x in entries(cooc)}
    shape = glove.GLOVE.shape(options)
    twin = twin_of(random_parameters(len(cooc.vocabulary), shape, options.seed))
    for visits, record in zip(kernel_order(tiles, options), model.history, strict=True):
        assert len(visits) == len({visit[1:] for visit in visits}) == cooc.entries
        cost = 0.0
        for _, i, j in visits:
            x = counts[i, j]
            weight = naive.glove_weight(x, options.x_max, options.weight_power)
            cost += twin.visit(i, j, math.log(x), weight, options.lr)
        assert record["loss"] == pytest.approx(cost / cooc.entries, rel=1e-5)
    for name in model.names:
        np.testing.assert_allclose(model.array(name), getattr(twin, name), rtol=1e-3, atol=1e-4, err_msg=name)


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.floats(2**-6, 2**40, width=32), min_size=1),
    x_max=st.sampled_from([0.5, 1, 10, 100, 1e6]),
    power=st.sampled_from([0, 0.25, 0.75, 1, 2]),
)
def test_targets_and_weights_of_counts(counts, x_max, power):
    targets, weights = log_counts(GloveOptions(x_max=x_max, weight_power=power))(np.array(counts, np.float32))
    np.testing.assert_allclose(targets, [math.log(x) for x in counts], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(weights, [naive.glove_weight(x, x_max, power) for x in counts], rtol=2e-5)
    assert targets.dtype == weights.dtype == np.float32
    assert weights.max() <= 1


@pytest.mark.parametrize("side", ["both", "left"])
def test_any_number_of_threads_gives_the_same_bits(cooc, tmp_path, small_tiles, side):
    if side == "left":
        cooc = make_cooc(tmp_path, CountOptions(context_side="left"))
    models = [train_glove(cooc, tmp_path / f"{threads}.h5", SMALL, threads=threads) for threads in (1, 2, 3, 4, 7)]
    assert same_bits(*models)
    losses = [[record["loss"] for record in model.history] for model in models]
    assert all(loss == losses[0] for loss in losses)
    again = train_glove(cooc, tmp_path / "again.h5", SMALL, threads=1)
    assert same_bits(models[0], again)


def test_another_seed_gives_other_bits(cooc, tmp_path, small_tiles):
    models = [train_glove(cooc, tmp_path / f"{s}.h5", dataclasses.replace(SMALL, seed=s)) for s in (0, 1, 2)]
    for one, other in ((0, 1), (1, 2)):
        assert not np.array_equal(models[one].array("words"), models[other].array("words"))


def test_initial_values_are_uniform_and_small():
    parameters = random_parameters(2000, Shape(10), 3)
    values = np.concatenate([a.ravel() for a in parameters.arrays().values()]) * 10
    assert values.min() >= -0.5
    assert values.max() <= 0.5
    counts = np.histogram(values, 20, (-0.5, 0.5))[0]
    expected = len(values) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # 19 degrees; passed by chance in 999 of 1000
    assert_constant(parameters)
    assert not np.array_equal(parameters.arrays()["words"], parameters.arrays()["contexts"])


@pytest.mark.parametrize("d", [1, 14, 15, 100])
def test_rows_fill_whole_cache_lines(d):
    parameters = random_parameters(3, Shape(d), 0)
    for matrix in (parameters.words, parameters.contexts, aligned_zeros(4, 32)):
        assert matrix.ctypes.data % 64 == 0
        assert matrix.strides[0] % 64 == 0


def test_loss_falls_and_topics_part(cooc, tmp_path):
    model = train_glove(cooc, tmp_path / "model.h5", GloveOptions(vector_size=10, epochs=30, x_max=10))
    losses = [record["loss"] for record in model.history]
    assert all(later < earlier for earlier, later in itertools.pairwise(losses[:7]))
    assert losses[-1] < losses[0] / 4
    vectors = Vectors(model.vocabulary, model.matrix)
    within = [vectors.similarity(a, b) for topic in (ANIMALS, METALS) for a in topic for b in topic if a != b]
    across = [vectors.similarity(a, b) for a in ANIMALS for b in METALS]
    assert np.mean(within) > np.mean(across) + 0.5
    nearest = {word: vectors.most_similar(word, topn=5) for word in ANIMALS}
    right = [found.startswith("animal") for answers in nearest.values() for found, _ in answers]
    assert np.mean(right) > 0.95


def test_final_cost_of_the_whole_matrix_is_small(cooc, tmp_path):
    """The loss is the objective's: the final parameters, judged by the twin, cost no more than the last epoch."""
    options = GloveOptions(vector_size=10, epochs=20, x_max=10)
    model = train_glove(cooc, tmp_path / "model.h5", options)
    assert total_cost(model, cooc, options) / cooc.entries <= model.history[-1]["loss"]


def total_cost(model, cooc: Cooc, options: GloveOptions, twin: naive.Glove | None = None) -> float:
    twin = twin or naive.Glove(**{name: model.array(name) for name in model.names})
    return sum(
        twin.cost(i, j, math.log(x), naive.glove_weight(x, options.x_max, options.weight_power)) for i, j, x in entries(cooc)
    )


def test_a_shift_of_all_vectors_leaves_the_cost(cooc, tmp_path):
    """At w + s, c + s, b - w·s - |s|²/2, b' - c·s - |s|²/2 the cost is the same for any s; the old biases do not do."""
    model = train_glove(cooc, tmp_path / "model.h5", SMALL)
    arrays = {name: model.array(name).astype(np.float64) for name in model.names}
    shift = np.random.default_rng(0).normal(0, 2, SMALL.vector_size)
    shifted = naive.Glove(
        arrays["words"] + shift,
        arrays["contexts"] + shift,
        arrays["word_bias"] - arrays["words"] @ shift - shift @ shift / 2,
        arrays["context_bias"] - arrays["contexts"] @ shift - shift @ shift / 2,
    )
    cost = total_cost(model, cooc, SMALL)
    assert total_cost(model, cooc, SMALL, shifted) == pytest.approx(cost, rel=1e-9)
    half = naive.Glove(shifted.words, shifted.contexts, arrays["word_bias"], arrays["context_bias"])
    assert total_cost(model, cooc, SMALL, half) > 2 * cost


# ---------------------------------------------------------------------------------------------------- what is written


def test_history_and_parameters_are_recorded(cooc, tmp_path):
    model = train_glove(cooc, tmp_path / "model.h5", SMALL, threads=2)
    assert [record["epoch"] for record in model.history] == [1, 2, 3]
    for record in model.history:
        assert record.keys() == {"epoch", "loss", "seconds", "items", "lr", "rate", "idle"}
        assert record["items"] == cooc.entries
        assert record["lr"] == SMALL.lr
        assert record["seconds"] > 0
        assert record["rate"] == pytest.approx(record["items"] / record["seconds"])
        assert 0 <= record["idle"] < 1
    size = len(cooc.vocabulary)
    shapes = {name: model.array(name).shape for name in model.names}
    assert shapes == {"words": (size, 12), "contexts": (size, 12), "word_bias": (size,), "context_bias": (size,)}
    assert model.config["train"] == SMALL.record()
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


@pytest.mark.parametrize("published", ["w", "c", "w+c", "concat"])
def test_published_vectors(cooc, tmp_path, published):
    model = train_glove(cooc, tmp_path / "model.h5", dataclasses.replace(SMALL, vectors=published, epochs=1))
    w, c = model.array("words"), model.array("contexts")
    expected = {"w": w, "c": c, "w+c": w + c, "concat": np.hstack([w, c])}[published]
    assert np.array_equal(model.matrix, expected)
    assert model.published == published


def test_counts_without_entries_are_refused(tmp_path):
    empty = count(encode_documents(["a", "b"], tmp_path / "corpus", EncodeOptions(min_count=1)), tmp_path / "cooc")
    with pytest.raises(InputError, match="no co-occurrences"):
        train_glove(empty, tmp_path / "model.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cooc", "corpus"]


@pytest.mark.parametrize(
    "fields",
    [{name: 0} for name in ("vector_size", "epochs", "x_max", "lr")]
    + [{name: -1} for name in ("x_max", "weight_power", "seed")]
    + [{name: bad} for name in ("lr", "x_max", "weight_power") for bad in (math.inf, math.nan)]
    + [{"vectors": "wc"}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(fields):
    with pytest.raises(UsageError, match="^" + next(iter(fields))):
        GloveOptions(**fields)


# --------------------------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("accumulators", ["component", "row"])
@pytest.mark.parametrize("lr, says", [(1e30, "not finite"), (100, r"\d, and [\d.]+ for vectors of zeros,")])
@pytest.mark.parametrize("train, options", [(train_glove, GloveOptions), (train_simpler_glove, SimplerGloveOptions)])
def test_a_huge_rate_diverges_and_leaves_nothing(cooc, tmp_path, small_tiles, train, options, lr, says, accumulators):
    """A loss may be finite and still far above that of vectors that are all 0."""
    chosen = options(vector_size=8, epochs=20, lr=lr, accumulators=accumulators)
    with pytest.raises(DivergenceError, match=f"the loss is .*{says} in epoch 1; lower lr") as caught:
        train(cooc, tmp_path / "model.h5", chosen)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_found_in_its_stratum(cooc, tmp_path, small_tiles, monkeypatch, poison):
    def corrupted(*args) -> Tiles:
        tiles = deal(*args)
        tiles.entries.targets[len(tiles.entries.targets) // 2] = poison
        return tiles

    strata_done = []
    monkeypatch.setattr(glove, "deal", corrupted)
    monkeypatch.setattr(Checkpoint, "between", lambda self, step, whole: strata_done.append(self.state.strata))
    with pytest.raises(DivergenceError, match="epoch 1"):
        train_glove(cooc, tmp_path / "model.h5", SMALL)
    assert len(strata_done) < 5
    assert not list(tmp_path.iterdir())


def test_divergence_keeps_the_last_good_checkpoint(cooc, tmp_path, small_tiles, monkeypatch):
    output = tmp_path / "model.h5"
    interrupt_at(monkeypatch, 7)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, output, SMALL)
    good = checkpoint_path(output).read_bytes()
    monkeypatch.setattr(glove, "deal", lambda *args: poisoned(deal(*args)))
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    with pytest.raises(DivergenceError):
        train_glove(cooc, output, SMALL, resume=True, checkpoint_every=0)
    checkpoint = file.load_arrays(checkpoint_path(output), "glove")[0]
    assert all(np.isfinite(values).all() for values in checkpoint.values())
    assert good
    assert not output.exists()


def poisoned(tiles: Tiles) -> Tiles:
    tiles.entries.targets[:: len(tiles.entries.targets) // 3] = np.nan
    return tiles


# ----------------------------------------------------------------------------------------- interrupts and checkpoints


@pytest.mark.parametrize("stops", [[1], [5], [4], [15], [3, 1, 8], [5, 5, 4], [7, 2], [14, 1]], ids=str)
def test_an_interrupted_training_ends_in_the_bits_of_the_whole_one(cooc, tmp_path, small_tiles, monkeypatch, stops):
    """There are 5 strata an epoch, 3 epochs: stops within and at the end of one epoch or several, and at the end."""
    whole, output = train_glove(cooc, tmp_path / "whole.h5", SMALL, threads=2), tmp_path / "model.h5"
    for number, stop in enumerate(stops):
        interrupt_at(monkeypatch, stop)
        with pytest.raises(InterruptedRun, match="resume=True") as caught:
            train_glove(cooc, output, SMALL, threads=number + 1, resume=number > 0)
        assert caught.value.exit_code == 130
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5.checkpoint", "whole.h5"]
    with pytest.raises(UsageError, match="resume=True"):
        train_glove(cooc, output, SMALL)
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    resumed = train_glove(cooc, output, SMALL, threads=3, resume=True)
    assert same_bits(whole, resumed)
    assert [r["loss"] for r in resumed.history] == [r["loss"] for r in whole.history]
    assert [r["epoch"] for r in resumed.history] == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5", "whole.h5"]


class Watched(Progress):
    """Keeps the stages that it was asked for."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    def begin(self, stage: Stage) -> None:
        self.stages[stage.name] = stage


def test_progress_comes_to_its_end_resumed_or_not(cooc, tmp_path, small_tiles, monkeypatch):
    interrupt_at(monkeypatch, 7)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, tmp_path / "model.h5", SMALL)
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    resumed, whole = Watched(), Watched()
    train_glove(cooc, tmp_path / "model.h5", SMALL, resume=True, progress=resumed)
    train_glove(cooc, tmp_path / "whole.h5", SMALL, progress=whole)
    for watched in (resumed, whole):
        assert all(stage.done == stage.total for stage in watched.stages.values())
        assert watched.stages["train"].total == 3 * cooc.entries


def test_seconds_are_those_of_each_epoch_resumed_or_not(cooc, tmp_path, small_tiles, monkeypatch):
    """By a clock that moves on by one at each look, a stratum takes the looks of its threads, and an epoch all of them."""
    clock = itertools.count()
    monkeypatch.setattr(adagrad.time, "perf_counter", lambda: next(clock))
    interrupt_at(monkeypatch, 7)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, tmp_path / "model.h5", SMALL, threads=1)
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    model = train_glove(cooc, tmp_path / "model.h5", SMALL, threads=1, resume=True)
    assert [record["seconds"] for record in model.history] == [15, 15, 15]
    assert [record["idle"] for record in model.history] == [pytest.approx(2 / 3)] * 3


def saves(monkeypatch) -> list[tuple[int, int]]:
    """(epoch, strata) of each checkpoint from now on."""
    saved: list[tuple[int, int]] = []
    original = Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", lambda self: (saved.append((self.state.epoch, self.state.strata)), original(self)))
    return saved


def test_checkpoints_within_epochs_and_at_their_ends_change_nothing(cooc, tmp_path, small_tiles, monkeypatch):
    saved, models = saves(monkeypatch), []
    for minutes in (0, 10):
        models.append(train_glove(cooc, tmp_path / f"{minutes}.h5", SMALL, checkpoint_every=minutes))
        if minutes == 0:
            assert saved == [divmod(k, 5) for k in range(1, 16)]
            saved.clear()
    assert saved[0] == (1, 0), "the first epoch's end is always saved"
    assert all(strata == 0 for _, strata in saved)
    assert same_bits(*models)


def test_the_end_of_an_epoch_is_saved_unless_that_took_long(cooc, tmp_path, small_tiles, monkeypatch):
    monkeypatch.setattr(checkpoints, "SAVING", 1e9)  # as if writing took no time
    saved = saves(monkeypatch)
    train_glove(cooc, tmp_path / "model.h5", SMALL)
    assert saved == [(1, 0), (2, 0), (3, 0)]
    saved.clear()
    monkeypatch.setattr(checkpoints, "SAVING", 0)
    train_glove(cooc, tmp_path / "again.h5", SMALL)
    assert saved == []


@pytest.mark.parametrize("change", [{"lr": 0.04}, {"vector_size": 11}, {"seed": 5}, {"epochs": 4}, {"x_max": 11}])
def test_a_checkpoint_is_not_continued_with_other_options(cooc, tmp_path, small_tiles, monkeypatch, change):
    output = tmp_path / "model.h5"
    interrupt_at(monkeypatch, 2)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, output, SMALL)
    before = checkpoint_path(output).read_bytes()
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    other = dataclasses.replace(SMALL, **change)
    with pytest.raises(UsageError, match="was begun "):
        train_glove(cooc, output, other, resume=True)
    assert checkpoint_path(output).read_bytes() == before
    forced = train_glove(cooc, output, other, force=True)
    assert forced.config["train"] == other.record()
    assert not checkpoint_path(output).exists()


def test_a_checkpoint_is_not_continued_with_other_counts(cooc, tmp_path, small_tiles, monkeypatch):
    interrupt_at(monkeypatch, 2)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, tmp_path / "model.h5", SMALL)
    other = make_cooc(tmp_path, CountOptions(window=4))
    with pytest.raises(UsageError, match="other data"):
        train_glove(other, tmp_path / "model.h5", SMALL, resume=True)


def test_a_damaged_checkpoint_is_named(cooc, tmp_path, small_tiles, monkeypatch):
    output = tmp_path / "model.h5"
    interrupt_at(monkeypatch, 2)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, output, SMALL)
    data = bytearray(checkpoint_path(output).read_bytes())
    data[-100] ^= 1
    checkpoint_path(output).write_bytes(data)
    with pytest.raises(FormatError, match=r"model\.h5\.checkpoint"):
        train_glove(cooc, output, SMALL, resume=True)


def test_ctrl_c_during_a_stratum_can_be_resumed(cooc, tmp_path, small_tiles, monkeypatch):
    """A second Ctrl-C does not wait for the stratum; the older checkpoint is what remains."""
    whole, output = train_glove(cooc, tmp_path / "whole.h5", SMALL), tmp_path / "model.h5"
    calls, original = [], visiting.share

    def killed(*args):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(visiting, "share", killed)
    with pytest.raises(InterruptedRun, match="resume=True"):
        train_glove(cooc, output, SMALL, checkpoint_every=0)
    assert file.load_arrays(checkpoint_path(output), "glove")[1]["state"]["strata"] == 2
    assert same_bits(whole, train_glove(cooc, output, SMALL, resume=True))


def test_ctrl_c_while_the_model_is_written_does_not_lose_it(cooc, tmp_path, monkeypatch):
    original = glove.save_model

    def pressed(*args, **how) -> None:
        signal.raise_signal(signal.SIGINT)
        original(*args, **how)

    monkeypatch.setattr(glove, "save_model", pressed)
    assert train_glove(cooc, tmp_path / "model.h5", SMALL).history
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_a_second_run_on_the_same_output_is_refused(cooc, tmp_path, small_tiles, monkeypatch):
    output, original = tmp_path / "model.h5", glove.deal

    def meanwhile(*args):
        monkeypatch.setattr(glove, "deal", original)
        with pytest.raises(UsageError, match="another run"):
            train_glove(cooc, output, SMALL)
        return original(*args)

    monkeypatch.setattr(glove, "deal", meanwhile)
    assert train_glove(cooc, output, SMALL).history
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_an_output_that_exists_is_kept_unless_forced(cooc, tmp_path):
    output = tmp_path / "model.h5"
    train_glove(cooc, output, dataclasses.replace(SMALL, epochs=1))
    before = Path(output).read_bytes()
    with pytest.raises(UsageError, match="force=True"):
        train_glove(cooc, output, SMALL)
    assert output.read_bytes() == before
    assert len(train_glove(cooc, output, SMALL, force=True).history) == 3


def test_equal_runs_make_equal_records_but_for_time(cooc, tmp_path):
    models = [train_glove(cooc, tmp_path / f"{n}.h5", SMALL, threads=n) for n in (1, 2)]
    records = [{k: v for k, v in model.provenance.items() if k != "threads"} for model in models]
    assert json.dumps(records[0], sort_keys=True) == json.dumps(records[1], sort_keys=True)
    assert records[0]["seed"] == SMALL.seed
    assert records[0]["cooc"] == cooc.digest


WITHOUT_AVX512 = """
import sys
from cooc_engine.matrix.glove import train_glove, train_simpler_glove
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
train_glove(sys.argv[1], sys.argv[2], GloveOptions(vector_size=5, epochs=2))
train_simpler_glove(sys.argv[1], sys.argv[3], SimplerGloveOptions(vector_size=5, epochs=2))
"""


def test_bits_depend_on_the_processor_through_the_kernels_alone(cooc, tmp_path):
    """NumPy and BLAS run other code for AVX-512; where kernels are compiled for AVX2, the vectors are those of both."""
    wide = [name for name in numpy_code().split(",") if name.startswith(("X86_V4", "AVX512"))]
    if not wide:
        pytest.skip("this processor has no AVX-512")
    without = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(wide), "OPENBLAS_CORETYPE": "Haswell"}
    paths = [tmp_path / "glove.h5", tmp_path / "simpler.h5"]
    subprocess.run([sys.executable, "-c", WITHOUT_AVX512, cooc.path, *paths], env=without, check=True)
    here = [
        train_glove(cooc, tmp_path / "here.h5", GloveOptions(vector_size=5, epochs=2)),
        train_simpler_glove(cooc, tmp_path / "too.h5", SimplerGloveOptions(vector_size=5, epochs=2)),
    ]
    for one, other in zip(here, map(file.open_model, paths), strict=True):
        assert [epoch["loss"] for epoch in one.history] == [epoch["loss"] for epoch in other.history]
        assert np.array_equal(one.matrix, other.matrix)

"""simpler-GloVe against its float64 twin and its promises; and what GloVe and it share beyond the plain training."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.matrices import (
    cut_into,
    entries,
    interrupt_at,
    kernel_order,
    make_cooc,
    never,
    random_parameters,
    same_bits,
    tiles_of,
    words_of,
)
from twins import adagrad as naive

from cooc_engine._kernels import adagrad as kernels
from cooc_engine._kernels.adagrad import Rows, Walk
from cooc_engine._kernels.tiles import TileEntries
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import directory
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InputError, InterruptedRun, UsageError
from cooc_engine.matrix import glove
from cooc_engine.matrix.adagrad import Parameters, Shape
from cooc_engine.matrix.glove import train_glove, train_simpler_glove
from cooc_engine.matrix.visits import whole_loss
from cooc_engine.models.file import open_model
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions

SMALL = SimplerGloveOptions(vector_size=12, epochs=3, x_max=10, seed=4)
GLOVE = GloveOptions(vector_size=12, epochs=3, x_max=10, seed=4)
BOTH = pytest.mark.parametrize(
    ("train", "options"), [(train_glove, GLOVE), (train_simpler_glove, SMALL)], ids=["glove", "simpler"]
)


@pytest.fixture(scope="module")
def cooc(tmp_path_factory) -> Cooc:
    return make_cooc(tmp_path_factory.mktemp("simpler"), CountOptions(window=5, window_weight="uniform"))


@pytest.fixture
def small_tiles(monkeypatch) -> None:
    cut_into(monkeypatch, 6, 2)


def shape_of(options: SimplerGloveOptions) -> Shape:
    return Shape(options.vector_size, biases=False, tied=options.tying == "tied")


def weight_of(x: float, options: SimplerGloveOptions) -> float:
    weight = (x / options.x_max) ** options.weight_power
    return min(1.0, weight) if options.truncate_weight == "on" else weight


# ---------------------------------------------------------------------------------------------------------- the twin


@settings(deadline=None, max_examples=60)
@given(
    d=st.sampled_from([1, 2, 15, 16, 17, 100]),
    seed=st.integers(0, 1000),
    target=st.floats(-8, 8, width=32),
    weight=st.floats(2**-10, 64, width=32),
    lr=st.sampled_from([0.01, 0.1]),
    tied=st.booleans(),
)
def test_one_visit_is_the_twins_to_single_precision(d, seed, target, weight, lr, tied):
    rng = np.random.default_rng(seed)
    parameters = random_parameters(6, Shape(d, biases=False, tied=tied), seed)
    for matrix in parameters.matrices().values():
        matrix[:, :d] = rng.normal(0, 1, (6, d))
        matrix[:, matrix.shape[1] // 2 :][:, :d] = rng.uniform(1, 9, (6, d))
    arrays, size = parameters.arrays(), parameters.shape.size
    twin = naive.SimplerGlove(arrays["words"], arrays["words" if tied else "contexts"])
    twin.word_squares[:] = parameters.words[:, size : size + d]
    twin.context_squares[:] = parameters.contexts[:, size : size + d]
    costs = np.zeros(4)
    one = [np.array([value], kind) for value, kind in ((2 << 16 | 1, np.uint32), (target, np.float32), (weight, np.float32))]
    kernels.train_simpler(
        Walk(np.array([1]), 1, 0, np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])), TileEntries(*one),
        Rows(parameters.words, parameters.contexts, 3, parameters.shape.d), parameters.step(lr, None), costs,
    )  # fmt: skip
    terms = float(np.abs(twin.words[2] * twin.contexts[4]).sum()) + abs(target)
    cost = twin.visit(2, 4, target, weight, lr)
    assert costs[1] == pytest.approx(cost, rel=1e-4, abs=weight * (2e-6 * terms) ** 2 + 1e-5 * cost)
    off = 4e-6 * max(1, weight) * (1 + terms)
    np.testing.assert_allclose(parameters.words[:, :d], twin.words, rtol=1e-5, atol=off * lr)
    np.testing.assert_allclose(parameters.contexts[:, :d], twin.contexts, rtol=1e-5, atol=off * lr)
    np.testing.assert_allclose(parameters.words[:, size : size + d], twin.word_squares, rtol=1e-4 + 10 * off)
    assert not parameters.words[:, d:size].any()


@pytest.mark.parametrize("tying", ["tied", "free"])
@pytest.mark.parametrize(("truncate", "accumulators"), [("on", "component"), ("off", "component"), ("on", "row")])
def test_training_is_the_twins_entry_by_entry(cooc, tmp_path, small_tiles, tying, truncate, accumulators):
    change = {"tying": tying, "truncate_weight": truncate, "accumulators": accumulators, "vectors": None}
    options = dataclasses.replace(SMALL, **change, epochs=2, lr=0.05)
    tied = tying == "tied"
    model = train_simpler_glove(cooc, tmp_path / "model.h5", options, threads=2)
    tiles = tiles_of(cooc, options, glove.simpler_dealing, shape_of(options))
    arrays = random_parameters(len(cooc.vocabulary), shape_of(options), options.seed).arrays()
    twin = naive.SimplerGlove(arrays["words"], arrays["words" if tied else "contexts"], accumulators == "row")
    counts, n = {(i, j): x for i, j, x in entries(cooc)}, cooc.vocabulary.counts.tolist()
    total = sum(x for (i, j), x in counts.items() if i != j)
    off_diagonal = sum(i != j for i, j in counts)
    assert off_diagonal < cooc.entries
    for visits, record in zip(kernel_order(tiles, options, tied=tied), model.history, strict=True):
        assert len(visits) == off_diagonal == record["items"]
        cost = 0.0
        for _, i, j in visits:
            target = naive.pmi(counts[i, j], total, n[i], n[j], sum(n))
            cost += twin.visit(i, j, target, weight_of(counts[i, j], options), options.lr)
        assert record["loss"] == pytest.approx(cost / off_diagonal, rel=1e-4)
    for name in model.names:
        np.testing.assert_allclose(model.array(name), getattr(twin, name), rtol=2e-3, atol=5e-4, err_msg=name)
    assert model.names == (["words"] if tied else ["contexts", "words"])


def test_the_shifts_make_pmi_of_log_counts(cooc):
    shifts, counts, n = glove.pmi_shifts(cooc), list(entries(cooc)), cooc.vocabulary.counts.tolist()
    total = sum(x for i, j, x in counts if i != j)
    for i, j, x in counts[:200]:
        assert math.log(x) - shifts[i] - shifts[j] == pytest.approx(naive.pmi(x, total, n[i], n[j], sum(n)), abs=1e-5)


@pytest.mark.parametrize("side", ["both", "left"])
def test_the_diagonal_is_found_in_every_row_block(tmp_path, monkeypatch, side):
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 150)
    cooc = make_cooc(tmp_path, CountOptions(window=3, context_side=side))
    assert len(cooc.blocks) > 3
    expected = np.zeros(len(cooc.vocabulary))
    for i, j, x in entries(cooc):
        expected[i] += x * (i == j)
    assert expected.any()
    np.testing.assert_allclose(cooc.diagonal / cooc.denominator, expected)


@pytest.mark.parametrize("tying", ["tied", "free"])
def test_any_number_of_threads_gives_the_same_bits(cooc, tmp_path, monkeypatch, tying):
    cut_into(monkeypatch, 4)
    options = dataclasses.replace(SMALL, tying=tying, vectors=None)
    models = [train_simpler_glove(cooc, tmp_path / f"{n}.h5", options, threads=n) for n in (1, 2, 3, 4, 7)]
    assert same_bits(*models)


def test_an_interrupted_training_of_tied_vectors_ends_in_the_bits_of_the_whole_one(cooc, tmp_path, small_tiles, monkeypatch):
    whole, output = train_simpler_glove(cooc, tmp_path / "whole.h5", SMALL), tmp_path / "model.h5"
    for number, stop in enumerate((2, 5)):
        interrupt_at(monkeypatch, stop)
        with pytest.raises(InterruptedRun):
            train_simpler_glove(cooc, output, SMALL, threads=number + 1, resume=number > 0)
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    assert same_bits(whole, train_simpler_glove(cooc, output, SMALL, resume=True))


def test_pmi_is_the_inner_product_where_it_can_be(cooc, tmp_path):
    """With as many dimensions as words and no truncation the fit is close, and the loss near nothing."""
    options = SimplerGloveOptions(vector_size=64, epochs=150, x_max=10, lr=0.1, truncate_weight="off")
    model = train_simpler_glove(cooc, tmp_path / "model.h5", options)
    vectors, n = model.array("words").astype(float), cooc.vocabulary.counts.tolist()
    total = sum(x for i, j, x in entries(cooc) if i != j)
    pairs = [(vectors[i] @ vectors[j], naive.pmi(x, total, n[i], n[j], sum(n))) for i, j, x in entries(cooc) if i != j]
    products, targets = np.array(pairs).T
    assert np.corrcoef(products, targets)[0, 1] > 0.98
    assert model.history[-1]["loss"] < model.history[0]["loss"] / 20


def test_tied_vectors_have_one_choice_of_what_is_published():
    assert SimplerGloveOptions().vectors == "w"
    assert SimplerGloveOptions(tying="free").vectors == "concat"
    assert SimplerGloveOptions(tying="free", vectors="w+c").vectors == "w+c"
    with pytest.raises(UsageError, match="tying='free'"):
        SimplerGloveOptions(vectors="w+c")


def test_words_beside_themselves_alone_are_nothing_to_train_on(tmp_path):
    cooc = count(encode_documents(["a a a"], tmp_path / "corpus", EncodeOptions(min_count=1)), tmp_path / "cooc")
    with pytest.raises(InputError, match="nothing to train on"):
        train_simpler_glove(cooc, tmp_path / "model.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cooc", "corpus"]


# ------------------------------------------------------------------------------------------------ what both can do


@BOTH
def test_entries_on_the_disk_give_the_same_bits(cooc, tmp_path, small_tiles, monkeypatch, train, options):
    """A budget that cannot hold the entries sends them to the disk; the parameters alone must fit."""
    inside = train(cooc, tmp_path / "inside.h5", options)
    monkeypatch.setattr(glove, "ENTRY_BYTES", 1 << 40)
    mapped, scratch = [], []
    original = glove.deal

    def watched(*args):
        tiles = original(*args)
        mapped.append(tiles.mapping is not None)
        scratch.append([path.name for path in tmp_path.iterdir()])
        return tiles

    monkeypatch.setattr(glove, "deal", watched)
    outside = train(cooc, tmp_path / "outside.h5", options, memory="64M")
    assert mapped == [True]
    assert scratch == [["inside.h5", "outside.h5.lock"]] or sorted(scratch[0]) == ["inside.h5", "outside.h5.lock"]
    assert same_bits(inside, outside)


@BOTH
def test_a_budget_that_cannot_hold_the_parameters_is_refused(cooc, tmp_path, train, options):
    with pytest.raises(UsageError, match=r"memory=.*parameters"):
        train(cooc, tmp_path / "model.h5", options, memory="1M")
    assert not list(tmp_path.iterdir())


def test_a_million_words_of_300_fit_the_default_plan():
    """Parameters count once: 4.9 GB for both matrices with their accumulators."""
    assert Shape(300).memory(1_000_000) == 2 * 1_000_000 * 304 * 8


@BOTH
def test_training_stops_when_the_loss_of_what_is_held_out_no_longer_falls(cooc, tmp_path, small_tiles, train, options):
    eager = dataclasses.replace(options, held_out=0.2, epochs=60, lr=0.5, patience=2)
    model = train(cooc, tmp_path / "model.h5", eager)
    losses = [record["held_out_loss"] for record in model.history]
    assert len(losses) < 60
    best = losses.index(min(losses))
    assert len(losses) == best + 3, "it stops after the second epoch without a better one"
    assert model.history[0]["items"] < 0.9 * cooc.entries
    again = train(cooc, tmp_path / "again.h5", eager, threads=1)
    assert same_bits(model, again)
    assert [record["held_out_loss"] for record in again.history] == losses


@pytest.mark.parametrize("tying", ["tied", "free"])
def test_the_loss_of_what_is_held_out_is_that_of_the_final_vectors(cooc, tmp_path, small_tiles, tying):
    options = dataclasses.replace(SMALL, held_out=0.3, tying=tying, vectors=None, epochs=1)
    model = train_simpler_glove(cooc, tmp_path / "model.h5", options)
    tiles = tiles_of(cooc, options, glove.simpler_dealing, shape_of(options))
    w = model.array("words").astype(float)
    c = w if tying == "tied" else model.array("contexts").astype(float)
    cost = items = 0
    for tile in range(tiles.grid.blocks**2):
        for p in range(int(tiles.stops[tile]), int(tiles.starts[tile + 1])):
            row, column = words_of(tiles, tile, p)
            diff = w[row] @ c[column] - tiles.entries.targets[p]
            cost, items = cost + 0.5 * tiles.entries.weights[p] * diff**2, items + 1
    assert items == tiles.held_out > 0
    assert model.history[-1]["held_out_loss"] == pytest.approx(cost / items, rel=1e-4)


@BOTH
def test_an_interrupted_training_with_entries_held_out_stops_where_the_whole_one_does(
    cooc, tmp_path, small_tiles, monkeypatch, train, options
):
    eager = dataclasses.replace(options, held_out=0.2, epochs=60, lr=0.5)
    whole, output = train(cooc, tmp_path / "whole.h5", eager), tmp_path / "model.h5"
    interrupt_at(monkeypatch, 7)
    with pytest.raises(InterruptedRun):
        train(cooc, output, eager)
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    assert same_bits(whole, train(cooc, output, eager, resume=True))


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_a_share_that_holds_out_nothing_or_all_is_refused(cooc, tmp_path, share):
    with pytest.raises(UsageError, match="held_out"):
        train_glove(cooc, tmp_path / "model.h5", dataclasses.replace(GLOVE, held_out=share))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(UsageError, match="held_out"):
        GloveOptions(held_out=share)


def test_whole_loss_is_the_mean_cost_at_the_final_parameters(cooc, tmp_path, small_tiles):
    model = train_glove(cooc, tmp_path / "model.h5", GLOVE)
    twin = naive.Glove(**{name: model.array(name) for name in model.names})
    costs = [twin.cost(i, j, math.log(x), naive.glove_weight(x, 10, 0.75)) for i, j, x in entries(cooc)]
    tiles = tiles_of(cooc, GLOVE)
    parameters = Parameters.random(Shape(12), tiles.grid, 0)
    for name, values in parameters.arrays().items():
        values[tiles.grid.row_of(np.arange(tiles.grid.words))] = model.array(name)
    assert whole_loss(tiles, parameters, 2) == pytest.approx(np.mean(costs), rel=1e-5)


@pytest.mark.parametrize("published", ["w", "c", "w+c", "concat"])
def test_centred_vectors_have_no_mean_and_the_parameters_stay(cooc, tmp_path, published):
    plain = train_glove(cooc, tmp_path / "plain.h5", dataclasses.replace(GLOVE, vectors=published))
    centred = train_glove(cooc, tmp_path / "centred.h5", dataclasses.replace(GLOVE, vectors=published, center="mean"))
    for name in plain.names:
        assert np.array_equal(plain.array(name), centred.array(name))
    mean = plain.matrix.mean(0, dtype=np.float64)
    assert np.abs(mean).max() > 1e-3
    np.testing.assert_allclose(centred.array("center"), mean, atol=1e-6)
    np.testing.assert_allclose(centred.matrix, plain.matrix - mean, atol=1e-6)
    np.testing.assert_allclose(open_model(centred.path).matrix.mean(0, dtype=np.float64), 0, atol=1e-6)


def test_log1p_targets(cooc):
    counts = np.array([0.25, 1, 10, 1e6], np.float32)
    targets, weights = glove.log_counts(GloveOptions(target="log1p"))(counts)
    np.testing.assert_allclose(targets, np.log1p(counts.astype(float)), rtol=1e-6)
    np.testing.assert_allclose(weights, np.minimum((counts / 100.0) ** 0.75, 1), rtol=1e-5)


@pytest.mark.parametrize("clip", [None, 100.0, 0.01])
def test_gradients_are_clipped_where_asked(cooc, tmp_path, clip):
    options = dataclasses.replace(GLOVE, clip=clip, lr=0.5)
    model, plain = (train_glove(cooc, tmp_path / f"{o.clip}{k}.h5", o) for k, o in enumerate((options, GLOVE)))
    steps = np.abs(model.array("words")).max()
    assert np.isfinite(steps)
    assert not np.array_equal(model.array("words"), plain.array("words"))
    parameters = random_parameters(3, Shape(4), 1)
    bounds = parameters.step(0.1, clip).clips
    assert (bounds[:4] == (np.inf if clip is None else np.float32(clip))).all()
    assert np.isinf(bounds[4:]).all()


# ----------------------------------------------------------------------------------------------- from an older model


def larger_cooc(at: Path) -> Cooc:
    """Counts of the topics with new words among them, so that rows have moved."""
    rng = np.random.default_rng(5)
    texts = [[*(f"new{k}" for k in rng.integers(0, 8, 6)), "animal1", "metal2", "the3"] for _ in range(40)]
    return count(encode_documents(texts, at / "corpus", EncodeOptions(min_count=1)), at / "larger", CountOptions(window=5))


@BOTH
def test_words_begin_where_an_older_model_left_them(cooc, tmp_path, monkeypatch, train, options):
    old = train(cooc, tmp_path / "old.h5", options)
    larger = larger_cooc(tmp_path)
    started = dataclasses.replace(options, init=str(old.path))
    seen = []
    original = glove.run_epochs
    monkeypatch.setattr(
        glove, "run_epochs",
        lambda visitors, state, *rest: (seen.append({k: v.copy() for k, v in state.parameters.arrays().items()}),
                                        original(visitors, state, *rest)),
    )  # fmt: skip
    model = train(larger, tmp_path / "new.h5", started)
    assert model.config["train"]["init"] == str(old.path)
    random = random_parameters(len(larger.vocabulary), SMALL_SHAPES[train], options.seed).arrays()
    for name in old.names:
        for row, word in enumerate(larger.vocabulary):
            known = old.vocabulary.ids.get(word)
            expected = random[name][row] if known is None else old.array(name)[known]
            assert np.array_equal(seen[0][name][row], expected), (name, word)
    assert len(larger.vocabulary) == 11


SMALL_SHAPES = {train_glove: Shape(12), train_simpler_glove: shape_of(SMALL)}


def test_an_older_model_must_fit(cooc, tmp_path):
    old = train_glove(cooc, tmp_path / "old.h5", GLOVE)
    with pytest.raises(UsageError, match="vector_size=12"):
        train_glove(cooc, tmp_path / "new.h5", dataclasses.replace(GLOVE, vector_size=13, init=str(old.path)))
    other = count(encode_documents(["x y z"], tmp_path / "corpus", EncodeOptions(min_count=1)), tmp_path / "cooc")
    with pytest.raises(InputError, match="no word in common"):
        train_glove(other, tmp_path / "new.h5", dataclasses.replace(GLOVE, init=str(old.path)))
    with pytest.raises(InputError, match="no such file"):
        train_glove(cooc, tmp_path / "new.h5", dataclasses.replace(GLOVE, init=str(tmp_path / "nothing.h5")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cooc", "corpus", "old.h5"]


def test_a_checkpoint_is_not_continued_from_another_older_model(cooc, tmp_path, small_tiles, monkeypatch):
    old = tmp_path / "old.h5"
    train_glove(cooc, old, GLOVE)
    started = dataclasses.replace(GLOVE, init=str(old))
    interrupt_at(monkeypatch, 3)
    with pytest.raises(InterruptedRun):
        train_glove(cooc, tmp_path / "new.h5", started)
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    train_glove(cooc, old, dataclasses.replace(GLOVE, seed=9), force=True)
    with pytest.raises(UsageError, match="was begun from other data"):
        train_glove(cooc, tmp_path / "new.h5", started, resume=True)


def test_a_center_of_the_wrong_length_is_named(cooc, tmp_path):
    from cooc_engine.models.file import save_model

    model = train_glove(cooc, tmp_path / "model.h5", dataclasses.replace(GLOVE, center="mean"))
    data = model.data()
    broken = dataclasses.replace(data, arrays={**data.arrays, "center": np.zeros(5, np.float32)})
    with pytest.raises(FormatError, match="center"):
        save_model(tmp_path / "broken.h5", broken)

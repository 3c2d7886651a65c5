"""JoSE: its update is the twin's, the article's identities hold, all vectors are of length 1, and documents of a topic meet."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.steps import counts_of, shard_of, texts
from support.topics import bits, make_corpus, planted, stop_after
from twins.margin import Hinge, Twin, unit

from cooc_engine._kernels import margin, rules
from cooc_engine._kernels.margin import Margin
from cooc_engine._kernels.rules import Clock, Rule
from cooc_engine.corpus.thinning import keep_probabilities
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import DivergenceError, InterruptedRun, UsageError
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.models.sampled_options import JoseOptions
from cooc_engine.pipeline.train import train
from cooc_engine.runtime.options import from_mapping
from cooc_engine.sampled import sampler, trainer, training, workspace
from cooc_engine.sampled.jose import STEPS, inference_jose
from cooc_engine.sampled.model import FLOOR, MarginModel
from cooc_engine.storage.scratch import aligned_zeros, padded

D = 6
LR = 0.1
KINDS = list(itertools.product(["separate", "joint"], STEPS))
MARGIN = {"separate": {}, "joint": {"margin": 0.6}}  # with less, the contexts alone meet it, and documents learn little
every_kind = pytest.mark.parametrize(("hinge", "step"), KINDS)


def options_of(**changes) -> JoseOptions:
    return JoseOptions(**{"vector_size": 10, "window": 3, "subsample": 0, "epochs": 8, "seed": 4, **changes})


def model_of(documents, words: int, *, frozen: int = 0, subsample: float = 0.0, **options) -> MarginModel:
    """A model by the names of the options, for a text of so many words."""
    how: dict[str, Any] = {
        "window": 3,
        "fixed": 0,
        "negative": 2,
        "margin": 0.4,
        "hinge": "separate",
        "step": "program",
        "shared": 0,
    }
    how |= options
    rule = Rule(
        inputs=rules.CONTEXTS, mean=0, spread=0, document=words, window=how["window"], fixed=how["fixed"],
        output=rules.NOISE, negative=how["negative"], group=1, shared=how["shared"], clamp=0.0, beyond=0.0, frozen=frozen,
    )  # fmt: skip
    tables = sampler.tables(counts_of(documents, words), subsample=subsample, noise_power=0.75)
    hinge = Margin(how["margin"], STEPS[how["step"]], int(how["hinge"] == "joint"))
    return MarginModel(rule, tables, 2, LR, 6, hinge=hinge)


def twin_of(model: MarginModel) -> Twin:
    """The twin of a model: the same facts by other names."""
    rule = model.rule
    (step,) = (name for name, number in STEPS.items() if number == model.hinge.step)
    return Twin(
        rule.document, rule.window, bool(rule.fixed), rule.negative, model.hinge.margin, step, bool(model.hinge.joint),
        bool(rule.frozen), rule.shared, margin.STAY,
    )  # fmt: skip


def on_sphere(rows: int, seed: int) -> np.ndarray:
    matrix = aligned_zeros(rows, padded(D))
    matrix[:, :D] = np.random.default_rng(seed).normal(size=(rows, D))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix


def run_kernel(documents, model: MarginModel, W, X, epochs: int = 2) -> list[tuple[float, float]]:
    """Train on all of a text as one part; returns loss and examples by epoch."""
    (ids, offsets), history = shard_of(documents), []
    scratch = workspace.workspace_of(model, D).scratch()
    for epoch in range(epochs):
        clock = Clock(model.seed, epoch, 0, 0, epoch * len(ids), epochs * len(ids) / (1 - FLOOR), model.lr)
        results, parts = np.zeros((1, 1, 3)), np.zeros((1, 2), np.int64)
        margin.train_margins(
            ids, offsets, parts, len(ids), model.rule, model.hinge, model.tables, clock, W, X, scratch, results
        )  # fmt: skip
        history.append(tuple(results[0, 0, :2].tolist()))
    return history


# ---------------------------------------------------------------------------------------------------- the update


CASES = {
    "plain": {},
    "thinned": {"subsample": 1e-2},
    "fixed": {"fixed": 1, "negative": 3},
    "shared": {"shared": 24},
    "frozen": {"frozen": rules.OUTPUT_ROWS + rules.WORD_ROWS},
}


@every_kind
@pytest.mark.parametrize("case", CASES)
def test_the_update_is_the_twins(hinge, step, case):
    documents = texts()
    model = model_of(documents, 9, hinge=hinge, step=step, **CASES[case])
    W, X = on_sphere(9, 1), on_sphere(9 + len(documents), 2)
    exact_W, exact_X = W[:, :D].astype(np.float64), X[:, :D].astype(np.float64)
    before = W.copy(), X.copy()
    history = run_kernel(documents, model, W, X)
    tables = model.tables.keep.tolist(), model.tables.noise.tolist()
    wanted = twin_of(model).train(documents, *tables, exact_W, exact_X, LR, FLOOR, 6, 2)
    np.testing.assert_allclose(history, wanted, rtol=1e-4)
    np.testing.assert_allclose(W[:, :D], exact_W, atol=3e-5)
    np.testing.assert_allclose(X[:, :D], exact_X, atol=3e-5)
    for matrix in (W, X):
        assert np.abs(np.linalg.norm(matrix, axis=1) - 1).max() < 1e-6
        assert not matrix[:, D:].any()
    moved = [(old != new).any(axis=1) for old, new in zip(before, (W, X), strict=True)]
    assert moved[1][9 : 9 + len(documents)].sum() > 4
    assert (moved[0].any(), moved[1][:9].any()) == (case != "frozen",) * 2


# The rows of one hinge: a document of the single word 0, with word 1 as noise.


def one_step(x, u, n, *, step: str, lr: float = LR) -> list[np.ndarray]:
    """The rows of document, word and noise after the step of one hinge, which is above 0 for any rows."""
    model = model_of([[0], [1, 1, 1, 1, 1]], 2, step=step, margin=2.5, negative=1)
    noise = np.array([1, 1 | (2**32 - 1) << 32], np.uint64)  # word 1, always
    model = MarginModel(model.rule, model.tables._replace(noise=noise), 1, lr, 6, hinge=model.hinge)
    W, X = aligned_zeros(2, padded(D)), aligned_zeros(3, padded(D))
    W[0, : len(u)], W[1, : len(n)], X[2, : len(x)] = u, n, x
    ((_, count),) = run_kernel([[0]], model, W, X, 1)
    assert count == 1
    return [X[2, :D].astype(np.float64), W[0, :D].astype(np.float64), W[1, :D].astype(np.float64)]


def random_rows(seed: int) -> list[np.ndarray]:
    return [unit(row) for row in np.random.default_rng(seed).normal(size=(3, D))]


def displacement(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """What was added to a row before it was normalised, if that is orthogonal to the row."""
    return new / (new @ old) - old


def gradient(function, x: np.ndarray) -> np.ndarray:
    """The gradient by central differences."""
    return np.array([(function(x + e) - function(x - e)) / 2e-6 for e in 1e-6 * np.eye(len(x))])


@pytest.mark.parametrize("seed", range(5))
def test_the_projected_gradient_is_orthogonal_to_the_row(seed):
    """x, g and the new row are in a plane, and what is added to x is r times the part of g that is orthogonal to x."""
    x, u, n = random_rows(seed)
    for old, new, g in zip((x, u, n), one_step(x, u, n, step="plain"), (u - n, x, -x), strict=True):
        projected = (np.eye(D) - np.outer(old, old)) @ g
        assert abs(projected @ old) < 1e-12
        np.testing.assert_allclose(displacement(new, old), LR * projected, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", STEPS)
def test_the_update_is_descent_on_the_normalised_parameter(seed, step):
    """On f(θ / |θ|), up to the rate: from θ = x each row moves along minus that gradient, and is projected to the sphere."""
    x, u, n = random_rows(seed)

    def loss(x, u, n) -> float:
        return 2.5 - unit(u) @ unit(x) + unit(n) @ unit(x)

    alone = (lambda r: loss(r, u, n)), (lambda r: loss(x, r, n)), (lambda r: loss(x, u, r))
    for old, new, function in zip((x, u, n), one_step(x, u, n, step=step), alone, strict=True):
        descent = -gradient(function, old)
        moved = displacement(new, old)
        rate = moved @ descent / (descent @ descent)
        np.testing.assert_allclose(moved, rate * descent, atol=1e-6)
        if step == "plain":
            assert rate == pytest.approx(LR, rel=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_the_articles_factor_lies_between_0_and_2(seed):
    x, u, n = random_rows(seed)
    for old, new, g in zip((x, u, n), one_step(x, u, n, step="cosine"), (u - n, x, -x), strict=True):
        factor = np.linalg.norm(displacement(new, old)) / np.linalg.norm(g - (old @ g) * old) / LR
        assert factor == pytest.approx(1 - old @ unit(g), rel=1e-3)
        assert 0 <= factor <= 2


def test_the_articles_factor_tells_near_from_far():
    """Two Euclidean gradients with the same projection, towards a point near x and one beyond: the far one gets more."""
    x, steps = np.array([1.0, 0, 0]), {}
    for name, side in (("near", 1), ("far", -1)):
        u, n = np.array([side * 0.8, 0.6, 0]), np.array([0, -0.6, 0.8])
        steps[name] = {step: np.linalg.norm(displacement(one_step(x, u, n, step=step)[0][:3], x)) for step in STEPS}
    assert steps["near"]["plain"] == pytest.approx(steps["far"]["plain"], rel=1e-4)
    assert steps["near"]["cosine"] < steps["near"]["plain"] < steps["far"]["cosine"]


@every_kind
def test_the_objective_of_a_fixed_sample_falls(hinge, step):
    documents = texts()
    model = model_of(documents, 9, hinge=hinge, step=step, negative=3)
    twin = twin_of(model)
    sample = [h for _, h in twin.hinges(documents, [], model.tables.noise.tolist(), 6, 0)]
    W, X = on_sphere(9, 1), on_sphere(9 + len(documents), 2)
    losses = [sum(twin.loss(h, W, X) for h in sample)]
    for _ in range(4):
        run_kernel(documents, model, W, X, 1)
        losses.append(sum(twin.loss(h, W, X) for h in sample))
    assert losses[1] < 0.9 * losses[0]
    assert losses[4] < losses[1]


def test_noise_that_is_the_word_itself_is_left_out():
    """Its hinge is the margin, whatever the rows are."""
    twin, W, X = Twin(1), on_sphere(1, 1), on_sphere(2, 2)
    assert twin.loss(Hinge([1], 0, 0), W, X) == pytest.approx(twin.margin)
    assert run_kernel([[0]], model_of([[0]], 1), W, X) == [(0, 0), (0, 0)]


# -------------------------------------------------------------------------------------------------------- trainings


@every_kind
@pytest.mark.parametrize("threads", [1, 2])
def test_documents_of_a_topic_lie_together_on_the_sphere(corpus, tmp_path, small_parts, hinge, step, threads):
    model = train("jose", corpus, tmp_path / "m.h5", options_of(hinge=hinge, step=step, **MARGIN[hinge]), threads=threads)
    for name in ("words", "contexts", "documents"):
        assert np.abs(np.linalg.norm(model.array(name).astype(np.float64), axis=1) - 1).max() < 1e-5
    documents = model.array("documents")
    nearest = np.argsort(-(documents @ documents.T), axis=1)[:, 1:11]
    assert (nearest % 3 == np.arange(150)[:, None] % 3).mean() > 0.6
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert model.document_ids.words == [str(line) for line in range(1, 151)]


@pytest.mark.parametrize("stops", [(1,), (7, 3)])
def test_an_interrupted_training_ends_in_the_bits_of_the_whole_one(shards, tmp_path, small_parts, monkeypatch, stops):
    """On any number of threads."""
    options = options_of(deterministic=True, epochs=2)
    whole = train("jose", shards, tmp_path / "whole.h5", options, threads=1)
    for number, stop in enumerate(stops):
        with monkeypatch.context() as patch:
            stop_after(patch, stop)
            with pytest.raises(InterruptedRun, match="resume=True"):
                train("jose", shards, tmp_path / "m.h5", options, resume=number > 0)
    resumed = train("jose", shards, tmp_path / "m.h5", options, resume=True, threads=3)
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("deterministic", [True, False])
def test_that_one_thread_trains_is_said(corpus, tmp_path, caplog, deterministic):
    caplog.set_level("INFO")
    train("jose", corpus, tmp_path / "m.h5", options_of(deterministic=deterministic, epochs=1), threads=2)
    assert ("deterministic: jose trains in one thread; without it, 2 share the work" in caplog.text) == deterministic


@pytest.mark.parametrize("hinge", ["separate", "joint"])
@pytest.mark.parametrize("matrix", ["inputs", "outputs"])
def test_a_number_that_is_not_finite_stops_at_once(corpus, tmp_path, monkeypatch, matrix, hinge):
    original = trainer._Team.train

    def poisoned(team, *args):
        getattr(team.network, matrix)[:, 0] = np.nan
        return original(team, *args)

    monkeypatch.setattr(trainer._Team, "train", poisoned)
    with pytest.raises(DivergenceError, match="the loss is not finite in epoch 1"):
        train("jose", corpus, tmp_path / "m.h5", options_of(hinge=hinge))
    assert not list(tmp_path.iterdir())


def test_rows_of_another_model_are_taken_to_the_sphere(corpus, tmp_path):
    """Those of zeros, which have no direction, are drawn; words that the text lacks are kept as they are."""
    random = np.random.default_rng(1)
    arrays = {name: random.normal(size=(19, 10)).astype(np.float32) for name in ("words", "contexts")}
    arrays["words"][:2] = 0
    words = Vocabulary.from_words([*corpus.vocabulary.words, "new"], [*corpus.counts.tolist(), 1])
    save_model(tmp_path / "old.h5", ModelData("skipgram", words, arrays, "w", {}, {}, []))
    options = options_of(init=str(tmp_path / "old.h5"), extend=True, lr=1e-9, epochs=1)
    model = train("jose", corpus, tmp_path / "m.h5", options)
    place = model.vocabulary.ids
    for name, wanted in arrays.items():
        found = model.array(name)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        for row in range(2, 19):
            np.testing.assert_allclose(found[place[words.word(row)]], unit(wanted[row]), atol=1e-5)
    again = train(
        "jose", make_corpus(tmp_path / "c", [["q", "a1"]]), tmp_path / "n.h5", options_of(init=str(model.path), extend=True)
    )
    assert np.array_equal(again.array("words")[again.vocabulary.ids["new"]], model.array("words")[place["new"]])


def test_documents_are_planned_and_mapped_beyond_the_budget(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path / "corpus", planted(documents=1000))
    options = options_of(epochs=1, deterministic=True)
    plans = []
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[-1])
    roomy = train("jose", corpus, tmp_path / "roomy.h5", options)
    tight = train("jose", corpus, tmp_path / "tight.h5", options, memory=plans[0][0].least - 1)
    assert [list(mapped) for _, mapped in plans] == [[], ["outputs"]]
    assert plans[0][0].memory["ids of documents"] >= 100 * 1000
    assert bits(tight) == bits(roomy)


def test_options_without_a_meaning_are_refused():
    with pytest.raises(UsageError, match="unknown option 'loss'"):
        from_mapping(JoseOptions, {"loss": "hs"}, "job")
    with pytest.raises(UsageError, match="margin is 0; it must be above 0"):
        options_of(margin=0.0)
    with pytest.raises(UsageError, match="min_lr is 1, above lr"):
        options_of(min_lr=1.0)


@pytest.mark.parametrize("hinge", ["separate", "joint"])
def test_a_document_is_inferred_by_the_twins_update(corpus, tmp_path, hinge):
    """Its row alone is trained, from the direction of Σ (u − n) over its words, as far as thinning keeps them, and noise."""
    model = train("jose", corpus, tmp_path / "m.h5", options_of(hinge=hinge, subsample=1e-2))
    inference = inference_jose(model, 3, 5, 1)
    trained, ids, counts = inference._model, np.arange(18, dtype=np.int32) // 2, model.vocabulary.counts
    found = inference.vectors([ids])[0]
    words, keep = model.array("words").astype(np.float64), keep_probabilities(counts, 1e-2)
    assert len({*keep[ids].tolist()}) > 2
    start = np.average(words[ids], axis=0, weights=keep[ids] / 2**64) - np.average(words, axis=0, weights=counts**0.75)
    X = np.vstack([model.array("contexts")[: trained.rule.document], unit(start)[None]]).astype(np.float64)
    given = keep.tolist(), trained.tables.noise.tolist(), words, X
    twin_of(trained).train([ids.tolist()], *given, trained.lr, trained.floor, 5, 3)
    np.testing.assert_allclose(found, X[-1], atol=1e-5)


def test_a_document_whose_words_are_like_noise_is_inferred(corpus, tmp_path):
    """Its hinges have no common direction."""
    inference = inference_jose(train("jose", corpus, tmp_path / "m.h5", options_of(epochs=1)), 3, 5, 1)
    inference._noise = inference._words[7].astype(np.float64)
    assert np.linalg.norm(inference.vectors([np.array([7, 7], np.int32)])) == pytest.approx(1)


def test_new_documents_of_a_word_each_are_as_far_apart_as_their_words(corpus, tmp_path):
    """A start that all of them shared would remain in these short ones."""
    model = train("jose", corpus, tmp_path / "m.h5", options_of())
    found, words = model.documents.infer_vectors(model.vocabulary.words), model.array("words")
    others = ~np.eye(len(words), dtype=bool)
    assert (found @ found.T)[others].mean() < (words @ words.T)[others].mean() + 0.05

"""fastText: its rules are the twin's, its vectors the means of rows, and older models a start."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.steps import twin_of
from support.topics import bits, make_corpus, options_of, planted
from twins import subwords as naive

from cooc_engine.corpus.thinning import keep_probabilities
from cooc_engine.errors import UsageError
from cooc_engine.models.sampled_options import FasttextOptions
from cooc_engine.pipeline.train import train
from cooc_engine.runtime.progress import Stage
from cooc_engine.sampled import sampler
from cooc_engine.sampled.fasttext import design_fasttext
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.trainer import State, run_epochs
from cooc_engine.sampled.workspace import Means, memory_plan

BUCKETS = 40
LENGTHS = {"min_n": 2, "max_n": 3}  # of n-grams of words as short as these topics'
HABITS = [{}, {"loss": "hs"}, {"noise": "own"}, {"architecture": "cbow"}, {"architecture": "cbow", "loss": "hs"}]


def options(**changes) -> FasttextOptions:
    return options_of("fasttext", **{"buckets": BUCKETS, **LENGTHS, **changes})


def rows_of(word: str, row: int, words: int) -> list[int]:
    return [row, *(words + naive.fnv(ngram) % BUCKETS for ngram in naive.ngrams(word.encode(), 2, 3))]


@pytest.mark.parametrize("more", HABITS, ids=str)
def test_training_is_the_twins(tmp_path, more):
    texts = planted(3, 12)
    corpus = make_corpus(tmp_path / "corpus", texts)
    design = design_fasttext(corpus, options(epochs=2, **more))
    words = len(corpus.vocabulary)
    twin = twin_of(design.model.rule, design.model.tables)
    assert twin.rows == {row: rows_of(word, row, words) for word, row in corpus.vocabulary.ids.items()}
    network = Network.random(design.inputs, design.outputs, 10, seed=4, start=design.start)
    exact = [matrix.astype(np.float64)[:, :10] for matrix in (network.inputs, network.outputs)]
    run_epochs(State(network), design.model, corpus, 1, Stage("train", None, "words"), lambda *_: None)
    ids = [[corpus.vocabulary.ids[word] for word in text] for text in texts]
    twin.train(ids, [], design.model.tables.noise.tolist(), *exact, 0.1, 0.0, 4, 2)
    for found, wanted in zip((network.inputs, network.outputs), exact, strict=True):
        np.testing.assert_allclose(found[:, :10], wanted, rtol=1e-3, atol=1e-4)


def test_the_habits_of_the_program(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", [*planted(1, 9), ["rare"]], min_count=2)
    rule = design_fasttext(corpus, FasttextOptions(buckets=BUCKETS)).model.rule
    assert (rule.clamp, rule.beyond, rule.redraw, rule.spread) == (8, 1, 1, 0)
    made = FasttextOptions(buckets=BUCKETS, subsample=1e-2)
    tables = design_fasttext(corpus, made).model.tables
    assert corpus.tokens == corpus.counts.sum() + 1, "thinning is relative to all words of the text"
    assert np.array_equal(tables.keep, keep_probabilities(corpus.counts, 1e-2, corpus.tokens))
    assert not np.array_equal(tables.keep, keep_probabilities(corpus.counts, 1e-2))
    assert np.array_equal(tables.noise, sampler.alias_table(corpus.counts, 0.5))
    paths = design_fasttext(corpus, dataclasses.replace(made, loss="hs", noise_power=0.5)).model.tables
    assert np.array_equal(paths.path_labels, -sampler.huffman(corpus.counts).labels), "1 is the right child's"
    assert design_fasttext(corpus, made).model.floor == 0


@pytest.mark.parametrize(("more", "shared"), [({}, 48), ({"architecture": "cbow"}, 8), ({"noise_words": 24}, 24)])
def test_cbow_shares_fewer_noise_words(corpus, more, shared):
    assert design_fasttext(corpus, options(**more)).model.rule.shared == shared


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_planted_topics_are_learned_and_vectors_are_means(corpus, tmp_path, architecture, loss):
    model = train("fasttext", corpus, tmp_path / "m.h5", options(architecture=architecture, loss=loss, lr=0.2, epochs=4))
    matrix, words = np.concatenate([model.array("own"), model.array("subwords")]), len(corpus.vocabulary)
    for word, row in corpus.vocabulary.ids.items():
        np.testing.assert_allclose(model.matrix[row], matrix[rows_of(word, row, words)].mean(axis=0), atol=1e-6)
    units = model.matrix / np.linalg.norm(model.matrix, axis=1)[:, None]
    topics = np.array([word[0] for word in corpus.vocabulary.words])
    same = topics[:, None] == topics
    assert (units @ units.T)[same].mean() > (units @ units.T)[~same].mean() + 0.3
    if loss != "ns":  # nothing is left but which of six words it is
        assert model.history[-1]["loss"] == pytest.approx(np.log(6), rel=0.05)


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
def test_deterministic_training_learns_as_much(corpus, tmp_path, loss):
    made = options(loss=loss, deterministic=True, epochs=2)
    models = [train("fasttext", corpus, tmp_path / f"{n}.h5", made, threads=n) for n in (1, 3)]
    assert bits(models[0]) == bits(models[1])
    racing = train("fasttext", corpus, tmp_path / "r.h5", dataclasses.replace(made, deterministic=False), threads=1)
    assert models[0].history[-1]["loss"] == pytest.approx(racing.history[-1]["loss"], rel=0.05)


def test_words_without_ngrams(corpus, tmp_path):
    model = train("fasttext", corpus, tmp_path / "m.h5", options(max_n=0, epochs=1))
    assert model.names == ["contexts", "own", "words"]
    assert np.array_equal(model.array("own"), model.matrix)
    assert model.subwords is None


def test_a_model_with_ngrams_is_a_start(corpus, tmp_path):
    first = train("fasttext", corpus, tmp_path / "first.h5", options())
    other = make_corpus(tmp_path / "other", [*planted(7), ["new", "a1"]])
    still = {"epochs": 1, "lr": 1e-12, "init": str(first.path)}
    model = train("fasttext", other, tmp_path / "second.h5", options(**still))
    plain = train("skipgram", other, tmp_path / "plain.h5", options_of("skipgram", **still))
    np.testing.assert_allclose(model.array("subwords"), first.array("subwords"), atol=1e-6)
    for word in first.vocabulary:
        here, there = model.vocabulary.ids[word], first.vocabulary.ids[word]
        for name in ("own", "words", "contexts"):
            np.testing.assert_allclose(model.array(name)[here], first.array(name)[there], atol=1e-6)
        np.testing.assert_allclose(plain.matrix[here], first.matrix[there], atol=1e-6)
    with pytest.raises(UsageError, match=r"first\.h5: was made with buckets=40; pass buckets=40"):
        train("fasttext", other, tmp_path / "x.h5", options(**still, buckets=41))


def test_vectors_without_ngrams_become_the_words_own_rows(corpus, tmp_path):
    first = train("skipgram", corpus, tmp_path / "first.h5", options_of("skipgram", epochs=1))
    started = options(epochs=1, lr=1e-12, init=str(first.path))
    model = train("fasttext", corpus, tmp_path / "second.h5", started)
    np.testing.assert_allclose(model.array("own"), first.matrix, atol=1e-6)
    with pytest.raises(UsageError, match=r"first\.h5 has no own to keep, only contexts, words"):
        train("fasttext", corpus, tmp_path / "x.h5", dataclasses.replace(started, extend=True))


def test_words_of_an_older_model_are_kept(corpus, tmp_path):
    first = train("fasttext", corpus, tmp_path / "first.h5", options())
    other = make_corpus(tmp_path / "other", [["new", "a1", "newer"]] * 30)
    model = train("fasttext", other, tmp_path / "second.h5", options(epochs=2, init=str(first.path), extend=True))
    ids = model.vocabulary.ids
    assert set(ids) == {*first.vocabulary, "new", "newer"}
    old = first.vocabulary.ids["b2"]
    assert np.array_equal(model.array("own")[ids["b2"]], first.array("own")[old])
    matrix = np.concatenate([model.array("own"), model.array("subwords")])
    for word in ("b2", "new"):  # of rows that are trained on: what it shares of them moves a kept word too
        wanted = matrix[rows_of(word, ids[word], len(ids))].mean(axis=0)
        np.testing.assert_allclose(model.matrix[ids[word]], wanted, atol=1e-6)


def test_the_plan_counts_what_is_made_at_the_end(corpus, tmp_path):
    plan, _ = memory_plan(design_fasttext(corpus, options()), Means("fasttext", 10, 1, 1 << 30, 0, tmp_path))
    assert plan.memory["published vectors"] == 4 * 10 * len(corpus.vocabulary)


def test_impossible_ngrams_are_refused():
    with pytest.raises(UsageError, match="max_n is 2, below min_n, 3; pass max_n=0 for no n-grams"):
        FasttextOptions(max_n=2)
    with pytest.raises(UsageError, match="leave noise out"):
        FasttextOptions(architecture="cbow", noise="own")

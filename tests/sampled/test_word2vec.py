"""skip-gram and CBOW: whole models mean what they should, and every option reaches them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from support.steps import paths_of
from support.topics import bits, make_corpus, options_of
from threadpoolctl import threadpool_info, threadpool_limits

from cooc_engine._kernels import rules
from cooc_engine._kernels.rules import Rule
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.file import open_model
from cooc_engine.models.sampled_options import CbowOptions, SkipgramOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import sampler, softmax
from cooc_engine.sampled.softmax import softmax_step
from cooc_engine.sampled.word2vec import design_cbow, design_skipgram
from cooc_engine.vectors.query import Vectors

# --------------------------------------------------------------------------------------------------------- whole models


def normalised(model, loss: str, counts) -> np.ndarray:
    """log p(word | input) by the model's own normalised output layer."""
    W = model.array("words").astype(np.float64)
    if loss != "hs":
        scores = W @ model.array("contexts").T.astype(np.float64)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    nodes, paths = model.array("nodes").astype(np.float64), paths_of(sampler.huffman(counts))
    result = [[-sum(np.logaddexp(0, -y * (w @ nodes[n])) for n, y in paths[t]) for t in range(len(W))] for w in W]
    return np.array(result)


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize(
    ("family", "more"),
    [("skipgram", {}), ("skipgram", {"predict": "contexts"}), ("cbow", {}), ("cbow", {"gradient": "share", "lr": 0.3})],
    ids=str,
)
def test_planted_topics_are_learned(corpus, tmp_path, family, more, loss):
    """Topics part, and the likelihood of a neighbour rises from 1/18 to nearly 1/6 under every output layer."""
    model = train(family, corpus, tmp_path / "m.h5", options_of(family, loss=loss, **more))
    vectors = Vectors.open(model.path)
    for word in corpus.vocabulary:
        assert {near[0] for near, _ in vectors.most_similar(word, topn=5)} == {word[0]}
    log_p = normalised(model, loss, corpus.counts)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-9)
    words = corpus.vocabulary.words
    same = np.array([[a[0] == b[0] for b in words] for a in words])
    assert np.exp(log_p)[same].sum() / len(words) > (0.55 if loss == "ns" else 0.8)
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    if loss != "ns":  # nothing is left but which of six words it is
        assert model.history[-1]["loss"] == pytest.approx(np.log(6), rel=0.03)


def test_the_loss_is_the_mean_of_examples(corpus, tmp_path):
    """Before anything is learned an example costs log 2 for its target and each noise word that is not it."""
    model = train("skipgram", corpus, tmp_path / "m.h5", options_of("skipgram", epochs=1, lr=1e-12, negative=3))
    record = model.history[0]
    share = (corpus.counts / corpus.counts.sum()) @ (corpus.counts**0.75 / (corpus.counts**0.75).sum())
    assert record["loss"] == pytest.approx(np.log(2) * (1 + 3 * (1 - share)), rel=5e-3)
    assert record["items"] == corpus.tokens
    mean_examples = sum(min(24, p + r) - max(0, p - r) for p in range(25) for r in (1, 2, 3)) * 150 / 3
    assert record["examples"] == pytest.approx(mean_examples, rel=0.02)


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("family", ["skipgram", "cbow"])
def test_deterministic_training_has_the_same_bits_for_any_threads(corpus, tmp_path, family, loss):
    options = options_of(family, loss=loss, deterministic=True, epochs=2)
    models = [train(family, corpus, tmp_path / f"{n}.h5", options, threads=n) for n in (1, 2, 4)]
    assert bits(models[0]) == bits(models[1]) == bits(models[2])
    assert [h["loss"] for h in models[0].history] == [h["loss"] for h in models[2].history]
    other = train(family, corpus, tmp_path / "o.h5", dataclasses.replace(options, seed=5))
    assert bits(other) != bits(models[0])
    racing = train(family, corpus, tmp_path / "r.h5", dataclasses.replace(options, deterministic=False), threads=1)
    assert models[0].history[-1]["loss"] == pytest.approx(racing.history[-1]["loss"], rel=0.05), "it learns as much"


def test_no_hash_seed_matters(corpus, tmp_path):
    found = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.h5"
        command = f"train skipgram {corpus.path} --output {path} --deterministic --epochs 1 --progress none".split()
        subprocess.run([sys.executable, "-m", "cooc_engine", *command], check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        found.append(bits(open_model(path)))
    assert found[0] == found[1]


def test_one_thread_is_repeatable_and_seeded(corpus, tmp_path):
    how = [(tmp_path / f"{n}.h5", options_of("cbow", seed=seed)) for n, seed in enumerate((1, 1, 2))]
    a, b, c = (train("cbow", corpus, *one, threads=1) for one in how)
    assert bits(a) == bits(b) != bits(c)


@pytest.mark.parametrize("lr", [0.025, 0.05, 0.1, 0.2])
def test_steps_that_are_added_together_do_not_overshoot(corpus, tmp_path, lr):
    """In a small vocabulary a batch holds many steps of each row: at high rates fewer of them count."""
    losses = {}
    for deterministic in (True, False):
        options = options_of("skipgram", lr=lr, epochs=4, deterministic=deterministic)
        losses[deterministic] = train("skipgram", corpus, tmp_path / f"{deterministic}.h5", options, threads=1).history[-1][
            "loss"
        ]
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_a_softmax_uses_one_thread_of_blas(corpus, tmp_path, monkeypatch):
    """Its sums, and so the last bits, would depend on their number."""
    seen = set()

    def spy(*args, **more):
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return softmax_step(*args, **more)

    monkeypatch.setattr(softmax, "softmax_step", spy)
    with threadpool_limits(2, "blas"):
        train("skipgram", corpus, tmp_path / "m.h5", options_of("skipgram", loss="softmax", epochs=1))
    assert seen == {1}


# ---------------------------------------------------------------------------------------------- small and foreign texts


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("family", ["skipgram", "cbow"])
def test_one_word_and_single_word_documents(tmp_path, family, loss):
    one = make_corpus(tmp_path / "one", [["x", "x", "x"], ["x"]])
    model = train(family, one, tmp_path / "1.h5", options_of(family, loss=loss))
    assert model.matrix.shape == (1, 10)
    lonely = make_corpus(tmp_path / "lonely", [["x"], ["y"], ["z"]])
    with pytest.raises(InputError, match=r"lonely: holds nothing to train on: no word .* in its document$"):
        train(family, lonely, tmp_path / "2.h5", options_of(family, loss=loss, subsample=0))
    with pytest.raises(InputError, match=r"lonely: holds nothing to train on: .*subsample .* pass 0$"):
        train(family, lonely, tmp_path / "2.h5", options_of(family, loss=loss, subsample=1e-4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "lonely", "one"]


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_the_vocabulary_of_another_text(corpus, tmp_path, loss, deterministic):
    """Words that never occur are nothing to thin, and a text without a word of the vocabulary is nothing to train on."""
    taken = EncodeOptions(vocabulary=str(corpus.path))
    few = encode_documents([["a1", "a2", "a3"]] * 20, tmp_path / "few", taken)
    options = options_of("skipgram", loss=loss, deterministic=deterministic, subsample=0.5, epochs=2)
    assert np.isfinite(train("skipgram", few, tmp_path / "few.h5", options).matrix).all()
    count(few, tmp_path / "cooc", CountOptions(subsample=0.5))
    none = encode_documents([["q", "r", "s"]] * 20, tmp_path / "none", taken)
    with pytest.raises(InputError, match="none: contains no word of its vocabulary"):
        train("skipgram", none, tmp_path / "none.h5", options)


def test_counts_are_no_text(corpus, tmp_path):
    cooc = count(corpus, tmp_path / "cooc")
    with pytest.raises(UsageError, match="cooc: holds counts; this model reads the text itself"):
        train("skipgram", cooc.path, tmp_path / "m.h5")


# -------------------------------------------------------------------------------------------------------------- options


def test_every_option_reaches_the_training(corpus):
    """None of them has its default."""
    counts = corpus.counts
    options = SkipgramOptions(
        window=7, radius="fixed", negative=9, noise="own", noise_power=0.4, subsample=0.02, epochs=3, lr=0.04, seed=8,
        deterministic=True,
    )  # fmt: skip
    model = design_skipgram(corpus, options).model
    assert model.rule == Rule(rules.CONTEXTS, 0, 0, -1, 7, 1, rules.NOISE, 9, 1, 0, 6.0, 1.0, 0)
    assert (model.epochs, model.lr, model.seed, model.deterministic) == (3, 0.04, 8, True)
    wanted = sampler.tables(counts, subsample=0.02, noise_power=0.4)
    for name, table in wanted._asdict().items():
        np.testing.assert_array_equal(getattr(model.tables, name), table)
    assert model.tables.keep.min() < 2**64 - 1
    plain = sampler.tables(counts, subsample=1e-3, noise_power=0.75)
    assert not np.array_equal(plain.keep, wanted.keep)
    assert not np.array_equal(plain.noise, wanted.noise)
    assert model.uses == sampler.expected_uses(counts, wanted, model.rule)
    assert model.uses.word > 0.1
    paper = design_skipgram(corpus, SkipgramOptions(predict="contexts", subsample=0)).model
    assert paper.rule == Rule(rules.CENTRE, 0, 0, -1, 5, 0, rules.NOISE, 5, paper.rule.group, 16, 6.0, 1.0, 0)
    assert not len(paper.tables.keep)
    more = [SkipgramOptions(noise_words=30), SkipgramOptions(noise_words=1, negative=9), SkipgramOptions(noise="own")]
    assert [design_skipgram(corpus, options).model.rule.shared for options in more] == [32, 12, 0], "whole tiles of 4 rows"
    tree = design_cbow(corpus, CbowOptions(loss="hs", gradient="share")).model
    assert tree.rule == Rule(rules.CONTEXTS, 1, 1, -1, 5, 0, rules.PATH, 0, tree.rule.group, 0, 6.0, 0.0, 0)
    np.testing.assert_array_equal(tree.tables.path_nodes, sampler.huffman(counts).nodes)
    assert not len(tree.tables.noise)
    assert design_cbow(corpus, CbowOptions(loss="softmax")).model.rule.output == rules.LIST


def test_designs_differ_in_their_rule_alone(corpus):
    rules = [
        design_skipgram(corpus, SkipgramOptions()).model.rule,
        design_cbow(corpus, CbowOptions()).model.rule,
    ]
    assert [f for f in Rule._fields if getattr(rules[0], f) != getattr(rules[1], f)] == ["mean"]


IDLE = {"negative": 7, "noise": "own", "noise_words": 8, "noise_power": 0.5}


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("loss", ["hs", "softmax"])
def test_an_option_that_changes_nothing_is_refused(name, loss):
    for options in (SkipgramOptions, CbowOptions):
        assert options(loss=loss, **{name: getattr(options(), name)}).loss == loss, "the default may be said"
        with pytest.raises(UsageError, match=rf"{name} is {IDLE[name]}, but .*; leave {name} out"):
            options(loss=loss, **{name: IDLE[name]})


def test_noise_of_ones_own_where_there_is_no_other():
    with pytest.raises(UsageError, match="noise is own"):
        SkipgramOptions(predict="contexts", noise="own")
    with pytest.raises(UsageError, match="noise is own"):
        CbowOptions(noise="own")
    with pytest.raises(UsageError, match="noise_words is 32"):
        SkipgramOptions(noise="own", noise_words=32)


def test_no_negative_samples_is_another_loss():
    with pytest.raises(UsageError, match=r"negative is 0.* loss='hs'"):
        SkipgramOptions(negative=0)


def test_hs_has_no_output_vector_of_a_word(corpus, tmp_path):
    with pytest.raises(UsageError, match="vectors is w"):
        train("cbow", corpus, tmp_path / "m.h5", options_of("cbow", loss="hs", vectors="w+c"))

"""An epoch reads the whole text once: windows, stretches, shards, and the clock by which the rate falls."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.steps import counts_of, matrices, rule_of, run_kernel, tables_of, texts, twin_of
from support.topics import options_of, planted
from twins import sgd as naive

from cooc_engine._kernels import rules
from cooc_engine._kernels.rules import Clock
from cooc_engine._kernels.step import StepLog
from cooc_engine.counts.count import count
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.sampled_options import SkipgramOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import sampler, trainer
from cooc_engine.sampled.model import SampledModel, rate_at
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.trainer import State, run_epochs
from cooc_engine.sampled.word2vec import design_skipgram


@given(part=st.integers(1, 50), piece=st.integers(1, 40), window=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_no_cut_of_the_text_changes_a_window(part, piece, window):
    """With a fixed radius the examples are those of the documents, wherever parts end."""
    rule = rule_of(output=rules.LIST, window=window, fixed=1)
    documents = texts(seed=part)
    tables = sampler.tables(counts_of(documents, 9), subsample=0.1)
    model = SampledModel(rule, tables, 1, 0.1, seed=4)
    W, C = matrices(9, 9, 2)
    parts = -(-sum(map(len, documents)) // part)
    log = StepLog(np.zeros((parts, 9999), np.int32), np.zeros((0, 0, 16), np.float32), np.zeros(parts, np.int64))
    run_kernel(documents, model, W, C, log=log, part=part)
    found = Counter()
    for rows, used in zip(log.rows, log.used, strict=True):
        place = 0
        while place < used:
            n, m = rows[place : place + 2]
            found[tuple(rows[place + 2 : place + 2 + n].tolist()), int(rows[place + 2 + n])] += 1
            assert m == 1
            place += 2 + n + m
    twin = twin_of(rule, tables)
    wanted = [example for _, example in twin.groups(documents, tables.keep.tolist(), 4, 0, naive.Random.of(4, 0, 0))]
    windows = [(tuple(e.lanes[lane][0] for _, lane in sorted(e.pairs)), e.targets[0]) for e in wanted if e.pairs]
    assert found == Counter(windows)


@pytest.mark.parametrize("predict", ["centre", "contexts"])
def test_the_loss_is_the_cross_entropy_of_the_counts(corpus, tmp_path, predict):
    """Full softmax, fixed window, nothing thinned: -Σ X_ij log Q_ij / Σ X_ij over uniform counts."""
    cooc = count(corpus, tmp_path / "cooc", CountOptions(window=4, window_weight="uniform"))
    options = SkipgramOptions(
        loss="softmax", window=4, radius="fixed", subsample=0, epochs=1, lr=1e-30, vector_size=5, predict=predict
    )
    design = design_skipgram(corpus, options)
    network = Network.random({"words": 18}, {"contexts": 18}, 5, seed=1)
    network.inputs[:, :5] *= 5
    network.outputs[:, :5] = np.random.default_rng(2).normal(size=(18, 5))
    state = State(network)
    run_epochs(state, design.model, corpus, 2, trainer.Stage("train", None, "words"), lambda *_: None)
    scores = network.inputs.astype(np.float64) @ network.outputs.T.astype(np.float64)
    log_q = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    X = np.zeros((18, 18))
    for (i, j), value in naive_counts(planted(), corpus.vocabulary.words, 4).items():
        X[i, j] = value
    assert X.sum() == cooc.manifest["total"] / cooc.manifest["denominator"] == state.history[0]["examples"]
    assert state.history[0]["loss"] == pytest.approx(-(X * log_q).sum() / X.sum(), rel=1e-6)
    probabilities = X / X.sum(axis=1, keepdims=True)
    by_words = -(X.sum(axis=1) * (probabilities * log_q).sum(axis=1)).sum() / X.sum()
    assert state.history[0]["loss"] == pytest.approx(by_words, rel=1e-6)


def naive_counts(documents, words, window: int) -> Counter:
    row, found = {word: i for i, word in enumerate(words)}, Counter()
    for text in documents:
        for p, q in itertools.permutations(range(len(text)), 2):
            if abs(p - q) <= window:
                found[row[text[p]], row[text[q]]] += 1
    return found


@pytest.mark.parametrize("tokens", [1, 7, 100, 101, 2345])
@pytest.mark.parametrize("deterministic", [True, False])
def test_an_epoch_visits_all_of_a_shard_once_in_an_order_of_its_own(small_parts, tokens, deterministic):
    rule = rule_of()
    model = SampledModel(rule, tables_of(np.array([5]), rule), 1, 0.1, seed=1, deterministic=deterministic)
    orders = []
    for epoch in (0, 1):
        walk = trainer._Walk(model, Clock(1, epoch, 0, 0, 0, float(tokens), 0.1), tokens)
        visited = [walk.batch(visit) for visit in range(len(walk))]
        assert len(set(visited)) == len(visited)
        assert {batch for batch in visited if batch * walk.size < tokens} == set(range(-(-tokens // walk.size)))
        orders.append(visited)
    assert (orders[0] != orders[1]) == (tokens == 2345) or len(orders[0]) < 12


@pytest.mark.parametrize("tokens", [1, 99, 100, 1001, 2345])
@pytest.mark.parametrize("deterministic", [True, False])
def test_the_clock_of_a_walk_is_what_it_has_read(small_parts, tokens, deterministic):
    """Wherever the short last stretch is visited."""
    rule, short = rule_of(), set()
    model = SampledModel(rule, tables_of(np.array([5]), rule), 1, 0.1, seed=1, deterministic=deterministic)
    for epoch in range(20):
        walk = trainer._Walk(model, Clock(1, epoch, 0, 0, 0, float(tokens), 0.1), tokens)
        read = 0
        for visit in range(len(walk)):
            assert walk.done(visit) == read
            full = (later for later in range(visit, len(walk)) if walk.batch(later) * walk.size < tokens)
            assert walk.past_empty(visit) == next(full, len(walk)), "visits of empty batches are passed over"
            read += max(0, min(walk.size, tokens - walk.batch(visit) * walk.size))
        assert walk.done(len(walk)) == read == tokens
        short.add(walk.short)
    assert len(short) > 2 or tokens <= 100


@pytest.mark.parametrize("deterministic", [True, False])
def test_each_batch_is_told_where_it_stands(shards, tmp_path, small_parts, monkeypatch, deterministic):
    """Over shards, stretches and epochs: the rate falls by what has been read, draws belong to places in the corpus."""
    original, seen = trainer._Team.train, []

    def spy(team, shard, clock, batches):
        (number,) = (n for n in range(shards.shards) if np.array_equal(shards.shard(n).ids, shard.ids))
        seen.extend((number, batch, later, clock) for batch, later in batches.tolist())
        return original(team, shard, clock, batches)

    monkeypatch.setattr(trainer._Team, "train", spy)
    options = options_of("skipgram", epochs=3, deterministic=deterministic, seed=9, lr=0.06)
    train("skipgram", shards, tmp_path / "m.h5", options)
    model = design_skipgram(shards, options).model
    size, read, sizes = model.part * model.batch, 0, shards.manifest["shards"]
    for number, batch, later, clock in seen:
        tokens, documents = np.sum(sizes[:number], axis=0, dtype=int) if number else (0, 0)
        assert (clock.seed, clock.epoch) == (9, read // shards.tokens)
        assert clock.total == pytest.approx(3 * shards.tokens / (1 - 1e-4), rel=1e-12)
        assert (clock.origin, clock.document, clock.lr) == (tokens, documents, 0.06)
        assert clock.done + later + clock.origin + batch * size == read
        read += min(size, sizes[number][0] - batch * size)
    assert read == 3 * shards.tokens
    orders = [[n for n, _ in itertools.groupby(n for n, _, _, clock in seen if clock.epoch == e)] for e in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(set(map(tuple, orders))) == 3, "no shard is always the last"


@pytest.mark.parametrize(("min_lr", "last"), [(None, 5e-6), (0.0, 0.0), (0.02, 0.02), (0.05, 0.05)])
def test_the_rate_falls_in_a_straight_line_to_its_end(corpus, tmp_path, min_lr, last):
    model = train("skipgram", corpus, tmp_path / "m.h5", options_of("skipgram", lr=0.05, min_lr=min_lr, epochs=2))
    assert [epoch["lr"] for epoch in model.history] == pytest.approx([(0.05 + last) / 2, last])
    state = State(Network.random({"words": 2}, {"contexts": 2}, 4, 1))
    designed = design_skipgram(corpus, options_of("skipgram", lr=0.05, min_lr=min_lr, epochs=2)).model
    for state.epoch, begun in ((0, 0.05), (1, (0.05 + last) / 2)):
        clock, _ = next(trainer._shards(state, designed, corpus))
        assert rate_at(clock, 0) == pytest.approx(begun)
        assert rate_at(clock, corpus.tokens) == pytest.approx(begun - (0.05 - last) / 2)


def test_a_rate_that_would_rise_is_refused():
    with pytest.raises(UsageError, match=r"min_lr is 0\.1, above lr, 0\.025"):
        SkipgramOptions(min_lr=0.1)


def test_several_shards_are_one_text(corpus, shards, tmp_path):
    """The cut into shards changes nothing but where parts begin."""
    assert (corpus.shards, shards.shards) == (1, 10)
    options = options_of("skipgram", loss="softmax", radius="fixed", epochs=1, lr=1e-12)
    losses = [train("skipgram", c, tmp_path / f"{c.shards}.h5", options).history[0] for c in (corpus, shards)]
    assert losses[0]["examples"] == losses[1]["examples"]
    assert losses[0]["loss"] == pytest.approx(losses[1]["loss"], rel=1e-6)


def test_a_word_that_is_repeated_on_and_on_does_not_overshoot():
    """As in 20 Newsgroups, where lines of files that were posted as text are a few words a thousand times."""
    rng, rule = np.random.default_rng(2), rule_of(group=32, window=5, negative=5, shared=16)
    documents = [*rng.integers(0, 400, (60, 40)).tolist(), [7] * 1500]
    W, C = matrices(400, 400, 20, scale=0)
    W[:, :20] = rng.uniform(-0.05, 0.05, (400, 20))
    model = SampledModel(rule, tables_of(counts_of(documents, 400), rule), 3, 0.025, 6)
    losses = [loss / examples for loss, examples in run_kernel(documents, model, W, C, epochs=3)]
    assert losses[2] < losses[1] < losses[0] < 6 * np.log(2), "below that of vectors of zeros, and falling"

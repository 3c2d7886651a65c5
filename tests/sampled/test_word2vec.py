"""word2vec: the kernel is its twin's rule, its steps are gradients, and its models mean what they should."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits
from twins import sgd as naive

from cooc_engine._kernels import sgd
from cooc_engine._kernels.sgd import Clock, Rule, StepLog, Tables
from cooc_engine.corpus import encode as corpus_module
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import DivergenceError, InputError, InterruptedRun, UsageError
from cooc_engine.models import file
from cooc_engine.models.checkpoints import Checkpoint, checkpoint_path
from cooc_engine.models.file import open_model
from cooc_engine.models.matrix_options import SimplerGloveOptions
from cooc_engine.models.sampled_options import CbowOptions, SkipgramOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import model as model_module
from cooc_engine.sampled import sampler, trainer, training, workspace
from cooc_engine.sampled.model import FLOOR, Design, SampledModel
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.softmax import Examples, softmax_step
from cooc_engine.sampled.trainer import State, run_epochs
from cooc_engine.sampled.word2vec import design_cbow, design_skipgram, design_words
from cooc_engine.sampled.workspace import Workspace
from cooc_engine.storage.scratch import aligned_zeros, padded
from cooc_engine.vectors.query import Vectors

MODELS = {
    "skip-gram": {},
    "own noise": {"own": 1},
    "paper": {"inputs": sgd.CENTRE},
    "paper, own noise": {"inputs": sgd.CENTRE, "own": 1},
    "cbow": {"mean": 1},
    "cbow, shares": {"mean": 1, "spread": 1},
    "cbow, own noise": {"mean": 1, "own": 1},
}
PLAIN = {"inputs": 0, "mean": 0, "spread": 0, "document": -1, "window": 3, "fixed": 0, "output": 0, "negative": 4, "own": 0}


def rule_of(**changes) -> Rule:
    hs = changes.get("output") == sgd.PATH
    return Rule(**{**PLAIN, "clamp": 6.0, "beyond": 0.0 if hs else 1.0, **changes})


def texts(words: int = 9, documents: int = 6, seed: int = 1) -> list[list[int]]:
    """Documents of word ids, some unknown (-1), one empty and one of a single word."""
    rng = np.random.default_rng(seed)
    drawn = [(rng.geometric(0.25, rng.integers(2, 30)) - 2).clip(-1, words - 1).tolist() for _ in range(documents)]
    return [*drawn, [], [0], list(range(words))]


def counts_of(documents, words: int) -> np.ndarray:
    return np.bincount([w for text in documents for w in text if w >= 0], minlength=words).astype(np.int64)


def paths_of(paths: sampler.Paths) -> dict[int, list[tuple[int, float]]]:
    pairs = list(zip(paths.nodes.tolist(), paths.labels.tolist(), strict=True))
    return {w: pairs[a:b] for w, (a, b) in enumerate(itertools.pairwise(paths.starts.tolist()))}


def twin_of(rule: Rule, tables: Tables) -> naive.Twin:
    """The twin of a rule: the same facts by other names."""
    paths = sampler.Paths(tables.path_starts, tables.path_nodes, tables.path_labels)
    rows = None
    if len(tables.row_starts):
        starts = tables.row_starts.tolist()
        rows = {w: tables.rows[a:b].tolist() for w, (a, b) in enumerate(itertools.pairwise(starts))}
    return naive.Twin(
        inputs=["contexts", "centre", "document"][rule.inputs],
        mean=bool(rule.mean),
        spread=bool(rule.spread),
        window=rule.window,
        fixed=bool(rule.fixed),
        negative=rule.negative,
        own=bool(rule.own),
        paths=paths_of(paths) if rule.output == sgd.PATH else None,
        rows=rows,
        document=rule.document,
        clamp=rule.clamp,
        beyond=rule.beyond,
        redraw=bool(rule.redraw),
        frozen_outputs=bool(rule.frozen & sgd.OUTPUT_ROWS),
        frozen_words=bool(rule.frozen & sgd.WORD_ROWS),
    )


def tables_of(counts: np.ndarray, rule: Rule, subsample: float = 0.0, **more) -> Tables:
    hs = rule.output == sgd.PATH
    paths = sampler.huffman(counts) if hs else None
    return sampler.tables(counts, subsample=subsample, noise_power=None if hs else 0.75, paths=paths, **more)


def matrices(rows: int, outputs: int, d: int, scale: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    both = []
    for n in (rows, outputs):
        matrix = aligned_zeros(n, padded(d))
        matrix[:, :d] = rng.normal(0, scale, (n, d))
        both.append(matrix)
    return both[0], both[1]


def shard_of(documents) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([w for text in documents for w in text], np.int32)
    return ids, np.cumsum([0, *map(len, documents)]).astype(np.int64)


def run_kernel(documents, model: SampledModel, W, C, *, log: StepLog | None = None, part: int = 1 << 14, epochs: int = 1):
    """Run all parts one after the other; returns loss and examples by epoch."""
    ids, offsets = shard_of(documents)
    scratch, history = Workspace(model, W.shape[1]).scratch(), []
    parts = -(-len(ids) // part)
    for epoch in range(epochs):
        total = dataclasses.replace(model, epochs=epochs).horizon(len(ids))
        clock = Clock(model.seed, epoch, 0, 0, epoch * len(ids), total, model.lr)
        results = np.zeros((parts, 3))
        nothing = StepLog(np.empty((0, 0), np.int32), np.empty((0, 0, W.shape[1]), np.float32), np.empty(0, np.int64))
        rest = model.rule, model.tables, clock, W, C, scratch, nothing if log is None else log, results
        sgd.train_parts(ids, offsets, 0, parts, part, *rest)
        history.append(tuple(results.sum(axis=0)[:2]))
    return history


# --------------------------------------------------------------------------------------- the kernel against its twin


@pytest.mark.parametrize("d", [1, 7, 16, 37])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("output", [sgd.NOISE, sgd.PATH], ids=["ns", "hs"])
def test_training_is_the_twins_to_single_precision(name, output, d):
    rule = rule_of(**MODELS[name], output=output)
    documents = texts()
    tables = tables_of(counts_of(documents, 9), rule, subsample=0.05)
    model = SampledModel(rule, tables, 2, 0.05, seed=3)
    W, C = matrices(9, 9, d)
    exact_W, exact_C = W.astype(np.float64)[:, :d], C.astype(np.float64)[:, :d]
    history = run_kernel(documents, model, W, C, epochs=2)
    args = tables.keep.tolist(), tables.noise.tolist(), exact_W, exact_C
    wanted = twin_of(rule, tables).train(documents, *args, 0.05, model.floor, 3, 2)
    np.testing.assert_allclose(W[:, :d], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :d], exact_C, rtol=1e-4, atol=3e-5)
    for (loss, examples), (twin_loss, twin_examples) in zip(history, wanted, strict=True):
        assert examples == twin_examples > 50
        assert loss == pytest.approx(twin_loss, rel=1e-5)
    assert not W[:, d:].any()
    assert not C[:, d:].any(), "the padding stays zero"


@given(scale=st.floats(0.1, 20), seed=st.integers(0, 99), negative=st.integers(1, 13), window=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_clamped_or_not_the_step_is_the_twins(scale, seed, negative, window):
    """At any size of the inner products, for any number of rows and outputs."""
    rule = rule_of(negative=negative, window=window, fixed=1)
    documents = texts(documents=2, seed=seed)
    tables = tables_of(counts_of(documents, 9), rule)
    W, C = matrices(9, 9, 5, scale)
    exact_W, exact_C = W.astype(np.float64)[:, :5], C.astype(np.float64)[:, :5]
    model = SampledModel(rule, tables, 1, 0.01, seed=seed)
    ((loss, _),) = run_kernel(documents, model, W, C)
    args = tables.keep.tolist(), tables.noise.tolist(), exact_W, exact_C
    ((wanted, _),) = twin_of(rule, tables).train(documents, *args, 0.01, model.floor, seed, 1)
    assert loss == pytest.approx(wanted, rel=1e-3)
    np.testing.assert_allclose(W[:, :5], exact_W, rtol=1e-2, atol=1e-3 * scale)


# ----------------------------------------------------------------------------------------------------------- gradients


def slopes(loss, matrix: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Finite differences of a loss over the elements of a matrix."""
    result = np.zeros_like(matrix)
    for place in np.ndindex(matrix.shape):
        before = matrix[place]
        matrix[place] = before + h
        above = loss()
        matrix[place] = before - h
        result[place] = (above - loss()) / (2 * h)
        matrix[place] = before
    return result


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("output", [sgd.NOISE, sgd.PATH], ids=["ns", "hs"])
def test_steps_are_gradients(name, output):
    """All steps of a text, taken against the same parameters, are -lr times the slope of the summed loss."""
    rule, d = rule_of(**MODELS[name], output=output), 3
    documents = texts(5, 3)
    tables = tables_of(counts_of(documents, 5), rule)
    model = dataclasses.replace(SampledModel(rule, tables, 1, 0.5, seed=2, floor=1.0), deterministic=True)
    W, C = matrices(5, 5, d)
    log = StepLog(np.zeros((1, 9999), np.int32), np.zeros((1, 9999, 16), np.float32), np.zeros(1, np.int64))
    run_kernel(documents, model, W, C, log=log)
    steps_W, steps_C = np.zeros((5, d)), np.zeros((5, d))
    used = log.used[0]
    for row, step in zip(log.rows[0, :used].tolist(), log.steps[0, :used, :d], strict=True):
        (steps_W if row >= 0 else steps_C)[row if row >= 0 else -1 - row] += step
    twin, exact_W, exact_C = twin_of(rule, tables), W.astype(np.float64)[:, :d], C.astype(np.float64)[:, :d]
    groups = []
    for _, example, random in twin.examples(documents, [], tables.noise.tolist(), 2):
        alone = rule.own and not rule.mean
        for turn, inputs in enumerate([[i] for i in example.inputs] if alone else [example.inputs]):
            if turn and twin.paths is None:
                example.outputs = twin.draw(example, tables.noise.tolist(), random)
            groups.append(naive.Example(inputs, [], example.outputs))

    def total() -> float:
        return sum(twin.loss(example, exact_W, exact_C) for example in groups)

    np.testing.assert_allclose(steps_C, -0.5 * slopes(total, exact_C), rtol=1e-3, atol=1e-4)
    if not rule.mean or rule.spread:
        np.testing.assert_allclose(steps_W, -0.5 * slopes(total, exact_W), rtol=1e-3, atol=1e-4)
    else:  # the program adds the whole slope of the mean to each of C inputs
        whole = np.zeros((5, d))
        for example in groups:
            h = exact_W[example.inputs].mean(axis=0)
            for o, y, w in example.outputs:
                whole_step = 0.5 * w * y / (1 + np.exp(y * (h @ exact_C[o]))) * exact_C[o]
                for i in example.inputs:
                    whole[i] += whole_step
        np.testing.assert_allclose(steps_W, whole, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mean", [False, True])
def test_the_full_softmax_steps_are_gradients(mean):
    """Hidden rows of one or several inputs, with one or several targets: E = -Σ u_t·h + C log Σ exp(u_j·h)."""
    listed = [([0, 3], [2]), ([4], [0, 2, 3]), ([1], [4])]
    rng = np.random.default_rng(1)
    W, C = (rng.normal(0, 0.5, (5, 4)) for _ in range(2))
    flat = [number for inputs, words in listed for number in (len(inputs), len(words), *inputs, *words)]
    examples = Examples(np.array(flat, np.int32), mean=mean)
    alone = [(group, words) for inputs, words in listed for group in ([inputs] if mean else [[i] for i in inputs])]

    def loss() -> float:
        total = 0.0
        for inputs, words in alone:
            scores = C @ W[inputs].mean(axis=0)
            total += sum(np.log(np.exp(scores).sum()) - scores[t] for t in words)
        return total

    single_W, single_C = W.astype(np.float32), C.astype(np.float32)
    assert softmax_step(examples, single_W, single_C, 0.1, spread=True) == pytest.approx(loss(), rel=1e-5)
    np.testing.assert_allclose(single_C - C, -0.1 * slopes(loss, C), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(single_W - W, -0.1 * slopes(loss, W), rtol=1e-3, atol=1e-5)


def test_the_one_word_model():
    """One input, one target: ∂E/∂u_j = e_j h and ∂E/∂v = Σ_j e_j u_j, e = softmax - one-hot."""
    rng = np.random.default_rng(2)
    W, C = (rng.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
    h, u = W[1].astype(np.float64), C.astype(np.float64)
    errors = np.exp(u @ h) / np.exp(u @ h).sum() - np.eye(4)[2]
    new_W, new_C = W.copy(), C.copy()
    loss = softmax_step(Examples(np.array([1, 1, 1, 2], np.int32), mean=False), new_W, new_C, 1.0, spread=False)
    assert loss == pytest.approx(-np.log(np.exp(u[2] @ h) / np.exp(u @ h).sum()), rel=1e-6)
    np.testing.assert_allclose(C - new_C, np.outer(errors, h), atol=1e-6)
    np.testing.assert_allclose((W - new_W)[1], errors @ u, atol=1e-6)
    assert (new_W[[0, 2, 3]] == W[[0, 2, 3]]).all()


# ------------------------------------------------------------------------------------------------- the text is whole


@given(part=st.integers(1, 50), piece=st.integers(1, 40), window=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_no_cut_of_the_text_changes_a_window(part, piece, window):
    """With a fixed radius the examples are those of the documents, wherever parts end."""
    rule = rule_of(output=sgd.LIST, window=window, fixed=1)
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
    wanted = twin.windows(documents, tables.keep.tolist(), 4, 0, naive.Random.of(4, 0, 0))
    assert found == Counter((tuple(e.inputs), e.targets[0]) for e in wanted if e.inputs and e.targets)


def make_corpus(at: Path, documents, min_count: int = 1) -> Corpus:
    return encode_documents(documents, at, EncodeOptions(min_count=min_count))


def planted(seed: int = 1, documents: int = 150) -> list[list[str]]:
    """Documents of one of three topics, whose words never meet those of another."""
    rng = np.random.default_rng(seed)
    return [[f"{'abc'[k % 3]}{rng.integers(6)}" for _ in range(25)] for k in range(documents)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("w2v") / "corpus", planted())


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Corpus:
    """The same text in ten shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "SHARD_TOKENS", 400)
        return make_corpus(tmp_path_factory.mktemp("w2v") / "shards", planted())


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


# ------------------------------------------------------------------------------------------------------- whole models

SMALL = {"vector_size": 10, "window": 3, "subsample": 0, "epochs": 8, "lr": 0.1, "seed": 4}


def options_of(family: str, **changes):
    kind = {"skipgram": SkipgramOptions, "cbow": CbowOptions}[family]
    return kind(**{**SMALL, **changes})


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


def bits(model) -> dict[str, bytes]:
    return {name: model.array(name).tobytes() for name in model.names}


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


# ------------------------------------------------------------------------------------------- stops, starts, refusals


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Many parts and rounds in a small corpus."""
    for name, value in (("PART", 100), ("ROUND", 4), ("SMALL_PART", 40), ("BATCH", 3), ("LISTED_PART", 10)):
        monkeypatch.setattr(model_module, name, value)


def stop_after(monkeypatch, rounds: int) -> None:
    """Let the user ask to stop after so many rounds."""
    original, seen = Checkpoint.between, []

    def between(saver, *step) -> None:
        seen.append(1)
        if len(seen) == rounds:
            saver.interrupted = lambda: True
        original(saver, *step)

    monkeypatch.setattr(Checkpoint, "between", between)


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize(("stops", "cut"), [((1,), "corpus"), ((7, 3), "corpus"), ((30,), "corpus"), ((25, 3), "shards")])
def test_an_interrupted_training_ends_in_the_bits_of_the_whole_one(
    request, tmp_path, small_parts, monkeypatch, loss, stops, cut
):
    corpus = request.getfixturevalue(cut)
    options = options_of("skipgram", loss=loss, deterministic=True, epochs=2)
    whole = train("skipgram", corpus, tmp_path / "whole.h5", options)
    output = tmp_path / "m.h5"
    for number, stop in enumerate(stops):
        with monkeypatch.context() as patch:
            stop_after(patch, stop)
            with pytest.raises(InterruptedRun, match="--resume"):
                train("skipgram", corpus, output, options, resume=number > 0)
    with pytest.raises(UsageError, match="--resume"):
        train("skipgram", corpus, output, options)
    with pytest.raises(UsageError, match="other options"):
        train("skipgram", corpus, output, dataclasses.replace(options, lr=0.2), resume=True)
    resumed = train("skipgram", corpus, output, options, resume=True, threads=3)
    assert bits(resumed) == bits(whole)
    assert [h["loss"] for h in resumed.history] == [h["loss"] for h in whole.history]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5", "whole.h5"]


KILLED = """
import os, signal, sys
from cooc_engine.sampled import model
from cooc_engine.models.checkpoints import Checkpoint, checkpoint_path
from cooc_engine.models.sampled_options import CbowOptions
from cooc_engine.pipeline.train import train
model.PART, model.ROUND, model.SMALL_PART, model.BATCH = 100, 4, 40, 3
original, seen = Checkpoint.between, []
def between(saver, *step):
    original(saver, *step)
    seen.append(1)
    if len(seen) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.between = between
options = CbowOptions(vector_size=10, window=3, subsample=0, epochs=2, lr=0.1, deterministic=sys.argv[3] == "1")
train("cbow", sys.argv[1], sys.argv[2], options, checkpoint_every=0)
"""


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_killed_training_goes_on(corpus, tmp_path, small_parts, deterministic):
    output = tmp_path / "m.h5"
    arguments = [corpus.path, output, str(int(deterministic))]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert checkpoint_path(output).exists()
    assert not output.exists()
    options = options_of("cbow", epochs=2, seed=1, deterministic=deterministic)
    resumed = train("cbow", corpus, output, options, resume=True, threads=1)
    assert [h["epoch"] for h in resumed.history] == [1, 2]
    assert all(h["items"] == corpus.tokens for h in resumed.history)
    if deterministic:
        assert bits(resumed) == bits(train("cbow", corpus, tmp_path / "whole.h5", options))


def poison(monkeypatch) -> list[int]:
    """Put NaN into the vectors before the third round; returns a list that grows with the rounds."""
    original, rounds = trainer._Team.train, []

    def poisoned(team, *args):
        rounds.append(1)
        if len(rounds) == 3:
            team.network.inputs[:, 0] = np.nan
        return original(team, *args)

    monkeypatch.setattr(trainer._Team, "train", poisoned)
    return rounds


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_number_that_is_not_finite_stops_at_once(corpus, tmp_path, small_parts, monkeypatch, deterministic):
    rounds = poison(monkeypatch)
    options = options_of("skipgram", deterministic=deterministic)
    with pytest.raises(DivergenceError, match=r"epoch 1; lower --lr \(it is 0.1\)"):
        train("skipgram", corpus, tmp_path / "m.h5", options, checkpoint_every=0)
    assert len(rounds) <= 4
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5.checkpoint"]
    arrays, meta = file.load_arrays(tmp_path / "m.h5.checkpoint", "stream")
    assert np.isfinite(arrays["inputs"]).all()
    assert meta["state"]["epoch"] == 0


@pytest.mark.parametrize("lr", [1e30, 1e300])
@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_rate_without_measure_diverges(corpus, tmp_path, loss, deterministic, lr):
    """In one line, without warnings; also where nodes beyond the clamp are skipped, so that all stays finite."""
    options = options_of("skipgram", loss=loss, deterministic=deterministic, lr=lr)
    with pytest.raises(DivergenceError, match=r"lower --lr .* and start anew with --force"):
        train("skipgram", corpus, tmp_path / "m.h5", options)
    assert not list(tmp_path.iterdir())


def test_a_lower_rate_starts_anew_after_a_divergence(corpus, tmp_path, small_parts, monkeypatch):
    """What the error says is what helps, beside the checkpoint that is kept."""
    output = tmp_path / "m.h5"
    with monkeypatch.context() as patch:
        poison(patch)
        with pytest.raises(DivergenceError, match="start anew with --force"):
            train("skipgram", corpus, output, options_of("skipgram"), checkpoint_every=0)
    assert checkpoint_path(output).exists()
    assert train("skipgram", corpus, output, options_of("skipgram", epochs=1, lr=0.05), force=True).history


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

    monkeypatch.setattr(trainer, "softmax_step", spy)
    with threadpool_limits(2, "blas"):
        train("skipgram", corpus, tmp_path / "m.h5", options_of("skipgram", loss="softmax", epochs=1))
    assert seen == {1}


def test_counts_are_no_text(corpus, tmp_path):
    cooc = count(corpus, tmp_path / "cooc")
    with pytest.raises(UsageError, match="cooc: holds counts; this model reads the text itself"):
        train("skipgram", cooc.path, tmp_path / "m.h5")


def test_hs_has_no_output_vector_of_a_word(corpus, tmp_path):
    with pytest.raises(UsageError, match="--vectors is w"):
        train("cbow", corpus, tmp_path / "m.h5", options_of("cbow", loss="hs", vectors="w+c"))


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_window_that_no_memory_holds_is_refused(corpus, tmp_path, loss, deterministic):
    """By the plan: nothing is allocated to find out."""
    options = options_of("skipgram", window=2**33, loss=loss, deterministic=deterministic)
    with pytest.raises(UsageError, match="is too little to train skipgram"):
        train("skipgram", corpus, tmp_path / "m.h5", options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes", [{"loss": "softmax"}, {"extend": True}, {"deterministic": True}, {"loss": "hs"}, {}, {"init": "old"}], ids=str
)
def test_the_plan_holds_what_is_taken(tmp_path, monkeypatch, changes):
    """All that Python and NumPy allocate at the peak; the text is mapped."""
    rng = np.random.default_rng(1)
    old, new = (make_corpus(tmp_path / name, [[f"{name}{k}" for k in range(4000)] + ["both"]]) for name in ("old", "new"))
    options = SkipgramOptions(vector_size=64, epochs=1, window=2, subsample=0, seed=int(rng.integers(9)))
    if {"extend", "init"} & {*changes}:
        changes = {**changes, "init": str(train("skipgram", old, tmp_path / "old.h5", options).path)}
    train("skipgram", new, tmp_path / "loaded.h5", dataclasses.replace(options, **changes))  # kernels are loaded once
    plans = []
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[0])
    tracemalloc.start()
    try:
        train("skipgram", new, tmp_path / "new.h5", dataclasses.replace(options, **changes), threads=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < plans[0][0].least + (1 << 20)
    assert plans[0][0].least < 2 * peak, "and not much more"


def test_a_budget_that_cannot_hold_is_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match=r"--memory 16\.0K is too little to train skipgram"):
        train("skipgram", corpus, tmp_path / "m.h5", options_of("skipgram"), memory="16K")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("family", ["skipgram", "cbow"])
def test_one_word_and_single_word_documents(tmp_path, family, loss):
    one = make_corpus(tmp_path / "one", [["x", "x", "x"], ["x"]])
    model = train(family, one, tmp_path / "1.h5", options_of(family, loss=loss))
    assert model.vectors.shape == (1, 10)
    lonely = make_corpus(tmp_path / "lonely", [["x"], ["y"], ["z"]])
    with pytest.raises(InputError, match=r"lonely: holds nothing to train on: no word .* in its document$"):
        train(family, lonely, tmp_path / "2.h5", options_of(family, loss=loss, subsample=0))
    with pytest.raises(InputError, match=r"lonely: holds nothing to train on: .*--subsample .* pass 0$"):
        train(family, lonely, tmp_path / "2.h5", options_of(family, loss=loss, subsample=1e-4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "lonely", "one"]


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_the_vocabulary_of_another_text(corpus, tmp_path, loss, deterministic):
    """Words that never occur are nothing to thin, and a text without a word of the vocabulary is nothing to train on."""
    taken = EncodeOptions(vocabulary=str(corpus.path))
    few = encode_documents([["a1", "a2", "a3"]] * 20, tmp_path / "few", taken)
    options = options_of("skipgram", loss=loss, deterministic=deterministic, subsample=0.5, epochs=2)
    assert np.isfinite(train("skipgram", few, tmp_path / "few.h5", options).vectors).all()
    count(few, tmp_path / "cooc", CountOptions(subsample=0.5))
    none = encode_documents([["q", "r", "s"]] * 20, tmp_path / "none", taken)
    with pytest.raises(InputError, match="none: holds no word of its vocabulary"):
        train("skipgram", none, tmp_path / "none.h5", options)


def test_vectors_of_another_model_are_a_start(corpus, tmp_path):
    first = train("skipgram", corpus, tmp_path / "first.h5", options_of("skipgram"))
    other = make_corpus(tmp_path / "other", [*planted(7), ["new", "a1"]])
    options = options_of("skipgram", epochs=1, lr=1e-12, init=str(first.path))
    model = train("skipgram", other, tmp_path / "second.h5", options)
    for word in first.vocabulary:
        here, there = model.vocabulary.ids[word], first.vocabulary.ids[word]
        np.testing.assert_allclose(model.vectors[here], first.vectors[there], atol=1e-6)
        np.testing.assert_allclose(model.array("contexts")[here], first.array("contexts")[there], atol=1e-6)
    assert 0 < np.abs(model.vectors[model.vocabulary.ids["new"]]).max() <= 0.05
    with pytest.raises(UsageError, match="pass --vector-size 10"):
        train("skipgram", other, tmp_path / "x.h5", options_of("skipgram", init=str(first.path), vector_size=9))
    strange = make_corpus(tmp_path / "strange", [["q", "r"]])
    with pytest.raises(InputError, match="has no word in common with"):
        train("skipgram", strange, tmp_path / "x.h5", options)


def test_an_older_model_is_looked_at_before_any_work(corpus, tmp_path, monkeypatch):
    first = train("skipgram", corpus, tmp_path / "first.h5", options_of("skipgram"))
    monkeypatch.setattr(training, "memory_plan", lambda *args: pytest.fail("planned already"))
    with pytest.raises(UsageError, match="pass --vector-size 10"):
        train("skipgram", corpus, tmp_path / "x.h5", options_of("skipgram", init=str(first.path), vector_size=9))
    counts = count(corpus, tmp_path / "cooc")
    tied = train("simpler-glove", counts, tmp_path / "tied.h5", SimplerGloveOptions(vector_size=10, epochs=1))
    with pytest.raises(UsageError, match=r"tied\.h5 has no contexts to keep, only words"):
        train("skipgram", corpus, tmp_path / "x.h5", options_of("skipgram", init=str(tied.path), extend=True))


def test_a_checkpoint_is_not_continued_from_another_older_model(corpus, tmp_path, small_parts, monkeypatch):
    old = train("skipgram", corpus, tmp_path / "old.h5", options_of("skipgram", epochs=1)).path
    options = options_of("skipgram", epochs=1, init=str(old))
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(InterruptedRun):
            train("skipgram", corpus, tmp_path / "m.h5", options)
    train("skipgram", corpus, old, options_of("skipgram", epochs=1, seed=99), force=True)
    with pytest.raises(UsageError, match="other options or from other data"):
        train("skipgram", corpus, tmp_path / "m.h5", options, resume=True)


def test_words_of_an_older_model_are_kept(corpus, tmp_path):
    first = train("cbow", corpus, tmp_path / "first.h5", options_of("cbow"))
    other = make_corpus(tmp_path / "other", [["new", "a1", "newer"]] * 30)
    options = options_of("cbow", epochs=2, init=str(first.path), extend=True)
    model = train("cbow", other, tmp_path / "second.h5", options)
    counts = dict(zip(first.vocabulary.words, corpus.counts.tolist(), strict=True))
    wanted = Counter(counts) + Counter({"new": 30, "newer": 30, "a1": 30})
    assert dict(zip(model.vocabulary.words, model.vocabulary.counts.tolist(), strict=True)) == wanted
    assert (np.diff(model.vocabulary.counts) <= 0).all()
    for word, row in model.vocabulary.ids.items():
        if word in ("new", "newer"):
            continue
        old = first.vocabulary.ids[word]
        for name in ("words", "contexts"):
            same = np.array_equal(model.array(name)[row], first.array(name)[old])
            assert same == (word != "a1"), "what the new text does not have stays as it is"
    for change, says in (({"init": None}, "--init FILE"), ({"loss": "hs"}, "--loss ns or softmax")):
        with pytest.raises(UsageError, match=says):
            train("cbow", other, tmp_path / "x.h5", dataclasses.replace(options, **change))


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
            read += max(0, min(walk.size, tokens - walk.batch(visit) * walk.size))
        assert walk.done(len(walk)) == read == tokens
        short.add(walk.short)
    assert len(short) > 2 or tokens <= 100


@pytest.mark.parametrize("deterministic", [True, False])
def test_each_batch_is_told_where_it_stands(shards, tmp_path, small_parts, monkeypatch, deterministic):
    """Over shards, stretches and epochs: the rate falls by what has been read, draws belong to places in the corpus."""
    original, seen = trainer._Team.train, []

    def spy(team, shard, batches):
        (number,) = (n for n in range(shards.shards) if np.array_equal(shards.shard(n).ids, shard.ids))
        seen.extend((number, batch, clock) for batch, clock in batches)
        return original(team, shard, batches)

    monkeypatch.setattr(trainer._Team, "train", spy)
    options = options_of("skipgram", epochs=3, deterministic=deterministic, seed=9, lr=0.06)
    train("skipgram", shards, tmp_path / "m.h5", options)
    model = design_skipgram(shards, options).model
    size, read, sizes = model.part * model.batch, 0, shards.manifest["shards"]
    for number, batch, clock in seen:
        tokens, documents = np.sum(sizes[:number], axis=0, dtype=int) if number else (0, 0)
        assert (clock.seed, clock.epoch) == (9, read // shards.tokens)
        assert clock.total == pytest.approx(3 * shards.tokens / (1 - 1e-4), rel=1e-12)
        assert (clock.origin, clock.document, clock.lr) == (tokens, documents, 0.06)
        assert clock.done + clock.origin + batch * size == read
        read += min(size, sizes[number][0] - batch * size)
    assert read == 3 * shards.tokens
    orders = [[n for n, _ in itertools.groupby(n for n, _, clock in seen if clock.epoch == e)] for e in range(3)]
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
        assert trainer._rate(clock, 0) == pytest.approx(begun)
        assert trainer._rate(clock, corpus.tokens) == pytest.approx(begun - (0.05 - last) / 2)


def test_a_rate_that_would_rise_is_refused():
    with pytest.raises(UsageError, match=r"--min-lr is 0\.1, above --lr, 0\.025"):
        SkipgramOptions(min_lr=0.1)


def test_several_shards_are_one_text(corpus, shards, tmp_path):
    """The cut into shards changes nothing but where parts begin."""
    assert (corpus.shards, shards.shards) == (1, 10)
    options = options_of("skipgram", loss="softmax", radius="fixed", epochs=1, lr=1e-12)
    losses = [train("skipgram", c, tmp_path / f"{c.shards}.h5", options).history[0] for c in (corpus, shards)]
    assert losses[0]["examples"] == losses[1]["examples"]
    assert losses[0]["loss"] == pytest.approx(losses[1]["loss"], rel=1e-6)


# ---------------------------------------------------------------------------- families to come, as rows of the same step


FASTTEXT = {"clamp": 8.0, "beyond": 1.0, "redraw": 1}
FAMILIES_TO_COME = {
    "fastText skip-gram": {"inputs": sgd.CENTRE, "mean": 1, **FASTTEXT},
    "fastText CBOW": {"inputs": sgd.CONTEXTS, "mean": 1, **FASTTEXT},
    "PV-DBOW": {"inputs": sgd.DOCUMENT, "mean": 1, "document": 30},
    "PV-DM": {"inputs": sgd.CONTEXTS, "mean": 1, "document": 30},
}


@pytest.mark.parametrize("name", FAMILIES_TO_COME)
@pytest.mark.parametrize("output", [sgd.NOISE, sgd.PATH], ids=["ns", "hs"])
def test_other_families_need_other_rows_alone(name, output):
    """Subwords are a table of rows a word, documents rows behind the words': the step and the walk stay as they are."""
    rule = rule_of(**FAMILIES_TO_COME[name], output=output)
    documents = texts()
    starts = np.arange(10, dtype=np.int64) * 3
    rows = np.array([[w, 9 + w % 4, 13 + w % 5] for w in range(9)], np.int32).reshape(-1)
    more = {"rows": (starts, rows)} if name.startswith("fastText") else {}
    tables = tables_of(counts_of(documents, 9), rule, **more)
    model = SampledModel(rule, tables, 2, 0.05, seed=6, floor=0.0 if name.startswith("fastText") else FLOOR)
    W, C = matrices(40, 9, 6, scale=1.5)
    exact_W, exact_C = W.astype(np.float64)[:, :6], C.astype(np.float64)[:, :6]
    before = W.copy()
    history = run_kernel(documents, model, W, C, epochs=2)
    args = [], tables.noise.tolist(), exact_W, exact_C
    wanted = twin_of(rule, tables).train(documents, *args, 0.05, model.floor, 6, 2)
    np.testing.assert_allclose(W[:, :6], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :6], exact_C, rtol=1e-4, atol=3e-5)
    assert history[1][0] == pytest.approx(wanted[1][0], rel=1e-5)
    moved = np.flatnonzero((before != W).any(axis=1)).tolist()
    assert (max(moved) >= 30) == name.startswith("PV")


FROZEN = {"PV-DBOW": {}, "PV-DM": {}, "PV-DM, rows apart": {"mean": 0}, "PV-DM, own noise": {"mean": 0, "own": 1}}


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("output", [sgd.NOISE, sgd.PATH, sgd.LIST], ids=["ns", "hs", "softmax"])
@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize("frozen", [0, sgd.OUTPUT_ROWS, sgd.WORD_ROWS, sgd.OUTPUT_ROWS + sgd.WORD_ROWS])
def test_rows_that_are_frozen_keep_their_bits(documents_of_topics, name, output, deterministic, frozen):
    """And the others learn: inference of documents."""
    corpus = documents_of_topics
    rule = rule_of(**{**FAMILIES_TO_COME[name.split(",")[0]], **FROZEN[name]}, output=output, frozen=frozen)
    rule = rule._replace(document=len(corpus.vocabulary))
    model = SampledModel(rule, tables_of(corpus.counts, rule), 2, 0.05, 6, deterministic, sampler.Uses(0.1, 1.0, 100))
    network = Network.random({"words": rule.document, "documents": corpus.documents}, {"outputs": rule.document}, 6, seed=2)
    network.outputs[:, :6] = np.random.default_rng(3).normal(size=(rule.document, 6))
    before = {name: array.copy() for name, array in network.arrays().items()}
    run_epochs(State(network), model, corpus, 2, trainer.Stage("train", None, "words"), lambda *_: None)
    moved = {name: not np.array_equal(before[name], array) for name, array in network.arrays().items()}
    assert moved == {
        "documents": True,
        "words": not frozen & sgd.WORD_ROWS and name != "PV-DBOW",
        "outputs": not frozen & sgd.OUTPUT_ROWS,
    }


@pytest.mark.parametrize("name", ["PV-DBOW", "PV-DM"])
@pytest.mark.parametrize("frozen", [sgd.OUTPUT_ROWS, sgd.WORD_ROWS, sgd.OUTPUT_ROWS + sgd.WORD_ROWS])
@pytest.mark.parametrize("more", [{}, {"mean": 0}, {"mean": 0, "own": 1}], ids=str)
def test_steps_with_frozen_rows_are_the_twins(name, frozen, more):
    rule, documents = rule_of(**{**FAMILIES_TO_COME[name], **more}, frozen=frozen), texts()
    tables = tables_of(counts_of(documents, 9), rule)
    W, C = matrices(40, 9, 6)
    exact_W, exact_C = W.astype(np.float64)[:, :6], C.astype(np.float64)[:, :6]
    model = SampledModel(rule, tables, 2, 0.05, seed=6)
    run_kernel(documents, model, W, C, epochs=2)
    twin_of(rule, tables).train(documents, [], tables.noise.tolist(), exact_W, exact_C, 0.05, model.floor, 6, 2)
    np.testing.assert_allclose(W[:, :6], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :6], exact_C, rtol=1e-4, atol=3e-5)


@pytest.fixture(scope="module")
def documents_of_topics(tmp_path_factory) -> Corpus:
    """Eight long documents of one of two topics each."""
    rng = np.random.default_rng(5)
    documents = [[f"{'ab'[k % 2]}{rng.integers(6)}" for _ in range(400)] for k in range(8)]
    return make_corpus(tmp_path_factory.mktemp("documents") / "corpus", documents)


@pytest.mark.parametrize("name", ["PV-DBOW", "PV-DM"])
def test_deterministic_documents_learn_as_much(documents_of_topics, name):
    """A batch is no longer than what a document's row can learn of it: the row is used at each of its words."""
    corpus, losses, designs = documents_of_topics, [], []
    for deterministic in (True, False):
        options = options_of("cbow", epochs=4, lr=0.05, deterministic=deterministic)
        changes = {"inputs": FAMILIES_TO_COME[name]["inputs"], "mean": 1, "spread": 0, "document": len(corpus.vocabulary)}
        design = design_words(corpus, options, **changes)
        assert design.model.uses.longest == 400
        inputs = {**design.inputs, "documents": corpus.documents}
        state = State(Network.random(inputs, design.outputs, 10, seed=1))
        run_epochs(state, design.model, corpus, 1, trainer.Stage("train", None, "words"), lambda *_: None)
        losses.append(state.history[-1]["loss"])
        designs.append(design.model)
    assert designs[0].part * designs[0].batch <= max(designs[0].most_steps, 16)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


# ---------------------------------------------------------------------------------- matrices that no memory holds


def design_documents(corpus: Corpus, options) -> Design:
    """Skip-gram with input rows that no text uses."""
    design = design_skipgram(corpus, options)
    return dataclasses.replace(design, inputs={**design.inputs, "documents": 60_000})


def trained_documents(corpus: Corpus, output: Path, options, monkeypatch, **how) -> dict[str, np.ndarray]:
    """The arrays that would be saved."""
    saved: list = []
    monkeypatch.setattr(training, "save_model", lambda path, data: saved.append(dict(data.arrays)))
    monkeypatch.setattr(training, "open_model", lambda path: None)
    training.train_sampled("skipgram", design_documents, corpus, output, options, **how)
    return saved[0]


def test_rows_that_the_budget_cannot_hold_are_mapped(corpus, tmp_path, small_parts, monkeypatch):
    """The same bits as in memory, also after an interruption; anonymous memory stays within the budget; no file is left."""
    options = options_of("skipgram", deterministic=True, epochs=2, vector_size=30)
    wanted = trained_documents(corpus, tmp_path / "m.h5", options, monkeypatch)
    assert {name: len(rows) for name, rows in wanted.items()} == {"words": 18, "documents": 60_000, "contexts": 18}
    plans = []
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[-1])
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(InterruptedRun):
            trained_documents(corpus, tmp_path / "m.h5", options, patch, memory="4M")
    tracemalloc.start()
    try:
        found = trained_documents(corpus, tmp_path / "m.h5", options, monkeypatch, memory="4M", resume=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [list(mapped) for _, mapped in plans] == [["inputs"]] * 2
    assert peak < 4 << 20
    assert plans[0][0].least < 4 << 20 < 60_000 * 32 * 4
    assert plans[0][0].disk.temporary > 2 * 60_000 * 32 * 4, "the matrix, and a checkpoint of it"
    assert {name: rows.tobytes() for name, rows in found.items()} == {name: rows.tobytes() for name, rows in wanted.items()}
    assert not list(tmp_path.iterdir())


def test_noise_that_is_the_target_is_drawn_again():
    """So no example lacks noise, unless there is no other word."""
    for words, wanted in ((3, 5), (1, 1)):
        documents = [[k % words for k in range(40)]]
        rule = rule_of(window=1, redraw=1, fixed=1)
        tables = tables_of(counts_of(documents, words), rule)
        model = SampledModel(rule, tables, 1, 0.1, seed=2, deterministic=True)
        W, C = matrices(words, words, 4)
        log = StepLog(np.zeros((1, 9999), np.int32), np.zeros((1, 9999, 16), np.float32), np.zeros(1, np.int64))
        run_kernel(documents, model, W, C, log=log)
        assert (log.rows[0, : log.used[0]] < 0).sum() == 40 * wanted


def test_a_family_says_where_its_vectors_begin():
    for start in (0.5, 1.0):
        W = Network.random({"words": 200}, {"contexts": 3}, 10, seed=1, start=start).inputs[:, :10]
        assert 0.98 * start / 10 < np.abs(W).max() <= start / 10


def test_a_share_of_no_mean_is_refused():
    rule = rule_of(spread=1)
    with pytest.raises(ValueError, match="spread"):
        SampledModel(rule, tables_of(np.array([5, 3]), rule), 1, 0.1, seed=1)
    rule = rule_of(frozen=sgd.WORD_ROWS)
    with pytest.raises(ValueError, match="frozen"):
        SampledModel(rule, tables_of(np.array([5, 3]), rule), 1, 0.1, seed=1)


def test_every_option_reaches_the_training(corpus):
    """None of them has its default."""
    counts = corpus.counts
    options = SkipgramOptions(
        window=7, radius="fixed", negative=9, noise="own", noise_power=0.4, subsample=0.02, epochs=3, lr=0.04, seed=8,
        deterministic=True,
    )  # fmt: skip
    model = design_skipgram(corpus, options).model
    assert model.rule == Rule(sgd.CONTEXTS, 0, 0, -1, 7, 1, sgd.NOISE, 9, 1, 6.0, 1.0, 0)
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
    assert paper.rule == Rule(sgd.CENTRE, 0, 0, -1, 5, 0, sgd.NOISE, 5, 0, 6.0, 1.0, 0)
    assert not len(paper.tables.keep)
    tree = design_cbow(corpus, CbowOptions(loss="hs", gradient="share")).model
    assert tree.rule == Rule(sgd.CONTEXTS, 1, 1, -1, 5, 0, sgd.PATH, 0, 0, 6.0, 0.0, 0)
    np.testing.assert_array_equal(tree.tables.path_nodes, sampler.huffman(counts).nodes)
    assert not len(tree.tables.noise)
    assert design_cbow(corpus, CbowOptions(loss="softmax")).model.rule.output == sgd.LIST


IDLE = {"negative": 7, "noise": "own", "noise_power": 1.0}


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("loss", ["hs", "softmax"])
def test_an_option_that_changes_nothing_is_refused(name, loss):
    flag = "--" + name.replace("_", "-")
    for options in (SkipgramOptions, CbowOptions):
        assert options(loss=loss, **{name: getattr(options(), name)}).loss == loss, "the default may be said"
        with pytest.raises(UsageError, match=rf"{flag} is {IDLE[name]}, but .*; leave {flag} out"):
            options(loss=loss, **{name: IDLE[name]})


def test_noise_of_ones_own_where_there_is_no_other():
    with pytest.raises(UsageError, match="--noise is own"):
        SkipgramOptions(predict="contexts", noise="own")
    with pytest.raises(UsageError, match="--noise is own"):
        CbowOptions(noise="own")


def test_no_negative_samples_is_another_loss():
    with pytest.raises(UsageError, match=r"--negative is 0.* --loss hs"):
        SkipgramOptions(negative=0)


def test_designs_differ_in_their_rule_alone(corpus):
    rules = [
        design_skipgram(corpus, SkipgramOptions()).model.rule,
        design_cbow(corpus, CbowOptions()).model.rule,
    ]
    assert [f for f in Rule._fields if getattr(rules[0], f) != getattr(rules[1], f)] == ["mean"]

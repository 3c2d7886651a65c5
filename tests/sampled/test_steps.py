"""A step of the sampled models is its twin's, and minus the learning rate times a gradient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.steps import counts_of, matrices, rule_of, run_kernel, tables_of, texts, twin_of

from cooc_engine._kernels import rules
from cooc_engine._kernels.step import StepLog
from cooc_engine.sampled.model import SampledModel
from cooc_engine.sampled.softmax import Examples, softmax_step

# ------------------------------------------------------------------------------------------ the kernel against its twin


MODELS = {
    "skip-gram": {},
    "one window": {"group": 1, "shared": 4},
    "large groups": {"group": 32, "shared": 16},
    "own noise": {"group": 1, "shared": 0},
    "paper": {"inputs": rules.CENTRE},
    "paper, own noise": {"inputs": rules.CENTRE, "shared": 0},
    "cbow": {"mean": 1},
    "cbow, shares": {"mean": 1, "spread": 1},
    "cbow, own noise": {"mean": 1, "shared": 0},
}


@pytest.mark.parametrize("d", [1, 7, 16, 37])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("output", [rules.NOISE, rules.PATH], ids=["ns", "hs"])
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


def test_noise_that_is_the_target_is_drawn_again():
    """So no example lacks noise, unless there is no other word."""
    for words, wanted in ((3, 4 * 78 + 40), (1, 40)):
        documents = [[k % words for k in range(40)]]
        rule = rule_of(window=1, redraw=1, fixed=1, group=1, shared=0)
        tables = tables_of(counts_of(documents, words), rule)
        model = SampledModel(rule, tables, 1, 0.1, seed=2, deterministic=True)
        W, C = matrices(words, words, 4)
        log = StepLog(np.zeros((1, 9999), np.int32), np.zeros((1, 9999, 16), np.float32), np.zeros(1, np.int64))
        run_kernel(documents, model, W, C, log=log)
        assert (log.rows[0, : log.used[0]] < 0).sum() == wanted


def test_a_share_of_no_mean_is_refused():
    rule = rule_of(spread=1)
    with pytest.raises(ValueError, match="spread"):
        SampledModel(rule, tables_of(np.array([5, 3]), rule), 1, 0.1, seed=1)
    rule = rule_of(frozen=rules.WORD_ROWS)
    with pytest.raises(ValueError, match="frozen"):
        SampledModel(rule, tables_of(np.array([5, 3]), rule), 1, 0.1, seed=1)


# ------------------------------------------------------------------------------------------------------------ gradients


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
@pytest.mark.parametrize("output", [rules.NOISE, rules.PATH], ids=["ns", "hs"])
def test_steps_are_gradients(name, output):
    """All steps of a text, taken against the same parameters, are -lr times the slope of the summed loss."""
    rule, d = rule_of(**MODELS[name], output=output), 3
    documents = texts(5, 3)
    tables = tables_of(counts_of(documents, 5), rule)
    model = dataclasses.replace(SampledModel(rule, tables, 1, 0.5, seed=2, floor=1.0), deterministic=True)
    W, C = matrices(5, 5, d)
    exact_W, exact_C = W.astype(np.float64)[:, :d], C.astype(np.float64)[:, :d]
    log = StepLog(np.zeros((1, 9999), np.int32), np.zeros((1, 9999, 16), np.float32), np.zeros(1, np.int64))
    run_kernel(documents, model, W, C, log=log)
    steps_W, steps_C = np.zeros((5, d)), np.zeros((5, d))
    used = log.used[0]
    for row, step in zip(log.rows[0, :used].tolist(), log.steps[0, :used, :d], strict=True):
        (steps_W if row >= 0 else steps_C)[row if row >= 0 else -1 - row] += step
    twin = twin_of(rule, tables)
    groups = [example for _, example in twin.examples(documents, [], tables.noise.tolist(), 2)]

    def total() -> float:
        return sum(twin.loss(example, exact_W, exact_C) for example in groups)

    np.testing.assert_allclose(steps_C, -0.5 * slopes(total, exact_C), rtol=1e-3, atol=1e-4)
    if not rule.mean or rule.spread:
        np.testing.assert_allclose(steps_W, -0.5 * slopes(total, exact_W), rtol=1e-3, atol=1e-4)
    else:  # the program adds the whole slope of the mean to each of C inputs
        whole = np.zeros((5, d))
        for example in groups:
            for o, lane, w, p in example.outputs:
                h = exact_W[example.lanes[lane]].mean(axis=0)
                for i in example.lanes[lane]:
                    whole[i] += 0.5 * (p - w / (1 + np.exp(-h @ exact_C[o]))) * exact_C[o]
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

from __future__ import annotations

import numpy as np
import pytest

from cooc_engine._kernels import bilm
from cooc_engine.contextual.softmax import Head, Noise, Sample, losses, losses_and_gradient
from cooc_engine.sampled.sampler import alias_table, chances


def gradient(hidden, targets, head, sample):
    drawn = Head(head.rows[sample.words], head.bias[sample.words])
    return losses_and_gradient(hidden, targets, head, sample, drawn, np.empty(len(hidden) * len(sample.words), np.float32))


def random_head(words: int, d: int, seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)
    return Head(rng.normal(0, 1, (words, d)).astype(np.float32), rng.normal(0, 1, words).astype(np.float32))


def test_the_sample_of_all_words_gives_the_full_softmax():
    head, rng = random_head(50, 7), np.random.default_rng(1)
    hidden, targets = rng.normal(0, 1, (30, 7)).astype(np.float32), rng.integers(0, 50, 30)
    made = gradient(hidden, targets, head, Noise.of(np.ones(50, np.int64), 0.75, 0).draw(0, 0, 0))
    z = hidden.astype(float) @ head.rows.T + head.bias
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    one = np.eye(50)[targets]
    np.testing.assert_allclose(losses(hidden, targets, head), -np.log(p[np.arange(30), targets]), rtol=1e-5)
    assert made.loss == pytest.approx(-np.log(p[np.arange(30), targets]).sum(), rel=1e-6)
    np.testing.assert_allclose(made.hidden, (p - one) @ head.rows, atol=1e-5)
    rows, bias = made.rows.astype(float), made.bias.astype(float)
    np.add.at(rows, targets, made.target_rows)
    np.add.at(bias, targets, made.target_bias)
    np.testing.assert_allclose(rows, (p - one).T @ hidden, atol=1e-5)
    np.testing.assert_allclose(bias, (p - one).sum(0), atol=1e-5)


def test_losses_do_not_overflow():
    head = Head(np.array([[100.0], [-100.0], [0.0]], np.float32), np.zeros(3, np.float32))
    hidden = np.array([[3.0], [3.0], [-3.0]], np.float32)
    np.testing.assert_allclose(losses(hidden, np.array([0, 1, 0]), head), [0, 600, 600], atol=1e-3)


def test_the_exponential_is_that_of_numpy():
    """Seen in the shares of a softmax with a target of share near 1, whose scale is 1."""
    x = np.linspace(-80, 0, 4001, dtype=np.float32)
    found, outputs = x[None].copy(), [np.zeros(1, np.float32), np.zeros(1, np.float32), np.zeros(1)]
    bilm.soften(found, np.zeros_like(x), np.array([-1]), np.zeros(1, np.float32), *outputs)
    np.testing.assert_allclose(found[0], np.exp(x.astype(float)), rtol=2e-5)
    assert outputs[2][0] == pytest.approx(np.log(np.exp(x.astype(float)).sum() + 1), rel=1e-6)


def fitted(counts, targets, steps: int, *, corrected: bool) -> float:
    """KL(wanted, found): the distribution that free logits learn from targets, and theirs."""
    words = targets.max() + 1
    noise, head = Noise.of(counts, 1.0, 8), Head(np.zeros((words, 1), np.float32), np.zeros(words, np.float32))
    mean, hidden = np.zeros(words), np.zeros((len(targets), 1), np.float32)
    for step in range(steps):
        sample = noise.draw(1, 0, step)
        if not corrected:
            sample = Sample(sample.words, np.zeros_like(noise.log_chances))
        made = gradient(hidden, targets, head, sample)
        change = np.zeros(words)
        change[sample.words] = made.bias
        np.add.at(change, targets, made.target_bias)
        head.bias[:] -= (2 / (1 + step / 100) / len(targets) * change).astype(np.float32)
        mean += head.bias * (step >= steps // 2)
    shares, wanted = np.exp(2 * mean / steps), np.bincount(targets) / len(targets)
    return float((wanted * np.log(wanted * shares.sum() / shares)).sum())


def test_the_fitted_distribution_is_the_true_one_only_with_the_correction():
    counts, rng = 10_000 // np.arange(1, 41), np.random.default_rng(2)
    targets = np.concatenate([np.arange(40), rng.choice(40, 160, p=rng.dirichlet(np.full(40, 0.5)))])
    assert fitted(counts, targets, 5000, corrected=True) < 0.002
    assert fitted(counts, targets, 600, corrected=False) > 0.1


def test_chances_are_those_of_the_draws():
    table = alias_table(np.array([5000, 300, 300, 20, 1, 0, 7]), 0.75)
    expected = chances(table)
    drawn = np.empty(10**7, np.int64)
    bilm.draw_noise(table, np.uint64(7), 1, 2, drawn)
    seen = np.bincount(drawn, minlength=len(table))
    assert expected.sum() == pytest.approx(1, abs=1e-15)
    assert expected[5] == seen[5] == 0
    deviation = np.sqrt(len(drawn) * expected * (1 - expected))
    assert (np.abs(seen - len(drawn) * expected) <= 5 * deviation).all()

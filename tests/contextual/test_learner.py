from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from support.elmo import TINY, random_network
from twins import elmo as twin

from cooc_engine.contextual.characters import MARKS, Words
from cooc_engine.contextual.learner import Dropout, Learner
from cooc_engine.contextual.network import States
from cooc_engine.contextual.softmax import Noise, Sample
from cooc_engine.contextual.stream import Steps

TEXT = [*MARKS, "a", "bc", "bd", "naïve", "aa", "x" * 50, "rare", "rarer"]
T, B = 4, 3
EVERYTHING = Sample(np.arange(TINY.words), np.zeros(TINY.words, np.float32))
SOME = Sample(np.array([0, 2, 3, 6]), np.linspace(-2, 0, TINY.words, dtype=np.float32))


def batch(seed: int = 0) -> Steps:
    rng = np.random.default_rng(seed)
    return Steps(rng.integers(0, len(TEXT), (2, T, B)), rng.integers(0, len(TEXT), (2, T, B)))


def states(shape, seed: int = 1) -> States:
    rng = np.random.default_rng(seed)
    return States(*(rng.uniform(-0.2, 0.2, array.shape).astype(np.float32) for array in States.zero(shape, B)))


def learned(shape, sample: Sample, threads: int = 2, dropout: Dropout | None = None, seed: int = 0):
    """The losses and the gradient of all parameters of a random network, by name; and its parameters."""
    network = random_network(shape, seed)
    with ThreadPoolExecutor(threads) as pool:
        learner = Learner(network, Words.of(TEXT), pool, T, B, shape.words)
        losses, head = learner.learn(batch(), states(shape), sample, dropout)
    found = {
        **learner.gradient.arrays,
        "softmax": np.zeros((shape.words, shape.vector_size)),
        "softmax_bias": np.zeros(shape.words),
    }
    found["softmax"][head.places], found["softmax_bias"][head.places] = head.rows, head.bias
    return losses, found, network.parameters


def true_loss(shape, parameters, sample: Sample | None) -> float:
    given, first = batch(), states(shape)
    targets = np.where(given.targets < shape.words, given.targets, 2)
    own = [[(h.astype(float), c.astype(float)) for h, c in zip(*pair, strict=True)] for pair in zip(*first, strict=True)]
    return twin.batch_losses(shape, parameters, [w.encode() for w in TEXT], given.inputs, targets, own, sample)


@pytest.mark.parametrize("sample", [EVERYTHING, SOME], ids=["full", "sampled"])
@pytest.mark.parametrize("shape", [TINY, replace(TINY, activation="tanh", residual=False, highways=1)], ids=["relu", "tanh"])
def test_gradients_of_every_parameter_are_those_of_differences(shape, sample):
    losses, gradient, parameters = learned(shape, sample)
    exact = {name: values.astype(np.float64) for name, values in parameters.items()}
    rng, step = np.random.default_rng(3), 1e-6
    assert losses.sum() == pytest.approx(true_loss(shape, exact, sample), rel=1e-6)
    for name, values in exact.items():
        way = rng.normal(size=values.shape)
        ends = [true_loss(shape, {**exact, name: values + sign * step * way}, sample) for sign in (1, -1)]
        found, wanted = float((gradient[name] * way).sum()), (ends[0] - ends[1]) / (2 * step)
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-5 * float(np.linalg.norm(gradient[name]))), name
        assert np.abs(gradient[name]).max() > 0, name


def test_the_full_softmax_is_the_sample_of_all_words():
    parameters = {name: values.astype(np.float64) for name, values in random_network().parameters.items()}
    assert true_loss(TINY, parameters, EVERYTHING) == pytest.approx(true_loss(TINY, parameters, None), rel=1e-12)


def test_threads_do_not_change_a_bit_of_a_gradient():
    dropout = Dropout(0.3, (1, 2, 3))
    (losses, one, _), (again, two, _) = (learned(TINY, SOME, threads, dropout) for threads in (1, 2))
    np.testing.assert_array_equal(losses, again)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])


def test_dropout_keeps_the_mean_and_is_of_the_steps_own_seed():
    masks = Dropout(0.25, (1, 2)).masks(0, (50, 40, 4), 3)
    for mask in masks:
        assert set(np.unique(mask)) == {0, np.float32(1 / 0.75)}
        assert mask.mean() == pytest.approx(1, abs=0.03)
    assert np.abs(masks[0] - masks[1]).max() > 0
    assert np.abs(masks[0] - Dropout(0.25, (1, 3)).masks(0, (50, 40, 4), 1)[0]).max() > 0


def test_dropout_of_almost_nothing_changes_almost_nothing():
    plain, _, _ = learned(TINY, SOME)
    nothing, _, _ = learned(TINY, SOME, dropout=Dropout(1e-9, (1,)))
    much, _, _ = learned(TINY, SOME, dropout=Dropout(0.5, (1,)))
    np.testing.assert_allclose(nothing, plain, rtol=1e-6)
    assert np.abs(much - plain).max() > 0.1


def test_noise_is_drawn_from_its_table_and_made_distinct():
    noise = Noise.of(np.array([900, 90, 9, 1]), 0.75, 5)
    drawn = [noise.draw(1, 2, step) for step in range(300)]
    assert all((np.diff(sample.words) > 0).all() for sample in drawn)
    share = np.array([900, 90, 9, 1]) ** 0.75
    included = 1 - (1 - share / share.sum()) ** 5
    np.testing.assert_allclose(np.exp(noise.log_chances), included, rtol=1e-6)
    seen = np.bincount(np.concatenate([sample.words for sample in drawn]), minlength=4) / 300
    np.testing.assert_allclose(seen, included, atol=5 * (0.25 / 300) ** 0.5)
    np.testing.assert_array_equal(drawn[0].words, noise.draw(1, 2, 0).words)

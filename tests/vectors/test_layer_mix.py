"""The mix of layers: its value, its gradients, and what is learned."""

from __future__ import annotations

import numpy as np
import pytest

from cooc_engine.errors import UsageError
from cooc_engine.vectors.layer_mix import LayerMix, _Task, fit_mix


def layers_of(informative: int, n: int = 300, size: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Three layers of which one alone tells the class, and the classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    layers = rng.normal(3, 1, (3, n, 5)) * size
    layers[informative, :, :3] += 3 * size * np.eye(3)[labels]
    return layers.astype(np.float32), labels


def test_the_mix_is_gamma_times_the_weighted_sum():
    layers = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    mix = LayerMix(2.0, (0.0, np.log(2), 0.0))
    np.testing.assert_allclose(mix.mixed(layers), 2 * (layers[0] + 2 * layers[1] + layers[2]) / 4, rtol=1e-6)
    np.testing.assert_allclose(LayerMix.mean(3).mixed(layers), layers.mean(0), rtol=1e-6)


def test_gradients_of_gamma_scores_and_regression_are_those_of_differences():
    layers, labels = layers_of(1, 20)
    task = _Task.of(layers.astype(np.float64), labels, 3, (0.3, 0.01))
    at = np.random.default_rng(1).normal(size=task.start().shape)
    step = 1e-6
    differences = [(task.objective(at + e)[0] - task.objective(at - e)[0]) / (2 * step) for e in step * np.eye(len(at))]
    np.testing.assert_allclose(task.objective(at)[1], differences, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("informative", [0, 2])
def test_the_layer_that_tells_the_class_gets_the_weight(informative):
    layers, labels = layers_of(informative)
    fitted = fit_mix(layers, labels)
    assert fitted.mix.weights.argmax() == informative
    assert fitted.mix.weights[informative] > 0.8
    assert (fitted.predict(layers) == labels).mean() > 0.9


def test_a_large_penalty_keeps_the_mean():
    layers, labels = layers_of(2)
    np.testing.assert_allclose(fit_mix(layers, labels, penalty=100.0).mix.weights, 1 / 3, atol=0.01)


def test_labels_may_be_words_and_layers_of_any_size():
    layers, labels = layers_of(1, size=1e-3)
    names = np.array(["noun", "verb", "adj"])[labels].tolist()
    fitted = fit_mix(layers, names)
    assert fitted.classes == ("adj", "noun", "verb")
    assert np.mean([fitted.classes[row] == name for row, name in zip(fitted.predict(layers), names, strict=True)]) > 0.9


@pytest.mark.parametrize(("labels", "said"), [([1, 1], "different labels"), ([1, 2, 3], "do not fit")])
def test_what_cannot_be_learned_is_refused(labels, said):
    with pytest.raises(UsageError, match=said):
        fit_mix(np.zeros((3, 2, 4), np.float32), labels)


def test_a_mix_of_other_layers_is_refused():
    with pytest.raises(UsageError, match="2 layers, but there are 3"):
        LayerMix.mean(2).mixed(np.zeros((3, 1, 1), np.float32))

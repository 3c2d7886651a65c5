"""The step against PyTorch's autograd, with the peer that `scripts/elmo_race.py` races."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.contextual.characters import MARKS, Words
from cooc_engine.contextual.learner import Learner
from cooc_engine.contextual.network import States
from cooc_engine.contextual.shape import Shape, of_layer
from cooc_engine.contextual.softmax import Sample
from cooc_engine.contextual.stream import Steps
from cooc_engine.contextual.trainer import State
from cooc_engine.models.elmo_options import ElmoOptions

torch = pytest.importorskip("torch")

OPTIONS = ElmoOptions(
    vector_size=12,
    cells=20,
    characters=5,
    filters="1:8,3:16",
    highways=2,
    batch=3,
    steps=6,
    cell_clip=0.1,
    projection_clip=0.05,
)
SOFTMAX = 12


def test_gradients_are_those_of_autograd():
    path = Path(__file__).parents[2] / "scripts" / "elmo_race.py"
    spec = importlib.util.spec_from_file_location("elmo_race", path)
    race = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(race)
    rng, words = np.random.default_rng(0), Words.of([*MARKS, *(f"w{k * k}" for k in range(30))])
    sample = Sample(np.array([1, 2, 5, 7]), np.linspace(-2, 0, SOFTMAX, dtype=np.float32))
    batch = Steps(rng.integers(0, len(words), (2, 6, 3)), rng.integers(0, len(words), (2, 6, 3)))
    state = State.start(Shape.of(OPTIONS, SOFTMAX), OPTIONS)
    peer = race.Peer(state, words, OPTIONS)
    with ThreadPoolExecutor(2) as pool:
        learner = Learner(state.network, words, pool, 6, 3, SOFTMAX)
        losses, head = learner.learn(batch, States.zero(state.network.shape, 3), sample)
    loss, rows, bias, places = peer.loss(batch, sample)
    loss.backward()
    assert losses.sum() == pytest.approx(loss.item(), rel=1e-6)
    wanted = {name: value.grad.numpy() for name, value in peer.parameters.items()}
    for layer in range(2):
        for direction in (0, 1):
            for name, kind in zip(of_layer(direction, layer), "wbp", strict=True):
                wanted[name] = wanted[f"{kind}{layer}"][direction]
    for name, values in learner.gradient.arrays.items():
        np.testing.assert_allclose(values, wanted[name], atol=1e-4 * np.abs(wanted[name]).max(), rtol=0)
    np.testing.assert_array_equal(head.places, places.numpy())
    np.testing.assert_allclose(head.rows, rows.grad.numpy(), atol=1e-4 * rows.grad.abs().max().item())
    np.testing.assert_allclose(head.bias, bias.grad.numpy(), atol=1e-4 * bias.grad.abs().max().item())

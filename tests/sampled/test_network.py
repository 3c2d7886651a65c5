"""The initial vectors of a network are those of one sequence of random numbers, whichever thread draws them."""

from __future__ import annotations

import numpy as np
import pytest

from cooc_engine.sampled import network
from cooc_engine.sampled.network import Network
from cooc_engine.storage.scratch import uniform_start


@pytest.mark.parametrize("d", [1, 3, 10])
def test_rows_do_not_depend_on_threads(monkeypatch, d):
    monkeypatch.setattr(network, "START_ROWS", 6)
    found = Network.random({"words": 40, "ngrams": 7}, {"labels": 2}, d, seed=5, start=0.5, threads=3)
    random = np.random.Generator(np.random.PCG64(5))
    assert np.array_equal(found.inputs[:, :d], uniform_start(random, (47, d), d, 0.5))
    assert not found.inputs[:, d:].any() and not found.outputs.any()

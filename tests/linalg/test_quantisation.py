"""Matrices as codes: rows and products against the twin, and what is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import quantising as naive

from cooc_engine.linalg import quantisation
from cooc_engine.linalg.quantisation import Quantised, quantise


def drawn(seed: int, n: int, d: int, dsub: int, norms: bool) -> Quantised:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 256, (n, -(-d // dsub)), np.uint8)
    lengths = (random.integers(0, 256, n, np.uint8), random.random(256, np.float32)) if norms else (None, None)
    return Quantised(codes, random.random(256 * d, np.float32), dsub, *lengths)


@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.booleans())
def test_rows_and_products_are_the_twins(seed, n, d, dsub, norms):
    found = drawn(seed, n, d, dsub, norms)
    scales = found.norms[found.norm_codes] if norms else np.ones(n, np.float32)
    wanted = naive.decode(found.codes, found.centroids, dsub, d, scales)
    assert found.shape == (n, d)
    assert np.array_equal(found[:], wanted)
    assert np.array_equal(found[[n - 1, 0, -1]], wanted[[n - 1, 0, -1]])
    assert np.array_equal(found[0], wanted[0]) and found[np.zeros((2, 3), int)].shape == (2, 3, d)
    assert np.array_equal(found[np.arange(n) % 2 == 0], wanted[::2])
    assert np.array_equal(found.of(slice(n // 2, n))[:], wanted[n // 2 :])
    vector = np.random.default_rng(seed).random(d, np.float32)
    np.testing.assert_allclose(found.dot(vector), wanted @ vector, rtol=1e-5)
    np.testing.assert_allclose(found.dot(vector, n // 2), wanted[n // 2 :] @ vector, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 63, 64, 300])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_points_get_their_nearest_centroid(n, k):
    random = np.random.default_rng(k)
    rows, table = random.normal(size=(n, k)).astype(np.float32), random.normal(size=(256, k)).astype(np.float32)
    with quantisation.ThreadPoolExecutor(2) as pool:
        assert quantisation._Coder(pool, 2, random).nearest(rows, table).tolist() == naive.nearest(rows, table)


def test_256_different_rows_are_kept_as_they_are():
    rows = np.random.default_rng(1).normal(size=(256, 5)).astype(np.float32)
    assert np.array_equal(quantise(rows, 2)[:], rows)
    with_norms = quantise(rows[:40], 3, norms=True)
    np.testing.assert_allclose(with_norms[:], rows[:40], rtol=1e-5)
    assert not quantise(np.zeros((300, 3), np.float32), norms=True)[:].any()


def test_it_is_the_same_on_any_number_of_threads_and_close(monkeypatch):
    monkeypatch.setattr(quantisation, "STEP", 700)
    monkeypatch.setattr(quantisation, "SAMPLE", 1500)
    rows = np.random.default_rng(2).normal(size=(2000, 6)).astype(np.float32)
    one, two = (quantise(rows, 2, norms=True, seed=7, threads=threads) for threads in (1, 2))
    assert np.array_equal(one.codes, two.codes) and np.array_equal(one.centroids, two.centroids)
    assert np.array_equal(one.norm_codes, two.norm_codes)
    cosines = (one[:] * rows).sum(1) / np.linalg.norm(one[:], axis=1) / np.linalg.norm(rows, axis=1)
    assert cosines.mean() > 0.99 and cosines.min() > 0.9


def test_an_empty_cluster_begins_anew_at_a_point():
    points = np.random.default_rng(3).normal(size=(300, 2)).astype(np.float32)
    with quantisation.ThreadPoolExecutor(1) as pool:
        coder, columns = quantisation._Coder(pool, 1, np.random.default_rng(4)), np.ascontiguousarray(points.T)
        table = coder._means(points, columns, np.zeros(300, np.int32))
    np.testing.assert_allclose(table[0], points.mean(0), rtol=1e-5)
    assert {tuple(row) for row in table[1:].tolist()} < {tuple(row) for row in points.tolist()}

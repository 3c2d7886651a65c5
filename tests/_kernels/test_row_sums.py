"""Sums of rows in two matrices, and additions to rows, are those of one addition after the other, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from numba import float32, int32, int64, void

from cooc_engine._kernels.jit import array, kernel, out
from cooc_engine._kernels.row_sums import AHEAD, add_to_rows, sum_rows


@kernel(void(array(float32, 2), array(float32, 2), array(int32), int64, out(float32)), fast=True)
def summed(words, ngrams, inputs, n, total):
    sum_rows(words, ngrams, inputs, n, total)


@kernel(void(out(float32, 2), array(int32), array(float32)), fast=True)
def added(matrix, inputs, step):
    add_to_rows(matrix, inputs, inputs.shape[0], step)


@pytest.mark.parametrize("width", [1, 10, 16, 37])
@pytest.mark.parametrize("n", [0, 1, AHEAD - 1, AHEAD, 300])
def test_sums_add_one_row_after_the_other(width, n):
    rng = np.random.default_rng(width + n)
    words, ngrams = (rng.standard_normal((rows, width), np.float32) for rows in (5, 9))
    inputs, total = rng.integers(14, size=n).astype(np.int32), np.full(width, np.nan, np.float32)
    wanted = np.zeros(width, np.float32)
    for row in inputs:
        wanted += np.concatenate([words, ngrams])[row]
    summed(words, ngrams, inputs, n, total)
    assert total.tolist() == wanted.tolist()


@pytest.mark.parametrize("width", [16, 48])
def test_a_row_takes_a_step_as_often_as_it_is_listed(width):
    rng = np.random.default_rng(width)
    matrix, step = rng.standard_normal((5, width), np.float32), rng.standard_normal(width, np.float32)
    wanted, inputs = matrix.copy(), np.array([3, 0, 3, 4, 3], np.int32)
    for row in inputs:
        wanted[row] += step
    added(matrix, inputs, step)
    assert matrix.tolist() == wanted.tolist()

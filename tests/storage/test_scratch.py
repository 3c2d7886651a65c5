"""Memory for one run: aligned, or in files without a name."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from cooc_engine.storage import scratch
from cooc_engine.storage.scratch import (
    aligned_zeros,
    in_memory,
    map_rows,
    mapped_zeros,
    nameless,
    on_disk,
    padded,
    sphere_start,
    uniform_start,
)


@pytest.mark.parametrize("shape", [(0, 16), (1, 1), (1000, 33)])
def test_matrices_of_zeros_begin_at_a_cache_line_wherever_they_stand(tmp_path, shape):
    for made in (aligned_zeros(*shape), mapped_zeros(tmp_path, *shape)):
        assert made.shape == shape and made.dtype == np.float32 and made.flags.writeable and not made.any()
        assert made.ctypes.data % 64 == 0 or not made.size
        made[:] = 1
    assert not list(tmp_path.iterdir())


def test_flat_arrays_begin_at_a_cache_line():
    assert all(in_memory(size, kind).ctypes.data % 64 == 0 for size in (1, 17, 5000) for kind in (np.int32, np.float64))
    assert in_memory(17, np.int32).shape == (17,)


def test_an_array_on_the_disk_has_no_name_and_a_full_disk_is_known_before(tmp_path, monkeypatch):
    made = on_disk(tmp_path)(1000, np.float32)
    made[:] = 3
    assert made.sum() == 3000 and not list(tmp_path.iterdir())
    assert len(on_disk(tmp_path)(0, np.int32)) == 0

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        on_disk(tmp_path)(1000, np.float32)
    assert not list(tmp_path.iterdir())


def test_rows_that_were_written_are_mapped_and_outlive_their_file(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    with nameless(tmp_path) as file:
        file.write(rows.data)
        found = map_rows(file, 4, 3)
        assert map_rows(file, 4, 0).shape == (4, 0)
    assert np.array_equal(found, rows) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("floats", "length"), [(0, 0), (1, 16), (16, 16), (17, 32), (100, 112)])
def test_rows_end_with_a_cache_line(floats, length):
    assert padded(floats) == length


def test_first_values_are_within_their_bounds_and_those_of_the_seed():
    one, other = (uniform_start(np.random.default_rng(3), (500, 8), 10, 0.25) for _ in range(2))
    assert np.array_equal(one, other) and one.dtype == np.float32
    assert -0.025 <= one.min() < -0.024 and 0.024 < one.max() <= 0.025


def test_vectors_of_the_sphere_point_everywhere():
    rows = sphere_start(np.random.default_rng(3), (4000, 3))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(rows.T), np.eye(3) / 3, atol=0.03)

"""Ranges for threads: what they cover, and how much each holds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cooc_engine.runtime.threads import cut_by_cost, cut_by_ends, cut_evenly, cut_falling


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 15), st.integers(0, 3))
def test_rows_are_cut_within_the_bound(costs, most, first):
    ranges = list(cut_by_cost(np.array(costs), most, first))
    assert [r for a, b in ranges for r in range(a, b)] == list(range(first, len(costs)))
    assert all(sum(costs[a:b]) <= most or b == a + 1 for a, b in ranges)
    assert all(b == len(costs) or sum(costs[a : b + 1]) > most for a, b in ranges), "none could hold more"
    assert ranges == list(cut_by_ends(np.cumsum(costs), most, first))


@given(st.integers(0, 9), st.integers(0, 30), st.integers(1, 8))
def test_ranges_are_cut_evenly(first, size, parts):
    ranges = cut_evenly(first, first + size, parts)
    assert len(ranges) == parts
    assert [r for a, b in ranges for r in range(a, b)] == list(range(first, first + size))
    lengths = [b - a for a, b in ranges]
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(0, 100), st.integers(1, 8))
def test_falling_ranges_end_with_single_items(size, threads):
    ranges = [*cut_falling(size, threads)]
    assert [r for a, b in ranges for r in range(a, b)] == list(range(size))
    lengths = [b - a for a, b in ranges]
    assert lengths == sorted(lengths, reverse=True) and lengths[-2 * threads :] == [1] * min(size, 2 * threads)
    assert not lengths or lengths[0] <= max(1, size / (2 * threads))

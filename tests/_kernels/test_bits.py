"""Ranks in a set of bits are places in the list of its numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import int32, int64, uint64, void

from cooc_engine._kernels.bits import rank
from cooc_engine._kernels.jit import kernel, out
from cooc_engine.sampled.lines import kept_bits


@kernel(void(out(uint64), out(int32), out(int64)))
def ranked(words, ranks, found):
    for number in range(len(found)):
        found[number] = rank(words, ranks, number)


@given(st.sets(st.integers(0, 299)), st.integers(300, 330))
@settings(deadline=None, max_examples=50)
def test_ranks_are_places_among_the_kept(kept, buckets):
    numbers, found = sorted(kept), np.empty(buckets, np.int64)
    ranked(*kept_bits(np.array(numbers, np.int64), buckets), found)
    assert found.tolist() == [numbers.index(number) if number in kept else -1 for number in range(buckets)]


def test_without_a_list_all_have_rows():
    assert [len(values) for values in kept_bits(None, 100)] == [0, 0]

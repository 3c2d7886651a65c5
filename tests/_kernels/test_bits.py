"""Ranks in a set of bits are places in the list of its numbers; remainders are those of a division."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import int32, int64, uint64, void

from cooc_engine._kernels.bits import inverse_of, rank, remainder
from cooc_engine._kernels.jit import kernel, out
from cooc_engine.sampled.lines import kept_bits


@kernel(void(out(uint64), out(int32), out(int64)))
def ranked(words, ranks, found):
    for number in range(len(found)):
        found[number] = rank(words, ranks, number)


@kernel(uint64(uint64, uint64))
def rest(value, divisor):
    return remainder(value, divisor, inverse_of(divisor))


@given(st.sets(st.integers(0, 299)), st.integers(300, 330))
@settings(deadline=None, max_examples=50)
def test_ranks_are_places_among_the_kept(kept, buckets):
    numbers, found = sorted(kept), np.empty(buckets, np.int64)
    ranked(*kept_bits(np.array(numbers, np.int64), buckets), found)
    assert found.tolist() == [numbers.index(number) if number in kept else -1 for number in range(buckets)]


def test_without_a_list_all_have_rows():
    assert [len(values) for values in kept_bits(None, 100)] == [0, 0]


LARGEST = 2**64 - 1
VALUES = st.integers(0, LARGEST) | st.integers(0, 1000) | st.integers(LARGEST - 1000, LARGEST)
DIVISORS = st.integers(1, 2**63) | st.integers(1, 1000) | st.integers(0, 63).map(lambda bit: 1 << bit)


@given(VALUES, DIVISORS, st.integers(-2, 2))
@settings(deadline=None, max_examples=300)
def test_remainders_are_those_of_a_division(value, divisor, near):
    multiple = min(LARGEST, max(0, value - value % divisor + near))  # where a quotient changes
    for each in (value, multiple, LARGEST):
        assert int(rest(np.uint64(each), np.uint64(divisor))) == each % divisor

"""Threads of a team wait for each other inside a kernel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import int64, void

from cooc_engine._kernels.barrier import GATE, TEAM, Team, wait_for_all
from cooc_engine._kernels.jit import kernel, out

TURNS = 2000


@kernel(void(TEAM, int64, out(int64), out(int64)))
def take_turns(team, turns, done, late):
    """Take turns together; counts how often another thread was not as far as this one."""
    for turn in range(turns):
        done[team.rank] += 1
        wait_for_all(team)
        for other in range(team.size):
            late[team.rank] += done[other] != turn + 1
        wait_for_all(team)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_nobody_passes_before_all_have_arrived(threads):
    gate, done, late = np.zeros(GATE, np.int64), np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda rank: take_turns(Team(rank, threads, gate), TURNS, done, late), range(threads)))
    assert done.tolist() == [TURNS] * threads
    assert not late.any()

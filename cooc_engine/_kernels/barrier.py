"""A barrier for threads that are inside kernels, so that they need not return to Python to wait for each other."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from numba import int32, int64, types
from numba.extending import intrinsic

from cooc_engine._kernels.jit import helper, named, out

SPINS = 1 << 10  # looks at the gate before a thread that waits offers its core to others
ARRIVED, TURN = 0, 8  # places of a gate, a cache line apart
GATE = 16  # numbers of a gate

give_way = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", int32())


class Team(NamedTuple):
    """The threads that work on the same batches, as one of them sees it: its rank, their number, and their gate, (GATE,)."""

    rank: int
    size: int
    gate: Any


TEAM = named(Team, rank=int64, size=int64, gate=out(int64))


def _atomic(operate):
    """Make a function of an int64 array, a place in it and a number, from one of the builder, an address and the number."""

    @intrinsic
    def atomic(typing_context, data, place, number):
        def codegen(context, builder, signature, arguments):
            items = context.make_array(signature.args[0])(context, builder, arguments[0])
            return operate(builder, builder.gep(items.data, [arguments[1]]), arguments[2])

        return types.int64(data, types.int64, types.int64), codegen

    return atomic


fetch_add = _atomic(lambda builder, address, number: builder.atomic_rmw("add", address, number, "seq_cst"))
exchange = _atomic(lambda builder, address, number: builder.atomic_rmw("xchg", address, number, "seq_cst"))


@intrinsic
def load_acquire(typing_context, data, place):
    """Return an element of an int64 array; what other threads wrote before they changed it can be read afterwards."""

    def codegen(context, builder, signature, arguments):
        items = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(items.data, [arguments[1]]), "acquire", 8)

    return types.int64(data, types.int64), codegen


@helper
def wait_for_all(team):
    """Wait until all threads of a team have arrived; the last one opens the gate for the others."""
    turn = load_acquire(team.gate, TURN)
    if fetch_add(team.gate, ARRIVED, 1) == team.size - 1:
        exchange(team.gate, ARRIVED, 0)
        fetch_add(team.gate, TURN, 1)
        return
    spins = 0
    while load_acquire(team.gate, TURN) == turn:
        spins += 1
        if spins > SPINS:
            give_way()

"""A process that carries out the tasks of another: it receives them, and sends back what they report, return or raise.

    (task, item)       to the worker
    REPORTED, amount   from it, now and then: work that the task has finished
    RETURNED, result   at its end
    RAISED, (error, traceback)  at its end

They pickle what they send each other: both ends are this program, and nobody else has the connection.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from cooc_engine.runtime.children import die_with
from cooc_engine.runtime.workers import Reported

__all__ = ["RAISED", "REPORTED", "RETURNED", "main"]

REPORTED, RETURNED, RAISED = "reported", "returned", "raised"


def main() -> None:
    """Serve until the connection is closed. Arguments: sys.path, the descriptor of the connection, the starter's process id."""
    die_with(int(sys.argv[3]))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    connection = Connection(int(sys.argv[2]))
    with suppress(EOFError, BrokenPipeError):
        while True:
            _carry_out(connection, *connection.recv())


def _carry_out(connection: Connection, task: Callable[..., Any], item: tuple[Any, ...]) -> None:
    stage = Reported(lambda amount: connection.send((REPORTED, amount)))
    answer: tuple[str, Any]
    try:
        answer = RETURNED, task(*item, stage)
    except Exception as error:
        answer = RAISED, (error, traceback.format_exc())
    stage.report()
    connection.send(answer)

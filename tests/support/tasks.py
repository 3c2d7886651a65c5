"""Tasks for workers, which find them by the name of this module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from cooc_engine.errors import InputError
from cooc_engine.runtime.progress import Stage


def double(number: int, stage: Stage) -> int:
    """The first tasks take longest, so results come out of order."""
    time.sleep(max(0, 3 - number) / 100)
    stage.advance(number)
    return 2 * number


def fail(error: Exception, stage: Stage) -> None:
    raise error


class Unseen:
    """A directory that this process sees, and no other one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return self._open, ()

    @staticmethod
    def _open() -> Unseen:
        raise InputError("corpus: no such directory")


def die_once(mark: Path, number: int, stage: Stage) -> int:
    """Kill the worker after some work, unless that has happened before."""
    stage.report()
    stage.advance(number)
    if number == 2 and not mark.exists():
        mark.touch()
        stage.report()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(stage: Stage) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(mark: Path, stage: Stage) -> None:
    mark.write_text(str(os.getpid()))
    time.sleep(60)


def nap(mark: Path, stage: Stage) -> None:
    mark.touch()
    time.sleep(0.5)
    mark.write_text("done")


def perish(*given) -> None:
    """Kill the worker, whatever it was to do."""
    os.kill(os.getpid(), signal.SIGKILL)

"""The seam between a stage and those who do its work: this process, other processes of the machine, or other machines.

A stage cuts its work into tasks: functions of a module whose arguments can be sent to another process, whose results are
small, and whose output is in files. A task may run twice, even at the same time, since a worker that is believed lost may
go on: each attempt writes files of its own, which are renamed when they are complete. So a stage is written only once, and its
bytes do not depend on who did the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cooc_engine.errors import ResourceError
from cooc_engine.runtime.progress import Stage

__all__ = ["LOSSES", "Here", "Reported", "Workers", "lost"]

T = TypeVar("T")
LOSSES = 4  # workers that may be lost with a task before it is given up
EVERY = 0.5  # seconds, at least, between two reports of a task's progress


class Workers(Protocol):
    """Those who carry out tasks: `count` of them, each with `threads` threads and `memory` bytes."""

    @property
    def count(self) -> int:
        """Number of tasks that are carried out at a time."""
        ...

    @property
    def threads(self) -> int:
        """Threads of each."""
        ...

    @property
    def memory(self) -> int:
        """Budget of each, in bytes."""
        ...

    @property
    def local(self) -> bool:
        """Whether all of them are on this machine, so that this process could use their threads and their memory itself."""
        ...

    @property
    def here(self) -> Here:
        """This process, with the threads and the memory that it has for work that is not divided."""
        ...

    def check_processors(self, *, numpy: bool = False) -> None:
        """Raise `UsageError` unless all have processors of one kind, for work whose last bits depend on it.

        The kind is the one that kernels are compiled for and, with `numpy`, also the one that NumPy has chosen its code for.
        """
        ...

    def at(self, directory: Path) -> AbstractContextManager[None]:
        """Return a block in which tasks write into a directory; when it has ended, none is running any more."""
        ...

    def each(
        self, task: Callable[..., T], items: Iterable[tuple[Any, ...]], stage: Stage, *, stay: bool = False
    ) -> Iterator[T]:
        """Yield task(*item, stage) for each item, in the order of the items; only in such a block.

        With `stay`, for at most `count` items, each goes to the worker that had the item of the same number before and may
        hold something for it; to another one only if that worker was lost. What a task raises is raised here. A task whose
        worker is lost is carried out again; raises `ResourceError` if that happens too often.
        """
        ...


@dataclass(frozen=True)
class Here:
    """This process: one task after the other, each with all threads; nothing is copied or sent."""

    threads: int
    memory: int
    count, local = 1, True

    @property
    def here(self) -> Here:
        """This process."""
        return self

    def check_processors(self, *, numpy: bool = False) -> None:
        """Do nothing: there is only one."""

    def at(self, directory: Path) -> AbstractContextManager[None]:
        """Return an empty block."""
        return nullcontext()

    def each(
        self, task: Callable[..., T], items: Iterable[tuple[Any, ...]], stage: Stage, *, stay: bool = False
    ) -> Iterator[T]:
        """Yield task(*item, stage) for each item."""
        for item in items:
            yield task(*item, stage)


class Reported(Stage):
    """The stage that a task in another process is given: it reports progress by a function, at most twice a second."""

    def __init__(self, report: Callable[[float], None]) -> None:
        super().__init__("", None, "")
        self._report, self._reported, self._at, self._reporting = report, 0.0, time.monotonic(), threading.Lock()

    def advance(self, amount: float, note: str | None = None) -> None:
        """Add finished work, and report it if the last report is long enough ago."""
        super().advance(amount, note)
        if time.monotonic() - self._at >= EVERY:
            self.report()

    def report(self) -> None:
        """Report what has not been reported yet."""
        with self._reporting:
            self._at, more = time.monotonic(), self.done - self._reported
            if more:
                self._reported += more
                self._report(more)


def lost(how: str) -> ResourceError:
    """Return the error for a task that was lost again and again, the last time as `how` says."""
    hint = "out of memory? continue with --resume and a smaller --memory"
    return ResourceError(f"a task was lost with {LOSSES} workers, of which the last {how}; {hint}")

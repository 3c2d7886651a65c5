"""Worker processes of this machine, each of which carries out one task at a time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar, cast

from cooc_engine.runtime.children import command, end_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.worker import RAISED, REPORTED
from cooc_engine.runtime.workers import LOSSES, Here, lost

__all__ = ["Processes"]

T = TypeVar("T")


@dataclass
class _Job:
    """An item to work on: its number, the number of workers lost with it, and the progress reported for it."""

    number: int
    item: tuple[Any, ...]
    losses: int = 0
    reported: float = 0.0


class _Worker:
    """A process, and the job that it has."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            line = command("runtime.worker", sys.path, str(theirs.fileno()), str(os.getpid()))
            # It has a session of its own: Ctrl-C at a terminal reaches only this process, which then ends it.
            self.process = subprocess.Popen(line, pass_fds=[theirs.fileno()], start_new_session=True)
        self.connection, self.job = Connection(ours.detach()), cast(_Job | None, None)

    def start(self, task: Callable[..., Any], job: _Job) -> None:
        """Send it a job; that it has ended is found when its answer is awaited."""
        self.job = job
        with suppress(BrokenPipeError):
            self.connection.send((task, job.item))

    def end(self) -> str:
        """Kill it, and return how it ended."""
        self.connection.close()
        self.process.kill()
        return end_of(self.process)


class Processes:
    """Worker processes, which are started with the first task of a block and killed at its end, whatever they are doing."""

    local = True

    def __init__(self, count: int, threads: int, memory: int) -> None:
        self.count, self.threads, self.memory = count, threads, memory
        self.here = Here(count * threads, count * memory)
        self._all: list[_Worker] = []

    def check_processors(self, *, numpy: bool = False) -> None:
        """Do nothing: there is only one."""

    @contextmanager
    def at(self, directory: Path) -> Iterator[None]:
        """End the processes when the block ends."""
        try:
            yield
        finally:
            for worker in self._all:
                worker.end()
            self._all.clear()

    def each(
        self, task: Callable[..., T], items: Iterable[tuple[Any, ...]], stage: Stage, *, stay: bool = False
    ) -> Iterator[T]:
        """Yield task(*item, stage) for each item, in order; each worker is given the next item as soon as it is free.

        All are free at first, so at most `count` items always go to the same workers, with `stay` or without.
        """
        jobs, again = (_Job(number, item) for number, item in enumerate(items)), deque[_Job]()
        results, turn = dict[int, T](), 0
        self._all += [_Worker() for _ in range(self.count - len(self._all))]
        while True:
            for worker in self._all:
                if worker.job is None and (job := again.popleft() if again else next(jobs, None)):
                    worker.start(task, job)
            busy = {worker.connection: worker for worker in self._all if worker.job}
            if not busy:
                return
            for connection in wait(list(busy)):
                worker = busy[cast(Connection, connection)]
                self._hear(worker, results, again, stage)
            while turn in results:
                yield results.pop(turn)
                turn += 1

    def _hear(self, worker: _Worker, results: dict[int, Any], again: deque[_Job], stage: Stage) -> None:
        """Take a message of a worker, or note that it was lost."""
        job = worker.job
        assert job is not None
        try:
            kind, value = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            stage.advance(-job.reported)
            self._replace(worker, job)
            again.append(_Job(job.number, job.item, job.losses + 1))
            return
        if kind == REPORTED:
            job.reported += value
            stage.advance(value)
            return
        worker.job = None
        if kind == RAISED:
            error, where = value
            raise error from RuntimeError(f"in a worker process:\n{where}")
        results[job.number] = value

    def _replace(self, worker: _Worker, job: _Job) -> None:
        place = self._all.index(worker)
        del self._all[place]
        how = worker.end()
        if job.losses + 1 >= LOSSES:
            raise lost(how)
        self._all.insert(place, _Worker())  # what the others hold stays where it is

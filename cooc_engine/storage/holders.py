"""Lock files that name their holder, for directories that several machines share: `flock` may exclude only runs on one machine.

A lock file names the process and the machine that hold it, and is touched while the process works. A run that ends normally
leaves the file empty; one that was killed leaves its name in a file that is no longer touched.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

from cooc_engine.errors import FormatError, UsageError
from cooc_engine.storage.inputs import record_bytes
from cooc_engine.storage.schema import Natural, read_json

__all__ = ["JOB", "held", "output_of", "refuse_others"]

JOB = "job.lock"  # in the directory of a job's results; a file `lock` would mark the directory as one to delete
EVERY, STALE = 15.0, 60.0  # seconds between touches, and since the last one after which a run is taken for dead


class _Holder(TypedDict):
    """The record in a lock file: the process that holds it."""

    host: str
    pid: Natural


@contextmanager
def held(lock: Path, *, take_over: bool) -> Iterator[None]:
    """Say in a lock file that this process holds it, until the block ends; the caller has locked it on this machine.

    Raises what `refuse_others` raises.
    """
    refuse_others(lock, take_over=take_over)
    lock.write_text(json.dumps(_Holder(host=socket.gethostname(), pid=os.getpid())))
    TOUCHER.add(lock)
    try:
        yield
    finally:
        TOUCHER.locks.discard(lock)
        with suppress(OSError):  # it goes with a directory that is finished
            os.truncate(lock, 0)


class _Toucher:
    """Touches the locks that this process holds, in one thread that is begun with the first of them.

    Where memory runs out while a thread is begun, Python waits for it without end; so none is begun for each lock.
    """

    def __init__(self) -> None:
        self.locks: set[Path] = set()
        self._begun, self._thread, self._added = threading.Lock(), threading.Thread(), threading.Event()

    def add(self, lock: Path) -> None:
        """Touch a lock from now on, until it is taken out of `locks`."""
        self.locks.add(lock)
        self._added.set()
        with self._begun:
            if not self._thread.is_alive():  # as in a process that was forked
                self._thread = threading.Thread(target=self._touch, daemon=True)
                self._thread.start()

    def _touch(self) -> None:
        while True:
            self._added.wait(EVERY)
            self._added.clear()
            for lock in tuple(self.locks):
                with suppress(OSError):
                    os.utime(lock)


TOUCHER = _Toucher()


def output_of(lock: Path) -> Path:
    """Return the output that a lock file protects: that of the directory that it is in, or the file that it lies beside."""
    if lock.name == JOB:
        return lock.parent
    part = lock.parent if lock.name == "lock" else lock
    return part.with_suffix("") if part.suffix in (".part", ".lock", ".work") else part


def refuse_others(lock: Path, *, take_over: bool) -> None:
    """Raise `UsageError` if a run on another machine holds a lock, or, unless `take_over`, held it when it was killed."""
    try:
        holder = read_json(record_bytes(lock), _Holder, f"{lock}")
    except (FormatError, OSError):  # empty, or of a version that wrote nothing
        return
    if holder["host"] == socket.gethostname():
        return
    who = f"{output_of(lock)}: process {holder['pid']} on {holder['host']}"
    if _age(lock) < STALE:
        raise UsageError(f"{who} is working on it")
    if not take_over:
        raise UsageError(
            f"{who} was working on it and was killed, or cannot be seen; if it has ended, continue with --resume and "
            f"--take-over, or start anew with --force"
        )


def _age(lock: Path) -> float:
    """Return the seconds since a file was touched, by the clock of its file system."""
    now = lock.with_name(f"clock-{os.getpid()}.part")
    now.touch()
    age = now.stat().st_mtime - lock.stat().st_mtime
    now.unlink()
    return age

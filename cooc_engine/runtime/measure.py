"""Wall time and peak memory of a piece of work."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Measure", "Memory"]

INTERVAL = 0.02
EVERY = 10  # samples from one look for processes that this one started to the next


class Memory(NamedTuple):
    """The memory of a process in bytes, each 0 if unknown: resident, its peak since the process began, and anonymous.

    Anonymous memory is that without mapped files, whose pages the kernel can drop.
    """

    resident: int = 0
    highest: int = 0
    anonymous: int = 0

    @classmethod
    def of(cls, process: int | str = "self") -> Memory:
        """Return the memory that a process has now."""
        found = {"VmRSS": 0, "VmHWM": 0, "RssAnon": 0}
        try:
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in found:
                    found[name] = int(rest.split()[0]) << 10
        except OSError:  # it has ended, or there is no /proc
            pass
        return cls(*found.values())


def _started() -> list[int]:
    """Return the numbers of the processes that this one started, and that these did."""
    found = [os.getpid()]
    for process in found:
        with suppress(OSError):  # it has ended, or no file can be opened
            for path in Path(f"/proc/{process}/task").glob("*/children"):
                with suppress(OSError):  # so has this thread
                    found += map(int, path.read_text().split())
    return found[1:]


class Measure:
    """A context manager that measures a piece of work.

    seconds                           wall time
    peak_memory_bytes                 peak resident memory of this process and those that it started, as a control group has it
    peak_anonymous_bytes_above_start  peak increase of this process's anonymous memory, which is what a budget limits
    """

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._start = Memory.of()
        self._resident, self._anonymous, self._others = self._start.resident, self._start.anonymous, 0
        self._sampler = threading.Thread(target=self._sample_until_stopped, daemon=True)
        self._sampler.start()
        self._begin = time.perf_counter()
        return self

    def _sample_until_stopped(self) -> None:
        count = 0
        while not self._stop.wait(INTERVAL):
            if count % EVERY == 0:
                self._others = sum(Memory.of(process).resident for process in _started())
            self._note(Memory.of())
            count += 1

    def _note(self, now: Memory) -> None:
        self._resident = max(self._resident, now.resident + self._others)
        self._anonymous = max(self._anonymous, now.anonymous)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._begin
        self._stop.set()
        self._sampler.join()
        end = Memory.of()
        self._note(end)
        if end.highest > self._start.highest:  # the kernel saw a peak during the work, between two samples or at one
            self._resident = max(self._resident, end.highest)
        self.peak_memory_bytes = self._resident
        self.peak_anonymous_bytes_above_start = self._anonymous - self._start.anonymous

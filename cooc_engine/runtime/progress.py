"""Progress reports: a stage has a name, a total and a unit, and is advanced by whoever does the work.

Library calls are silent unless a `Progress` is passed; stages are also logged by Python's `logging`, as `cooc_engine` at level
INFO. On a terminal the command line draws a bar; elsewhere it writes a
plain line at least every five seconds, or JSON lines on request, without control codes.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, TextIO, get_args

from cooc_engine.errors import in_one_line, visible
from cooc_engine.runtime.numbers import show_clock, show_number
from cooc_engine.runtime.options import refusal
from cooc_engine.runtime.streams import speaks_json

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

__all__ = ["Kind", "Progress", "Shown", "Stage", "open_progress", "progress_of"]

LOG = logging.getLogger("cooc_engine")
Kind = Literal["auto", "bar", "lines", "json", "none"]
INTERVAL = 5.0  # seconds between lines; the first comes sooner, so that nothing looks hung
FIRST = 1.0
DROPPED = suppress(OSError, ValueError)  # a stream that is closed, full or read by nobody: work goes on without progress
CANNOT_DRAW = ("dumb", "unknown")  # terminals without movements of the cursor


class Stage:
    """One stage of work in progress; `advance` may be called from any thread."""

    def __init__(self, name: str, total: float | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self._before = 0.0
        self.note = ""
        self.start = time.perf_counter()
        self._lock = threading.Lock()

    def advance(self, amount: float, note: str | None = None) -> None:
        """Add `amount` units of finished work; `note` replaces the text behind the figures."""
        with self._lock:
            self.done += amount
            if note is not None:
                self.note = note

    def resume_at(self, amount: float) -> None:
        """Count `amount` units as done by an earlier run; they are left out of the rate."""
        self.done = self._before = amount

    @property
    def rate(self) -> float:
        """Units per second since the stage began."""
        return (self.done - self._before) / max(self.seconds, 1e-9)

    @property
    def seconds(self) -> float:
        """Wall time since the stage began, in seconds."""
        return time.perf_counter() - self.start

    def record(self) -> dict[str, object]:
        """Return the state: units done and in all, units per second, and seconds left."""
        rate = self.rate
        left = (self.total - self.done) / rate if self.total and rate else None
        return {
            "stage": self.name,
            "done": round(self.done),
            "total": None if self.total is None else round(self.total),
            "unit": self.unit,
            "rate": round(rate, 1),
            "eta": None if left is None else round(max(left, 0.0), 1),
            "note": self.note,
        }

    def line(self) -> str:
        """Return the state as one plain line: percent, rate, time left."""
        rate = self.rate
        parts = [f"{show_number(self.done)} {self.unit}", f"{show_number(rate)}/s"]
        if self.total:
            parts.insert(0, f"{100 * min(self.done / self.total, 1):.0f} %")
            if rate and self.done < self.total:
                parts.append(f"{show_clock((self.total - self.done) / rate)} left")
        return f"{self.name}: " + ", ".join([*parts, self.note] if self.note else parts)


class Progress:
    """Silent progress, and the base of the others, for which a ticker thread calls `tick` while a stage runs."""

    first, interval = FIRST, INTERVAL

    @contextmanager
    def stage(self, name: str, total: float | None = None, unit: str = "items") -> Iterator[Stage]:
        """Run a stage of `total` units (None if unknown); yields the `Stage` to advance."""
        stage, stop = Stage(name, total, unit), threading.Event()
        ticker = threading.Thread(target=self._tick_until, args=(stage, stop), daemon=True)
        LOG.info("%s: begins", name)
        self.begin(stage)
        if self.speaks:
            ticker.start()
        try:
            yield stage
        finally:
            stop.set()
            if self.speaks:
                ticker.join()
            LOG.info("%s in %.1f s", stage.line(), stage.seconds)
            self.end(stage)

    def _tick_until(self, stage: Stage, stop: threading.Event) -> None:
        wait = self.first
        while not stop.wait(wait):
            self.tick(stage)
            wait = self.interval

    speaks = False

    def begin(self, stage: Stage) -> None:
        """Announce a stage."""

    def tick(self, stage: Stage) -> None:
        """Show the state of a running stage."""

    def end(self, stage: Stage) -> None:
        """Show the final state of a stage."""

    def say(self, text: str) -> None:
        """Write one line, such as a plan or a warning; it is logged too."""
        LOG.info(in_one_line(text))


class LineProgress(Progress):
    """A plain line one second into a stage, every few seconds from then on, and at its end."""

    speaks = True

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def tick(self, stage: Stage) -> None:
        """Write the state as a line."""
        self._put(visible(stage.line()))

    def end(self, stage: Stage) -> None:
        """Write the state and the time taken."""
        self._put(visible(f"{stage.line()} in {stage.seconds:.1f} s"))

    def say(self, text: str) -> None:
        """Write one line."""
        super().say(text)
        self._put(visible(text))

    def _put(self, text: str) -> None:
        with DROPPED:
            print(text, file=self.stream, flush=True)


class JsonProgress(LineProgress):
    """JSON lines: one object per line, at the beginning of a stage too."""

    def begin(self, stage: Stage) -> None:
        """Write the state at the beginning."""
        self.tick(stage)

    def tick(self, stage: Stage) -> None:
        """Write the state."""
        self._put(json.dumps(stage.record()))

    def end(self, stage: Stage) -> None:
        """Write the state and the seconds taken."""
        record = stage.record() | {"seconds": round(stage.seconds, 3), "eta": 0.0}
        self._put(json.dumps(record))

    def say(self, text: str) -> None:
        """Write one line as an object."""
        Progress.say(self, text)
        self._put(json.dumps({"message": text}))


class BarProgress(LineProgress):
    """A bar with the same figures, redrawn in place; for terminals only."""

    first, interval = 0.1, 0.2
    _bars: Bars | None = None

    def begin(self, stage: Stage) -> None:
        """Draw an empty bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # stdout stays free: what is printed there may be piped elsewhere. The ticker redraws, so no other thread need do it.
        self._bars = Progress(
            BarColumn(24),
            TextColumn("{task.description}", markup=False),
            console=Console(file=self.stream),
            auto_refresh=False,
            redirect_stdout=False,
            transient=True,
        )
        self._bars.add_task(stage.name, total=stage.total)
        with DROPPED:
            self._bars.start()

    def tick(self, stage: Stage) -> None:
        """Redraw the bar and the figures."""
        assert self._bars
        with DROPPED:
            self._bars.update(self._bars.task_ids[0], completed=stage.done, description=visible(stage.line()), refresh=True)

    def end(self, stage: Stage) -> None:
        """Replace the bar with a plain line."""
        if self._bars:
            with DROPPED:
                self._bars.stop()
        super().end(stage)

    def say(self, text: str) -> None:
        """Write one line, above the bar if there is one."""
        if self._bars and self._bars.live.is_started:
            Progress.say(self, text)
            with DROPPED:
                self._bars.print(visible(text), markup=False, highlight=False, soft_wrap=True)
        else:
            super().say(text)


Shown = Progress | Kind | None
"""How a function of the library is told to show its progress: not at all, by a `Progress`, or as a kind that it opens."""


def progress_of(shown: Shown) -> Progress:
    """Return what shows the progress of a function; raises `UsageError` if it cannot."""
    if shown is None:
        return Progress()
    return shown if isinstance(shown, Progress) else open_progress(shown)


def open_progress(kind: Kind = "auto", stream: TextIO | None = None) -> Progress:
    """Return progress of this kind on `stream` (by default stderr); `auto` is a bar on a terminal and lines elsewhere.

    In a command with --json, `auto` is JSON. Raises `UsageError` for another kind.
    """
    if not (isinstance(kind, str) and kind in get_args(Kind)):
        raise refusal("progress", kind, f"a Progress, or one of {', '.join(get_args(Kind))}")
    stream = stream or sys.stderr
    if kind == "none" or stream is None:
        return Progress()
    if kind == "json" or (kind == "auto" and speaks_json()):
        return JsonProgress(stream)
    draws = kind != "lines" and stream.isatty() and os.environ.get("TERM") not in CANNOT_DRAW
    return BarProgress(stream) if draws else LineProgress(stream)

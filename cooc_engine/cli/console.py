"""What the command line shows: results on stdout as text or JSON, errors as one line on stderr; nothing else prints results."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.run_options import PlannedOptions, RunOptions

__all__ = [
    "Work",
    "drop_output",
    "fail",
    "figure",
    "note",
    "planned",
    "print_json",
    "print_lines",
    "print_scores",
]


class Work:
    """Run a verb: measure it, and `print` what it did."""

    def __init__(self, run: RunOptions) -> None:
        from cooc_engine.runtime.measure import Measure

        self._run, self._measure = run, Measure()
        self.threads = run.threads or usable_cores()

    def __enter__(self) -> Work:
        self._measure.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._measure.__exit__(*error)

    def record(self) -> dict[str, Any]:
        """Return seconds, threads and peak memory."""
        memory = self._measure.peak_memory_bytes
        return {"seconds": round(self._measure.seconds, 4), "threads": self.threads, "peak_memory_bytes": memory}

    def print(self, output: Path, text: str, extra: dict[str, Any]) -> None:
        """Say what was made, in a line or as a JSON object with `extra` in it."""
        if self._run.json:
            print_json({"output": str(output), **self.record(), **extra})
        else:
            print(f"{output}: {text}, {self._measure.seconds:.1f} s")


def planned(run: PlannedOptions, plan: Callable[..., Plan], source: Any, output: Path, *options: Any) -> bool:
    """Print the plan of a command, if that is all that is wanted."""
    if run.dry_run:
        made = plan(source, output, *options, threads=run.threads, memory=run.memory)
        if run.json:
            print_json({"output": str(output), **made.record()})
        else:
            print_lines(made.lines())
    return run.dry_run


def print_json(value: Any, *, flush: bool = False) -> None:
    """Print one JSON value, in ASCII if stdout takes no more."""
    print(json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"), flush=flush)


def print_scores(rows: Iterable[dict[str, Any]]) -> None:
    """Print rows of `evaluate`, one a line."""
    for row in rows:
        value = "  --  " if row["value"] is None else f"{row['value']:6.4f}"
        if row.get("low") is not None:
            value += f" ({row['low']:6.4f}–{row['high']:6.4f})"
        among = f" among the first {row['restrict']:,} words" if "restrict" in row else ""
        print(f"{row['model']}  {row['dataset']:24s}  {row['kind']:11s}  {value}  {row['covered']} of {row['total']}{among}")


def figure(value: Any) -> str:
    """Return a number in nine columns, or dashes where there is none."""
    return f"{'--':>9s}" if value is None else f"{value:9.3f}"


def drop_output() -> None:
    """Throw away what could not be printed, so that the interpreter does not try again when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(text: str, code: int) -> int:
    """Print an error and return the exit code."""
    print(f"cooc-engine: {text}", file=sys.stderr)
    return code


def print_lines(texts: Iterable[str], *, flush: bool = False) -> None:
    """Print lines; the last is seen at once if they are part of a stream."""
    for text in texts:
        print(text)
    if flush:
        sys.stdout.flush()


def note(text: str) -> None:
    """Say something about a result, on stderr."""
    print(f"cooc-engine: note: {text}", file=sys.stderr)

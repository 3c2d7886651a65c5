"""What the command line shows: results on stdout as text or JSON, errors as one line on stderr; nothing else prints results."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cooc_engine.errors import visible
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.measure import Measure
from cooc_engine.runtime.run_options import PlannedOptions, RunOptions
from cooc_engine.runtime.streams import message_line

__all__ = [
    "Told", "Work", "carry_out", "fail", "figure", "note", "print_json", "print_lines", "print_result",
    "score_lines", "show_notices",
]  # fmt: skip

T = TypeVar("T")
Told = tuple[str, dict[str, Any]]  # what was made, in words, and for JSON


class Work(Measure):
    """A verb at work, which is measured; `print` says what it made."""

    def __init__(self, run: RunOptions) -> None:
        self._run, self.threads = run, run.threads or usable_cores()

    def record(self) -> dict[str, Any]:
        """Return seconds, threads and peak memory."""
        memory = {name: getattr(self, name) for name in ("peak_memory_bytes", "peak_anonymous_bytes_above_start")}
        return {"seconds": round(self.seconds, 4), "threads": self.threads, **memory}

    def print(self, output: Path, text: str, extra: dict[str, Any]) -> None:
        """Say what was made, in a line or as a JSON object with `extra` in it."""
        record = {"output": str(output), **self.record(), **extra}
        print_result(self._run.json, record, [f"{output}: {text}, {self.seconds:.1f} s"])


def carry_out(
    run: PlannedOptions,
    stage: Callable[..., T],
    plan: Callable[..., Plan],
    tell: Callable[[T], Told],
    source: Any,
    output: Path,
    *options: Any,
) -> None:
    """Run a stage and say what it made; or only print its plan, with --dry-run."""
    if run.dry_run:
        planned = plan(source, output, *options, **run.plan_keywords())
        print_result(run.json, {"output": str(output), **planned.record()}, planned.lines())
        return
    with Work(run) as work:
        made = stage(source, output, *options, **run.keywords())
    work.print(output, *tell(made))


def print_result(json: bool, record: Any, lines: Iterable[str]) -> None:
    """Print a result as one JSON value or as lines."""
    print_json(record) if json else print_lines(lines)


def print_json(value: Any, *, flush: bool = False) -> None:
    """Print one JSON value, in ASCII if stdout takes no more."""
    print_lines([json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() != "utf-8")], flush=flush)


def score_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each row of `evaluate`."""
    for row in rows:
        value = "  --  " if row["value"] is None else f"{row['value']:6.4f}"
        if row.get("low") is not None and row.get("high") is not None:
            value += f" ({row['low']:6.4f}–{row['high']:6.4f})"
        among = f" among the first {row['restrict']:,} words" if "restrict" in row else ""
        if "unseen" in row:
            among = f", {row['unseen']} of them by subwords"
        yield f"{row['model']}  {row['dataset']:24s}  {row['kind']:11s}  {value}  {row['covered']} of {row['total']}{among}"


def figure(value: Any) -> str:
    """Return a number in nine columns, or dashes where there is none."""
    return f"{'--':>9s}" if value is None else f"{value:9.3f}"


def fail(text: str, code: int) -> int:
    """Print an error to stderr, as a line or as a JSON object, and return the exit code."""
    _say(text, {"error": text, "exit_code": code})
    return code


def print_lines(texts: Iterable[str], *, flush: bool = False) -> None:
    """Print lines; the last is seen at once if they are part of a stream. A terminal never obeys what a word says."""
    shown = visible if sys.stdout.isatty() else str
    for text in texts:
        print(shown(text))
    if flush:
        sys.stdout.flush()


class _Notices(logging.Handler):
    """Shows what the library logs about kernels that are compiled: nothing else says why a first command takes long."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        _say(text, {"message": text})


def show_notices() -> None:
    """Show notices of compiled kernels on stderr from now on."""
    logger = logging.getLogger("cooc_engine.kernels")
    logger.addHandler(_Notices(logging.INFO))
    logger.setLevel(logging.INFO)
    logger.propagate = False


def note(text: str) -> None:
    """Say something about a result, on stderr."""
    _say(f"note: {text}", {"message": text})


def _say(text: str, record: Mapping[str, Any]) -> None:
    """Write a line to stderr: a text, or a record if stderr has JSON alone."""
    print(message_line(text, record), file=sys.stderr)

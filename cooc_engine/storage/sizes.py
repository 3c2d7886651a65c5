"""Sizes of finished and unfinished outputs, for messages about what --force would delete."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cooc_engine.runtime.numbers import show_size

__all__ = ["shown_size", "size_of", "tell_replaced"]


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files in a directory, in bytes."""
    size = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        with suppress(FileNotFoundError):  # another run is at work
            size += file.stat().st_size if file.is_file() else 0
    return size


def shown_size(path: Path) -> str:
    """Return the size of an output for a message, as what would be lost with it."""
    return show_size(size_of(path))


def _is_left(work: Path) -> bool:
    """Tell whether an interrupted run left anything: a directory that has just been locked holds its lock alone."""
    return work.is_file() or (work.is_dir() and any(path.name != "lock" for path in work.iterdir()))


def tell_replaced(output: Path, work: Path, say: Callable[[str], object], worth: Callable[[Path], str] = shown_size) -> None:
    """Say what --force throws away, before it does: a finished output, and what an interrupted run left."""
    if output.exists():
        say(f"{output}: will be replaced ({worth(output)})")
    if _is_left(work):
        say(f"{work}: was left by an interrupted run and is discarded ({shown_size(work)})")

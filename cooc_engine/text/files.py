"""The files of a text: their size, and whether they stay what they are while they are read."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cooc_engine.errors import InputError
from cooc_engine.text.stores import TextPath

__all__ = ["stamps", "total_bytes", "unchanged"]


def total_bytes(paths: Sequence[TextPath]) -> int | None:
    """Return the total size of the files on disk, or None if one of them is a stream."""
    if any(str(path) == "-" or not path.is_file() for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)


def stamps(paths: Sequence[TextPath]) -> list[tuple[int, int] | None]:
    """Return the size and modification time of each file, or None for a stream, which cannot be read again."""
    return [state and state[:2] for state in map(_state, paths)]


@contextmanager
def unchanged(paths: Sequence[TextPath]) -> Iterator[None]:
    """Raise `InputError` if a file was changed, replaced or deleted while the block ran; streams cannot be checked."""
    before = list(map(_state, paths))
    yield
    for path, state in zip(paths, before, strict=True):
        if _state(path) != state:
            raise InputError(f"{path}: changed while it was read; run again when nothing writes to it")


def _state(path: TextPath) -> tuple[int, int, int, int] | None:
    """Return the size and modification time of a file, and which file it is; None for a stream or nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    state = found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino
    return state if stat.S_ISREG(found.st_mode) and str(path) != "-" else None

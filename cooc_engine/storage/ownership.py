"""Whose a file is: a command knows its own files by their names; any other is someone's own, and is not lost."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cooc_engine.errors import UsageError
from cooc_engine.storage.inputs import record_bytes

__all__ = ["not_ours", "refuse_foreign", "refuse_strangers", "strangers"]

OF_ALL = ("lock", "plan.json", "manifest.json", "clock-*", ".nfs*")  # the last: what NFS keeps of a deleted file that is open


def refuse_foreign(directory: Path, kind: str, members: Sequence[str]) -> None:
    """Raise `UsageError` if a directory is not our own of this kind, or holds what is not: neither is ever deleted."""
    if directory.exists() and not _is_ours(directory, kind):
        raise not_ours(directory)
    refuse_strangers(strangers(directory, members))


def not_ours(path: Path) -> UsageError:
    """Return the error for what stands in the place of a directory of a command, and is none."""
    return UsageError(f"{path}: exists and is not what this command makes; choose another --output")


def strangers(directory: Path, members: Sequence[str]) -> list[Path]:
    """Return what is in a directory, if it exists, but no file of a command that makes files with names like `members`."""
    patterns = [pattern for name in (*OF_ALL, *members) for pattern in (name, f"{name}*.part")]
    with suppress(FileNotFoundError):  # another run has just finished
        return sorted(path for path in directory.iterdir() if not _is_named(path, patterns))
    return []


def _is_named(path: Path, patterns: Sequence[str]) -> bool:
    """Tell whether a file, or a link in the place of one, has a name like one of the patterns."""
    like = any(fnmatch.fnmatchcase(path.name, pattern) for pattern in patterns)
    return like and (path.is_symlink() or not path.is_dir())


def refuse_strangers(found: Sequence[Path]) -> None:
    """Raise `UsageError`, naming the first of several files that no command made, if there are any."""
    for path in found[:1]:
        raise UsageError(f"{path.parent}: holds {path.name}, which is not this command's; move it or choose another --output")


def _is_ours(directory: Path, kind: str) -> bool:
    """Tell whether a directory, complete, damaged or unfinished, is our own of this kind; no other is ever deleted."""
    manifest = directory / "manifest.json"
    with suppress(FileNotFoundError):
        if manifest.is_file():
            return f"cooc-engine {kind}".encode() in record_bytes(manifest)
        return directory.is_dir() and ((directory / "lock").is_file() or not any(directory.iterdir()))
    return True  # of another run, which has just finished it

"""The gate for paths from outside: what is not a path, or not one that the system takes, is refused in a line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cooc_engine.errors import UsageError

if TYPE_CHECKING:
    from cooc_engine.runtime.types import PathLike, Paths

__all__ = ["NotSeveral", "listed", "path_of", "several"]

P = TypeVar("P", bound="PathLike")
LONGEST = 80  # characters of a path that cannot be one, in a message


class NotSeveral(UsageError):
    """A value that is neither one string or path nor several."""


def several(given: P | Iterable[P]) -> list[P]:
    """Return strings, paths, or what stands for a path, as a list: one alone is one, and not taken letter by letter.

    Raises `NotSeveral` for what is neither.
    """
    if isinstance(given, str | os.PathLike):
        return [given]
    if not isinstance(given, Iterable):
        raise NotSeveral(f"{given!r:.40} was given where a string, a path, or a list of these is expected")
    try:
        return list(iter(given))
    except TypeError:  # an array without dimensions
        raise NotSeveral(f"{given!r:.40} was given where a list is expected") from None


def path_of(given: PathLike) -> Path:
    """Return a path that comes from outside; raises `UsageError` for what cannot be one, such as a name with a NUL byte."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not (isinstance(text, str) and text):
        raise UsageError(f"{given!r:.40} was given where a path is expected")
    path = Path(text)
    if fault := _fault(path):
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        raise UsageError(f"{shown}: is not a path ({fault}); choose another name")
    return path


def _fault(path: Path) -> str | None:
    """Return why the system takes no file of this name, or None if it does."""
    try:
        path.lstat()
    except OSError as error:  # if a file is missing, or a link leads nowhere, whoever opens it says so
        return os.strerror(error.errno) if error.errno == errno.ENAMETOOLONG else None
    except ValueError:
        return "it has a NUL byte, or half of a character"
    return None


def listed(paths: Paths) -> list[Path]:
    """Return one path, or several, as a list of paths; raises `UsageError` for what is none."""
    return [path_of(path) for path in several(paths)]

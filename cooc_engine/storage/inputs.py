"""Files that are read at several places, or more than once, which a pipe cannot be."""

from __future__ import annotations

import stat
from pathlib import Path

from cooc_engine.errors import InputError

__all__ = ["refuse_streams"]


def refuse_streams(path: Path) -> None:
    """Raise `InputError` for a pipe or a device, such as the shell's `<(...)`: opening it again could wait forever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # opening it says more
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: is a pipe or a device, and is read more than once; write it to a file first")

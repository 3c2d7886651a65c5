"""Files that are read at several places, or more than once, which a pipe cannot be; and those of a record, which are small."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cooc_engine.errors import InputError
from cooc_engine.storage.schema import MOST_BYTES

__all__ = ["record_bytes", "refuse_streams"]


def refuse_streams(path: Path) -> None:
    """Raise `InputError` for a pipe or a device, such as the shell's `<(...)`: opening it again could wait forever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # opening it says more
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: is a pipe or a device, and is read more than once; write it to a file first")


def record_bytes(path: Path) -> bytes:
    """Return the content of a file of JSON, of one that is too long only as much as tells that.

    Raises `OSError` if it cannot be read, and what `refuse_streams` raises.
    """
    refuse_streams(path)
    with path.open("rb") as file:
        return file.read(min(os.fstat(file.fileno()).st_size, MOST_BYTES) + 1)

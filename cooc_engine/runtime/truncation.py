"""A mapped file that is cut short while it is in use: one line, instead of a crash of the interpreter.

The system answers a read behind the end of a mapped file by SIGBUS, which Python cannot turn into an exception: its handlers
run later, and the read would be tried again for ever. The only safe thing to do is to name the file and to end the process at
once. What a kill leaves, this leaves too: temporary files, and what `--resume` continues.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from cooc_engine.errors import FormatError
from cooc_engine.runtime.streams import message_line

__all__ = ["explain_truncation"]

MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ [1-9]\d*\s+(/.*)")  # of a file, in /proc/self/maps


def explain_truncation() -> None:
    """From now on, end this process with one line and the exit code 1 if a mapped file is truncated while it is read."""
    with suppress(OSError, AttributeError):  # a system without SIGBUS, or without C's signal()
        ctypes.CDLL(None).signal(signal.SIGBUS, HANDLER)


def _end(number: int) -> None:
    # The signal comes from a read of the file, in a kernel or in NumPy, never from within the interpreter or the allocator.
    named = _truncated()
    what = f"{named}: was truncated while it was in use" if named else "a mapped file was truncated, or cannot be read any more"
    text, code = f"{what}; restore it, and run again", FormatError.exit_code
    with suppress(OSError):
        os.write(2, os.fsencode(message_line(text, {"error": text, "exit_code": code}) + "\n"))
    os._exit(code)


HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)(_end)  # kept here, since C has no more than a pointer to it


def _truncated() -> str | None:
    """Return the path of a mapped file that is now shorter than its mapping, if there is one."""
    with suppress(OSError), Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        for begin, end, offset, path in (match.groups() for match in map(MAPPING.match, maps) if match):
            pages = -(-_size(path) // os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PAGE_SIZE")
            if int(offset, 16) + int(end, 16) - int(begin, 16) > pages:
                return path
    return None


def _size(path: str) -> int:
    """Return the size of a mapped file; that of a deleted one cannot be asked for, so it is taken to be whole."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 1 << 62

"""The standard streams of a process: messages never end work, and results that are lost are an error.

A stream may be closed, full, or a pipe that nobody reads any more. What goes to standard error, which is progress and messages,
is then dropped; what goes to standard output, which is results, raises.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from cooc_engine.errors import CoocError, in_one_line

__all__ = ["ReaderGone", "guard_streams", "message_line", "messages", "speak_json", "speaks_json"]


@contextmanager
def speak_json(wanted: bool) -> Iterator[None]:
    """Have what goes to standard error be JSON, an object per line, while the block runs; progress unless it has a form."""
    before, _Messages.as_json = _Messages.as_json, wanted
    try:
        yield
    finally:
        _Messages.as_json = before


def speaks_json() -> bool:
    """Tell whether what goes to standard error is to be JSON, in all threads."""
    return _Messages.as_json


def message_line(text: str, record: Mapping[str, Any]) -> str:
    """Return a text as one line for standard error, whatever the names in it contain; or the record, if that is to be JSON."""
    return json.dumps(record) if speaks_json() else "cooc-engine: " + in_one_line(text)


class ReaderGone(CoocError):
    """Whoever read the results has closed the pipe, like `head`: as for any filter, that is no failure."""

    exit_code = 0


class _Messages(io.FileIO):
    """A descriptor on which a write never fails: what cannot be written is dropped."""

    as_json = False

    def write(self, data: Any) -> int:
        """Write bytes, or drop them; returns their number."""
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


class _Results(io.FileIO):
    """A descriptor on which the first write that fails raises; later ones are dropped, since the process is about to end."""

    _lost = False

    def write(self, data: Any) -> int:
        """Write bytes; raises `ReaderGone` for a pipe without a reader and `CoocError` for what else fails."""
        if self._lost:
            return len(data)
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            self._lost = True
            raise ReaderGone("standard output: nobody reads it") from None
        except OSError as error:
            self._lost = True
            what = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise CoocError(f"standard output: {what}; the result could not be printed") from None


def messages(descriptor: int, encoding: str = "utf-8") -> TextIO:
    """Return a text stream on a descriptor that drops what cannot be written."""
    return io.TextIOWrapper(_Messages(descriptor, "w", closefd=False), encoding, "backslashreplace", line_buffering=True)


def guard_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that fail as above; a word that they cannot show is no failure.

    A descriptor that is closed would be given to the next file that is opened, and printing would write into that file: it is
    reserved, so that reading it or writing it fails.
    """
    for descriptor, other_way in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        _reserve(descriptor, other_way)
    results = io.BufferedWriter(_Results(1, "w", closefd=False))
    shown = sys.stdout.isatty() if sys.stdout else False
    sys.stdout = io.TextIOWrapper(results, _encoding(sys.stdout), "backslashreplace", line_buffering=shown)
    sys.stderr = messages(2, _encoding(sys.stderr))


def _reserve(descriptor: int, mode: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        nothing = os.open(os.devnull, mode)
        if nothing != descriptor:
            os.dup2(nothing, descriptor)
            os.close(nothing)
        os.set_inheritable(descriptor, True)


def _encoding(stream: TextIO | None) -> str:
    return stream.encoding if stream else "utf-8"

"""A standard input whose writer writes a piece at a time."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace


class Pieces(io.RawIOBase):
    """A stream of pieces, each of which is read by itself.

    taken   how many were asked for so far
    asking  is called before each
    """

    def __init__(self, pieces: tuple[bytes, ...], asking: Callable[[], None]) -> None:
        self.taken, self.asking, self._pieces = 0, asking, pieces

    def readable(self) -> bool:
        return True

    def readinto(self, target) -> int:
        self.asking()
        found = self._pieces[self.taken] if self.taken < len(self._pieces) else b""
        self.taken += 1
        target[: len(found)] = found
        return len(found)


def given_stdin(monkeypatch, *pieces: bytes, asking: Callable[[], None] = lambda: None) -> Pieces:
    """Have the standard input return these pieces, one at a time."""
    stream = Pieces(pieces, asking)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(stream)))
    return stream

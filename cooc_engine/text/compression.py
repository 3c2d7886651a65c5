"""Files, plain or compressed, as the bytes that they hold: gz, bz2, xz and zst are recognised by their first bytes.

A decompressor raises nearly anything on a damaged file: `OSError`, `EOFError`, `zlib.error`, `LZMAError`, `ZstdError`,
`IsalError`. A reader sees none of them: whatever fails while a file is opened or read becomes an `InputError` of one line
that names the file.
"""

from __future__ import annotations

import io
import re
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from lzma import FORMAT_XZ, LZMADecompressor
from pathlib import Path
from typing import Any, BinaryIO

from cooc_engine.errors import CoocError, InputError

__all__ = ["SUFFIXES", "Decompressed", "beginning", "opened"]

MAGIC = {rb"\x1f\x8b": "gz", rb"BZh[1-9]": "bz2", rb"\xfd7zXZ\x00": "xz", rb"\x28\xb5\x2f\xfd": "zst"}
SUFFIXES = frozenset(f".{kind}" for kind in MAGIC.values())
BUFFER = 1 << 17
CHUNK = 1 << 16  # compressed bytes that a decompressor takes at a time


class Decompressed(io.RawIOBase):
    """The decompressed bytes of a file, or of a stream that is read in its place and stays open.

    Raises `InputError` for a file that is missing, cannot be read, or is not one whole compressed file to its end.
    """

    def __init__(self, path: Path, instead: BinaryIO | None = None) -> None:
        self.name, self.compressed = str(path), False
        self._file: Any = instead
        self._owned = instead is None
        with self._reading():
            self._file = self._file or path.open("rb", BUFFER)
            kind = _kind(self._file.peek(6))
        self.compressed = kind is not None
        self._stream = _decompressor(self._file, kind) if kind is not None else self._file

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what goes wrong when the file is read into one line; nothing that writes may stand in such a block."""
        try:
            yield
        except (CoocError, MemoryError):
            raise
        except FileNotFoundError:
            raise InputError(f"{self.name}: no such file") from None
        except Exception as error:
            if isinstance(error, OSError) and (error.errno is not None or not self.compressed):
                raise InputError(f"{self.name}: cannot be read ({error.strerror or error})") from None
            if not self.compressed:
                raise
            detail = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self.name}: damaged or truncated compressed file ({detail})") from None

    @property
    def taken(self) -> int:
        """How many bytes were taken from the disk; 0 for what cannot be sought."""
        return int(self._file.tell()) if self._file.seekable() else 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Tell whether `seek` is possible; what is compressed is read again from the start to go back."""
        return bool(self._file.seekable())

    def readinto(self, target: Any) -> int:
        """Fill `target` with decompressed bytes; returns how many, 0 at the end."""
        with self._reading():
            return int(self._stream.readinto(target))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a decompressed byte; returns its number."""
        with self._reading():
            return int(self._stream.seek(offset, whence))

    def close(self) -> None:
        """Close the file, but not what is read instead of one."""
        if self._owned and self._file is not None:
            self._file.close()
        super().close()


def _kind(head: bytes) -> str | None:
    return next((kind for magic, kind in MAGIC.items() if re.match(magic, head)), None)


def _decompressor(file: BinaryIO, kind: str) -> Any:
    if kind in _DECOMPRESSORS:
        return _Streams(file, _DECOMPRESSORS[kind])
    from xopen import xopen

    return xopen(file, "rb", threads=0, format=kind)


_DECOMPRESSORS: Mapping[str, Callable[[], Any]] = {"bz2": BZ2Decompressor, "xz": partial(LZMADecompressor, format=FORMAT_XZ)}


class _Streams(io.RawIOBase):
    """The streams of a bz2 or xz file, one after another, with zeros between them as padding.

    `bz2.open` and `lzma.open` take the damaged head of a second stream for the end of the file: the rest, which is most of
    a dump of Wikipedia in many streams, would be lost without a word.
    """

    def __init__(self, file: BinaryIO, new: Callable[[], Any]) -> None:
        self._file, self._new = file, new
        self._stream, self._place = new(), 0

    def readinto(self, target: Any) -> int:
        while True:
            data = self._following() if self._stream.eof else self._file.read(CHUNK) if self._stream.needs_input else b""
            if self._stream.eof:
                return 0
            if self._stream.needs_input and not data:
                raise EOFError("it ends before the end of a stream")
            found = self._stream.decompress(data, len(target))
            if found:
                target[: len(found)] = found
                self._place += len(found)
                return len(found)

    def _following(self) -> bytes:
        """Begin the stream behind the one that has ended, if there is one; returns its first bytes."""
        data = self._stream.unused_data.lstrip(b"\0")
        while not data and (more := self._file.read(CHUNK)):
            data = more.lstrip(b"\0")
        if data:
            self._stream = self._new()
        return bytes(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        scratch = memoryview(bytearray(CHUNK))
        if whence == io.SEEK_END:
            while self.readinto(scratch):
                pass
        target = offset if whence == io.SEEK_SET else self._place + offset
        if target < self._place:
            self._file.seek(0)
            self._stream, self._place = self._new(), 0
        while self._place < target and self.readinto(scratch[: target - self._place]):
            pass
        return self._place


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading from its start, decompressed; raises `InputError` as `Decompressed` does."""
    with Decompressed(path) as raw, io.BufferedReader(raw, BUFFER) as file:
        yield file


def beginning(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, decompressed."""
    with opened(path) as file:
        return file.read(size)

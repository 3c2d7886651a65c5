"""Reading files, plain or compressed: gz, bz2, xz and zst are recognised by their first bytes.

A decompressor may raise nearly anything on a damaged file: `OSError`, `EOFError`, `zlib.error`, `LZMAError`, `ZstdError`,
`IsalError`. Callers see none of them: whatever fails while a file is opened or read becomes a one-line `InputError` that
names the file.
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
from cooc_engine.text.stores import TextPath

__all__ = ["SUFFIXES", "Decompressed", "beginning", "opened", "opened_plain"]

MAGIC = {rb"\x1f\x8b": "gz", rb"BZh[1-9]": "bz2", rb"\xfd7zXZ\x00": "xz", rb"\x28\xb5\x2f\xfd": "zst"}
SUFFIXES = frozenset(f".{kind}" for kind in MAGIC.values())
BUFFER = 1 << 17
LEAST = 6  # bytes of any compressed file; fewer of them could be taken for a word
MOST_MEMORY = 1 << 28  # bytes that a decompressor may ask for: four times what `xz -9` needs
CHUNK = 1 << 16  # compressed bytes that a decompressor takes at a time


class Decompressed(io.RawIOBase):
    """The decompressed bytes of a file, or of a stream `instead` of it, which is left open.

    Of a stream that `comes`, which is not compressed, `readinto` takes the bytes that are there, and waits only for the first.

    Raises `InputError` for a file that is missing, unreadable, damaged or truncated.
    """

    def __init__(self, path: TextPath, instead: BinaryIO | None = None) -> None:
        self.name, self.compressed = str(path), False
        self._file: Any = instead
        self._owned = instead is None
        with self._reading():
            self._file = self._file or path.open("rb", BUFFER)
            head = self._file.peek(LEAST)
            kind = _kind(head)
        self.compressed = kind is not None
        if instead is None and path.suffix in SUFFIXES and 0 < len(head) < LEAST:
            raise InputError(f"{self.name}: truncated compressed file, of {len(head)} bytes")
        self._stream = _decompressor(self._file, kind) if kind is not None else self._file
        self.comes = instead is not None and not self.compressed

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn errors of reading into one-line `InputError`s; the block must not write, or a full disk would become one."""
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
        """Bytes read from the disk so far; 0 if the file is not seekable."""
        return int(self._file.tell()) if self._file.seekable() else 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Tell whether `seek` is possible; going back in a compressed file reads it again from the start."""
        return bool(self._file.seekable())

    def readinto(self, target: Any) -> int:
        """Fill `target` with decompressed bytes and return their number, 0 at the end."""
        with self._reading():
            return self._come(target) if self.comes else int(self._stream.readinto(target))

    def _come(self, target: Any) -> int:
        found = self._stream.read1(len(target))  # `readinto1` would return what was looked at only with what comes next
        target[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset in the decompressed bytes and return it, counted from the start."""
        with self._reading():
            return int(self._stream.seek(offset, whence))

    def close(self) -> None:
        """Close the file, but not a stream that was passed in."""
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


_DECOMPRESSORS: Mapping[str, Callable[[], Any]] = {
    "bz2": BZ2Decompressor,
    "xz": partial(LZMADecompressor, format=FORMAT_XZ, memlimit=MOST_MEMORY),
}


class _Streams(io.RawIOBase):
    """The concatenated streams of a bz2 or xz file; padding zeros between them are skipped.

    `bz2.open` and `lzma.open` take a damaged header of a second stream for the end of the file: the rest, which is most of
    a multistream Wikipedia dump, would be lost silently.
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
        """Begin the next stream, if there is one, and return its first bytes."""
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


@contextmanager
def opened_plain(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is read at many places, which would unpack a compressed one again and again: that is refused."""
    with Decompressed(path) as raw, io.BufferedReader(raw, BUFFER) as file:
        if raw.compressed:
            raise InputError(f"{path}: is compressed, but its format needs random access; decompress it first")
        yield file


def beginning(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, decompressed."""
    with opened(path) as file:
        return file.read(size)

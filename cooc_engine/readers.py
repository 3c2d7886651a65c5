"""Text files, plain or compressed, and Python iterables, as blocks of bytes cut at white space."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.encoding import PADDING
from cooc_engine.errors import InputError

__all__ = ["Block", "document_blocks", "file_blocks", "total_bytes"]

BLOCK_BYTES = 4 << 20
SPACES = (b" ", b"\n", b"\t", b"\r", b"\v", b"\f")
MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}


@dataclass
class Block:
    """A buffer to fill again and again: `text[:size]` ends with white space and has padding behind it."""

    text: npt.NDArray[np.uint8]
    size: int = 0
    source: str = ""
    offset: int = 0  # of the block's first byte in its (decompressed) source
    read: int = 0  # bytes taken from the disk for it, for the progress

    @classmethod
    def empty(cls) -> Block:
        """Return a new buffer."""
        return cls(np.zeros(BLOCK_BYTES + 1 + PADDING, np.uint8))


def total_bytes(paths: Sequence[Path]) -> int | None:
    """Return the size of all files on disk, or None if one is a stream."""
    if any(str(path) == "-" or not path.is_file() for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)


def file_blocks(paths: Sequence[Path], take: Callable[[], Block]) -> Iterator[Block]:
    """Yield the text of all files, each in a block from `take`; `-` is the standard input. The end of a file ends its line.

    Raises `InputError` naming the file for what is missing, unreadable or damaged.
    """
    for path in paths:
        try:
            with _open(path) as (raw, stream):
                yield from _stream_blocks(stream, str(path), take, _meter(raw))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (EOFError, LZMAError, zlib.error) as error:
            raise InputError(f"{path}: damaged or truncated compressed file ({error})") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise InputError(f"{path}: damaged or truncated compressed file ({error})") from None


class _open:  # noqa: N801  a context manager that reads like a function
    """Open a file or the standard input; yields the raw and the decompressed stream."""

    def __init__(self, path: Path) -> None:
        self.raw: BinaryIO = sys.stdin.buffer if str(path) == "-" else path.open("rb")

    def __enter__(self) -> tuple[BinaryIO, BinaryIO]:
        buffered = io.BufferedReader(self.raw, 1 << 20)  # type: ignore[type-var]
        head = buffered.peek(6)
        kind = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
        if kind is None:
            return self.raw, buffered
        from xopen import xopen

        return self.raw, xopen(buffered, "rb", threads=0, format=kind)

    def __exit__(self, *error: object) -> None:
        if self.raw is not sys.stdin.buffer:
            self.raw.close()


def _meter(raw: BinaryIO) -> Callable[[], int]:
    """Return a function that tells how many bytes of `raw` were read since it was last asked."""
    if not raw.seekable():
        return lambda: 0
    last = 0

    def read() -> int:
        nonlocal last
        before, last = last, raw.tell()
        return last - before

    return read


def _stream_blocks(stream: BinaryIO, source: str, take: Callable[[], Block], meter: Callable[[], int]) -> Iterator[Block]:
    """Yield blocks of a stream; what stands behind the last white space of one begins the next."""
    carry, offset, ended = b"", 0, False
    while not ended:
        block = take()
        view = block.text.data
        view[: len(carry)] = carry
        size = len(carry)
        while size < BLOCK_BYTES and (n := stream.readinto(view[size:BLOCK_BYTES])):  # type: ignore[attr-defined]
            size += n
        ended = size < BLOCK_BYTES
        if offset == 0 and bytes(view[:3]) == b"\xef\xbb\xbf":
            view[:3] = b"   "
        cut = _end_line(block.text, size) if ended else _last_space(view[:size], source, offset)
        carry = bytes(view[cut:size])
        block.size, block.source, block.offset, block.read = cut, source, offset, meter()
        offset += cut
        yield block


def _end_line(text: npt.NDArray[np.uint8], size: int) -> int:
    """Close the last line of a source; returns the new size."""
    if size and text[size - 1] != 10:
        text[size] = 10
        return size + 1
    return size


def _last_space(view: memoryview, source: str, offset: int) -> int:
    """Return the position behind the last white space."""
    for tail in (1 << 12, len(view)):
        end = bytes(view[-tail:])
        place = max(map(end.rfind, SPACES))
        if place >= 0:
            return len(view) - len(end) + place + 1
    raise InputError(f"{source}: no white space in {BLOCK_BYTES >> 20} MiB from byte {offset} on; is it text?")


def document_blocks(documents: Iterable[str | Sequence[str]], take: Callable[[], Block]) -> Iterator[Block]:
    """Yield the text of documents, each a string or a sequence of words, one a line; the iterable is run through once."""
    lines = ((" ".join(d if not isinstance(d, str) else d.split()) + "\n").encode() for d in documents)
    return _stream_blocks(io.BufferedReader(_Lines(lines), 1 << 20), "documents", take, lambda: 0)


class _Lines(io.RawIOBase):
    """A stream of the bytes of an iterator."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._rest = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._rest = line
        n = min(len(target), len(self._rest))
        target[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

"""Text files, plain or compressed, and Python iterables, as blocks of bytes cut at white space."""

from __future__ import annotations

import io
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.encoding import PADDING
from cooc_engine.errors import InputError

__all__ = ["Block", "document_blocks", "file_blocks", "total_bytes"]

BLOCK_BYTES = 4 << 20
SPACES = (b" ", b"\n", b"\t", b"\r", b"\v", b"\f")
MAGIC = {rb"\x1f\x8b": "gz", rb"BZh[1-9]": "bz2", rb"\xfd7zXZ\x00": "xz", rb"\x28\xb5\x2f\xfd": "zst"}


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
        with _Source(path) as source:
            yield from _stream_blocks(source, str(path), take, source.advance)


class _Readable(Protocol):
    def readinto(self, target: memoryview, /) -> int: ...


@contextmanager
def _reading(path: object) -> Iterator[None]:
    """Turn what goes wrong when a source is read into one line; nothing that writes may stand in such a block."""
    try:
        yield
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


class _Source:
    """A file or the standard input, decompressed; what goes wrong while it is opened or read becomes an `InputError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Source:
        with _reading(self._path):
            self._raw = self._open()
            self._stream: Any = self._raw
            head = self._raw.peek(6)
            kind = next((kind for magic, kind in MAGIC.items() if re.match(magic, head)), None)
            if kind is not None:
                from xopen import xopen

                self._stream = xopen(self._raw, "rb", threads=0, format=kind)
        self._told = self._raw.tell() if self._raw.seekable() else 0
        return self

    def _open(self) -> Any:
        if str(self._path) != "-":
            return self._path.open("rb", 1 << 20)
        if sys.stdin is None:
            raise InputError("-: the standard input is closed")
        return sys.stdin.buffer

    def __exit__(self, *error: object) -> None:
        if str(self._path) != "-":
            self._raw.close()

    def readinto(self, target: memoryview) -> int:
        """Fill `target` with decompressed bytes; returns how many, 0 at the end."""
        with _reading(self._path):
            n: int = self._stream.readinto(target)
        return n

    def advance(self) -> int:
        """Return how many bytes were taken from the disk since this was last asked."""
        if not self._raw.seekable():
            return 0
        before, self._told = self._told, self._raw.tell()
        return int(self._told - before)


def _stream_blocks(stream: _Readable, source: str, take: Callable[[], Block], advance: Callable[[], int]) -> Iterator[Block]:
    """Yield blocks of a stream; what stands behind the last white space of one begins the next."""
    carry, offset, ended = b"", 0, False
    while not ended:
        block = take()
        view = block.text.data
        view[: len(carry)] = carry
        size = len(carry)
        while size < BLOCK_BYTES and (n := stream.readinto(view[size:BLOCK_BYTES])):
            size += n
        ended = size < BLOCK_BYTES
        if offset == 0 and size >= 3 and bytes(view[:3]) == b"\xef\xbb\xbf":
            view[:3] = b"   "
        cut = _end_line(block.text, size) if ended else _last_space(view[:size], source, offset)
        carry = bytes(view[cut:size])
        block.size, block.source, block.offset, block.read = cut, source, offset, advance()
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
    lines = (_line(number, document) for number, document in enumerate(documents))
    return _stream_blocks(io.BufferedReader(_Lines(lines), 1 << 20), "documents", take, lambda: 0)


def _line(number: int, document: str | Sequence[str]) -> bytes:
    """Return a document as a line of text; a surrogate becomes bytes that the tokeniser refuses."""
    if isinstance(document, str):
        return b" ".join(document.encode(errors="surrogatepass").split()) + b"\n"
    words = " ".join(document).encode(errors="surrogatepass")
    cut = words.split()
    if len(cut) != len(document) or len(b" ".join(cut)) != len(words):
        raise InputError(f"documents: document {number} has a word that is empty or holds white space")
    return words + b"\n"


class _Lines(io.RawIOBase):
    """A stream of the bytes of an iterator."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._rest = lines, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._rest = memoryview(line)
        n = min(len(target), len(self._rest))
        target[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

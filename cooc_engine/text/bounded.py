"""Reading with a bound: no file, and no number in its header, makes the engine take more memory than what it reads for.

A device without end, a compressed file of one endless line, a header that promises more than there is: each ends in a one-line
`InputError` before much is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from cooc_engine.errors import InputError
from cooc_engine.text.compression import opened

__all__ = ["exactly", "lines", "whole"]

PIECE = 1 << 20  # bytes asked for at a time, so that memory is only taken for what is there


def exactly(file: IO[bytes], size: int, where: object) -> bytearray:
    """Return the next `size` bytes of a file; raises `InputError` if there are fewer, and takes no more memory than these."""
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(PIECE, size - len(data)))
        if not piece:
            raise InputError(f"{where}: truncated; its header promises more")
        data += piece
    return data


def lines(file: BinaryIO, longest: int, path: Path, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the text of each line that follows; raises `InputError` at one of more than `longest` bytes."""
    for number in itertools.count(first):
        line = file.readline(longest + 1)
        if len(line) > longest:
            raise InputError(f"{path}:{number}: has more than {longest:,} bytes; is it the right file?")
        if not line:
            return
        yield number, line


def whole(path: Path, most: int) -> bytes:
    """Return the content of a file, decompressed; raises `InputError` if that is more than `most` bytes, or cannot be read."""
    with opened(path) as file:
        data = bytearray()
        while piece := file.read(PIECE):
            data += piece
            if len(data) > most:
                raise InputError(f"{path}: has more than {most:,} bytes; is it the right file?")
    return bytes(data)

"""Memory for one run: aligned arrays, arrays in files without a name, padded rows and their first values.

A nameless file is gone with the last that maps it, whatever ends the program. Its room is reserved when it is made, so that a
full disk is an error then and not a signal at the first write to a page.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.runtime.types import Matrix

__all__ = [
    "Allocate",
    "aligned_zeros",
    "in_memory",
    "map_nameless",
    "map_rows",
    "mapped_zeros",
    "nameless",
    "on_disk",
    "padded",
    "uniform_start",
]

LINE = 64  # bytes of a cache line
Allocate = Callable[[int, npt.DTypeLike], npt.NDArray[Any]]
"""Makes a flat array of a size and a type, with arbitrary values."""


def in_memory(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array that begins at a cache line; its values are arbitrary, and its pages not yet there."""
    return _aligned(np.empty, size, np.dtype(dtype))


def aligned_zeros(rows: int, columns: int) -> Matrix:
    """Return a matrix of zeros that begins at a cache line."""
    return _aligned(np.zeros, rows * columns, np.dtype(np.float32)).reshape(rows, columns)


def _aligned(make: Callable[..., npt.NDArray[np.uint8]], size: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    raw = make(size * kind.itemsize + LINE, np.uint8)
    skip = -raw.ctypes.data % LINE
    return raw[skip : skip + size * kind.itemsize].view(kind)


def nameless(directory: Path | None) -> IO[bytes]:
    """Open a file without a name in a directory, or in that of temporary files if it is None."""
    return tempfile.TemporaryFile(dir=directory)


def map_nameless(directory: Path, size: int) -> mmap.mmap:
    """Map a nameless file of `size` zero bytes, at least one; raises `OSError` if the disk has no room for it."""
    with nameless(directory) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        return mmap.mmap(file.fileno(), size)


def on_disk(directory: Path) -> Allocate:
    """Return a function that makes arrays in nameless files of a directory."""

    def allocate(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        kind = np.dtype(dtype)
        if size == 0:
            return np.empty(0, kind)
        return np.frombuffer(map_nameless(directory, size * kind.itemsize), kind)

    return allocate


def mapped_zeros(directory: Path, rows: int, columns: int) -> Matrix:
    """Return a matrix of zeros in a nameless file of a directory; it begins at a page, and so at a cache line."""
    return on_disk(directory)(rows * columns, np.float32).reshape(rows, columns)


def map_rows(file: IO[bytes], rows: int, columns: int) -> Matrix:
    """Map the first rows of a file of float32 to be read; it may be closed then."""
    if not rows * columns:
        return np.empty((rows, columns), np.float32)
    file.flush()
    data = mmap.mmap(file.fileno(), 4 * rows * columns, access=mmap.ACCESS_READ)
    return np.frombuffer(data, "<f4").reshape(rows, columns)


def padded(floats: int) -> int:
    """Return the length of a row that holds so many floats and ends with a cache line."""
    lane = LINE // 4
    return -(-floats // lane) * lane


def uniform_start(random: np.random.Generator, shape: tuple[int, int], d: int, start: float = 0.5) -> Matrix:
    """Return values drawn uniformly from −start/d to start/d: the first values of vectors of d components."""
    drawn = random.random(shape, np.float32) - np.float32(0.5)
    values: Matrix = drawn * np.float32(2 * start) / np.float32(d)
    return values

"""Memory for one run: aligned arrays, arrays in unnamed temporary files, padded rows and their initial values.

An unnamed file disappears with its last mapping, however the program ends. Its disk space is reserved when it is made, so
that a full disk is an error at that moment, not a signal at the first write to a page.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from cooc_engine.runtime.types import Matrix

__all__ = [
    "Allocate",
    "aligned_zeros",
    "in_memory",
    "lazy_zeros",
    "map_nameless",
    "map_raw",
    "map_rows",
    "mapped_zeros",
    "nameless",
    "new_raw",
    "on_disk",
    "padded",
    "sphere_start",
    "uniform_start",
]

LINE = 64  # bytes of a cache line
HUGE = 1 << 22  # bytes of an array from which on huge pages are worth while
Allocate = Callable[[int, npt.DTypeLike], npt.NDArray[Any]]
"""Returns an uninitialised flat array of a given size and type."""


def in_memory(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialised array aligned to a cache line; its pages are not yet allocated."""
    return _aligned(np.empty, size, np.dtype(dtype))


def lazy_zeros(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return zeros whose pages are allocated when they are first written, and returned to the system with the array.

    The C library may take an array from freed memory instead, which it must clear, and keep it for itself afterwards. Large
    arrays ask for huge pages, as NumPy's do.
    """
    kind = np.dtype(dtype)
    memory = mmap.mmap(-1, size * kind.itemsize, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if len(memory) >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, kind)


def aligned_zeros(rows: int, columns: int) -> Matrix:
    """Return a matrix of zeros aligned to a cache line."""
    return _aligned(np.zeros, rows * columns, np.dtype(np.float32)).reshape(rows, columns)


def _aligned(make: Callable[..., npt.NDArray[np.uint8]], size: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    raw = make(size * kind.itemsize + LINE, np.uint8)
    skip = -raw.ctypes.data % LINE
    return raw[skip : skip + size * kind.itemsize].view(kind)


def nameless(directory: Path | None) -> IO[bytes]:
    """Open an unnamed file in a directory, by default that of temporary files."""
    return tempfile.TemporaryFile(dir=directory)


def map_nameless(directory: Path, size: int) -> mmap.mmap:
    """Map an unnamed file of `size` > 0 zero bytes; raises `OSError` if the disk has no space for it."""
    with nameless(directory) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        return mmap.mmap(file.fileno(), size)


def on_disk(directory: Path) -> Allocate:
    """Return a function that makes arrays in unnamed files in a directory."""

    def allocate(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        kind = np.dtype(dtype)
        if size == 0:
            return np.empty(0, kind)
        return np.frombuffer(map_nameless(directory, size * kind.itemsize), kind)

    return allocate


def map_raw(path: Path, dtype: npt.DTypeLike, mode: Literal["r", "c"] = "r") -> npt.NDArray[Any]:
    """Map a file of values without a header, read-only, or writable with "c", which leaves the file as it is."""
    return np.memmap(path, dtype, mode).view(np.ndarray) if path.stat().st_size else np.empty(0, dtype)


def new_raw(path: Path, dtype: npt.DTypeLike, size: int) -> npt.NDArray[Any]:
    """Create a file of zeros without a header, and map it; raises `OSError` if the disk has no space for it."""
    kind = np.dtype(dtype)
    with path.open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size * kind.itemsize)
    return np.memmap(path, kind, "r+").view(np.ndarray) if size else np.empty(0, kind)


def mapped_zeros(directory: Path, rows: int, columns: int) -> Matrix:
    """Return a matrix of zeros in an unnamed file in a directory, aligned to a page and so to a cache line."""
    return on_disk(directory)(rows * columns, np.float32).reshape(rows, columns)


def map_rows(file: IO[bytes], rows: int, columns: int) -> Matrix:
    """Map the first rows of a file of float32 values, read-only; the file may then be closed."""
    if not rows * columns:
        return np.empty((rows, columns), np.float32)
    file.flush()
    data = mmap.mmap(file.fileno(), 4 * rows * columns, access=mmap.ACCESS_READ)
    return np.frombuffer(data, "<f4").reshape(rows, columns)


def padded(count: int, size: int = LINE // 4) -> int:
    """Return `count` rounded up to a multiple of `size`, by default the floats of a cache line: the length of a padded row."""
    return -(-count // size) * size


def uniform_start(random: np.random.Generator, shape: tuple[int, int], d: int, start: float = 0.5) -> Matrix:
    """Return initial values of vectors of d components, drawn uniformly from −start/d to start/d."""
    values: Matrix = random.random(shape, np.float32)
    values -= np.float32(0.5)
    values *= np.float32(2 * start)
    values /= np.float32(d)
    return values


def sphere_start(random: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """Return vectors drawn uniformly from the unit sphere, as rows."""
    drawn = random.standard_normal(shape, np.float32)
    values: Matrix = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return values

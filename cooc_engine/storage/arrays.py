"""Array files: a header with a checksum, followed by values that are memory-mapped."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError

__all__ = ["ArrayReader", "ArrayWriter", "is_whole", "load_array", "open_array"]

MAGIC = b"COOC-ARR"
VERSION = 1
HEADER = struct.Struct("<8sI4sQI")  # magic, version, dtype, number of values, CRC-32 of the values
HEADER_BYTES = 64


class ArrayWriter:
    """Writes an array file piece by piece; the header comes last, so a half-written file has none."""

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path, self.dtype = path, np.dtype(dtype).newbyteorder("<")
        self.size = 0
        self._crc = 0
        self._file = path.open("wb", buffering=0)
        self._write(memoryview(bytes(HEADER_BYTES)))

    def append(self, values: npt.NDArray[Any]) -> None:
        """Append values, converted to the file's dtype."""
        data = np.ascontiguousarray(values, self.dtype).data.cast("B") if values.size else memoryview(b"")
        self._crc = zlib.crc32(data, self._crc)
        self._write(data)
        self.size += values.size

    def _write(self, data: memoryview) -> None:
        while data:  # on a disk that is nearly full, a write may be partial
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Write the header, which makes the file complete."""
        fields = HEADER.pack(MAGIC, VERSION, self.dtype.str.encode(), self.size, self._crc)
        with self._file:
            self._file.seek(0)
            self._write(memoryview(fields + struct.pack("<I", zlib.crc32(fields))))

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def _read_header(path: Path, kinds: tuple[npt.DTypeLike, ...]) -> tuple[np.dtype[Any], int, int]:
    """Return dtype, number of values and checksum, after every check that does not read the values."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise FormatError(f"{path}: missing; the directory is damaged, build it again") from None
    if len(head) < HEADER_BYTES or not any(head):
        raise FormatError(f"{path}: half-written; build it again")
    magic, version, code, count, crc = HEADER.unpack_from(head)
    if magic != MAGIC:
        raise FormatError(f"{path}: not an array file of cooc-engine")
    if struct.unpack_from("<I", head, HEADER.size)[0] != zlib.crc32(head[: HEADER.size]):
        raise FormatError(f"{path}: damaged header; build it again")
    if version != VERSION:
        raise FormatError(f"{path}: array file version {version}; this program reads version {VERSION}")
    stored = np.dtype(code.rstrip(b"\0").decode())
    wanted = [np.dtype(kind).newbyteorder("<") for kind in kinds]
    if stored not in wanted:
        raise FormatError(f"{path}: holds {stored}, expected {' or '.join(map(str, wanted))}")
    if size != HEADER_BYTES + count * stored.itemsize:
        raise FormatError(f"{path}: {size} bytes, its header promises {HEADER_BYTES + count * stored.itemsize}; truncated")
    return stored, count, crc


def open_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the values of an array file, mapped read-only; header and size are checked, the values are not."""
    stored, count, _ = _read_header(path, (dtype,))
    if count == 0:
        return np.empty(0, stored)
    return np.memmap(path, stored, "r", HEADER_BYTES, (count,)).view(np.ndarray)


def is_whole(path: Path, dtype: npt.DTypeLike) -> bool:
    """Tell whether an array file is complete: its header is valid and its size is right."""
    try:
        _read_header(path, (dtype,))
    except FormatError:
        return False
    return True


def load_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the values of an array file, mapped, after verifying their checksum."""
    values = open_array(path, dtype)
    if zlib.crc32(values.data) != _read_header(path, (dtype,))[2]:
        raise FormatError(f"{path}: damaged (checksum differs); build it again")
    return values


class ArrayReader:
    """Reads slices of an array file into memory; the file is open only while a slice is read.

    `dtype` is the expected type, or a tuple of accepted ones. A merge holds three readers per run, of possibly thousands of
    runs: the readers of one directory share its path, so each takes about 200 bytes, however long the path is.
    """

    __slots__ = "_crc", "_directory", "_name", "dtype", "size"

    def __init__(self, path: Path, dtype: npt.DTypeLike | tuple[npt.DTypeLike, ...]) -> None:
        kinds = dtype if isinstance(dtype, tuple) else (dtype,)
        self._directory, self._name = sys.intern(str(path.parent)), path.name
        self.dtype, self.size, self._crc = _read_header(path, kinds)

    @property
    def path(self) -> str:
        """Path of the file."""
        return os.path.join(self._directory, self._name)  # noqa: PTH118 -- a Path would keep its parsed parts in memory

    def read(self, begin: int, end: int) -> npt.NDArray[Any]:
        """Return values begin:end."""
        return np.fromfile(self.path, self.dtype, end - begin, offset=HEADER_BYTES + begin * self.dtype.itemsize)

    def verify(self, chunk: int = 1 << 16) -> None:
        """Raise `FormatError` if the values do not match their checksum."""
        crc = 0
        for begin in range(0, self.size, chunk):
            crc = zlib.crc32(self.read(begin, min(self.size, begin + chunk)).data, crc)
        if crc != self._crc:
            raise FormatError(f"{self.path}: damaged (checksum differs); build it again")

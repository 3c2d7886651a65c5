"""Array files: a header with a checksum, followed by values that are memory-mapped."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError, InputError
from cooc_engine.storage.checksums import crc32, crc32_of
from cooc_engine.storage.inputs import refuse_streams
from cooc_engine.storage.relations import check_within
from cooc_engine.storage.schema import Crc, Natural, Relation

__all__ = [
    "BINDS",
    "HEADER_BYTES",
    "ArrayFiles",
    "ArrayReader",
    "ArrayWriter",
    "Bound",
    "BoundFiles",
    "bound_files",
    "is_whole",
    "load_array",
    "open_array",
    "torn",
]

MAGIC = b"COOC-ARR"
VERSION = 1
HEADER = struct.Struct("<8sI4sQI")  # magic, version, dtype, number of values, CRC-32 of the values
HEADER_BYTES = 64
KINDS = (np.uint8, np.int32, np.int64, np.uint32, np.uint64)  # types of the values of any file


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
        self._crc = crc32(data, self._crc)
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
            self._write(memoryview(fields + struct.pack("<I", crc32(fields))))

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


class Bound(NamedTuple):
    """Size and checksum of a file, which a manifest records to tell the file from that of another directory."""

    bytes: Natural
    crc: Crc

    @classmethod
    def of(cls, path: Path) -> Bound:
        """Return size and checksum of all of a raw file."""
        size = path.stat().st_size
        return cls(size, crc32_of(path, size))


def torn(path: Path) -> FormatError:
    """Return the error for a file that differs from the record of an interrupted run."""
    return FormatError(f"{path}: is not what the interrupted run left; pass --force to start anew")


class BoundFiles(TypedDict, total=False):
    """The part of a manifest that binds files, by name; version 1 of corpora and counts has none."""

    files: dict[str, Bound]


BINDS = Relation("files", "there, from version 2 on", lambda manifest: manifest["version"] == 1 or "files" in manifest)


@dataclass(frozen=True)
class _Header:
    """The header of an array file: type and number of the values, and their checksum."""

    dtype: np.dtype[Any]
    count: int
    crc: int

    @property
    def bound(self) -> Bound:
        """The size of the whole file and the checksum of its values, for a manifest."""
        return Bound(HEADER_BYTES + self.count * self.dtype.itemsize, self.crc)

    @classmethod
    def read(cls, path: Path, kinds: tuple[npt.DTypeLike, ...]) -> _Header:
        """Read a header whose values are of one of these types, after every check that does not read the values."""
        head, size = _head_of(path)
        if len(head) < HEADER_BYTES or not any(head):
            raise FormatError(f"{path}: half-written; build it again")
        magic, version, code, count, crc = HEADER.unpack_from(head)
        if magic != MAGIC:
            raise FormatError(f"{path}: not an array file of cooc-engine")
        if struct.unpack_from("<I", head, HEADER.size)[0] != crc32(head[: HEADER.size]) or any(head[HEADER.size + 4 :]):
            raise FormatError(f"{path}: damaged header; build it again")
        if version != VERSION:
            raise FormatError(f"{path}: array file version {version}; this program reads version {VERSION}")
        wanted, name = [np.dtype(kind).newbyteorder("<").str for kind in kinds], code.rstrip(b"\0").decode(errors="replace")
        if name not in wanted:
            raise FormatError(f"{path}: holds values of type {name!r}, expected {' or '.join(wanted)}")
        found = cls(np.dtype(name), count, crc)
        if size != found.bound.bytes:
            raise FormatError(f"{path}: {size} bytes, its header promises {found.bound.bytes}; truncated")
        return found


def _head_of(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of a file, and its size."""
    refuse_streams(path)
    try:
        with path.open("rb") as file:
            return file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise FormatError(f"{path}: missing; the directory is damaged, build it again") from None
    except IsADirectoryError:
        raise FormatError(f"{path}: is a directory, expected an array file") from None
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def bound_files(directory: Path, kinds: Mapping[str, npt.DTypeLike]) -> dict[str, Bound]:
    """Return what a manifest records of files, given the type of the values of each; raises `FormatError` for another."""
    return {name: _Header.read(directory / name, (kind,)).bound for name, kind in kinds.items()}


def open_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the values of an array file, mapped read-only; header and size are checked, the values are not."""
    return _mapped(path, _Header.read(path, (dtype,)))


def _mapped(path: Path, header: _Header) -> npt.NDArray[Any]:
    if header.count == 0:
        return np.empty(0, header.dtype)
    return np.memmap(path, header.dtype, "r", HEADER_BYTES, (header.count,)).view(np.ndarray)


def is_whole(path: Path, dtype: npt.DTypeLike | tuple[npt.DTypeLike, ...]) -> bool:
    """Tell whether an array file that an interrupted run left is complete and undamaged; reads it, if it is there."""
    try:
        ArrayReader(path, dtype).verify()
    except FormatError:
        return False
    return True


def load_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the values of an array file, mapped, after verifying their checksum."""
    header = _Header.read(path, (dtype,))
    values = _mapped(path, header)
    if crc32(values.data) != header.crc:
        raise FormatError(f"{path}: damaged (checksum differs); build it again")
    return values


@dataclass(frozen=True)
class ArrayFiles:
    """The array files of a directory; each must be the one that its manifest names, if `bound` says so.

    bound   size and checksum of each file by name; None in a directory of a version whose manifest does not record them
    """

    directory: Path
    bound: Mapping[str, Bound] | None = None

    def __contains__(self, name: str) -> bool:
        return (self.directory / name).exists() if self.bound is None else name in self.bound

    def path(self, name: str, dtype: npt.DTypeLike) -> Path:
        """Return the path of a file, after comparing it with the manifest; raises `FormatError` if it is another one."""
        path = self.directory / name
        if self.bound is not None and self.bound.get(name) != _Header.read(path, (dtype,)).bound:
            raise FormatError(f"{path}: is not the file that the manifest names; the directory is damaged, build it again")
        return path

    def verify(self) -> None:
        """Compare every file that the manifest names with it; raises `FormatError`, which says how to go on without it."""
        for name, bound in (self.bound or {}).items():
            path = self.directory / name
            if not is_whole(path, KINDS) or ArrayReader(path, KINDS).bound != bound:
                raise torn(path)

    def open(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the values of a file, mapped, without verifying them."""
        return open_array(self.path(name, dtype), dtype)

    def load(self, name: str, dtype: npt.DTypeLike, size: int | None = None) -> npt.NDArray[Any]:
        """Return the values of a file, mapped and verified; raises `FormatError` if there are not `size` of them."""
        values = load_array(self.path(name, dtype), dtype)
        if size is not None and len(values) != size:
            raise FormatError(f"{self.directory / name}: {len(values)} values where there must be {size}; build it again")
        return values

    def reader(self, name: str, dtype: npt.DTypeLike) -> ArrayReader:
        """Return a reader of slices of a file."""
        return ArrayReader(self.path(name, dtype), dtype)


class ArrayReader:
    """Reads slices of an array file into memory; the file is open only while a slice is read.

    `dtype` is the expected type, or a tuple of accepted ones. A merge holds three readers per run, of possibly thousands of
    runs: the readers of one directory share its path, so each takes about 200 bytes, however long the path is.
    """

    __slots__ = "_crc", "_directory", "_name", "dtype", "size"

    def __init__(self, path: Path, dtype: npt.DTypeLike | tuple[npt.DTypeLike, ...]) -> None:
        kinds = dtype if isinstance(dtype, tuple) else (dtype,)
        self._directory, self._name = sys.intern(str(path.parent)), path.name
        header = _Header.read(path, kinds)
        self.dtype, self.size, self._crc = header.dtype, header.count, header.crc

    @property
    def path(self) -> str:
        """Path of the file."""
        return os.path.join(self._directory, self._name)  # noqa: PTH118 -- a Path would keep its parsed parts in memory

    @property
    def bound(self) -> Bound:
        """The size of the whole file and the checksum of its values, for a manifest."""
        return _Header(self.dtype, self.size, self._crc).bound

    def read(self, begin: int, end: int) -> npt.NDArray[Any]:
        """Return values begin:end."""
        return np.fromfile(self.path, self.dtype, end - begin, offset=HEADER_BYTES + begin * self.dtype.itemsize)

    def verify(self, end: int | None = None, chunk: int = 1 << 16) -> None:
        """Raise `FormatError` if the values do not match their checksum, or if one is not from 0 to below `end`."""
        crc = 0
        for begin in range(0, self.size, chunk):
            values = self.read(begin, min(self.size, begin + chunk))
            if end is not None:
                check_within(values, 0, end, self.path)
            crc = crc32(values.data, crc)
        if crc != self._crc:
            raise FormatError(f"{self.path}: damaged (checksum differs); build it again")

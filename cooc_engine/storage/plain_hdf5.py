"""Plain HDF5 files, as other programs write and read them: datasets of numbers by their paths, without any of our attributes.

Whatever its structure promises, no more is read than the file holds; links, which could lead to another file, are not followed.
A file is written in two steps: first its structure, which reserves the space of all values, and then the values, in plain
writes at their places. So a full disk is an error of a write, and after a writer was killed another can go on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError, InputError
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.checksums import crc32, crc32_ahead
from cooc_engine.storage.hdf5 import (
    BEYOND,
    FLOAT,
    SIGNATURE,
    VERSIONS,
    are_parameters,
    member,
    reading,
    reserve,
    write_values,
    writing,
)
from cooc_engine.storage.inputs import refuse_streams

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Places", "lay_out", "read_plain", "write_plain"]

Shape = tuple[int | None, ...]
FREE = 1 << 24  # bytes of values that may be compressed as far as they can be
MOST_RATIO = 64  # of the size of larger values to their size in the file


def read_plain(path: Path, shapes: Mapping[str, Shape]) -> dict[str, Matrix]:
    """Return datasets of a file by their paths, as float32, after checking their shapes (None: any length).

    Raises `InputError` if the file cannot be read, and `FormatError`, naming the dataset, if one is missing, has another shape,
    or holds anything but finite numbers.
    """
    refuse_streams(path)
    try:
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if head != SIGNATURE:
        raise FormatError(f"{path}: {'not an HDF5 file' if head else 'empty file'}")
    with reading(path), h5py.File(path, "r", locking=False) as structure:
        return {name: _values(_found(structure, name, path), shape, f"{path}: {name}") for name, shape in shapes.items()}


def _found(owner: Any, name: str, path: Path) -> Any:
    """Return the dataset at a path of names."""
    for part in name.split("/"):
        if not isinstance(owner, h5py.Group) or owner.get(part, getlink=True) is None:
            raise FormatError(f"{path}: has no dataset {name}")
        owner = member(owner, part, f"{path}: {name}")
    return owner


def _values(dataset: Any, shape: Shape, where: str) -> Matrix:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.dtype.kind != "f":
        raise FormatError(f"{where} is not a dataset of floating-point numbers")
    if len(dataset.shape) != len(shape) or any(s not in (None, a) for s, a in zip(shape, dataset.shape, strict=True)):
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        raise FormatError(f"{where} has the shape {' x '.join(map(str, dataset.shape))}, expected {wanted}")
    _check_size(dataset, where)
    values: npt.NDArray[Any] = dataset[...]
    with np.errstate(over="ignore"):
        found = values.astype(np.float32, copy=False)
    if not are_parameters(found):
        raise FormatError(f"{where} holds numbers that are not finite, or {BEYOND}")
    return found


def _check_size(dataset: h5py.Dataset, where: str) -> None:
    """Raise `FormatError` unless the values are in the file, so that no more memory is taken than it justifies."""
    size, stored = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if dataset.is_virtual or dataset.external:
        raise FormatError(f"{where} lies in another file")
    if size > (stored if dataset.chunks is None else max(FREE, MOST_RATIO * stored)):
        raise FormatError(f"{where} takes {size:,} bytes, and {stored:,} are in the file; truncated or damaged")
    if dataset.chunks is not None and math.prod(dataset.chunks) * dataset.dtype.itemsize > FREE + size:
        raise FormatError(f"{where} is stored in chunks of {' x '.join(map(str, dataset.chunks))}, larger than itself")


def write_plain(path: Path, arrays: Mapping[str, Matrix]) -> None:
    """Write arrays as float32 datasets under their paths; equal arrays give equal bytes."""
    lay_out(path, ((name, values.shape) for name, values in arrays.items()))
    with Places(path) as places:
        for name, values in arrays.items():
            places.put(name, values)
        places.sync()


def lay_out(path: Path, shapes: Iterable[tuple[str, tuple[int, ...]]], texts: Mapping[str, str] | None = None) -> None:
    """Write the structure of a file: float32 datasets by path and shape, and `texts`, each a dataset of one string."""
    with writing(), h5py.File(path, "w", libver=VERSIONS, locking=False) as file:
        for name, shape in shapes:
            parent, _, leaf = name.rpartition("/")
            reserve(file.require_group(parent) if parent else file, leaf, shape, FLOAT)
        for name, text in (texts or {}).items():
            file.create_dataset(name, (1,), h5py.string_dtype(), data=[text])


class Places:
    """A file made by `lay_out`, to which values are written; the same values may be written several times.

    written  the CRC-32 of all values written, in the order of writing
    """

    def __init__(self, path: Path) -> None:
        self._path, self.written = path, 0
        with reading(path):
            self._structure = h5py.File(path, "r", locking=False)
        self._file = path.open("r+b", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._structure.close()

    def put(self, name: str, values: Matrix) -> None:
        """Write the values of a dataset, by its path; raises `FormatError` if the file has no room for them there."""
        dataset = h5py.h5d.open(self._structure.id, name.encode())
        place = dataset.get_offset()
        if (dataset.shape, dataset.dtype) != (values.shape, FLOAT) or (values.size and place is None):
            raise FormatError(f"{self._path}: {name} does not have the size reserved for it; pass --force to start anew")
        if values.size:
            self._file.seek(place)
            write_values(self._file, values)
            self.written = crc32(np.ascontiguousarray(values, FLOAT).reshape(-1).view(np.uint8).data, self.written)

    def go_on(self, names: Iterable[str]) -> None:
        """Add the values of datasets that an earlier run wrote to the checksum `written`."""
        for begin, end in self._ranges(names):
            self.written = self._checksum(begin, end, self.written)

    def structure(self, names: Iterable[str]) -> int:
        """Return the CRC-32 of the file without the values of these datasets."""
        crc = begin = 0
        for first, last in sorted(self._ranges(names)):
            crc, begin = self._checksum(begin, first, crc), last
        return self._checksum(begin, self._path.stat().st_size, crc)

    def _ranges(self, names: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Yield the byte offsets at which the values of each non-empty dataset begin and end."""
        with reading(self._path):
            for name in names:
                dataset = h5py.h5d.open(self._structure.id, name.encode())
                if (begin := dataset.get_offset()) is not None:
                    yield begin, begin + dataset.get_storage_size()

    def _checksum(self, begin: int, end: int, crc: int) -> int:
        self._file.seek(begin)
        return crc32_ahead(self._file, max(0, end - begin), crc)

    def sync(self) -> None:
        """Wait until all values are on the disk."""
        os.fsync(self._file.fileno())

"""Elements in HDF5. FORMAT.md specifies the layout.

A file consists of elements: groups with a type and a version, holding contiguous datasets with a checksum each. HDF5
keeps the structure (with its own checksums); this module writes and maps the values at the offsets that HDF5 assigns, so
a file opens without its values being read, and a full disk fails in a plain `write`.
"""

from __future__ import annotations

import functools
import math
import mmap
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from cooc_engine.errors import CoocError, DivergenceError, FormatError, InputError
from cooc_engine.storage.checksums import crc32
from cooc_engine.storage.inputs import refuse_streams
from cooc_engine.storage.outputs import disk_errors, writing_file

__all__ = [
    "BEYOND",
    "FLOAT",
    "LARGEST",
    "SIGNATURE",
    "UNWRITTEN",
    "VERSIONS",
    "Dataset",
    "Element",
    "Stream",
    "are_parameters",
    "form_of",
    "member",
    "read_elements",
    "reading",
    "reserve",
    "write_elements",
    "write_values",
    "writing",
]

VERSION = 1
VERSIONS = "v108", "v108"  # of HDF5, the oldest and the newest whose structures a file may use
ALIGNED = {"alignment_threshold": 1, "alignment_interval": 64}  # so that mapped rows suit vector instructions
SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHUNK = 1 << 19  # bytes checked, converted or written at a time, which the cache of a core holds
FLOAT = np.dtype("<f4")
LARGEST = 1e15  # no parameter is beyond it: sums and squares of larger ones could leave the range of float32
BLOCK = 1 << 20  # bytes of rows that have a checksum of their own
BEYOND = f"beyond {LARGEST:g}"
UNWRITTEN = "nothing was written; if it was trained, lower --lr"
MOST_BLOCKS = 1 << 13  # blocks of a dataset: their checksums are an attribute, which holds at most 64 KB


@dataclass(frozen=True)
class Stream:
    """Values to be written that never fit into memory together: each call of `pieces()` yields them again, as flat arrays."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterable[npt.NDArray[Any]]]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


@dataclass(frozen=True)
class Dataset:
    """Values to be written or read, and the CRC-32 of their bytes as `dtype`; a `Stream` can only be written.

    With a `block`, each block of so many rows has a checksum; otherwise there is one of all values. Floating-point values are
    finite, and their absolute values are below `bound`.
    """

    values: Any
    dtype: np.dtype[Any]
    checksums: tuple[int, ...]
    block: int = 0
    mapped: mmap.mmap | None = None
    bound: float = math.inf

    @classmethod
    def of(cls, values: npt.NDArray[Any] | Stream, where: str, dtype: npt.DTypeLike | None = None) -> Dataset:
        """Return a dataset to be written; raises `DivergenceError` if a value is not finite."""
        wanted = np.dtype(values.dtype if dtype is None else dtype).newbyteorder("<")
        crc, sound = _checksum(values, wanted)
        if not sound:
            raise DivergenceError(f"{where} holds values that are not finite; {UNWRITTEN}")
        return cls(values, wanted, (crc,))

    @classmethod
    def of_parameter(cls, values: npt.NDArray[Any], where: str) -> Dataset:
        """Return an array to be written as float32 in blocks; raises `DivergenceError` for a value beyond `LARGEST`."""
        block = rows_of_a_block(values.shape, FLOAT) if values.ndim else 0
        found = [_checksum(part, FLOAT, LARGEST) for part in _parts(values, block)]
        if not all(sound for _, sound in found):
            raise DivergenceError(f"{where} holds values that are not finite, or {BEYOND}; {UNWRITTEN}")
        return cls(values, FLOAT, tuple(crc for crc, _ in found), block)

    @property
    def crc(self) -> int | list[int]:
        """The checksum of the values, or those of their blocks."""
        return [*self.checksums] if self.block else self.checksums[0]

    def write(self, file: BinaryIO) -> None:
        """Write the values at the file's current position."""
        write_values(file, self.values, self.dtype)

    def verify(self, where: str) -> None:
        """Raise `FormatError` if the values do not match their checksums, or are not finite."""
        for number in range(len(self.checksums)):
            self.verify_block(number, where)
        self.release()

    def verify_block(self, number: int, where: str) -> None:
        """Raise `FormatError` if the values of a block do not match its checksum, or are not finite."""
        part = self.values[number * self.block : (number + 1) * self.block] if self.block else self.values
        crc, sound = _checksum(part, self.dtype, self.bound)
        if crc != self.checksums[number]:
            raise FormatError(f"{where} is damaged (checksum differs)")
        if not sound:
            raise FormatError(f"{where} holds numbers that are not finite{'' if self.bound == math.inf else f', or {BEYOND}'}")

    def release(self) -> None:
        """Drop the pages read from the mapped file from this process; they may stay in the system's page cache."""
        if self.mapped:
            self.mapped.madvise(mmap.MADV_DONTNEED)


def write_values(file: BinaryIO, values: npt.NDArray[Any] | Stream, dtype: np.dtype[Any] = FLOAT) -> None:
    """Write values at the position of an unbuffered file."""
    for chunk in _chunks(values, dtype):
        data = chunk.view(np.uint8).data
        while data:
            data = data[file.write(data) :]


def are_parameters(values: npt.NDArray[Any]) -> bool:
    """Tell whether all values can be parameters: as float32 they are finite, and not beyond `LARGEST`."""
    return all(_is_within(chunk, LARGEST) for chunk in _chunks(values, FLOAT))


def rows_of_a_block(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return how many rows of an array have one checksum: 1 MiB of them, or more if that makes too many blocks."""
    rows, size = shape[0], math.prod(shape[1:]) * dtype.itemsize
    return max(1, BLOCK // max(1, size), -(-rows // MOST_BLOCKS))


def _parts(values: npt.NDArray[Any], block: int) -> list[npt.NDArray[Any]]:
    return [values[start : start + block] for start in range(0, len(values), block)] if block else [values]


def _checksum(values: npt.NDArray[Any] | Stream, dtype: np.dtype[Any], bound: float = math.inf) -> tuple[int, bool]:
    """Return the CRC-32 of the bytes of the values as `dtype`, and whether all are between -bound and bound."""
    crc, sound = 0, True
    for chunk in _chunks(values, dtype):
        # The checksum goes first, as it reads memory the fastest; then the chunk is in the cache.
        crc = crc32(chunk.view(np.uint8).data, crc)
        sound = sound and (dtype.kind != "f" or _is_within(chunk, bound))
    return crc, sound


def _is_within(values: npt.NDArray[Any], bound: float) -> bool:
    """Tell whether all values are between -bound and bound; NaN is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = float(values @ values)  # one fast pass, which settles it for all but absurd numbers
    return squares < bound * bound or bool(-bound < values.min() and values.max() < bound)


def _chunks(values: npt.NDArray[Any] | Stream, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the values as flat arrays of `dtype`, about CHUNK bytes each: a matrix of padded rows is never copied whole."""
    if isinstance(values, Stream):
        yield from (chunk for piece in values.pieces() for chunk in _chunks(piece, dtype))
        return
    rows = np.atleast_1d(values)
    step = max(1, CHUNK * len(rows) // max(1, rows.size * dtype.itemsize))
    for start in range(0, len(rows) if rows.size else 0, step):
        with np.errstate(over="ignore"):  # values too large for float32 become infinite, which the caller refuses
            yield np.ascontiguousarray(rows[start : start + step], dtype).reshape(-1)


@dataclass(frozen=True)
class Element:
    """A group of a file: its type and version, its datasets, and its other attributes: strings (`labels`) and integer arrays.

    `where` names the file and the element in messages.
    """

    where: str
    kind: str
    version: int
    datasets: Mapping[str, Dataset]
    labels: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def array(self, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """Return a dataset, mapped, after checking that it exists and has this type and shape (None: any length)."""
        if name not in self.datasets:
            raise FormatError(f"{self.where} has no {name}")
        found = self.datasets[name]
        values: npt.NDArray[Any] = found.values
        actual = values.shape
        if found.dtype != np.dtype(dtype).newbyteorder("<"):
            raise FormatError(f"{self.where}/{name} holds {found.dtype}, expected {np.dtype(dtype)}")
        if len(actual) != len(shape) or any(s is not None and s != a for s, a in zip(shape, actual, strict=True)):
            wanted = " x ".join("any" if s is None else str(s) for s in shape)
            raise FormatError(f"{self.where}/{name} has the shape {' x '.join(map(str, actual))}, expected {wanted}")
        return values

    def verify(self) -> None:
        """Raise `FormatError` if any dataset does not match its checksum."""
        for name, dataset in self.datasets.items():
            dataset.verify(f"{self.where}/{name}")

    def release(self) -> None:
        """Drop the pages of all datasets from this process."""
        for dataset in self.datasets.values():
            dataset.release()


# ---------------------------------------------------------------------------------------------------------- writing


def write_elements(path: Path, form: str, elements: Mapping[str, Element], *, force: bool = True) -> None:
    """Write a file under a temporary name and rename it; on any error nothing is left behind. Raises as `writing_file` does."""
    with disk_errors(path), writing_file(path, force=force) as work:
        places = _write_structure(work, form, elements)
        with work.open("r+b", buffering=0) as file:
            for (element, name), place in places.items():
                file.seek(place)
                elements[element].datasets[name].write(file)
            os.fsync(file.fileno())
        with writing(), h5py.File(work, "r+", libver=VERSIONS, locking=False) as whole:
            whole.attrs.modify("complete", np.uint8(1))
        work.replace(path)


def _write_structure(work: Path, form: str, elements: Mapping[str, Element]) -> dict[tuple[str, str], int]:
    """Write everything but the values; return the byte offset of each dataset's values.

    The file format of HDF5 1.8 has checksums over all of its structure and is read by every later version.
    """
    places = {}
    with writing(), h5py.File(work, "w", libver=VERSIONS, locking=False, **ALIGNED) as file:
        file.attrs["format"] = np.bytes_(form)
        file.attrs["format-version"] = np.uint32(VERSION)
        file.attrs["complete"] = np.uint8(0)
        for name, element in sorted(elements.items()):
            group = file.create_group(name)
            group.attrs["element-type"] = np.bytes_(element.kind)
            group.attrs["element-version"] = np.uint32(element.version)
            for label, text in sorted(element.labels.items()):
                group.attrs[label] = np.bytes_(text)
            for label, numbers in sorted(element.numbers.items()):
                group.attrs[label] = np.array(numbers, np.int64)
            for key, dataset in sorted(element.datasets.items()):
                place = _create_dataset(group, key, dataset)
                if place is not None:
                    places[name, key] = place
    return places


def _create_dataset(group: h5py.Group, name: str, dataset: Dataset) -> int | None:
    """Reserve space for a dataset without writing values; return its offset in the file, None if it is empty."""
    created = reserve(group, name, dataset.values.shape, dataset.dtype)
    created.attrs["crc-32"] = np.asarray(dataset.crc, np.uint32)
    if dataset.block:
        created.attrs["block"] = np.uint64(dataset.block)
    place: int | None = created.id.get_offset()
    return place


def reserve(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> h5py.Dataset:
    """Create a contiguous dataset with space in the file, and write no values to it."""
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(dtype, logical=True)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, _contiguous()))


@functools.cache
def _contiguous() -> Any:
    """Return the properties of a dataset whose space is reserved at once, and not filled."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    return properties


@contextmanager
def writing() -> Iterator[None]:
    """Turn HDF5's errors into `OSError` with the errno that they mention, so that a full disk is recognised."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


# ---------------------------------------------------------------------------------------------------------- reading


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever h5py raises on a damaged file, which may be nearly anything, into a one-line `FormatError`."""
    try:
        yield
    except CoocError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split())
        reason = "truncated" if "truncated" in detail else f"damaged HDF5 structure: {detail[:200]}"
        raise FormatError(f"{path}: {reason}") from None


def form_of(path: Path) -> str:
    """Return the `format` attribute of an HDF5 file, or "" if it has none or is not one.

    Raises `FormatError` if it is damaged, and `InputError` if it cannot be read, as `refuse_streams` does too.
    """
    refuse_streams(path)
    try:
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except OSError:
        return ""
    if head != SIGNATURE:
        return ""
    with reading(path), h5py.File(path, "r", locking=False) as structure:
        return _label(structure, "format", f"{path}") if "format" in structure.attrs else ""


def read_elements(path: Path, form: str, known: Collection[tuple[str, int]]) -> dict[str, Element]:
    """Return the elements of a file, their values mapped but not read; `known` are the accepted types and versions."""
    refuse_streams(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with file, reading(path):
        head = file.read(len(SIGNATURE))
        if head != SIGNATURE:
            raise FormatError(f"{path}: {'not an HDF5 file' if head else 'empty file'}, expected a {form}")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with h5py.File(path, "r", locking=False) as structure:
            _check_root(path, structure, form)
            elements = {name: _read_element(path, name, structure, mapped, known) for name in structure}
        if not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise FormatError(f"{path}: was replaced while it was opened; try again")
    return elements


def _check_root(path: Path, file: h5py.File, form: str) -> None:
    if "format" not in file.attrs:
        raise FormatError(f"{path}: an HDF5 file, but not of cooc-engine (expected a {form})")
    found = _label(file, "format", f"{path}")
    if found != form:
        raise FormatError(f"{path}: is a {found}, expected a {form}")
    version = _number(file, "format-version", f"{path}")
    if version != VERSION:
        raise FormatError(f"{path}: {form} version {version}; this program reads version {VERSION}")
    if _number(file, "complete", f"{path}") != 1:
        raise FormatError(f"{path}: half-written; make it again")


def _label(owner: h5py.Group, name: str, where: str) -> str:
    value = owner.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise FormatError(f"{where}: attribute {name} is missing or not a string")
    return value


def _number(owner: h5py.Group | h5py.Dataset, name: str, where: str) -> int:
    value = owner.attrs.get(name)
    if not isinstance(value, np.integer):
        raise FormatError(f"{where}: attribute {name} is missing or not a whole number")
    return int(value)


def member(owner: h5py.Group, name: str, where: str) -> Any:
    """Return a group or dataset; a link, which could lead to another file, is not followed."""
    if not isinstance(owner.get(name, getlink=True), h5py.HardLink):
        raise FormatError(f"{where} is a link")
    try:
        return owner[name]
    except (KeyError, OSError, RuntimeError) as error:
        raise FormatError(f"{where} cannot be opened ({' '.join(str(error).split())})") from None


def _read_element(path: Path, name: str, file: h5py.File, mapped: mmap.mmap, known: Collection[tuple[str, int]]) -> Element:
    where = f"{path}: element {name}"
    group = member(file, name, where)
    if not isinstance(group, h5py.Group):
        raise FormatError(f"{where} is not a group")
    kind, version = _label(group, "element-type", where), _number(group, "element-version", where)
    if (kind, version) not in known:
        versions = ", ".join(str(v) for k, v in known if k == kind)
        hint = f"reads version {versions}" if versions else "does not know it; a newer one may"
        raise FormatError(f"{where} is of type {kind!r} version {version}; this program {hint}")
    numbers = {key: tuple(value.tolist()) for key, value in group.attrs.items() if _are_numbers(value)}
    labels = {key: _label(group, key, where) for key in group.attrs if key not in numbers and not key.startswith("element-")}
    datasets = {key: _map_dataset(f"{where}/{key}", member(group, key, f"{where}/{key}"), mapped) for key in group}
    return Element(where, kind, version, datasets, labels, numbers)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "i"


def _map_dataset(where: str, dataset: Any, mapped: mmap.mmap) -> Dataset:
    """Return a dataset whose values are an array over the mapped file."""
    if not isinstance(dataset, h5py.Dataset):
        raise FormatError(f"{where} is not a dataset")
    dtype, shape = dataset.dtype, dataset.shape
    if shape is None or dtype.hasobject:
        raise FormatError(f"{where} holds no plain values")
    checksums, block = _read_checksums(dataset, where)
    count = math.prod(shape)
    if count == 0:
        return Dataset(np.empty(shape, dtype), dtype, checksums, block)
    place = dataset.id.get_offset()
    if place is None or dataset.chunks is not None:
        raise FormatError(f"{where} is not contiguous and uncompressed; another program rewrote the file")
    if place + count * dtype.itemsize > len(mapped):
        raise FormatError(f"{where} lies beyond the end of the file; truncated")
    return Dataset(np.frombuffer(mapped, dtype, count, place).reshape(shape), dtype, checksums, block, mapped)


def _read_checksums(dataset: h5py.Dataset, where: str) -> tuple[tuple[int, ...], int]:
    """Return the checksums of a dataset, and the rows that each is of, 0 for one of all values."""
    if "block" not in dataset.attrs:
        return (_number(dataset, "crc-32", where),), 0
    block, found = _number(dataset, "block", where), dataset.attrs.get("crc-32")
    fits = isinstance(found, np.ndarray) and found.dtype == np.uint32 and dataset.ndim > 0 and block > 0
    if not fits or found.shape != (-(-len(dataset) // block),):
        raise FormatError(f"{where}: attribute crc-32 does not hold a checksum of each {block} rows")
    return tuple(found.tolist()), min(block, max(1, len(dataset)))

"""Vectors as a NumPy archive (npz)."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from cooc_engine.errors import InputError
from cooc_engine.formats.incoming import CHUNK, Faults, Incoming, check_shapes
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.formats.rounding import Rounded, Values
from cooc_engine.text.bounded import exactly
from cooc_engine.text.compression import opened_plain
from cooc_engine.text.tokenizers import LONGEST_WORD

__all__ = ["read_npz", "write_npz"]
END = struct.Struct("<12xI6x")  # the record at the end of a zip archive; only the size of the list of members is unpacked
LONGEST_COMMENT = 1 << 16  # bytes that may follow this record
LONGEST_DIRECTORY = 1 << 20  # bytes of the list of members, which has some 60 for each array
LONGEST_HEAD = 10_500  # bytes of an array's header; NumPy reads no longer ones
SHOWN = 10  # arrays named in a message
EPOCH = (1980, 1, 1, 0, 0, 0)  # constant time of the zip's members, so that equal content gives equal bytes


def write_npz(file: BinaryIO, outgoing: Outgoing, rounded: Rounded) -> None:
    """Write an npz: `words` (V,) str, `vectors` (V, d); `scales` (V,) for int8, `counts` (V,) if known."""
    size, width = outgoing.shape
    longest = max((len(w.decode()) for a, b in outgoing.starts() for w in outgoing.words(a, b)), default=1)
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "words", np.dtype(f"<U{max(1, longest)}"), (size,), zipfile.ZIP_DEFLATED) as member:
            for start, stop in outgoing.starts():
                for at in range(start, stop, 1 << 12):
                    words = [word.decode() for word in outgoing.words(at, min(at + (1 << 12), stop))]
                    member.write(np.array(words, f"<U{max(1, longest)}").tobytes())
        with _member(archive, "vectors", np.dtype(rounded.stored), (size, width)) as member:
            for start, stop in outgoing.starts():
                member.write(rounded.take(outgoing.rows[start:stop], "the model").data)
        for name, values in _beside(outgoing, rounded).items():
            with _member(archive, name, values.dtype, values.shape) as member:
                member.write(values.data)


@contextmanager
def _member(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], compression: int = zipfile.ZIP_STORED
) -> Iterator[Any]:
    info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    info.compress_type = compression
    with archive.open(info, "w", force_zip64=True) as member:
        head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, head)
        yield member


def _beside(outgoing: Outgoing, rounded: Rounded) -> dict[str, Values]:
    found: dict[str, Values] = {"scales": np.concatenate(rounded.scales)} if rounded.scales else {}
    return found | ({"counts": np.ascontiguousarray(outgoing.vocabulary.counts, "<i8")} if outgoing.counted else {})


def read_npz(path: Path, faults: Faults, incoming: Incoming) -> None:
    """Read an npz with the arrays `words` and `vectors`, or with exactly one array of each kind under any name."""
    try:
        with opened_plain(path) as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                _read_arrays(path, archive, incoming)
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # comes from the disk to which the rows are spooled
        raise InputError(f"{path}: damaged npz ({error})") from None


def _check_directory(file: BinaryIO) -> None:
    """Raise `ValueError` if the list of members is longer than that of any npz, before `zipfile` makes an object of each."""
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - END.size - LONGEST_COMMENT))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if 0 <= place <= len(tail) - END.size and END.unpack_from(tail, place)[0] > LONGEST_DIRECTORY:
        raise ValueError("too many arrays")


class _Array(NamedTuple):
    """An array of an archive: its member, the offset of its values, type and shape; the type is `object` unless these are plain
    values in C order.
    """

    member: zipfile.ZipInfo
    begin: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Array:
        """Read the header of a member; raises `InputError` if it is not an array, or not of the size that its header says."""
        with archive.open(member) as file:
            head = io.BytesIO(file.read(LONGEST_HEAD))
        try:
            shape, fortran, dtype = _read_head(head)
        except Exception as error:  # the header is Python's syntax, and its parser may raise nearly anything
            detail = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: {member.filename} is not a NumPy array ({detail})") from None
        plain = not (fortran and len(shape) > 1) and dtype.itemsize > 0 and min(shape, default=0) >= 0
        promised = head.tell() + math.prod(shape) * dtype.itemsize
        if plain and not dtype.hasobject and promised != member.file_size:
            raise InputError(f"{path}: {member.filename} has {member.file_size:,} bytes; its header promises {promised:,}")
        return cls(member, head.tell(), dtype if plain else np.dtype(object), shape)


def _read_head(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        head: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return head


def _read_arrays(path: Path, archive: zipfile.ZipFile, incoming: Incoming) -> None:
    arrays = {member.filename.removesuffix(".npy"): _Array.of(path, archive, member) for member in archive.infolist()}
    names = _find(path, arrays, "words", lambda array: array.dtype.kind in "US" and len(array.shape) == 1)
    vectors = _find(path, arrays, "vectors", lambda array: array.dtype.kind in "fi" and len(array.shape) == 2)
    beside: dict[str, _Array] = {name: arrays[name] for name in ("scales", "counts") if name in arrays}
    size, width = vectors.shape
    check_shapes(path, vectors, beside)
    if names.shape != (size,):
        raise InputError(f"{path}: {size} vectors, but words has the shape {names.shape[0]}")
    if names.dtype.itemsize > 4 * LONGEST_WORD:
        raise InputError(f"{path}: words holds {names.dtype}; no word has more than {LONGEST_WORD:,} bytes")
    step = max(1, CHUNK // (width * 8 + names.dtype.itemsize))
    with ExitStack() as open_members:
        texts, numbers, *others = (
            open_members.enter_context(_values(path, archive, array)) for array in (names, vectors, *beside.values())
        )
        for start in range(0, size, step):
            some = min(step, size - start)
            words = [w.encode(errors="surrogatepass") if isinstance(w, str) else w for w in texts(some).tolist()]
            extra = {name: read(some) for name, read in zip(beside, others, strict=True)}
            incoming.add_arrays(words, numbers(some * width).reshape(some, width), start, extra)


def _find(path: Path, arrays: Mapping[str, _Array], name: str, suits: Callable[[_Array], bool]) -> _Array:
    """Return the suitable array of this name, or else the only suitable one; raises `InputError` otherwise."""
    found = {key: array for key, array in arrays.items() if suits(array)}
    if name in found or len(found) == 1:
        return found.get(name) or next(iter(found.values()))
    held = ", ".join(f"{key} {array.dtype}{list(array.shape)}" for key, array in list(arrays.items())[:SHOWN]) or "nothing"
    raise InputError(f"{path}: contains no array {name} of plain values; it holds {held}")


@contextmanager
def _values(path: Path, archive: zipfile.ZipFile, array: _Array) -> Iterator[Callable[[int], Values]]:
    """Yield a function that returns the next `count` values of an array."""
    with archive.open(array.member) as file:
        file.seek(array.begin)
        where = f"{path}: {array.member.filename}"
        yield lambda count: np.frombuffer(exactly(file, count * array.dtype.itemsize, where), array.dtype)

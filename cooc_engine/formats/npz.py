"""Vectors as NumPy archives."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cooc_engine.errors import InputError
from cooc_engine.formats.incoming import CHUNK, Faults, Gathered
from cooc_engine.formats.rounding import Rounded, Values
from cooc_engine.formats.vectors_text import Outgoing
from cooc_engine.text.compression import opened

__all__ = ["read_npz", "write_npz"]
EPOCH = (1980, 1, 1, 0, 0, 0)  # time of a zip's members, so that equal content gives equal bytes


# -------------------------------------------------------------------------------------------------------------- npz


def write_npz(file: BinaryIO, outgoing: Outgoing, rounded: Rounded) -> None:
    """Write an npz: `words` (V,) str, `vectors` (V, d); `scales` (V,) for int8, `counts` (V,) if they are known."""
    size, width = outgoing.shape
    longest = max((len(w.decode()) for a, b in outgoing.starts() for w in outgoing.words(a, b)), default=1)
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "words", np.dtype(f"<U{max(1, longest)}"), (size,), zipfile.ZIP_DEFLATED) as member:
            for start, stop in outgoing.starts():
                for at in range(start, stop, 1 << 12):
                    words = [word.decode() for word in outgoing.words(at, min(at + (1 << 12), stop))]
                    member.write(np.array(words, f"<U{max(1, longest)}").tobytes())
        with _member(archive, "vectors", np.dtype(_stored(rounded)), (size, width)) as member:
            for start, stop in outgoing.starts():
                member.write(rounded.take(outgoing.rows[start:stop], "the model").data)
        for name, values in _more(outgoing, rounded).items():
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


def _stored(rounded: Rounded) -> str:
    return {"float32": "<f4", "float16": "<f2", "int8": "|i1"}[rounded.dtype]


def _more(outgoing: Outgoing, rounded: Rounded) -> dict[str, Values]:
    found: dict[str, Values] = {"scales": np.concatenate(rounded.scales)} if rounded.scales else {}
    return found | ({"counts": np.ascontiguousarray(outgoing.vocabulary.counts, "<i8")} if outgoing.counted else {})


def read_npz(path: Path, faults: Faults, gathered: Gathered) -> None:
    """Read an npz with one array of words and one of vectors; whatever they are called, if there is no other like them."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            _read_npz(path, archive, gathered)
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk that the rows are spooled to
        raise InputError(f"{path}: damaged npz ({error})") from None


def _read_npz(path: Path, archive: zipfile.ZipFile, gathered: Gathered) -> None:
    heads = {info.filename.removesuffix(".npy"): _array_head(path, archive, info) for info in archive.infolist()}
    names = _named(path, heads, "words", lambda dtype, shape: dtype.kind in "US" and len(shape) == 1)
    vectors = _named(path, heads, "vectors", lambda dtype, shape: dtype.kind in "fi" and len(shape) == 2)
    size, width = heads[vectors][1]
    step = max(1, CHUNK // (max(1, width) * 8 + heads[names][0].itemsize))
    more: dict[str, Values] = {}
    for key in {"scales", "counts"} & set(heads):
        with archive.open(f"{key}.npy") as member:
            more[key] = np.load(member, allow_pickle=False)
    _check_sizes(path, size, {names: heads[names][1], **{key: values.shape for key, values in more.items()}})
    with _values(archive, names) as texts, _values(archive, vectors) as numbers:
        for start in range(0, size, step):
            some = min(step, size - start)
            words = [w.encode(errors="surrogatepass") if isinstance(w, str) else w for w in texts(some).tolist()]
            _add(gathered, words, numbers(some * width).reshape(some, width), start, more)


def _add(gathered: Gathered, words: list[bytes], stored: Values, start: int, more: Mapping[str, Values]) -> None:
    """Add words and their vectors as they are stored; `more` are scales and counts, where there are any."""
    stop = start + len(words)
    with np.errstate(over="ignore"):
        rows = stored.astype(np.float32)
    if "scales" in more:
        rows *= more["scales"][start:stop, None]
    counts = more["counts"][start:stop].tolist() if "counts" in more else None
    gathered.add(words, rows, range(start + 1, stop + 1), counts)


def _check_sizes(path: Path, size: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if shape != (size,):
            raise InputError(f"{path}: {size} vectors, but {name} has the shape {' x '.join(map(str, shape))}")


def _array_head(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return type and shape of a member, object for what is no array of plain values in C order."""
    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(member)
        except ValueError as error:
            raise InputError(f"{path}: {info.filename} is no array of NumPy ({error})") from None
    return (np.dtype(object) if fortran and len(shape) > 1 else dtype), shape


def _named(path: Path, heads: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], name: str, suits: Any) -> str:
    found = [key for key, head in heads.items() if suits(*head)]
    if name in found or len(found) == 1:
        return name if name in found else found[0]
    held = ", ".join(f"{key} {dtype}{list(shape)}" for key, (dtype, shape) in heads.items()) or "nothing"
    raise InputError(f"{path}: no array {name} of plain values in it; it holds {held}")


@contextmanager
def _values(archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    """Yield a function that returns the next so many values of a member."""
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        dtype = read(member)[2]

        def following(count: int) -> Values:
            data = member.read(count * dtype.itemsize)
            if len(data) < count * dtype.itemsize:
                raise EOFError(f"{name} ends early")
            return np.frombuffer(data, dtype)

        yield following

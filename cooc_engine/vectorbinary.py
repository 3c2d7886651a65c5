"""Vectors in binary files: word2vec's, NumPy's npz, and safetensors. FORMAT.md says what the last two hold.

safetensors is read and written here, in a few lines, since it is a length, a JSON head and raw values: the library of that
name holds a file in memory twice to write it. All are written and read a part at a time.
"""

from __future__ import annotations

import itertools
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import InputError, UsageError
from cooc_engine.gathered import CHUNK, Faults, Gathered, opened
from cooc_engine.vectorlines import Outgoing

__all__ = ["Rounded", "read_npz", "read_safetensors", "read_word2vec", "write_npz", "write_safetensors", "write_word2vec"]

Values = npt.NDArray[Any]
LONGEST = 1 << 16  # bytes of a word or a head in word2vec's file; what is longer shows that it is none
EPOCH = (1980, 1, 1, 0, 0, 0)  # time of a zip's members, so that equal content gives equal bytes
TYPES = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U8": "|u1", "I64": "<i8"}
SMALL = {"text", "offsets", "scales", "counts"}
HEAD = 100_000_000  # bytes of safetensors' head at most, by its specification


# --------------------------------------------------------------------------------------------------------- rounding


@dataclass
class Rounded:
    """Vectors as float32, float16 or int8, and what the rounding did to their directions.

    An int8 vector is multiplied by its scale, the largest of its numbers divided by 127. `mean` and `largest` are of
    1 - cos of each vector and what is read again, over those that are not 0.
    """

    dtype: str
    scales: list[Values] = field(default_factory=list)
    sum: float = 0.0
    largest: float = 0.0
    size: int = 0

    def take(self, rows: npt.NDArray[np.float32], where: str) -> Values:
        """Return rows as they are written; raises `UsageError` if one does not fit into float16."""
        if self.dtype == "float32":
            return np.ascontiguousarray(rows, "<f4")
        if self.dtype == "float16":
            with np.errstate(over="ignore"):
                halves: Values = rows.astype("<f2")
            if not np.isfinite(halves).all():
                raise UsageError(f"{where}: holds numbers above 65504, too large for float16; take --dtype int8 or float32")
            self._compare(rows, halves.astype(np.float32))
            return halves
        scales = np.abs(rows).max(axis=1, initial=0) / np.float32(127)
        parts = np.divide(rows, scales[:, None], out=np.zeros_like(rows), where=scales[:, None] > 0)
        stored: Values = np.rint(parts).astype("|i1")
        self.scales.append(scales.astype("<f4"))
        self._compare(rows, stored * scales[:, None])
        return stored

    def _compare(self, rows: npt.NDArray[np.float32], returned: npt.NDArray[np.float32]) -> None:
        a, b = rows.astype(np.float64), returned.astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
        known = lengths > 0
        errors = np.maximum(1 - np.einsum("ij,ij->i", a, b)[known] / lengths[known], 0)
        self.sum, self.size = self.sum + float(errors.sum()), self.size + int(known.sum())
        self.largest = max(self.largest, float(errors.max(initial=0)))

    @property
    def mean(self) -> float:
        """Mean of 1 - cos."""
        return self.sum / max(1, self.size)


# --------------------------------------------------------------------------------------------------------- word2vec


def write_word2vec(file: BinaryIO, outgoing: Outgoing) -> None:
    """Write word2vec's binary format: a head, then each word, a space, d float32 numbers and a line end."""
    file.write(b"%d %d\n" % outgoing.shape)
    for start, stop in outgoing.starts():
        data, size = np.ascontiguousarray(outgoing.rows[start:stop], "<f4").tobytes(), 4 * outgoing.shape[1]
        for at, word in enumerate(outgoing.words(start, stop)):
            file.write(b"%b %b\n" % (word, data[at * size : (at + 1) * size]))


def read_word2vec(path: Path, faults: Faults, gathered: Gathered) -> None:
    """Read word2vec's binary format, with or without line ends behind the numbers (gensim writes none)."""
    with opened(path) as file:
        fields = file.readline(LONGEST).split()
        if len(fields) != 2 or not all(f.isdigit() and len(f) < 19 for f in fields) or not 0 < int(fields[1]) < 1 << 24:
            faults.fatal(1, "expected a head of two numbers, of words and of columns")
        promised, width = map(int, fields)
        found, data = 0, b""
        while found < promised:
            more = file.read(CHUNK)
            words, rows, used = _cut(data := data + more, width, promised - found)
            if words:
                gathered.add(words, rows, range(found + 1, found + len(words) + 1))
                found, data = found + len(words), data[used:]
            elif not more:
                break
            elif len(data) > LONGEST + 4 * width:
                faults.fatal(f"word {found + 1}", "no end of the word; not a file of word2vec, or its head is wrong")
        rest = len((data or file.read(CHUNK)).strip(b"\n"))
    if found < promised:
        faults.found("head", f"word {found + 1}", f"the head says {promised} words, the file ends after {found}")
    elif rest:
        faults.found("head", f"word {found + 1}", f"the head says {promised} words, and there is more behind them")


def _cut(data: bytes, width: int, most: int) -> tuple[list[bytes], npt.NDArray[np.float32], int]:
    """Return the whole entries at the start of some bytes, at most so many: words, rows (n, d), and how many bytes they are."""
    words: list[bytes] = []
    places, place = [], 0
    while len(words) < most:
        space = data.find(b" ", place, place + LONGEST)
        if space < 0 or space + 1 + 4 * width > len(data):
            break
        words.append(data[place:space].lstrip(b"\n"))
        places.append(space + 1)
        place = space + 1 + 4 * width
    rows = [np.frombuffer(data, "<f4", width, at) for at in places]
    return words, np.stack(rows) if rows else np.empty((0, width), np.float32), place


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
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
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


# ------------------------------------------------------------------------------------------------------ safetensors


def write_safetensors(file: BinaryIO, outgoing: Outgoing, rounded: Rounded) -> None:
    """Write safetensors: `vectors`, the words as `text` and `offsets`; `scales` for int8, `counts` if they are known."""
    (size, width), words = outgoing.shape, outgoing.vocabulary
    kinds = {kind: code for code, kind in TYPES.items()}
    parts: dict[str, tuple[str, Sequence[int]]] = {"offsets": ("I64", [size + 1])}
    if outgoing.counted:
        parts["counts"] = ("I64", [size])
    parts["vectors"] = (kinds[_stored(rounded)], [size, width])
    if rounded.dtype == "int8":
        parts = {**parts, "scales": ("F32", [size])}
    parts["text"] = ("U8", [len(words.text)])
    head: dict[str, Any] = {"__metadata__": {"format": "cooc-engine vectors", "text": "utf-8"}}
    place = 0
    for name in sorted(parts, key=_width_of(parts), reverse=True):  # wide values first, so that all are aligned
        code, shape = parts[name]
        size_in_bytes = int(np.prod(shape, dtype=object)) * np.dtype(TYPES[code]).itemsize
        head[name] = {"dtype": code, "shape": shape, "data_offsets": [place, place + size_in_bytes]}
        place += size_in_bytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    begin = file.tell()
    for name, values in (("offsets", words.offsets), ("counts", words.counts), ("text", words.text)):
        if name in head:
            file.seek(begin + head[name]["data_offsets"][0])
            file.write(np.ascontiguousarray(values, TYPES[head[name]["dtype"]]).data)
    file.seek(begin + head["vectors"]["data_offsets"][0])
    for start, stop in outgoing.starts():
        file.write(rounded.take(outgoing.rows[start:stop], "the model").data)
    if "scales" in head:
        file.seek(begin + head["scales"]["data_offsets"][0])
        file.write(np.concatenate(rounded.scales).data)


def _width_of(parts: Mapping[str, tuple[str, Sequence[int]]]) -> Any:
    return lambda name: np.dtype(TYPES[parts[name][0]]).itemsize


def read_safetensors(path: Path, faults: Faults, gathered: Gathered) -> None:
    """Read safetensors as `write_safetensors` writes it."""
    with opened(path) as file:
        head, begin = _safetensors_head(path, file)
        missing = [name for name in ("vectors", "text", "offsets") if name not in head]
        if missing:
            held = ", ".join(head) or "nothing"
            raise InputError(f"{path}: no tensor {missing[0]} in it, it holds {held}; words stand in text and offsets")
        size, width = head["vectors"].shape
        small: dict[str, Values] = {key: head[key].read(file, begin) for key in head if key in SMALL}
        text, offsets = small.pop("text"), small.pop("offsets")
        _check_sizes(path, size, {key: values.shape for key, values in small.items()})
        if offsets.shape != (size + 1,) or offsets[0] != 0 or offsets[-1] != len(text) or (np.diff(offsets) < 0).any():
            raise InputError(f"{path}: offsets do not cut text into {size} words")
        step = max(1, CHUNK // (8 * max(1, width)))
        for start in range(0, size, step):
            stop = min(start + step, size)
            ends = offsets[start : stop + 1].tolist()
            words = [text[a:b].tobytes() for a, b in itertools.pairwise(ends)]
            _add(gathered, words, head["vectors"].read(file, begin, start, stop), start, small)


@dataclass(frozen=True)
class _Tensor:
    """A tensor of a file: type, shape and place behind the head."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    place: int

    def read(self, file: BinaryIO, begin: int, start: int = 0, stop: int | None = None) -> Values:
        """Return some of its rows."""
        stop = self.shape[0] if stop is None else stop
        inner = int(np.prod(self.shape[1:], dtype=object))
        size = (stop - start) * inner * self.dtype.itemsize
        file.seek(begin + self.place + start * inner * self.dtype.itemsize)
        data = file.read(size)
        if len(data) < size:
            raise InputError(f"{file.name}: truncated; its head promises more")
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])


def _safetensors_head(path: Path, file: BinaryIO) -> tuple[dict[str, _Tensor], int]:
    """Return the tensors of types that we know, and where their values begin."""
    try:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > HEAD:
            raise ValueError(f"a head of {size} bytes")
        found = json.loads(file.read(size))
        found.pop("__metadata__", None)
        tensors = {
            name: _Tensor(np.dtype(TYPES[one["dtype"]]), tuple(map(int, one["shape"])), int(one["data_offsets"][0]))
            for name, one in found.items()
            if one["dtype"] in TYPES
        }
        if any(min(one.shape, default=1) < 0 or one.place < 0 for one in tensors.values()):
            raise ValueError("a size below 0")
        if "vectors" in tensors and len(tensors["vectors"].shape) != 2:
            raise ValueError("vectors is no matrix")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: no sound head of safetensors ({error})") from None
    return tensors, 8 + size

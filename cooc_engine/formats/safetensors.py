"""Vectors as safetensors files."""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cooc_engine.errors import InputError
from cooc_engine.formats.incoming import CHUNK, Faults, Incoming, check_shapes
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.formats.rounding import Rounded, Values
from cooc_engine.storage.schema import read_json
from cooc_engine.text.bounded import exactly
from cooc_engine.text.compression import opened_plain

__all__ = ["read_safetensors", "write_safetensors"]
TYPES = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U8": "|u1", "I64": "<i8"}
BESIDE = ("scales", "counts")  # may be there, a number for each vector
HEAD = 100_000_000  # the largest header in bytes, by the specification of safetensors
LONGEST_HEAD = 1 << 20  # bytes of a header that are read: some thousands of tensors, where vectors have three to five
SHOWN = 10  # tensors named in a message


def write_safetensors(file: BinaryIO, outgoing: Outgoing, rounded: Rounded) -> None:
    """Write safetensors: `vectors`, the words as `text` and `offsets`; `scales` for int8, `counts` if known."""
    words, head = outgoing.vocabulary, _lay_out(outgoing, rounded)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    begin = file.tell()

    def write(name: str, parts: Iterable[Values]) -> None:
        file.seek(begin + head[name]["data_offsets"][0])
        for values in parts:
            file.write(np.ascontiguousarray(values, TYPES[head[name]["dtype"]]).data)

    for name, values in (("offsets", words.offsets), ("counts", words.counts), ("text", words.text)):
        if name in head:
            write(name, [values])
    write("vectors", (rounded.take(outgoing.rows[start:stop], "the model") for start, stop in outgoing.starts()))
    if "scales" in head:
        write("scales", rounded.scales)  # only known once the vectors are rounded


def _lay_out(outgoing: Outgoing, rounded: Rounded) -> dict[str, Any]:
    """Return the header: type, shape and position of each tensor."""
    size, width = outgoing.shape
    codes = {kind: code for code, kind in TYPES.items()}
    parts: dict[str, tuple[str, list[int]]] = {"offsets": ("I64", [size + 1])}
    if outgoing.counted:
        parts["counts"] = ("I64", [size])
    parts["vectors"] = codes[rounded.stored], [size, width]
    if rounded.dtype == "int8":
        parts["scales"] = "F32", [size]
    parts["text"] = "U8", [len(outgoing.vocabulary.text)]
    head: dict[str, Any] = {"__metadata__": {"format": "cooc-engine vectors", "text": "utf-8"}}
    place = 0
    # The widest types go first, so that all tensors are aligned.
    for name, (code, shape) in sorted(parts.items(), key=_bytes_of_a_value, reverse=True):
        end = place + math.prod(shape) * np.dtype(TYPES[code]).itemsize
        head[name] = {"dtype": code, "shape": shape, "data_offsets": [place, end]}
        place = end
    return head


def _bytes_of_a_value(part: tuple[str, tuple[str, list[int]]]) -> int:
    return np.dtype(TYPES[part[1][0]]).itemsize


def read_safetensors(path: Path, faults: Faults, incoming: Incoming) -> None:
    """Read a file as `write_safetensors` writes it."""
    with opened_plain(path) as file:
        head = _read_head(path, file)
        missing = [name for name in ("vectors", "text", "offsets") if name not in head]
        if missing:
            held = ", ".join(list(head)[:SHOWN]) or "nothing"
            raise InputError(f"{path}: contains no tensor {missing[0]}, only {held}; words must be in text and offsets")
        vectors = head["vectors"]
        if len(vectors.shape) != 2 or len(head["text"].shape) != 1 or head["offsets"].shape != (vectors.shape[0] + 1,):
            raise InputError(f"{path}: the shapes of vectors, text and offsets do not fit")
        size, width = vectors.shape
        check_shapes(path, vectors, {name: head[name] for name in BESIDE if name in head})
        text, offsets = head["text"].read(file, path), head["offsets"].read(file, path)
        beside = {name: head[name].read(file, path) for name in BESIDE if name in head}
        if offsets[0] != 0 or offsets[-1] != len(text) or (offsets[1:] < offsets[:-1]).any():
            raise InputError(f"{path}: offsets do not cut text into {size} words")
        step = max(1, CHUNK // (8 * width))
        for start in range(0, size, step):
            stop = min(start + step, size)
            ends = offsets[start : stop + 1].tolist()
            words = [text[a:b].tobytes() for a, b in itertools.pairwise(ends)]
            extra = {name: values[start:stop] for name, values in beside.items()}
            incoming.add_arrays(words, vectors.read(file, path, start, stop), start, extra)
        file.seek(0, os.SEEK_END)  # reading a compressed file to its end verifies its checksum


@dataclass(frozen=True)
class _Tensor:
    """A tensor of a file: type, shape and position in the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    place: int

    @classmethod
    def of(cls, described: Mapping[str, Any], begin: int, end: int) -> _Tensor:
        """Return the tensor that a header describes; raises `ValueError` if its values are not between `begin` and `end`."""
        shape, (start, stop) = described["shape"], described["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
            raise ValueError("a size is not a whole number from 0 on")
        dtype = np.dtype(TYPES[described["dtype"]])
        if stop - start != math.prod(shape) * dtype.itemsize or begin + stop > end:
            raise ValueError("a tensor has another size than its values, or lies beyond the end of the file")
        return cls(dtype, tuple(shape), begin + start)

    def read(self, file: BinaryIO, path: Path, start: int = 0, stop: int | None = None) -> Values:
        """Return rows start:stop, by default all."""
        stop = self.shape[0] if stop is None else stop
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        file.seek(self.place + start * row)
        data = exactly(file, (stop - start) * row, path)
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])


def _read_head(path: Path, file: BinaryIO) -> dict[str, _Tensor]:
    """Return the tensors of the supported types."""
    try:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > LONGEST_HEAD:
            raise ValueError(f"it has {size:,} bytes, and {LONGEST_HEAD:,} are read at most")
        found = read_json(bytes(exactly(file, size, path)), dict[str, Any], f"{path}: damaged safetensors header")
        end = file.seek(0, os.SEEK_END)
        found.pop("__metadata__", None)
        return {name: _Tensor.of(one, 8 + size, end) for name, one in found.items() if one["dtype"] in TYPES}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: damaged safetensors header ({error})") from None

"""Vectors as safetensors files."""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cooc_engine.errors import InputError
from cooc_engine.formats.incoming import CHUNK, Faults, Incoming, check_shape
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.formats.rounding import Rounded, Values
from cooc_engine.text.compression import opened

__all__ = ["read_safetensors", "write_safetensors"]
TYPES = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U8": "|u1", "I64": "<i8"}
SMALL = {"text", "offsets", "scales", "counts"}
HEAD = 100_000_000  # the largest header in bytes, by the specification of safetensors


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
    with opened(path) as file:
        head, begin = _safetensors_head(path, file)
        missing = [name for name in ("vectors", "text", "offsets") if name not in head]
        if missing:
            held = ", ".join(head) or "nothing"
            raise InputError(f"{path}: contains no tensor {missing[0]}, only {held}; words must be in text and offsets")
        size, width = head["vectors"].shape
        small: dict[str, Values] = {key: head[key].read(file, begin) for key in head if key in SMALL}
        text, offsets = small.pop("text"), small.pop("offsets")
        for key, values in small.items():
            check_shape(path, key, values, size)
        if offsets.shape != (size + 1,) or offsets[0] != 0 or offsets[-1] != len(text) or (np.diff(offsets) < 0).any():
            raise InputError(f"{path}: offsets do not cut text into {size} words")
        step = max(1, CHUNK // (8 * max(1, width)))
        for start in range(0, size, step):
            stop = min(start + step, size)
            ends = offsets[start : stop + 1].tolist()
            words = [text[a:b].tobytes() for a, b in itertools.pairwise(ends)]
            incoming.add_arrays(words, head["vectors"].read(file, begin, start, stop), start, small)
        file.seek(0, os.SEEK_END)  # reading a compressed file to its end verifies its checksum


@dataclass(frozen=True)
class _Tensor:
    """A tensor of a file: type, shape and position after the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    place: int

    def read(self, file: BinaryIO, begin: int, start: int = 0, stop: int | None = None) -> Values:
        """Return rows start:stop, by default all."""
        stop = self.shape[0] if stop is None else stop
        inner = math.prod(self.shape[1:])
        size = (stop - start) * inner * self.dtype.itemsize
        file.seek(begin + self.place + start * inner * self.dtype.itemsize)
        data = file.read(size)
        if len(data) < size:
            raise InputError(f"{file.name}: truncated; its header promises more")
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])


def _safetensors_head(path: Path, file: BinaryIO) -> tuple[dict[str, _Tensor], int]:
    """Return the tensors of the supported types, and the offset at which the values begin."""
    try:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > HEAD:
            raise ValueError(f"a header of {size} bytes")
        found = json.loads(file.read(size))
        found.pop("__metadata__", None)
        tensors = {
            name: _Tensor(np.dtype(TYPES[one["dtype"]]), tuple(map(int, one["shape"])), int(one["data_offsets"][0]))
            for name, one in found.items()
            if one["dtype"] in TYPES
        }
        if any(min(one.shape, default=1) < 0 or one.place < 0 for one in tensors.values()):
            raise ValueError("a negative size")
        if "vectors" in tensors and len(tensors["vectors"].shape) != 2:
            raise ValueError("vectors is not a matrix")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: damaged safetensors header ({error})") from None
    return tensors, 8 + size

"""Vectors as safetensors files."""

from __future__ import annotations

import itertools
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cooc_engine.errors import InputError
from cooc_engine.formats.incoming import CHUNK, Faults, Gathered
from cooc_engine.formats.npz import _add, _check_sizes, _stored
from cooc_engine.formats.rounding import Rounded, Values
from cooc_engine.formats.vectors_text import Outgoing
from cooc_engine.text.compression import opened

__all__ = ["read_safetensors", "write_safetensors"]
TYPES = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U8": "|u1", "I64": "<i8"}
SMALL = {"text", "offsets", "scales", "counts"}
HEAD = 100_000_000  # bytes of safetensors' head at most, by its specification


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
        file.seek(0, os.SEEK_END)  # the checksum of a compressed file is behind the last tensor


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

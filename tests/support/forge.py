"""Directories changed as an attacker would: values exchanged, and everything that vouches for them made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.storage.arrays import ArrayWriter, Bound, _Header
from cooc_engine.storage.outputs import write_manifest

KINDS = (np.int64, np.int32, np.uint8, np.uint32, np.uint64)


def remake(directory: Path, version: int | None = None, **changed: Any) -> None:
    """Write the manifest anew: other keys, the checksums of the files that are there now; version 1 does not bind them."""
    fields = json.loads((directory / "manifest.json").read_text("utf-8")) | changed
    kind, version = fields.pop("format").removeprefix("cooc-engine "), version or fields["version"]
    for key in ("version", "checksum", "files") if "files" not in changed else ("version", "checksum"):
        fields.pop(key, None)
    if version > 1 and "files" not in changed:
        fields["files"] = {path.name: bound(path) for path in sorted(directory.glob("*.bin"))}
    write_manifest(directory, kind, version, fields)


def bound(path: Path) -> Bound:
    return _Header.read(path, KINDS).bound


def values_of(path: Path) -> npt.NDArray[Any]:
    header = _Header.read(path, KINDS)
    return np.fromfile(path, header.dtype, offset=64)


def put(path: Path, values: npt.NDArray[Any]) -> None:
    """Replace an array file by one with other values and a fitting checksum."""
    with ArrayWriter(path, values.dtype) as file:
        file.append(values)

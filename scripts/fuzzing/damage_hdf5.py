"""Damage to HDF5 files by h5py, which makes the checksums of their structure anew."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from fuzzing.damage import Harm
from fuzzing.edits import TEXTS, change_values, deep, edit, short


def hdf5(at: Path, other: Path, chance: Random) -> Harm:
    """Change a document, an attribute, a dataset or a member."""
    ways = [_document, _document, _attribute, _attribute, _dataset, _member]
    with h5py.File(at, "r+", libver=("v108", "v108")) as file, h5py.File(other, "r") as theirs:
        return chance.choice(ways)(file, theirs, chance)


def hdf5_values(at: Path, other: Path, chance: Random) -> Harm:
    """Change values of a dataset, with its checksum made anew or not."""
    with h5py.File(at, "r+", libver=("v108", "v108")) as file:
        return _values(file, chance)


def _datasets(file: h5py.File) -> list[str]:
    return [f"{group}/{name}" for group in file for name in file[group]]


def _values(file: h5py.File, chance: Random) -> Harm:
    name = chance.choice([name for name in _datasets(file) if not name.endswith("/json")])
    values = file[name][()]
    what = change_values(values, chance) if values.size else "no values"
    file[name][...] = values
    signed = chance.random() < 0.5
    if signed:
        _sign(file[name], values)
    used = name.rpartition("/")[2] in ("words", "contexts", "data")  # by all who read vectors, and not by training alone
    bad = used and values.dtype == np.float32 and not np.isfinite(values).all()
    return Harm(f"{name}: {what}{'' if signed else ', checksum wrong'}", bad or not signed)


def _sign(dataset: h5py.Dataset, values: Any) -> None:
    dataset.attrs.modify("crc-32", np.uint32(zlib.crc32(np.ascontiguousarray(values).tobytes())))


def _put(group: h5py.Group, name: str, values: Any, **how: Any) -> None:
    """Write a dataset in place of one of this name."""
    if name in group:
        del group[name]
    _sign(group.create_dataset(name, data=values, track_times=False, **how), values)


def _document(file: h5py.File, theirs: h5py.File, chance: Random) -> Harm:
    names = [name for name in _datasets(file) if name.endswith("/json")]
    name = chance.choice(names)
    text = file[name][()]
    if chance.random() < 0.1:
        made, what = chance.choice([deep(chance)[:60_000], b"\xff\xfe", b"", b"NaN", b"[1,"]), "is no sound JSON"
    else:
        edited, what = edit(json.loads(text), chance)
        made = json.dumps(edited).encode()
    _put(file[name].parent, "json", np.array(made or b" "))
    return Harm(f"{name}: {what}", False)


def _attribute(file: h5py.File, theirs: h5py.File, chance: Random) -> Harm:
    owner = file[chance.choice(["/", *file, *_datasets(file)])]
    names = sorted(owner.attrs)
    name = chance.choice([*names, "new"])
    if chance.random() < 0.2 and name != "new":
        del owner.attrs[name]
        return Harm(f"{owner.name}: attribute {name} deleted", False)
    value = chance.choice(_attributes())
    if name in owner.attrs:
        del owner.attrs[name]
    owner.attrs[name] = value
    return Harm(f"{owner.name}: attribute {name} is {short(value)}", False)


def _attributes() -> list[Any]:
    texts = [np.bytes_(text.encode()) for text in TEXTS if "\0" not in text and text] + [
        "wört",
        "w+c",
        "concat",
        '{"words": "V"}',
    ]
    families = [np.bytes_(name) for name in (b"glove", b"pmi", b"imported", b"skipgram", b"csr", b"\xff\xfe", b"w", b"c")]
    numbers = [np.uint32(0), np.int64(-1), np.uint64(2**64 - 1), np.float64("nan"), np.array([2**62, 3]), np.array([-1, -1])]
    return [*texts, *families, *numbers, np.array([]), h5py.Empty("f4"), np.array([[1, 2]]), np.array([b"a", b"b"])]


def _dataset(file: h5py.File, theirs: h5py.File, chance: Random) -> Harm:
    name = chance.choice(_datasets(file))
    group, _, key = name.partition("/")
    made, how = _other(file[name][()], chance)
    del file[name]
    dataset = file[group].create_dataset(key, data=made, track_times=False, **how)
    dataset.attrs["crc-32"] = np.uint32(
        0 if isinstance(made, h5py.Empty) or made.dtype.hasobject else zlib.crc32(made.tobytes())
    )
    return Harm(f"{name}: other type, shape or layout: {short(made)} {how}", False)


def _other(values: Any, chance: Random) -> tuple[Any, dict[str, Any]]:
    """Return values of another type or shape, and the keywords of another layout."""
    made, how = chance.choice(
        [
            lambda: (np.asarray(values).astype("f8" if np.asarray(values).dtype.kind in "iuf" else "S9"), {}),
            lambda: (np.asarray(values).reshape(-1)[: np.size(values) // 2], {}),
            lambda: (np.asarray(values)[None], {}),
            lambda: (np.repeat(np.atleast_1d(values), 2, 0), {}),
            lambda: (np.zeros((3, 0), np.asarray(values).dtype), {}),
            lambda: (np.atleast_1d(values), {"compression": "gzip"}),
            lambda: (np.atleast_1d(values), {"chunks": True}),
            lambda: (np.array(["a", "b"], h5py.string_dtype()), {}),
            lambda: (h5py.Empty("f4"), {}),
            lambda: (np.zeros(3, [("a", "i4"), ("b", "f8")]), {}),
        ]
    )()
    return made, how


def embedded(at: Path, other: Path, chance: Random) -> Harm:
    """Change what an unfinished `embed` left, and make anew what its checkpoint says of it."""
    if chance.random() < 0.3:
        return hdf5_values(at / "done", other / "done", chance)
    name = chance.choice(["lines", "sizes"])
    data = bytearray((at / name).read_bytes())
    place = chance.randrange(len(data))
    data[place : place + chance.choice([0, 1, 8])] = chance.choice([b"", b"\n", b" ", b"\xff", bytes(8)])
    (at / name).write_bytes(data)
    with h5py.File(at / "done", "r+", libver=("v108", "v108")) as file:
        record = json.loads(file["meta/json"][()])
        record["files"][name] = [len(data), zlib.crc32(data)]
        _put(file["meta"], "json", np.array(json.dumps(record).encode()))
    return Harm(f"{name}: byte {place}, all checksums made anew", False)


def plain_hdf5(at: Path, other: Path, chance: Random) -> Harm:
    """Change a dataset of a file of another program: its values, its type and layout, or where it leads."""
    with h5py.File(at, "r+") as file:
        name = chance.choice(_all_datasets(file))
        values, how = file[name][()], chance.choice(["values", "other", "gone", "link", "huge", "virtual", "elsewhere", "bomb"])
        if how == "values":
            what = change_values(values, chance)
            file[name][...] = values
            return Harm(f"{name}: {what}", False)
        del file[name]
        if how == "other":
            made, layout = _other(values, chance)
            file.create_dataset(name, data=made, **layout)
            return Harm(f"{name}: other type, shape or layout: {short(made)} {layout}", False)
        _ELSEWHERE[how](file, name, values)
    return Harm(f"{name}: {how}", False)


def _all_datasets(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(found)


def _virtual(file: h5py.File, name: str, values: Any) -> None:
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource("/dev/zero", "x", values.shape)
    file.create_virtual_dataset(name, layout)


def _external(file: h5py.File, name: str, values: Any) -> None:
    file.create_dataset(name, values.shape, values.dtype, external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def _link(file: h5py.File, name: str, values: Any) -> None:
    file[name] = h5py.ExternalLink("other.hdf5", name)


def _compressed(file: h5py.File, name: str, values: Any) -> None:
    file.create_dataset(name, (1 << 14, 1 << 14), "f4", compression="gzip", chunks=(1 << 12, 1 << 12))


_ELSEWHERE: Mapping[str, Callable[[h5py.File, str, Any], object]] = {
    "gone": lambda file, name, values: None,
    "link": _link,
    "huge": lambda file, name, values: file.create_dataset(name, (1 << 40, *values.shape[1:]), "f4"),
    "virtual": _virtual,
    "elsewhere": _external,
    "bomb": _compressed,
}


def _member(file: h5py.File, theirs: h5py.File, chance: Random) -> Harm:
    """Delete, add, move or link a member, or take it from another file."""
    name = chance.choice([*file, *_datasets(file)])
    how = chance.choice(
        ["deleted", "moved", "from the other", "a soft link", "an external link", "another name", "a type", "huge"]
    )
    if how == "another name":
        file[f"{name}2"] = file[name]
        return Harm(f"{name}: {how}", False)
    if how == "moved":
        file.move(name, f"{name}-new")
        return Harm(f"{name}: {how}", False)
    del file[name]
    if how == "from the other" and name in theirs:
        theirs.copy(name, file, name)
    elif how == "a soft link":
        file[name] = h5py.SoftLink(chance.choice(["/config/json", "/nowhere", f"/{name}"]))
    elif how == "an external link":
        file[name] = h5py.ExternalLink("other/glove.h5", name)
    elif how == "a type":
        file[name] = np.dtype("f8")
    elif how == "huge":
        file.create_dataset(name, (1 << 40,), "f4").attrs["crc-32"] = np.uint32(0)
    return Harm(f"{name}: {how}", False)

"""Ways to damage a file or a directory: plainly, and with knowledge of its structure, checksums made anew.

A way takes the path to damage, the path of another good file of its kind, and a source of chance; it says what it did, and
whether every reader must notice: refuse the file, or give what the undamaged one gives.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from cooc_engine.storage import arrays
from fuzzing.edits import change_values, deep, edit


class Harm(NamedTuple):
    """What was done to a file, in words, whether its readers must notice, and the bytes that it unpacks to."""

    what: str
    found: bool
    holds: int = 0


Way = Callable[[Path, Path, Random], Harm]


# ------------------------------------------------------------------------------------------------------------ plain


def _flip(data: bytearray, chance: Random) -> str:
    bits = [chance.randrange(8 * len(data)) for _ in range(chance.choice([1, 1, 1, 2, 8]))]
    for bit in bits:
        data[bit >> 3] ^= 1 << (bit & 7)
    return f"bits {bits} flipped"


def _overwrite(data: bytearray, chance: Random) -> str:
    begin, end = _range(data, chance)
    fill = chance.choice([lambda n: bytes(n), lambda n: b"\xff" * n, chance.randbytes])
    data[begin:end] = fill(end - begin)
    return f"bytes {begin}:{end} overwritten"


def _cut(data: bytearray, chance: Random) -> str:
    size = chance.choice([0, 1, len(data) - 1, chance.randrange(len(data))])
    del data[size:]
    return f"cut to {size} bytes"


def _remove(data: bytearray, chance: Random) -> str:
    begin, end = _range(data, chance)
    del data[begin:end]
    return f"bytes {begin}:{end} removed"


def _append(data: bytearray, chance: Random) -> str:
    begin, end = _range(data, chance)  # all of a compressed file once more would be sound
    more = chance.choice([b"\0", b"\n", bytes(data[max(1, begin) : end]), chance.randbytes(chance.randint(1, 100))])
    data += more
    return f"{len(more)} bytes appended"


def _insert(data: bytearray, chance: Random) -> str:
    at, more = chance.randrange(len(data)), chance.randbytes(chance.randint(1, 20))
    data[at:at] = more
    return f"{len(more)} bytes inserted at {at}"


def _range(data: bytearray, chance: Random) -> tuple[int, int]:
    begin = chance.randrange(len(data))
    return begin, min(len(data), begin + chance.choice([1, 4, 8, 64, len(data)]))


PLAIN = (_flip, _flip, _overwrite, _cut, _remove, _append, _insert)


def plain(found: bool) -> Way:
    """Damage bytes of a file, or of one in a directory; `found` is whether it has checksums over all that matters."""

    def way(at: Path, other: Path, chance: Random) -> Harm:
        file = _file_in(at, chance)
        data = bytearray(file.read_bytes())
        what = chance.choice(PLAIN)(data, chance) if data else _fill(data, chance)
        file.write_bytes(data)
        return Harm(f"{file.name}: {what}", found)

    return way


def _fill(data: bytearray, chance: Random) -> str:
    data += chance.randbytes(chance.randint(1, 100))
    return f"{len(data)} bytes where there were none"


def _file_in(at: Path, chance: Random, pattern: str = "*") -> Path:
    return at if at.is_file() else chance.choice(sorted(path for path in at.glob(pattern) if path.name != "lock"))


# -------------------------------------------------------------------------------------------------------- directories


def exchanged(at: Path, other: Path, chance: Random) -> Harm:
    """Take a file of another directory, or of the same directory, in place of one."""
    file = _file_in(at, chance)
    theirs = [path for path in (other / file.name, *at.iterdir()) if path.is_file() and path != file]
    taken = chance.choice(theirs)
    file.write_bytes(taken.read_bytes())
    return Harm(f"{file.name}: replaced by {taken.name} of {taken.parent}", file.name != "manifest.json")  # a sound record


def missing(at: Path, other: Path, chance: Random) -> Harm:
    """Delete a file, or put a directory or an empty file in its place."""
    file, instead = _file_in(at, chance), chance.choice(["nothing", "a directory", "an empty file"])
    file.unlink()
    if instead == "a directory":
        file.mkdir()
    elif instead == "an empty file":
        file.touch()
    return Harm(f"{file.name}: {instead} in its place", True)


def array_values(at: Path, other: Path, chance: Random) -> Harm:
    """Change values of an array file, and make its own checksum anew."""
    file = _file_in(at, chance, "*.bin")
    values = _array(file)
    what = change_values(values, chance) if values.size else "an array without values"
    if chance.random() < 0.2:
        values = values[: chance.randrange(len(values) + 1)]
        what = f"cut to {len(values)} values"
    _write_array(file, values)
    return Harm(f"{file.name}: {what}", True)


def forged(at: Path, other: Path, chance: Random) -> Harm:
    """Change values of an array file, and make anew all that vouches for them: its checksum, and those in the manifest."""
    harm = array_values(at, other, chance)
    record = at / "manifest.json"
    if record.is_file():  # unfinished directories have none
        fields = json.loads(record.read_bytes())
        file = at / harm.what.partition(":")[0]
        if file.name in fields.get("files", {}):
            data = file.read_bytes()
            fields["files"][file.name] = [len(data), zlib.crc32(data[arrays.HEADER_BYTES :])]
        _sign(at, fields)
    return Harm(f"{harm.what}, all checksums made anew", False)


def _sign(at: Path, fields: dict[str, Any], name: str = "manifest.json") -> None:
    """Write a manifest, or another record, with a checksum that fits."""
    fields.pop("checksum", None)
    fields["checksum"] = zlib.crc32(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode())
    (at / name).write_text(json.dumps(fields, ensure_ascii=False))


def spooled(at: Path, other: Path, chance: Random) -> Harm:
    """Change values of a raw file of an unfinished encode, and make anew all that vouches for it."""
    fields = json.loads((at / "first-pass.json").read_bytes())
    name = chance.choice(sorted(fields["spools"]))
    values = np.fromfile(at / name, "<i4" if name.startswith(("tokens", "rows")) else "<i8")
    what = change_values(values, chance) if values.size else "no values"
    values.tofile(at / name)
    size = fields["spools"][name][0]
    fields["spools"][name] = [size, zlib.crc32(values.tobytes()[:size])]
    _sign(at, fields, "first-pass.json")
    return Harm(f"{name}: {what}, all checksums made anew", False)


def array_head(at: Path, other: Path, chance: Random) -> Harm:
    """Change a field of an array file's header, and make the header's checksum anew."""
    file, field = _file_in(at, chance, "*.bin"), chance.randrange(1, 5)
    data = bytearray(file.read_bytes())
    fields = list(arrays.HEADER.unpack_from(data))
    codes = [b"<f4", b"<i4", b"|O", b"<U9", b"\xff\xfe", b"V0", b"", b"i4,i"]
    fields[field] = [0, chance.choice([0, 2, 2**31]), chance.choice(codes), chance.choice([0, 1, 2**62, 2**64 - 1]), 0][field]
    head = arrays.HEADER.pack(*fields)
    data[: len(head) + 4] = head + struct.pack("<I", zlib.crc32(head))
    file.write_bytes(data)
    return Harm(f"{file.name}: header says {fields}", True)


def _array(file: Path) -> np.ndarray[Any, Any]:
    data = file.read_bytes()
    code = arrays.HEADER.unpack_from(data)[2].rstrip(b"\0").decode()
    return np.frombuffer(data, code, offset=arrays.HEADER_BYTES).copy()


def _write_array(file: Path, values: np.ndarray[Any, Any]) -> None:
    with arrays.ArrayWriter(file, values.dtype) as writer:
        writer.append(values)


def manifest(at: Path, other: Path, chance: Random) -> Harm:
    """Edit `manifest.json`, mostly with its checksum made anew: a forger can say what he likes, as long as it fits together."""
    file = at / "manifest.json"
    if chance.random() < 0.1:
        file.write_bytes(deep(chance))
        return Harm("manifest.json: deeply nested", True)
    fields = json.loads(file.read_bytes())
    fields.pop("checksum")
    edited, what = edit(fields, chance)
    if chance.random() < 0.9 and isinstance(edited, dict):
        _sign(at, edited)
        return Harm(f"manifest.json: {what}", False)
    file.write_text(json.dumps(edited, ensure_ascii=False))
    return Harm(f"manifest.json: {what}, checksum wrong", True)


def signed(at: Path, other: Path, chance: Random) -> Harm:
    """Edit a JSON file of an unfinished run, and make its checksum anew if it has one."""
    file = _file_in(at, chance, "*.json")
    edited, what = edit(json.loads(file.read_bytes()), chance)
    if isinstance(edited, dict) and "checksum" in edited:
        _sign(at, edited, file.name)
    else:
        file.write_text(json.dumps(edited))
    return Harm(f"{file.name}: {what}, checksum made anew", False)


def staged(way: Way) -> Way:
    """Damage in this way one of the directories in which a run had done its stages."""

    def staged_way(at: Path, other: Path, chance: Random) -> Harm:
        stage = chance.choice(sorted(path.name for path in at.iterdir() if path.is_dir()))
        harm = way(at / stage, other / stage, chance)
        return harm._replace(what=f"{stage}/{harm.what}")

    return staged_way


def record(at: Path, other: Path, chance: Random) -> Harm:
    """Edit a JSON file that has no checksum of its own: a plan, a record of an unfinished run."""
    file = _file_in(at, chance, "*.json")
    if chance.random() < 0.1:
        file.write_bytes(deep(chance))
        return Harm(f"{file.name}: deeply nested", True)
    edited, what = edit(json.loads(file.read_bytes()), chance)
    file.write_text(json.dumps(edited))
    return Harm(f"{file.name}: {what}", True)

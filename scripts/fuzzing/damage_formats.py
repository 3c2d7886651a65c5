"""Damage to files of other programs, to text, and to job files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing.damage import Harm, Way
from fuzzing.edits import LONG, NUMBERS, TEXTS, VALUES, WHOLE, change_values, deep, edit, fitting, short
from fuzzing.samples import COMPRESSED

KEYS = ("new", "output", "texts", "vocabulary", "tokenizer", "memory", "init")
BOMB, PIECE = 1 << 26, 1 << 20  # bytes that a small file unpacks to, and each of the streams that it consists of


def lines(at: Path, other: Path, chance: Random) -> Harm:
    """Change a field of a line in a text file, or lines."""
    rows = at.read_bytes().split(b"\n")
    at_row = chance.randrange(len(rows))
    fields = rows[at_row].split(b"\t" if b"\t" in rows[at_row] else b" ")
    how = chance.choice(["field", "field", "field", "without", "twice", "swapped", "joined", "no field", "more"])
    if how == "field":
        fields[chance.randrange(len(fields))] = _field(chance)
    elif how == "no field":
        fields.pop(chance.randrange(len(fields)))
    elif how == "more":
        fields.append(_field(chance))
    rows[at_row] = (b"\t" if b"\t" in rows[at_row] else b" ").join(fields)
    if how == "without":
        rows.pop(at_row)
    elif how == "twice":
        rows.insert(at_row, rows[at_row])
    elif how == "swapped":
        chance.shuffle(rows)
    at.write_bytes((b"" if how == "joined" else b"\n").join(rows))
    return Harm(f"line {at_row + 1}: {how} {short(rows[at_row] if at_row < len(rows) else b'')}", False)


def _field(chance: Random) -> bytes:
    texts = [text.encode() for text in TEXTS] + [
        b"\xff\xfe",
        b"x" * LONG,
        b"1e999",
        b"0x10",
        b"1_000",
        "١٢".encode(),
        b"nan",
        b"-inf",
    ]
    values = [str(value).encode() for value in (*WHOLE, *NUMBERS)]
    return chance.choice(texts + values + [b"9" * 5000, b"\xef\xbb\xbf", b"</s>", b"<unk>", b"\r", b":", b"#"])


def json_file(at: Path, other: Path, chance: Random) -> Harm:
    """Edit a JSON file of another program."""
    if chance.random() < 0.1:
        at.write_bytes(deep(chance))
        return Harm("deeply nested", False)
    edited, what = edit(json.loads(at.read_bytes()), chance)
    at.write_text(json.dumps(edited))
    return Harm(what, False)


def toml(at: Path, other: Path, chance: Random) -> Harm:
    """Change a value or a key of a job, or its lines."""
    text = at.read_text()
    if chance.random() < 0.1:
        at.write_text(f"a = {'[' * LONG}" if chance.random() < 0.5 else f"{text}\n[{'.'.join('a' * 2000)}]\n")
        return Harm("deeply nested", False)
    rows = text.splitlines()
    row = chance.choice([row for row, line in enumerate(rows) if not line.startswith("epochs")])  # many are much work
    key, equals, _ = rows[row].partition(" = ")
    if equals and chance.random() < 0.7:
        rows[row] = f"{key} = {_toml_value(chance)}"
    elif equals:
        rows[row] = f"{chance.choice(KEYS)} = {_toml_value(chance)}"
    else:
        rows[row] = chance.choice(["[[encode]]", "[train]", "[count", "", "[new]", "[eval]", "[[eval]]"])
    at.write_text("\n".join(rows))
    return Harm(f"line {row + 1}: {short(rows[row])}", False)


def _toml_value(chance: Random) -> str:
    values = [json.dumps(value) for value in VALUES if value is not None and value == value and not isinstance(value, dict)]
    return chance.choice([*values, "nan", "inf", "1979-05-27", "[[1], [2]]", "{a = 1}", '["text.txt", 1]', f"[{'1,' * 50}]"])


def safetensors(at: Path, other: Path, chance: Random) -> Harm:
    """Edit the header of a safetensors file, and its length with it, or the length alone."""
    data = at.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    head, rest = data[8 : 8 + size], data[8 + size :]
    if chance.random() < 0.15:
        said = chance.choice([0, 1, size - 1, size + 8, len(data), 99_999_999, 2**63, 2**64 - 1])
        at.write_bytes(struct.pack("<Q", said) + head + rest)
        return Harm(f"a header of {said} bytes", False)
    if chance.random() < 0.1:
        edited, what = deep(chance), "deeply nested"
    else:
        fields, what = edit(json.loads(head), chance)
        edited = json.dumps(fields).encode()
    at.write_bytes(struct.pack("<Q", len(edited)) + edited + rest)
    return Harm(what, False)


def npz(at: Path, other: Path, chance: Random) -> Harm:
    """Write an archive anew with one array changed, or with a header that promises what is not there."""
    with np.load(at) as found:
        members = {name: _npy(found[name]) for name in found.files}
    name = chance.choice(sorted(members))
    how, data = chance.choice(_npy_ways())
    if how == "deleted":
        del members[name]
    elif how == "renamed":
        members["other"] = members.pop(name)
    elif how == "values":
        values = np.load(io.BytesIO(members[name]))
        how = change_values(values, chance)
        members[name] = _npy(values)
    else:
        members[name] = data
    with zipfile.ZipFile(at, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return Harm(f"{name}: {how}", False)


def _npy(values: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _npy_head(code: str, shape: Sequence[int], data: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": code, "fortran_order": False, "shape": tuple(shape)})
    return file.getvalue() + data


def _npy_ways() -> list[tuple[str, bytes]]:
    file = io.BytesIO()
    np.save(file, np.array([{}, print], object), allow_pickle=True)
    made = {code: np.zeros(33, code) for code in ("f8", "S3", "U3", "?", "c16", "M8[s]", "u1", "V5")}
    heads = {
        "2^60 values": _npy_head("<f4", (1 << 30, 1 << 30)),
        "no values": _npy_head("<f4", (33, 0)),
        "words of 2^28 characters": _npy_head(f"<U{1 << 28}", (33,), b"a\0\0\0"),
        "a bomb": _npy_head("<f8", (BOMB // 8,), bytes(BOMB)),
        "a negative length": _npy_head("<f4", (-1, 4)),
        "a pickle": file.getvalue(),
    }
    return [
        ("values", b""),
        ("values", b""),
        ("deleted", b""),
        ("renamed", b""),
        *heads.items(),
        *((k, _npy(v)) for k, v in made.items()),
    ]


def binary_head(at: Path, other: Path, chance: Random) -> Harm:
    """Change the numbers of words and dimensions in the first line of word2vec's formats."""
    head, _, rest = at.read_bytes().partition(b"\n")
    fields = head.split()
    fields[chance.randrange(len(fields))] = chance.choice(
        [b"0", b"1", b"-1", b"5", b"1000000000000", b"9" * 5000, b"\xb2", b"x"]
    )
    at.write_bytes(b" ".join(fields) + b"\n" + rest)
    return Harm(f"the first line is {short(b' '.join(fields))}", False)


def words_of(size: int) -> Way:
    """Set a field of a file of fixed records, or floats in it, to an extreme."""

    def way(at: Path, other: Path, chance: Random) -> Harm:
        data = bytearray(at.read_bytes())
        place = chance.randrange(len(data) // size) * size
        data[place : place + size] = np.full(
            size // 4, fitting(np.dtype("<i4" if chance.random() < 0.5 else "<f4"), chance)
        ).tobytes()
        at.write_bytes(data)
        return Harm(f"bytes {place}:{place + size} are {data[place : place + size].hex()}", False)

    return way


def head_of(size: int) -> Way:
    """Set a number anywhere among the first bytes of a file to an extreme, aligned or not."""

    def way(at: Path, other: Path, chance: Random) -> Harm:
        data = bytearray(at.read_bytes())
        form = chance.choice(["<i", "<q", "<f"])
        place = chance.randrange(min(size, len(data) - 8))
        value = (
            chance.choice([-1, 0, 1, 2, 255, 2**31 - 1, -(2**31), 1 << 20])
            if form != "<f"
            else chance.choice([0.5, 1e30, float("nan")])
        )
        data[place : place + struct.calcsize(form)] = struct.pack(form, value)
        at.write_bytes(data)
        return Harm(f"{form} at byte {place} is {value}", False)

    return way


def bomb(at: Path, other: Path, chance: Random) -> Harm:
    """Put a small file that unpacks to one long line, to zeros or to blank lines in place of a compressed one."""
    kind, compress = chance.choice(sorted(COMPRESSED.items()))
    fill = chance.choice([b"a", b"\0", b" ", b"1.00000 ", b"\n"])
    pieces = 1 if fill in (b"\n", b"1.00000 ") else BOMB // PIECE  # lines and words take time, and words what a budget allows
    at.write_bytes(compress(fill * (PIECE // len(fill))) * pieces)  # streams that follow one another are one text
    return Harm(f"{kind}: {pieces * PIECE} bytes of {fill!r}", False, pieces * PIECE)

"""Small files that would take much memory, and sizes that cannot be: each is one line, after reading little."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary_file import read_vocabulary
from cooc_engine.errors import CoocError, InputError
from cooc_engine.evaluation.sets import read_analogies, read_categories, read_outliers, read_pairs, read_sentence_pairs
from cooc_engine.formats.vectors import export_vectors, read_vectors
from cooc_engine.pipeline.job import run
from cooc_engine.text import bounded
from cooc_engine.vectors.model import import_vectors

LARGE, LITTLE = 1 << 26, 24 << 20  # bytes that a file of some kilobytes unfolds to, and that may be taken for it


def refused(function, *given, **how) -> str:
    """Return the message of an error, which is one line, and for which little memory was taken."""
    tracemalloc.start()
    try:
        with pytest.raises(CoocError) as caught:
            function(*given, **how)
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return str(caught.value)


ENDLESS = [run, read_pairs, read_sentence_pairs, read_analogies, read_categories, read_outliers, read_vocabulary, read_vectors]


@pytest.mark.parametrize("read", ENDLESS, ids=lambda read: read.__name__)
def test_a_device_without_end(read, monkeypatch):
    monkeypatch.setattr("cooc_engine.evaluation.sets.LONGEST", 1 << 22)
    assert "/dev/zero: " in refused(read, Path("/dev/zero")) or read is read_vocabulary


def test_a_device_without_end_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("v.txt").write_text("a 1 2\nb 3 4\n")
    assert main(["run", "/dev/zero"]) == 1
    assert capsys.readouterr().err.startswith("cooc-engine: /dev/zero: is a pipe or a device, and is read more than once; ")
    assert main(["eval", "v.txt", "--pairs", "/dev/zero"]) == 1
    assert capsys.readouterr().err == "cooc-engine: /dev/zero: has more than 16,777,216 bytes; is it the right file?\n"
    assert main(["import", "v.txt", "m.h5", "--vocab", "/dev/zero"]) == 1
    assert capsys.readouterr().err == "cooc-engine: /dev/zero:1: has more than 262,176 bytes; is it the right file?\n"
    assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]


@pytest.mark.parametrize("form", ["word2vec", "glove", "fasttext-vec", "tsv"])
@pytest.mark.parametrize("head", [b"", b"2 3\n", b"2 3\nword "])
def test_a_compressed_file_of_one_line(tmp_path, form, head):
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(head + b"1 " * (LARGE // 2), 1))
    path.with_name("v-metadata.gz").write_bytes(b"a\nb\nc\n")
    says = refused(read_vectors, path, form)
    assert "has more than 4,194,304 bytes; is it the right file?" in says or "head of two numbers" in says


NUMBERS = np.arange(150_000) % 1000 / 8
LONG_LINE = " ".join(map(str, NUMBERS.tolist())).encode()
LONG_LINES = {  # a second one, and what is said of it
    "a letter": (LONG_LINE[:-1] + b"x", "'124.87x' is not a number"),
    "too few": (LONG_LINE[:-8], "expected a word and 150000 numbers, found 149999"),
    "too many": (b"c d " + LONG_LINE, "the word 'b c d' has spaces in it"),
    "a carriage return": (LONG_LINE[:-7] + b" \r 2", r"'0.0 0.125 0.25 0.375 0.5 0.625 0.75 0.87' is not a number"),
}


def test_long_lines_take_memory_for_what_they_hold(tmp_path):
    """A list of their fields would take ten times that, and so would all numbers of a row in NumPy's parser."""
    path = tmp_path / "v.txt"
    path.write_bytes(b"a " + LONG_LINE + b"\n")
    tracemalloc.start()
    try:
        assert np.array_equal(read_vectors(path).vectors[0], NUMBERS.astype(np.float32))
        assert tracemalloc.get_traced_memory()[1] < 4 * len(LONG_LINE) + (1 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("line, says", LONG_LINES.values(), ids=LONG_LINES)
def test_what_is_wrong_with_a_long_line(tmp_path, line, says):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a " + LONG_LINE + b"\nb " + line + b"\n")
    with pytest.raises(InputError, match=re.escape(f"v.txt:2: {says}")):
        read_vectors(path)


def test_a_word_of_a_line_is_shown_in_part(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1 2\nb 1 2\nc" + b" word" * 30_000 + b" 1 2\n")
    assert len(refused(read_vectors, path)) < len(str(path)) + 100


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_a_compressed_archive_is_not_unpacked(tmp_path, form):
    """Neither to find its end, nor again for each array: the bomb behind it is never reached."""
    path = tmp_path / f"v.{form}.gz"
    (tmp_path / "t").write_text("a 1 2\nb 3 4\n")
    import_vectors(tmp_path / "t", tmp_path / "m.h5")
    export_vectors(tmp_path / "m.h5", tmp_path / "v", form)
    path.write_bytes(
        gzip.compress((tmp_path / "v").read_bytes() + bytes(LARGE), 1)[:-8]
    )  # truncated: its end would be an error
    assert refused(read_vectors, path).endswith("decompress it first")


def test_a_decompressor_that_asks_for_gigabytes(tmp_path):
    data = bytearray(lzma.compress(b"a 1\n"))
    data[16] = 40  # the size of the dictionary: 4 GiB
    end = 12 + 4 * (data[12] + 1)
    data[end - 4 : end] = struct.pack("<I", zlib.crc32(data[12 : end - 4]))
    (tmp_path / "v.xz").write_bytes(data)
    assert "Memory usage limit" in refused(read_vectors, tmp_path / "v.xz", "glove")


def array_file(head: str, values: bytes) -> bytes:
    text = head.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + values


def described(dtype: str, shape: object, values: bytes = b"") -> bytes:
    return array_file(f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}", values)


def saved(values) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


SOUND = {"words": saved(np.array(["a", "b"])), "vectors": saved(np.eye(2, dtype=np.float32))}
ARCHIVES = {
    "more counts than vectors": ({"counts": saved(np.zeros(LARGE // 8, np.int64))}, "counts has the shape 8388608"),
    "counts of objects": ({"counts": described("|O", (2,), b"x" * 16)}, "counts holds object, not numbers"),
    "counts of letters": ({"counts": saved(np.array(["a", "b"]))}, "counts holds <U1, not numbers"),
    "counts of fractions": ({"counts": saved(np.ones(2))}, "counts holds float64, not numbers"),
    "counts of 2^63": ({"counts": saved(np.array([1, 2**63], np.uint64))}, "v:word 2: the count is 9223372036854775808"),
    "negative counts": ({"counts": saved(np.array([-1, 2]))}, "v:word 1: the count is -1"),
    "scales of letters": ({"scales": saved(np.array(["a", "b"]))}, "scales holds <U1, not numbers"),
    "scales without axes": ({"scales": saved(np.float32(3))}, "scales has the shape "),
    "very long words": ({"words": described("<U8388608", (2,), bytes(LARGE))}, "words holds <U8388608; no word has more than"),
    "words that are not there": (
        {"words": described("<U8388608", (2,), bytes(8))},
        "words.npy has 80 bytes; its header promises",
    ),
    "vectors that are not there": ({"vectors": described("<f4", (2, 2**63))}, "vectors.npy has 86 bytes; its header promises"),
    "negative sizes": ({"vectors": described("<f4", (2, -2), bytes(16))}, "contains no array vectors of plain values"),
    "no numbers": ({"vectors": described("<f4", (2, 0))}, "vectors of 0 numbers; there can be 1 to 1,048,576"),
    "too many numbers": (
        {"vectors": described("|i1", (2, LARGE // 2), bytes(LARGE))},
        "vectors of 33554432 numbers",
    ),
    "words of no letters": ({"words": described("<U0", (2,))}, "contains no array words"),
    "a very long header": (
        {"vectors": b"\x93NUMPY\2\0" + struct.pack("<I", LARGE) + b" " * LARGE},
        "vectors.npy is not a NumPy",
    ),
    "brackets": ({"vectors": array_file("(" * 9000, b"")}, "vectors.npy is not a NumPy array"),
    "many arrays": ({f"a{i}": b"" for i in range(20_000)}, "damaged npz .too many arrays"),
}


@pytest.mark.parametrize("parts, says", ARCHIVES.values(), ids=ARCHIVES)
def test_archives(tmp_path, parts, says):
    with zipfile.ZipFile(tmp_path / "v", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (SOUND | parts).items():
            archive.writestr(f"{name}.npy", data)
    refused(read_vectors, tmp_path / "v", "npz")
    with pytest.raises(InputError, match=says):
        read_vectors(tmp_path / "v", "npz")


def tensors(values: bytes = b"", **changes) -> bytes:
    """A file of two words and two vectors, with a changed header."""
    head = {
        "offsets": {"dtype": "I64", "shape": [3], "data_offsets": [0, 24]},
        "vectors": {"dtype": "F32", "shape": [2, 2], "data_offsets": [24, 40]},
        "text": {"dtype": "U8", "shape": [2], "data_offsets": [40, 42]},
    }
    for name, change in changes.items():
        head[name] = {**head.get(name, {}), **change} if isinstance(change, dict) else change
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + np.array([0, 1, 2]).tobytes() + bytes(16) + b"ab" + values


def numbers(count: int) -> dict[str, object]:
    return {"dtype": "I64", "shape": [count], "data_offsets": [0, 8 * count]}


HEADS = {
    "no axes": (tensors(vectors={"shape": []}), "another size than its values"),
    "one axis": (tensors(vectors={"shape": [4]}), "the shapes of vectors, text and offsets do not fit"),
    "text of rows": (tensors(text={"shape": [2, 1]}), "the shapes of vectors, text and offsets do not fit"),
    "2^63 rows": (tensors(vectors={"shape": [2**63, 2]}), "another size than its values"),
    "2^63 columns": (tensors(vectors={"shape": [2, 2**63]}), "another size than its values"),
    "far away": (tensors(vectors={"data_offsets": [2**63, 2**63 + 16]}), "beyond the end of the file"),
    "backwards": (tensors(vectors={"data_offsets": [40, 24]}), "another size than its values"),
    "negative": (tensors(vectors={"data_offsets": [-40, -24]}), "not a whole number from 0 on"),
    "fractions": (tensors(vectors={"shape": [2.0, 2]}), "not a whole number from 0 on"),
    "a type that is a list": (tensors(vectors={"dtype": ["F32"]}), "damaged safetensors header"),
    "numbers": (tensors(vectors=3), "damaged safetensors header"),
    "large counts": (
        tensors(counts={"dtype": "I64", "shape": [1 << 40], "data_offsets": [0, 1 << 43]}),
        "beyond the end of the file",
    ),
    "counts of more": (
        tensors(counts={"dtype": "I64", "shape": [3], "data_offsets": [0, 24]}),
        "2 vectors, but counts has the shape 3",
    ),
    "offsets of fewer": (
        tensors(offsets={"shape": [2], "data_offsets": [0, 16]}),
        "the shapes of vectors, text and offsets do not fit",
    ),
    "no columns": (tensors(vectors={"shape": [2, 0], "data_offsets": [24, 24]}), "vectors of 0 numbers"),
    "brackets": (struct.pack("<Q", 400_000) + b'{"a":' + b"[" * 399_995, "damaged safetensors header"),
    "a long header": (
        struct.pack("<Q", 99_000_000) + b"{" + b" " * 99,
        "it has 99,000,000 bytes, and 1,048,576 are read",
    ),
    "a header that is not there": (struct.pack("<Q", 1_000_000) + b"{" + b" " * 99, "truncated; its header promises more"),
}


@pytest.mark.parametrize("data, says", HEADS.values(), ids=HEADS)
def test_tensors(tmp_path, data, says):
    (tmp_path / "v").write_bytes(data)
    assert says in refused(read_vectors, tmp_path / "v", "safetensors")


def test_the_file_that_these_are_made_from_is_sound(tmp_path):
    (tmp_path / "v").write_bytes(tensors())
    assert read_vectors(tmp_path / "v").vocabulary.words == ["a", "b"]


@pytest.mark.parametrize("form", ["glove", "word2vec", "fasttext-vec"])
def test_words_without_numbers(tmp_path, form):
    (tmp_path / "x.vec").write_text("a" if form == "glove" else "1 0\na\n")
    for errors in ("strict", "skip"):
        says = refused(import_vectors, tmp_path / "x.vec", tmp_path / "m.h5", form, errors=errors)
        assert "x.vec:1: expected a" in says


@pytest.mark.parametrize("form, data", [("word2vec-bin", b"1 1048577\n"), ("word2vec", b"1 99999999999\na 1\n")])
def test_vectors_that_are_too_long(tmp_path, form, data):
    (tmp_path / "v").write_bytes(data)
    assert "v:1: expected a head of two numbers" in refused(read_vectors, tmp_path / "v", form)


def test_a_bounded_read_takes_what_is_there(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"ab\ncd\n\nlast")
    with path.open("rb") as file:
        assert bounded.exactly(file, 3, path) == b"ab\n"
        assert [*bounded.lines(file, 4, path, 2)] == [(2, b"cd\n"), (3, b"\n"), (4, b"last")]
    with path.open("rb") as file, pytest.raises(InputError, match=r"x:4: has more than 3 bytes"):
        list(bounded.lines(file, 3, path))
    assert bounded.whole(path, 11) == b"ab\ncd\n\nlast"
    assert "x: has more than 10 bytes" in refused(bounded.whole, path, 10)
    with path.open("rb") as file:
        assert "x: truncated" in refused(bounded.exactly, file, 1 << 40, path)

"""Compressed files: with any bit flipped, reading gives one line that names the file, or exactly what was in it."""

from __future__ import annotations

import errno
import io
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
from support.packing import COMPRESS, flipped

from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary_file import read_vocabulary
from cooc_engine.errors import InputError
from cooc_engine.evaluation.sets import read_pairs
from cooc_engine.formats.vectors import export_vectors, read_vectors
from cooc_engine.models.file import open_model
from cooc_engine.text.compression import Decompressed, beginning, opened
from cooc_engine.vectors.model import import_vectors

DATA = "".join(f"w{i * i % 37} ü{i % 7}\n" for i in range(40)).encode()
STRIDE = 97  # bits between those that the commands are tried with


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Every test works in a directory of its own."""
    monkeypatch.chdir(tmp_path)


def packed(kind: str, data: bytes, streams: int = 1) -> bytes:
    step = -(-len(data) // streams)
    return b"".join(COMPRESS[kind](data[at : at + step]) for at in range(0, len(data), step))


def content(name: str = "t") -> bytes:
    with opened(Path(name)) as file:
        return file.read()


def fault(data: bytes) -> str:
    """The message about a file of this content; it names it, and is one line."""
    Path("t").write_bytes(data)
    with pytest.raises(InputError) as caught:
        content()
    assert str(caught.value).startswith("t: ") and "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("kind", COMPRESS)
def test_every_bit_of_a_file(kind, streams):
    data = packed(kind, DATA, streams)
    for bit in range(8 * len(data)):
        damaged = flipped(data, bit)
        Path("t").write_bytes(damaged)
        try:
            found = content()
        except InputError as error:
            assert str(error).startswith("t: damaged or truncated compressed file (") and "\n" not in str(error)
        else:
            assert found == DATA or (found == damaged and bit < 48), bit  # without its magic number it is a plain file


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("kind", COMPRESS)
def test_every_truncation(kind, streams):
    data = packed(kind, DATA, streams)
    whole = {len(packed(kind, DATA[: -(-len(DATA) // streams)]))}  # the end of the first stream, where a file may end
    for size in set(range(6, len(data))) - whole:
        assert "damaged or truncated compressed file" in fault(data[:size])


@pytest.mark.parametrize("kind", COMPRESS)
def test_garbage_behind_the_end(kind):
    for garbage in (b"garbage", b"x", packed(kind, DATA)[:1] + b"x" + packed(kind, DATA)[2:], bytes(99) + b"x"):
        assert "damaged or truncated compressed file" in fault(packed(kind, DATA) + garbage)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_zeros_behind_a_stream_are_padding(kind):
    Path("t").write_bytes(packed(kind, DATA) + bytes(1 << 17))
    assert content() == DATA


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("kind", [*COMPRESS, "plain"])
def test_seeking(kind, streams):
    chance = random.Random(0)
    data = b"".join(chance.randbytes(16).hex().encode() + b"\n" for _ in range(6000))
    Path("t").write_bytes(data if kind == "plain" else packed(kind, data, streams))
    with opened(Path("t")) as file, io.BytesIO(data) as twin:
        for _ in range(30):
            at = chance.choice(((chance.randrange(len(data)), 0), (-chance.randrange(len(data)), 2), (0, 1)))
            assert file.seek(*at) == twin.seek(*at) == file.tell()
            size = chance.choice((0, 5, 1 << 17))
            assert file.read(size) == twin.read(size)
            assert file.readline() == twin.readline()
        assert file.seekable() and file.name == "t"


@pytest.mark.parametrize("kind", [*COMPRESS, "plain"])
def test_the_beginning_and_the_bytes_that_were_taken(kind):
    stored = DATA if kind == "plain" else packed(kind, DATA)
    Path("t").write_bytes(stored)
    assert beginning(Path("t"), 10) == DATA[:10]
    with Decompressed(Path("t")) as source:
        assert source.compressed == (kind != "plain") and source.taken == 0
        assert source.readall() == DATA and source.taken == len(stored)


# ------------------------------------------------------------------------------------------------ errors of other kinds


class Failing(io.BytesIO):
    """A stream that fails behind its first bytes."""

    error: BaseException

    def peek(self, size: int) -> bytes:
        return self.getvalue()[:size]

    def read(self, *size):
        raise self.error

    def readinto(self, target):
        raise self.error

    def read1(self, size):
        raise self.error


@pytest.mark.parametrize("kind", [*COMPRESS, "plain"])
def test_errors_that_are_no_damage(kind):
    stream = Failing(DATA if kind == "plain" else packed(kind, DATA))
    for error in (MemoryError(), KeyboardInterrupt(), InputError("of ours")):
        stream.error = error
        with pytest.raises(type(error)) as caught, Decompressed(Path("t"), stream) as source:
            source.readall()
        assert caught.value is error and not stream.closed
    stream.error = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(InputError, match=r"^t: cannot be read \(Input/output error\)$"):
        Decompressed(Path("t"), stream).readall()


@pytest.mark.parametrize("error", [OSError("no number"), OSError(errno.ENOSPC, "full"), EOFError(), ValueError()])
def test_errors_of_who_reads_are_left_alone(error):
    Path("t").write_bytes(packed("gz", DATA))
    with pytest.raises(type(error)) as caught, opened(Path("t")) as file:
        file.readline()
        raise error
    assert caught.value is error


def test_no_file():
    with pytest.raises(InputError, match=r"^t: no such file$"):
        content()
    Path("t").mkdir()
    with pytest.raises(InputError, match=r"^t: cannot be read \(Is a directory\)$"):
        content()


# ------------------------------------------------------------------------------------------------------- the commands

WORDS = [f"w{i}" for i in range(12)]
VECTORS = np.random.default_rng(0).normal(size=(12, 3)).round(2)
LINES = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, VECTORS.tolist(), strict=True)).encode()
COUNTS = "".join(f"{word} 7\n" for word in WORDS).encode()
PAIRS = "".join(f"w{i}\tw{i * 5 % 12}\t{i * i % 11}\n" for i in range(12)).encode()


@pytest.fixture
def model() -> Path:
    Path("lines").write_bytes(LINES)
    import_vectors("lines", "model.h5")
    return Path("model.h5")


def encoded() -> object:
    return Corpus("out").digest


def imported() -> object:
    found = open_model("out")
    return found.vocabulary.words, found.matrix.tolist()


COMMANDS = {
    "encode": (DATA, ["encode", "f", "--output", "out", "--force", "--progress", "none"], encoded),
    "nn": (LINES, ["nn", "f", "w1"], None),
    "import": (LINES, ["import", "f", "out", "--force"], imported),
    "vocab": (COUNTS, ["import", "lines", "out", "--force", "--vocab", "f"], imported),
    "eval": (PAIRS, ["eval", "model.h5", "--pairs", "f"], None),
}


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_flipped_bit_is_one_line_or_nothing(command, kind, model, capsys):
    data, arguments, outcome = COMMANDS[command]
    stored = packed(kind, data)

    def run(content: bytes) -> tuple[int, str, object]:
        Path("f").write_bytes(content)
        code = main(arguments)
        shown, said = capsys.readouterr()
        return code, said, None if code else outcome() if outcome else shown

    whole = run(data)
    assert whole[:2] == (0, "") and run(stored) == whole
    for bit in range(0, 8 * len(stored), STRIDE):
        code, said, found = run(flipped(stored, bit))
        if code == 0:
            assert (said, found) == ("", whole[2]), bit
        else:
            assert code == 1 and re.fullmatch(r"cooc-engine: f:.+\n", said), (bit, said)


@pytest.mark.parametrize("form", ["npz", "safetensors", "word2vec-bin"])
@pytest.mark.parametrize("kind", [*COMPRESS, "plain"])
def test_a_flipped_bit_of_binary_vectors(form, kind, model):
    """The checksum of a compressed file stands behind the last vector, and is looked at; an npz has checksums of its own."""
    export_vectors(model, "f", form)
    whole, stored = read_vectors("f"), Path("f").read_bytes()
    if kind == "plain" and form != "npz":
        return
    stored = stored if kind == "plain" else packed(kind, stored)
    for bit in range(0, 8 * len(stored), 13):
        Path("f").write_bytes(flipped(stored, bit))
        try:
            found = read_vectors("f", form)
        except InputError as error:
            assert str(error).startswith("f:") and "\n" not in str(error)
        else:
            assert found.vocabulary.words == whole.vocabulary.words and np.array_equal(found.vectors, whole.vectors), bit


@pytest.mark.parametrize("kind", COMPRESS)
def test_sets_and_vocabularies_may_be_compressed(kind):
    Path(f"pairs.tsv.{kind}").write_bytes(packed(kind, PAIRS))
    Path("pairs.tsv").write_bytes(PAIRS)
    assert read_pairs(f"pairs.tsv.{kind}") == read_pairs("pairs.tsv")
    Path("v").write_bytes(packed(kind, b"the 9\nof 4\n"))
    vocabulary = read_vocabulary(Path("v"))
    assert (vocabulary.words, vocabulary.counts.tolist()) == (["the", "of"], [9, 4])


@pytest.mark.parametrize("size", [1, 5])
def test_the_first_bytes_of_a_compressed_file_are_no_text(size):
    """Too few to tell, but the name does: they would be taken for words."""
    Path("t.gz").write_bytes(packed("gz", DATA)[:size].replace(b"\0", b"\1"))
    assert main(["encode", "t.gz", "--output", "c", "--min-count", "1", "--progress", "none"]) == 1
    with pytest.raises(InputError, match=rf"t\.gz: truncated compressed file, of {size} bytes"):
        beginning(Path("t.gz"), 1)

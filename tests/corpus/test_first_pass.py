"""What an interrupted encode left is checked before it goes on: nothing of it is followed out of bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cooc_engine.corpus import first_pass, second_pass
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.first_pass import PassCheckpoint
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.word_table import GROUPS
from cooc_engine.errors import FormatError, InterruptedRun
from cooc_engine.storage.arrays import Bound
from cooc_engine.storage.outputs import write_record
from cooc_engine.text import readers

OPTIONS = EncodeOptions(min_count=1)


@pytest.fixture
def text(tmp_path) -> Path:
    (tmp_path / "t").write_text("".join(f"a{line % 7} b{line % 5} c\n" for line in range(400)))
    return tmp_path / "t"


def interrupted(text: Path, monkeypatch: pytest.MonkeyPatch, *, while_reading: bool) -> Path:
    """Stop an encode, after the first checkpoint amid the text or before the shards are written; returns what it left."""

    def stop(*given: Any) -> None:
        raise InterruptedRun("stopped")

    with monkeypatch.context() as patch:
        if while_reading:
            save = PassCheckpoint.save
            patch.setattr(readers, "BLOCK_BYTES", 1 << 10)
            patch.setattr(first_pass, "CHECKPOINT_SECONDS", 0.0)
            patch.setattr(PassCheckpoint, "save", lambda self, at: (save(self, at), stop()))
        else:
            patch.setattr(second_pass, "Spooled", stop)
        with pytest.raises(InterruptedRun):
            encode(text, text.with_name("out"), OPTIONS, threads=1)
    return text.with_name("out.part")


def refused(text: Path, says: str) -> None:
    with pytest.raises(FormatError, match=says) as failure:
        encode(text, text.with_name("out"), OPTIONS, threads=1, resume=True)
    assert len(str(failure.value).splitlines()) == 1


def forge(work: Path, **changed: Any) -> None:
    """Change the record of what an interrupted run left, and make anew all the checksums in it."""
    record = work / "first-pass.json"
    fields = json.loads(record.read_text())
    del fields["checksum"]
    fields["spools"] = {name: Bound.of(work / name) for name in fields["spools"]}
    write_record(record, fields | changed)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tokens": -1}, "tokens is -1; it must be at least 0"),
        ({"tables": ["x"]}, r'tables\[0\] is "x"; it must be a whole number'),
        ({"name": "../"}, 'name is "../"; it must be the name of a pass'),
        ({"place": [9, 0]}, "place is .*; it must be in one of the texts"),
        ({"place": [0]}, "place is a list of 1; it must be a list of 2"),
        ({"texts": {}}, "texts is an object; it must be a list"),
        ({"tokens": 1199}, "tokens.spool: is not what the interrupted run left"),
        ({"documents": 3}, "documents.spool: is not what the interrupted run left"),
        ({"tables": []}, "blocks.spool: a value is outside 0 to -1"),
        ({"tables": [7]}, "rows-00000.spool: is not what the interrupted run left"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(text, monkeypatch, changed, says):
    forge(interrupted(text, monkeypatch, while_reading=False), **changed)
    refused(text, says)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[" * 10**5, b"\xff"])
def test_a_checkpoint_that_is_no_record_is_refused(text, monkeypatch, data):
    (interrupted(text, monkeypatch, while_reading=False) / "first-pass.json").write_bytes(data)
    refused(text, "first-pass.json: ")


@pytest.mark.parametrize(
    ("name", "kind", "place", "value", "says"),
    [
        ("tokens", np.int32, 5, 2**31 - 1, "tokens.spool: a value is outside -1 to"),
        ("tokens", np.int32, 5, -2, "tokens.spool: a value is outside -1 to"),
        ("documents", np.int64, 5, -(2**63), "documents.spool: its numbers do not rise to 1200"),
        ("documents", np.int64, -1, 2**40, "documents.spool: its numbers do not rise to 1200"),
        ("blocks", np.int64, 0, 5, "blocks.spool: its numbers do not rise to 1200"),
        ("blocks", np.int64, 1, 9, "blocks.spool: a value is outside 0 to 0"),
        ("rows-00000", np.int32, 0, 99, "rows-00000.spool: a value is outside -1 to 12"),
    ],
)
def test_a_spool_that_cannot_be_followed_is_refused(text, monkeypatch, name, kind, place, value, says):
    work = interrupted(text, monkeypatch, while_reading=False)
    change(work / f"{name}.spool", kind, place, value)
    forge(work)
    refused(text, says)


@pytest.mark.parametrize("value", [2**32 - 1, 2**63, 1 << 32, 0])
def test_a_word_table_that_cannot_be_followed_is_refused(text, monkeypatch, value):
    work = interrupted(text, monkeypatch, while_reading=True)
    change(work / "words-00000.spool", np.uint64, GROUPS + 1, value)  # its first record
    forge(work)
    refused(text, "words-00000.spool: is not what the interrupted run left")


def test_a_corpus_that_would_be_refused_is_not_finished(text, monkeypatch):
    work = interrupted(text, monkeypatch, while_reading=True)
    change(work / "words-00000.spool", np.int64, GROUPS + 2, 1 << 40)  # the count of its first word
    forge(work)
    refused(text, "tokens_in_vocabulary is")
    assert not text.with_name("out").exists()


def change(path: Path, kind: type, place: int, value: int) -> None:
    values = np.fromfile(path, kind)
    values[place] = value
    values.tofile(path)


@pytest.mark.parametrize("while_reading", [True, False])
def test_a_single_bit_of_what_an_interrupted_run_left_is_noticed(text, monkeypatch, while_reading):
    """A sound word in place of another, a word counted once more: nothing but a checksum tells."""
    work = interrupted(text, monkeypatch, while_reading=while_reading)
    left = {path.name: path.read_bytes() for path in work.iterdir()}
    names = sorted({*left} - {"lock", "plan.json"})
    assert {"first-pass.json", "tokens.spool", "documents.spool", "blocks.spool"} < {*names} and len(names) > 4
    for name in names:
        for bit in (0, 8 * (len(left[name]) // 2), 8 * len(left[name]) - 4):
            data = bytearray(left[name])
            data[bit >> 3] ^= 1 << (bit & 7)
            work.mkdir(exist_ok=True)
            for other, whole in left.items():
                (work / other).write_bytes(data if other == name else whole)
            refused(text, name)


def test_a_shard_of_another_corpus_is_not_taken_for_one_that_was_finished(text, monkeypatch):
    """Both have the same size, and with the vocabulary of another corpus no counts tell them apart."""
    monkeypatch.setattr(second_pass, "SHARD_TOKENS", 300)
    encode(text, text.with_name("words"), OPTIONS)
    options = EncodeOptions(vocabulary=str(text.with_name("words")))
    whole = encode(text, text.with_name("whole"), options).path
    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(second_pass, "write_manifest", lambda *given: (_ for _ in ()).throw(InterruptedRun("stopped")))
        encode(text, text.with_name("out"), options)
    work = text.with_name("out.part")
    (work / "tokens-00000.bin").write_bytes((work / "tokens-00001.bin").read_bytes())
    resumed = encode(text, text.with_name("out"), options, resume=True).path
    assert (resumed / "tokens-00000.bin").read_bytes() == (whole / "tokens-00000.bin").read_bytes()
    assert (resumed / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()


def test_what_is_missing_or_shorter_is_refused(text, monkeypatch):
    work = interrupted(text, monkeypatch, while_reading=True)
    for name in ("tokens", "words-00000"):
        data = (work / f"{name}.spool").read_bytes()
        (work / f"{name}.spool").unlink()
        refused_one(text, work, f"{name}.spool: is not what the interrupted run left", name, data)


def refused_one(text: Path, work: Path, says: str, name: str, data: bytes) -> None:
    """An error removes what cannot go on, so the rest is kept aside."""
    kept = {path.name: path.read_bytes() for path in work.iterdir()}
    refused(text, says)
    work.mkdir(exist_ok=True)
    for file, content in (kept | {f"{name}.spool": data}).items():
        (work / file).write_bytes(content)

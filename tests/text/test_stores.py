"""Texts in object stores: read as files are, by one process or several, and refused in one line where that cannot be."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from support.corpora import contents

from cooc_engine import encode, plan_encode, run, train
from cooc_engine.cli.app import main
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.text import stores
from cooc_engine.text.files import stamps
from cooc_engine.text.stores import StoredText, located

ALL = EncodeOptions(min_count=1)
TEXTS = {"a.txt": b"one two three\n" * 400, "b.txt.gz": gzip.compress(b"four five one\n\n" * 300)}


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    store = MemoryFileSystem()
    for name, data in TEXTS.items():
        store.pipe(f"/{name}", data)
    yield store
    store.store.clear()


@pytest.fixture
def files(tmp_path) -> list[Path]:
    for name, data in TEXTS.items():
        (tmp_path / name).write_bytes(data)
    return [tmp_path / name for name in TEXTS]


def words(at: Path) -> dict[str, bytes]:
    """All files of a corpus but the manifest, which has the names of the texts."""
    return {name: data for name, data in contents(at).items() if name != "manifest.json"}


def test_texts_of_a_store_are_encoded_as_files_are(memory, files, tmp_path):
    there = encode([f"memory://{name}" for name in TEXTS], tmp_path / "there", ALL)
    here = encode(files, tmp_path / "here", ALL)
    assert words(there.path) == words(here.path) and there.digest == here.digest
    assert plan_encode("memory://a.txt", tmp_path / "x", ALL).disk.output > 0


def test_workers_read_texts_of_a_store(files, tmp_path):
    """Each of another file, in a process of its own."""
    urls = [f"file://{path}" for path in files]
    shared = encode(urls, tmp_path / "shared", ALL, processes=2, threads=1)
    assert words(shared.path) == words(encode(files, tmp_path / "here", ALL).path)


def test_the_command_line_and_train_take_urls(memory, tmp_path, capfd):
    assert main(["encode", "memory://a.txt", "--output", str(tmp_path / "corpus"), "--progress", "none"]) == 0
    model = train("pmi", "memory://a.txt", tmp_path / "m.h5")
    assert model.matrix.shape[0] == 3


def test_a_job_names_urls_and_files_beside_it(memory, files, tmp_path):
    (tmp_path / "job.toml").write_text('[encode]\ntexts = ["a.txt", "memory://b.txt.gz"]\nmin-count = 1\n')
    run(tmp_path / "job.toml")
    assert words(tmp_path / "job" / "corpus") == words(encode(files, tmp_path / "here", ALL).path)
    assert run(tmp_path / "job.toml") == [], "what is finished is kept"


def test_a_text_that_is_not_there(memory, tmp_path):
    for function in (encode, plan_encode):
        with pytest.raises(InputError, match=r"^memory://none\.txt: no such file$"):
            function("memory://none.txt", tmp_path / "x", ALL)


@pytest.mark.parametrize(
    ("url", "said"), [("nothing://a/b", "Protocol not known: nothing"), ("dropbox://a/b", "needs another library .*dropbox")]
)
def test_a_store_that_cannot_be_read(tmp_path, url, said):
    with pytest.raises(UsageError, match=f"^{url}: {said}"):
        encode(url, tmp_path / "x", ALL)


def test_names_of_files_are_no_urls():
    for name in ("a.txt", "a:b", "-", "/x//y", b"a".decode(), "1://x"):
        assert located(name) == Path(name)
    assert located(StoredText("memory://a")) == StoredText("memory://a") == located("memory://a")


@pytest.mark.parametrize("data", [b"more words", b"six two three\n" * 400], ids=["shorter", "of the same size"])
def test_a_text_that_changes_while_it_is_read_is_an_error(memory, tmp_path, monkeypatch, data):
    original = stores._Raw.readinto

    def changing(self, target):
        memory.pipe("/a.txt", data)
        return original(self, target)

    before = stamps([located("memory://a.txt")])
    monkeypatch.setattr(stores._Raw, "readinto", changing)
    with pytest.raises(InputError, match=r"^memory://a\.txt: changed while it was read"):
        encode("memory://a.txt", tmp_path / "x", ALL)
    assert stamps([located("memory://a.txt")]) != before, "what is resumed is not mixed with it either"


def test_what_a_store_raises_is_one_line(memory, tmp_path, monkeypatch):
    """Libraries of stores have errors of their own, which are no `OSError`."""

    def failing(self, *_):
        raise LookupError("NoCredentials:\nlog in first")

    monkeypatch.setattr(MemoryFile, "read", failing)
    with pytest.raises(InputError, match=r"^memory://a\.txt: cannot be read \(LookupError: .*log in first.*\)$"):
        encode("memory://a.txt", tmp_path / "x", ALL)

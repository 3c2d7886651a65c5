"""Encoded corpora that are not what they claim to be: every relation that a reader relies on is checked where it is opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support import forge

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import FormatError

LINES = ["a b c a", "b a", "c c b a a b"]


def encoded(at: Path, lines=LINES, **options) -> Path:
    at.mkdir()
    (at / "text").write_text("\n".join(lines) + "\n")
    counted = {} if "vocabulary" in options else {"min_count": 1}
    return encode(at / "text", at / "corpus", EncodeOptions(**counted, **options)).path


@pytest.fixture
def path(tmp_path) -> Path:
    return encoded(tmp_path / "one")


def refused(path: Path, says: str) -> None:
    with pytest.raises(FormatError, match=says) as failure:
        count(path, path.parent / "cooc", threads=1)
    assert len(str(failure.value).splitlines()) == 1
    assert not (path.parent / "cooc").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tokens": 11}, "tokens is 11; it must be the sum over the shards"),
        ({"documents": 4}, "documents is 4; it must be the sum over the shards"),
        ({"tokens_in_vocabulary": 13}, "tokens_in_vocabulary is 13; it must be at most the tokens"),
        ({"tokens_in_vocabulary": 11}, "the counts of the words: the values do not sum to 11"),
        ({"shards": [[12]]}, r"shards\[0\] is a list of 1; it must be a list of 2"),
        ({"shards": None}, "shards is null; it must be a list"),
        ({"vocabulary": {"words": 0, "digest": "0" * 64}}, "vocabulary.words is 0; it must be at least 1"),
        ({"vocabulary": {"words": 4, "digest": "0" * 64}}, "the vocabulary is not the one its manifest names"),
        ({"options": []}, "options is a list of 0; it must be an object"),
        ({"files": {}}, "is not the file that the manifest names"),
        ({"files": {"vocab-text.bin": [1]}}, r'files."vocab-text.bin" is a list of 1; it must be a list of 2'),
        ({"texts": [1]}, r"texts\[0\] is 1; it must be a string"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused(path, changed, says):
    forge.remake(path, **changed)
    refused(path, f"^{path}.*{says}")


def test_a_manifest_of_version_2_binds_its_files(path):
    forge.remake(path)
    assert Corpus(path).shard(0).ids.tolist() == [0, 1, 2, 0, 1, 0, 2, 2, 1, 0, 0, 1]
    forge.remake(path, version=1)
    forge.remake(path, version=2, files=None)
    refused(path, "files is null; it must be an object")


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("vocab-counts.bin", np.array([5, 4], np.int64), "2 counts do not fit 3 words"),
        ("vocab-counts.bin", np.array([5, 4, -3], np.int64), "a count is negative"),
        ("vocab-offsets.bin", np.array([0, 2, 1, 3], np.int64), "its numbers do not rise to 3"),
        ("vocab-offsets.bin", np.array([0, 1, 2, 4], np.int64), "its numbers do not rise to 3"),
        ("vocab-offsets.bin", np.array([1, 1, 2, 3], np.int64), "the first offset is not 0"),
        ("vocab-text.bin", np.frombuffer(b"a\xffb", np.uint8), "a word is not UTF-8"),
        ("vocab-text.bin", np.frombuffer("aé".encode(), np.uint8), "a word is not UTF-8"),
    ],
)
def test_a_vocabulary_that_does_not_fit_together_is_refused(path, name, values, says):
    forge.put(path / name, values)
    forge.remake(path)
    refused(path, says)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("documents-00000.bin", np.array([0, 6, 4, 12], np.int64), "documents-00000.bin: its numbers do not rise to 12"),
        ("documents-00000.bin", np.array([0, 4, 2**62, 12], np.int64), "documents-00000.bin: its numbers do not rise to 12"),
        ("documents-00000.bin", np.array([0, -(2**63), 6, 12], np.int64), "documents-00000.bin: its numbers do not rise to 12"),
        ("documents-00000.bin", np.array([0, 4, 12], np.int64), "3 values where there must be 4"),
        ("tokens-00000.bin", np.full(12, 3, np.int32), "tokens-00000.bin: a value is outside -1 to 2"),
        ("tokens-00000.bin", np.full(12, -2, np.int32), "tokens-00000.bin: a value is outside -1 to 2"),
        ("tokens-00000.bin", np.zeros(11, np.int32), "11 values where there must be 12"),
        ("tokens-00000.bin", np.zeros(12, np.int64), "holds values of type '<i8', expected <i4"),
    ],
)
def test_a_shard_that_cannot_be_followed_is_refused(path, version, name, values, says):
    forge.put(path / name, values)
    forge.remake(path, version)
    refused(path, says)


@pytest.mark.parametrize("name", ["tokens-00000.bin", "documents-00000.bin"])
def test_a_shard_of_another_corpus_is_not_taken(tmp_path, path, name):
    """The same words in lines of another order: everything fits but what the manifest says of the file."""
    other = encoded(tmp_path / "two", [LINES[1], LINES[0], LINES[2]])
    shutil.copy(other / name, path / name)
    refused(path, f"{name}: is not the file that the manifest names")
    forge.remake(path, version=1)
    refused(path, "its shards are not those that its manifest names")


def test_counts_of_another_corpus_are_not_taken(tmp_path, path):
    for name in ("all", "some"):
        (tmp_path / name).mkdir()
    one = encoded(tmp_path / "half", ["a b", "c"], vocabulary=str(path))
    two = encoded(tmp_path / "rest", ["a a", "b"], vocabulary=str(path))
    shutil.copy(two / "word-counts.bin", one / "word-counts.bin")
    with pytest.raises(FormatError, match=r"word-counts.bin: is not the file that the manifest names"):
        _ = Corpus(one).counts
    forge.put(one / "word-counts.bin", np.array([2, 2, -1], np.int64))
    forge.remake(one)
    with pytest.raises(FormatError, match="the counts of the words: a value is negative"):
        _ = Corpus(one).counts


def test_the_vocabulary_of_another_corpus_is_not_lent(tmp_path, path):
    other = encoded(tmp_path / "two", [*LINES, "d e"])
    for file in other.glob("vocab-*.bin"):
        shutil.copy(file, path)
    with pytest.raises(FormatError, match="is not the file that the manifest names"):
        encode(tmp_path / "one" / "text", tmp_path / "more", EncodeOptions(vocabulary=str(path)))


def test_recorded_options_are_checked_before_anything_is_made_of_them(tmp_path):
    """Or a training that takes hours would end with a model that records what no reader accepts."""
    (tmp_path / "t").write_text("a b a b\n")
    corpus = encode(tmp_path / "t", tmp_path / "corpus", EncodeOptions(min_count=1))
    cooc = count(corpus, tmp_path / "cooc")
    options = {**corpus.manifest["options"], "max_vocab": {}}
    forge.remake(corpus.path, options=options)
    forge.remake(cooc.path, corpus={**cooc.manifest["corpus"], "options": options})
    for opened in (Corpus, Cooc):
        with pytest.raises(FormatError, match=r"max.vocab"):
            opened(tmp_path / opened.__name__.lower())

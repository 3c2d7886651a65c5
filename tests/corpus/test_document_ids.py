"""Ids of documents from a column: taken out of the text, kept in its order, whatever the text is cut into."""

from __future__ import annotations

import bz2
import itertools
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cooc_engine.corpus import second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.document_ids import document_ids
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, InterruptedRun, UsageError
from cooc_engine.evaluation.labelled import read_labelled
from cooc_engine.evaluation.options import ClusterOptions
from cooc_engine.text import readers
from cooc_engine.text.id_column import IdColumn


def options_of(column: int | None = 1, **more) -> EncodeOptions:
    return EncodeOptions(min_count=1, doc_id_column=column, **more)


def words_of(corpus: Corpus) -> list[list[str]]:
    shard = corpus.shard(0)
    return [[corpus.vocabulary.word(w) for w in shard.ids[a:b]] for a, b in zip(shard.offsets, shard.offsets[1:], strict=False)]


def test_numbers_are_ids_of_their_own_kind(tmp_path):
    least, most = -(2**63), 2**63 - 1
    (tmp_path / "a.txt").write_text(f"{least}\tice\n0\tice steam\n-7\tice\n", "utf-8")
    (tmp_path / "b.txt").write_text(f"{most}\tice", "utf-8")
    texts = [tmp_path / "a.txt", tmp_path / "b.txt"]
    corpus = encode(texts, tmp_path / "corpus", options_of(doc_id_type="int64"))
    assert [int(one) for one in document_ids(corpus).words] == [least, 0, -7, most]


@pytest.mark.parametrize("wrong", ["x", "1.0", "+1", "007", "-0", "1 ", str(2**63), str(-(2**63) - 1), "\u0663"])
def test_what_is_no_number_is_refused_with_its_line(tmp_path, wrong):
    (tmp_path / "a.txt").write_text("1\tice\n2\tice\n", "utf-8")
    (tmp_path / "b.txt").write_text(f"3\tice\n{wrong}\tice\n", "utf-8")
    texts = [tmp_path / "a.txt", tmp_path / "b.txt"]
    with pytest.raises(InputError, match=rf"b.txt:2: the document id '{re.escape(wrong)}' is not a 64-bit integer"):
        encode(texts, tmp_path / "corpus", options_of(doc_id_type="int64"))
    assert document_ids(encode(texts, tmp_path / "strings", options_of())).words[3] == wrong


def test_numbers_in_pieces_of_any_size():
    text = b"12\tx\n-345\ty\n67z\tx\n"
    for size in range(3, len(text)):
        ids = IdColumn(1, lambda part: None, numbers=True)
        left = bytearray(text)

        def strip(size=size, ids=ids, left=left) -> None:
            for begin in range(0, len(left), size):
                end = min(begin + size, len(left))
                ids.strip(memoryview(left)[begin:end], end - begin, "text")

        with pytest.raises(InputError, match="text:3: the document id '67z'"):
            strip()


def test_a_type_of_ids_needs_a_column():
    with pytest.raises(UsageError, match="pass doc_id_column too"):
        options_of(None, doc_id_type="int64")


characters = st.one_of(st.sampled_from(" \r\x85\u2028"), st.characters(exclude_characters="\t\n\0", exclude_categories=["Cs"]))
field = st.text(characters, min_size=1).filter(lambda text: text.removesuffix("\r").strip(" "))


def naive(text: bytes, column: int) -> list[bytes]:
    lines = text.removesuffix(b"\n").split(b"\n")
    return [line.removesuffix(b"\r").split(b"\t")[column - 1] for line in lines]


@given(st.lists(st.lists(field, min_size=3, max_size=3), min_size=1), st.integers(1, 3), st.integers(1, 9), st.booleans())
def test_the_column_is_taken_out_in_pieces_of_any_size(rows, column, size, ended):
    assume(not rows[0][0].startswith("\ufeff"))  # at the beginning of a text it marks the order of bytes
    text = ("\n".join("\t".join(row) for row in rows) + "\n" * ended).encode()
    taken: list[bytes] = []
    ids = IdColumn(column, lambda part: taken.append(part.tobytes()))
    left = bytearray(text)
    first = min(len(left), max(size, ids.least))
    for begin, end in itertools.pairwise([0, *range(first, len(left), size), len(left)]):
        ids.strip(memoryview(left)[begin:end], end - begin, "text")
    ids.strip(memoryview(bytearray(9)), 0, "text")
    wanted = naive(text, column)
    assert b"".join(taken) == b"".join(part + b"\n" for part in wanted)
    for line, row in zip(bytes(left).removesuffix(b"\n").split(b"\n"), rows, strict=True):
        kept = [b" " * len(one.encode()) if n == column else one.encode() for n, one in enumerate(row, 1)]
        assert line == b"\t".join(kept)


@pytest.mark.parametrize("tokenizer", ["whitespace", "regex"])
@pytest.mark.parametrize("threads", [1, 3])
def test_ids_are_no_text(tmp_path, tokenizer, threads):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfx\xc3\xa4 1\tice steam\r\n9223372036854775807\t\n")
    (tmp_path / "b.txt").write_bytes(b"last\tice")
    texts = [tmp_path / "a.txt", tmp_path / "b.txt"]
    corpus = encode(texts, tmp_path / "corpus", options_of(tokenizer=tokenizer), threads=threads)
    assert words_of(corpus) == [["ice", "steam"], [], ["ice"]]
    ids = document_ids(corpus)
    assert (ids.words, ids.counts.tolist()) == (["xä 1", "9223372036854775807", "last"], [2, 0, 1])
    assert [ids.find(name) for name in ("last", "xä 1", "x")] == [2, 0, -1]


def test_ids_of_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(second_pass, "SHARD_TOKENS", 700)
    lines = [f"ice{k % 7} steam\tid-{k}" for k in range(5000)]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n")
    corpus = encode(tmp_path / "a.txt", tmp_path / "corpus", options_of(2))
    assert document_ids(corpus).words == [f"id-{k}" for k in range(5000)]
    plain = encode_documents([line.split("\t")[0] for line in lines], tmp_path / "plain", options_of(None))
    assert corpus.digest == plain.digest, "the text is the same"


def test_a_mark_that_comes_in_pieces_is_no_part_of_an_id(tmp_path):
    text = "\ufeffa\tice\n\ufeffb\tice\n".encode()
    streams = b"".join(bz2.compress(text[at : at + 1]) for at in range(len(text)))
    (tmp_path / "a.txt.bz2").write_bytes(streams)
    corpus = encode(tmp_path / "a.txt.bz2", tmp_path / "corpus", options_of())
    assert document_ids(corpus).words == ["a", "\ufeffb"]


def test_ids_are_the_same_for_those_who_train_and_those_who_judge(tmp_path):
    """A carriage return before a line end belongs to this, one anywhere else to the id."""
    (tmp_path / "a.txt").write_bytes(b"ice\tx\t a\rb \r\nice\ty\tc\r\r\nice\tx\t\x0bd")
    ids = [" a\rb ", "c\r", "\x0bd"]
    assert document_ids(encode(tmp_path / "a.txt", tmp_path / "corpus", options_of(3))).words == ids
    [labelled] = read_labelled([tmp_path / "a.txt"], ClusterOptions(doc_id_column=3, label_column=2))
    assert (labelled.ids, labelled.labels) == (ids, ["x", "y", "x"])


FAULTS = [
    (b" \tx\n", 1, "a.txt:1: has no document id in column 1"),
    (b"x\t\r\n", 2, "a.txt:1: has no document id in column 2"),
    (b"a\tx\n\tx\n", 1, "a.txt:2: has no document id in column 1"),
    (b"a\tx\nb", 2, "a.txt:2: has no document id in column 2"),
    (b"a\tx\n\nb\tx\n", 1, "a.txt:2: has no document id"),
    (b"a\xff\tx\n", 1, "a.txt: a document id near line 2 is not UTF-8"),
    (b"a\0\tx\n", 1, "a document id has a NUL byte"),
]


@pytest.mark.parametrize(("text", "column", "why"), FAULTS, ids=str)
def test_lines_without_an_id_are_refused_by_their_place(tmp_path, text, column, why):
    (tmp_path / "a.txt").write_bytes(text)
    with pytest.raises(InputError, match=why):
        encode(tmp_path / "a.txt", tmp_path / "corpus", options_of(column))
    assert not (tmp_path / "corpus").exists()


def test_an_id_that_two_documents_have_is_refused(tmp_path):
    long = "the same in its first sixteen bytes "
    (tmp_path / "a.txt").write_text(f"{long}1\tx\nb\tx\n{long}2\tx\nb\tx\n")
    corpus = encode(tmp_path / "a.txt", tmp_path / "corpus", options_of())
    with pytest.raises(InputError, match="several documents have the id 'b'"):
        document_ids(corpus)
    (tmp_path / "a.txt").write_text(f"{long}1\tx\nb\tx\n{long}2\tx\n")
    assert len(document_ids(encode(tmp_path / "a.txt", tmp_path / "other", options_of()))) == 3


def test_an_interrupted_run_is_resumed_with_all_ids(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("".join(f"id{k}\tice steam\n" for k in range(300)))
    wanted = encode(tmp_path / "a.txt", tmp_path / "whole", options_of())
    with monkeypatch.context() as patch:
        patch.setattr("cooc_engine.corpus.encode.write_corpus", interrupted)
        with pytest.raises(InterruptedRun):
            encode(tmp_path / "a.txt", tmp_path / "corpus", options_of())
    found = encode(tmp_path / "a.txt", tmp_path / "corpus", options_of(), resume=True)
    assert found.manifest["files"] == wanted.manifest["files"]
    assert np.array_equal(document_ids(found).counts, document_ids(wanted).counts)
    assert sorted(path.name for path in found.path.iterdir()) == sorted(path.name for path in wanted.path.iterdir())


def interrupted(*given, **how):
    raise InterruptedRun("interrupted")


def test_documents_of_an_iterable_have_no_column(tmp_path):
    with pytest.raises(UsageError, match="documents of an iterable have none"):
        encode_documents(["a b"], tmp_path / "corpus", options_of())

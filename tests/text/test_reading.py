"""How files are read: what a document is, encodings, and bytes that are none of them."""

from __future__ import annotations

import gzip
import io
import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command import QUIET
from support.corpora import assert_twin, contents, read_back
from support.tokenizing import encode_text, options

from cooc_engine.cli.app import main
from cooc_engine.corpus import encode as encode_module
from cooc_engine.corpus import first_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, encode_documents, plan_encode
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.pipeline.train import train
from cooc_engine.text import readers
from cooc_engine.text import reading as reading_module
from cooc_engine.text.reading import Decoder, Reading
from cooc_engine.text.wrapping import wrapped_at
from cooc_engine.vectors.classifier import Classifier
from cooc_engine.vectors.quantisation import quantize

PLAIN = options("whitespace")


def how(**more):
    return options("whitespace", **more)


def documents(corpus: Corpus) -> list[list[str]]:
    found = read_back(corpus)
    return [[found.words[row].decode() for row in document] for document in found.documents]


# ------------------------------------------------------------------------------------------------------------- documents


def paragraphs(text: str) -> list[list[str]]:
    """The documents of a text that blank lines separate: a slow and obvious twin."""
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.split():
            found[-1] += line.split()
        elif found[-1]:
            found.append([])
    return [document for document in found if document]


@settings(deadline=None, max_examples=150)
@given(st.text(st.sampled_from("ab \n\n\r\t"), max_size=60), st.integers(1, 9), st.booleans())
def test_paragraphs_are_documents_in_blocks_and_pieces_of_any_size(tmp_path_factory, text, size, end):
    path = tmp_path_factory.mktemp("text") / "text"
    text = text + "\n" if end else text
    path.write_text(text, newline="")
    for unit, wanted in (("blank-line", paragraphs(text)), ("file", [text.split()])):
        reading = Reading(document=unit)
        blocks = readers.file_blocks([path], lambda: readers.Block.empty(64), reading=reading)
        data = b"".join(bytes(block.text[: block.size]) for block in blocks)
        assert [line.split() for line in data.decode().split("\n")[:-1]] == wanted and not data.rpartition(b"\n")[2].split()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(readers, "PIECE_BYTES", size)
            pieces = list(readers.file_pieces([path], 1000, reading=reading))
        joined = b"".join(piece.text for piece in pieces).decode()
        assert [line.split() for line in joined.removesuffix("\n").split("\n")] == (wanted or [[]]) or not (joined or wanted)


@pytest.mark.parametrize("name", ["whitespace", "mine:split"])
def test_a_document_is_a_line_a_paragraph_or_a_file(name):
    Path("one").write_text("a b\nc\n\n \n\nd e\n")
    Path("two").write_text("\n\nf")
    Path("none").write_text("")
    texts = ["one", "none", "two"]
    made = {
        unit: documents(encode(texts, f"c-{unit}", options(name, document=unit))) for unit in ("line", "blank-line", "file")
    }
    assert made["blank-line"] == [["a", "b", "c"], ["d", "e"], ["f"]]
    assert made["file"] == [["a", "b", "c", "d", "e"], [], ["f"]], "documents are as many as files, in their order"
    assert made["line"] == [["a", "b"], ["c"], [], [], [], ["d", "e"], [], [], ["f"]]
    assert Corpus("c-file").manifest["options"]["document"] == "file"


def test_the_same_bytes_for_any_threads_and_budget(monkeypatch):
    text = "".join(f"w{n % 91} é{n % 7}{chr(10) * (1 + n % 3 % 2) if n % 5 == 0 else ' '}" for n in range(60_000))
    chosen = how(document="blank-line", errors="skip", encoding="utf-16")
    Path("text").write_bytes(text.encode("utf-16"))
    seen = [contents(encode("text", f"c{n}", chosen, threads=n, memory=m).path) for n, m in ((1, "64M"), (2, "1G"))]
    assert seen[0] == seen[1]
    assert documents(Corpus("c1")) == paragraphs(text)


def test_faults_name_the_document_or_the_byte():
    Path("mine.py").write_text("def f(text):\n    if 'bad' in text: raise ValueError('x')\n    return text.split()\n")
    with pytest.raises(InputError, match=r"^text: document 2: tokenizer mine:f failed"):
        encode_text("a\nb\n\nc\nbad\n", options("mine:f", document="blank-line"))
    with pytest.raises(InputError, match=r"^text: byte 0xff is not UTF-8 \(at byte 6\)"):
        encode_text(b"a\nb\n\nc\xff\n", how(document="blank-line"))
    with pytest.raises(UsageError, match="doc_id_column is for documents that are lines; leave it out with document='file'"):
        how(document="file", doc_id_column=1)


# ------------------------------------------------------------------------------------------------- encodings and bad bytes


@pytest.mark.parametrize("encoding", ["gb18030", "latin-1", "utf-16", "utf-16-le", "shift_jis", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("size", [1, 3, 1 << 18])
def test_text_in_any_encoding(monkeypatch, encoding, size):
    monkeypatch.setattr(reading_module, "CHUNK", size)
    letters = "東京 大学" if encoding in ("gb18030", "shift_jis") else "café über"
    text = f"tea {letters}\nx {letters}\r\n"
    for name in ("whitespace", "mine:split"):
        corpus = encode_text(text.encode(encoding), options(name, encoding=encoding))
        assert_twin(corpus, [[word.encode() for word in line.split()] for line in text.splitlines()])
    Path("text.gz").write_bytes(gzip.compress(text.encode(encoding)))
    assert encode("text.gz", "packed", how(encoding=encoding)).digest == corpus.digest
    assert plan_encode("text.gz", "other", how(encoding=encoding)).peak is not None


@pytest.mark.parametrize(
    "data, encoding, says",
    [
        (
            b"caf\xe9 au lait",
            "utf-8",
            "t: byte 0xe9 is not UTF-8 (at byte 3); name the text's encoding, or pass errors=",
        ),
        (b"a \x81\xff b", "gb18030", "t: byte 0x81 is not gb18030 (at byte 2); name the"),
        ("a b".encode("utf-16")[:-1], "utf-16", "t: byte 0x62 is not utf-16 (at byte 6); name"),
        (b"a\0b", "latin-1", "t: a NUL before byte 3; is it iso8859-1?; name the"),
        ("a b".encode("utf-16-le"), "utf-8", "t: a NUL byte; is it a binary file? (at byte 1); name the"),
        (b"+2AA-", "utf-7", "t: is not utf-7 ("),
    ],
)
def test_what_is_not_in_the_encoding_is_named(data, encoding, says):
    Path("t").write_bytes(data)
    with pytest.raises(InputError) as caught:
        encode("t", "corpus", how(encoding=encoding))
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("name", ["utf9", "rot13", "base64", "zip", "", "a\0b", "é" * 9])
def test_encodings_that_are_none(name):
    with pytest.raises(UsageError, match="it must be one that Python knows, such as utf-8"):
        how(encoding=name)
    assert how(encoding="UTF8").encoding == "utf-8" and how(encoding="Latin1").encoding == "iso8859-1"


PARTS = [b"a", b" ", b"\n", b"\0", b"\xff", b"\xe9", b"\xf0\x9f\x98\x80", b"\xf0\x9f", b"\xed\xa0\x80"]
BAD = b"a b\xff\xfec \xe9t\xe9 \xf0\x9f\x98 d\0e\n\xed\xa0\x80x \0\n"


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(PARTS)), st.integers(1, 5))
def test_what_is_no_text_is_replaced_or_skipped_as_python_does(parts, size):
    data = b"".join(parts)
    for errors, wanted in (
        ("replace", data.decode(errors="replace").replace("\0", "\ufffd")),
        ("skip", data.decode(errors="ignore").replace("\0", "")),
    ):
        reading, source = Reading(errors=errors), io.BytesIO(data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading_module, "CHUNK", size)
            decoder = Decoder(reading, "text", source.readinto)
        found, target = bytearray(), memoryview(bytearray(7))
        while n := decoder.readinto(target):
            found += target[:n]
        assert found.decode() == wanted
        assert reading.faults == data.decode(errors="replace").replace("\0", "\ufffd").count("\ufffd")


@pytest.mark.parametrize("name", ["whitespace", "mine:split"])
@pytest.mark.parametrize("errors", ["replace", "skip"])
def test_bad_bytes_do_not_end_a_run_that_may_replace_or_skip_them(capsys, name, errors):
    Path("text").write_bytes(BAD * 3)
    more = ["--errors", errors, "--tokenizer", name, "--min-count", "1", "--json", *QUIET]
    assert main(["encode", "text", "--output", "corpus", *more]) == 0
    told, corpus = json.loads(capsys.readouterr().out), Corpus("corpus")
    text = BAD.decode(errors="replace").replace("\0", "\ufffd")
    assert told["faults"] == corpus.manifest["faults"] == 3 * text.count("\ufffd")
    wanted = text if errors == "replace" else text.replace("\ufffd", "")
    assert documents(corpus) == 3 * [line.split() for line in wanted.split("\n")[:-1]]
    assert main(["encode", "text", "--output", "more", *more[:-3], *QUIET]) == 0
    done = "replaced" if errors == "replace" else "skipped"
    assert f", {told['faults']} faults {done}, " in capsys.readouterr().out


def test_half_pairs_in_documents_are_replaced_too():
    texts = ["a\ud800 b", "c\0", ["d"]]
    for name in ("whitespace", "mine:split"):
        corpus = encode_documents(texts, "corpus", options(name, errors="replace"), force=True)
        assert documents(corpus) == [["a\ufffd", "b"], ["c\ufffd"], ["d"]] and corpus.manifest["faults"] == 2
    with pytest.raises(UsageError, match="encoding is for text files; documents of an iterable have none"):
        encode_documents(texts, "corpus", how(encoding="latin-1"))


def test_the_plain_text_has_no_stages(monkeypatch):
    def no(*given):
        raise AssertionError("plain UTF-8 of lines goes to the kernels as it is")

    monkeypatch.setattr(readers, "Decoder", no)
    monkeypatch.setattr(readers, "LineJoiner", no)
    assert encode_text("a b\n", PLAIN).tokens == 2
    assert "faults" not in Corpus("corpus").manifest


# ---------------------------------------------------------------------------------------------------------------- resuming


def test_a_run_goes_on_within_a_file_with_the_same_bytes_and_the_same_tally(monkeypatch):
    for number in (1, 2):
        lines = (f"w{n % 977} caf\xe9 {n % 31}\n" + "\n" * (n % 4 == 0) for n in range(40_000))
        Path(f"t{number}").write_bytes("".join(lines).encode("latin-1"))
    texts, chosen = ["t1", "t2"], how(document="blank-line", errors="replace")
    whole = encode(texts, "whole", chosen, threads=1, memory="16M")
    monkeypatch.setattr(first_pass, "CHECKPOINT_SECONDS", 0.0)
    save, saved = first_pass.PassCheckpoint.save, []

    def stop(point, directory):
        save(point, directory)
        saved.append(point.place)
        if point.place and point.place.file == 1 and point.place.byte > 1 << 18:
            raise KeyboardInterrupt

    monkeypatch.setattr(encode_module.PassCheckpoint, "save", stop)
    with pytest.raises(Exception, match="interrupted"):
        encode(texts, "corpus", chosen, threads=1, memory="16M")
    monkeypatch.setattr(encode_module.PassCheckpoint, "save", save)
    resumed = encode(texts, "corpus", chosen, threads=1, memory="16M", resume=True)
    assert saved[-1].file == 1 and resumed.manifest["faults"] == whole.manifest["faults"] == 80_000
    assert contents(resumed.path) == contents(whole.path)


# ------------------------------------------------------------------------------------------------------------ wrapped lines


WORDS = ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "have", "themselves"]


def prose(seed: int, width: int | None) -> str:
    """Paragraphs of four sentences, in lines of at most `width` characters, or each sentence in a line."""
    rng = np.random.default_rng(seed)
    sentences = [" ".join(rng.choice(WORDS, rng.integers(3, 30))) + "." for _ in range(600)]
    if width is None:
        return "\n".join(sentences)
    groups = [" ".join(sentences[at : at + 4]) for at in range(0, 600, 4)]
    return "\n\n".join(textwrap.fill(group, width) for group in groups)


def test_lines_that_were_broken_at_a_width_are_noticed(capfd):
    assert wrapped_at(prose(1, None).encode()) is None
    assert 66 <= wrapped_at(prose(1, 72).encode()) <= 72
    assert wrapped_at(prose(1, 72)[:2000].encode()) is None, "too little to tell"
    assert wrapped_at(("words of equal documents are as long as others\n" * 500).encode()) is None
    for width, unit in ((72, "line"), (None, "line"), (72, "blank-line")):
        Path("text").write_text(prose(2, width))
        assert main(["encode", "text", "--output", "c", "--force", "--document", unit, "--progress", "lines"]) == 0
        assert ("pass --document blank-line" in capfd.readouterr().err) == (width == 72 and unit == "line")


# ------------------------------------------------------------------------------------------------------ what models remember


def test_a_classifier_reads_files_as_its_text_was_read(capsys):
    lines = [f"__label__{kind} caf\xe9{kind} w{n}\nmore {kind}\n\n" for n in range(40) for kind in "ab"]
    Path("text").write_bytes("".join(lines).encode("latin-1"))
    chosen = SupervisedOptions(vector_size=4, epochs=20, lr=0.5)
    train("supervised", "text", "m.h5", chosen, encode=how(encoding="latin-1", document="blank-line"), threads=1)
    Path("new").write_bytes("caf\xe9a\nmore a\n\n\ncaf\xe9b\n".encode("latin-1"))
    [answers] = Classifier.open("m.h5").predict_file("new")
    assert len(answers.numbers) == 2
    assert main(["predict", "m.h5", "new"]) == 0
    assert capsys.readouterr().out.split() == ["__label__a", "__label__b"]
    quantize("m.h5", "q.h5", QuantizeOptions(cutoff=30, retrain="text"), threads=1)
    assert Classifier.open("q.h5").predict("caf\xe9b more b")[0] == ("__label__b",)


def test_new_documents_are_read_as_those_of_the_training(capsys):
    Path("text").write_text("a b\nc d\n\nd c b\n" * 9)
    train("doc2vec", "text", "m.h5", Doc2vecOptions(vector_size=4, epochs=2), encode=how(document="file"), threads=1)
    assert main(["infer", "m.h5", "text", "text"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("record", [{"encoding": "nosuch"}, {"errors": 3}, {"document": "page"}, {"encoding": ["a"]}])
def test_a_record_of_another_shape_is_an_error(record):
    with pytest.raises(FormatError, match="does not record how its text was read"):
        Reading.of(record, "m.h5")


@pytest.mark.parametrize("lines", [50_000, 200_000])
def test_a_text_that_changes_while_its_lines_are_read_is_an_error(tmp_path, lines):
    path = tmp_path / "text.txt"
    path.write_text("a b c\n" * 100_000)
    batches = readers.line_batches([path], 1 << 10)
    next(batches)
    path.write_text("a b c\n" * lines)
    with pytest.raises(InputError, match=r"text\.txt: changed while it was read"):
        list(batches)

"""Encoding against its slow twin: words, counts, documents, shards; every way in; every fault by its byte."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.corpora import ALL, assert_twin, contents, read_back
from support.packing import COMPRESS
from twins import encoding as naive

from cooc_engine._kernels.encoding import PADDING
from cooc_engine.corpus import encode as encode_module
from cooc_engine.corpus import first_pass, second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import WordTable, rank_words
from cooc_engine.errors import InputError, InterruptedRun, UsageError
from cooc_engine.storage.arrays import ArrayFiles
from cooc_engine.text import readers

some = settings(deadline=None, max_examples=60)


@pytest.fixture
def small(monkeypatch):
    """Blocks, pieces and shards so small that every text is cut everywhere."""
    cut_small(monkeypatch)


def cut_small(patch: pytest.MonkeyPatch) -> None:
    for owner, name, value in ((readers, "BLOCK_BYTES", 64), (first_pass, "PIECE_TOKENS", 5), (second_pass, "SHARD_TOKENS", 7)):
        patch.setattr(owner, name, value)


def encode_bytes(texts: list[bytes], options: EncodeOptions = ALL, **how) -> tuple[Corpus, dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"{number}.txt" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text)
        corpus = encode(paths, Path(directory) / "corpus", options, **how)
        files = contents(corpus.path)
        del files["manifest.json"]  # it holds the names of the texts
        corpus.back, corpus.words = read_back(corpus), corpus.vocabulary  # while the files are there
        return corpus, files


# Words of every length around the chunks of 8 bytes that the kernel takes, and every kind of byte.
LETTERS = "ab!~é日𝔘\u00a0\u2003\u3000\u0085\u2028\x1c\x1f\x7f\x01\x08\x0e\x1b\ufeff"
words = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.sampled_from([n * "x" for n in (1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 40)] + [8 * "y", 16 * "z", 8 * "é", "x" * 15 + "é"]),
)
gaps = st.sampled_from([" ", "  ", "\t", "\n", "\n\n", "\r\n", " \r\n\r\n", "\v", "\f", " \n "])
texts = st.builds(
    lambda mark, start, parts: (mark + start + "".join(word + gap for word, gap in parts)).encode(),
    st.sampled_from(["", "", "\ufeff"]),
    st.sampled_from(["", " ", "\n", "\r\n"]),
    st.lists(st.tuples(words, gaps), max_size=40),
)
endings = st.sampled_from([b"", b"last", "é".encode(), b" ", b"\n", b"\r"])
many_texts = st.lists(st.builds(bytes.__add__, texts, endings), min_size=1, max_size=3)


# --------------------------------------------------------------------------------------------------- equal to the twin


@some
@given(many_texts, st.integers(1, 3), st.one_of(st.none(), st.integers(1, 8)))
@example([b"a b\n"], 1, None)
@example([b"\xef\xbb\xbfa b\n\xef\xbb\xbfa"], 1, None)
@example([b"", b"a", b"\n"], 1, None)
@example([b"\xef\xbb\xbf", b"a"], 1, None)
def test_equal_to_the_twin(pieces, min_count, max_vocab):
    options = EncodeOptions(min_count=min_count, max_vocab=max_vocab)
    docs = naive.documents(pieces)
    wanted = naive.encode(docs, min_count, max_vocab)
    if not wanted.words:
        with pytest.raises(InputError, match=r"0\.txt.*: (contains no words|no word occurs)"):
            encode_bytes(pieces, options)
        return
    corpus, _ = encode_bytes(pieces, options)
    assert corpus.back == wanted
    assert corpus.documents == len(docs)


@some
@given(many_texts)
def test_equal_to_the_twin_however_it_is_cut(pieces):
    docs = naive.documents(pieces)
    if not any(docs):
        return
    with pytest.MonkeyPatch.context() as patch:
        cut_small(patch)
        seen = [encode_bytes(pieces, threads=threads) for threads in (1, 2, 3)]
    assert seen[0][0].back == naive.encode(docs)
    assert seen[0][1] == seen[1][1] == seen[2][1]


def test_control_characters_and_odd_spaces_belong_to_words():
    text = "a\x1cb a\u00a0b a\u2003b \x00".replace("\x00", "\x1f").encode() + b"\n"
    corpus, _ = encode_bytes([text])
    assert corpus.words.words == sorted(["a\x1cb", "a\u00a0b", "a\u2003b", "\x1f"], key=str.encode)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 39, 40])
@pytest.mark.parametrize("before", range(9))
def test_words_at_every_place_of_a_chunk(length, before, tmp_path):
    text = b"x" * before + b" " + b"w" * length + b"\n" + b"w" * length + b"\n"
    (tmp_path / "t").write_bytes(text)
    assert_twin(encode(tmp_path / "t", tmp_path / "c", ALL), naive.documents([text]))


def test_ties_go_to_the_smaller_bytes_also_past_the_sorted_prefix(tmp_path):
    same = "p" * 16
    tied = [same + tail for tail in ("", "b", "a", "a" * 9, "a" * 8 + "é", "é")] + ["P", "é", "z", "日"]
    tied += [8 * "q" + tail for tail in ("", "b", "a", "ab", "aaaaaaab", "aaaaaaaa", "é", "aaaaaaaaz")]
    random.Random(3).shuffle(tied)
    (tmp_path / "t").write_text(" ".join(tied) + " z", encoding="utf-8")
    for most in (None, 1, 3, 8, 100):
        options = EncodeOptions(min_count=1, max_vocab=most)
        corpus = encode(tmp_path / "t", tmp_path / f"c{most}", options)
        assert corpus.vocabulary.words == ["z", *sorted(set(tied) - {"z"}, key=str.encode)][:most]


def test_many_distinct_words_make_the_tables_grow(tmp_path):
    rng = random.Random(1)
    words = [f"{rng.getrandbits(64):x}" * rng.choice([1, 1, 3]) for _ in range(150_000)]
    text = "".join(f"{w}{'' if i % 3 else ' the'}{chr(10) if i % 7 == 0 else ' '}" for i, w in enumerate(words)).encode()
    (tmp_path / "t").write_bytes(text)
    files = []
    for threads in (1, 3):
        corpus = encode(tmp_path / "t", tmp_path / f"c{threads}", ALL, threads=threads)
        files.append(contents(corpus.path))
    assert files[0] == files[1]
    assert_twin(corpus, naive.documents([text]))


def test_a_table_that_grows_by_merging_keeps_its_words(monkeypatch):
    tables, counts = [], Counter()
    for part in range(3):
        table, words = WordTable(), [f"w{(i * 7919 + part) % 50_000}" for i in range(40_000)]
        counts.update(words)
        block = readers.Block(np.frombuffer((" ".join(words) + "\n").encode() + bytes(PADDING), np.uint8).copy())
        block.size = len(block.text) - PADDING
        first_pass._tokenize_block(
            first_pass._PieceBuffers(block, np.empty(len(words) + 1, np.int32), np.empty(0, np.int64)), table
        )
        tables.append(table)
    for table in tables[1:]:
        tables[0].add(table.words)
    vocabulary = rank_words(tables[0], 1, None)
    assert dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True)) == counts


def test_a_line_of_a_million_words_is_one_document(tmp_path):
    rng = np.random.default_rng(0)
    text = b" ".join(b"w%d" % i for i in rng.integers(0, 3000, 1_000_000)) + b"\nnext\n"
    (tmp_path / "t").write_bytes(text)
    corpus = encode(tmp_path / "t", tmp_path / "c", ALL)
    assert corpus.documents == 2
    assert corpus.shard(0).offsets.tolist() == [0, 1_000_000, 1_000_001]
    assert_twin(corpus, naive.documents([text]))


@pytest.mark.parametrize("ending", [b"x", b" ", b"\n", b"x \n", b"x \ny", b"\r", b"\n "])
@pytest.mark.parametrize("size", [*range(60, 70), *range(122, 134)])
def test_a_last_line_that_ends_where_a_block_ends(tmp_path, small, size, ending):
    text = (b"abc de " * size)[: size - len(ending)] + ending
    (tmp_path / "t").write_bytes(text)
    assert_twin(encode(tmp_path / "t", tmp_path / "c", ALL), naive.documents([text]))


def test_the_same_bytes_for_any_threads(tmp_path, small):
    rng = random.Random(5)
    text = "".join(f"w{min(rng.randrange(60), rng.randrange(60))}{rng.choice('     ' + chr(10))}" for _ in range(800))
    (tmp_path / "t").write_text(text)
    seen = [contents(encode(tmp_path / "t", tmp_path / f"c{n}", EncodeOptions(min_count=3), threads=n).path) for n in (1, 2, 3)]
    assert seen[0] == seen[1] == seen[2]
    assert sum(name.startswith("tokens-") for name in seen[0]) > 10


def test_documents_stay_whole_when_shards_are_cut(tmp_path, small):
    text = b"a b c d e f g h i j\n\n\nk\nl m n o p q\nr s\n"  # the first is longer than a shard
    (tmp_path / "t").write_bytes(text)
    corpus = encode(tmp_path / "t", tmp_path / "c", ALL)
    assert [len(corpus.shard(n).ids) for n in range(corpus.shards)] == [10, 7, 2]
    assert_twin(corpus, naive.documents([text]))


def test_the_digest_does_not_depend_on_the_cut_but_on_the_order(tmp_path, monkeypatch):
    for name, text in (("t", "a b\nc\n" * 9), ("u", "c\na b\n" * 9)):
        (tmp_path / name).write_text(text)
    whole = encode(tmp_path / "t", tmp_path / "whole", ALL)
    other = encode(tmp_path / "u", tmp_path / "other", ALL)
    cut_small(monkeypatch)
    assert encode(tmp_path / "t", tmp_path / "cut", ALL).digest == whole.digest != other.digest


# ----------------------------------------------------------------------------------------------------------- ways in


TEXT = "".join(f"w{i % 977} ü{i % 31}{chr(10) if i % 11 == 0 else ' '}" for i in range(20_000)).encode()


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("name", ["t.txt", "t", "t.gz", "t.zst"])
def test_compressed_by_the_first_bytes_whatever_the_name(tmp_path, kind, name):
    (tmp_path / name).write_bytes(COMPRESS[kind](TEXT))
    assert_twin(encode(tmp_path / name, tmp_path / "c", ALL), naive.documents([TEXT]))


@pytest.mark.parametrize("kind", COMPRESS)
def test_several_compressed_streams_in_one_file(tmp_path, kind):
    half = len(TEXT) // 2
    (tmp_path / "t").write_bytes(COMPRESS[kind](TEXT[:half]) + COMPRESS[kind](TEXT[half:]))
    assert_twin(encode(tmp_path / "t", tmp_path / "c", ALL), naive.documents([TEXT]))


@pytest.mark.parametrize("kind", COMPRESS)
def test_truncated_anywhere(tmp_path, kind):
    data = COMPRESS[kind](random.Random(0).randbytes(3000).hex().encode() + b"\n" + TEXT)
    for place in [6, 7, 12, len(data) // 2, len(data) - 9, len(data) - 1]:
        (tmp_path / "t").write_bytes(data[:place])
        with pytest.raises(InputError, match=r"t: (damaged or truncated|cannot be read)") as caught:
            encode(tmp_path / "t", tmp_path / "c", ALL)
        assert "\n" not in str(caught.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]


def shrink(path):
    path.write_bytes(path.read_bytes()[:-4])


def grow(path):
    with path.open("ab") as file:
        file.write(path.read_bytes())


def replace(path):
    """By another file of the same size and time."""
    other, old = path.with_name("other"), path.stat()
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    "change, early", [(shrink, True), (grow, True), (replace, True), (shrink, False), (Path.unlink, False)]
)
@pytest.mark.parametrize("name, pack", [("t.txt", bytes), ("t.gz", gzip.compress)])
@pytest.mark.parametrize("tokenizer", ["whitespace", "regex"])
def test_a_text_that_changes_while_it_is_read(tmp_path, monkeypatch, change, early, name, pack, tokenizer):
    path, tokenize = tmp_path / name, encode_module.tokenize
    path.write_bytes(pack(b"one two two one\n" * 9))

    def changing(*given):
        if early:
            change(path)
        tokenize(*given)
        if not early:
            change(path)

    monkeypatch.setattr(encode_module, "tokenize", changing)
    with pytest.raises(InputError, match=f"{name}: (changed while it was read|damaged or truncated|cannot be read)"):
        encode(path, tmp_path / "c", EncodeOptions(min_count=1, tokenizer=tokenizer), threads=1)
    assert not (tmp_path / "c").exists() and not (tmp_path / "c.part").exists()


@pytest.mark.parametrize("kind", COMPRESS)
def test_damaged_in_the_middle(tmp_path, kind):
    data = bytearray(COMPRESS[kind](random.Random(0).randbytes(30_000).hex().encode().replace(b"0", b" ")))
    data[len(data) // 2] ^= 0xFF
    data[len(data) // 2 + 1] ^= 0xFF
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(InputError, match=r"t: (damaged or truncated|cannot be read)"):
        encode(tmp_path / "t", tmp_path / "c", ALL)


def test_several_files_are_read_in_order_and_each_ends_its_line(tmp_path):
    pieces = [b"a b", gzip.compress(b"c a\n"), b"", b"\xef\xbb\xbfb"]
    for number, piece in enumerate(pieces):
        (tmp_path / str(number)).write_bytes(piece)
    corpus = encode([tmp_path / str(n) for n in range(4)], tmp_path / "c", ALL)
    assert_twin(corpus, [[b"a", b"b"], [b"c", b"a"], [b"b"]])
    assert corpus.manifest["texts"] == [str(tmp_path / str(n)) for n in range(4)]


def stdin(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_standard_input(tmp_path, monkeypatch, pack):
    stdin(monkeypatch, pack(TEXT))
    assert_twin(encode("-", tmp_path / "c", ALL), naive.documents([TEXT]))
    assert not sys.stdin.buffer.closed


def test_standard_input_that_was_read_already_is_empty(tmp_path, monkeypatch):
    stdin(monkeypatch, b"a b\n")
    assert_twin(encode(["-", "-"], tmp_path / "c", ALL), [[b"a", b"b"]])


def test_closed_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="-: the standard input is closed"):
        encode("-", tmp_path / "c", ALL)


def test_a_file_name_that_is_not_utf8(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xff.txt"))
    path.write_bytes(b"a b\n")
    corpus = encode(path, tmp_path / "c", ALL)
    assert corpus.manifest["texts"] == [f"{tmp_path}/t\\xff.txt"]
    assert Corpus(tmp_path / "c").manifest == corpus.manifest


def test_a_text_that_begins_nearly_like_a_compressed_one(tmp_path):
    (tmp_path / "t").write_bytes(b"BZhang wrote it\n")
    assert encode(tmp_path / "t", tmp_path / "c", ALL).tokens == 3


# --------------------------------------------------------------------------------------------------- from Python


def test_documents_as_strings_words_and_a_generator(tmp_path):
    given = ["a b\nc", ["d", "e é"[2:], "a"], "", [], "x\u00a0y z"]
    docs = [b"a b c".split(), [b"d", "é".encode(), b"a"], [], [], ["x\u00a0y".encode(), b"z"]]
    assert_twin(encode_documents(given, tmp_path / "list", ALL), docs)
    assert_twin(encode_documents((document for document in given), tmp_path / "generator", ALL), docs)


@some
@given(st.lists(texts.map(bytes.decode).map(lambda t: t.removeprefix("\ufeff")), min_size=1, max_size=8))
def test_documents_are_cut_like_files(docs):
    wanted = [document.encode().split() for document in docs]
    if not any(wanted) or (wanted[0][:1] and wanted[0][0].startswith(naive.BOM)):
        return
    with tempfile.TemporaryDirectory() as directory:
        corpus = encode_documents(docs, Path(directory) / "c", ALL)
        assert read_back(corpus) == naive.encode(wanted)


@pytest.mark.parametrize("document", [["New York"], ["a", ""], ["a\nb"], ["x\t"]])
def test_a_word_that_the_tokeniser_would_cut_is_refused(tmp_path, document):
    with pytest.raises(InputError, match="document 2 has a word that is empty, or holds white space"):
        encode_documents([["fine"], document], tmp_path / "c", ALL)
    assert list(tmp_path.iterdir()) == []


def test_a_lone_surrogate_from_python_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"documents: byte 0xed is not UTF-8 \(at byte 2\)"):
        encode_documents(["a \ud800"], tmp_path / "c", ALL)


def test_no_documents(tmp_path):
    with pytest.raises(InputError, match="documents: contains no words"):
        encode_documents(iter([]), tmp_path / "c", ALL)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ faults

FAULTS = {
    "overlong": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\xaf",
    "overlong of four": b"\xf0\x80\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "lone continuation": b"\x80",
    "cut by a space": b"\xe2\x82 ",
    "cut by the end": b"\xe2\x82",
    "past the last code point": b"\xf4\x90\x80\x80",
    "never a byte of UTF-8": b"\xff",
    "NUL": b"\0",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(
    "before", [b"", b"fine words\n", b"\xef\xbb\xbfa ", b"abcdefg", b"abcdefghijklmn\xc3\xa9", b"w " * 300]
)
@pytest.mark.parametrize("block", [64, 4 << 20])
def test_faults_by_their_byte(tmp_path, monkeypatch, fault, before, block):
    monkeypatch.setattr(readers, "BLOCK_BYTES", block)
    text = before + fault
    (tmp_path / "t").write_bytes(text)
    with pytest.raises(InputError, match=rf"t: .*\(at byte {naive.first_fault(text)}\)"):
        encode(tmp_path / "t", tmp_path / "c", ALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]


# Bytes near the borders of the ranges of UTF-8.
edges = st.sampled_from(bytes.fromhex("20417f808f909fa0bfc0c1c2dfe0e1eceeedeff0f1f3f4f5ff"))
mixtures = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.lists(edges, min_size=1, max_size=10).map(bytes),
    st.lists(st.one_of(st.characters(codec="utf-8").map(str.encode), edges.map(lambda b: bytes([b]))), max_size=6).map(
        b"".join
    ),
)


@settings(deadline=None, max_examples=300)
@given(mixtures)
def test_accepted_if_and_only_if_python_decodes_it(text):
    assume(not text.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")))  # those are compressed
    fault = naive.first_fault(text)
    if fault is not None:
        with pytest.raises(InputError, match=rf"\(at byte {fault}\); name the text's encoding, or pass errors='replace'$"):
            encode_bytes([text])
    elif text.removeprefix(naive.BOM).split():
        encode_bytes([text])


def test_no_white_space_at_all_is_no_text(tmp_path, small):
    (tmp_path / "t").write_bytes(b"x" * 65)
    with pytest.raises(InputError, match=r"t: no white space in .* from byte 0 on"):
        encode(tmp_path / "t", tmp_path / "c", ALL)


@pytest.mark.parametrize("text", [b"", b" \n\t\r\n", b"\xef\xbb\xbf"])
def test_no_words(tmp_path, text):
    (tmp_path / "t").write_bytes(text)
    with pytest.raises(InputError, match="t: contains no words"):
        encode(tmp_path / "t", tmp_path / "c", ALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]


def test_no_word_over_min_count_names_file_and_the_nearest_miss(tmp_path):
    (tmp_path / "t").write_bytes(b"a b a\n")
    with pytest.raises(InputError, match=r"t: no word occurs 5 times or more \(the most frequent, 'a', 2\); lower min_count"):
        encode(tmp_path / "t", tmp_path / "c")


# -------------------------------------------------------------------------------- what goes wrong on the way


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("number", [0, 3, 40])
def test_an_error_in_any_block_ends_the_run_cleanly(tmp_path, small, monkeypatch, threads, number):
    """A fault in block `number`, in a worker, with other blocks under way."""
    text = bytearray(b"some words \n" * 300)
    text[64 * number + 1] = 0xFF
    (tmp_path / "t").write_bytes(text)
    with pytest.raises(InputError, match=rf"\(at byte {64 * number + 1}\)"):
        encode(tmp_path / "t", tmp_path / "c", ALL, threads=threads)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]


def interrupt_after(calls: int, function):
    def wrapped(*arguments, **keywords):
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise KeyboardInterrupt
        return function(*arguments, **keywords)

    return wrapped


@pytest.mark.parametrize("where", ["append", "tokenize", "write_shards", "renumber"])
def test_interrupted_and_resumed_gives_the_same_bytes(tmp_path, small, monkeypatch, where):
    (tmp_path / "t").write_bytes(TEXT[:5000])
    whole = encode(tmp_path / "t", tmp_path / "whole", ALL)
    owner, name, calls = {
        "append": (first_pass.Spool, "append", 4),
        "tokenize": (first_pass, "_tokenize_block", 4),
        "write_shards": (second_pass.ArrayWriter, "append", 9),
        "renumber": (first_pass.Spooled, "pieces", 3),
    }[where]
    with monkeypatch.context() as patch, pytest.raises(InterruptedRun, match="c: interrupted; continue with resume=True"):
        patch.setattr(owner, name, interrupt_after(calls, getattr(owner, name)))
        encode(tmp_path / "t", tmp_path / "c", ALL, threads=2)
    assert not (tmp_path / "c").exists()
    with pytest.raises(UsageError, match=r"c\.part: left by an interrupted run; pass resume=True"):
        encode(tmp_path / "t", tmp_path / "c", ALL)
    with pytest.raises(UsageError, match="begun with different"):
        encode(tmp_path / "t", tmp_path / "c", EncodeOptions(min_count=2), resume=True)
    encode(tmp_path / "t", tmp_path / "c", ALL, resume=True)
    assert contents(tmp_path / "c") == contents(whole.path)
    assert not (tmp_path / "c.part").exists()


def test_words_that_cannot_be_written_at_the_end_are_not_lost(tmp_path):
    """The spool is buffered: its last words reach the disk when it is closed."""
    spool = first_pass.Spool(tmp_path)
    with pytest.raises(OSError, match="No space"), spool:
        for file in spool._files:
            file.close()
        spool._files = [Path("/dev/full").open("wb") for _ in spool._files]  # noqa: SIM115  the spool closes them
        spool.append(np.arange(3, dtype=np.int32), np.array([3]), 0)


def test_vocabulary_round_trip(tmp_path):
    vocabulary = Vocabulary.from_words(["é", "b", "a"], [3, 2, 2])
    vocabulary.save(tmp_path)
    loaded = Vocabulary.load(ArrayFiles(tmp_path))
    assert (loaded.words, loaded.counts.tolist(), loaded.digest) == (["é", "b", "a"], [3, 2, 2], vocabulary.digest)
    assert "a" in loaded and "c" not in loaded and loaded.ids["b"] == 1


@pytest.mark.shared
def test_real_text(tmp_path, shared):
    text = lzma.decompress((shared / "data" / "imdb.test.txt.xz").read_bytes())[: 3 << 20]
    text = text[: text.rindex(b"\n")]
    (tmp_path / "t").write_bytes(text)
    options = EncodeOptions(min_count=5)
    assert_twin(encode(tmp_path / "t", tmp_path / "c", options), naive.documents([text]), options)


# --------------------------------------------------------------------------------------------- documents of other types


@pytest.mark.parametrize("tokenizer", ["whitespace", "regex"])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (None, "is None; it must be a string or a sequence of words"),
        (float("nan"), "is nan; it must be a string"),
        (b"bytes", "is b'bytes'; it must be a string"),
        (7, "is 7; it must be a string"),
        (["a", 5], "has 5 as word 2; words are strings"),
        (["a", None], "has None as word 2; words are strings"),
    ],
    ids=repr,
)
def test_documents_of_other_types_are_named(tmp_path, tokenizer, bad, says):
    with pytest.raises(InputError, match=f"^documents: document 3 {says}"):
        encode_documents(["a b", ["a"], bad], tmp_path / "c", EncodeOptions(min_count=1, tokenizer=tokenizer), threads=1)


def test_a_missing_text_is_told_before_the_others_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(encode_module, "_build", lambda *given: pytest.fail("texts were read"))
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(InputError, match=r"gone\.txt: no such file"):
        encode([tmp_path / "a.txt", tmp_path / "gone.txt"], tmp_path / "c")
    assert not (tmp_path / "c.part").exists()


@pytest.mark.parametrize("texts", [None, 3])
def test_what_is_no_path_is_refused(tmp_path, texts):
    with pytest.raises(UsageError, match=f"^{texts} was given where a string, a path, or a list of these is expected$"):
        encode(texts, tmp_path / "c")


def test_a_list_of_words_is_no_vocabulary(tmp_path):
    (words := tmp_path / "vocab.txt").write_text("the 9\nice 2\n")
    with pytest.raises(InputError, match=r"vocab.txt: is a file; vocabulary takes .* with min_count=1, and name that corpus$"):
        encode_documents(["a"], tmp_path / "c", EncodeOptions(vocabulary=words))


def test_one_string_is_not_several_documents(tmp_path):
    with pytest.raises(UsageError, match=r"documents is one string, not several; pass \[text\]"):
        encode_documents("a b c", tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_names_of_columns_are_no_documents(tmp_path):
    """A data frame and a mapping iterate over their names."""
    frame = pytest.importorskip("pandas").DataFrame({"id": [1], "text": ["a b"]})
    for table in (frame, {"id": "1", "text": "a b"}):
        with pytest.raises(UsageError, match=f"documents is a {type(table).__name__}; pass its texts"):
            encode_documents(table, tmp_path / "c", EncodeOptions(min_count=1))
    assert encode_documents(frame["text"], tmp_path / "c", EncodeOptions(min_count=1)).tokens == 2

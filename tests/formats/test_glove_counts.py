"""Counts leave for GloVe's programs and come back the same; what they made is read, whatever its order."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.counts import SLOW, TEXTS, bodies, counted, cut_by, files, integers, options_of, texts_of
from twins import counting as naive

from cooc_engine.cli.app import main
from cooc_engine.counts import directory, from_coo
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.formats.glove_counts import RECORD, export_glove, import_glove
from cooc_engine.formats.hdf5_counts import CountFile, export_hdf5
from cooc_engine.matrix.glove import train_glove
from cooc_engine.models.matrix_options import GloveOptions

# ------------------------------------------------------------------------------------------------------- there and back


@SLOW
@given(texts_of, options_of, st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([5, 40, 10**6]))
def test_counts_come_back_whatever_the_order_the_threads_and_the_runs(texts, options, seed, threads, run):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        at = Path(name)
        patch.setattr(directory, "BLOCK_ENTRIES", 60)
        cooc = counted(texts, at, options)
        if not cooc.entries:
            return
        export_glove(cooc, at / "records", at / "vocab")
        records = np.fromfile(at / "records", RECORD)
        cut_by(patch, run)
        random = np.random.default_rng(seed)
        for shuffled in "ab":
            random.permutation(records).tofile(at / "records")
            import_glove(at / "records", at / "vocab", at / shuffled, options, threads=threads)
        assert bodies(at / "a") == bodies(cooc.path)
        assert files(at / "a") == files(at / "b")


def test_records_are_those_of_the_program(tmp_path):
    """For "a b" the program's left-only counts have row a, column b; ours row b, column a."""
    left = counted([["a", "b"]], tmp_path, CountOptions(context_side="left"))
    export_glove(left, tmp_path / "records", tmp_path / "vocab")
    assert (tmp_path / "vocab").read_text() == "a 1\nb 1\n"
    assert np.fromfile(tmp_path / "records", RECORD).tolist() == [(1, 2, 1.0)]
    assert {(r, c) for r, columns, _ in left.rows() for c in columns.tolist()} == {(1, 0)}


def test_a_pair_that_stands_twice_is_added_and_a_zero_is_none(tmp_path, small_pieces):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    export_glove(cooc, tmp_path / "records", tmp_path / "vocab")
    records = np.fromfile(tmp_path / "records", RECORD)
    zeros = np.array([(1, 1, 0.0), (4, 2, 0.0)] * 9, RECORD)
    np.concatenate([zeros, records, zeros, records]).tofile(tmp_path / "records")
    back = import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "back")
    expected = naive.cooccurrences(TEXTS, cooc.vocabulary.words, 10, "harmonic", "both")
    assert {place: Fraction(value, 2520) for place, value in integers(back).items()} == {p: 2 * v for p, v in expected.items()}
    assert len(back.blocks) > 1
    assert back.manifest["corpus"]["digest"] == merge([back], tmp_path / "same").manifest["corpus"]["digest"]
    train_glove(back, tmp_path / "model.h5", GloveOptions(vector_size=4, epochs=1))


def test_the_words_of_another_order_are_ranked(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions(context_side="right"))
    export_glove(cooc, tmp_path / "records", tmp_path / "vocab")
    lines, records = (tmp_path / "vocab").read_text().splitlines(), np.fromfile(tmp_path / "records", RECORD)
    order = [2, 0, 3, 1]
    (tmp_path / "vocab").write_text("".join(f"{lines[i]}\r\n" for i in order))
    for name in ("row", "column"):
        records[name] = np.argsort(order)[records[name] - 1] + 1
    records.tofile(tmp_path / "records")
    back = import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "back", CountOptions(context_side="right"))
    assert bodies(back.path) == bodies(cooc.path)
    np.append(records, np.array([(5, 1, 1.0)], RECORD)).tofile(tmp_path / "records")
    with pytest.raises(FormatError, match=f"entry {len(records) + 1} is outside the vocabulary of 4 words"):
        import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "none", CountOptions(context_side="right"))


# ------------------------------------------------------------------------------------------------------------- refusals


def test_what_does_not_fit_is_refused(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    records, vocab, out = tmp_path / "records", tmp_path / "vocab", tmp_path / "out"
    export_glove(cooc, records, vocab)
    with pytest.raises(UsageError, match="force=True"):
        export_glove(cooc, records, vocab)
    with pytest.raises(UsageError, match="need separate files"):
        export_glove(cooc, out, out)
    with pytest.raises(FormatError, match=r"entry 1, 17.4, is not a multiple of 1/2; pass the window"):
        import_glove(records, vocab, out, CountOptions(window=2))
    data, lines = records.read_bytes(), vocab.read_text()
    for size, message in ((len(data) - 3, "truncated"), (0, "0 bytes")):
        records.write_bytes(data[:size])
        with pytest.raises(FormatError, match=message):
            import_glove(records, vocab, out)
    records.write_bytes(data)
    for text, message in (
        ("a 3\n", "outside the vocabulary of 1 words"),
        (lines + "e\n", r"vocab:5: expected a word"),
        (lines + "e -1\n", r"vocab:5: expected a word"),
        (lines + "e f 1\n", "word 5 has white space in it"),
        (lines + "b 1\n", "contains the word 'b' twice"),
        ("", "contains no words"),
    ):
        vocab.write_text(text)
        with pytest.raises(InputError, match=message):
            import_glove(records, vocab, out)
    vocab.write_bytes(lines.encode() + b"\xff 1\n")
    with pytest.raises(InputError, match="vocab:5: not UTF-8"):
        import_glove(records, vocab, out)
    with pytest.raises(UsageError, match="positional=True"):
        import_glove(records, vocab, out, CountOptions(positional=True))
    for missing in (("none", "vocab"), ("records", "none")):
        with pytest.raises(InputError, match="none: no such file"):
            import_glove(*(tmp_path / name for name in missing), out)
    assert not out.exists() and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ((0, 1, 1.0), "entry 2 is outside"),
        ((1, 5, 1.0), "entry 2 is outside"),
        ((-(2**31), 1, 1.0), "entry 2 is outside"),
        ((2, 1, float("nan")), "entry 2 is nan, which is not a count"),
        ((2, 1, float("inf")), "entry 2 is inf, which is not a count"),
        ((2, 1, -1.0), "entry 2 is -1, which is not a count"),
        ((2, 1, 1e18), "entry 2, 1e.18, overflows 64 bits"),
        ((2, 1, 1e-9), "entry 2, 1e-09, is not a multiple of 1/2520"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_records_that_are_no_counts_are_named(tmp_path, record, message, threads):
    np.array([(1, 2, 1.0), record], RECORD).tofile(tmp_path / "records")
    (tmp_path / "vocab").write_text("a 4\nb 3\nc 2\nd 1\n")
    with pytest.raises(FormatError, match=message):
        import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out", threads=threads)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records", "vocab"]


@pytest.mark.parametrize("run", [1, 10])
@pytest.mark.parametrize("threads", [1, 3])
def test_sums_that_overflow_together_are_refused(tmp_path, monkeypatch, run, threads):
    np.array([(1, 2, 2.0**61), (1, 1, 2.0**61), (1, 2, 2.0**61), (1, 1, 2.0**61)], RECORD).tofile(tmp_path / "records")
    (tmp_path / "vocab").write_text("the 4\nb 3\n")
    cut_by(monkeypatch, run)
    with pytest.raises(FormatError, match="the counts of 'the' overflow 64 bits together"):
        import_glove(
            tmp_path / "records",
            tmp_path / "vocab",
            tmp_path / "out",
            CountOptions(window_weight="uniform", context_side="right"),
            threads=threads,
        )
    assert not list(tmp_path.glob("out*"))


def test_a_file_that_shrinks_while_it_is_read(tmp_path, monkeypatch):
    np.ones(9, RECORD).tofile(tmp_path / "records")
    (tmp_path / "vocab").write_text("a 4\n")
    deal = from_coo._Dealt.of.__func__

    def shrink(cls, *given):
        with (tmp_path / "records").open("r+b") as file:
            file.truncate(20)
        return deal(cls, *given)

    monkeypatch.setattr(from_coo._Dealt, "of", classmethod(shrink))
    with pytest.raises(FormatError, match="shrank while"):
        import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out", CountOptions(window=1))


def test_counts_that_are_not_the_same_both_ways(tmp_path):
    """The sums of rows and columns are equal in a ring, which is not symmetric either."""
    (tmp_path / "vocab").write_text("a 4\nb 3\nc 2\n")
    ring = [(1, 2, 1.0), (2, 3, 1.0), (3, 1, 1.0)]
    for found in (ring, [(1, 2, 1.0)], [*ring, (2, 1, 1.0), (3, 2, 1.0), (1, 3, 2.0)]):
        np.array(found, RECORD).tofile(tmp_path / "records")
        with pytest.raises(FormatError, match="pass context_side='left' or right"):
            import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out")
    left = import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out", CountOptions(context_side="left"))
    assert integers(left)[0, 2] == 2520


def test_words_that_glove_cannot_read_are_refused(tmp_path):
    for texts, message in (([["a", "<unk>"]], "holds the word <unk>"), ([["a", "é" * 501]], "more than 1000 bytes")):
        cooc = counted(texts, tmp_path / message[-5:], CountOptions())
        with pytest.raises(UsageError, match=message):
            export_glove(cooc, tmp_path / "records", tmp_path / "vocab")
        back = export_hdf5(cooc, tmp_path / "counts.h5", force=True)
        assert back is None and CountFile(tmp_path / "counts.h5").vocabulary.words == cooc.vocabulary.words
    assert not (tmp_path / "records").exists()


# ------------------------------------------------------------------------------------------------------- from the shell


def test_the_verbs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cooc = counted(TEXTS, tmp_path, CountOptions())
    quiet = ["--progress", "none"]
    assert main(["export-counts", "cooc", "records", "--vocab", "vocab", *quiet]) == 0
    assert main(["export-counts", "cooc", "counts.h5", "--format", "hdf5", "--json", *quiet]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["entries"] == cooc.entries
    assert main(["import-counts", "records", "--vocab", "vocab", "--output", "one", "--threads", "1", *quiet]) == 0
    assert main(["import-counts", "counts.h5", "--output", "two", "--memory", "64M", *quiet]) == 0
    assert bodies(Path("one")) == bodies(cooc.path)
    assert files(Path("two")) == files(cooc.path)
    capsys.readouterr()
    for arguments, message in (
        (["export-counts", "cooc", "r"], "--vocab"),
        (["export-counts", "cooc", "r", "--vocab", "v", "--format", "hdf5"], "--vocab"),
        (["import-counts", "records", "--output", "x"], "--vocab"),
        (["import-counts", "counts.h5", "--vocab", "vocab", "--output", "x"], "holds its vocabulary and options"),
        (["import-counts", "counts.h5", "--window", "3", "--output", "x"], "holds its vocabulary and options"),
        (["import-counts", "counts.h5", "--output", "x", "--memory", "1M"], "--memory 1.0M is too little"),
    ):
        assert main([*arguments, *quiet]) == 2
        error = capsys.readouterr().err
        assert message in error and len(error.splitlines()) == 1
    assert not Path("x").exists()

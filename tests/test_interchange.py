"""Counts leave as GloVe's records and come back the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine.config import CountOptions, EncodeOptions
from cooc_engine.cooc import Cooc, count
from cooc_engine.corpus import encode
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.interchange import RECORD, export_glove, import_glove

TEXTS = [["a", "b", "a", "c", "d"], ["b", "c"], ["d"] * 6]


def counted(texts, at: Path, options: CountOptions) -> Cooc:
    (at / "text.txt").write_text("".join(" ".join(text) + "\n" for text in texts))
    return count(encode(at / "text.txt", at / "corpus", EncodeOptions(min_count=1)), at / "cooc", options)


def bodies(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "manifest.json"}


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), min_size=1, max_size=9).filter(any),
    st.builds(CountOptions, window=st.integers(1, 12), context_side=st.sampled_from(["both", "left", "right"])),
    st.integers(0, 2**32),
)
def test_counts_come_back_whatever_the_order(texts, options, seed):
    with tempfile.TemporaryDirectory() as name:
        at = Path(name)
        cooc = counted(texts, at, options)
        if not cooc.entries:
            return
        export_glove(cooc, at / "records", at / "vocab")
        records = np.fromfile(at / "records", RECORD)
        np.random.default_rng(seed).permutation(records).tofile(at / "records")
        back = import_glove(at / "records", at / "vocab", at / "back", options)
        assert bodies(back.path) == bodies(cooc.path)


def test_records_are_those_of_the_program(tmp_path):
    """For "a b" the program's left-only counts have row a, column b; ours row b, column a."""
    left = counted([["a", "b"]], tmp_path, CountOptions(context_side="left"))
    export_glove(left, tmp_path / "records", tmp_path / "vocab")
    assert (tmp_path / "vocab").read_text() == "a 1\nb 1\n"
    assert np.fromfile(tmp_path / "records", RECORD).tolist() == [(1, 2, 1.0)]
    assert {(r, c) for r, columns, _ in left.rows() for c in columns.tolist()} == {(1, 0)}


def test_a_pair_that_stands_twice_is_added(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    export_glove(cooc, tmp_path / "records", tmp_path / "vocab")
    records = np.fromfile(tmp_path / "records", RECORD)
    np.concatenate([records, records]).tofile(tmp_path / "records")
    back = import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "back")
    expected = naive.cooccurrences(TEXTS, cooc.vocabulary.words, 10, "harmonic", "both")
    assert {(r, c): v for r, cs, vs in back.rows() for c, v in zip(cs.tolist(), vs.tolist(), strict=True)} == {
        place: float(2 * value) for place, value in expected.items()
    }


def test_what_does_not_fit_is_refused(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    records, vocab, out = tmp_path / "records", tmp_path / "vocab", tmp_path / "out"
    export_glove(cooc, records, vocab)
    with pytest.raises(UsageError, match="--force"):
        export_glove(cooc, records, vocab)
    with pytest.raises(FormatError, match="no multiple of 1/2"):
        import_glove(records, vocab, out, CountOptions(window=2))
    data, lines = records.read_bytes(), vocab.read_text()
    records.write_bytes(data[:-3])
    with pytest.raises(FormatError, match="truncated"):
        import_glove(records, vocab, out)
    records.write_bytes(data)
    vocab.write_text("a 3\n")
    with pytest.raises(FormatError, match="outside the vocabulary of 1 words"):
        import_glove(records, vocab, out)
    vocab.write_text(lines + "e\n")
    with pytest.raises(InputError, match=r"vocab:5: expected a word"):
        import_glove(records, vocab, out)
    with pytest.raises(InputError, match="No such file"):
        import_glove(tmp_path / "none", tmp_path / "vocab2", out)
    assert not out.exists() and not list(tmp_path.glob("*.part"))

"""Counts of the pairs in a text, against a dictionary of them."""

from __future__ import annotations

import gzip
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.counts import cut_by, files
from support.memory import least_peak

from cooc_engine.cli.app import main
from cooc_engine.counts import from_coo
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import CoocError, InputError, InterruptedRun, UsageError
from cooc_engine.formats import pairs
from cooc_engine.formats.pairs import count_pairs
from cooc_engine.runtime.progress import Stage

SIGNS = {"tab": "\t", "comma": ",", "space": " "}


def written(path: Path, triples, sign: str = "\t") -> Path:
    path.write_text("".join(sign.join(map(str, triple)) + "\n" for triple in triples), "utf-8")
    return path


def by_names(cooc: Cooc) -> dict[tuple[str, str], int]:
    matrix, rows, columns = cooc.csr().tocoo(), cooc.vocabulary.words, cooc.column_vocabulary.words
    return {(rows[r], columns[c]): int(n) for r, c, n in zip(matrix.row, matrix.col, matrix.data, strict=True)}


name = st.sampled_from(["a", "b", "é", "水", "x1", "c-d"])
triple = st.one_of(st.tuples(name, name), st.tuples(name, name, st.integers(0, 3)))


@settings(deadline=None, max_examples=8)
@given(st.lists(triple, min_size=1, max_size=12), st.sampled_from([*SIGNS]), st.integers(1, 4))
@example([("a", "b", 0)], "tab", 1)
@example([("a", "b"), ("c-d", "b", 10**17)], "comma", 2)
def test_counts_are_those_of_a_dictionary(triples, separator, run):
    expected: Counter = Counter()
    for row, column, *count in triples:
        expected[row, column] += count[0] if count else 1
    rows, columns = (Counter() for _ in range(2))
    for (row, column), count in expected.items():
        rows[row] += count
        columns[column] += count
    with tempfile.TemporaryDirectory() as at, pytest.MonkeyPatch.context() as patch:
        cut_by(patch, run)
        patch.setattr(pairs, "TOGETHER", 3)
        text = written(Path(at) / "text", triples, SIGNS[separator])
        cooc = count_pairs(text, Path(at) / "cooc", separator=separator, threads=1)
        assert by_names(cooc) == {pair: count for pair, count in expected.items() if count}
        for names, sums in ((cooc.vocabulary, rows), (cooc.column_vocabulary, columns)):
            order = sorted(sums, key=lambda word: (-sums[word], word.encode()))
            assert (names.words, names.counts.tolist()) == (order, [sums[word] for word in order])


@pytest.fixture
def triples(tmp_path) -> Path:
    return written(tmp_path / "text.tsv", [(f"user {i % 37}", f"item {i * i % 23}", i % 5 + 1) for i in range(900)])


def test_bytes_depend_on_neither_order_nor_files_nor_threads_nor_budget(triples, tmp_path):
    whole = count_pairs(triples, tmp_path / "whole", threads=1)
    lines = triples.read_bytes().splitlines(keepends=True)
    (tmp_path / "one.gz").write_bytes(gzip.compress(b"".join(lines[:400:-1]).replace(b"\n", b"\r\n\r\n")))
    (tmp_path / "two").write_bytes(b"\xef\xbb\xbf" + b"".join(lines[:401]).removesuffix(b"\n"))
    again = count_pairs([tmp_path / "one.gz", tmp_path / "two"], tmp_path / "again", threads=3, memory="30M")
    assert files(again.path) == files(whole.path)


@pytest.mark.parametrize(("first", "sign"), [("a\tb,c", "\t"), ("a b,c", ","), ("a b", " "), ("a, b", ",")])
def test_the_first_line_tells_what_separates_fields(tmp_path, first, sign):
    (tmp_path / "text").write_text(first + "\n")
    cooc = count_pairs(tmp_path / "text", tmp_path / "cooc", threads=1)
    assert by_names(cooc) == {tuple(part.strip() for part in first.split(sign)): 1}


def test_the_first_line_of_each_file_is_left_out_if_it_is_no_pair(tmp_path):
    texts = [written(tmp_path / name, [("user", "item", "count"), ("ann", "tea", 2)], ",") for name in ("a", "b")]
    assert by_names(count_pairs(texts, tmp_path / "cooc", header=True, threads=1)) == {("ann", "tea"): 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "text: contains no pairs"),
        (b"\n \n", "text: contains no pairs"),
        (b"a\tb\na\tb\tc\td\n", "text:2: expected a row, a column and perhaps a count, found 4 of them"),
        (b"a\n", "text:1: expected a row, a column and perhaps a count, found 1"),
        (b"user\titem\tcount\n", "text:1: 'count' is not a count, which is a whole number; .* header"),
        (b"a\tb\t1\n\na\tb\t2.5\n", "text:3: '2.5' is not a count"),
        (b"a\tb\t-1\n", "text:1: '-1' is not a count"),
        (b"a\tb\t\n", "text:1: '' is not a count"),
        (b"a\tb\t1234567890123456789\n", "is not a count"),
        (b"\tb\t1\n", "text:1: a name is empty"),
        (b"a\tb\na\t\xff\n", "text:2: not UTF-8"),
        (b'"a",b,1\n', "text:1: names in quotes are not read"),
        (b"a\t" + b"b" * 70_000 + b"\n", "text:1: has more than 65,536 bytes"),
        (b"a\tb\t900000000000000000\n" * 11, "text:11: the counts up to here overflow 64 bits together"),
        (b"a,b\0c\n", "the columns: word 1 has a tab or a line end in it"),
        (b"\x1f\x8bzip", "damaged or truncated compressed file"),
    ],
)
def test_a_text_that_has_no_pairs_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        count_pairs(tmp_path / "text", tmp_path / "cooc", threads=1)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_names_that_do_not_fit_into_the_budget_are_refused(tmp_path, triples):
    with pytest.raises(UsageError, match=r"is too little to count pairs: .*names of rows and columns"):
        count_pairs(triples, tmp_path / "cooc", memory=10_000)


def memory_of_reading(path: Path) -> tuple[int, int]:
    """The peak of what is allocated while a text is read, and what is said of its names."""

    def reading() -> pairs._Reading:
        with tempfile.TemporaryFile() as spool:
            read = pairs._Reading(spool, 1 << 30, Stage("", None, ""))
            read.add(path, None, header=False)
            read.finish([path])
        return read

    most, read = least_peak(reading)
    return most, read.rows.size + read.columns.size


def test_memory_is_that_of_names(tmp_path, monkeypatch):
    """Ten times the pairs take no more of it, and more names what is said of them."""
    monkeypatch.setattr(pairs, "TOGETHER", 200)
    few, many, named = (
        memory_of_reading(written(tmp_path / f"{number}", ((f"u{i % size}", i % 9, 1) for i in range(lines))))
        for number, (lines, size) in enumerate(((1000, 90), (10_000, 90), (4000, 4000)))
    )
    assert many[0] < 1.1 * few[0]
    assert named[0] - few[0] < named[1] - few[1]


def test_what_is_there_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(CoocError, match="out: exists"):
        count_pairs(tmp_path / "missing", tmp_path / "out")


def test_a_run_that_was_interrupted_goes_on_with_the_same_pairs_alone(tmp_path, triples, monkeypatch):
    whole = count_pairs(triples, tmp_path / "whole", threads=1)
    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(from_coo, "finish_blocks", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        count_pairs(triples, tmp_path / "out", threads=1)
    other = written(tmp_path / "other.tsv", [("user 1", "item 1")])
    with pytest.raises(UsageError, match="was begun with different"):
        count_pairs(other, tmp_path / "out", resume=True)
    assert files(count_pairs(triples, tmp_path / "out", resume=True).path) == files(whole.path)


def test_the_command_says_what_it_counted(tmp_path, triples, capsys):
    assert main(["count-pairs", str(triples), "--output", str(tmp_path / "cooc")]) == 0
    assert "entries in 37 rows and 12 columns" in capsys.readouterr().out

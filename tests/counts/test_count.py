"""Counts equal those of the slow twin, exactly, and are the same bytes however they were made."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.counts import exact, files, integers
from support.forge import put
from twins import counting as naive

from cooc_engine.corpus import second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import count as count_module
from cooc_engine.counts import directory, row_writer, windows
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.row_writer import RowFiles, write_row_file
from cooc_engine.counts.windows import Window
from cooc_engine.errors import CoocError, FormatError, InterruptedRun, UsageError
from cooc_engine.runtime.workers import Here
from cooc_engine.storage import arrays
from cooc_engine.storage.arrays import HEADER_BYTES

WORDS = ["a", "b", "c", "dé", "e" * 20, "f", "g", "h"]
words = st.sampled_from(WORDS)
documents = st.lists(st.lists(words, max_size=12), min_size=1, max_size=12).filter(any)
weights = st.sampled_from(["harmonic", "uniform", "dynamic"])
sides = st.sampled_from(["both", "left", "right"])


def make_corpus(texts: list[list[str]], at: Path, **options) -> Corpus:
    path = at / "text.txt"
    path.write_text("".join(" ".join(text) + "\n" for text in texts))
    return encode(path, at / "corpus", EncodeOptions(**{"min_count": 1, **options}), threads=1)


@contextmanager
def small_pieces(task: int, block: int, shard: int, segment: int) -> Iterator[None]:
    """Many tasks, row blocks, shards and segments of the text, even for a handful of words; threads share frequent words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_writer, "LEAST_PIECE", 0)
        patch.setattr(windows, "SEGMENT", segment)
        patch.setattr(count_module, "TASK_ENTRIES", task)
        patch.setattr(directory, "BLOCK_ENTRIES", block)
        patch.setattr(second_pass, "SHARD_TOKENS", shard)
        yield


# ------------------------------------------------------------------------------------------------------- the slow twin


@settings(deadline=None, max_examples=60)
@given(
    texts=documents,
    window=st.integers(1, 14),
    window_weight=weights,
    side=sides,
    min_count=st.integers(1, 3),
    max_vocab=st.sampled_from([None, None, 1, 3]),
    pieces=st.tuples(*map(st.sampled_from, ([1, 5, 1 << 20], [1, 9, 1 << 25], [1, 7, 1 << 26], [1, 6, 1 << 31]))),
)
def test_counts_equal_the_slow_twins_for_any_threads(texts, window, window_weight, side, min_count, max_vocab, pieces):
    listed = naive.vocabulary(texts, min_count, max_vocab)
    if not listed:
        return
    options = CountOptions(window=window, window_weight=window_weight, context_side=side)
    expected = naive.cooccurrences(texts, listed, window, window_weight, side)
    with tempfile.TemporaryDirectory() as name, small_pieces(*pieces):
        corpus = make_corpus(texts, Path(name), min_count=min_count, max_vocab=max_vocab)
        made = [count(corpus, Path(name) / f"cooc{threads}", options, threads=threads) for threads in (1, 2, 3)]
        cooc = made[0]
        assert cooc.vocabulary.words == listed
        assert exact(cooc) == expected
        assert cooc.entries == len(expected)
        assert files(made[1].path) == files(cooc.path)
        assert files(made[2].path) == files(cooc.path)
        assert len(cooc.blocks) == len(listed) if pieces[1] == 1 else len(cooc.blocks) >= 1
        check_sums(cooc, expected)
        check_csr(cooc, expected)


def check_sums(cooc: Cooc, expected: dict[tuple[int, int], Fraction]) -> None:
    size = range(len(cooc.vocabulary))
    rows = [float(sum((v for (i, _), v in expected.items() if i == r), Fraction(0))) for r in size]
    columns = [float(sum((v for (_, j), v in expected.items() if j == c), Fraction(0))) for c in size]
    np.testing.assert_allclose(cooc.row_sums, rows, rtol=1e-15)
    np.testing.assert_allclose(cooc.column_sums, columns, rtol=1e-15)
    assert Fraction(cooc.manifest["total"], cooc.denominator) == sum(expected.values(), Fraction(0))


def check_csr(cooc: Cooc, expected: dict[tuple[int, int], Fraction]) -> None:
    dense = np.zeros((len(cooc.vocabulary), len(cooc.vocabulary)))
    for place, value in expected.items():
        dense[place] = float(value)
    assert [block.first for block in cooc.blocks] + [cooc.blocks[-1].last] == [0] + [block.last for block in cooc.blocks]
    stacked = np.vstack([cooc.csr(block).toarray() for block in cooc.blocks])
    np.testing.assert_allclose(stacked, dense, rtol=1e-15)
    listed = np.zeros_like(dense)
    for row, columns, values in cooc.rows():
        listed[row, columns] = values
    assert np.array_equal(listed, stacked)


@settings(deadline=None, max_examples=25)
@given(texts=documents, window=st.integers(1, 8), window_weight=weights)
def test_both_is_symmetric_and_left_is_the_transpose_of_right(texts, window, window_weight):
    with tempfile.TemporaryDirectory() as name:
        corpus = make_corpus(texts, Path(name))
        made = {
            side: integers(
                count(
                    corpus,
                    Path(name) / side,
                    CountOptions(window=window, window_weight=window_weight, context_side=side),
                )
            )
            for side in ("both", "left", "right")
        }
    assert made["both"] == {(j, i): v for (i, j), v in made["both"].items()}
    assert made["left"] == {(j, i): v for (i, j), v in made["right"].items()}
    places = made["left"].keys() | made["right"].keys()
    assert made["both"] == {p: made["left"].get(p, 0) + made["right"].get(p, 0) for p in places}


# ------------------------------------------------------------------------------------------------------- small examples


def test_of_a_b_the_left_context_of_b_is_a(tmp_path):
    corpus = make_corpus([["a", "b"]], tmp_path)
    a, b = (corpus.vocabulary.ids[w] for w in "ab")
    for side, expected in (("left", {(b, a): 1}), ("right", {(a, b): 1}), ("both", {(a, b): 1, (b, a): 1})):
        cooc = count(corpus, tmp_path / side, CountOptions(context_side=side))
        assert exact(cooc) == expected


def test_harmonic_weights_of_a_sentence(tmp_path):
    cooc = count(make_corpus([["a", "b", "a", "c"]], tmp_path), tmp_path / "cooc", CountOptions(window=2))
    ids = cooc.vocabulary.ids
    assert exact(cooc) == {
        (ids["a"], ids["a"]): 1,  # both are centres: 1/2 each
        (ids["a"], ids["b"]): 2,
        (ids["b"], ids["a"]): 2,
        (ids["a"], ids["c"]): 1,
        (ids["c"], ids["a"]): 1,
        (ids["b"], ids["c"]): Fraction(1, 2),
        (ids["c"], ids["b"]): Fraction(1, 2),
    }
    assert cooc.denominator == 2


def test_windows_end_with_documents_however_short(tmp_path):
    texts = [["a"], [], ["b", "c"], [], [], ["c"], ["a", "b"], []]
    cooc = count(make_corpus(texts, tmp_path), tmp_path / "cooc", CountOptions(window=10, window_weight="uniform"))
    ids = cooc.vocabulary.ids
    pairs = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]
    assert exact(cooc) == {(ids[x], ids[y]): 1 for x, y in pairs}


def test_documents_of_single_words_have_no_entries(tmp_path):
    cooc = count(make_corpus([["a"], ["b"], [], ["a"]], tmp_path), tmp_path / "cooc")
    assert cooc.entries == 0
    assert cooc.manifest["total"] == 0
    assert cooc.row_sums.tolist() == [0, 0]
    assert sum(cooc.csr(block).nnz for block in cooc.blocks) == 0


def test_unknown_words_leave_no_gap(tmp_path):
    corpus = make_corpus([["a", "x", "y", "b"], ["a", "b"]], tmp_path, min_count=2)
    cooc = count(corpus, tmp_path / "cooc", CountOptions(window=1))
    ids = cooc.vocabulary.ids
    assert exact(cooc) == {(ids["a"], ids["b"]): 2, (ids["b"], ids["a"]): 2}


# ------------------------------------------------------------------------------------------------- weights and overflow


@pytest.mark.parametrize(("weight", "denominator"), [("harmonic", 2520), ("dynamic", 10), ("uniform", 1)])
def test_weights_are_integers_over_a_common_denominator(weight, denominator):
    window = Window.of(CountOptions(window=10, window_weight=weight))
    integer, over = window.weights, window.denominator
    assert over == denominator
    assert [Fraction(w, over) for w in integer.tolist()] == [naive.distance_weight(weight, 10, k) for k in range(1, 11)]


def test_widest_harmonic_window_is_exact_beyond_32_and_53_bits(tmp_path):
    texts = [[WORDS[i * i % 7] for i in range(12)], [WORDS[i % 5] for i in range(8)], ["f"] * 4]
    listed = [w for w in naive.vocabulary(texts) if sum(t.count(w) for t in texts) <= 4]  # more would overflow
    texts = [[w for w in text if w in listed] for text in texts]
    options = CountOptions(window=42)
    cooc = count(make_corpus(texts, tmp_path), tmp_path / "cooc", options)
    assert cooc.denominator == math.lcm(*range(1, 43))
    assert min(integers(cooc).values()) >= 2**32
    assert max(integers(cooc).values()) >= 2**53
    assert exact(cooc) == naive.cooccurrences(texts, cooc.vocabulary.words, 42, "harmonic", "both")


def test_total_is_exact_where_the_rows_together_pass_64_bits(tmp_path):
    texts = [[word] * 4 for word in WORDS]
    cooc = count(make_corpus(texts, tmp_path), tmp_path / "cooc", CountOptions(window=42))
    assert cooc.manifest["total"] == sum(integers(cooc).values()) > 2**63


def test_blocks_of_4_and_of_8_bytes_stand_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 1)
    texts = [["a", "b", "a", "c", "a"], ["c", "d", "a", "a"], ["a"] * 9]
    cooc = count(make_corpus(texts, tmp_path), tmp_path / "cooc", CountOptions(window=20))
    assert {block.wide for block in cooc.blocks} == {False, True}
    assert max(integers(cooc).values()) >= 2**32
    assert exact(cooc) == naive.cooccurrences(texts, cooc.vocabulary.words, 20, "harmonic", "both")


def test_values_of_32_bits_at_their_limit(tmp_path):
    """A row's largest possible value decides the width: just below 2**32 it is narrow, and right."""
    window = 20
    most = Window.of(CountOptions(window=window)).most
    occurrences = (2**32 - 1) // most
    assert occurrences >= 2
    texts = [["a"] * occurrences]
    cooc = count(make_corpus(texts, tmp_path), tmp_path / "cooc", CountOptions(window=window))
    assert [block.wide for block in cooc.blocks] == [False]
    assert exact(cooc) == naive.cooccurrences(texts, ["a"], window, "harmonic", "both")


@pytest.mark.parametrize(
    ("window", "occurrences", "side"),
    [(42, 5, "both"), (42, 10, "left"), (43, 1, "both"), (43, 1, "left"), (99_999, 1, "both")],
)
def test_windows_that_could_overflow_are_refused_by_name(tmp_path, window, occurrences, side):
    corpus = make_corpus([["a"] * occurrences + ["b"]], tmp_path)
    with pytest.raises(UsageError, match=f"^window={window}") as caught:
        count(corpus, tmp_path / "cooc", CountOptions(window=window, context_side=side))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cooc*"))


@pytest.mark.parametrize(("occurrences", "side"), [(4, "both"), (9, "left")])
def test_windows_that_just_fit_are_counted(tmp_path, occurrences, side):
    texts = [["a"] * occurrences]
    cooc = count(make_corpus(texts, tmp_path), tmp_path / "cooc", CountOptions(window=42, context_side=side))
    assert exact(cooc) == naive.cooccurrences(texts, ["a"], 42, "harmonic", side)


# ------------------------------------------------------------------------------------------------------- files and runs


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    rng = np.random.default_rng(5)
    return make_corpus([[f"w{k}" for k in rng.geometric(0.1, 30)] for _ in range(40)], tmp_path)


@pytest.fixture
def several_blocks(monkeypatch) -> None:
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 200)
    monkeypatch.setattr(count_module, "TASK_ENTRIES", 50)


def test_a_flipped_byte_is_found_and_its_file_named(tmp_path, corpus, several_blocks):
    path = count(corpus, tmp_path / "cooc").path
    for victim in sorted(path.iterdir()):
        data = victim.read_bytes()
        for place in {5, max(len(data) // 2, HEADER_BYTES), len(data) - 1}:
            victim.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
            with pytest.raises(FormatError) as caught:
                read_all(path)
            assert victim.name in str(caught.value)
            assert "\n" not in str(caught.value)
        victim.write_bytes(data[:-2])
        with pytest.raises(FormatError, match=victim.name):
            read_all(path)
        victim.unlink()
        with pytest.raises(FormatError, match=victim.name):
            read_all(path)
        victim.write_bytes(data)
    read_all(path)


def read_all(path: Path) -> None:
    cooc = Cooc(path)
    for block in cooc.blocks:
        cooc.csr(block)
    _ = cooc.vocabulary, cooc.row_sums, cooc.column_sums


def test_a_file_of_another_matrix_is_not_taken(tmp_path, corpus, several_blocks):
    one = count(corpus, tmp_path / "one")
    other = count(corpus, tmp_path / "other", CountOptions(context_side="left"))
    (other.path / "columns-00000.bin").replace(one.path / "columns-00000.bin")
    with pytest.raises(FormatError, match="columns-00000"):
        read_all(one.path)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_interrupted_count_continues_to_the_same_bytes(tmp_path, corpus, several_blocks, monkeypatch, at):
    whole = count(corpus, tmp_path / "whole")
    assert len(whole.blocks) >= 4
    original, calls = count_module.write_rows, []

    def interrupted(rows, *rest):
        calls.append(int(rows.name))
        if len(calls) == at:
            raise KeyboardInterrupt
        original(rows, *rest)

    monkeypatch.setattr(count_module, "write_rows", interrupted)
    with pytest.raises(InterruptedRun, match="resume=True") as caught:
        count(corpus, tmp_path / "cooc")
    assert caught.value.exit_code == 130
    assert not (tmp_path / "cooc").exists()
    with pytest.raises(UsageError, match="resume=True"):
        count(corpus, tmp_path / "cooc")
    with pytest.raises(UsageError, match="different window"):
        count(corpus, tmp_path / "cooc", CountOptions(window=3), resume=True)
    calls.clear()
    calls += [-1] * at  # no more interrupts
    resumed = count(corpus, tmp_path / "cooc", resume=True, threads=3)
    assert calls[at:] == list(range(at - 1, len(whole.blocks))), "finished blocks are kept"
    assert files(resumed.path) == files(whole.path)
    assert not list(tmp_path.glob("*.part"))


def test_a_block_half_written_is_counted_again(tmp_path, corpus, several_blocks, monkeypatch):
    whole = count(corpus, tmp_path / "whole")
    original = arrays.ArrayWriter.close

    def interrupted(self):
        if self.path.name.startswith("rows-00002.bin"):
            self._file.close()
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(arrays.ArrayWriter, "close", interrupted)
    with pytest.raises(InterruptedRun):
        count(corpus, tmp_path / "cooc")
    monkeypatch.undo()
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 200)
    assert files(count(corpus, tmp_path / "cooc", resume=True).path) == files(whole.path)


def test_an_output_that_exists_is_kept_unless_forced(tmp_path, corpus):
    first = files(count(corpus, tmp_path / "cooc").path)
    with pytest.raises(UsageError, match="force=True"):
        count(corpus, tmp_path / "cooc", CountOptions(window=2))
    assert files(tmp_path / "cooc") == first
    forced = count(corpus, tmp_path / "cooc", CountOptions(window=2), force=True)
    assert forced.options.window == 2
    assert files(forced.path) != first


def test_the_digest_tells_options_and_texts_apart(tmp_path, corpus):
    other = tmp_path / "other"
    other.mkdir()
    made = [
        count(corpus, tmp_path / "a"),
        count(corpus, tmp_path / "b", CountOptions(window=9)),
        count(make_corpus([["a", "b"]], other), tmp_path / "c"),
    ]
    assert len({cooc.digest for cooc in made}) == 3
    assert count(corpus, tmp_path / "d", threads=3).digest == made[0].digest


@pytest.mark.parametrize(
    "fields", [{"window": 0}, {"window": -1}, {"window": 2.5}, {"window_weight": "linear"}, {"context_side": "up"}]
)
def test_options_that_make_no_sense_are_refused(fields):
    with pytest.raises(CoocError, match="^" + next(iter(fields))):
        CountOptions(**fields)


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ("[]", "its runs are not the whole corpus"),
        ("[[[0, 0, 4], [0, 5, 6]]]", "its runs are not the whole corpus"),
        ("[[[0, 0, 4]], []]", "its runs are not the whole corpus"),
        ("[[[7, 0, 4]]]", "its runs are not the whole corpus"),
        ("[[[0, 0, 9007199254740993]]]", "its runs are not the whole corpus"),
        ("[[[0, 4, 4]]]", "its runs are not the whole corpus"),
        ("[[[0, -1, 4]]]", r"\[0\]\[0\]\[1\] is -1; it must be at least 0"),
        ("[[0, 4]]", r"\[0\]\[0\] is 0; it must be a list of 3"),
        ("[" * 10**5, "nested too deeply"),
    ],
)
def test_runs_that_are_not_the_corpus_are_refused(tmp_path, corpus, runs, says):
    """A count that is resumed keeps its runs, and follows them into the shards."""
    job = count_module._Job.of(corpus, None, Here(1, 1 << 30))
    (tmp_path / "runs.json").write_text(runs)
    with pytest.raises(FormatError, match=f"runs.json: .*{says}"):
        job.runs(tmp_path)
    whole = job.runs(None)
    (tmp_path / "runs.json").write_text(json.dumps([run.parts for run in whole]))
    assert job.runs(tmp_path) == whole


@pytest.mark.parametrize(("part", "place", "value"), [("columns", 1, 0), ("values", 1, 9), ("values", None, 2), ("rows", 2, 9)])
def test_rows_that_were_damaged_since_are_not_kept(tmp_path, part, place, value):
    """By a bit, which their checksum tells, or by a file of other rows: they are made anew."""
    (tmp_path / "plan.json").write_text("{}")
    rows = RowFiles(tmp_path, "00000", (0, 2))
    contents = {"columns": np.array([0, 1, 0], np.int32), "values": np.array([2, 3, 1], np.uint32)}
    for name, values in contents.items():
        put(rows.path(name), values)
    numbers = np.array([0, 2, 3, 5, 1])
    contents["rows"] = np.append(numbers, rows.mark(numbers))
    put(rows.path("rows"), contents["rows"])
    assert rows.whole()
    if place is None:
        put(rows.path(part), contents[part][:value])
    elif part == "rows":
        contents[part][place] = value
        put(rows.path(part), contents[part])
    else:
        data = bytearray(rows.path(part).read_bytes())
        data[HEADER_BYTES + 4 * place] ^= value + 1
        rows.path(part).write_bytes(data)
    assert not rows.whole()


def test_rows_of_another_run_or_place_are_not_kept(tmp_path):
    """All three files are sound, and have the sizes that are expected."""
    (tmp_path / "plan.json").write_text('{"window": 2}')
    written = RowFiles(tmp_path, "run-00001", (0, 2))
    for name, values in {"columns": np.array([0, 1], np.int32), "values": np.array([2, 3], np.uint32)}.items():
        put(written.path(name), values)
    write_row_file(written, np.array([1, 1]), np.array([2, 3]))
    assert written.whole() and not RowFiles(tmp_path, "run-00001", (2, 4)).whole()
    for part in ("rows", "columns", "values"):
        written.path(part).rename(tmp_path / f"{part}-run-00000.bin")
    assert not RowFiles(tmp_path, "run-00000", (0, 2)).whole()
    for part in ("rows", "columns", "values"):
        (tmp_path / f"{part}-run-00000.bin").rename(written.path(part))
    (tmp_path / "plan.json").write_text('{"window": 3}')
    assert not written.whole()


@pytest.mark.parametrize(
    ("words", "window", "positional", "pieces"),
    [(5000, 10, False, 1), (5000, 10, False, 3), (5000, 10, True, 1), (99, 300, False, 1)],
)
def test_rows_of_many_centres_are_those_of_a_matrix(tmp_path, monkeypatch, words, window, positional, pieces):
    """Their leading columns are not marked, and more of the others are listed than the list has room for."""
    chance = np.random.default_rng(1)
    ids = np.concatenate([np.arange(words), chance.zipf(1.3, 6 * words) % 700 % words, chance.integers(0, words, 4 * words)])
    texts = np.array_split(chance.permutation(ids), 7)
    corpus = make_corpus([[f"w{i}" for i in text] for text in texts], tmp_path)
    monkeypatch.setattr(row_writer.TextSource, "pieces", lambda self, first, last, threads: pieces if last == first + 1 else 1)
    counted = count(corpus, tmp_path / "cooc", CountOptions(window=window, window_weight="uniform", positional=positional))
    rows = np.array([corpus.vocabulary.ids[f"w{i}"] for i in range(words)])
    slots, keys = 2 * window if positional else 1, []
    for found in (rows[text] for text in texts):
        for k in range(1, window + 1):
            left, right = (window - k, window + k - 1) if positional else (0, 0)
            keys.append((found[k:] * words + found[:-k]) * slots + left)
            keys.append((found[:-k] * words + found[k:]) * slots + right)
    expected, values = np.unique(np.concatenate(keys), return_counts=True)
    matrix = counted.csr().tocoo()
    assert np.array_equal(matrix.row.astype(np.int64) * words * slots + matrix.col, expected)
    assert np.array_equal(matrix.data, values)

"""Counts leave for other programs and come back the same; what they made is read, whatever its order and the budget."""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import coo as naive_entries
from twins import counting as naive

from cooc_engine._kernels import coo
from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts import directory, from_coo
from cooc_engine.counts import row_writer as rows_module
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc, index_type
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, FormatError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.formats import glove_counts, hdf5_counts
from cooc_engine.formats.glove_counts import RECORD, export_glove, import_glove
from cooc_engine.formats.hdf5_counts import CountFile, export_hdf5, import_hdf5
from cooc_engine.formats.scipy_counts import import_matrix
from cooc_engine.matrix.glove import train_glove
from cooc_engine.models.matrix_options import GloveOptions
from cooc_engine.pipeline.describe import info
from cooc_engine.pipeline.stages import append
from cooc_engine.runtime.threads import cut_by_cost
from cooc_engine.storage.hdf5 import Dataset, Stream

TEXTS = [["a", "b", "a", "c", "d"], ["b", "c"], ["d"] * 6]
SLOW = settings(deadline=None, max_examples=25)
texts_of = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), min_size=1, max_size=9).filter(any)
sides = st.sampled_from(["both", "left", "right"])
weights = st.sampled_from(["harmonic", "uniform", "dynamic"])
options_of = st.builds(CountOptions, window=st.integers(1, 12), window_weight=weights, context_side=sides)


def counted(texts, at: Path, options: CountOptions) -> Cooc:
    at.mkdir(exist_ok=True)
    (at / "text.txt").write_text("".join(" ".join(text) + "\n" for text in texts))
    return count(encode(at / "text.txt", at / "corpus", EncodeOptions(min_count=1, reserved="keep")), at / "cooc", options)


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def bodies(path: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(path).items() if name != "manifest.json"}


def exact(cooc: Cooc) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for block in cooc.blocks:
        columns, values = cooc.block_integers(block)
        starts = (cooc.row_offsets[block.first : block.last + 1] - cooc.row_offsets[block.first]).tolist()
        for row, (a, b) in enumerate(itertools.pairwise(starts), block.first):
            assert (np.diff(columns[a:b]) > 0).all()
            found |= {(row, c): v for c, v in zip(columns[a:b].tolist(), values[a:b].tolist(), strict=True)}
    return found


@pytest.fixture
def small_pieces(monkeypatch) -> None:
    """Several chunks, tasks and blocks, even for a handful of entries."""
    monkeypatch.setattr(from_coo, "CHUNK", 16)
    monkeypatch.setattr(from_coo, "TASK_ENTRIES", 20)
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 6)


def cut_by(patch: pytest.MonkeyPatch, run: int) -> None:
    """Let a run have so many entries, whatever the budget."""
    of = from_coo._Allotment.of.__func__

    def small(cls, *given):
        room = of(cls, *given)
        return cls(room.threads, room.columns, 7, run, room.plan)

    patch.setattr(from_coo._Allotment, "of", classmethod(small))


# --------------------------------------------------------------------------------------------------------------- twins


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(lambda n, d: n / d, st.integers(0, 10**6), st.sampled_from([1, 2, 3, 2520])),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=5,
    ),
    st.sampled_from([1, 2, 2520, 219060189739591200]),
)
def test_counts_become_integers_as_those_of_the_twin(counts, denominator):
    values = np.full(len(counts), -1)
    at = coo.round_counts(np.array(counts, float), float(denominator), 1e-9, values)
    expected = [naive_entries.whole(count, denominator, 1e-9) for count in counts]
    assert at == (expected.index(None) if None in expected else len(counts))
    assert values[:at].tolist() == expected[:at]
    assert set(values[at:].tolist()) <= {-1}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 5), st.integers(-2, 6), st.sampled_from([0, 1, 5, 2**62, 2**63 - 1])), max_size=30))
def test_entries_are_tallied_and_dealt_as_by_the_twin(found):
    rows, columns, values = (np.array([e[i] for e in found], t) for i, t in ((0, np.int32), (1, np.int32), (2, np.int64)))
    lengths, sums, marks = np.zeros(4, np.int64), np.zeros(4, np.int64), np.zeros(2, np.uint64)
    at = coo.tally(rows, columns, values, 5, lengths, sums, marks)
    totals = [0] * 4
    stop = len(found)
    for i, (row, column, value) in enumerate(found):
        if not (0 <= row < 4 and 0 <= column < 5) or totals[row] + value >= 2**63:
            stop = i
            break
        totals[row] += value
    good = found[:stop]
    assert at == stop
    assert sums.tolist() == totals
    assert lengths.tolist() == [sum(r == row and v > 0 for r, _, v in good) for row in range(4)]
    turned = [(column, row, value) for row, column, value in good]
    assert marks.tolist() == [naive_entries.fingerprint(good), naive_entries.fingerprint(turned)]

    starts = np.concatenate([[0], np.cumsum(lengths)])
    fill, dealt, sizes = starts[:-1].copy(), np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)
    coo.deal(rows[:stop], columns[:stop], values[:stop], fill, dealt, sizes)
    assert fill.tolist() == starts[1:].tolist()
    listed = [(r, c, v) for row in range(4) for r, c, v in good if r == row and v]
    assert list(zip(np.repeat(range(4), lengths).tolist(), dealt.tolist(), sizes.tolist(), strict=True)) == listed


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.data())
def test_rows_of_a_stretch_of_csr(lengths, data):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    begin = data.draw(st.integers(0, offsets[-1]))
    end = data.draw(st.integers(begin, offsets[-1]))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    assert from_coo.rows_of(offsets, begin, end).tolist() == rows[begin:end].tolist()


# --------------------------------------------------------------------------------------------------------------- GloVe


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
    assert {place: Fraction(value, 2520) for place, value in exact(back).items()} == {p: 2 * v for p, v in expected.items()}
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


def test_what_does_not_fit_is_refused(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    records, vocab, out = tmp_path / "records", tmp_path / "vocab", tmp_path / "out"
    export_glove(cooc, records, vocab)
    with pytest.raises(UsageError, match="--force"):
        export_glove(cooc, records, vocab)
    with pytest.raises(UsageError, match="a file each"):
        export_glove(cooc, out, out)
    with pytest.raises(FormatError, match=r"entry 1, 17.4, is no multiple of 1/2; pass the --window"):
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
        (lines + "b 1\n", "the word 'b' stands in it twice"),
        ("", "no words in it"),
    ):
        vocab.write_text(text)
        with pytest.raises(InputError, match=message):
            import_glove(records, vocab, out)
    vocab.write_bytes(lines.encode() + b"\xff 1\n")
    with pytest.raises(InputError, match="vocab:5: not UTF-8"):
        import_glove(records, vocab, out)
    with pytest.raises(UsageError, match="--positional"):
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
        ((2, 1, float("nan")), "entry 2 is nan, which is no count"),
        ((2, 1, float("inf")), "entry 2 is inf, which is no count"),
        ((2, 1, -1.0), "entry 2 is -1, which is no count"),
        ((2, 1, 1e18), "entry 2, 1e.18, overflows 64 bits"),
        ((2, 1, 1e-9), "entry 2, 1e-09, is no multiple of 1/2520"),
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


def test_word_counts_of_no_text_do_not_make_blocks(tmp_path, monkeypatch):
    """Each of these words could fill its row."""
    matrix, words = scipy.sparse.eye(300, format="csr"), [f"w{i:03d}" for i in range(300)]
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 2**15)
    for most, blocks in ((4, 3), (1 / 1024, 1)):
        monkeypatch.setattr(from_coo, "MOST_BLOCKS", most)
        vocabulary = Vocabulary.from_words(words, [10**6] * 300)
        cooc = import_matrix(matrix, vocabulary, tmp_path / f"cooc{blocks}")
        assert (len(cooc.blocks), cooc.entries) == (blocks, 300)


def test_a_file_that_shrinks_while_it_is_read(tmp_path, monkeypatch):
    np.ones(9, RECORD).tofile(tmp_path / "records")
    (tmp_path / "vocab").write_text("a 4\n")
    deal = from_coo._Dealt.of.__func__

    def shrink(cls, *given):
        with (tmp_path / "records").open("r+b") as file:
            file.truncate(20)
        return deal(cls, *given)

    monkeypatch.setattr(from_coo._Dealt, "of", classmethod(shrink))
    with pytest.raises(FormatError, match="was made shorter"):
        import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out", CountOptions(window=1))


def test_counts_that_are_not_the_same_both_ways(tmp_path):
    """The sums of rows and columns are equal in a ring, which is not symmetric either."""
    (tmp_path / "vocab").write_text("a 4\nb 3\nc 2\n")
    ring = [(1, 2, 1.0), (2, 3, 1.0), (3, 1, 1.0)]
    for found in (ring, [(1, 2, 1.0)], [*ring, (2, 1, 1.0), (3, 2, 1.0), (1, 3, 2.0)]):
        np.array(found, RECORD).tofile(tmp_path / "records")
        with pytest.raises(FormatError, match="pass --context-side left or right"):
            import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out")
    left = import_glove(tmp_path / "records", tmp_path / "vocab", tmp_path / "out", CountOptions(context_side="left"))
    assert exact(left)[0, 2] == 2520


def test_words_that_glove_cannot_read_are_refused(tmp_path):
    for texts, message in (([["a", "<unk>"]], "<unk> is a word of it"), ([["a", "é" * 501]], "more than 1000 bytes")):
        cooc = counted(texts, tmp_path / message[-5:], CountOptions())
        with pytest.raises(UsageError, match=message):
            export_glove(cooc, tmp_path / "records", tmp_path / "vocab")
        back = export_hdf5(cooc, tmp_path / "counts.h5", force=True)
        assert back is None and CountFile(tmp_path / "counts.h5").vocabulary.words == cooc.vocabulary.words
    assert not (tmp_path / "records").exists()


# ------------------------------------------------------------------------------------------------------------- budgets


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A million records in no order, of 3000 words, and what they make without a budget."""
    at, random = tmp_path_factory.mktemp("large"), np.random.default_rng(4)
    records = np.empty(1_000_000, RECORD)
    records["row"], records["column"] = (np.minimum(random.zipf(1.3, len(records)), 3000) for _ in range(2))
    records["count"] = random.integers(1, 9, len(records)) / 2
    records.tofile(at / "records")
    (at / "vocab").write_text("".join(f"w{i} {9000 - i}\n" for i in range(3000)))
    import_glove(at / "records", at / "vocab", at / "whole", CountOptions(context_side="right"))
    return at


MEASURED = """
import sys
from cooc_engine import _kernels
from cooc_engine.formats import glove_counts
from cooc_engine.cli.app import main
from cooc_engine._kernels import counting, coo
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("memory", [18, 24])
def test_a_budget_is_kept_and_changes_no_byte(tmp_path, large, memory):
    arguments = ["import-counts", large / "records", "--vocab", large / "vocab", "--output", tmp_path / "out", "--threads", 2]
    arguments += ["--context-side", "right", "--memory", f"{memory}M", "--json", "--progress", "none"]
    done = subprocess.run([sys.executable, "-c", MEASURED, *map(str, arguments)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["peak_memory_bytes"] <= 1.1 * memory * 2**20
    assert files(tmp_path / "out") == files(large / "whole")


def test_a_budget_that_cannot_hold_is_refused(tmp_path, large):
    with pytest.raises(UsageError, match=r"--memory 4.0M is too little to import: .* pass --memory"):
        import_glove(large / "records", large / "vocab", tmp_path / "out", memory="4M")
    for export in (lambda **how: export_glove(large / "whole", tmp_path / "r", tmp_path / "v", **how),
                   lambda **how: export_hdf5(large / "whole", tmp_path / "h", **how)):  # fmt: skip
        with pytest.raises(UsageError, match=r"--memory 100.0K is too little to export"):
            export(memory="100K")
    assert not list(tmp_path.iterdir())


def test_exports_do_not_depend_on_the_budget(tmp_path, large):
    for memory in ("400K", None):
        export_glove(large / "whole", tmp_path / f"r{memory}", tmp_path / "v", memory=memory, force=True)
        export_hdf5(large / "whole", tmp_path / f"h{memory}", memory=memory)
    assert (tmp_path / "r400K").read_bytes() == (tmp_path / "rNone").read_bytes()
    assert (tmp_path / "h400K").read_bytes() == (tmp_path / "hNone").read_bytes()
    assert (tmp_path / "v").read_bytes() == (large / "vocab").read_bytes()


# -------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("at", range(1, 16, 2))
@pytest.mark.parametrize("run", [50, 10**6])
def test_an_import_goes_on_where_it_was_stopped(tmp_path, small_pieces, monkeypatch, at, run):
    random = np.random.default_rng(1)
    records = np.array([(i + 1, j + 1, 1.0) for i, j in random.integers(0, 20, (300, 2))], RECORD)
    records.tofile(tmp_path / "records")
    (tmp_path / "vocab").write_text("".join(f"w{i:02d} 1\n" for i in range(20)))
    given = tmp_path / "records", tmp_path / "vocab"
    options = CountOptions(context_side="right", window=1)
    whole = files(import_glove(*given, tmp_path / "whole", options).path)
    close, calls = rows_module.ArrayWriter.close, []

    def stopped(self):
        calls.append(self.path.name)
        if len(calls) == at + 3:  # not the vocabulary
            self._file.close()
            raise KeyboardInterrupt
        close(self)

    cut_by(monkeypatch, run)
    monkeypatch.setattr(rows_module.ArrayWriter, "close", stopped)
    with pytest.raises(InterruptedRun, match="--resume"):
        import_glove(*given, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="--resume"):
        import_glove(*given, tmp_path / "out", options)
    with pytest.raises(UsageError, match="options"):
        import_glove(*given, tmp_path / "out", CountOptions(context_side="right"), resume=True)
    assert files(import_glove(*given, tmp_path / "out", options, resume=True, threads=1).path) == whole
    records[::-1].tofile(tmp_path / "records")
    calls.clear()
    with pytest.raises(InterruptedRun):
        import_glove(*given, tmp_path / "other", options)
    records.tofile(tmp_path / "records")
    with pytest.raises(UsageError, match="begun with other options"):
        import_glove(*given, tmp_path / "other", options, resume=True)


@pytest.mark.parametrize("seen", ["rows-run-00000.bin", "columns-00000.bin"])
def test_a_killed_import_goes_on(tmp_path, large, seen):
    arguments = ["import-counts", large / "records", "--vocab", large / "vocab", "--output", tmp_path / "out"]
    arguments += ["--context-side", "right", "--memory", "18M", "--threads", "2", "--progress", "none"]
    process = subprocess.Popen([sys.executable, "-c", MEASURED, *map(str, arguments)])
    while process.poll() is None and not (tmp_path / "out.part" / seen).exists():
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["out.part"]
    assert main([*map(str, arguments), "--resume"]) == 0
    assert files(tmp_path / "out") == files(large / "whole")


def test_runs_that_no_longer_fit_are_made_anew(tmp_path, large, monkeypatch):
    given = large / "records", large / "vocab", tmp_path / "out", CountOptions(context_side="right")
    with monkeypatch.context() as patch:
        cut_by(patch, 400_000)
        patch.setattr(from_coo, "_merge_runs", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(InterruptedRun):
            import_glove(*given)
    assert len(list((tmp_path / "out.part").glob("rows-run-*"))) == 3
    back = import_glove(*given, resume=True, memory="18M")
    assert files(back.path) == files(large / "whole")


@pytest.mark.parametrize("size", [70, 3_000, 200_000])
def test_a_disk_that_fills_while_importing(tmp_path, large, monkeypatch, size):
    cut_by(monkeypatch, 700_000)
    with limited(size), pytest.raises(ResourceError, match="--resume"):
        import_glove(large / "records", large / "vocab", tmp_path / "out", CountOptions(context_side="right"))
    assert [path.name for path in tmp_path.iterdir()] == ["out.part"]
    back = import_glove(large / "records", large / "vocab", tmp_path / "out", CountOptions(context_side="right"), resume=True)
    assert files(back.path) == files(large / "whole")


class limited:  # noqa: N801
    """Files cannot grow past `size` bytes meanwhile."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *error: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.parametrize("size", [0, 100, 20_000, 1_000_000])
def test_a_disk_that_fills_while_exporting_leaves_nothing(tmp_path, large, size):
    (tmp_path / "records").write_text("older")
    with limited(size), pytest.raises(ResourceError, match="--resume"):
        export_glove(large / "whole", tmp_path / "records", tmp_path / "vocab", force=True)
    with limited(size), pytest.raises(ResourceError, match="--resume"):
        export_hdf5(large / "whole", tmp_path / "counts.h5")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"records": "older"}


def test_an_interrupted_export_leaves_nothing(tmp_path, large, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(glove_counts, "rows_of", stopped)
    monkeypatch.setattr(hdf5_counts, "_csr", stopped)
    with pytest.raises(InterruptedRun):
        export_glove(large / "whole", tmp_path / "records", tmp_path / "vocab")
    with pytest.raises((InterruptedRun, KeyboardInterrupt)):
        export_hdf5(large / "whole", tmp_path / "counts.h5")
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------------------- SciPy


@SLOW
@given(texts_of, options_of, st.booleans(), st.sampled_from([1, 4, 1 << 20]))
def test_csr_whole_and_by_rows(texts, options, positional, most):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "BLOCK_ENTRIES", 20)
        options = CountOptions(**options.record() | {"positional": positional})
        cooc = counted(texts, Path(name), options)
        words = cooc.vocabulary.words
        expected = np.zeros((len(words), cooc.columns))
        where = options.window, options.window_weight, options.context_side, positional
        for place, value in naive.cooccurrences(texts, words, *where).items():
            expected[place] = float(value)
        whole = cooc.csr()
        assert whole.has_canonical_format and whole.nnz == cooc.entries
        np.testing.assert_array_equal(whole.toarray(), expected)
        parts = list(cooc.row_blocks(most))
        assert [first for first, _ in parts] == [0, *itertools.accumulate(part.shape[0] for _, part in parts)][:-1]
        assert all(part.nnz <= most or part.shape[0] == 1 for _, part in parts)
        np.testing.assert_array_equal(scipy.sparse.vstack([part for _, part in parts]).toarray(), expected)


def test_a_matrix_that_does_not_fit_is_refused_with_its_size(tmp_path, large):
    cooc = Cooc(large / "whole")
    with pytest.raises(UsageError, match=r"entries take .*M as one matrix, more than 1.0M; .* row_blocks"):
        cooc.csr(memory="1M")
    assert cooc.csr(cooc.blocks[0], memory="1M").nnz <= cooc.entries


def test_indices_of_64_bits_where_32_do_not_do():
    assert index_type(2**31 - 1, 2**31 - 1) == np.int32
    assert index_type(2**31, 5) == index_type(5, 2**31) == np.int64


@SLOW
@given(texts_of, options_of, st.sampled_from(["csr", "csc", "coo", "lil"]), st.integers(0, 99), st.sampled_from("df"))
def test_a_matrix_comes_back_whatever_its_form(texts, options, form, seed, kind):
    with tempfile.TemporaryDirectory() as name:
        cooc = counted(texts, Path(name), options)
        order = np.random.default_rng(seed).permutation(len(cooc.vocabulary))
        matrix = cooc.csr().astype(kind)[order][:, order].asformat(form)
        words = Vocabulary.from_words([cooc.vocabulary.words[i] for i in order], cooc.vocabulary.counts[order].tolist())
        back = import_matrix(matrix, words, Path(name) / "back", options)
        assert bodies(back.path) == bodies(cooc.path)


def test_counts_of_a_term_document_matrix(tmp_path):
    """As scikit-learn makes them: documents by words in alphabetical order; zeros are stored, and no word has a count."""
    documents = scipy.sparse.csr_matrix([[1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1]])
    matrix = documents.T @ documents
    matrix.setdiag(0)
    assert (matrix.data == 0).any()
    words = np.array(["ant", "bee", "cow", "dog"], object)
    cooc = import_matrix(matrix, words, tmp_path / "cooc")
    assert cooc.vocabulary.words == ["cow", "dog", "ant", "bee"]
    assert cooc.vocabulary.counts.tolist() == [4, 3, 2, 1]
    assert (cooc.denominator, cooc.options.window_weight) == (1, "uniform")
    ids = [cooc.vocabulary.ids[word] for word in words]
    np.testing.assert_array_equal(cooc.csr().toarray()[np.ix_(ids, ids)], matrix.toarray())
    train_glove(cooc, tmp_path / "model.h5", GloveOptions(vector_size=4, epochs=1))
    small = import_matrix(matrix.astype(np.int8).tocoo(), list(words), tmp_path / "small", CountOptions(window=10))
    assert exact(small) == {place: 2520 * value for place, value in exact(cooc).items()}
    binary = import_matrix((matrix > 0).tocsc(), list(words), tmp_path / "binary")
    assert set(exact(binary).values()) == {1} and binary.entries == cooc.entries
    empty = import_matrix(scipy.sparse.csr_array((2, 2)), ["a", "b"], tmp_path / "empty")
    assert empty.entries == 0 and empty.csr().shape == (2, 2)


@pytest.mark.parametrize(
    ("matrix", "words", "message"),
    [
        (np.eye(2), ["a", "b"], "a ndarray is no sparse matrix of SciPy"),
        (scipy.sparse.eye(3), ["a", "b"], "2 words take a matrix of as many rows and columns, not 3 x 3"),
        (scipy.sparse.eye(2, dtype=complex), ["a", "b"], "holds complex128"),
        (scipy.sparse.eye(2), {"a": 1, "b": 0}, "words is a mapping"),
        (scipy.sparse.eye(2), ["a", 5], "word 2 is a int"),
        (scipy.sparse.eye(2), ["a", "a"], "'a' stands in it twice"),
        (scipy.sparse.eye(2), ["a", ""], "a word is empty"),
        (scipy.sparse.eye(2), ["a", "new york"], "word 2 has white space in it; join its parts with _"),
        (scipy.sparse.eye(2) / 2, ["a", "b"], "entry 1, 0.5, is no multiple of 1/1"),
        (scipy.sparse.eye(2) * np.nan, ["a", "b"], "entry 1 is nan"),
        (scipy.sparse.eye(2, dtype=np.int64) * -3, ["a", "b"], "entry 1 is -3, which is no count"),
        (scipy.sparse.eye(2, dtype=np.uint64) * np.uint64(2**63), ["a", "b"], "overflows 64 bits"),
        (scipy.sparse.csr_array(([1], ([0], [1])), (2, 2)), ["a", "b"], "--context-side"),
    ],
)
def test_a_matrix_that_is_none_of_counts_is_refused(tmp_path, matrix, words, message):
    with pytest.raises(CoocError, match=message):
        import_matrix(matrix, words, tmp_path / "out")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------------- HDF5


@SLOW
@given(texts_of, options_of, st.booleans(), st.integers(1, 3), st.sampled_from([5, 10**6]))
def test_a_directory_comes_back_byte_for_byte(texts, options, positional, threads, run):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        at = Path(name)
        patch.setattr(directory, "BLOCK_ENTRIES", 20)
        patch.setattr(hdf5_counts, "CHUNK", 7)
        patch.setattr(hdf5_counts, "LEAST_CHUNK", 7)
        cooc = counted(texts, at, CountOptions(**options.record() | {"positional": positional}))
        export_hdf5(cooc, at / "counts.h5")
        cut_by(patch, run)
        back = import_hdf5(at / "counts.h5", at / "back", threads=threads)
        assert files(back.path) == files(cooc.path)
        opened, whole = CountFile(at / "counts.h5"), cooc.csr()
        np.testing.assert_array_equal(opened.csr().toarray(), whole.toarray())
        with h5py.File(at / "counts.h5") as file:
            group = file["counts"]
            parts = tuple(group[part][:] for part in ("data", "indices", "indptr"))
            np.testing.assert_array_equal(scipy.sparse.csr_array(parts, group["shape"][:]).toarray(), whole.toarray())
            assert all(group[part].chunks is None for part in group)
            found = {key: group.attrs[key] for key in ("encoding-type", "encoding-version", "shape")}
        assert (found["encoding-type"], found["encoding-version"]) == (b"csr_matrix", b"0.1.0")
        assert tuple(found["shape"]) == whole.shape


def test_integers_that_float64_does_not_hold_come_back(tmp_path):
    random = np.random.default_rng(0)
    texts = [random.permutation([*"aaaabbbbccdefff"]).tolist() for _ in range(1)]
    cooc = counted(texts, tmp_path, CountOptions(window=41))
    assert max(exact(cooc).values()) > 2**53
    export_hdf5(cooc, tmp_path / "counts.h5")
    with h5py.File(tmp_path / "counts.h5") as file:
        assert file["counts"]["remainders"][:].any()
    assert files(import_hdf5(tmp_path / "counts.h5", tmp_path / "back").path) == files(cooc.path)


def test_merged_and_appended_counts_come_back(tmp_path):
    one = counted(TEXTS, tmp_path, CountOptions(window=2))
    (tmp_path / "new.txt").write_text("a b b b a c\n" * 9)
    both = append(one, tmp_path / "new.txt", tmp_path / "both")
    export_hdf5(both, tmp_path / "counts.h5")
    assert files(import_hdf5(tmp_path / "counts.h5", tmp_path / "back").path) == files(both.path)
    assert info(tmp_path / "counts.h5")["kind"] == "counts"


def test_a_damaged_file_of_counts_is_named(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    path, out = tmp_path / "counts.h5", tmp_path / "out"
    export_hdf5(cooc, path)
    whole = path.read_bytes()
    with h5py.File(path) as file:
        places = {f"{group}/{name}": file[group][name].id.get_offset() for group in file for name in file[group]}
    for name, place in places.items():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(FormatError, match=rf"counts.h5: element {name.split('/')[0]}"):
            import_hdf5(path, out)
    path.write_bytes(whole[:-8])
    with pytest.raises(FormatError, match=r"counts.h5: .*truncated"):
        import_hdf5(path, out)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file["counts"].attrs["shape"] = np.array([4, 5])
    with pytest.raises(FormatError, match="shape"):
        CountFile(path)
    with pytest.raises(InputError, match="no such file"):
        CountFile(tmp_path / "none.h5")
    assert not out.exists() and not list(tmp_path.glob("*.part"))


def test_a_manifest_of_other_counts_is_refused(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    cooc.manifest["total"] += 1
    export_hdf5(cooc, tmp_path / "counts.h5")
    with pytest.raises(FormatError, match="does not hold the counts that it says"):
        import_hdf5(tmp_path / "counts.h5", tmp_path / "out")
    for field, value, message in (
        ("version", 2, "not that of counts of version 1"),
        ("options", {"newer": 1}, "options of another version"),
        ("options", 5, "does not hold a manifest"),
        ("entries", 1, "not those of its manifest"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(cooc.manifest, field, value)
            export_hdf5(cooc, tmp_path / "counts.h5", force=True)
        with pytest.raises(FormatError, match=message):
            CountFile(tmp_path / "counts.h5")


def test_streams_are_written_as_arrays_are(tmp_path):
    values = np.arange(10, dtype=np.float64)
    stream = Stream((10,), np.dtype(np.float64), lambda: iter(np.split(values, [3, 3, 7])))
    one, other = Dataset.of(values, "x"), Dataset.of(stream, "x")
    assert (one.crc, one.dtype) == (other.crc, other.dtype)
    with (tmp_path / "x").open("wb") as file:
        other.write(file)
    assert (tmp_path / "x").read_bytes() == values.tobytes()


# ---------------------------------------------------------------------------------------------------------- from shell


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
        (["import-counts", "counts.h5", "--vocab", "vocab", "--output", "x"], "are in the file"),
        (["import-counts", "counts.h5", "--window", "3", "--output", "x"], "are in the file"),
        (["import-counts", "counts.h5", "--output", "x", "--memory", "1M"], "--memory 1.0M is too little"),
    ):
        assert main([*arguments, *quiet]) == 2
        error = capsys.readouterr().err
        assert message in error and len(error.splitlines()) == 1
    assert not Path("x").exists()


def test_blocks_are_cut_by_rows(tmp_path, large):
    cooc = Cooc(large / "whole")
    lengths = np.diff(cooc.row_offsets)
    assert [first for first, _ in cooc.row_blocks(5000)] == [first for first, _ in cut_by_cost(lengths, 5000)]

"""Kills, full disks, no memory, few open files, numbers past 32 bits: what is finished stays, and the bytes are the same."""

from __future__ import annotations

import errno
import gzip
import importlib.util
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import forge
from support.memory import least_peak, peak_memory, traced_memory

import cooc_engine
from cooc_engine._kernels import counting
from cooc_engine._kernels import sparse as sparse_kernels
from cooc_engine.corpus import allotment, second_pass, shards
from cooc_engine.corpus import encode as corpus_module
from cooc_engine.corpus import first_pass as spool_module
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.first_pass import PassCheckpoint, Spool, Spooled, Tables
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import Words, WordTable, rank_words
from cooc_engine.counts import count as cooc_module
from cooc_engine.counts import directory, windows
from cooc_engine.counts.count import count, plan_count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.row_writer import Accumulator, Merged, RowFiles, Written, accumulator_bytes
from cooc_engine.counts.windows import CorpusPart, Window, _list_positions, beside_segments, cut_corpus, read_positions
from cooc_engine.errors import FormatError, InterruptedRun, ResourceError, UsageError
from cooc_engine.linalg.sparse import flat, panels, panels_of
from cooc_engine.models.families import trainable
from cooc_engine.pipeline import stages
from cooc_engine.runtime.progress import Stage
from cooc_engine.storage import arrays, outputs
from cooc_engine.storage.arrays import ArrayReader, ArrayWriter, Bound, open_array
from cooc_engine.text import readers

HERE = Path(__file__).parent
ALL = EncodeOptions(min_count=1)
T = TypeVar("T")
FAR = 2**31 - 10


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write_text(path: Path, tokens: int, words: int, seed: int = 1) -> Path:
    chance = np.random.default_rng(seed)
    ids, cuts = chance.zipf(1.2, tokens) % words, np.sort(chance.integers(0, tokens, tokens // 20))
    path.write_text("".join(" ".join(f"w{i}" for i in part) + "\n" for part in np.split(ids, cuts)))
    return path


# ------------------------------------------------------------------------------------------------- a fault at every write


@pytest.fixture(scope="module")
def attempt(tmp_path_factory) -> Iterator[Callable[..., int]]:
    """Try scenarios with faults of a kind, none of which may fail; returns the number of points.

    All are tried by one process, which takes a while to load: what is killed are its forks.
    """
    command = [sys.executable, HERE / "support" / "faults.py", tmp_path_factory.mktemp("faults")]
    environment, pipe = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}, subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:

        def attempt(kind: str, scenarios: str, points: int = 0, seconds: int = 1200) -> int:
            print(kind, scenarios, points, file=process.stdin, flush=True)
            watchdog = threading.Timer(seconds, process.kill)
            watchdog.start()
            report = json.loads(process.stdout.readline() or '{"failures": "it ended", "seed": 0}')
            watchdog.cancel()
            assert report["failures"] == [], f"seed {report['seed']}"
            return report["points"]

        yield attempt
        process.stdin.close()


@pytest.mark.parametrize(
    ("kind", "scenario", "least"),
    [
        ("kill", "encode", 80), ("kill", "news", 40), ("kill", "runs", 120), ("kill", "replace", 60), ("kill", "merge", 50),
        ("full", "encode", 30), ("full", "count", 20), ("full", "runs", 50), ("full", "merge", 20), ("full", "count-pairs", 10),
        ("random", "encode", 30), ("random", "runs", 30),
    ],
)  # fmt: skip
def test_a_fault_at_any_moment_loses_nothing(attempt, kind, scenario, least):
    assert attempt(kind, scenario) >= least


FILES = "import-glove,export-glove,import-vectors,export-vectors,align,embed,quantize,import-elmo,export-elmo,cluster,classify"
SHARED = "ranges,shared-runs,shared-merge,shared-glove,shared-pmi-svd"
EXTRAS = {  # verbs that need a package which may be missing
    "index": "usearch", "compare": "matplotlib", "plot": "matplotlib", "explore": "jinja2", "autotune": "optuna",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "points"), [("kill", 8), ("lose", 8)])
def test_a_kill_of_those_who_share_work_loses_nothing(attempt, kind, points):
    """Of the process that divides the work, or of one that does a part of it; at some moments, others in every run."""
    assert attempt(kind, SHARED, points) >= (1 + SHARED.count(",")) * points


@pytest.mark.parametrize(
    ("verbs", "points"),
    [
        ("append,import,count-pairs,job,export,text", 5),
        (",".join(trainable()), 3),
        (",".join([FILES, *(verb for verb, package in EXTRAS.items() if importlib.util.find_spec(package))]), 1),
    ],
)
def test_a_kill_at_any_moment_of_any_verb_loses_nothing(attempt, verbs, points):
    """At some moments, others in every run: all, which COOC_FAULTS=all tries, take many minutes."""
    most = 0 if os.environ.get("COOC_FAULTS") == "all" else points
    assert attempt("kill", verbs, most, 7200) >= 10


def test_a_full_disk_while_tables_are_written_out_hangs_nothing(tmp_path, monkeypatch):
    text = write_text(tmp_path / "t", 50_000, 10**6)
    monkeypatch.setattr(allotment, "LEAST_BLOCK", 1 << 12)
    monkeypatch.setattr(allotment, "LEAST_TABLE", 1 << 16)

    def full(words, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(ResourceError, match="No space left"):
        patch.setattr(Words, "save", full)
        encode(text, tmp_path / "c", threads=1, memory=1 << 19)
    assert files(encode(text, tmp_path / "c", resume=True).path) == files(encode(text, tmp_path / "whole").path)


def test_two_jobs_on_one_directory(tmp_path, monkeypatch):
    """The second is refused, and the first goes on."""
    corpus = encode(write_text(tmp_path / "t", 500, 20), tmp_path / "corpus", ALL)
    original, refused = cooc_module.write_rows, []

    def meanwhile(*given):
        for how in ({"resume": True}, {"force": True}, {}):
            with pytest.raises(UsageError) as caught:
                count(corpus, tmp_path / "out", **how)
            refused.append(str(caught.value))
        return original(*given)

    monkeypatch.setattr(cooc_module, "write_rows", meanwhile)
    made = count(corpus, tmp_path / "out")
    monkeypatch.undo()
    assert "another run is working on it" in refused[0] and "another run is working on it" in refused[1]
    assert files(made.path) == files(count(corpus, tmp_path / "again").path)


LAST = {"encode": (second_pass, "check_sum"), **dict.fromkeys(("count", "merge", "import"), (directory, "clean"))}


@pytest.mark.parametrize("verb", LAST)
def test_what_was_finished_but_for_its_name_is_compared_before_it_gets_it(tmp_path, monkeypatch, verb):
    text = write_text(tmp_path / "t", 500, 20)
    cooc = count(encode(text, tmp_path / "corpus", ALL), tmp_path / "cooc")
    cooc_engine.export_hdf5(cooc, tmp_path / "counts.h5")
    make = {
        "encode": lambda **how: encode(text, tmp_path / "out", ALL, **how),
        "count": lambda **how: count(tmp_path / "corpus", tmp_path / "out", **how),
        "merge": lambda **how: merge([cooc, cooc], tmp_path / "out", **how),
        "import": lambda **how: cooc_engine.import_hdf5(tmp_path / "counts.h5", tmp_path / "out", **how),
    }[verb]

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(*LAST[verb], stopped)
        make()
    left, part = tmp_path / "left", tmp_path / "out.part"
    part.rename(left)
    bound = json.loads((left / "manifest.json").read_bytes())["files"]
    for name in [*bound, "manifest.json"]:
        shutil.copytree(left, part)
        content = bytearray((part / name).read_bytes())
        content[-9] ^= 1
        (part / name).write_bytes(content)
        with pytest.raises(FormatError, match=name):
            make(resume=True)
        assert not (tmp_path / "out").exists()
        shutil.rmtree(part, ignore_errors=True)
    left.rename(part)
    monkeypatch.setattr(ArrayWriter, "append", stopped)  # nothing is made again
    assert files(make(resume=True).path).keys() == {*bound, "manifest.json"}


@pytest.mark.parametrize("how", [{"resume": True}, {"force": True}])
def test_an_append_is_refused_before_it_begins_where_its_sum_would_be(tmp_path, monkeypatch, how):
    text = write_text(tmp_path / "t", 50, 20)
    cooc = count(encode(text, tmp_path / "corpus", ALL), tmp_path / "cooc")
    (tmp_path / "out.part").mkdir()
    for name in ("lock", "notes.txt"):
        (tmp_path / "out.part" / name).touch()
    monkeypatch.setattr(stages, "encoded", None)
    with pytest.raises(UsageError, match=r"out\.part: holds notes\.txt"):
        cooc_engine.append(cooc, text, tmp_path / "out", **how)
    assert names(tmp_path / "out.part") == ["lock", "notes.txt"]


@pytest.mark.parametrize("name", ["cooc/columns-00000.bin", "cooc/row-sums.bin", "cooc/manifest.json"])
def test_what_a_stopped_append_left_is_not_added_if_it_is_damaged(tmp_path, monkeypatch, name):
    text = write_text(tmp_path / "t", 500, 20)
    cooc = count(encode(text, tmp_path / "corpus", ALL), tmp_path / "cooc")
    whole = files(cooc_engine.append(cooc, text, tmp_path / "out").path)
    shutil.rmtree(tmp_path / "out")
    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(cooc_module, "write_merged", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        cooc_engine.append(cooc, text, tmp_path / "out")
    content = bytearray((tmp_path / "out.work" / name).read_bytes())
    content[-9] ^= 1
    (tmp_path / "out.work" / name).write_bytes(content)
    with pytest.raises(FormatError, match=rf"out\.work/{name}: .*; pass force=True to start anew$"):
        cooc_engine.append(cooc, text, tmp_path / "out", resume=True)
    assert not (tmp_path / "out").exists()
    assert files(cooc_engine.append(cooc, text, tmp_path / "out", force=True).path) == whole


# ----------------------------------------------------------------------------------------------- an encoding that goes on


@pytest.fixture
def pieces(monkeypatch):
    """Blocks of a few lines, shards of a few documents, a checkpoint behind every block."""
    monkeypatch.setattr(allotment, "LEAST_BLOCK", 1 << 10)
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(second_pass, "SHARD_TOKENS", 500)
    monkeypatch.setattr(spool_module, "CHECKPOINT_SECONDS", 0.0)


def stop(monkeypatch, owner: object, name: str, calls: int, *given, **how) -> None:
    """Encode, and interrupt it when something was called so many times."""
    original, seen = getattr(owner, name), []

    def interrupted(*arguments, **named):
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(owner, name, interrupted)
        encode(*given, **how)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("calls", [1, 3, 5])
def test_the_first_pass_goes_on_behind_its_last_checkpoint(tmp_path, monkeypatch, pieces, packed, calls):
    texts = [write_text(tmp_path / f"t{i}", 700, 90, i) for i in range(3)]
    texts[1].write_bytes(b"\xef\xbb\xbfa b" + b" " * 1022 + b"c\n" * 5)  # a block ends between the words of a line
    texts[2].write_bytes(texts[2].read_bytes().rstrip())
    if packed:
        texts[0].write_bytes(gzip.compress(texts[0].read_bytes()))
    whole = encode(texts, tmp_path / "whole", ALL)
    stop(monkeypatch, PassCheckpoint, "save", calls, texts, tmp_path / "out", ALL, threads=1)
    read, blocks = [], readers.file_blocks
    monkeypatch.setattr(
        readers, "file_blocks", lambda *given, start, **how: read.append(start) or blocks(*given, start=start, **how)
    )
    resumed = encode(texts, tmp_path / "out", ALL, resume=True, threads=2)
    assert read[0] > (0, 0)
    assert files(resumed.path) == files(whole.path)


def test_a_finished_first_pass_is_not_run_again(tmp_path, monkeypatch, pieces):
    text = write_text(tmp_path / "t", 3000, 90)
    whole = encode(text, tmp_path / "whole", ALL)
    stop(monkeypatch, second_pass, "shard_files", 3, text, tmp_path / "out", ALL)
    kept = tmp_path / "out.part" / "tokens-00001.bin"
    place = kept.stat().st_ino, kept.stat().st_mtime_ns
    written, original = [], second_pass.ArrayWriter

    def writer(path, dtype):
        written.append(path.name.partition(".bin")[0] + ".bin")
        return original(path, dtype)

    monkeypatch.setattr(second_pass, "ArrayWriter", writer)
    monkeypatch.setattr(corpus_module, "tokenize", None)
    resumed = encode(text, tmp_path / "out", ALL, resume=True)
    assert files(resumed.path) == files(whole.path) and resumed.shards > 5
    kept = resumed.path / "tokens-00001.bin"
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == place and "tokens-00001.bin" not in written
    assert "tokens-00005.bin" in written


@pytest.mark.parametrize("where", [(PassCheckpoint, "save"), (second_pass, "shard_files"), (second_pass, "write_manifest")])
def test_texts_that_changed_are_not_mixed(tmp_path, monkeypatch, pieces, where):
    text = write_text(tmp_path / "t", 3000, 90)
    stop(monkeypatch, *where, 2 if where[1] != "write_manifest" else 0, text, tmp_path / "out", ALL)
    write_text(text, 900, 40, seed=2)
    resumed = encode(text, tmp_path / "out", ALL, resume=True)
    assert files(resumed.path) == files(encode(text, tmp_path / "whole", ALL).path)


def test_a_standard_input_that_was_read_is_not_read_again(tmp_path, monkeypatch, pieces):
    text = write_text(tmp_path / "t", 3000, 90)

    class Given:
        buffer = text.open("rb")

    with Given.buffer:
        monkeypatch.setattr(readers.sys, "stdin", Given)
        stop(monkeypatch, second_pass, "shard_files", 3, "-", tmp_path / "out", ALL)
        monkeypatch.setattr(readers.sys, "stdin", None)
        resumed = encode("-", tmp_path / "out", ALL, resume=True)
    whole = encode(text, tmp_path / "whole", ALL)
    assert {k: v for k, v in files(resumed.path).items() if k != "manifest.json"} == {
        k: v for k, v in files(whole.path).items() if k != "manifest.json"
    }


def test_a_spool_that_was_damaged_is_found(tmp_path, monkeypatch, pieces):
    text = write_text(tmp_path / "t", 3000, 90)
    stop(monkeypatch, second_pass, "shard_files", 3, text, tmp_path / "out", ALL)
    spooled = tmp_path / "out.part" / "tokens.spool"
    ids = np.fromfile(spooled, np.int32)
    ids[-1] ^= 1
    ids.tofile(spooled)
    with pytest.raises(FormatError, match=r"tokens\.spool: is not what the interrupted run left"):
        encode(text, tmp_path / "out", ALL, resume=True)


# ---------------------------------------------------------------------------------------------- few files, little memory


def test_two_thousand_runs_with_few_file_descriptors(tmp_path, monkeypatch):
    chance = np.random.default_rng(4)
    text = tmp_path / "t"
    text.write_text("".join(" ".join(f"w{i % 40}" for i in chance.zipf(1.5, 20)) + "\n" for _ in range(300)))
    corpus = encode(text, tmp_path / "corpus", ALL)
    options = CountOptions(window=2)
    whole = count(corpus, tmp_path / "whole", options)
    runs = [CorpusPart(((0, at, at + 3),)) for at in range(0, corpus.tokens, 3)]
    assert len(runs) == 2000
    monkeypatch.setattr(cooc_module, "cut_corpus", lambda *given: runs)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        split = count(corpus, tmp_path / "split", options, threads=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert files(split.path) == files(whole.path)


LIMITED = """
import resource, sys
from pathlib import Path
from cooc_engine.cli.app import main
from cooc_engine.counts.options import CountOptions
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.corpus.encode import encode
at, verb, budget, share, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
how = {"threads": threads, "memory": "64M"}
encode(at / "little", at / "warm", EncodeOptions(min_count=1), **how)  # the interpreter's own start: modules, stacks
count(at / "warm", at / "warmer", **how)
[line] = [line for line in open("/proc/self/status") if line.startswith("VmData:")]
start = int(line.split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (start + int(share * budget), -1))
common = ["--output", str(at / "out"), "--memory", str(budget), "--threads", str(threads), "--progress", "none", "--resume"]
source = {"encode": [str(at / "text"), "--min-count", "1"], "count": [str(at / "corpus"), "--window", "5"]}[verb]
code = main([verb, *source, *common])
resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("texts")
    write_text(at / "little", 2000, 500)
    encode(write_text(at / "text", 600_000, 60_000), at / "corpus", ALL)
    return at


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("verb", "budget"), [("encode", 24 << 20), ("count", 32 << 20)])
def test_the_data_limit_of_the_system_at_the_budget(texts, verb, budget, threads, tmp_path):
    for name in ("little", "text", "corpus"):
        (tmp_path / name).symlink_to(texts / name)

    def limited(share: float) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(tmp_path / "warm", ignore_errors=True)
        shutil.rmtree(tmp_path / "warmer", ignore_errors=True)
        command = [sys.executable, "-c", LIMITED, *map(str, (tmp_path, verb, budget, share, threads))]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    little = limited(0.1)
    assert little.returncode == 4 and little.stderr.count("\n") == 1, little.stderr
    assert "out: out of memory; run again with --resume and a smaller --memory" in little.stderr
    enough = limited(1.1)
    assert enough.returncode == 0, enough.stderr
    assert "out.part" not in names(tmp_path)


def test_a_corpus_of_many_times_the_budget_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(cooc_module, "LEAST_TEXT", 1 << 16)
    monkeypatch.setattr(cooc_module, "LEAST_ENTRIES", 1 << 11)
    text, budget, options = write_text(tmp_path / "t", 1_550_000, 300), 284 << 10, CountOptions(window=4)
    assert text.stat().st_size > 20 * budget
    corpus = encode(text, tmp_path / "corpus", ALL)
    whole = count(corpus, tmp_path / "whole", options)
    runs = plan_count(corpus, tmp_path / "split", options, threads=1, memory=budget).runs
    peak, split = least_peak(lambda: count(corpus, tmp_path / "split", options, threads=1, memory=budget, force=True))
    assert runs > 100
    # Python's own objects differ by some 50 KB from run to run, with what the interpreter keeps for reuse.
    assert peak <= 1.1 * budget + 1000 * runs + (128 << 10), "the budget, and Python's own objects"
    assert files(split.path) == files(whole.path)


def test_a_corpus_of_many_times_the_budget_is_encoded(tmp_path, monkeypatch):
    text = write_text(tmp_path / "t", 1_000_000, 5000)
    some = text.read_bytes()
    text.write_bytes(some * (1 + 21 * (13 << 19) // len(some)))
    whole = encode(text, tmp_path / "whole", ALL)
    monkeypatch.setattr(allotment, "LEAST_BLOCK", 1 << 15)
    budget = 13 << 19
    assert text.stat().st_size > 20 * budget
    peak, tight = least_peak(lambda: encode(text, tmp_path / "tight", ALL, threads=1, memory=budget, force=True))
    assert peak <= 1.1 * budget
    assert files(tight.path) == files(whole.path)


class Rows:
    """Rows in memory that can be merged, as if they stood behind many others."""

    def __init__(self, rows: list[dict[int, int]], begin: int = 0) -> None:
        self.size, self._begin = len(rows), begin
        self._offsets = begin + np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        self._columns = np.array([c for row in rows for c in sorted(row)], np.int32)
        self._values = np.array([row[c] for row in rows for c in sorted(row)], np.int64)

    def offsets(self, first, last):
        return self._offsets[first : last + 1].copy()

    def entries(self, begin, end):
        part = slice(begin - self._begin, end - self._begin)
        return self._columns[part].copy(), self._values[part].copy()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 400), st.integers(0, 60), st.integers(16, 3000), st.integers(0, 2**32))
def test_merging_holds_what_its_plan_says(sources, rows, length, entries, seed):
    chance, width = np.random.default_rng(seed), 500

    def row() -> dict[int, int]:
        return dict.fromkeys(chance.choice(width, chance.integers(0, length + 1), replace=False).tolist(), 3)

    found = [Rows([row() for _ in range(rows)]) for _ in range(sources)]
    merged = Merged(found, width, entries)
    tasks = merged.tasks(0, rows)
    assert [r for a, b in tasks for r in range(a, b)] == list(range(rows))
    most = max(int(merged.bounds[a:b].sum()) for a, b in tasks)
    accumulator = Accumulator(width, 1, most, max(b - a for a, b in tasks))
    assert accumulator.rows.columns.nbytes + accumulator.rows.values.nbytes <= accumulator_bytes(0, max(entries, width))
    total, held = 0, cooc_module.MERGE_BYTES * entries + 48 * sources
    merged.fill(accumulator, *tasks[0])  # what the first call sets up once is not part of the plan
    with traced_memory() as traced:
        for task in tasks:
            before, _ = traced()
            tracemalloc.reset_peak()
            total += merged.fill(accumulator, *task)
            peak = traced()[1] - before
            assert peak <= held + 300 * sources + 8192, "slices, offsets of a row in each source, and Python's objects"
        assert traced()[0] < 1 << 17, "nothing stays from task to task but what Python and NumPy keep for reuse"
    assert total <= merged.bounds.sum()


def test_a_run_that_waits_to_be_merged_takes_little_memory(tmp_path):
    """However deep the directory is: 300 characters of it, three times per run, would pass the limit."""
    directory = tmp_path / ("d" * 200)
    directory.mkdir()
    run = RowFiles(directory, "run-00000", (0, 1))
    for part, dtype in (("rows", np.int64), ("columns", np.int32), ("values", np.uint32)):
        with ArrayWriter(run.path(part), dtype) as file:
            file.append(np.array([0, 3, 0, 0], dtype) if part == "rows" else np.zeros(3, dtype))
    # The names stay in Python's table of strings as long as one reader has them; without it, opening may make that table grow,
    # which is none of the runs' memory. Runs do not share the names of their files as these do, so they are added.
    first = Written.open(run, 1, 1)
    names = sum(sys.getsizeof(Path(file.path).name) for file in (first.rows, first.columns, first.values))
    with peak_memory() as peak:
        opened = [Written.open(run, 1, 1) for _ in range(100)]
    assert peak[0] / len(opened) + names < 1000


# ------------------------------------------------------------------------------------------------------ past 2^31 and 2^32


def sparse(path: Path, dtype: type, size: int, tail: np.ndarray) -> Path:
    """An array file of many values, zero but for the last ones; it takes no room on the disk."""
    head = arrays.HEADER.pack(arrays.MAGIC, arrays.VERSION, np.dtype(dtype).newbyteorder("<").str.encode(), size, 0)
    with path.open("wb") as file:
        file.write((head + struct.pack("<I", zlib.crc32(head))).ljust(arrays.HEADER_BYTES, b"\0"))
        file.truncate(arrays.HEADER_BYTES + size * np.dtype(dtype).itemsize)
        file.seek(-tail.nbytes, os.SEEK_END)
        file.write(tail.tobytes())
    return path


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
def test_slices_behind_two_gigavalues(tmp_path, dtype):
    tail = np.arange(20, dtype=dtype)
    reader = ArrayReader(sparse(tmp_path / "a", dtype, FAR + 20, tail), dtype)
    assert reader.size == FAR + 20
    assert reader.read(FAR, FAR + 20).tolist() == tail.tolist()
    assert reader.read(FAR - 2, FAR + 12).tolist() == [0, 0, *range(12)]


@pytest.mark.parametrize("options", [CountOptions(window=3), CountOptions(window=2, positional=True, oov_gap="keep")])
def test_tokens_behind_two_gigatokens_are_counted(tmp_path, options):
    """A shard whose first document is longer than a 32-bit number; the second is a small text."""
    chance = np.random.default_rng(2)
    ids = chance.integers(-1, 5, 40).astype(np.int32)
    (tmp_path / "t").write_text("".join(f"{'abcdef'[i]} " for i in ids) + "\n")
    expected = count(encode(tmp_path / "t", tmp_path / "small", EncodeOptions(min_count=1)), tmp_path / "whole", options)
    corpus = Corpus(tmp_path / "small")
    order = np.array([corpus.vocabulary.ids.get("abcdef"[i], -1) for i in ids], np.int32)
    tokens, documents = (corpus.path / name for name in shards.shard_files(0))
    tokens.unlink()
    sparse(tokens, np.int32, FAR + 40, order)
    forge.put(documents, np.array([0, FAR, FAR + 40]))
    forge.remake(corpus.path, tokens=FAR + 40, documents=2, shards=[[FAR + 40, 2]])
    corpus = Corpus(corpus.path)
    corpus._checked.add(0)  # as the count of an earlier run did
    run = CorpusPart(((0, FAR, FAR + 40),))
    text = read_positions(corpus, run, options, 2, Stage("", None, ""))
    window = Window.of(options)
    columns = len(corpus.vocabulary) * window.slots
    accumulator = Accumulator(columns, window.slots, columns * len(corpus.vocabulary), len(corpus.vocabulary))
    source = cooc_module.TextSource(text, window, window.bounds(text.counts))
    n = source.fill(accumulator, 0, len(corpus.vocabulary))
    blocks = [expected.block_integers(block) for block in expected.blocks]
    assert accumulator.rows.columns[:n].tolist() == np.concatenate([block[0] for block in blocks]).tolist()
    assert accumulator.rows.values[:n].tolist() == np.concatenate([block[1] for block in blocks]).tolist()
    assert cut_corpus(corpus, options.window, 1 << 40) == [CorpusPart(((0, 0, FAR + 40),))], "one run has any number of words"


@pytest.mark.parametrize("at", [2**31, 2**32])
def test_positions_beyond_31_and_32_bits_are_counted(tmp_path, at):
    """Words laid out at the end of a segment and at the beginning of the next; before them lies a hole in a file."""
    words = np.random.default_rng(3).integers(0, 4, 60).astype(np.int32)
    laid = np.memmap(tmp_path / "laid", np.int32, "w+", shape=(at + 40,)).view(np.ndarray)
    laid[at - 40 : at + 40] = np.concatenate([np.full(10, 4), words, np.full(10, 4)])
    found = []
    with ThreadPoolExecutor(2) as pool:
        for text, begin in ((laid, at - 30), (laid[at - 40 :].copy(), 10)):
            window = Window.of(CountOptions(window=3))
            listed = _list_positions(text, begin, begin + 60, 4, pool, 2)
            accumulator = Accumulator(4, 1, 16, 4)
            n = cooc_module.TextSource(listed, window, window.bounds(listed.counts)).fill(accumulator, 0, 4)
            found.append([part[:n].tolist() for part in accumulator.rows[:2]] + [listed.counts.tolist()])
    assert found[0] == found[1] and sum(found[0][2]) == 60
    assert listed.positions.dtype == np.int32, "a position takes four bytes"


@pytest.mark.parametrize("memory", [1 << 30, 1 << 35, 1 << 40])
def test_tables_of_segments_are_part_of_the_budget(memory):
    words, text = 2_000_000, beside_segments(memory, 2_000_000)
    tables = (text // windows.WORD_BYTES // windows.SEGMENT) * windows.SEGMENT_TABLES * words
    assert memory * 99 // 100 <= text and text + tables <= memory


def test_the_spool_goes_on_behind_two_gigatokens(tmp_path):
    (tmp_path / "tokens.spool").touch()
    os.truncate(tmp_path / "tokens.spool", 4 * FAR)
    bounds = {f"{name}.spool": Bound(0, 0) for name in ("tokens", "documents", "blocks")}
    before = PassCheckpoint([], FAR, 1, 1, [0, 4], readers.Place(0, 0), spools=bounds)
    with (tmp_path / "blocks.spool").open("wb") as file:
        file.write(np.array([FAR, 0]).tobytes())
    with (tmp_path / "documents.spool").open("wb") as file:
        file.write(np.array([FAR]).tobytes())
    with Spool(tmp_path, before) as spool:
        spool.append(np.array([3, 1, 2] * 10, np.int32), np.array([10, 30]), 1)
    assert (spool.tokens, spool.documents, spool.blocks) == (FAR + 30, 3, 2)
    tables = Tables(tmp_path, 1, 1 << 20, 1 << 20)
    for number in (0, 1):
        np.arange(4, dtype=np.int32)[::-1].tofile(tmp_path / f"rows-{number:05d}.spool")
    spooled = Spooled(tmp_path, PassCheckpoint([], FAR + 30, 3, 2, [4, 4], None), 4)
    assert spooled.ends.tolist() == [FAR, FAR + 10, FAR + 30]
    assert list(spooled.pieces(FAR - 5, FAR + 7)) == [(FAR - 5, FAR, 0), (FAR, FAR + 7, 1)]
    assert spooled.rows(FAR, FAR + 3, 1).tolist() == [0, 2, 1] and tables.flush() == [0]


def test_rows_behind_two_gigaentries_are_merged():
    rows = [{0: 1, 3: 2**33}, {}, {2: 5}]
    merged = Merged([Rows(rows, FAR - 1), Rows(rows), Rows(rows, 2**33)], 4, 100)
    accumulator = Accumulator(4, 1, 16, 3)
    assert [merged.fill(accumulator, *task) for task in merged.tasks(0, 3)] == [3]
    assert accumulator.rows.columns[:3].tolist() == [0, 3, 2] and accumulator.rows.values[:3].tolist() == [3, 3 * 2**33, 15]
    assert accumulator.rows.sums.tolist() == [3 + 3 * 2**33, 0, 15]
    long = Merged([Rows(rows, FAR - 1), Rows(rows, 2**33)], 4, 1)  # a piece at a time
    assert [long.fill(accumulator, 0, 1), accumulator.rows.values[:2].tolist()] == [2, [2, 2**34]]


def test_a_stretch_of_a_merge_reads_the_offsets_of_its_rows_alone(monkeypatch):
    """Each of them twice: for the totals, and to be added up; however many runs and stretches there are."""
    read, original = [], Rows.offsets
    monkeypatch.setattr(Rows, "offsets", lambda self, first, last: read.append(last - first) or original(self, first, last))
    rows = [{0: 1}, {1: 2}, {2: 3}, {3: 4}]
    accumulator = Accumulator(4, 1, 16, 4)
    for stretch in ((0, 1), (1, 3), (3, 4)):
        merged = Merged([Rows(rows)] * 3, 4, 100, stretch)
        for task in merged.tasks(*stretch):
            merged.fill(accumulator, *task)
    assert sum(read) == 2 * 3 * len(rows)


def test_products_and_pmi_behind_two_gigaentries(tmp_path):
    """Of a row whose entries are there; those before take no room on the disk."""
    columns = open_array(sparse(tmp_path / "columns", np.int32, FAR + 20, np.array([2, 0, 1], np.int32)), np.int32)
    values = open_array(sparse(tmp_path / "values", np.float32, FAR + 20, np.array([3, 5, 7], np.float32)), np.float32)
    offsets = np.array([0, FAR + 17, FAR + 20])
    right, result = panels_of(np.eye(3)), panels(1, 2)
    sparse_kernels.multiply((1, 2), offsets, columns, values, right, result)
    assert flat(result, 3).tolist() == [[0, 0, 0], [5, 7, 3]]
    counts = open_array(sparse(tmp_path / "counts", np.uint32, FAR + 20, np.array([3, 5, 7], np.uint32)), np.uint32)
    ones, lengths = np.ones(3), np.zeros(2, np.int64)
    to = sparse_kernels.WrittenRows(np.zeros(3, np.int64), np.zeros(3, np.int32), np.zeros(3, np.float32))
    factors = sparse_kernels.PmiFactors(sparse_kernels.PPMI, ones, ones, 4.0, 15.0)
    sparse_kernels.count_positive((1, 2), offsets, columns, counts, factors, lengths)
    sparse_kernels.fill_pmi((1, 2), offsets, columns, counts, factors, to)
    assert lengths.tolist() == [0, 2] and to.columns[:2].tolist() == [0, 1]
    np.testing.assert_allclose(to.values, [np.log(5 / 4), np.log(7 / 4), 0], rtol=1e-6)


def test_tables_of_words_keep_their_places_within_32_bits():
    """However large the budget is; a table that is full has twice the room once it has grown."""
    room = allotment.Allotment.of(1 << 45, 1, EncodeOptions())
    part = room.ranking // allotment.RANKED
    assert max(room.table, part) == allotment.MOST_TABLE and 2 * allotment.MOST_TABLE // 8 <= 2**32


def test_a_word_that_occurs_more_often_than_32_bits_count():
    table = WordTable.of(Vocabulary.from_words(["a", "b", "c"], [1, 1, 1]), np.array([2**32 + 5, 2**33, 7]))
    both = WordTable()
    both.add(table.words)
    both.add(table.words)
    ranked = rank_words(both, 1, None)
    assert dict(zip(ranked.words, ranked.counts.tolist(), strict=True)) == {"b": 2**34, "a": 2**33 + 10, "c": 14}
    counts = np.full(3, FAR, np.int64)
    counting.histogram(np.array([2] * 20 + [0], np.int32), counts)
    assert counts.tolist() == [FAR + 1, FAR, FAR + 20]


def test_starts_of_words_behind_two_gigapositions():
    """Words of a text have their positions wherever the starts say: views make the far ones cheap."""
    laid = np.array([9, 9, 0, 1, 0, 9, 9], np.int32)
    found = np.zeros(9, np.int64)
    counting.histogram(laid, np.pad(found, (0, 1)))
    sums = np.array([FAR, 2**33], np.int64)
    counting.add_columns(np.array([0, 1, 0], np.int32), np.array([15, 1, 2**32 - 1], np.uint32), sums)
    assert sums.tolist() == [FAR + 15 + 2**32 - 1, 2**33 + 1]


def huge(at: Path, value: int, words: str = "ab") -> Cooc:
    """Counts of two words with one entry of a given size each."""
    (at / "t").write_text(f"{words[0]} {words[1]}\n")
    made = count(encode(at / "t", at / "corpus", ALL), at / "cooc", CountOptions(window=1))
    forge.put(made.path / "values-00000.bin", np.full(2, value, np.uint64))
    for name in ("row-sums", "column-sums"):
        forge.put(made.path / f"{name}.bin", np.full(2, value))
    forge.remake(made.path, total=2 * value, blocks=[[0, 2, True]])
    return Cooc(made.path)


def test_sums_near_the_end_of_64_bits(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    one, two = huge(tmp_path / "one", 2**62), huge(tmp_path / "two", 2**62 - 1)
    both = merge([one, two], tmp_path / "sum")
    assert both.row_integers.tolist() == [2**63 - 1] * 2 and both.manifest["total"] == 2**64 - 2
    assert both.block_integers(both.blocks[0])[1].tolist() == [2**63 - 1] * 2
    with pytest.raises(UsageError, match="overflow 64 bits"):
        merge([one, huge(tmp_path / "three", 2**62)], tmp_path / "more")
    small = merge([huge_small(tmp_path), one], tmp_path / "mixed")
    assert small.blocks[0].wide and small.row_integers.tolist() == [2**62 + 1] * 2


def huge_small(tmp_path: Path) -> Cooc:
    (tmp_path / "small").mkdir()
    return huge(tmp_path / "small", 1)


def test_what_faults_do_is_counted():
    """The injected faults are worth nothing if writes pass them by."""
    from support import faults

    happened = Counter()

    class Noted(faults.Faults):
        def due(self):
            happened["all"] += 1
            return False

    with Noted(1, "kill")():
        path = Path("/tmp") / f"noted-{os.getpid()}"
        with ArrayWriter(path, np.int32) as file:
            file.append(np.zeros(3, np.int32))
        outputs.write_whole(path, b"x")
        path.unlink()
    assert happened["all"] == 8  # open, zeros, values, header; open, write, replace; unlink

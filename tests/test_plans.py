"""Plans: what is said before work about memory, runs and disk is what happens, and saying it writes nothing."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine.cli.app import main
from cooc_engine.corpus import allotment, forecast, second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, plan_encode
from cooc_engine.corpus.forecast import TextSample
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import count as count_module
from cooc_engine.counts import forecast as forecast_module
from cooc_engine.counts.count import count, plan_count
from cooc_engine.counts.forecast import Sample, count_sample, merge_sample
from cooc_engine.counts.merge import merge, plan_merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.windows import Window, cut_corpus, whole_corpus
from cooc_engine.errors import InputError, ResourceError, UsageError
from cooc_engine.runtime.budget import Disk, Plan
from cooc_engine.runtime.progress import Progress
from cooc_engine.text import readers

ALL = EncodeOptions(min_count=1)


def write_zipf(path: Path, tokens: int, exponent: float = 1.2, words: int = 20_000, seed: int = 1) -> Path:
    chance = np.random.default_rng(seed)
    ids, cuts = chance.zipf(exponent, tokens) % words, np.sort(chance.integers(0, tokens, tokens // 30))
    path.write_text("".join(" ".join(f"w{i}" for i in part) + "\n" for part in np.split(ids, cuts)))
    return path


@contextmanager
def peaks(directory: Path) -> Iterator[list[int]]:
    """List how much a directory holds whenever something is deleted from it, or it gets its name; it only grows between."""
    sizes, unlink, rename = [], Path.unlink, Path.rename

    def look() -> None:
        if directory.exists():
            sizes.append(sum(path.stat().st_size for path in directory.iterdir()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path, *given, **named: (look(), unlink(path, *given, **named)))
        patch.setattr(Path, "rename", lambda path, target: (look(), rename(path, target))[1])
        yield sizes


def held(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def check(plan: Plan, sizes: list[int], output: Path) -> None:
    assert plan.disk.peak == pytest.approx(max(sizes), rel=0.25)
    assert plan.disk.output == pytest.approx(held(output), rel=0.25)
    assert plan.disk.peak == plan.disk.output + plan.disk.temporary


# ----------------------------------------------------------------------------------------------------------------- count


@pytest.fixture(scope="module")
def zipf(tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("zipf")
    return encode(write_zipf(at / "text.txt", 200_000), at / "corpus", ALL).path


@pytest.mark.parametrize("window", [2, 5, 10, 15])
@pytest.mark.parametrize("weight", ["harmonic", "uniform"])
@pytest.mark.parametrize("runs", [1, 6])
def test_the_disk_of_a_count_is_predicted(zipf, tmp_path, monkeypatch, window, weight, runs):
    options, how = CountOptions(window=window, window_weight=weight), {"threads": 2}
    if runs > 1:
        monkeypatch.setattr(count_module, "TASK_ENTRIES", 1 << 14)
        monkeypatch.setattr(count_module, "LEAST_TEXT", 1 << 18)
        room = count_module.Allotment.of(len(Corpus(zipf).vocabulary), Window.of(options), 1 << 40, 2)
        how["memory"] = room.plan.least
    plan = plan_count(zipf, tmp_path / "out", options, **how)
    assert plan.runs >= runs and list(tmp_path.iterdir()) == []
    with peaks(tmp_path / "out.part") as sizes:
        found = count(zipf, tmp_path / "out", options, **how)
    check(plan, sizes, tmp_path / "out")
    assert plan.disk.entries == pytest.approx(found.entries, rel=0.25)


@pytest.mark.parametrize("side", ["both", "left", "right"])
@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize("extra", [{}, {"oov_gap": "keep"}, {"subsample": 1e-3}])
def test_a_sample_of_all_rows_is_the_count(tmp_path, side, positional, extra):
    corpus = encode(write_zipf(tmp_path / "t", 3000, words=200), tmp_path / "corpus", EncodeOptions(min_count=2))
    options = CountOptions(window=4, context_side=side, positional=positional, **extra)
    whole = count(corpus, tmp_path / "out", options)
    everyone = Sample(np.arange(len(corpus.vocabulary)), np.ones(len(corpus.vocabulary)))
    runs = cut_corpus(corpus, 4, 8000)
    assert len(runs) > 2
    found, in_runs = count_sample(corpus, options, runs, everyone, 2, 1000)
    assert found.tolist() == np.diff(whole.row_offsets).tolist()
    assert all((part <= found).all() for part in in_runs) and (sum(in_runs) >= found).all()
    at_once, _ = count_sample(corpus, options, [whole_corpus(corpus)], everyone, 1, 1 << 20)
    assert at_once.tolist() == found.tolist()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=400), st.integers(1, 60), st.integers(1, 20))
def test_every_row_may_be_drawn_and_weighs_what_it_stands_for(counts, size, contexts):
    counts = np.array(sorted(counts, reverse=True))
    bounds = np.minimum(len(counts), contexts * counts)
    sample = Sample.draw(bounds, counts, size)
    assert (np.diff(sample.rows) > 0).all() and (sample.weights >= 1).all()
    assert len(sample.rows) <= max(size, 1) + 1
    if len(counts) <= size:
        assert sample.rows.tolist() == list(range(len(counts)))
    estimates = []
    with pytest.MonkeyPatch.context() as patch:  # the mean over many draws is the truth
        for seed in range(200):
            patch.setattr(
                forecast_module.np.random, "default_rng", lambda _, seed=seed: np.random.Generator(np.random.PCG64(seed))
            )
            drawn = Sample.draw(bounds, counts, size)
            estimates.append(float(bounds[drawn.rows] @ drawn.weights))
    spread = 5 * np.std(estimates) / np.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(float(bounds.sum()), abs=spread + 1e-6 * bounds.sum() + 1e-9)


def test_merging_is_predicted(zipf, tmp_path):
    half = encode(write_zipf(tmp_path / "t", 80_000, seed=2), tmp_path / "half", EncodeOptions(vocabulary=str(zipf)))
    parts = [count(zipf, tmp_path / "one", CountOptions(window=3)), count(half, tmp_path / "two", CountOptions(window=3))]
    plan = plan_merge(parts, tmp_path / "out")
    with peaks(tmp_path / "out.part") as sizes:
        whole = merge(parts, tmp_path / "out")
    check(plan, sizes, tmp_path / "out")
    assert plan.disk.entries == pytest.approx(whole.entries, rel=0.25)


def test_a_sample_of_all_rows_of_a_sum_is_the_sum(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        write_zipf(tmp_path / name / "t", 2000, words=100, seed=seed)
    corpus = encode([tmp_path / "a" / "t", tmp_path / "b" / "t"], tmp_path / "all", ALL)
    parts = []
    for name in "ab":
        new = encode(tmp_path / name / "t", tmp_path / name / "c", EncodeOptions(vocabulary=str(corpus.path)))
        parts.append(count(new, tmp_path / name / "out", CountOptions(window=2)))
    whole = merge(parts, tmp_path / "sum")
    everyone = Sample(np.arange(len(corpus.vocabulary)), np.ones(len(corpus.vocabulary)))
    from cooc_engine.counts.merge import _StoredCooc

    assert merge_sample([_StoredCooc(part) for part in parts], everyone).tolist() == np.diff(whole.row_offsets).tolist()


@pytest.mark.parametrize("window", [50_000, 99_999])
def test_a_window_wider_than_a_run_has_its_room(tmp_path, window):
    corpus = encode(write_zipf(tmp_path / "t", 500, words=20), tmp_path / "corpus", ALL)
    options = CountOptions(window=window, window_weight="uniform")
    with pytest.raises(UsageError, match="too little to count") as refused:
        count(corpus, tmp_path / "none", options, memory="1K", threads=1)
    least = refused.value.flags.rpartition("--memory ")[2]
    assert count(corpus, tmp_path / "out", options, memory=least, threads=1).entries == 20 * 20


# ---------------------------------------------------------------------------------------------------------------- encode


@pytest.mark.parametrize("tokens", [300, 20_000, 400_000, 1_500_000])
@pytest.mark.parametrize("exponent", [1.1, 1.4])
def test_the_disk_of_an_encoding_is_predicted(tmp_path, tokens, exponent):
    text = write_zipf(tmp_path / "text.txt", tokens, exponent, 10**6)
    plan = plan_encode(text, tmp_path / "out", EncodeOptions(min_count=2), threads=2)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    with peaks(tmp_path / "out.part") as sizes:
        encode(text, tmp_path / "out", EncodeOptions(min_count=2), threads=2)
    check(plan, sizes, tmp_path / "out")


def test_tables_that_will_be_written_out_are_part_of_the_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(allotment, "LEAST_BLOCK", 1 << 16)
    monkeypatch.setattr(allotment, "LEAST_TABLE", 3 << 18)
    text = write_zipf(tmp_path / "text.txt", 600_000, 1.15, 10**6)
    how = {"threads": 2, "memory": 8 << 20}
    plan = plan_encode(text, tmp_path / "out", ALL, **how)
    with peaks(tmp_path / "out.part") as sizes:
        encode(text, tmp_path / "out", ALL, **how)
    check(plan, sizes, tmp_path / "out")
    assert plan.disk.peak > 1.05 * plan_encode(text, tmp_path / "x", ALL, threads=2, memory="4G").disk.peak


def test_compressed_text_is_predicted_from_its_head(tmp_path):
    text = write_zipf(tmp_path / "text.txt", 900_000)
    packed = tmp_path / "text.txt.gz"
    packed.write_bytes(gzip.compress(text.read_bytes()))
    several = [packed, text, packed]
    plan = plan_encode(several, tmp_path / "out")
    with peaks(tmp_path / "out.part") as sizes:
        encode(several, tmp_path / "out")
    check(plan, sizes, tmp_path / "out")


@pytest.mark.parametrize("packed", [False, True])
def test_a_small_text_is_looked_at_completely(tmp_path, packed):
    text = tmp_path / "text.txt"
    data = b"a b a\n\nc a" + b" d" * 9
    text.write_bytes(gzip.compress(data) if packed else data)
    sample = TextSample.of([text, text])
    assert (sample.complete, sample.tokens, sample.documents, sorted(sample.counts)) == (True, 28, 6, [2, 2, 6, 18])
    assert sample.kept(3, None) == 2 and sample.kept(1, 3) == 3


def test_the_places_of_a_sample_lie_all_over_the_text(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{i:08d}\n" for i in range(1 << 20)))
    found, size, complete = readers.sample_text([text], forecast.SAMPLE_BYTES)
    lines = np.array(found.split(), int)
    assert not complete and size == text.stat().st_size and len(found) <= forecast.SAMPLE_BYTES
    assert np.histogram(lines, 8, (0, 1 << 20))[0].min() > len(lines) / 12
    assert set(map(len, found.split())) == {8}


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xff\xfe\n", b"a\0b\n"])
def test_what_is_no_text_has_no_plan_for_the_disk(tmp_path, data):
    (tmp_path / "t").write_bytes(data)
    plan = plan_encode(tmp_path / "t", tmp_path / "out")
    assert plan.disk is None and "disk: cannot be predicted" in plan.lines()[-1]
    with pytest.raises(InputError):
        encode(tmp_path / "t", tmp_path / "out")


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_least_that_a_refusal_names_will_do(tmp_path, threads):
    text = write_zipf(tmp_path / "t", 500, words=20)
    corpus = encode(text, tmp_path / "corpus", ALL)
    for plan, source in ((plan_encode, text), (plan_count, corpus)):
        with pytest.raises(UsageError, match="too little to") as refused:
            plan(source, tmp_path / "out", memory="1K", threads=threads)
        assert plan(source, tmp_path / "out", memory=refused.value.flags.rpartition("--memory ")[2], threads=threads).disk


# ---------------------------------------------------------------------------------------------------------- command line


def test_dry_runs_print_the_plan_and_write_nothing(zipf, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = zipf.parent / "text.txt"
    counts = count(zipf, zipf.parent / f"counts-{tmp_path.name}")
    commands = [["encode", text], ["count", zipf], ["merge", counts.path, counts.path]]
    for command in commands:
        arguments = [*map(str, command), "--output", "out", "--dry-run"]
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert err == "" and out.startswith("memory: ") and "\ndisk: about " in out
        assert main([*arguments, "--json", "--memory", "1G"]) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["memory_budget"] == 1 << 30 > record["memory_least"] == sum(record["memory"].values())
        assert record["peak_disk_bytes"] == record["output_bytes"] + record["temporary_bytes"]
        assert record["stage"] == command[0] and record["output"] == "out" and record["free_disk_bytes"] > 0
        assert main([*arguments, "--memory", "1K"]) == 2
        assert "--memory 1.0K is too little" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
    assert main(["encode", "-", "--output", "out", "--dry-run"]) == 0
    assert "disk: cannot be predicted for this input" in capsys.readouterr().out
    assert main(["encode", "missing", "--output", "out", "--dry-run"]) == 1
    assert main(["info", str(zipf), "--dry-run"]) == 2
    shutil.rmtree(counts.path)


def test_the_line_before_work_is_the_plan(zipf, tmp_path):
    class Said(Progress):
        speaks = True

        def say(self, text):
            said.append(text)

    said = []
    plan = plan_count(zipf, tmp_path / "out", threads=1, memory="1G")
    count(zipf, tmp_path / "out", threads=1, memory="1G", progress=Said())
    assert said[0].partition(" free in")[0].rpartition(",")[0] == plan.line().partition(" free in")[0].rpartition(",")[0]
    assert "runs: 1; disk: about " in said[0]


def test_a_disk_that_looks_too_small_is_a_warning(tmp_path):
    much = Disk(tmp_path, 1 << 60, 1, (1 << 60) + 1)
    little = Disk(tmp_path, 1, 1, 2)
    assert str(much).endswith("; THAT MAY NOT BE ENOUGH") and not str(little).endswith("ENOUGH")


def test_a_full_disk_says_how_much_is_missing(zipf, tmp_path, monkeypatch):
    import errno

    def full(*given):
        raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(count_module, "write_rows", full)
    with pytest.raises(ResourceError, match=rf"about .* more of .* is needed in {tmp_path}, where .* is free"):
        count(zipf, tmp_path / "out")
    monkeypatch.setattr(second_pass, "write_shards", full)
    with pytest.raises(ResourceError, match=r"about .* more of .* is needed in "):
        encode(zipf.parent / "text.txt", tmp_path / "c")

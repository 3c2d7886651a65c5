"""Whatever the budget, the bytes are the same; what cannot hold is refused; what is damaged is named."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command import peak
from support.counts import exact, files
from twins import counting as naive

from cooc_engine.corpus import allotment, second_pass
from cooc_engine.corpus import encode as corpus_module
from cooc_engine.corpus import first_pass as spool_module
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranking import rank_tables
from cooc_engine.corpus.thinning import keep_probabilities
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import Words, WordTable
from cooc_engine.counts import count as count_module
from cooc_engine.counts import directory, windows
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.windows import CorpusPart, Window, cut_corpus, read_positions
from cooc_engine.errors import FormatError, InterruptedRun, UsageError
from cooc_engine.matrix.glove import train_glove
from cooc_engine.pipeline.stages import append
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.machine import default_memory
from cooc_engine.runtime.numbers import parse_size, show_size
from cooc_engine.runtime.progress import Stage
from cooc_engine.storage.outputs import write_manifest

WORDS = ["a", "b", "c", "d", "e", "f"]
documents = st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=12).filter(any)
options = st.builds(
    CountOptions,
    window=st.integers(1, 6),
    window_weight=st.sampled_from(["harmonic", "uniform", "dynamic"]),
    context_side=st.sampled_from(["both", "left", "right"]),
    positional=st.booleans(),
    oov_gap=st.sampled_from(["drop", "keep"]),
)
SLOW = settings(deadline=None, max_examples=25)


def make_corpus(texts: list[list[str]], at: Path, **encoding) -> Corpus:
    path = at / "text.txt"
    path.write_text("".join(" ".join(text) + "\n" for text in texts))
    unless_given = {} if "vocabulary" in encoding else {"min_count": 1}
    return encode(path, at / "corpus", EncodeOptions(**{**unless_given, **encoding}), threads=1)


def count_in_runs(corpus: Corpus, output: Path, chosen: CountOptions, tokens: int, **how) -> Cooc:
    """Count with runs of about so many tokens, tasks of a few entries and blocks of some more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(count_module, "cut_corpus", lambda corpus, window, memory: _runs_of(corpus, tokens))
        return count(corpus, output, chosen, **how)


def _runs_of(corpus: Corpus, tokens: int) -> list[CorpusPart]:
    """Cut every `tokens` tokens, through documents and across shards."""
    parts = [(s, t) for s in range(corpus.shards) for t in range(len(corpus.shard(s).ids))]
    runs = []
    for i in range(0, len(parts), tokens):
        chunk = parts[i : i + tokens]
        shards = sorted({s for s, _ in chunk})
        runs.append(
            CorpusPart(tuple((s, min(t for z, t in chunk if z == s), max(t for z, t in chunk if z == s) + 1) for s in shards))
        )
    return runs


@SLOW
@given(documents, options, st.integers(1, 30), st.integers(1, 3), st.sampled_from([1, 2]))
def test_runs_change_no_byte(texts, chosen, tokens, threads, min_count):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "BLOCK_ENTRIES", 20)
        at = Path(name)
        if max(Counter(itertools.chain(*texts)).values()) < min_count:
            return
        corpus = make_corpus(texts, at, min_count=min_count)
        whole = count(corpus, at / "whole", chosen, threads=threads)
        split = count_in_runs(corpus, at / "split", chosen, tokens, threads=threads)
        assert files(whole.path) == files(split.path)
        expected = naive.cooccurrences(
            texts, naive.vocabulary(texts, min_count), chosen.window, chosen.window_weight, chosen.context_side,
            chosen.positional, chosen.oov_gap,
        )  # fmt: skip
        assert exact(whole) == expected


@SLOW
@given(documents, st.integers(1, 4), st.integers(60, 400))
def test_runs_cover_the_corpus_once_and_fit(texts, window, memory):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_pass, "SHARD_TOKENS", 7)
        corpus = make_corpus(texts, Path(name))
        budget = memory + 4 * (window + 1) * windows.WORD_BYTES
        runs = cut_corpus(corpus, window, budget)
        tokens = [(s, t) for run in runs for s, a, b in run.parts for t in range(a, b)]
        assert tokens == [(s, t) for s in range(corpus.shards) for t in range(len(corpus.shard(s).ids))]
        for run in runs:
            text = read_positions(corpus, run, CountOptions(window=window), 2, Stage("", None, ""))
            assert text.laid.nbytes + text.positions.nbytes <= budget + 4 * (6 * window + windows.counting.AHEAD)


def test_a_small_budget_counts_in_runs_and_changes_no_byte(tmp_path, monkeypatch):
    random = np.random.default_rng(3)
    texts = [[f"w{i}" for i in random.zipf(1.4, random.integers(1, 60)) if i < 300] for _ in range(3000)]
    corpus = make_corpus(texts, tmp_path)
    whole = count(corpus, tmp_path / "whole", threads=2)
    monkeypatch.setattr(count_module, "TASK_ENTRIES", 1 << 14)
    monkeypatch.setattr(count_module, "LEAST_TEXT", 1 << 14)
    least = count_module.Allotment.of(len(corpus.vocabulary), Window.of(CountOptions()), 1 << 30, 2).plan.least
    seen = []

    def cut(*given):
        seen[:] = cut_corpus(*given)
        return seen

    monkeypatch.setattr(count_module, "cut_corpus", cut)
    tight = count(corpus, tmp_path / "tight", threads=2, memory=least + (1 << 16))
    assert len(seen) > 3
    assert files(whole.path) == files(tight.path)
    with pytest.raises(UsageError, match=r"memory=.* is too little to count"):
        count(corpus, tmp_path / "none", threads=2, memory=least - 1)
    assert not (tmp_path / "none").exists() and not (tmp_path / "none.part").exists()


def test_a_count_in_runs_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    texts = [[f"w{(7 * i * j) % 11}" for j in range(20)] for i in range(40)]
    corpus = make_corpus(texts, tmp_path)
    whole = count(corpus, tmp_path / "whole")
    write = count_module._write_run
    calls = []

    def stop_at_third(*given, **named):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(*given, **named)

    monkeypatch.setattr(count_module, "_write_run", stop_at_third)
    with pytest.raises(Exception, match="resume=True"):
        count_in_runs(corpus, tmp_path / "split", CountOptions(), 100)
    split = count_in_runs(corpus, tmp_path / "split", CountOptions(), 250, resume=True)  # keeps the runs it began with
    assert len(calls) == 3 + 6
    assert files(whole.path) == files(split.path)


def test_a_damaged_run_is_found_and_named(tmp_path, monkeypatch):
    corpus = make_corpus([["a", "b", "c"] * 5] * 9, tmp_path)
    write = count_module._write_run

    def damage(file, *rest):
        write(file, *rest)
        data = bytearray(file.path("values").read_bytes())
        data[-1] ^= 1
        file.path("values").write_bytes(data)

    monkeypatch.setattr(count_module, "_write_run", damage)
    with pytest.raises(FormatError, match=r"values-run-00000.bin: damaged"):
        count_in_runs(corpus, tmp_path / "cooc", CountOptions(), 40)


def test_no_file_stays_open_however_many_runs(tmp_path):
    import resource

    corpus = make_corpus([["a", "b", "c", "d"] * 5] * 40, tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        split = count_in_runs(corpus, tmp_path / "split", CountOptions(), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert files(count(corpus, tmp_path / "whole").path) == files(split.path)


def test_thinning_follows_its_probability_and_its_seed(tmp_path):
    texts = [["the"] * 30 + [f"w{i % 50}"] for i in range(400)]
    corpus = make_corpus(texts, tmp_path)
    counts = corpus.vocabulary.counts
    keep = keep_probabilities(counts, 1e-2)[0] / 2**64
    f = counts[0] / counts.sum()
    assert keep == pytest.approx((np.sqrt(f / 1e-2) + 1) * 1e-2 / f, rel=1e-9)
    assert (keep_probabilities(counts, 1e308) == 2**64 - 1).all()
    run = cut_corpus(corpus, 5, 1 << 30)[0]

    def kept(seed: int) -> int:
        chosen = CountOptions(window=5, subsample=1e-2, subsample_seed=seed)
        return int(read_positions(corpus, run, chosen, 2, Stage("", None, "")).counts[0])

    deviation = np.sqrt(counts[0] * keep * (1 - keep))
    assert abs(kept(1) - counts[0] * keep) < 5 * deviation
    assert kept(1) == kept(1) != kept(2)
    thinned = count(corpus, tmp_path / "thin", CountOptions(subsample=1e-2))
    split = count_in_runs(corpus, tmp_path / "split", CountOptions(subsample=1e-2), 333)
    assert files(thinned.path) == files(split.path)


@SLOW
@given(documents, documents, options)
def test_merged_directories_are_the_sum(left, right, chosen):
    with tempfile.TemporaryDirectory() as name:
        at = Path(name)
        every = [*left, *right, WORDS]
        (at / "l").mkdir(), (at / "r").mkdir()
        # The same bag of words on both sides makes equal vocabularies.
        padded = [
            [*left, *[[word] for text in right for word in text]],
            [*right, *[[word] for text in left for word in text]],
        ]
        parts = [
            count(make_corpus(texts, at / side), at / f"{side}-cooc", chosen) for side, texts in zip("lr", padded, strict=True)
        ]
        merged = merge(parts, at / "merged")
        words = list(parts[0].vocabulary)
        assert words == list(parts[1].vocabulary) and set(words) <= {word for text in every for word in text}
        total = Counter(exact(parts[0]))
        total.update(exact(parts[1]))
        assert exact(merged) == dict(total)
        assert merged.manifest["tokens"] == sum(part.manifest["tokens"] for part in parts)
        assert sum(sum(values) for _, _, values in merged.rows()) == pytest.approx(merged.row_sums.sum())
        np.testing.assert_allclose(merged.column_sums, parts[0].column_sums + parts[1].column_sums)


def test_what_does_not_match_is_not_merged(tmp_path):
    one = count(make_corpus([["a", "b"]], tmp_path), tmp_path / "one")
    (tmp_path / "other").mkdir()
    other = make_corpus([["a", "c"]], tmp_path / "other")
    with pytest.raises(UsageError, match="vocabulary"):
        merge([one, count(other, tmp_path / "two")], tmp_path / "out")
    with pytest.raises(UsageError, match="window"):
        merge([one, count(tmp_path / "corpus", tmp_path / "three", CountOptions(window=3))], tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("4GiB", 4 << 30), ("1.5g", 3 << 29), ("100", 100), ("64kb", 64 << 10)]
)
def test_sizes_are_binary(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1G", "0", "4 apples", "1e9"])
def test_odd_sizes_are_refused(text):
    with pytest.raises(UsageError, match="memory"):
        parse_size(text)


def test_plans_say_what_they_need():
    plan = Plan("count", 100, {"text": 60, "lanes": 50})
    with pytest.raises(UsageError, match="memory='100B' is too little to count: it takes 110 B"):
        plan.check()
    assert show_size(1536) == "1.5K" and default_memory() > 0


def test_a_window_knows_its_limits():
    window = Window.of(CountOptions(window=3, context_side="left", positional=True))
    assert (window.slots, window.contexts, window.most, window.denominator) == (3, 3, 11, 6)


# ---------------------------------------------------------------------------------------------------------------- encode


def test_tables_that_are_written_out_change_no_byte(tmp_path, monkeypatch):
    random = np.random.default_rng(1)
    text = tmp_path / "text.txt"
    text.write_text("".join(" ".join(f"w{i}" for i in random.zipf(1.2, 40) % 5000) + "\n" for _ in range(2000)))
    whole = encode(text, tmp_path / "whole", threads=2)
    monkeypatch.setattr(allotment, "LEAST_BLOCK", 1 << 12)
    monkeypatch.setattr(allotment, "LEAST_TABLE", 1 << 16)
    spilled, add = [], spool_module.Tables._add
    monkeypatch.setattr(spool_module.Tables, "_add", lambda tables: spilled.append(1) or add(tables))
    for threads in (1, 2, 3):
        spilled.clear()
        tight = encode(text, tmp_path / f"tight{threads}", threads=threads, memory=3 * threads << 17)
        assert len(spilled) > threads + 3, "tables went to the disk"
        assert files(whole.path) == files(tight.path)
    with pytest.raises(UsageError, match=r"memory=.* is too little to encode"):
        encode(text, tmp_path / "none", threads=2, memory=1 << 10)


def many_words() -> str:
    return "".join(f"w{i * 7919 % 150_001:x}q{i}{' ' if i % 20 else chr(10)}" for i in range(150_000))


def long_words() -> str:
    return "".join(f"{i % 250:04d}{60_000 * 'x'}\n" for i in range(260))


@pytest.mark.parametrize("text", [many_words, long_words])
def test_a_vocabulary_far_larger_than_the_budget_keeps_it(tmp_path, text):
    """Every word occurs once, so the vocabulary is as large as the text; or they are few and long."""
    (tmp_path / "text").write_text(text())
    budget = allotment.Allotment.of(1 << 30, 1, EncodeOptions()).plan
    least = budget.least - budget.memory["blocks of text"] + 3 * 4 * allotment.LEAST_BLOCK
    flags = ["--output", tmp_path / "tight", "--min-count", 1, "--threads", 1, "--memory", least]
    assert peak("cooc_engine.corpus.encode", "encode", tmp_path / "text", *flags) <= 1.1 * least
    whole = encode(tmp_path / "text", tmp_path / "whole", EncodeOptions(min_count=1), threads=1)
    assert files(whole.path) == files(tmp_path / "tight")


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("max_vocab", [None, 3, 100])
def test_ranking_by_parts_is_exact(tmp_path, parts, max_vocab):
    random = np.random.default_rng(2)
    tables, total = [], Counter()
    for _ in range(3):
        words = [f"{17 * 'p' * int(i % 3)}w{i}" for i in random.zipf(1.3, 500) % 200]
        counted = Counter(words)
        total.update(counted)
        table = WordTable.of(Vocabulary.from_words(counted, counted.values()), np.array(list(counted.values())))
        tables.append(Words(table.words))
    ranked = rank_tables(tables, tmp_path, parts, 2, max_vocab)
    expected = sorted(((w, n) for w, n in total.items() if n >= 2), key=lambda item: (-item[1], item[0].encode()))[:max_vocab]
    assert list(zip(ranked.words, ranked.counts.tolist(), strict=True)) == expected


def test_new_text_on_an_old_vocabulary(tmp_path):
    (tmp_path / "new").mkdir()
    old = make_corpus([["a", "b", "a", "c"]] * 3, tmp_path)
    new = make_corpus([["c", "new", "a"], ["b"], ["c", "c"]], tmp_path / "new", vocabulary=str(old.path))
    assert new.vocabulary.digest == old.vocabulary.digest
    assert dict(zip(new.vocabulary.words, new.counts.tolist(), strict=True)) == {"a": 1, "b": 1, "c": 3}
    assert (new.tokens, new.manifest["tokens_in_vocabulary"]) == (6, 5)
    counted = count(new, tmp_path / "cooc", CountOptions(window=2))
    words = new.vocabulary.words
    assert exact(counted) == naive.cooccurrences([["c", "new", "a"], ["b"], ["c", "c"]], words, 2, "harmonic", "both")
    both = merge([count(old, tmp_path / "old-cooc", CountOptions(window=2)), counted], tmp_path / "both")
    every = [["a", "b", "a", "c"]] * 3 + [["c", "new", "a"], ["b"], ["c", "c"]]
    assert exact(both) == naive.cooccurrences(every, words, 2, "harmonic", "both")


def test_glove_refuses_positional_counts(tmp_path):
    cooc = count(make_corpus([["a", "b", "c"]] * 3, tmp_path), tmp_path / "cooc", CountOptions(window=2, positional=True))
    with pytest.raises(UsageError, match="positional=True"):
        train_glove(cooc, tmp_path / "model.h5")


def test_counts_do_not_replace_their_corpus(tmp_path):
    corpus = make_corpus([["a", "b"]], tmp_path)
    with pytest.raises(UsageError, match="not what this command makes"):
        count(corpus, corpus.path, force=True)
    assert Corpus(corpus.path).tokens == 2


def test_an_encoding_that_is_resumed_with_another_budget_leaves_nothing_behind(tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("a b c\n" * 50)
    rank = corpus_module._rank

    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus_module, "_rank", stopped)
    with pytest.raises(InterruptedRun):
        encode(text, tmp_path / "corpus")
    (tmp_path / "corpus.part" / "words-00009.spool").write_bytes(b"x" * 8)
    monkeypatch.setattr(corpus_module, "_rank", rank)
    resumed = encode(text, tmp_path / "corpus", resume=True)
    assert files(resumed.path) == files(encode(text, tmp_path / "whole").path)


def test_appended_text_is_counted_on_the_old_words(tmp_path):
    old = count(
        make_corpus([["a", "b", "a", "c"]] * 3, tmp_path), tmp_path / "old", CountOptions(window=2, context_side="left")
    )
    news = [["c", "new", "a"], ["b"], ["c", "c"]]
    for number, text in enumerate(news):
        (tmp_path / f"new{number}.txt").write_text(" ".join(text) + "\n")
    both = append(old, [tmp_path / f"new{number}.txt" for number in range(3)], tmp_path / "both", threads=2)
    every = [["a", "b", "a", "c"]] * 3 + news
    assert exact(both) == naive.cooccurrences(every, both.vocabulary.words, 2, "harmonic", "left")
    assert both.vocabulary.digest == old.vocabulary.digest
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["both", "corpus", "old"]
    again = append(both, tmp_path / "new2.txt", tmp_path / "again")  # a sum can be added to
    assert exact(again) == naive.cooccurrences([*every, ["c", "c"]], both.vocabulary.words, 2, "harmonic", "left")


def test_options_of_another_version_are_named(tmp_path):
    cooc = count(make_corpus([["a", "b"]], tmp_path), tmp_path / "cooc")
    fields = {key: value for key, value in cooc.manifest.items() if key not in ("format", "version")}
    write_manifest(cooc.path, "cooc", 1, {**fields, "options": {**fields["options"], "newer": 1}})
    with pytest.raises(FormatError, match="options of another version"):
        Cooc(cooc.path)

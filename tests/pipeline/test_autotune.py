"""The search for a classifier's options: it keeps the best, within limits, and goes on after an interruption."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode
from cooc_engine.errors import DivergenceError, FormatError, InputError, UsageError
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import open_model
from cooc_engine.models.supervised_options import AllWordsOptions, AutotuneOptions, SupervisedOptions
from cooc_engine.pipeline.autotune import autotune
from cooc_engine.runtime.numbers import parse_size
from cooc_engine.vectors.classifier import Classifier

BASE = SupervisedOptions(deterministic=True)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch) -> list[Path]:
    import optuna

    from cooc_engine.pipeline import autotune as module

    small = module._space() | {
        "epochs": optuna.distributions.IntDistribution(1, 5),
        "vector_size": optuna.distributions.IntDistribution(2, 8),
        "buckets": optuna.distributions.IntDistribution(10_000, 10_001),
    }
    monkeypatch.setattr(module, "_space", lambda: small)
    rng = np.random.default_rng(3)
    for name in ("train", "valid"):
        lines = [f"__label__{kind} " + " ".join(f"{kind}{k}" for k in rng.integers(9, size=4)) for kind in "aab" * 15]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return [tmp_path / "train", tmp_path / "valid"]


def test_the_best_trial_is_the_output(texts, tmp_path):
    model, trials = autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=4), BASE)
    scores = [trial["score"] for trial in trials]
    assert trials[0]["options"]["lr"] == BASE.lr, "the defaults are tried first"
    assert Classifier(model).test(texts[1]).f1 == pytest.approx(max(scores))
    best = trials[int(np.argmax(scores))]
    assert model.config["train"]["lr"] == best["options"]["lr"]
    assert best["bytes"] == model.path.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5", "m.h5.trials.json", "train", "valid"]


def test_an_interrupted_search_goes_on(texts, tmp_path, monkeypatch):
    real, calls = FAMILIES["supervised"].train, []

    def failing(*given, **how):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given, **how)

    monkeypatch.setitem(FAMILIES, "supervised", dataclasses.replace(FAMILIES["supervised"], train=failing))
    with pytest.raises(KeyboardInterrupt):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=4), BASE)
    kept = json.loads((tmp_path / "m.h5.trials.json").read_text())["trials"]
    assert len(kept) == 2
    with pytest.raises(UsageError, match="resume=True"):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=4), BASE)
    with pytest.raises(UsageError, match="other options"):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=4, metric="recall"), BASE, resume=True)
    with pytest.raises(UsageError, match="other data"):
        autotune(texts[0], texts[0], tmp_path / "m.h5", AutotuneOptions(trials=4), BASE, resume=True)
    _, trials = autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=4), BASE, resume=True)
    assert trials[:2] == kept
    assert len(trials) == 4
    assert len(calls) == 5


def test_what_is_given_is_not_searched_for(texts, tmp_path):
    base = dataclasses.replace(BASE, loss="hs", lr=0.7, min_n=2, max_n=3)
    model, trials = autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=3), base)
    assert {*trials[0]["options"]} == {"epochs", "vector_size", "word_ngrams", "buckets"}
    had = model.config["train"]
    assert [had[name] for name in ("loss", "lr", "min_n", "max_n")] == ["hs", 0.7, 2, 3]


@pytest.mark.parametrize(("size", "all_fit"), [("600k", True), ("26k", False)])
def test_models_are_made_to_fit_a_size(texts, tmp_path, size, all_fit):
    base = dataclasses.replace(BASE, vector_size=4, word_ngrams=2)
    model, trials = autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=2, model_size=size), base)
    most = parse_size(size, "")
    assert max(trial["bytes"] for trial in trials) <= most
    assert model.path.stat().st_size in {trial["bytes"] for trial in trials}
    assert {*model.codes} == {"words", "ngrams"}
    assert (model.kept is None) == all_fit
    assert Classifier(model).test(texts[1]).f1 == pytest.approx(max(trial["score"] for trial in trials))


def test_no_trial_is_begun_that_would_take_longer_than_what_is_left(texts, tmp_path, monkeypatch):
    """Each trial takes ten seconds of a clock that stands still otherwise."""
    clock, real, epochs = [0.0], FAMILIES["supervised"].train, []

    def slow(corpus, path, options, **how):
        clock[0] += 10 * options.epochs
        epochs.append(options.epochs)
        return real(corpus, path, options, **how)

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setitem(FAMILIES, "supervised", dataclasses.replace(FAMILIES["supervised"], train=slow))
    base = dataclasses.replace(BASE, vector_size=4, word_ngrams=1 + 1, min_n=2, max_n=3)
    autotune(*texts, tmp_path / "m.h5", AutotuneOptions(duration=75), base)
    assert epochs[0] == 5
    assert 10 * sum(epochs) <= 75


def test_a_search_that_is_over_has_no_model_to_go_on_from(texts, tmp_path):
    """Its best is the output, which a worse one of a few more trials would replace."""
    autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=2), BASE)
    _, trials = autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE, force=True, resume=True)
    assert len(trials) == 1


def test_a_search_that_was_killed_at_its_very_end_leaves_nothing(texts, tmp_path):
    autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE)
    (tmp_path / "m.h5.work").mkdir()
    with pytest.raises(UsageError, match="exists"):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE, resume=True)
    assert not (tmp_path / "m.h5.work").exists()


def test_a_trial_that_diverges_is_listed_and_does_not_count(texts, tmp_path, monkeypatch, capsys):
    real, calls = FAMILIES["supervised"].train, []

    def diverging(*given, **how):
        calls.append(1)
        if len(calls) == 1:
            raise DivergenceError("the loss is not finite")
        return real(*given, **how)

    monkeypatch.setitem(FAMILIES, "supervised", dataclasses.replace(FAMILIES["supervised"], train=diverging))
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("cooc_engine.pipeline.autotune._Search.finish", lambda search: 1 / 0)
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE)
    assert len(calls) == 2
    _, trials = autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=2), BASE, resume=True)
    assert [trial["score"] is None for trial in trials] == [True, False, False] and len(calls) == 3
    calls.clear()
    how = ["--validation", str(texts[1]), "--output", str(tmp_path / "n.h5"), "--trials", "1", "--progress", "lines"]
    assert main(["autotune", str(texts[0]), *how, "--picture", str(tmp_path / "trials.svg")]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2].startswith("diverged\t") and "2 trials, best" in printed.out
    assert "trial 1: diverged with --lr" in printed.err


def test_a_text_that_judges_nothing_is_refused(texts, tmp_path):
    texts[1].write_text("a1 a2\n__label__none a3\n")
    with pytest.raises(InputError, match="valid: no line has a label of the training text"):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE)


def test_a_directory_of_someone_else_stays(texts, tmp_path):
    (tmp_path / "m.h5.work").mkdir()
    with pytest.raises(UsageError, match=r"m\.h5\.work: left by an interrupted run"):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE)
    assert (tmp_path / "m.h5.work").is_dir()


def test_a_record_that_was_changed_is_refused(texts, tmp_path, monkeypatch):
    monkeypatch.setattr("cooc_engine.pipeline.autotune._Search.finish", lambda search: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE)
    path = tmp_path / "m.h5.trials.json"
    found = json.loads(path.read_text())
    found["trials"][0]["options"]["lr"] = "x"
    path.write_text(json.dumps(found))
    with pytest.raises(FormatError, match="has a trial of other options"):
        autotune(*texts, tmp_path / "m.h5", AutotuneOptions(trials=1), BASE, resume=True)


def test_what_cannot_be_searched_is_refused(texts, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "supervised", dataclasses.replace(FAMILIES["supervised"], train=None))  # before any training
    for options, base, message in (
        (AutotuneOptions(duration=0), BASE, "no room for a trial"),
        (AutotuneOptions(metric="f1:none"), BASE, "metric is 'f1:none'"),
        (AutotuneOptions(metric="recall:__label__none"), BASE, "metric is 'recall:__label__none'"),
        (AutotuneOptions(model_size="10"), BASE, "model_size=10: a model takes at least"),
        (AutotuneOptions(model_size="x"), BASE, "model_size is 'x'"),
        (AutotuneOptions(), SupervisedOptions(init="x.h5"), "init fixes"),
    ):
        with pytest.raises(UsageError, match=message):
            autotune(*texts, tmp_path / "m.h5", options, base)
    with pytest.raises(UsageError, match="metric is 'f2'; it must be f1, precision or recall"):
        AutotuneOptions(metric="f2")
    with pytest.raises(InputError, match=r"none\.txt: no such file"):
        autotune(texts[0], tmp_path / "none.txt", tmp_path / "m.h5")
    with pytest.raises(InputError, match="is not a file"):
        autotune(texts[0], tmp_path, tmp_path / "m.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "valid"]


def test_the_command_prints_a_table_of_trials(texts, tmp_path, capsys):
    arguments = ["--autotune-validation", texts[1], "--output", tmp_path / "m.h5", "--trials", "2", "--progress", "none"]
    arguments += ["--picture", tmp_path / "trials.svg"]
    assert main(["autotune", *map(str, [texts[0], *arguments])]) == 0
    assert (tmp_path / "trials.svg").read_text().startswith("<?xml")
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split("\t")[:4] == ["score", "seconds", "MB", "lr"]
    assert len(rows) == 2
    assert "2 trials, best" in last


def test_the_texts_are_read_as_they_are_to_be(texts, tmp_path, capsys):
    for path in texts:
        path.write_bytes(path.read_bytes().replace(b"a1", b"CAF\xe9"))
    how = ["--validation", str(texts[1]), "--output", str(tmp_path / "m.h5"), "--trials", "1", "--progress", "none"]
    assert main(["autotune", str(texts[0]), *how, "--encoding", "latin-1", "--lowercase"]) == 0
    model = open_model(tmp_path / "m.h5")
    assert "caf\xe9" in model.vocabulary and Classifier(model).predict("CAF\xe9 a2")[0] == ("__label__a",)


def test_a_corpus_is_searched_on_as_it_is(texts, tmp_path):
    corpus = encode(texts[0], tmp_path / "corpus", AllWordsOptions(lowercase=True))
    model, _ = autotune(corpus.path, texts[1], tmp_path / "m.h5", AutotuneOptions(trials=1), BASE)
    assert model.config["encode"]["lowercase"]
    with pytest.raises(UsageError, match="is already encoded; options of encoding have no effect on it"):
        autotune(corpus.path, texts[1], tmp_path / "n.h5", AutotuneOptions(trials=1), BASE, AllWordsOptions())
    pruned = encode(texts[0], tmp_path / "pruned", AllWordsOptions(max_vocab=9))
    with pytest.raises(UsageError, match="lacks words that n-grams may contain"):  # though the first trial has none
        autotune(pruned.path, texts[1], tmp_path / "n.h5", AutotuneOptions(trials=1), BASE)


def test_the_command_takes_what_is_fixed(texts, tmp_path):
    """Options of the command line are of a class of its own."""
    options = ["--label", "__label__", "--vector-size", "2", "--trials", "1", "--progress", "none"]
    assert main(["autotune", str(texts[0]), "--validation", str(texts[1]), "--output", str(tmp_path / "m.h5"), *options]) == 0
    assert open_model(tmp_path / "m.h5").shapes["words"][1] == 2

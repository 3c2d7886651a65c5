"""The table [test] of a job: how often its classifiers are right, with intervals, sizes and seconds; and on the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.cli.app import main
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.accuracy import accuracies
from cooc_engine.evaluation.options import AccuracyOptions
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.job import run
from cooc_engine.vectors.classifier import Classifier

JOB = """
output = "work"
[encode]
texts = ["train.txt"]
min-count = 1
[[train]]
model = "supervised"
vector-size = 4
lr = 0.5
deterministic = true
[[train]]
model = "supervised"
output = "weak.h5"
vector-size = 4
lr = 0.001
epochs = 1
deterministic = true
[[train]]
model = "skipgram"
vector-size = 4
epochs = 1
"""
TEST = '[test]\ntexts = ["test.txt"]\nsamples = 200\n'
PAGE = '[compare]\noutput = "page.html"\nsamples = 100\ncommon = true\n'
NAMES = ["supervised", "weak"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home, random = tmp_path_factory.mktemp("job"), np.random.default_rng(5)
    lines = [f"__label__{kind} " + " ".join(f"{kind}{n}" for n in random.integers(9, size=5)) for kind in "aab" * 40]
    (home / "train.txt").write_text("\n".join(lines[:60]) + "\n")
    (home / "test.txt").write_text("\n".join([*lines[60:], "no label", "", "__label__unknown a1"]) + "\n")
    (home / "job.toml").write_text(JOB + TEST + PAGE)
    return home


@pytest.fixture(scope="module")
def rows(home) -> list[dict]:
    """What the job returns."""
    return run(home / "job.toml")


def test_a_job_tests_its_classifiers(home, rows):
    assert [(Path(row["model"]).stem, row["dataset"], row["kind"]) for row in rows] == [(n, "test", "accuracy") for n in NAMES]
    for row in rows:
        model = open_model(row["model"])
        scores = Classifier(model).test(home / "test.txt")
        assert row["value"] == scores.precision and (row["covered"], row["total"]) == (scores.lines, 63) == (60, 63)
        assert row["low"] <= row["value"] <= row["high"]
        assert row["file_bytes"] == model.path.stat().st_size
        assert row["seconds"] == sum(epoch["seconds"] for epoch in model.history)
    assert rows[0]["value"] == 1 > rows[1]["high"]
    head, *lines = (home / "work" / "classifiers.tsv").read_text().splitlines()
    assert head.split("\t") == list(rows[0]) and len(lines) == 2


def test_the_page_has_a_table_of_classifiers(home, rows):
    tested = json.loads((home / "work" / "page.json").read_text())["classifiers"]
    assert [cost["name"] for cost in tested["costs"]] == NAMES and tested["sets"][0]["leaders"] == NAMES[:1]
    (gap,) = tested["sets"][0]["differences"]
    assert (gap["first"], gap["second"], gap["clear"]) == (*NAMES, True) and gap["p_holm"] == gap["p"]
    page = (home / "work" / "page.html").read_text()
    assert '<h2 id="classifiers">Classifiers</h2>' in page and "60 of 63 lines" in page
    assert "<b>1.000</b><small>1.000 to 1.000</small>" in page and "supervised above weak" in page


def test_the_command_tests_classifiers_on_its_page(home, rows, tmp_path, capsys):
    models = [str(home / "work" / f"{name}.h5") for name in (*NAMES, "skipgram")]
    page = ["--output", str(tmp_path / "p.html"), "--common", "--samples", "100"]
    assert main(["compare", *models, *page, "--tests", str(home / "test.txt")]) == 0
    printed = capsys.readouterr().out
    assert "test  accuracy  60 of 63\n    1.000     1.000     1.000  supervised\n" in printed
    assert printed.endswith("p.html: 3 models on 1 labelled text\n")


def test_texts_in_another_encoding_than_that_of_the_training(home, rows, tmp_path, capsys):
    models, page = (
        [str(home / "work" / f"{name}.h5") for name in NAMES],
        ["--output", str(tmp_path / "p.html"), "--samples", "100"],
    )
    (tmp_path / "latin.txt").write_bytes((home / "test.txt").read_bytes() + "naïve\n".encode("latin-1"))
    tests = ["--tests", str(tmp_path / "latin.txt")]
    assert main(["compare", *models, *page, *tests]) == 1
    assert "latin.txt: byte 0xef is not UTF-8" in capsys.readouterr().err
    for how in (["--encoding", "latin-1"], ["--errors", "skip"]):
        assert main(["compare", *models, *page, *tests, *how, "--force"]) == 0
        assert "latin  accuracy  60 of 64\n" in capsys.readouterr().out
    assert main(["compare", *models, *page, "--encoding", "latin-1", "--force"]) == 2
    assert "--encoding is latin-1, but there are no --tests to read; leave --encoding out" in capsys.readouterr().err


def test_lines_that_one_classifier_cannot_be_tested_on_are_left_out_for_all(home, rows, tmp_path):
    models = {name: home / "work" / f"{name}.h5" for name in NAMES}
    (tmp_path / "few.txt").write_text("__label__a a1\n__label__b a1\n__label__c\nnone\n__label__c __label__a a2\n")
    (data,) = accuracies(models, [tmp_path / "few.txt"], AccuracyOptions(samples=100))["sets"]
    assert (data["name"], data["covered"], data["total"]) == ("few", 3, 5)
    assert data["scores"][0]["value"] == pytest.approx(2 / 3)
    (tmp_path / "none.txt").write_text("none\n")
    with pytest.raises(InputError, match=r"none\.txt: has no line with a label that all classifiers know"):
        accuracies(models, [tmp_path / "none.txt"])
    with pytest.raises(UsageError, match="none of skipgram is a classifier"):
        accuracies({"skipgram": home / "work" / "skipgram.h5"}, [home / "test.txt"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (JOB + "[test]\n", r"\[test\]: names no texts"),
        (JOB + TEST + "sample = 3\n", r"\[test\]: unknown option 'sample'; did you mean samples"),
        (JOB.replace('"supervised"', '"cbow"').replace("lr = 0.5\n", "") + TEST, r"\[test\]: .* no \[\[train\]\] makes one"),
    ],
)
def test_what_makes_no_sense_is_said_before_any_work(tmp_path, text, says):
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(UsageError, match=says):
        run(tmp_path / "job.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]

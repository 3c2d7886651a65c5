"""The tables [cluster] and [classify] of a job: the scores of `cluster` and `classify`, kept between runs, and on the page."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path

import numpy as np
import pytest
from support.topics import planted

from cooc_engine import ClassifyOptions, ClusterOptions, classify, cluster
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.clustering import Clustering
from cooc_engine.pipeline.job import run
from cooc_engine.reports.page import render
from cooc_engine.storage.outputs import write_record

JOB = """
output = "work"
[encode]
texts = ["train.txt", "test.txt"]
min-count = 1
[[train]]
model = "doc2vec"
vector-size = 6
epochs = 10
deterministic = true
[[train]]
model = "skipgram"
vector-size = 6
deterministic = true
"""
DOCUMENTS = """
[cluster]
texts = ["train.txt", "test.txt"]
documents = "trained"
runs = 2
[classify]
train = "train.txt"
test = "test.txt"
documents = "trained"
samples = 100
"""
NAMES = ["doc2vec", "skipgram"]
PAGE = '[compare]\noutput = "page.html"\nsamples = 100\n'


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("job")
    lines = [f"__label__{'abc'[k % 3]}{'<>' * (k % 3)} {' '.join(words)}\n" for k, words in enumerate(planted(documents=48))]
    (home / "train.txt").write_text("".join(lines[:30]))
    (home / "test.txt").write_text("".join(lines[30:]))
    (home / "job.toml").write_text(JOB + DOCUMENTS + PAGE)
    return home / "job.toml"


@pytest.fixture(scope="module")
def rows(job) -> list[dict]:
    """What the job returns."""
    return run(job)


def test_a_job_judges_all_its_models_by_documents(job, rows):
    models = [job.parent / "work" / f"{name}.h5" for name in NAMES]
    train, test = (job.parent / f"{name}.txt" for name in ("train", "test"))
    wanted = cluster(models, [train, test], ClusterOptions(documents="trained", runs=2))
    wanted += classify(models, train, test, ClassifyOptions(documents="trained", samples=100))
    assert rows == wanted
    assert len((job.parent / "work" / "documents.tsv").read_text().splitlines()) == 1 + len(rows)


def test_outcomes_are_kept_by_documents_options_and_models(job, rows, monkeypatch):
    text = (JOB + DOCUMENTS).replace('"work"', f'"{job.parent / "work"}"')
    monkeypatch.setattr(Clustering, "outcome", lambda *given: pytest.fail("clustered again"))
    job.with_name("again.toml").write_text(text)
    assert run(job.with_name("again.toml")) == rows
    job.with_name("other.toml").write_text(text.replace("runs = 2", "runs = 3"))
    with pytest.raises(pytest.fail.Exception, match="clustered again"):
        run(job.with_name("other.toml"))
    kept = job.parent / "work" / "documents.json"
    whole, (first, *_) = json.loads(kept.read_text()), kept.read_text().split("0.", 1)

    def refused() -> None:
        with pytest.raises(InputError, match=r"documents.json: has not the outcomes of an earlier run; remove it"):
            run(job.with_name("again.toml"))

    kept.write_text(first + "1." + kept.read_text()[len(first) + 2 :])
    refused()  # a changed score, by the checksum
    for forge in (lambda results: results["k-means-mi"].pop(), lambda results: results["knn"].__setitem__(0, 1e300)):
        outcomes = copy.deepcopy(whole["outcomes"])
        for outcome in outcomes.values():
            with contextlib.suppress(KeyError):  # of the other task
                forge(outcome["results"])
        write_record(kept, {"outcomes": outcomes})
        refused()


def test_a_page_shows_documents_and_a_map_of_them(job, rows):
    """Labels, which come from the text, are escaped; each document of the map has a place."""
    work = job.parent / "work"
    record = json.loads((work / "page.json").read_text())
    found = record["documents"]
    values = {(row["model"], row["kind"]): row["value"] for row in rows}
    for data in found["sets"]:
        assert [score["value"] for score in data["scores"]] == [
            pytest.approx(values[f"{work / name}.h5", data["kind"]]) for name in NAMES
        ]
    assert found["made"] == {"doc2vec": "trained", "skipgram": "mean"}
    assert found["map"]["labels"] == ["a", "b<>", "c<><>"]
    for places in found["map"]["places"].values():
        assert np.shape(places) == (48, 2) and np.ptp(places, axis=0) == pytest.approx([1, 1])
    page = render(record)
    assert page == (work / "page.html").read_text()
    assert "b&lt;&gt;" in page and "b<>" not in page
    assert page.count('class="points m2"') == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[cluster]\nruns = 2\n", r"\[cluster\]: names no texts"),
        ('[cluster]\ntexts = "train.txt"\nrun = 2\n', r"\[cluster\]: unknown option 'run'; did you mean runs"),
        ('[classify]\ntrain = "train.txt"\n', r"\[classify\]: names a text as train, and another as test"),
    ],
)
def test_tables_that_ask_for_nothing_are_refused_before_any_work(job, tmp_path, table, said):
    (tmp_path / "train.txt").write_text("__label__a b\n")
    (tmp_path / "job.toml").write_text(JOB + table)
    with pytest.raises(UsageError, match=said):
        run(tmp_path / "job.toml")
    assert not (tmp_path / "work").exists()

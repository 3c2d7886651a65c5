"""The table [eval] of a job: the same sets and options as `eval`, with the same scores."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from cooc_engine.cli import judge as cli
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.judge import SETS, evaluate
from cooc_engine.pipeline.job import run

JOB = """
output = "work"
[encode]
texts = ["text.txt"]
min-count = 1
[count]
window = 2
[[train]]
model = "glove"
epochs = 1
vector-size = 4
[eval]
pairs = ["pairs.tsv"]
sentence-pairs = "sentences.tsv"
analogies = ["questions.txt"]
categories = ["classes.tsv"]
outliers = ["topics.txt"]
restrict = 9
by-section = true
bootstrap = 20
seed = 3
"""
FILES = {
    "text.txt": "a b c d e f g h\n" * 5 + "b a d c f e h g\n" * 5,
    "pairs.tsv": "a b 3\nc d 2\ne h 1\n",
    "sentences.tsv": "a b\tc d\t3\ne f\tg\t1\nb\ta h\t2\n",
    "questions.txt": ": one\na b c d\n: two\nc d e f\n",
    "classes.tsv": "a x\nb x\nc y\n",
    "topics.txt": "a\nb\n\nh\n",
}
GIVEN = {
    "pairs": ["pairs.tsv"],
    "sentence_pairs": ["sentences.tsv"],
    "analogies": ["questions.txt"],
    "categories": ["classes.tsv"],
    "outliers": ["topics.txt"],
}


@pytest.fixture
def job(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    Path("job.toml").write_text(JOB)
    return Path("job.toml")


def test_a_job_is_judged_by_all_sets_and_options_of_eval(job):
    rows = run(job, threads=1)
    options = {"restrict": 9, "by_section": True, "bootstrap": 20, "seed": 3}
    assert rows == evaluate(["work/glove.h5"], **GIVEN, **options)
    assert rows == json.loads(Path("work/eval.json").read_text())
    assert {row["dataset"] for row in rows} >= {"questions:one", "sentences", "classes", "topics"} and "low" in rows[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("bootstrap = 20", "bootstrp = 20", r"\[eval\]: unknown option 'bootstrp'; did you mean bootstrap\?"),
        ("seed = 3", "seed = 1.5", r"job.toml \[eval\] seed is 1.5; it must be of type int"),
        ("categories = [", "categories = [3, ", r"\[eval\] categories: must be a list of file names"),
    ],
)
def test_what_eval_does_not_have(job, old, new, says):
    job.write_text(JOB.replace(old, new))
    with pytest.raises(UsageError, match=says):
        run(job)


def test_every_kind_of_sets_has_a_flag():
    assert set(SETS) <= set(inspect.signature(cli.evaluate).parameters) and set(SETS) == set(GIVEN)


@pytest.mark.parametrize(("old", "new"), [('output = "work"', r'output = "\u0000"'), ('"text.txt"', r'"\u0000"')])
def test_names_with_null_characters_are_refused(job, old, new):
    Path("job.toml").write_text(JOB.replace(old, new))
    with pytest.raises(UsageError, match="must be a"):
        run("job.toml")


GLOVE, PMI = 'model = "glove"\nepochs = 1\nvector-size = 4\n', 'model = "pmi"\n'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (GLOVE, PMI + "[cluster]\n", "[cluster]: work/pmi.h5: explicit vectors"),
        (GLOVE, PMI + "[classify]\n", "[classify]: work/pmi.h5: explicit vectors"),
        ("min-count = 1", 'min-count = 2\nvocabulary = "v"', "gives the words; leave [encode] min-count out"),
        ("min-count = 1", 'min-count = 1\npattern = "("', "job.toml [encode] pattern"),
        ("epochs = 1", "epochs = 0", "job.toml [[train]] 1 epochs is 0; it must be at least 1"),
    ],
)  # fmt: skip
def test_what_a_late_stage_cannot_use_is_refused_before_any_work(job, old, new, says):
    job.write_text(JOB.replace(old, new))
    with pytest.raises(UsageError) as caught:
        run(job)
    assert says in str(caught.value)
    assert not Path("work").exists()

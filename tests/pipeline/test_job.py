"""The table [eval] of a job: the same sets and options as `eval`, with the same scores."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import pytest

from cooc_engine.cli import judge as cli
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.judge import SETS, evaluate
from cooc_engine.pipeline.job import run
from cooc_engine.storage.locks import locked

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
        ('"glove"', '"doc2vec"\nloss = "hs"', r"job.toml \[eval\]: work/doc2vec.h5: has no vectors of words"),
    ],
)
def test_what_eval_does_not_have(job, old, new, says):
    job.write_text(JOB.replace(old, new))
    with pytest.raises(UsageError, match=says):
        run(job)
    assert not Path("work").exists()


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
        (
            "min-count = 1",
            'pattern = "x"',
            'job.toml [encode] pattern is for [encode] tokenizer = "regex"; the tokenizer is whitespace',
        ),
        (
            "[eval]",
            '[cluster]\ntexts = "text.txt"\nlabels = "text.txt"\nlabel-column = 1\n[eval]',
            "job.toml: labels are given both by files and by [cluster] label-column; choose one",
        ),
    ],
)  # fmt: skip
def test_what_a_late_stage_cannot_use_is_refused_before_any_work(job, old, new, says):
    job.write_text(JOB.replace(old, new))
    with pytest.raises(UsageError) as caught:
        run(job)
    assert says in str(caught.value)
    assert not Path("work").exists()


def test_of_two_runs_of_a_job_the_second_is_refused(job):
    Path("work").mkdir()
    with locked(Path("work/job.lock")), pytest.raises(UsageError) as caught:
        run(job, threads=1)
    assert str(caught.value) == "work: another run is working on it"
    assert [path.name for path in Path("work").iterdir()] == ["job.lock"]


def test_a_job_that_was_killed_on_another_machine_is_taken_over(job):
    lock = Path("work/job.lock")
    lock.parent.mkdir()
    lock.write_text('{"host": "elsewhere", "pid": 1}')
    os.utime(lock, (0, 0))
    with pytest.raises(UsageError, match="run the job again with take_over=True, or start anew with force=True"):
        run(job, threads=1)
    assert run(job, threads=1, take_over=True)
    assert not lock.exists()


OWN_TOKENIZER = """
output = "work"
[encode]
texts = ["labelled.txt"]
min-count = 1
tokenizer = "builtins:str.split"
[[train]]
model = "pmi-svd"
vector-size = 2
[[train]]
model = "supervised"
vector-size = 2
epochs = 1
min-n = 2
max-n = 3
buckets = 50
[[train]]
model = "elmo"
vector-size = 2
cells = 2
characters = 2
filters = "1:2"
batch = 2
epochs = 1
"""
JUDGED_TEXTS = {
    "eval": 'sentence-pairs = "sentences.tsv"',
    "cluster": 'texts = "labelled.txt"',
    "classify": 'train = "labelled.txt"\ntest = "labelled.txt"',
    "test": 'texts = "labelled.txt"',
    "probe": 'senses = "labelled.txt"',
}


@pytest.fixture(scope="module")
def own_tokenizer(tmp_path_factory) -> Path:
    """A job whose models are made."""
    home = tmp_path_factory.mktemp("own")
    (home / "labelled.txt").write_text("__label__x river a b\n__label__y album b a\n" * 9)
    (home / "pairs.tsv").write_text("a rivers 3\nriver album 1\nalbums b 2\n")
    (home / "sentences.tsv").write_text("a b\talbum\t3\nriver\triver a\t1\nb\ta rivers\t2\n")
    (home / "job.toml").write_text(OWN_TOKENIZER)
    run(home / "job.toml", threads=1)
    return home / "job.toml"


@pytest.mark.parametrize("table", JUDGED_TEXTS)
def test_what_evaluations_refuse_is_told_by_the_keys_of_their_tables(own_tokenizer, table):
    own_tokenizer.write_text(f"{OWN_TOKENIZER}[{table}]\n{JUDGED_TEXTS[table]}\n")
    with pytest.raises(UsageError, match=rf"which only runs if you trust it: pass \[{table}\] trust-tokenizer = true"):
        run(own_tokenizer, threads=1)
    own_tokenizer.write_text(own_tokenizer.read_text() + "trust-tokenizer = true\n")
    assert run(own_tokenizer, threads=1)


def test_eval_splits_sentences_as_the_text_and_knows_words_outside_the_vocabulary(own_tokenizer):
    own_tokenizer.write_text(f"{OWN_TOKENIZER}[eval]\n{JUDGED_TEXTS['eval']}\npairs = 'pairs.tsv'\ntrust-tokenizer = true\n")
    models = [own_tokenizer.parent / "work" / f"{name}.h5" for name in ("pmi-svd", "supervised", "elmo")]
    files = {"pairs": own_tokenizer.parent / "pairs.tsv", "sentence_pairs": own_tokenizer.parent / "sentences.tsv"}
    wanted = evaluate(models, **files, trust_tokenizer=True)
    assert run(own_tokenizer, threads=1) == wanted
    assert [row["unseen"] for row in wanted if "unseen" in row] == [2, 2]

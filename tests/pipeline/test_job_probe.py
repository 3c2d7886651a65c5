"""The table [probe] of a job: the scores of `probe` for its models of ELMo, kept between runs, and their picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.jobs import replaced

from cooc_engine import ProbeOptions, encode, probe
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.pipeline import job_probe
from cooc_engine.pipeline.job import run

JOB = """
output = "work"
[encode]
texts = ["text.txt"]
min-count = 1
[[train]]
model = "elmo"
vector-size = 6
cells = 8
characters = 4
filters = "1:4,3:5"
batch = 4
negatives = 0
seed = [1, 2]
[[train]]
model = "pmi-svd"
vector-size = 4
[probe]
tags = ["a.conllu", "a.conllu"]
senses = "text.txt"
sentence-pairs = "pairs.tsv"
word-in-context = ["a.data.txt", "a.data.txt"]
held-out = "held.txt"
plain = true
picture = true
"""
MODELS = ["elmo-seed-1.h5", "elmo-seed-2.h5"]


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    home, rng = tmp_path_factory.mktemp("job"), np.random.default_rng(0)
    for name, number in (("text.txt", 60), ("held.txt", 3)):
        (home / name).write_text("\n".join(" ".join(rng.choice(["river", "album", "a", "b", "c"], 27)) for _ in range(number)))
    words = (f"{n}\t{word}\t_\t{tag}" + "\t_" * 6 for n, (word, tag) in enumerate([("A", "DET"), ("river", "NOUN")], 1))
    (home / "a.conllu").write_text("\n".join(words))
    (home / "pairs.tsv").write_text("a b\ta c\t1\nb\tc a\t2\nb a\tb b\t3\n")
    (home / "a.data.txt").write_text("x\tN\t0-1\triver a\tb album\nx\tN\t0-1\ta b\tc a\n")
    (home / "a.gold.txt").write_text("F\nT\n")
    (home / "job.toml").write_text(JOB)
    return home / "job.toml"


@pytest.fixture(scope="module")
def rows(job) -> list[dict]:
    """What the job returns."""
    return run(job)


def test_a_job_judges_the_layers_of_its_models_of_elmo(job, rows):
    home, work = job.parent, job.parent / "work"
    held = encode(home / "held.txt", home / "held", EncodeOptions(vocabulary=str(work / "corpus")))
    wanted = [
        {**row, "dataset": row["dataset"].replace("of held", "of held-out")}
        for name in MODELS
        for row in probe(
            work / name,
            tags=(home / "a.conllu", home / "a.conllu"),
            senses=home / "text.txt",
            pairs=[home / "pairs.tsv"],
            word_in_context=(home / "a.data.txt", home / "a.data.txt"),
            perplexity=[held.path, work / "corpus"],
            options=ProbeOptions(plain=True),
        )
    ]
    assert rows == wanted
    assert {row["dataset"] for row in rows} == {
        "perplexity of held-out",
        "pseudo-words",
        "tags of a",
        "pairs",
        "words in context of a",
    }
    assert {"backward", "Kneser-Ney 3", "layer 2", "mix"} < {row["kind"] for row in rows}


def test_the_picture_shows_all_test_sets(job, rows):
    picture = (job.parent / "work" / "layers.svg").read_text()
    for name in ("perplexity of held-out", "pseudo-words", "Kneser-Ney 3", "most common tag", "elmo-seed-2"):
        assert f"<!-- {name}" in picture


def test_scores_are_kept_until_a_file_changes(job, rows, monkeypatch):
    monkeypatch.setattr(job_probe, "probe", lambda *given, **how: pytest.fail("probed again"))
    assert run(job) == rows
    text = (job.parent / "pairs.tsv").read_text()
    (job.parent / "pairs.tsv").write_text(text + "a\tb\t4\n")
    with pytest.raises(pytest.fail.Exception, match="probed again"):
        run(job)
    (job.parent / "pairs.tsv").write_text(text)


def test_scores_that_are_none_of_an_earlier_run_are_refused(job, rows):
    memory = job.parent / "work" / "probe.json"
    before = memory.read_bytes()
    memory.write_text("[]")
    with pytest.raises(InputError, match=r"probe\.json: has not the scores of an earlier run; remove it"):
        run(job)
    memory.write_bytes(before)


def test_a_held_out_text_follows_the_corpus(job, rows, tmp_path):
    """A corpus that is made anew may have other words."""
    for path in (job, *job.parent.glob("held.txt")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    changed = tmp_path / "job.toml"
    one_model = JOB[: JOB.index("seed")] + '[probe]\nheld-out = "held.txt"\n'
    changed.write_text(one_model)
    (tmp_path / "text.txt").write_text("river album a b c\n" * 9)
    run(changed)
    (tmp_path / "text.txt").write_text("river album a b\n" * 9)
    again = run(changed, force_stage="encode")
    assert {row["covered"] for row in again} == {84}  # places of three lines of 27 words


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('senses = "text.txt"', 'sense = "text.txt"', "unknown option 'sense'"),
        ('tags = ["a.conllu", "a.conllu"]', 'tags = "a.conllu"', "tags has 1 files; it must have 2"),
        ("picture = true", "picture = 1", "picture is 1; it must be true or false"),
        ("plain = true", 'save-mix = "mix.json"', "a job cannot save a mix"),
        ("plain = true", "plain = 1", "plain is 1"),
        ('held-out = "held.txt"', 'held-out = "none.txt"', "none.txt: no such file"),
        (JOB[JOB.index("tags") :], "", "names no files to evaluate on"),
        ('model = "elmo"', 'model = "skipgram"', "no .*train.* makes one"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_before_any_work(job, tmp_path, old, new, said):
    for path in job.parent.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    replaced(tmp_path / "job.toml", old, new)
    if "skipgram" in new:
        for line in ("cells = 8", "characters = 4", 'filters = "1:4,3:5"', "batch = 4", "negatives = 0"):
            replaced(tmp_path / "job.toml", line, "")
    with pytest.raises((UsageError, InputError), match=said):
        run(tmp_path / "job.toml")
    assert not (tmp_path / "work").exists()

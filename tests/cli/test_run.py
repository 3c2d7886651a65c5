"""The verb run: a job does what its commands would do, keeps what is finished, and says what is wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line, copied
from support.jobs import replaced

from cooc_engine.corpus import second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.pipeline.job import plan_run

JOB = """
output = "work"
[encode]
texts = ["text.txt"]
min-count = 2
[count]
window = 4
[[train]]
model = "glove"
epochs = 2
vector-size = 6
[[train]]
model = "glove"
output = "small.h5"
epochs = 1
vector_size = 3
[eval]
pairs = ["pairs.tsv"]
restrict = 100
"""


@pytest.fixture
def job(made) -> Path:
    copied(made, "text.txt")
    Path("pairs.tsv").write_text("w1\tw2\t3\nw3\tw4\t4\nw1\tw5\t1\n")
    Path("job.toml").write_text(JOB)
    return Path("job.toml")


def stamps() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("work").rglob("*") if path.is_file()}


def test_a_job_runs_and_keeps_what_is_finished(call, job):
    code, stdout, stderr = call("run", job, "--json", *QUIET)
    assert (code, stderr) == (0, "")
    record = json.loads(stdout)
    assert {row["model"] for row in record["evaluation"]} >= {"work/glove.h5"} or len(record["evaluation"]) == 4
    assert sorted(path.name for path in Path("work").iterdir()) == [
        "cooc",
        "corpus",
        "eval.json",
        "glove.h5",
        "small.h5",
    ]
    assert json.loads(Path("work/eval.json").read_text()) == record["evaluation"]
    before = stamps()
    assert call("run", job, *QUIET)[0] == 0
    after = stamps()
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {"work/eval.json"}
    Path("work/small.h5").unlink()
    assert call("run", job, *QUIET)[0] == 0
    assert {path for path in before if before[path] != stamps()[path]} == {"work/eval.json", "work/small.h5"}


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("min-count = 2", "min-count = 3", "work/corpus: was made with different [encode] min-count (2, now 3); pass --force"),
        ('"text.txt"', '"text.txt", "pairs.tsv"', "work/corpus: was made with different texts"),
        ("window = 4", "window = 5", "work/cooc: was made with different [count] window"),
        ("epochs = 2", "epochs = 3", "work/glove.h5: was made with different [[train]] epochs"),
    ],
)
def test_changed_options_are_refused_until_forced(call, job, old, new, says):
    assert call("run", job, *QUIET)[0] == 0
    before = stamps()
    replaced(job, old, new)
    assert_one_line(*call("run", job, *QUIET), 2, says)
    assert stamps() == before
    assert call("run", job, "--force", *QUIET)[0] == 0


def test_a_changed_stage_is_refused_before_any_work(call, job):
    """The first model would have to be trained, which may take days: that the second cannot be made is said before."""
    assert call("run", job, *QUIET)[0] == 0
    Path("work/glove.h5").unlink()
    replaced(job, "epochs = 1", "epochs = 2")
    says = "work/small.h5: was made with different [[train]] epochs (1, now 2); pass --force-stage small.h5 to replace it ("
    assert_one_line(*call("run", job, *QUIET), 2, says)
    assert not Path("work/glove.h5").exists()


def test_a_refusal_counts_the_changed_stages_and_one_name_forces_those_of_a_grid(call, job):
    replaced(job, "window = 4", "window = [2, 4]")
    assert call("run", job, *QUIET)[0] == 0
    replaced(job, "epochs = 1", "epochs = 2")
    code, _, stderr = call("run", job, "--force-stage", "glove.h5", *QUIET)
    says = "work/small-window-2.h5: was made with different [[train]] epochs (1, now 2); pass --force-stage small-window-2"
    assert (code, stderr.count("\n")) == (2, 1)  # what is not done is not announced
    assert says in stderr
    assert stderr.endswith("; 1 more have changed, and --dry-run names them\n")
    states = {stage.path.name: stage.state for stage in plan_run(job, force_stage="small.h5")}
    assert {name for name, state in states.items() if state == "forced"} == {"small-window-2.h5", "small-window-4.h5"}


def test_a_text_that_is_not_there_is_named_only_if_it_is_needed(call, job):
    assert call("run", job, *QUIET)[0] == 0
    Path("text.txt").unlink()
    assert call("run", job, *QUIET)[0] == 0
    replaced(job, "text.txt", "gone.txt")
    assert_one_line(*call("run", job, *QUIET), 1, "gone.txt: no such file")


@pytest.mark.parametrize(
    ("names", "anew"),
    [
        (["small.h5"], {"small.h5"}),
        (["train"], {"glove.h5", "small.h5"}),
        (["cooc"], {"cooc", "glove.h5", "small.h5"}),
        (["encode"], {"corpus", "cooc", "glove.h5", "small.h5"}),
        (["eval"], set()),
    ],
)
def test_a_forced_stage_is_made_anew_and_what_is_made_of_it(call, job, names, anew):
    assert call("run", job, *QUIET)[0] == 0
    before = stamps()
    code, _, stderr = call("run", job, *(word for name in names for word in ("--force-stage", name)))
    assert code == 0
    said = {line.split(": ")[0] for line in stderr.splitlines() if "will be replaced" in line}
    assert said == {f"work/{name}" for name in anew}
    changed = {Path(path).parts[1] for path, stamp in stamps().items() if stamp != before[path]}
    assert changed - {"eval.json"} == anew


def test_no_such_stage(call, job):
    stages = "encode, corpus, count, cooc, train, glove.h5, small.h5, eval"
    says = f"--force-stage is 'glove'; the stages of this job are {stages}"
    assert_one_line(*call("run", job, "--force-stage", "glove", *QUIET), 2, says)
    with pytest.raises(UsageError, match="force_stage is 'glove'"):
        plan_run(job, force_stage="glove")
    assert not Path("work").exists()


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(call, job):
    code, stdout, _ = call("run", job, "--dry-run")
    lines = stdout.splitlines()
    assert code == 0 and not Path("work").exists()
    assert re.fullmatch(r"work/corpus: would be made \(of about [\d.]+K, [\d.]+K of disk at the peak\)", lines[0])
    assert lines[1:] == ["work/cooc: would be made", "work/glove.h5: would be made", "work/small.h5: would be made"]
    assert call("run", job, *QUIET)[0] == 0
    Path("work/small.h5").rename("work/small.h5.checkpoint")
    replaced(job, "epochs = 2", "epochs = 3")
    before, mine = stamps(), Path("work/cooc")
    code, stdout, _ = call("run", job, "--dry-run", "--json")
    stages = json.loads(stdout)["stages"]
    assert code == 0 and stamps() == before
    assert [stage["state"] for stage in stages] == ["finished", "finished", "changed", "interrupted"]
    assert stages[1]["size"] == sum(path.stat().st_size for path in mine.iterdir())
    assert stages[2]["note"].startswith("was made with different [[train]] epochs (2, now 3); pass --force-stage glove.h5")
    words = len(Corpus("work/corpus").vocabulary)
    assert stages[3]["output_bytes"] == 4 * words * (2 * 3 + 2) <= stages[3]["size"]
    lines = call("run", job, "--dry-run", "--force-stage", "count")[1].splitlines()
    assert re.fullmatch(r"work/cooc: would be replaced \([\d.]+K\) \(of about .*", lines[1])
    assert re.match(r"work/glove.h5: would be replaced \([\d.]+K that took [\d.]+ s to train\)", lines[2])


def test_an_interrupted_job_goes_on(call, job, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(second_pass, "write_shards", interrupted)
        assert_one_line(*call("run", job, *QUIET), 130, "work/corpus: interrupted; run the job again")
    assert sorted(path.name for path in Path("work").iterdir()) == ["corpus.part"]
    assert call("run", job, *QUIET)[0] == 0
    assert not Path("work/corpus.part").exists()


@pytest.mark.parametrize(
    "old, new, code, says",
    [
        ("[count]", "[cuont]", 2, "unknown table 'cuont'"),
        ("window = 4", "windw = 4", 2, "job.toml [count]: unknown option 'windw'; did you mean window?"),
        ("window = 4", "window = 0", 2, "job.toml [count] window is 0"),
        ("window = 4", 'window = "4"', 2, "job.toml [count] window is '4'"),
        ("window = 4", "window = true", 2, "job.toml [count] window is True"),
        ('model = "glove"', 'model = "glov"', 2, "unknown model 'glov'"),
        ('model = "glove"', "", 2, "names no model"),
        ("[[train]]", "[train]", 1, "not TOML"),
        ("restrict = 100", "restict = 100", 2, "unknown option 'restict'"),
        ("restrict = 100", "restrict = 0", 2, "job.toml [eval] restrict is 0"),
        ('texts = ["text.txt"]', "", 2, "names no texts"),
        ('texts = ["text.txt"]', "texts = [1]", 2, "must be a list of file names"),
        ('texts = ["text.txt"]', 'texts = ["gone.txt"]', 1, "gone.txt: no such file"),
        ('"pairs.tsv"', '"gone.tsv"', 1, "gone.tsv: no such file"),
        ('output = "work"', "output = 3", 2, "output is 3; it must be a string"),
        ("[encode]", "[encode", 1, "job.toml: not TOML"),
    ],
)
def test_bad_jobs(call, job, old, new, code, says):
    replaced(job, old, new)
    assert_one_line(*call("run", job, *QUIET), code, says)
    assert not Path("work").exists() or not any(Path("work").iterdir())


def test_no_job(call):
    assert_one_line(*call("run", "nowhere.toml"), 1, "nowhere.toml: no such file")
    assert_one_line(*call("run", "."), 1, ".: cannot be read (Is a directory)")


def test_a_job_without_counts_counts_nothing(call, job):
    replaced(job, 'model = "glove"\nepochs', 'model = "skipgram"\nepochs')
    replaced(job, 'model = "glove"\noutput', 'model = "cbow"\noutput')
    replaced(job, "[count]\nwindow = 4\n", "")
    assert call("run", job, *QUIET)[0] == 0
    assert sorted(path.name for path in Path("work").iterdir()) == ["corpus", "eval.json", "skipgram.h5", "small.h5"]
    before = stamps()
    assert call("run", job, *QUIET)[0] == 0
    assert {path for path in before if before[path] != stamps()[path]} == {"work/eval.json"}
    replaced(job, "epochs = 2", "epochs = 3")
    assert_one_line(*call("run", job, *QUIET), 2, "work/skipgram.h5: was made with different [[train]] epochs")

"""Grids: combinations, the table against sums by hand, and jobs with lists: shared work, kept work, wrong lists."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.jobs import replaced

from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.models.families import FAMILIES, family_of, trainable
from cooc_engine.models.file import open_model
from cooc_engine.models.matrix_options import GloveOptions, PmiSvdOptions
from cooc_engine.pipeline import job as job_module
from cooc_engine.pipeline import stages
from cooc_engine.pipeline.grid import combinations, file_name
from cooc_engine.pipeline.job import run
from cooc_engine.pipeline.job_plan import JobPlan
from cooc_engine.pipeline.train import train
from cooc_engine.reports.choices import plot_table
from cooc_engine.reports.table import Record, Table
from cooc_engine.vectors.query import Vectors

DATA = Path(__file__).resolve().parents[2] / "data"

# -------------------------------------------------------------------------------------------------------- combinations


def test_lists_stand_for_all_their_values_the_last_varies_fastest():
    found = list(combinations({"a": 1, "b_c": [2, 3], "d": ["x", "y"]}, "here"))
    assert [listed for listed, _ in found] == [{"b-c": b, "d": d} for b in (2, 3) for d in ("x", "y")]
    assert [whole for _, whole in found] == [{"a": 1, "b_c": b, "d": d} for b in (2, 3) for d in ("x", "y")]
    assert list(combinations({"a": 1}, "here")) == [({}, {"a": 1})]


@pytest.mark.parametrize("values", [[], [1, 2, 1], [1, 1.0]])
def test_lists_that_make_no_sense(values):
    with pytest.raises(UsageError, match=r"here: a is a list (without values|that holds a value twice)"):
        list(combinations({"a": values}, "here"))


def test_names_of_files_hold_the_values():
    assert file_name("cooc", {}) == "cooc"
    assert file_name("m", {"window": 5, "cds": 1.0, "on": True, "of": "a/b c"}) == "m-window-5-cds-1-on-true-of-a_b_c"


# ----------------------------------------------------------------------------------------------------------- the table


def row(model: str, settings, dataset: str, kind: str, value):
    return {"model": model, "settings": settings, "dataset": dataset, "kind": kind, "value": value, "covered": 1, "total": 1}


@pytest.fixture
def table() -> Table:
    rows = []
    for w, e, men, google in ((2, 0.0, 0.1, 0.5), (2, 0.5, 0.2, None), (5, 0.0, 0.4, 0.1), (5, 0.5, 0.3, 0.2)):
        settings = {"window": w, "eig": e}
        rows += [row(f"{w} {e}", settings, "men", kind, men) for kind in ("spearman", "pearson")]
        rows.append(row(f"{w} {e}", settings, "google", "analogy-add", google))
    rows.append(row("other", {"window": 5}, "men", "spearman", 0.35))
    return Table.of(rows)


def test_means_are_over_all_other_choices(table):
    means = {(e["option"], e["value"]): e["scores"] for e in table.effects()}
    assert means["window", 2]["men spearman"] == pytest.approx((0.1 + 0.2) / 2)
    assert means["window", 5]["men spearman"] == pytest.approx((0.4 + 0.3 + 0.35) / 3)
    assert means["eig", 0.5]["men pearson"] == pytest.approx((0.2 + 0.3) / 2)
    assert means["window", 2]["google analogy-add"] == 0.5, "of what can be said"
    assert {name: best.model for name, best in table.best().items()} == {
        "men spearman": "5 0.0",
        "men pearson": "5 0.0",
        "google analogy-add": "2 0.0",
    }


def test_the_table_as_text(table):
    lines = table.lines()
    assert lines[0].startswith("scores times 100: Spearman's correlation")
    assert lines[1].split() == ["window", "eig", "men", "google", "add"]
    assert [line.split() for line in lines[2:7]] == [
        ["2", "0", "10.0", "50.0"],
        ["2", "0.5", "20.0", "--"],
        ["5", "0", "40.0", "10.0"],
        ["5", "0.5", "30.0", "20.0"],
        ["5", "35.0", "--"],
    ]
    assert [line.split() for line in lines if line.split()[:1] == ["men"]][-1] == ["men", "40.0", "5", "0"]
    fields = [line.split("\t") for line in table.tsv().splitlines()]
    assert fields[0] == ["window", "eig", "men spearman", "men pearson", "google analogy-add", "file"]
    assert fields[2] == ["2", "0.5", "0.2", "0.2", "", "2 0.5"]
    assert len({len(line) for line in fields}) == 1


def test_kinds_of_models_are_compared_apart(table):
    both = Table(
        [
            *(dataclasses.replace(r, settings={"model": "a", **r.settings}) for r in table.records),
            Record("b", {"model": "b", "cds": 1}, {"men spearman": 0.9}),
        ]
    )
    first, second = both.parts().items()
    assert (first[0], first[1].effects(), second[0]) == ("a", table.effects(), "b")
    assert [(e["option"], e["value"], e["scores"]) for e in second[1].effects()] == [("cds", 1, {"men spearman": 0.9})]
    lines = [line.split() for line in both.lines()]
    assert {"a: mean of all combinations with a value", "b: best combination by each score"} <= set(both.lines())
    assert ["option", "value", "men", "google", "add"] in lines
    assert ["score", "best", "cds"] in lines
    assert ["men", "90.0", "1"] in lines


def test_the_picture_is_a_png(table, tmp_path):
    pytest.importorskip("matplotlib")
    plot_table(table, tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


# ------------------------------------------------------------------------------------------------------------ the jobs

JOB = """
output = "work"
[encode]
texts = ["text.txt"]
min-count = 2
[count]
window = [2, 4]
[[train]]
model = "pmi-svd"
vector-size = 5
cds = [1.0, 0.75]
eig = [0.5, 0.0, 1]
vectors = ["w", "w+c"]
[eval]
pairs = ["pairs.tsv"]
"""


def write_text(path: Path) -> None:
    rng = np.random.default_rng(1)
    path.write_text("".join(" ".join(f"w{k}" for k in rng.geometric(0.1, 20)) + "\n" for _ in range(60)))


@pytest.fixture
def job(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_text(Path("text.txt"))
    Path("pairs.tsv").write_text("".join(f"w{i}\tw{i % 5 + 6}\t{i * 7 % 5}\n" for i in range(1, 6)))
    Path("job.toml").write_text(JOB)
    return Path("job.toml")


class Stopped(Exception):
    """What ends a job in the middle."""


class Calls(list[str]):
    """What a job counts, trains and judges, in order; it is stopped before it does more than `limit` of them."""

    limit: int | None = None

    def spied(self, name: str, real, shown):
        def spy(*given, **how):
            if len(self) == self.limit:
                raise Stopped
            result = real(*given, **how)
            self.append(f"{name} {shown(*given)}")
            return result

        return spy


@pytest.fixture
def calls(monkeypatch) -> Calls:
    calls = Calls()
    real = stages.count
    counting = calls.spied("count", real, lambda corpus, at, options: at.name)

    def count(corpus, at, options, **run):
        return (real if at.exists() and run["resume"] else counting)(corpus, at, options, **run)  # what is finished is kept

    monkeypatch.setattr(stages, "count", count)
    for name, family in trainable().items():
        spy = calls.spied("train", family.train, lambda data, at, options: at.name)
        monkeypatch.setitem(FAMILIES, name, dataclasses.replace(family, train=spy))
    monkeypatch.setattr(job_module, "evaluate", calls.spied("judge", evaluate, lambda models: next(iter(models))))
    return calls


COUNTS = ["cooc-window-2", "cooc-window-4"]
MODELS = [f"pmi-svd-window-{w}-cds-{c}.h5" for w in (2, 4) for c in ("1", "0.75")]
JUDGED = [f"work/{m} eig={e} vectors={v}" for m in MODELS for e in ("0.5", "0", "1") for v in ("w", "w+c")]
ALL = [f"count {c}" for c in COUNTS] + [f"train {m}" for m in MODELS] + [f"judge {j}" for j in JUDGED]


def test_one_counting_and_one_factorisation_serve_all_combinations(job, calls):
    rows = run(job)
    assert calls == ALL
    assert sorted(path.name for path in Path("work").iterdir()) == sorted(
        [*COUNTS, *MODELS, "corpus", "eval.json", "table.json", "table.tsv"]
    )
    assert json.loads(Path("work/eval.json").read_text()) == rows
    assert [r["model"] for r in rows if r["kind"] == "spearman"] == JUDGED
    assert rows[0]["settings"] == {"window": 2, "cds": 1.0, "eig": 0.5, "vectors": "w"}
    record = json.loads(Path("work/table.json").read_text())
    assert [r["model"] for r in record["records"]] == JUDGED
    scores = {r["model"]: r["value"] for r in rows if r["kind"] == "spearman"}
    assert record["best"][0]["score"] == max(scores.values())
    assert record["best"][0]["measure"] == "pairs spearman"
    assert len(record["means"]) == 2 + 2 + 3 + 2
    assert Path("work/table.tsv").read_text().count("\n") == 1 + len(JUDGED)


def test_each_combination_scores_as_if_it_had_been_trained(job, tmp_path):
    for found in [r for r in run(job) if r["kind"] == "pearson"][::5]:
        settings = dict(found["settings"])
        cooc = Cooc(f"work/cooc-window-{settings.pop('window')}")
        model = train("pmi-svd", cooc, tmp_path / "direct.h5", PmiSvdOptions(vector_size=5, **settings), force=True)
        direct = next(r for r in evaluate([model.path], pairs=["pairs.tsv"]) if r["kind"] == "pearson")
        assert found["value"] == pytest.approx(direct["value"], abs=1e-5)
        assert (found["covered"], found["total"]) == (5, 5)


def test_what_is_finished_is_kept(job, calls):
    first = run(job)
    calls.clear()
    before = {path: path.stat().st_mtime_ns for path in Path("work").rglob("*") if path.is_file()}
    assert run(job) == first
    assert calls == []
    changed = {str(path) for path in before if path.stat().st_mtime_ns != before[path]}
    assert changed == {"work/eval.json", "work/table.json", "work/table.tsv"}
    Path(f"work/{MODELS[2]}").unlink()
    assert run(job) == first, "the same model has the same scores"
    assert calls == [f"train {MODELS[2]}"]
    calls.clear()
    Path("pairs.tsv").write_text(Path("pairs.tsv").read_text() + "w1\tw2\t3\n")
    assert run(job) != first
    assert calls == [f"judge {name}" for name in JUDGED], "other pairs, other scores"
    calls.clear()
    replaced(job, "eig = [0.5, 0.0, 1]", "eig = [0.5, 0.25]")
    run(job)
    assert calls == [f"judge {name.replace('eig=0 ', 'eig=0.25 ')}" for name in JUDGED if "eig=0 " in name]
    run(job, force=True)
    assert len(calls) > len(ALL) // 2


@pytest.mark.parametrize("stop", [0, 1, 2, 5, 6, 20, len(ALL) - 1])
def test_a_job_stopped_anywhere_goes_on_where_it_was(job, calls, stop):
    whole = run(job)
    shutil.rmtree("work")
    calls.clear()
    calls.limit = stop
    with pytest.raises(Stopped):
        run(job)
    assert calls == ALL[:stop]
    assert not Path("work/eval.json").exists()
    calls.limit = None
    assert run(job) == whole
    assert calls == ALL, "nothing was done twice"


def test_a_killed_job_goes_on(tmp_path, monkeypatch):
    """With the example; killed while it judges."""
    for path in DATA.glob("example*"):
        if path.is_file():
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    whole = run("example-grid.toml")
    before = {
        path.name: path.read_bytes() for path in Path("example-grid").iterdir() if path.suffix != ".h5" and path.is_file()
    }
    shutil.rmtree("example-grid")
    process = subprocess.Popen([sys.executable, "-m", "cooc_engine", "run", "example-grid.toml", "--progress", "none"])
    while process.poll() is None and not Path("example-grid/table.json").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run("example-grid.toml") == whole
    assert {name: Path("example-grid", name).read_bytes() for name in before} == before
    assert len(whole) == 16 * 4


def test_the_example_after_levy_goldberg_and_dagan(tmp_path, monkeypatch):
    """Three countings and 18 factorisations serve the 108 combinations."""
    pytest.importorskip("matplotlib")
    text = (DATA / "levy-2015.toml").read_text()
    (tmp_path / "eval").mkdir()
    (tmp_path / "job.toml").write_text(text)
    for name in ("men.tsv", "wordsim353.tsv", "simlex999.tsv", "rg65.tsv", "google-analogies.txt"):
        (tmp_path / "eval" / name).touch()
    plan = JobPlan.open(tmp_path / "job.toml")
    assert len(plan.counts) == 3
    assert [options.window_weight for options in plan.counts.values()] == ["dynamic"] * 3
    solved = [training for training in plan.trainings if isinstance(training.options, PmiSvdOptions)]
    assert (len(solved), len(plan.trainings)) == (18, 36)
    assert sum(len(training.wanted) for training in solved) == 108
    assert plan.picture


def test_several_tables_say_which_they_are(job, calls):
    extra = '[[train]]\nmodel = "glove"\nepochs = 1\nvector-size = 4\nvectors = ["w+c", "c"]\n[eval]'
    extra += '\n[[train]]\nmodel = "cbow"\noutput = "text.h5"\nepochs = 1\nvector-size = 4\nwindow = [2, 3]'
    job.write_text(JOB.replace("[eval]", extra.partition("[eval]")[0] + extra.partition("[eval]\n")[2] + "\n[eval]"))
    rows = run(job)
    assert {row["settings"]["model"] for row in rows} == {"pmi-svd", "glove", "text"}
    glove = [row["model"] for row in rows if row["settings"]["model"] == "glove" and row["kind"] == "spearman"]
    assert glove == [f"work/glove-window-{w}.h5 vectors={v}" for w in (2, 4) for v in ("w+c", "c")]
    assert [call for call in calls if "glove" in call or "text" in call][:4] == [
        "train glove-window-2.h5",
        "train glove-window-4.h5",
        "train text-window-2.h5",
        "train text-window-3.h5",
    ]


def test_the_command_prints_the_table(job, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    replaced(job, "[eval]", "[eval]\npicture = true")
    assert main(["run", str(job), "--progress", "lines"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == Table.of(json.loads(Path("work/eval.json").read_text())).lines()
    assert "work/pmi-svd-window-4-cds-1.h5: 3 of 4 models" in printed.err
    assert Path("work/table.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["run", str(job), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluation"][0]["settings"]["window"] == 2


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("window = [2, 4]", "window = []", "[count]: window is a list without values"),
        ("window = [2, 4]", "window = [2, 2]", "holds a value twice"),
        ("window = [2, 4]", "window = [2, 0]", "[count] window is 0"),
        ("window = [2, 4]", "window = [[2], 4]", "[count] window is [2]"),
        ("min-count = 2", "min-count = [2, 3]", "[encode] min-count is [2, 3]"),
        ("cds = [1.0, 0.75]", 'cds = [1.0, "a"]', "[[train]] 1 cds is 'a'"),
        ("cds =", "csd =", "unknown option 'csd'; did you mean cds?"),
        ("[eval]", "[eval]\npicture = 3", "picture must be true or false"),
        ("[eval]", '[[train]]\nmodel = "pmi-svd"\ncds = [1.0, 0.5]\n[eval]', "two models go to work/pmi-svd-window-2-cds-1.h5"),
        (
            'eig = [0.5, 0.0, 1]\nvectors = ["w", "w+c"]',
            'solver = ["krylov", "none"]\nvectors = ["w", "c"]',
            '[[train]] 1 solver = "none"',
        ),
    ],
)
def test_lists_that_cannot_be(job, capsys, old, new, says):
    replaced(job, old, new)
    code = main(["run", str(job), "--progress", "none"])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert says in error
    assert not Path("work").exists()


def test_a_picture_needs_lists_and_matplotlib(job, capsys, monkeypatch):
    replaced(job, "[eval]", "[eval]\npicture = true")
    for name in ("matplotlib", "matplotlib.backends", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["run", str(job)]) == 2
    error = capsys.readouterr().err
    assert error == 'cooc-engine: a picture needs matplotlib: python -m pip install "cooc_engine[plot]"\n'
    assert not Path("work").exists(), "said before any work"
    for old, new in (("[2, 4]", "2"), ("[1.0, 0.75]", "1.0"), ("[0.5, 0.0, 1]", "0.5"), ('["w", "w+c"]', '"w"')):
        replaced(job, old, new)
    assert main(["run", str(job)]) == 2
    assert "it shows the effect of the values in lists" in capsys.readouterr().err


def test_a_table_that_is_none_is_named(job):
    run(job)
    Path("work/table.json").write_text("[]")
    with pytest.raises(InputError, match=r"work/table\.json: is not the table of an earlier run; remove it"):
        run(job)


# ------------------------------------------------------------------------------------------------ vectors that are derived


@pytest.fixture(scope="module")
def cooc(tmp_path_factory) -> Cooc:
    at = tmp_path_factory.mktemp("counted")
    write_text(at / "text.txt")
    return count(encode(at / "text.txt", at / "corpus", EncodeOptions(min_count=2)), at / "cooc", CountOptions(window=4))


@pytest.mark.parametrize("eig", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("vectors", ["w", "c", "w+c", "concat"])
@pytest.mark.parametrize("normalize", [False, True])
def test_derived_vectors_are_those_that_training_publishes(cooc, tmp_path, eig, vectors, normalize):
    options = PmiSvdOptions(vector_size=5, eig=eig, vectors=vectors, normalize=normalize)
    trained = train("pmi-svd", cooc, tmp_path / "trained.h5", options)
    for number, had in enumerate((0.0, 0.5)):
        other = train("pmi-svd", cooc, tmp_path / f"{number}.h5", PmiSvdOptions(vector_size=5, eig=had))
        assert np.allclose(FAMILIES["pmi-svd"].vectors(other, options), trained.matrix, rtol=1e-5, atol=1e-6)
        assert np.array_equal(other.matrix, open_model(other.path).matrix), "the model itself stays as it was"


def test_what_cannot_be_derived_is_refused(cooc, tmp_path):
    options = PmiSvdOptions(vector_size=5)
    model = train("pmi-svd", cooc, tmp_path / "model.h5", options)
    with pytest.raises(UsageError, match="made with different cds"):
        FAMILIES["pmi-svd"].vectors(model, dataclasses.replace(options, cds=1.0))
    scaled = dataclasses.replace(options, normalize=True)
    model = train("pmi-svd", cooc, tmp_path / "scaled.h5", scaled)
    assert np.array_equal(FAMILIES["pmi-svd"].vectors(model, scaled), model.matrix)
    with pytest.raises(UsageError, match="made with a different normalize"):
        FAMILIES["pmi-svd"].vectors(model, options)
    explicit = PmiSvdOptions(solver="none")
    model = train("pmi-svd", cooc, tmp_path / "explicit.h5", explicit)
    assert FAMILIES["pmi-svd"].vectors(model, dataclasses.replace(explicit, eig=1.0)) is model.matrix


@pytest.mark.parametrize("center", ["none", "mean"])
def test_glove_chooses_among_its_vectors(cooc, tmp_path, center):
    family = family_of("glove")
    options = [GloveOptions(vector_size=4, epochs=1, vectors=vectors, center=center) for vectors in ("w", "c", "w+c", "concat")]
    model = train("glove", cooc, tmp_path / "model.h5", family.serving(options))
    for wanted in options:
        direct = train("glove", cooc, tmp_path / "direct.h5", wanted, force=True)
        assert np.array_equal(family.vectors(model, wanted), direct.matrix)
        assert Vectors(model.vocabulary, family.vectors(model, wanted)).vector_size == direct.matrix.shape[1]

"""The scripts for developers: that they parse, and what the benchmark reads and prints."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = [
    "scripts/demo", "scripts/test", "scripts/check", "scripts/bench", "scripts/fuzz", "scripts/docs", "scripts/plan", ".ci/run",
]  # fmt: skip
BASH = shutil.which("bash") or pytest.skip("needs bash", allow_module_level=True)


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return program("bench")


@pytest.fixture(scope="module")
def imdb() -> ModuleType:
    return program("imdb")


@pytest.mark.parametrize("name", [*PROGRAMS, "scripts/_env"])
def test_script_parses(name: str) -> None:
    subprocess.run([BASH, "-n", ROOT / name], check=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_script_is_executable_and_stops_at_errors(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    assert "set -euo pipefail" in (ROOT / name).read_text()


def fake_python(directory: Path, version: str) -> Path:
    """A program that is a Python of this version as far as the scripts ask, and writes down what it was called with."""
    path = directory / "python3"
    path.write_text(f"""#!{BASH}
echo "$@" >>"{directory}/calls"
case "$*" in
    *version_info*) [[ {version} != old ]];;
    --version) echo "Python {version}";;
    *venv*) mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python";;
esac
""")
    path.chmod(0o755)
    return path


def checkout(tmp_path: Path) -> Path:
    """A checkout in a directory with spaces in its name, holding the environment script and a program that uses it."""
    root = tmp_path / "a check out"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "_env", root / "scripts" / "_env")
    (root / "pyproject.toml").write_text("[project]\n")
    program = root / "scripts" / "try"
    program.write_text(f'#!{BASH}\nset -euo pipefail\n. "$(dirname -- "${{BASH_SOURCE[0]}}")/_env"\nuse_env "$@"\n')
    program.chmod(0o755)
    return root


def attempt(root: Path, tools: Path, *extras: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [BASH, str(root / "scripts" / "try"), *extras]
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tools), **variables}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


def test_environment_is_made_once_and_installed_when_something_changed(tmp_path: Path) -> None:
    root, tools = checkout(tmp_path), tmp_path / "tools"
    tools.mkdir()
    fake_python(tools, "3.12.0")

    def installs(*extras: str) -> list[str]:
        (tools / "calls").unlink(missing_ok=True)
        done = attempt(root, tools, *extras)
        assert done.returncode == 0, done.stderr
        return [line for line in (tools / "calls").read_text().splitlines() if "install -qq --no-compile -e" in line]

    assert installs("plot") == ["-m pip install -qq --no-compile -e .[plot]"]
    assert installs("plot") == []
    assert installs("test", "plot") == ["-m pip install -qq --no-compile -e .[plot,test]"]
    assert installs("plot") == []  # what was there for another script stays
    (root / "pyproject.toml").write_text("[project] # changed\n")
    assert installs("plot") == ["-m pip install -qq --no-compile -e .[plot]"]
    moved = root.rename(tmp_path / "elsewhere")
    assert attempt(moved, tools, "plot").returncode == 0
    assert (tools / "calls").read_text().count("install -qq --no-compile -e") == 2  # the old path stood in the installation


@pytest.mark.parametrize(("version", "setting"), [("old", ""), ("old", "PYTHON"), ("3.12.0", "missing")])
def test_python_that_does_not_do_is_one_line(tmp_path: Path, version: str, setting: str) -> None:
    root, tools = checkout(tmp_path), tmp_path / "tools"
    tools.mkdir()
    python = fake_python(tools, version)
    for tool in ("dirname", "cksum", "tail", "head", "grep", "sort", "paste", "cat", "mkdir", "cp", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    variables = {"": {}, "PYTHON": {"PYTHON": str(python)}, "missing": {"PYTHON": "/no/such/python"}}[setting]
    done = attempt(root, tools, "plot", **{"PATH": str(tools), **variables})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "Python 3.10 or newer" in done.stderr
    assert not (root / ".venv").exists()


def grow(*arguments: object) -> bytes:
    command = [sys.executable, str(ROOT / "scripts" / "grow.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_grown_text_begins_as_the_corpus_and_goes_on_with_new_words(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    words = [f"w{i}" for i in chance.zipf(1.3, 20_000) % 50_000]
    lines = [" ".join(words[at : at + 20]) for at in range(0, 20_000, 20)]
    (tmp_path / "text").write_text("\n".join([*lines, ""]))
    grown = grow(tmp_path / "text", "--tokens", "90K")
    tokens = grown.decode().split()
    assert len(tokens) == 90_000
    assert tokens[:20_000] == words and grown.startswith((tmp_path / "text").read_bytes())
    second = grown.decode().splitlines()[1000:2000]
    assert sorted(second) != sorted(lines) and len(set(second) & set(lines)) > 10, "documents come again in another order"
    sizes = [len(set(tokens[: 20_000 * n])) for n in (1, 2, 3, 4)]
    power = math.log(sizes[0] / len(set(tokens[:10_000]))) / math.log(2)
    assert sizes[-1] == pytest.approx(sizes[0] * 4**power, rel=0.05), "the vocabulary grows on as it did"
    again = Counter(token for token in tokens if "_" in token)
    assert max(again.values()) > 1 and min(again.values()) == 1
    assert grow(tmp_path / "text", "--tokens", 90_000) == grown
    assert grow(tmp_path / "text", "--tokens", "0.09M", "--seed", 2) != grown
    assert grow(tmp_path / "text", "--tokens", "30") == "\n".join([lines[0], " ".join(words[20:30]), ""]).encode()


GLOVE = """TRAINING MODEL
Read 1000 lines.
11/21/26 - 05:56.12AM, iter: 001, cost: 0.077920
11/21/26 - 05:56.40AM, iter: 002, cost: 0.056200
11/21/26 - 05:57.08AM, iter: 003, cost: 4.850000e-02
""".splitlines()


def test_costs_are_read_and_the_first_epoch_is_not_timed(bench: ModuleType) -> None:
    seconds, costs = bench.read_costs(zip([0.5, 1.0, 40.0, 60.0, 84.0], GLOVE, strict=True), 0.0)
    assert seconds == 22.0 and costs == (0.07792, 0.0562, 0.0485)


def test_a_single_epoch_is_timed_from_the_start(bench: ModuleType) -> None:
    assert bench.read_costs([(31.0, GLOVE[2])], 1.0) == (30.0, (0.07792,))


def test_no_cost_at_all_is_an_error(bench: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no cost"):
        bench.read_costs([(1.0, GLOVE[0])], 0.0)


def test_report(bench: ModuleType, tmp_path: Path) -> None:
    m = bench.Measured
    glove = bench.Result("glove", "glove, one epoch", [m(3.0, "cost 0.05", (0.07, 0.05))], [m(28.5, "cost 0.06", (0.08, 0.06))])
    row = {"dataset": "men.tsv", "kind": "spearman", "value": 0.463}
    glove.scores = {"ours": [row], "glove, one epoch": [row | {"value": None}]}
    alone = bench.Result("encode", "vocab_count", [m(2.0), m(1.0), m(1.5)])
    text = bench.report([alone, glove], {"import": 0.1234, "help": 0.5, "help_imports_numba": False})
    blocks = [block.splitlines() for block in text.split("\n\n")]
    assert [re.split("  +", line) for line in blocks[0]][2:] == [
        ["encode", "1.50 s (1.00–2.00)", "-", "-", "-"],
        ["glove", "3.00 s (3.00–3.00)", "cost 0.05", "glove, one epoch", "28.50 s (28.50–28.50)", "cost 0.06", "9.50×"],
    ]
    assert len({line.find("28.50 s") for line in blocks[0]} - {-1}) == 1
    assert blocks[1][2:] == ["ours                     0.0700  0.0500", "glove, one epoch         0.0800  0.0600"]
    assert [line.split()[-1] for line in blocks[2]][-2:] == ["46.3", "-"]
    assert blocks[3] == ["import cooc_engine 0.123 s, cooc-engine --help 0.500 s without Numba (medians)"]
    options = bench.Bench(Path("corpus.txt"), tmp_path)
    assert bench.record([alone, glove], None, options)["races"][1]["ratio"] == 9.5


def test_races_run_in_turn(bench: ModuleType, tmp_path: Path) -> None:
    calls = []

    def side(name: str) -> object:
        return lambda given: calls.append(name) or bench.Measured(1.0 + len(calls))

    race = bench.Race("stage", side("ours"), side("peer"), ("program",), "program")
    without = bench.hold(race, bench.Bench(tmp_path / "text", tmp_path, runs=1, peers=tmp_path))
    assert without.ratio is None and calls.pop() == "ours"
    (tmp_path / "program").touch()
    bench.hold(race, bench.Bench(tmp_path / "text", tmp_path, runs=2, peers=tmp_path))
    assert calls == ["ours", "peer", "ours", "peer"]


def reviews(path: Path, seed: int) -> Path:
    """Reviews of 20 words each, of which one in four says good or bad; line ends and unknown words as they come."""
    chance = np.random.default_rng(seed)
    lines = []
    for label, word in [("pos", "good"), ("neg", "bad")] * 100:
        words = [*chance.choice(["the", "a", "film", "unknown"], 15), *[word] * 5]
        lines.append(f"__label__{label} {' '.join(chance.permutation(words))}\n")
    path.write_text("".join(lines))
    return path


def vectors_of(path: Path, good: list[float], bad: list[float]) -> Path:
    words = {"the": [50.0, -9.0, 3.0], "a": [1.0, 40.0, 2.0], "film": [-3.0, 4.0, 0.1], "good": good, "bad": bad}
    rows = (f"{word} {' '.join(map(str, vector))}\n" for word, vector in words.items())
    path.write_text(f"{len(words)} 3\n{''.join(rows)}")
    return path


def test_reviews_are_told_by_vectors_that_know_good_from_bad_and_by_chance_without(
    imdb: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = reviews(tmp_path / "train", 1), reviews(tmp_path / "test", 2)
    knows = vectors_of(tmp_path / "knows.txt", [0.0, 0.0, 0.5], [0.0, 0.0, -0.5])
    blind = vectors_of(tmp_path / "blind.txt", [0.0, 0.0, 0.5], [0.0, 0.0, 0.5])
    monkeypatch.setattr(sys, "argv", ["imdb.py", str(knows), str(blind), "--train", str(train), "--test", str(test)])
    imdb.main()
    head, *rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert head[2:] == list(imdb.CLASSIFIERS)
    scores = [[float(n) for n in re.findall(r"[0-9.]+(?=%)", cell)] for row in rows for cell in row[2:]]
    assert all(low <= share <= high for share, low, high in scores)
    assert [share for share, *_ in scores[:1]] == [100.0]
    assert all(low <= 65 and high >= 35 for _, low, high in scores[2:])


def test_review_without_a_label_is_named(imdb: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("__label__pos a film\na film\n")
    with pytest.raises(SystemExit, match=r"bad:2: .*'a'.*__label__neg, __label__pos"):
        imdb.read_reviews(str(tmp_path / "bad"))


# --------------------------------------------------------------------------------------------------- the plan for clusters

PAIRS = {1e6: 6.02e6, 2e6: 10.42e6, 4e6: 17.76e6, 8e6: 29.76e6, 16e6: 48.69e6, 17e6: 50.86e6}  # counted, of 88,090 words


@pytest.fixture(scope="module")
def planner() -> ModuleType:
    return program("plan")


@pytest.mark.parametrize("tokens", PAIRS)
def test_the_plan_predicts_how_many_pairs_were_counted(planner: ModuleType, tokens: float) -> None:
    assert planner.pairs(tokens, 88_090, 10) == pytest.approx(PAIRS[tokens], rel=0.01)


def test_the_plan_grows_with_the_text_and_shrinks_with_machines(planner: ModuleType) -> None:
    def hours(**how: float) -> float:
        return sum(stage.hours for stage in planner.plan(planner.Setup(**how))[:-3])

    assert hours(machines=1) > hours(machines=4) > hours(machines=16)
    assert hours(machines=1, processes=12) < hours(machines=1), "several processes unpack and write at once"
    assert hours(text="xz") > hours(text="gz") > 0.9 * hours(text="plain")
    assert hours(tokens=2e12) > 1.5 * hours(tokens=1e12)
    few = planner.plan(planner.Setup(tokens=1e7, words=5e4, machines=1))
    assert [stage.name for stage in few][3] == "count", "a text that fits into memory is counted without runs"


@pytest.fixture(scope="module")
def measurer(planner: ModuleType) -> ModuleType:
    """It imports the plan, and the program that grows texts, as scripts beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        return program("plan_measure")


def test_the_plan_is_within_15_per_cent_of_what_was_measured(planner: ModuleType) -> None:
    runs = json.loads(planner.MEASURED.read_text())["runs"]
    assert runs
    for run in runs:
        guesses = planner.estimated(run)
        assert {name: guesses[name] for name in run["seconds"]} == pytest.approx(run["seconds"], rel=0.15), run["tokens"]


def test_rates_are_fitted_to_what_was_measured(planner: ModuleType, measurer: ModuleType) -> None:
    """A machine on which everything takes 1.5 times as long, and 1.1 times or a tenth less than that."""
    rates = planner.Rates.read()
    runs = []
    for tokens, off in ((1e7, 1.1), (1e8, 1 / 1.1)):
        facts = {"tokens": tokens, "words": 5e4, "entries": 3 * tokens, "cores": 2, "vector_size": 100, "epochs": 3}
        seconds = {name: 1.5 * off * one for name, one in planner.estimated(facts, rates).items()}
        runs.append(facts | {"seconds": seconds})
    fitted = measurer.fitted(measurer.Rates(**vars(rates)), runs)
    for run in runs:
        assert measurer.estimated(run, fitted) == pytest.approx(run["seconds"], rel=0.12)
    assert fitted.count == pytest.approx(1.5 * rates.count, rel=0.02) and fitted.glove["300"] > 1.4 * rates.glove["300"]


def test_a_run_is_measured_stage_by_stage(measurer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("one two three four\n" * 30)
    lines: list[list[str]] = []

    def told(*line: object) -> dict[str, Any]:
        lines.append([str(part) for part in line])
        return {"seconds": 10 - len(lines) / 10, "threads": 2, "tokens": 100, "words": 4, "entries": 9, "history": [{}] * 5}

    monkeypatch.setattr(measurer, "carried_out", told)
    run = measurer.measure(tmp_path / "text", 100, tmp_path, 2)
    assert len((tmp_path / "text-100.txt").read_text().split()) == 100
    assert [line[:2] for line in lines[::2]] == [
        ["encode", str(tmp_path / "text-100.txt")], ["count", str(tmp_path / "corpus")],
        ["train", "glove"], ["train", "pmi-svd"], ["train", "skipgram"],
    ]  # fmt: skip
    assert run["seconds"] == pytest.approx({"encode": 9.8, "count": 9.6, "glove": 9.4, "pmi-svd": 9.2, "skipgram": 9.0})
    assert run["passes"] == 5 and set(measurer.estimated(run)) == set(run["seconds"])


def test_the_plan_is_printed(planner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", "--tokens", "1e9", "--words", "1e5", "--machines", "2"])
    planner.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1e+09 tokens, 1e+05 words, about ") and len(lines) == 11
    assert lines[-1].startswith("text to counts: ")


def test_scores_of_several_seeds_are_compared_item_by_item(tmp_path, monkeypatch, capsys) -> None:
    """From what the models answered, which an earlier run has kept; the third pair has a word that one of them lacks."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    scores = program("fasttext_scores")
    (tmp_path / "fasttext").touch()
    (tmp_path / "set.tsv").write_text("".join(f"a{n}\tb{n}\t{n}\n" for n in range(40)))
    random = np.random.default_rng(2)
    for seed in (1, 2):
        for side, noise in (("ours", 1), ("program", 60)):
            answers = np.arange(40) + noise * random.normal(size=40)
            answers[2] = scores.UNCOVERED if (side, seed) == ("program", 2) else answers[2]
            np.savez(tmp_path / f"skipgram-{side}-{seed}.npz", **{"set.tsv": answers})
    monkeypatch.setenv("COOC_PEERS", str(tmp_path))
    given = [
        "TEXT",
        "TRAIN",
        "TEST",
        "--eval-dir",
        str(tmp_path),
        "--work",
        str(tmp_path),
        "--seeds",
        "2",
        "--only",
        "skipgram",
    ]
    monkeypatch.setattr(sys, "argv", ["fasttext_scores.py", *given])
    scores.main()
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("skipgram  set.tsv") and "above" in row and row.endswith("39 of 40")

"""A family is an entry: what one gets for its options, its design and its entry, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from support import pv_dbow

import cooc_engine
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.models.families import FAMILIES, trainable
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.describe import info
from cooc_engine.pipeline.job import run
from cooc_engine.pipeline.train import train
from cooc_engine.reports.page import compare
from cooc_engine.runtime.options import Flag, Options, Unparsed
from cooc_engine.runtime.run_options import TrainOptions
from cooc_engine.vectors.query import Vectors, nn

PACKAGE = Path(cooc_engine.__file__).parent
OPTIONS = pv_dbow.PvDbowOptions(vector_size=6, epochs=2, subsample=0, seed=5, deterministic=True)
PROGRAM = """
import json, sys
from support import pv_dbow
pv_dbow.register()
from cooc_engine.cli.app import main
for arguments in json.loads(sys.argv[1]):
    assert main(arguments) == 0
    print(end=chr(0))
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(FAMILIES, pv_dbow.NAME, pv_dbow.ENTRY)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    rng = np.random.default_rng(4)
    path = tmp_path_factory.mktemp("registry") / "text.txt"
    path.write_text("\n".join(" ".join(f"w{k}" for k in rng.geometric(0.1, 15)) for _ in range(60)))
    return path


@pytest.fixture(scope="module")
def corpus(text) -> Corpus:
    return encode(text, text.with_name("corpus"), EncodeOptions(min_count=1))


def flags_of(options: type[Options]) -> list[str]:
    """The flags of the options that are on the command line, with their other names."""
    found = []
    hints = get_type_hints(options, include_extras=True)
    for name in options.names():
        extras = get_args(hints[name])
        if not any(isinstance(extra, Unparsed) for extra in extras):
            found.append("--" + name.replace("_", "-"))
            found += [alias for extra in extras if isinstance(extra, Flag) for alias in extra.alias]
    return found


@pytest.mark.parametrize("name", trainable())
def test_no_two_options_of_a_command_have_the_same_flag(name):
    family = trainable()[name]
    kinds = [family.options, family.encoding, TrainOptions, *([family.counting] if family.counting else [])]
    counts = Counter(flag for kind in kinds for flag in flags_of(kind))
    assert [flag for flag, times in counts.items() if times > 1] == []


def printed(*commands: list[str]) -> list[str]:
    """Run command lines in a process that has the family in the registry from the start; returns what each prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(Path(__file__).parent)])}
    done = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(commands)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


def test_train_and_the_model_file(corpus, tmp_path):
    model = train(pv_dbow.NAME, corpus, tmp_path / "m.h5", OPTIONS)
    opened = open_model(tmp_path / "m.h5", verify=True)
    assert opened.family == pv_dbow.NAME
    assert opened.array("documents").shape == (corpus.documents, 6)
    assert opened.matrix.shape == (len(corpus.vocabulary), 6)
    assert np.ptp(opened.array("documents")) > 0
    assert np.ptp(opened.matrix) > 0
    again = train(pv_dbow.NAME, corpus, tmp_path / "again.h5", OPTIONS, threads=1)
    assert all(np.array_equal(model.array(name), again.array(name)) for name in model.names)


def test_info_neighbours_and_questions(corpus, tmp_path):
    train(pv_dbow.NAME, corpus, tmp_path / "m.h5", OPTIONS)
    assert info(tmp_path / "m.h5")["family"] == pv_dbow.NAME
    assert len(nn(tmp_path / "m.h5", ["w1"], topn=3)["w1"]) == 3
    assert Vectors.open(tmp_path / "m.h5").similarity("w1", "w1") == pytest.approx(1)


def test_a_job_with_a_page(text, tmp_path):
    (tmp_path / "pairs.tsv").write_text("w1\tw2\t9\nw1\tw9\t2\nw3\tw4\t7\nw2\tw8\t1\n")
    models = "".join(f'[[train]]\nmodel = "{name}"\nvector-size = 6\nepochs = 1\n' for name in (pv_dbow.NAME, "cbow"))
    (tmp_path / "job.toml").write_text(
        f'output = "out"\n[encode]\ntexts = ["{text}"]\nmin-count = 1\n{models}[eval]\npairs = ["pairs.tsv"]\n'
    )
    rows = run(tmp_path / "job.toml")
    assert {row["model"] for row in rows} >= {str(tmp_path / "out" / f"{name}.h5") for name in (pv_dbow.NAME, "cbow")}
    files = [tmp_path / "out" / f"{name}.h5" for name in (pv_dbow.NAME, "cbow")]
    record = compare(files, tmp_path / "page.html", [tmp_path / "pairs.tsv"])
    assert [model["family"] for model in record["models"]] == [pv_dbow.NAME, "cbow"]


def test_the_command_line(corpus, tmp_path):
    model, name = str(tmp_path / "m.h5"), pv_dbow.NAME
    flags = ["--vector-size", "6", "--epochs", "1", "--json", "--progress", "none"]
    families, options, trained, told, near = printed(
        ["train", "--help"],
        ["train", name, "--help"],
        ["train", name, str(corpus.path), "--output", model, *flags],
        ["info", model, "--json"],
        ["nn", model, "w1", "--json"],
    )
    assert name in families and "Le and Mikolov" in options
    assert len(json.loads(trained)["history"]) == 1
    assert json.loads(told)["family"] == name
    assert set(json.loads(near)) == {"w1"}


def test_no_module_but_the_registry_names_a_family():
    """A table by family name elsewhere would be a place more to touch; a module that trains a family knows its own name."""
    names = {name for name in FAMILIES if name not in ("glove", "pmi", "fasttext", "elmo", "imported")}  # other things too
    found = {}
    for path in PACKAGE.rglob("*.py"):
        constants = {node.value for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Constant)}
        if held := names & {value for value in constants if isinstance(value, str)}:
            found[str(path.relative_to(PACKAGE))] = held
    chosen = "models/sampled_options.py", "sampled/fasttext.py", "formats/fasttext.py"  # a family that is skip-gram or CBOW
    own = "matrix/glove.py", "matrix/pmi_svd.py", "pipeline/text_estimators.py", "cli/hints.py"  # a class, or a hint, for each
    assert set(found) <= {"models/families.py", *own, *chosen}, found

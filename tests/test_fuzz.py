"""Damaged files, other ones in every run, and that the fuzzer would notice what it looks for."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CASES = 2000


@pytest.fixture(scope="module")
def cases():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        from fuzzing import cases

        return cases


def test_damage_is_refused_in_one_line_or_harmless():
    seed = random.SystemRandom().randrange(1 << 32)
    command = [sys.executable, ROOT / "scripts" / "fuzz.py", "--cases", str(CASES), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"scripts/fuzz --seed {seed}:\n{done.stdout}{done.stderr}"
    assert f"seed {seed}, {CASES} cases" in done.stdout


NO_FILES = {  # arguments and options that are texts, but name no file that is read
    "arguments", "cluster", "command", "contexts", "encoding", "filters", "force_stage", "format", "in_context",
    "label", "memory", "metric", "model_size", "output", "pattern", "picture", "save_mix", "separator", "tag_separator",
    "tokenizer", "word1", "word2",
}  # fmt: skip
ELSEWHERE = {  # what `train` hands on to `encode`, what is always refused, what is written
    "train": {"stop_words", "user_dict", "vocabulary"}, "autotune": {"init"}, "export-counts": {"vocab"},
}  # fmt: skip


def verbs(app, prefix=""):
    """Yield the names of all commands, and the commands."""
    for name in app:
        if not name.startswith("-"):
            yield from [(prefix + name, app[name])] if app[name].default_command else verbs(app[name], f"{name} ")


def files_read(app):
    """Yield, for every file that a command reads, its name and that of the argument."""
    for verb, command in verbs(app):
        known = NO_FILES | ELSEWHERE.get(verb.partition(" ")[0], set())
        for each in command.assemble_argument_collection():
            if re.search("str|Path", re.sub(r"Literal\[.*?\]", "", str(each.hint))) and each.field_info.name not in known:
                yield verb, each.field_info.name


def named(value, name=""):
    """Yield the names of the arguments whose value is the damaged file."""
    if isinstance(value, str | Path) and str(value) == "DAMAGED":
        yield name
    elif isinstance(value, list | tuple):
        yield from (found for part in value for found in named(part, name))
    elif is_dataclass(value):
        yield from named(vars(value))
    elif isinstance(value, dict):
        yield from (found for key, part in value.items() for found in named(part, key))


def test_every_file_that_a_command_reads_is_damaged(cases):
    from fuzzing.kinds import KINDS

    from cooc_engine.cli import app as commands

    app = commands.command_line()
    damaged = set()
    for line in {reader for kind in KINDS.values() for reader in kind.readers}:
        words = shlex.split(line.replace("{}", "DAMAGED"))
        _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        damaged |= {(" ".join(words[: 1 + (words[0] == "train")]), name) for name in named(bound.arguments)}
    assert set(files_read(app)) - damaged == set()


def test_every_form_of_file_is_damaged(cases):
    from fuzzing.kinds import KINDS
    from fuzzing.samples import COMPRESSED, FORMATS

    from cooc_engine.formats.vectors import IMPORTED
    from cooc_engine.models.families import FAMILIES, trainable
    from cooc_engine.text.compression import SUFFIXES

    assert {kind.removeprefix("model-") for kind in KINDS if kind.startswith("model-")} == {*FAMILIES, "quantized"}
    assert {f"checkpoint-{name}" for name in trainable()} - set(KINDS) == {"checkpoint-pmi"}
    assert {*FORMATS, "fasttext", "elmo"} == set(IMPORTED)
    assert {f".{suffix}" for suffix in COMPRESSED} == SUFFIXES - {".zst"}  # which takes a package


FINE = {"code": 0, "stdout": "1, 0.3 s\n", "stderr": "", "outputs": {}, "left": [], "memory": 0}
LINE = {"code": 1, "stdout": "", "stderr": "cooc-engine: m.h5: damaged\n"}


@pytest.mark.parametrize(
    ("changes", "found", "word"),
    [
        ({"stdout": "1, 0.4 s\n"}, True, "harmless"),
        ({"stdout": "2, 0.3 s\n"}, False, "another"),
        ({"stdout": "2, 0.3 s\n"}, True, "silent"),
        ({"outputs": {"out": "0"}, "left": ["out"]}, True, "silent"),
        ({"stderr": "RuntimeWarning: overflow\n"}, True, "untidy"),
        (LINE, True, "refused"),
        ({**LINE, "stderr": "cooc-engine: a\nb\n"}, True, "untidy"),
        ({**LINE, "stderr": "cooc-engine: \x1b[31mred\n"}, True, "untidy"),
        ({**LINE, "left": ["out.part"]}, True, "litter"),
        ({**LINE, "code": 4}, True, "greedy"),
        ({"memory": 1 << 30}, True, "greedy"),
        ({"left": ["code-was-run"]}, True, "code run"),
        ({"code": None, "stderr": 'File "/x/cooc_engine/a.py", line 3\nKeyError: 1\n'}, True, "traceback"),
    ],
)
def test_what_a_command_did_is_judged(cases, changes, found, word):
    whole = cases.Outcome(**FINE)
    assert cases.judge(cases.Outcome(**{**FINE, **changes}), whole, 100, found=found)[0] == word


def test_a_case_that_ends_the_interpreter_or_never_ends_is_told(cases, monkeypatch):
    from fuzzing import series

    class Bench:
        def attempt(self, case):
            if case.number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if case.number == 3:
                while True:
                    pass
            return "", None, cases.Verdict(case, "refused", "")

    monkeypatch.setattr(series, "SECONDS", 0.2)
    verdicts = list(series.attempt_all(Bench(), list(series.drawn(["text"], 1, 5))))
    assert [verdict.outcome for verdict in verdicts] == ["refused", "crash", "refused", "hang", "refused"]
    assert [verdict.case.number for verdict in verdicts] == list(range(5))

"""Damaged files, other ones in every run, and that the fuzzer would notice what it looks for."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
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

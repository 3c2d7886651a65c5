"""The command line as tests call it, in this process or in one of its own, and what an error may look like."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

QUIET = ["--progress", "none"]


def make_text(path: Path, words: int = 2000, vocabulary: int = 40, seed: int = 0) -> None:
    """Write lines of 17 words; the lower the number of a word, the more often it occurs."""
    picks = np.random.default_rng(seed).integers(0, vocabulary, (2, words)).min(axis=0)
    drawn = [f"w{word}" for word in picks.tolist()]
    path.write_text("".join(" ".join(drawn[at : at + 17]) + "\n" for at in range(0, words, 17)))


def copied(made: Path, name: str) -> Path:
    source, target = made / name, Path(name)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return target


def left() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def assert_one_line(code: int, stdout: str, stderr: str, wanted: int, *says: str) -> None:
    """The documented exit code, and exactly one line that is not progress, naming file and cause."""
    stages = (
        "tokenize: ",
        "write shards: ",
        "lay out: ",
        "count: ",
        "deal tiles: ",
        "train: ",
        "evaluate: ",
        "memory: ",
    )
    lines = [line for line in stderr.splitlines() if not line.startswith(stages)]
    assert code == wanted, stderr
    assert len(lines) == 1, stderr
    assert lines[0].startswith("cooc-engine: ")
    for text in says:
        assert text in lines[0]
    assert stdout == ""
    assert "Traceback" not in stderr


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "cooc_engine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, **options)


MEASURED = """
import importlib, sys
from cooc_engine.cli.app import main
for name in sys.argv[1].split():
    importlib.import_module(name)
sys.exit(main(sys.argv[2:]))
"""


def peak(modules: str, *arguments: object) -> int:
    """Run a command whose modules are already loaded; returns its peak memory in bytes above that of an idle interpreter."""
    command = [sys.executable, "-c", MEASURED, modules, *map(str, arguments), "--json", *QUIET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["peak_anonymous_bytes_above_start"]


def same_files(a: Path, b: Path) -> bool:
    names = sorted(path.name for path in a.iterdir())
    same = all((a / name).read_bytes() == (b / name).read_bytes() for name in names)
    return same and names == sorted(path.name for path in b.iterdir())

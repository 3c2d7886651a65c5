"""A page of the documentation as a program: its fenced blocks are run from top to bottom, and what they print is kept."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cooc_engine.cli.app import main

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
SECONDS = re.compile(r", \d+\.\d s$")
SHELL = set("|><$;&")

Captured = Callable[[], str]  # what was printed since it was last called


def blocks(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield language, content and, where a block `text` follows, shown output of all blocks that do something."""
    found = FENCE.findall(page.read_text("utf-8"))
    for at, (language, content) in enumerate(found):
        if language != "text":
            follows = at + 1 < len(found) and found[at + 1][0] == "text"
            yield language, content, found[at + 1][1] if follows else None


class Reader:
    """Someone who types what a page says, in the working directory, with the source in `~/cooc-engine`."""

    def __init__(self, home: Path, captured: Captured) -> None:
        self._captured, self._names = captured, dict[str, Any]()
        source, programs = Path(__file__).resolve().parents[2], home / "bin"
        programs.mkdir(parents=True)
        (home / "cooc-engine").symlink_to(source)
        (programs / "cooc-engine").write_text(f'#!/bin/sh\nexec {sys.executable} -m cooc_engine "$@"\n')
        (programs / "cooc-engine").chmod(0o755)
        self._environment = {"HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": str(source)}

    def follow(self, language: str, content: str) -> str:
        """Do what a block says; returns what it printed."""
        if language == "toml":
            Path(content.split()[1]).write_text(content, "utf-8")
            return ""
        if language == "python":
            self._captured()
            exec(compile(content, "<page>", "exec"), self._names)
            return self._captured()
        assert language == "sh", f"a block that nobody can follow: {language}"
        return "".join(map(self._type, content.splitlines()))

    def _type(self, line: str) -> str:
        words = shlex.split(line)
        if words[0] == "cooc-engine" and SHELL.isdisjoint(line):
            self._captured()
            assert main(words[1:]) == 0, line
            return self._captured()
        shell = ["bash", "-euo", "pipefail", "-c", line]
        return subprocess.run(shell, env=self._environment, check=True, capture_output=True, text=True).stdout


def skeletons(output: str) -> list[tuple[str, list[float]]]:
    """Return the lines of an output, numbers apart and times left out, in an order that near ties do not change."""
    lines = [SECONDS.sub("", line).strip() for line in output.splitlines()]
    return sorted((NUMBER.sub("#", line), [float(n.replace(",", "")) for n in NUMBER.findall(line)]) for line in lines)

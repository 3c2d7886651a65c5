"""Cases: a file damaged in one way and read by one command, and what came of it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import h5py

from cooc_engine.cli import app as commands
from cooc_engine.storage.hdf5 import form_of
from fuzzing.kinds import KINDS
from fuzzing.samples import inside

FAULTS = ("silent", "traceback", "crash", "hang", "greedy", "untidy", "litter", "code run")
OUTCOMES = ("refused", "harmless", "another", *FAULTS)
SLACK = 32 << 20  # bytes that a command may take beyond what it takes for the undamaged file: its budget
TIMES = 4  # that a command may take of what the damaged file holds
MARK = "code-was-run"
VARIES = re.compile(r"\d+\.\d+ s\b|instead of \S+|(?<=^\d\.\d{4}\t)\d+\.\d+", re.MULTILINE)  # the last: seconds of a trial
PAGE = {f"out.{suffix}" for suffix in ("html", "json", "png")}


@dataclass(frozen=True)
class Case:
    """The case of a number in a series: `KIND/SEED/NUMBER` names it, and decides everything in it."""

    kind: str
    seed: int
    number: int

    @classmethod
    def named(cls, name: str) -> Case:
        """Return the case of a name."""
        kind, seed, number = name.split("/")
        return cls(kind, int(seed), int(number))

    def __str__(self) -> str:
        return f"{self.kind}/{self.seed}/{self.number}"


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    code     its exit code, None if it ended with a traceback
    outputs  a digest of each file that it made
    left     names that were not there before
    memory   bytes by which it grew at most
    """

    code: int | None
    stdout: str
    stderr: str
    outputs: dict[str, str]
    left: list[str]
    memory: int

    @property
    def result(self) -> tuple[Any, ...]:
        """What is the same if damage was harmless: everything but the time that it took, and the size of the file."""
        return self.code, VARIES.sub("", self.stdout), self.outputs


@dataclass(frozen=True)
class Verdict:
    """The outcome of a case in a word, and a line on what was done and what came of it."""

    case: Case
    outcome: str
    detail: str


class Bench:
    """Where cases are tried: the samples, and a directory that is made anew for each case."""

    def __init__(self, samples: Path, at: Path) -> None:
        self.samples, self.at = samples, at
        commands.app = Parsed()
        self.whole = functools.cache(self._whole)

    def _whole(self, kind: str, sample: str, reader: str) -> Outcome:
        """Return what a command makes of the undamaged sample."""
        self._copy(kind, sample, reader)
        return run(reader.format(*[sample] * reader.count("{}")), self.at)

    def _copy(self, kind: str, sample: str, reader: str) -> None:
        """Copy the sample to a new directory, and what else its reader needs."""
        shutil.rmtree(self.at, ignore_errors=True)
        self.at.mkdir()
        named = {word for word in shlex.split(reader) if (self.samples / word).exists()}
        for name in {sample, "stranger.py", *KINDS[kind].needs, *named}:
            source = self.samples / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, self.at / name)

    def attempt(self, case: Case, *, again: bool = True) -> tuple[str, Outcome, Verdict]:
        """Damage a sample, have it read, and judge; returns the command line, its outcome, and the verdict.

        What takes too much memory is tried `again`: the interpreter's tables, which grow at any time, count too, once.
        """
        chance, kind = Random(str(case)), KINDS[case.kind]
        sample, reader, way = (chance.choice(choices) for choices in (kind.samples, kind.readers, kind.ways))
        whole = self.whole(case.kind, sample, reader)
        self._copy(case.kind, sample, reader)
        harm = way(self.at / sample, self.samples / "other" / sample, chance)
        command = reader.format(*[sample] * reader.count("{}"))
        size = harm.holds + sum(path.stat().st_size for path in self.at.rglob("*"))
        outcome = run(command, self.at)
        if command.startswith("run "):  # which keeps the stages that are finished
            outcome = replace(outcome, left=[name for name in outcome.left if name == MARK])
        word, why = judge(outcome, whole, size, found=harm.found)
        if word == "greedy" and again:
            return self.attempt(case, again=False)
        return command, outcome, Verdict(case, word, f"{sample}: {harm.what}; {command.partition(' --')[0]}: {why}")


def judge(outcome: Outcome, whole: Outcome, size: int, *, found: bool) -> tuple[str, str]:
    """Return an outcome in a word, and why; `size` is what the files hold, `found` whether damage must be noticed."""
    lines = outcome.stderr.splitlines() or [""]
    if MARK in outcome.left:
        return "code run", "imported what a file named"
    if outcome.code is None:
        return "traceback", _cause(outcome.stderr)
    if outcome.code == 4 or outcome.memory > whole.memory + TIMES * size + SLACK:
        return "greedy", f"{outcome.memory >> 20} MB for {size} bytes; {lines[-1]}"
    if outcome.code == 0:
        if outcome.stderr not in ("", whole.stderr) and not lines[0].startswith("cooc-engine: note: "):
            return "untidy", f"{lines[0]}"
        if outcome.result == whole.result:
            return "harmless", "as before"
        return ("silent" if found else "another"), "another result"
    if len(lines) != 1 or not lines[0].startswith("cooc-engine: ") or not lines[0].isprintable():
        return "untidy", f"{outcome.stderr[:300]!r}"
    if outcome.left and outcome.code != 130:
        return "litter", f"left {outcome.left}; {lines[0]}"
    return "refused", lines[0]


def _cause(text: str) -> str:
    """Return the error of a traceback and the innermost line of ours that it came through."""
    places = re.findall(r'File "[^"]*/cooc_engine/([^"]+)", line (\d+)', text)
    place = ":".join(places[-1]) if places else "outside"
    return f"{place} {text.splitlines()[-1][:200]}"


class Parsed:
    """The command line, except that each is parsed only once: parsing takes longer than reading a small file."""

    def __init__(self) -> None:
        parse = commands.command_line().parse_args
        self._parse = functools.cache(functools.partial(parse, exit_on_error=False, print_error=False))

    def __call__(self, arguments: Sequence[str], **how: bool) -> Any:
        command, bound, _ = self._parse(tuple(arguments))
        return command(*bound.args, **bound.kwargs)


def run(command: str, at: Path) -> Outcome:
    """Run a command line in the directory `at`, in this process, and return what came of it."""
    before = {path.name for path in at.iterdir()}
    with inside(at), _captured() as texts, _measured() as memory:
        try:
            code: int | None = commands.main(shlex.split(command))
        except BaseException:
            code = None
            traceback.print_exc()
    left = sorted({path.name for path in at.iterdir()} - before - {"__pycache__"})
    return Outcome(code, *texts, dict(_digests(at, left)), left, memory[0])


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """Direct what is printed, from C too, to files in memory; the list that is yielded holds both texts at the end."""
    texts: list[str] = []
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(os.fdopen(os.memfd_create(name), "r+b", buffering=0)) for name in ("stdout", "stderr")]
        streams = sys.stdout, sys.stderr
        kept = [os.dup(1), os.dup(2)]
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = (
            open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            for number in (1, 2)
        )
        try:
            yield texts
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.close()
            sys.stdout, sys.stderr = streams
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            for file in files:
                file.seek(0)
                texts.append(file.read(1 << 20).decode(errors="replace"))


@contextlib.contextmanager
def _measured() -> Iterator[list[int]]:
    """Yield a list that holds, at the end, how much the resident memory grew at most, in bytes."""
    found: list[int] = []
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    start = _status("VmRSS")
    try:
        yield found
    finally:
        found.append(max(0, _status("VmHWM") - start))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def _digests(at: Path, left: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and digest of every file that a command made, under a new name or under that of an output."""
    for top in sorted(at.iterdir()):
        if top.name in left or top.name.startswith("out"):
            yield from ((str(path.relative_to(at)), _digest(path)) for path in [top, *sorted(top.rglob("*"))] if path.is_file())


def _digest(path: Path) -> str:
    """Return a digest of a file; of an HDF5 file of ours, of its numbers.

    Pages and trials show sizes and times, and an index names the bytes of its model, of which it reads a part: these have none.
    """
    if path.name in PAGE or path.name.endswith(".trials.json") or path.match("*.index/manifest.json"):
        return path.name
    found = hashlib.sha256()
    if path.suffix == ".h5" and form_of(path):
        with h5py.File(path) as file:
            for name in (f"{group}/{name}" for group in file for name in file[group] if name != "json"):
                found.update(name.encode() + file[name][()].tobytes())
    else:
        found.update(path.read_bytes())
    return found.hexdigest()

"""Runs a command again and again, each time with a fault at another write, and then resumes it.

    python faults.py kill|full|random SCENARIO DIRECTORY

What is killed is a fork of this process, which has imported and prepared everything. `kill` dies by SIGKILL amid the
n-th write, opening, renaming or deletion, `full` has no space on the disk from the n-th write on, for n = 1, 2, ... until
nothing happens any more; `random` dies at random times. After each the same command is resumed, with other threads and
another budget, and must leave the files of a run without faults and nothing else. Prints a JSON object: `points`, and
`failures`, a list of texts.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cooc_engine.corpus import allotment, second_pass
from cooc_engine.corpus import first_pass as spool_module
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import count as count_module
from cooc_engine.counts import directory
from cooc_engine.counts.count import count, plan_count
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import ResourceError
from cooc_engine.text import readers

OPEN = Path.open
MOST_POINTS = 2000


class Faults:
    """Counts what is done to the disk, and does something at the n-th time."""

    def __init__(self, at: int, kind: str) -> None:
        self._at, self._kind, self._done, self._lock = at, kind, 0, threading.Lock()

    def due(self) -> bool:
        """Count one more; tell whether the fault is due."""
        with self._lock:
            self._done += 1
            return self._done >= self._at

    def write(self, file: io.FileIO, data: memoryview) -> int:
        """Write, or write a half."""
        if not self.due():
            return io.FileIO.write(file, data)
        io.FileIO.write(file, memoryview(data).cast("B")[: len(data) // 2])
        if self._kind == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def before(self, change: Callable) -> Callable:
        """Return a change of the directory that a kill may come before; a full disk does not hinder it."""

        def changed(*given, **named):
            if self._kind == "kill" and self.due():
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*given, **named)

        return changed

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Stand between the program and the disk."""
        faults, names = self, ("open", "replace", "rename", "unlink", "mkdir")
        before = {name: getattr(Path, name) for name in names}

        class File(io.FileIO):
            def write(self, data):
                return faults.write(self, memoryview(data))

        def opened(path, mode="r", buffering=-1, **text):
            if not set(mode) & set("wax+"):
                return OPEN(path, mode, buffering, **text)
            raw = File(path, mode.translate({ord("b"): None, ord("t"): None}))
            if buffering == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, **text)

        try:
            for name in names:
                setattr(Path, name, self.before(opened if name == "open" else before[name]))
            yield
        finally:
            for name in names:
                setattr(Path, name, before[name])


def prepare(at: Path) -> None:
    """Make the inputs, and everything so small that there is much of it."""
    chance = np.random.default_rng(5)
    lines = [" ".join(f"w{i % 300}" for i in chance.zipf(1.3, chance.integers(0, 30))) for _ in range(400)]
    (at / "text.txt").write_text("\n".join(lines))
    (at / "new.txt").write_text("\n".join(lines[100:250]))
    allotment.LEAST_BLOCK, allotment.LEAST_TABLE = 1 << 13, 1 << 15
    readers.BLOCK_BYTES, second_pass.SHARD_TOKENS = 1 << 13, 3000
    spool_module.CHECKPOINT_SECONDS = 0.0
    directory.BLOCK_ENTRIES, count_module.LEAST_TEXT = 15000, 5 << 12
    count_module.TASK_ENTRIES = count_module.LEAST_ENTRIES = 1 << 12
    corpus = encode(at / "text.txt", at / "corpus", EncodeOptions(min_count=1))
    encode(at / "new.txt", at / "news", EncodeOptions(vocabulary=str(at / "corpus")))
    one = count(at / "corpus", at / "one", CountOptions(window=3))
    count(at / "news", at / "two", CountOptions(window=3))
    runs = plan_count(at / "corpus", at / "out", CountOptions(window=3), threads=2, memory=least(2)).runs
    assert corpus.shards > 1 and len(one.blocks) > 1 and runs > 2


def least(threads: int) -> int:
    """The budget in which a count takes several runs."""
    return count_module.Allotment.of(300, count_module.Window.of(CountOptions(window=3)), 1 << 40, threads).plan.least


SCENARIOS: dict[str, Callable] = {
    "encode": lambda at, how: encode(at / "text.txt", at / "out", EncodeOptions(min_count=2), **how),
    "news": lambda at, how: encode(at / "new.txt", at / "out", EncodeOptions(vocabulary=str(at / "corpus")), **how),
    "count": lambda at, how: count(at / "corpus", at / "out", CountOptions(window=3, context_side="left"), **how),
    "runs": lambda at, how: count(at / "corpus", at / "out", CountOptions(window=3), **how, memory=least(how["threads"])),
    "replace": lambda at, how: count(at / "corpus", at / "out", CountOptions(window=2), **how, force=True),
    "merge": lambda at, how: merge([at / "one", at / "two"], at / "out", **how),
}
BUDGETS = (None, "16M", "1G")


def run(name: str, at: Path, how: dict, faults: Faults) -> int:
    """Run with a fault; returns the exit code, 4 for no space and 99 for any other error."""
    try:
        with faults():
            SCENARIOS[name](at, how)
    except ResourceError as error:
        return 4 if "No space left" in str(error) and " more of " in str(error) else 98
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def killed(name: str, at: Path, how: dict, faults: Faults, seconds: float | None = None) -> int:
    """Run in a fork, which may kill itself or is killed after some seconds; returns its exit code, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        code = run(name, at, how, faults)
        sys.stderr.flush()
        os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def wrong(kind: str, name: str, at: Path, whole: dict[str, bytes], code: int, n: int) -> str | None:
    """Resume after a fault; returns what is wrong, if anything is."""
    before = {path.name for path in at.iterdir()}
    if code != (4 if kind == "full" else -signal.SIGKILL):
        return f"ended with {code}"
    there = contents(at / "out") if "out" in before else whole
    there.pop("lock", None)  # marks what is about to be replaced
    if there not in ((whole, contents(at / "one")) if name == "replace" else (whole,)):
        return f"something half-written has the name: {sorted(there)}"
    if "out" in before and name != "replace":  # it was done
        return None if before - INPUTS == {"out"} else f"done, and left {sorted(before - INPUTS)}"
    how = {"resume": True, "threads": 1 + n % 3} | ({} if name == "runs" else {"memory": BUDGETS[n % 3]})
    try:
        SCENARIOS[name](at, how)
    except BaseException:
        return f"resumed: {traceback.format_exc()}"
    if contents(at / "out") != whole:
        return f"resumed: made {sorted(contents(at / 'out'))} and not {sorted(whole)}, or with other bytes"
    after = {path.name for path in at.iterdir()} - INPUTS
    return None if after == {"out"} else f"resumed, and left {sorted(after)}"


INPUTS = {"text.txt", "new.txt", "corpus", "news", "one", "two"}


def main(kind: str, name: str, at: Path) -> None:
    prepare(at)
    start = time.perf_counter()
    SCENARIOS[name](at, {"threads": 2})
    duration = time.perf_counter() - start
    whole, failures, points = contents(at / "out"), list[str](), 0
    chance = random.Random(7)
    while points < (30 if kind == "random" else MOST_POINTS):
        for path in at.glob("out*"):
            shutil.rmtree(path)
        if name == "replace":
            shutil.copytree(at / "one", at / "out")
        points += 1
        if kind == "random":
            code = killed(name, at, {"threads": 2}, Faults(sys.maxsize, kind), chance.uniform(0, duration))
        else:
            code = (run if kind == "full" else killed)(name, at, {"threads": 2}, Faults(points, kind))
        if code == 0:
            if contents(at / "out") != whole:
                failures.append(f"{points}: ended well, with other files")
            if kind != "random":
                break
            continue
        if fault := wrong(kind, name, at, whole, code, points):
            failures.append(f"{points}: {fault}")
    print(json.dumps({"points": points, "failures": failures}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

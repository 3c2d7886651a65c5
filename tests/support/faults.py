"""Runs a command again and again, each time with a fault at another write, and then resumes it.

    echo "kill|full|random|lose SCENARIO[,SCENARIO...] [POINTS]" | python faults.py DIRECTORY

What is killed is a fork of this process, which has imported and prepared everything. `kill` dies by SIGKILL amid the
n-th write, opening, renaming or deletion, `full` has no space on the disk from the n-th write on, for n = 1, 2, ... until
nothing happens any more; `random` dies at random times; `lose` kills a worker amid the n-th of these of all workers, which
must not disturb the run that it works for. After each of the others the same command is resumed, with other threads and
another budget, and must leave the files of a run without faults and nothing else. Given POINTS, only so many are drawn of
all. Prints a JSON object for each line of stdin: `points`, `failures`, a list of texts, and the `seed` by which points were
drawn.
"""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import pickle
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

import cooc_engine
from cooc_engine.cli.app import main as run_command
from cooc_engine.corpus import allotment, second_pass
from cooc_engine.corpus import first_pass as spool_module
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import count as count_module
from cooc_engine.counts import directory
from cooc_engine.counts.count import count, plan_count
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import ResourceError, UsageError
from cooc_engine.evaluation.options import CompareOptions
from cooc_engine.matrix import tiles
from cooc_engine.models.families import family_of, trainable
from cooc_engine.models.file import open_model
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.supervised_options import AutotuneOptions, SupervisedOptions
from cooc_engine.pipeline.autotune import autotune
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.workers import Here
from cooc_engine.storage.hdf5 import form_of
from cooc_engine.text import readers
from cooc_engine.vectors import embedding

OPEN = Path.open
MOST_POINTS = 2000


class Faults:
    """Counts what is done to the disk, and does something at the n-th time."""

    def __init__(self, at: int, kind: str) -> None:
        self._at, self._kind, self.done, self._lock = at, kind, 0, threading.Lock()

    def due(self) -> bool:
        """Count one more; tell whether the fault is due."""
        if Forked.struck is not (self if self._kind == "lose" else None):
            return False
        with self._lock:
            self.done += 1
            return self.done >= self._at

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
            if self._kind in ("kill", "lose") and self.due():
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
            Forked.armed = self if self._kind == "lose" else None
            yield
        finally:
            Forked.armed = None
            for name in names:
                setattr(Path, name, before[name])


class Forked:
    """Workers each of which is a fork for one task; the first that is killed is followed by one that is not."""

    count, local, here = 2, False, Here(1, 1 << 30)  # not local: even a small text is shared
    armed: Faults | None = None  # what strikes a worker
    struck: Faults | Literal[True] | None = None  # the same in such a worker, or that this is one which nothing strikes

    def __init__(self, run: Run) -> None:
        self.threads, self.memory = run.workers, run.budget

    def check_processors(self, *, numpy: bool = False) -> None:
        """There is one."""

    def at(self, directory: Path) -> AbstractContextManager[None]:
        return nullcontext()

    def each(self, task: Callable, items: Iterable[tuple], stage: Stage, *, stay: bool = False) -> Iterator:
        for item in items:
            found = self._forked(task, item, stage, Forked.armed)
            yield (found or self._forked(task, item, stage, None))[0]

    @staticmethod
    def _forked(task: Callable, item: tuple, stage: Stage, faults: Faults | None) -> tuple | None:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            with os.fdopen(write, "wb") as file:
                Forked.struck = faults or True
                result = task(*item, stage)
                file.write(pickle.dumps((result, faults.done if faults else 0)))
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as file:
            found = file.read()
        os.waitpid(pid, 0)
        if faults:
            faults.done = pickle.loads(found)[1] if found else -MOST_POINTS
        return pickle.loads(found) if found else None


def forked(scenario: Callable) -> Callable:
    """Have the work of a scenario done by forks."""

    def shared(at: Path, how: dict) -> None:
        before = Run.shared
        Run.shared = lambda run: nullcontext(Forked(run))
        try:
            scenario(at, how)
        finally:
            Run.shared = before

    return shared


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
    tiles.LEAST_BLOCKS = 2 * tiles.GROUP_BLOCKS
    count_module.TASK_ENTRIES = count_module.LEAST_ENTRIES = 1 << 12
    corpus = encode(at / "text.txt", at / "corpus", EncodeOptions(min_count=1))
    encode(at / "new.txt", at / "news", EncodeOptions(vocabulary=str(at / "corpus")))
    one = count(at / "corpus", at / "one", CountOptions(window=3))
    count(at / "news", at / "two", CountOptions(window=3))
    runs = plan_count(at / "corpus", at / "out", CountOptions(window=3), threads=2, memory=least(2)).runs
    (at / "job.toml").write_text(JOB)
    cooc_engine.export_hdf5(at / "one", at / "counts.h5")
    (at / "pairs.tsv").write_text("".join(f"user {i % 11}\titem {i * i % 13}\t{i % 4 + 1}\n" for i in range(200)))
    (at / "v.txt").write_text("3 2\na 1 2\nb 2 3\nc 4 1\n")
    cooc_engine.import_vectors(at / "v.txt", at / "m.h5")
    cooc_engine.export_glove(at / "one", at / "records.bin", at / "vocab.txt")
    (at / "lines.txt").write_text("w1 w2\n\nw3 w1 w4\n")
    (at / "labelled.tsv").write_text("x\ta b\ny\tc\nx\ta c\n" * 3)
    (at / "labelled.txt").write_text("__label__x a b\n__label__y c\n" * 9)
    cooc_engine.train("elmo", at / "news", at / "elmo.h5", small(family_of("elmo").options), threads=1)
    cooc_engine.export_vectors(at / "elmo.h5", at / "weights.hdf5")
    embedding.SECONDS = 0.0
    assert corpus.shards > 1 and len(one.blocks) > 1 and runs > 2


def least(threads: int) -> int:
    """The budget in which a count takes several runs."""
    return count_module.Allotment.of(300, count_module.Window.of(CountOptions(window=3)), 1 << 40, threads).plan.least


JOB = """output = "out"
[encode]
texts = ["new.txt"]
min-count = 2
[count]
window = [2, 3]
[[train]]
model = "glove"
vector-size = 3
epochs = 2
"""
ALL = EncodeOptions(min_count=1)
OPTIONS = {  # of a family, those that it has
    "vector_size": 4, "epochs": 1, "seed": 3, "buckets": 50, "label": "w1", "deterministic": True,
    "filters": "1:4,2:4", "cells": 6, "characters": 3,
}  # fmt: skip
TUNED = SupervisedOptions(vector_size=3, epochs=1, deterministic=True)


def trained(name: str, at: Path, how: dict) -> None:
    """Train a family, with a checkpoint at every occasion."""
    family = family_of(name)
    source = at / ("news" if family.counting is None else "one")
    cooc_engine.train(name, source, at / "out.h5", small(family.options), **how, checkpoint_every=1e-9)


def small(options: type) -> Any:
    """Return the options of a family for a small model."""
    known = {option.name for option in fields(options)}
    return options(**{name: value for name, value in OPTIONS.items() if name in known})


def fresh(how: dict) -> dict:
    """Return the keywords of what always goes on, or begins anew."""
    return {key: value for key, value in how.items() if key != "resume"}


def anew(how: dict) -> dict:
    """Return the keywords of what cannot go on: where the rest would, it replaces what is there."""
    return {**fresh(how), "force": "resume" in how}


def command(*words: str | Path) -> Callable:
    """Return a scenario that is a command line; it cannot go on, but be made anew."""

    def call(at: Path, how: dict) -> None:
        named = [str(at / word) if isinstance(word, Path) else word for word in words]
        with redirect_stdout(io.StringIO()):
            assert run_command([*named, *(["--force"] if "resume" in how else [])]) == 0, named

    return call


M, LABELLED, OUT, QUIET = Path("m.h5"), Path("labelled.tsv"), Path("out"), ("--progress", "none")
SCENARIOS: dict[str, Callable] = {
    **{name: functools.partial(trained, name) for name in trainable()},
    "append": lambda at, how: cooc_engine.append(at / "one", at / "new.txt", at / "out", **how),
    "import": lambda at, how: cooc_engine.import_hdf5(at / "counts.h5", at / "out", **how),
    "job": lambda at, how: cooc_engine.run(at / "job.toml", **fresh(how)),
    "export": lambda at, how: cooc_engine.export_hdf5(at / "one", at / "out.h5", **anew(how)),
    "export-glove": lambda at, how: cooc_engine.export_glove(at / "one", at / "out", at / "out.txt", **anew(how)),
    "import-glove": lambda at, how: cooc_engine.import_glove(
        at / "records.bin", at / "vocab.txt", at / "out", CountOptions(window=3), **how
    ),
    "count-pairs": lambda at, how: cooc_engine.count_pairs(at / "pairs.tsv", at / "out", **how),
    "import-vectors": lambda at, how: cooc_engine.import_vectors(at / "v.txt", at / "out.h5", force="resume" in how),
    "export-vectors": lambda at, how: cooc_engine.export_vectors(at / "m.h5", at / "out.npz", force="resume" in how),
    "align": lambda at, how: cooc_engine.align(at / "m.h5", at / "m.h5", at / "out.h5", force="resume" in how),
    "index": lambda at, how: cooc_engine.build_index(at / "m.h5", threads=1, force="resume" in how),
    "compare": lambda at, how: cooc_engine.compare(
        {"one": at / "m.h5", "two": at / "m.h5"}, at / "out", options=CompareOptions(samples=100), force="resume" in how
    ),
    "embed": lambda at, how: cooc_engine.embed(at / "elmo.h5", at / "lines.txt", at / "out.h5", **how),
    "quantize": lambda at, how: cooc_engine.quantize(
        at / "m.h5", at / "out.h5", QuantizeOptions(dsub=1), threads=1, force="resume" in how
    ),
    "autotune": lambda at, how: autotune(
        at / "labelled.txt", at / "labelled.txt", at / "out.h5", AutotuneOptions(trials=2), TUNED, **how
    ),
    "import-elmo": lambda at, how: cooc_engine.import_vectors(at / "weights.hdf5", at / "out.h5", force="resume" in how),
    "export-elmo": lambda at, how: cooc_engine.export_vectors(at / "elmo.h5", at / "out.hdf5", force="resume" in how),
    "cluster": command("cluster", M, "--texts", LABELLED, "--label-column", "1", "--runs", "1", "--output", OUT, *QUIET),
    "classify": command(
        "classify",
        M,
        "--train",
        LABELLED,
        "--test",
        LABELLED,
        "--label-column",
        "1",
        "--samples",
        "100",
        "--output",
        OUT,
        *QUIET,
    ),
    "plot": command("plot", M, "--output", Path("out.svg")),
    "explore": command("explore", M, "--output", Path("out.html"), *QUIET),
    "text": lambda at, how: cooc_engine.train("pmi", at / "new.txt", at / "out.h5", encode=EncodeOptions(min_count=2), **how),
    "encode": lambda at, how: encode(at / "text.txt", at / "out", EncodeOptions(min_count=2), **how),
    "news": lambda at, how: encode(at / "new.txt", at / "out", EncodeOptions(vocabulary=str(at / "corpus")), **how),
    "count": lambda at, how: count(at / "corpus", at / "out", CountOptions(window=3, context_side="left"), **how),
    "runs": lambda at, how: count(at / "corpus", at / "out", CountOptions(window=3), **how, memory=least(how["threads"])),
    "replace": lambda at, how: count(at / "corpus", at / "out", CountOptions(window=2), **how, force=True),
    "merge": lambda at, how: merge([at / "one", at / "two"], at / "out", **how),
}
SCENARIOS |= {
    "ranges": forked(
        lambda at, how: encode([at / "text.txt", at / "new.txt"] * 2, at / "out", EncodeOptions(min_count=2), **how)
    ),
    **{f"shared-{name}": forked(SCENARIOS[name]) for name in ("news", "runs", "merge", "glove", "pmi-svd")},
}
BUDGETS = (None, "24M", "1G")


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
    """Return the bytes of all files in a directory, or of a file; of a model, what it learned, since it records times too."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {str(file.relative_to(path)): content(file) for file in files}


def content(file: Path) -> bytes:
    if file.name.endswith(".trials.json"):  # which tells times
        return b""
    if form_of(file) != "cooc-engine model":
        return file.read_bytes()
    model = open_model(file, verify=True)
    return repr([(name, model.array(name).tobytes()) for name in model.names]).encode()


OUTPUTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*trainable(), "shared-glove", "shared-pmi-svd", "export", "import-vectors", "align", "text"), ("out.h5",)),
    **dict.fromkeys(("embed", "quantize", "import-elmo"), ("out.h5",)),
    "autotune": ("out.h5", "out.h5.trials.json"),
    "export-elmo": ("out.hdf5", "out_options.json", "out_vocabulary.txt", "out_token_embeddings.hdf5"),
    "plot": ("out.svg",),
    "explore": ("out.html",),
    "export-glove": ("out", "out.txt"),
    "export-vectors": ("out.npz",),
    "index": ("m.h5.index",),
}
IN_PIECES = {"job", "compare"}  # whose directory is there before all is in it


def outputs(name: str) -> tuple[str, ...]:
    """Return the names of what a scenario makes."""
    return OUTPUTS.get(name, ("out",))


def made(name: str, at: Path) -> dict[str, dict[str, bytes]]:
    """Return the contents of what is there of a scenario's outputs."""
    return {output: contents(at / output) for output in outputs(name) if (at / output).exists()}


def wrong(kind: str, name: str, at: Path, whole: dict[str, dict[str, bytes]], code: int, n: int) -> str | None:
    """Resume after a fault; returns what is wrong, if anything is."""
    before, out = {path.name for path in at.iterdir()}, {*outputs(name)}
    if code != (4 if kind == "full" else -signal.SIGKILL):
        return f"ended with {code}"
    done = out <= before and name != "replace" and name not in IN_PIECES
    if name not in IN_PIECES and (fault := half_written(name, at, whole)):
        return fault
    if done and before - INPUTS == out:
        return None
    how = {"resume": True, "threads": 1 + n % 3} | (
        {} if name.endswith("runs") or name in ("elmo", "embed") else {"memory": BUDGETS[n % 3]}
    )
    try:
        SCENARIOS[name](at, how)
    except UsageError as error:
        if not (done and "exists; pass force=True" in str(error)):
            return f"resumed: {error}"
    except BaseException:
        return f"resumed: {traceback.format_exc()}"
    if (found := made(name, at)) != whole:
        return f"resumed: made {names_in(found)} and not {names_in(whole)}, or with other bytes"
    after = {path.name for path in at.iterdir()} - INPUTS
    return None if after == out else f"resumed, and left {sorted(after)}"


def names_in(found: dict[str, dict[str, bytes]]) -> dict[str, list[str]]:
    return {output: sorted(files) for output, files in found.items()}


def half_written(name: str, at: Path, whole: dict[str, dict[str, bytes]]) -> str | None:
    """Return what is wrong with what bears the name of an output."""
    for output, there in made(name, at).items():
        there.pop("lock", None)  # marks what is about to be replaced
        if there != whole[output] and not (name == "replace" and there == contents(at / "one")):
            return f"something half-written has the name {output}: {sorted(there)}"
    return None


INPUTS = {
    "text.txt", "new.txt", "corpus", "news", "one", "two", "job.toml", "counts.h5", "pairs.tsv", "v.txt",
    "m.h5", "records.bin", "vocab.txt",
    "lines.txt", "labelled.tsv", "labelled.txt",
    "elmo.h5", "weights.hdf5", "options.json", "vocabulary.txt", "token_embeddings.hdf5",
}  # fmt: skip


def remove(at: Path) -> None:
    """Delete all that a run left."""
    for path in (*at.glob("out*"), *at.glob("m.h5.*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def drawn(kind: str, name: str, at: Path, most: int, chance: random.Random) -> list[int]:
    """Return so many of the numbers of all writes and changes of a run, drawn by chance; first and last among them."""
    count = Faults(sys.maxsize, kind)
    remove(at)
    run(name, at, {"threads": 2}, count)
    return sorted({1, count.done, *chance.sample(range(1, count.done + 1), min(most, count.done))})


def main(at: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # threads of scikit-learn would not be there in a fork, which would wait for them
    prepare(at)
    for line in sys.stdin:
        kind, names, *most = line.split()
        print(json.dumps(report(kind, names.split(","), at, *map(int, most))), flush=True)


def report(kind: str, names: Sequence[str], at: Path, most: int = 0) -> dict[str, Any]:
    """Try scenarios; returns how many points there were, what failed, and the seed of the points."""
    seed = random.SystemRandom().randrange(1 << 32) if most else 7
    tried, failures = 0, list[str]()
    for name in names:
        try:
            points, found = attempt(kind, name, at, most, random.Random(seed))
        except Exception:
            points, found = 0, [traceback.format_exc()]
        tried, failures = tried + points, failures + [f"{name} {failure}" for failure in found]
    return {"points": tried, "failures": failures, "seed": seed}


def attempt(kind: str, name: str, at: Path, most: int, chance: random.Random) -> tuple[int, list[str]]:
    """Try a scenario at all points, or at some; returns their number and the failures."""
    remove(at)
    start = time.perf_counter()
    SCENARIOS[name](at, {"threads": 2})
    duration = time.perf_counter() - start
    whole, failures, points = made(name, at), list[str](), 0
    every = range(1, 31 if kind == "random" else MOST_POINTS + 1)
    for point in drawn(kind, name, at, most, chance) if most else every:
        remove(at)
        if name == "replace":
            shutil.copytree(at / "one", at / "out")
        points += 1
        if kind == "random":
            code = killed(name, at, {"threads": 2}, Faults(sys.maxsize, kind), chance.uniform(0, duration))
        else:
            code = (run if kind in ("full", "lose") else killed)(name, at, {"threads": 2}, Faults(point, kind))
        if code == 0:
            left = {path.name for path in at.iterdir()} - INPUTS - {*outputs(name)}
            if made(name, at) != whole or left:
                failures.append(f"{point}: ended well, with other files, or left {left}")
            if kind != "random" and not most:
                break
            continue
        if fault := wrong(kind, name, at, whole, code, point):
            failures.append(f"{point}: {fault}")
    return points, failures


if __name__ == "__main__":
    main(Path(sys.argv[1]))

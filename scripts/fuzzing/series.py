"""Series of cases, tried in child processes: what ends a child or keeps it too long is the outcome of the case it tried."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzzing.cases import Bench, Case, Verdict
from fuzzing.kinds import KINDS

SECONDS = 6  # of computing that a case may take
WAITING = 60  # seconds that it may take, of whatever kind
ROOM = 1 << 30  # bytes of addresses that a child may take beyond those that it has at the start
OWN_FAULT = 77  # exit code of a child that failed where no engine was at work
FILE = 1 << 28  # bytes of the largest file that a case may write


def drawn(kinds: Sequence[str], seed: int, number: int) -> Iterator[Case]:
    """Yield cases of all kinds in turn."""
    return (Case(kinds[at % len(kinds)], seed, at) for at in range(number))


def warm(bench: Bench) -> None:
    """Have every command read a good file once, so that whatever is imported for it is there in every child.

    Raises `AssertionError` if a sample cannot be read; a command may say that it lacks a package.
    """
    for name, kind in KINDS.items():
        for reader in kind.readers if name in ("model-glove", "counts", "corpus") else kind.readers[:1]:
            outcome = bench.whole(name, kind.samples[0], reader)
            read = outcome.code == 0 or "pip install" in outcome.stderr
            assert read, f"{reader} on a good {kind.samples[0]}: {outcome.stderr}"


def attempt_all(bench: Bench, cases: Sequence[Case]) -> Iterator[Verdict]:
    """Yield the verdict on each case; a child goes on until a case ends it."""
    done = 0
    while done < len(cases):
        with _child(bench, cases[done:]) as (pid, pipe):
            for verdict in _read(pid, pipe, cases[done:]):
                yield verdict
                done += 1


@contextlib.contextmanager
def _child(bench: Bench, cases: Sequence[Case]) -> Iterator[tuple[int, int]]:
    """Fork a child that writes a line for each case to a pipe; yields its number and the pipe's end."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _serve(bench, cases, writing)
    os.close(writing)
    try:
        yield pid, reading
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(bench: Bench, cases: Sequence[Case], pipe: int) -> None:
    """Try the cases, and end the process."""
    code = OWN_FAULT
    try:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, -1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, -1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for case in cases:
            _, _, verdict = bench.attempt(case)
            os.write(pipe, json.dumps([verdict.outcome, verdict.detail[:2000]]).encode() + b"\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _computed(pid: int) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read(pid: int, pipe: int, cases: Sequence[Case]) -> Iterator[Verdict]:
    """Yield the verdicts of a child, the last of them on the case that ended it, if one did."""
    left, buffered = iter(cases), b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        begin, computed = time.monotonic(), _computed(pid)
        while True:
            if not selector.select(1):
                if _computed(pid) - computed > SECONDS or time.monotonic() - begin > WAITING:
                    yield Verdict(next(left), "hang", f"computed for {_computed(pid) - computed:.0f} s")
                    return
                continue
            begin, computed = time.monotonic(), _computed(pid)
            data = os.read(pipe, 1 << 16)
            if not data:
                break
            *whole, buffered = (buffered + data).split(b"\n")
            for line in whole:
                yield Verdict(next(left), *json.loads(line))
    if (case := next(left, None)) is not None:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == OWN_FAULT:
            raise RuntimeError(f"{case}: the fuzzer itself failed, see above")
        yield Verdict(case, "crash", f"ended the interpreter: {code}")

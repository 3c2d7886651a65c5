"""What a worker on another machine must have in common with the process that divides the work."""

from __future__ import annotations

import functools
import hashlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cooc_engine._version import __version__
from cooc_engine.errors import UsageError
from cooc_engine.runtime.machine import default_memory, usable_cores
from cooc_engine.runtime.versions import numpy_code, processor

__all__ = ["Check", "Facts", "check_numpy", "check_processor", "check_worker", "own_facts"]


@dataclass(frozen=True)
class Facts:
    """What a process says of itself.

    code      digest of the source of the package
    threads   number of tasks that it would be given at a time
    limits    rules by which it would be stopped because of its memory
    memory    bytes that it may use by default
    age       seconds since it was started
    numpy     the vector extensions that NumPy uses
    """

    host: str
    version: str
    code: str
    threads: int
    limits: tuple[str, ...]
    cores: int
    memory: int
    age: float
    cpu: str
    cpu_features: str
    numpy: str


Check = Callable[[Facts, Facts], None]
"""Raises `UsageError` unless a worker, the first, suits the process that divides the work."""


def own_facts(threads: int = 1, limits: tuple[str, ...] = ()) -> Facts:
    """Return the facts of this process."""
    machine: dict[str, Any] = {"cores": usable_cores(), "memory": default_memory(), **processor()}
    age = time.time() - psutil.Process().create_time()
    return Facts(socket.gethostname(), __version__, _code(), threads, limits, age=age, **machine, numpy=numpy_code())


@functools.cache
def _code() -> str:
    """Return a digest of the source of the package, including its kernels."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def check_worker(one: Facts, ours: Facts) -> None:
    """Raise `UsageError` for a worker with other code, with several threads, or with a limit on its memory."""
    for what, theirs, own in (("version", one.version, ours.version), ("code", one.code, ours.code)):
        if theirs != own:
            raise UsageError(
                f"--cluster: a worker on {one.host} has {what} {theirs[:12]}, this process has {own[:12]}; "
                f"install one version of cooc-engine on all machines"
            )
    if one.threads != 1:
        raise UsageError(
            f"--cluster: a worker on {one.host} has {one.threads} threads, and would be given as many tasks at a time; "
            f"start workers with --nthreads 1: each task has threads of its own"
        )
    if one.limits:
        raise UsageError(
            f"--cluster: a worker on {one.host} counts mapped files as memory and would be stopped for them "
            f"({', '.join(one.limits)}); start workers with --memory-limit 0: --memory is the budget of each"
        )


def check_processor(one: Facts, ours: Facts) -> None:
    """Raise `UsageError` if a worker compiles its kernels for another kind of processor."""
    theirs, own = ({*facts.cpu_features.split(",")} for facts in (one, ours))
    if (one.cpu, theirs) != (ours.cpu, own):
        only = [" ".join(sorted(mine - other)) or "no more" for mine, other in ((theirs, own), (own, theirs))]
        raise UsageError(
            f"--cluster: a worker on {one.host} has a processor of the kind {one.cpu}, this process {ours.cpu} (only there: "
            f"{only[0]}; only here: {only[1]}), and vectors would have the bits of neither; take machines of one kind, or "
            f"set NUMBA_CPU_NAME and NUMBA_CPU_FEATURES to the same on all"
        )


def check_numpy(one: Facts, ours: Facts) -> None:
    """Raise `UsageError` if NumPy runs other code in a worker, because its processor has other vector extensions."""
    if one.numpy != ours.numpy:
        raise UsageError(
            f"--cluster: NumPy on {one.host} has code for {one.numpy or 'no feature'}, here for {ours.numpy or 'no feature'}, "
            f"and vectors would have the bits of neither; take machines of one kind, or take features away by "
            f"NPY_DISABLE_CPU_FEATURES"
        )

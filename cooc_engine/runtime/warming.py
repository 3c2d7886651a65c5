"""Compiling all kernels beforehand, so that no command waits for them later."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import NamedTuple

from cooc_engine import _kernels
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.processes import Processes
from cooc_engine.runtime.progress import Shown, Stage, progress_of

__all__ = ["Warmed", "warm"]

LONGEST = "sgd"  # it takes about as long to compile as all others together: a third process would have nothing to do
PROCESSES = 2


class Warmed(NamedTuple):
    """Where the compiled kernels are, and how many had to be compiled."""

    directory: str
    compiled: int


def warm(progress: Shown = None) -> Warmed:
    """Compile all kernels that are not in the cache of this machine yet, in two processes if there are cores for them.

    Who may not write there can still use them: `warm` in the recipe of a container, or by the user who installed the package,
    is enough for all others, on the same kind of processor.
    """
    from cooc_engine._kernels import jit

    names = [module.name for module in pkgutil.iter_modules(_kernels.__path__)]
    later = [name for name in names if name != LONGEST and LONGEST in jit.sources(name)]
    processes, compiled = Processes(min(PROCESSES, usable_cores()), threads=1, memory=0), 0
    with progress_of(progress).stage("compile", len(names), "modules") as stage, processes.at(Path()):
        for some in ([LONGEST, *sorted({*names} - {LONGEST, *later})], later):
            compiled += sum(processes.each(load, ((name,) for name in some), stage))
    jit.mark_warm()
    return Warmed(jit.cache_directory(), compiled)


def load(name: str, stage: Stage) -> int:
    """Load a kernel file, and return how many kernels were compiled for that; a task of `warm`."""
    from cooc_engine._kernels import jit

    before = jit.NOTICE.count
    importlib.import_module(f"{_kernels.__name__}.{name}")
    stage.advance(1)
    return jit.NOTICE.count - before

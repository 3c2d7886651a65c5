"""Compiling all kernels beforehand, so that no command waits for them later."""

from __future__ import annotations

import importlib
import pkgutil
from typing import NamedTuple

from cooc_engine import _kernels
from cooc_engine.runtime.progress import Shown, progress_of

__all__ = ["Warmed", "warm"]


class Warmed(NamedTuple):
    """Where the compiled kernels are, and how many had to be compiled."""

    directory: str
    compiled: int


def warm(progress: Shown = None) -> Warmed:
    """Compile all kernels that are not in the cache of this machine yet.

    Who may not write there can still use them: `warm` in the recipe of a container, or by the user who installed the package,
    is enough for all others, on the same kind of processor.
    """
    from cooc_engine._kernels import jit

    names = [module.name for module in pkgutil.iter_modules(_kernels.__path__)]
    with progress_of(progress).stage("compile", len(names), "modules") as stage:
        for name in names:
            importlib.import_module(f"cooc_engine._kernels.{name}")
            stage.advance(1, name)
    jit.mark_warm()
    return Warmed(jit.cache_directory(), jit.NOTICE.count)

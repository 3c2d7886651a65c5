"""Processes that this program starts as programs of their own, and which end with it.

Nothing is forked from a process with threads, the caller's script is not imported again, and it needs no `__main__` guard.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["command", "die_with", "end_of"]

PR_SET_PDEATHSIG = 1


def command(module: str, path: Sequence[str], *arguments: str) -> list[str]:
    """Return the command that runs `main` of a module of this package, with this `sys.path` and these arguments behind it."""
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from cooc_engine.{module} import main; main()"
    return [sys.executable, "-c", code, json.dumps(list(path)), *arguments]


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def end_of(process: subprocess.Popen[bytes]) -> str:
    """Wait for a process; returns how it ended, as words for a message."""
    code = process.wait()
    return f"ended with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"

"""Files that several workers may write at once: each attempt has its own name, and takes the final one when it is whole.

A worker that is believed lost may still write, so a task may be at work twice. What it writes does not depend on who does it:
the last to finish replaces equal bytes. What attempts leave that never finished ends in `.part`, and goes with the next run.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cooc_engine.storage.outputs import beside

__all__ = ["attempt", "attempt_name"]


def attempt_name() -> str:
    """Return what no other attempt has that is at work now: host, process and thread."""
    host = re.sub("[^a-z0-9]+", "-", socket.gethostname().lower())
    return f"{host}-{os.getpid()}-{threading.get_ident()}"


@contextmanager
def attempt(*finals: Path) -> Iterator[str]:
    """Yield a suffix that files have while they are written; then they are renamed, in this order, or go after an error."""
    suffix = f".{attempt_name()}.part"
    try:
        yield suffix
        for path in finals:
            beside(path, suffix).replace(path)
    except BaseException:
        for path in finals:
            beside(path, suffix).unlink(missing_ok=True)
        raise

"""Files that several workers may write at once: each attempt has its own name, and is renamed to the final one when complete.

A worker that is believed lost may still be writing, so two workers may run the same task. Both write the same bytes, so the
last to finish changes nothing. Files of attempts that never finished end in `.part`, and the next run deletes them.
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
    """Return a name that no other running attempt has: of host, process and thread."""
    host = re.sub("[^a-z0-9]+", "-", socket.gethostname().lower())
    return f"{host}-{os.getpid()}-{threading.get_ident()}"


@contextmanager
def attempt(*finals: Path) -> Iterator[str]:
    """Yield a suffix for files while they are written; at the end they are renamed in this order, or after an error deleted."""
    suffix = f".{attempt_name()}.part"
    try:
        yield suffix
        for path in finals:
            beside(path, suffix).replace(path)
    except BaseException:
        for path in finals:
            beside(path, suffix).unlink(missing_ok=True)
        raise

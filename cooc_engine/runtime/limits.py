"""Limits of a process under which libraries end it or wait for ever, instead of raising an error: told before they are loaded.

OpenBLAS, which NumPy brings, exits, sends SIGINT, or tries again for ever if it cannot have its memory or its threads.
"""

from __future__ import annotations

import resource
import threading

from cooc_engine.errors import ResourceError
from cooc_engine.runtime.machine import usable_cores

__all__ = ["check_limits"]

ADDRESS_SPACE = 768 << 20  # bytes; with less, some command does not get as far as its own work


def check_limits() -> None:
    """Raise `ResourceError` if this process may not have the address space or the threads that loading the libraries takes."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise ResourceError(
            f"this process may only have {limit >> 20}M of address space; raise ulimit -v, to {ADDRESS_SPACE >> 20}M or more"
        )
    end = threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(usable_cores() - 1)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError:
        raise ResourceError(
            f"this process cannot begin {len(threads)} more threads; raise ulimit -u, or the limit of the control group"
        ) from None
    finally:
        end.set()

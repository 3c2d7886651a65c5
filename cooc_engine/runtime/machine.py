"""The cores and the memory of the machine, or of the control group (container) of this process."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from cooc_engine.errors import UsageError

__all__ = ["default_memory", "return_memory", "usable_cores", "usable_threads"]


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads(wanted: int | None) -> int:
    """Return a number of threads: at most one for each core, as by default. Raises `UsageError` for fewer than one."""
    if wanted is not None and wanted < 1:
        raise UsageError(f"--threads is {wanted}; it must be at least 1")
    return min(wanted or usable_cores(), usable_cores())


CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def default_memory() -> int:
    """Return half of the memory, in bytes, of the machine or of the control group of this process."""
    import psutil

    limits = [int(psutil.virtual_memory().total)]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # no such control group, or its limit is "max"
            continue
    return min(limits) // 2


def return_memory() -> None:
    """Return freed memory to the system; the C library otherwise keeps the holes between what is still in use."""
    with suppress(OSError, AttributeError):  # a C library that has no such function
        ctypes.CDLL(None).malloc_trim(0)

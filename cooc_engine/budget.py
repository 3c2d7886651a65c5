"""Memory budgets: sizes as people write them, what the machine grants, and plans that are refused before any work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cooc_engine.errors import UsageError

__all__ = ["Plan", "default_memory", "memory_budget", "parse_size", "show_size"]

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def parse_size(text: str) -> int:
    """Return the bytes of `512M`, `4GiB`, `1.5g`; units are binary. Raises `UsageError`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    if not match or not float(match[1]):
        raise UsageError(f"--memory is {text!r}; write a size such as 512M or 4G")
    return int(float(match[1]) * UNITS[match[2].upper()])


def show_size(size: float) -> str:
    """Return a size as `parse_size` reads it, with one decimal."""
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f} B" if not unit else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def default_memory() -> int:
    """Return half of the memory that the machine, or the control group of this process, has."""
    import psutil

    limits = [int(psutil.virtual_memory().total)]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(limits) // 2


def memory_budget(memory: str | int | None) -> int:
    """Return a budget in bytes from an option: a size, a number of bytes, or None for the default."""
    if memory is None:
        return default_memory()
    return parse_size(memory) if isinstance(memory, str) else memory


@dataclass(frozen=True)
class Plan:
    """The least memory that a stage needs, by what needs it, in bytes, and the budget that must hold it."""

    stage: str
    budget: int
    memory: dict[str, int]

    @property
    def least(self) -> int:
        """Memory in all."""
        return sum(self.memory.values())

    def check(self) -> None:
        """Raise `UsageError` if the budget cannot hold the plan."""
        if self.least > self.budget:
            parts = ", ".join(f"{what} {show_size(size)}" for what, size in self.memory.items())
            raise UsageError(
                f"--memory {show_size(self.budget)} is too little to {self.stage}: it takes {show_size(self.least)} ({parts}); "
                f"pass --memory {show_size(1.01 * self.least)}"
            )

    def line(self) -> str:
        """Return the plan as a line."""
        return f"memory: {show_size(self.budget)} to {self.stage}, which takes at least {show_size(self.least)}"

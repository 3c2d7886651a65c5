"""Memory budgets, and plans of a stage's memory and disk: one that does not fit is refused before any work begins."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cooc_engine.errors import UsageError
from cooc_engine.runtime.machine import default_memory
from cooc_engine.runtime.numbers import parse_size, show_size

__all__ = ["Disk", "Plan", "memory_budget"]


def memory_budget(memory: str | int | None) -> int:
    """Return a budget in bytes from an option: a size such as "4G", a number of bytes, or None for the default."""
    if memory is None:
        return default_memory()
    return parse_size(memory) if isinstance(memory, str) else memory


@dataclass(frozen=True)
class Disk:
    """The predicted disk usage of a stage, in bytes: its output, its temporary files at their largest, and the peak of both.

    `where` is the directory of the output; `entries` is the number of entries of the output, if it is counts.
    """

    where: Path
    output: int
    temporary: int
    peak: int
    entries: int | None = None

    @property
    def free(self) -> int:
        """Bytes now free on the disk of `where`."""
        return shutil.disk_usage(self.where).free

    def __str__(self) -> str:
        parts = f"{show_size(self.temporary)} temporary, {show_size(self.output)} output"
        free = f"{show_size(self.free)} free in {self.where}"
        warning = "; THAT MAY NOT BE ENOUGH" if self.peak > self.free else ""
        return f"about {show_size(self.peak)} at the peak ({parts}), {free}{warning}"


@dataclass(frozen=True)
class Plan:
    """The minimum memory of a stage in bytes, by purpose, and the budget that it must fit into.

    The number of runs and the disk usage are None until they are computed, the disk also if it cannot be predicted.
    """

    stage: str
    budget: int
    memory: dict[str, int]
    runs: int | None = None
    disk: Disk | None = None

    @property
    def least(self) -> int:
        """The minimum memory in all, in bytes."""
        return sum(self.memory.values())

    @property
    def peak(self) -> int | None:
        """The peak disk usage in bytes, or None."""
        return self.disk.peak if self.disk else None

    def check(self) -> None:
        """Raise `UsageError` if the budget cannot hold the plan."""
        if self.least > self.budget:
            parts = ", ".join(f"{what} {show_size(size)}" for what, size in self.memory.items())
            given, enough = (show_size(size).replace(" ", "") for size in (self.budget, 1.01 * self.least))
            raise UsageError(
                f"--memory={given} is too little to {self.stage}: it takes {show_size(self.least)} ({parts}); "
                f"pass --memory={enough}"
            )

    def line(self) -> str:
        """Return the plan as one line. Predictions may be off, so a disk that looks too small is a warning, not an error."""
        parts = [self._memory(), *self._runs(), *([f"disk: {self.disk}"] if self.disk else [])]
        return "; ".join(parts)

    def lines(self) -> list[str]:
        """Return the plan as several lines, with the memory by purpose."""
        memory = [f"  {what}: {show_size(size)}" for what, size in self.memory.items()]
        spare = f"  to spare, for larger pieces of work: {show_size(self.budget - self.least)}"
        entries = [f"entries: about {self.disk.entries:,}"] if self.disk and self.disk.entries is not None else []
        disk = self.disk or "cannot be predicted for this input"
        return [self._memory(), *memory, spare, *self._runs(), *entries, f"disk: {disk}"]

    def _memory(self) -> str:
        return f"memory: at least {show_size(self.least)} needed to {self.stage}, budget {show_size(self.budget)}"

    def _runs(self) -> list[str]:
        return [f"runs: {self.runs}"] if self.runs else []

    def record(self) -> dict[str, Any]:
        """Return the plan as a JSON-serialisable dictionary; sizes in bytes, None where there is no prediction."""
        disk = self.disk
        return {
            "stage": self.stage,
            "memory_budget": self.budget,
            "memory_least": self.least,
            "memory": self.memory,
            "runs": self.runs,
            "entries": disk and disk.entries,
            "peak_disk_bytes": self.peak,
            "output_bytes": disk and disk.output,
            "temporary_bytes": disk and disk.temporary,
            "free_disk_bytes": disk and disk.free,
        }

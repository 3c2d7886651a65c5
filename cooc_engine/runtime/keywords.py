"""How a training runs: what decides its speed, its memory and what it may overwrite, and nothing of its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from cooc_engine.runtime.budget import memory_budget
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.progress import Progress

__all__ = ["How", "Run"]


class How(TypedDict, total=False):
    """The keywords of all trainings; see `Run`. Without them: all cores, half of the memory, silent."""

    threads: int | None
    memory: str | int | None
    force: bool
    resume: bool
    progress: Progress | None
    checkpoint_every: float


@dataclass(frozen=True)
class Run:
    """Keywords of a training with their defaults filled in.

    memory            the budget: bytes, or a size such as 512M
    force, resume     replace an output that exists; continue what an interrupted run left
    checkpoint_every  minutes between checkpoints within an epoch
    """

    threads: int | None = None
    memory: str | int | None = None
    force: bool = False
    resume: bool = False
    progress: Progress | None = None
    checkpoint_every: float = 10.0
    workers: int = field(init=False)
    budget: int = field(init=False)
    shown: Progress = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "workers", self.threads or usable_cores())
        object.__setattr__(self, "budget", memory_budget(self.memory))
        object.__setattr__(self, "shown", self.progress or Progress())

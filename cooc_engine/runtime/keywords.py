"""How a stage runs: what decides its speed, its memory and what it may overwrite, and nothing of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from cooc_engine.runtime.budget import memory_budget
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.progress import Progress

__all__ = ["FreshKeywords", "PlanKeywords", "Run", "RunKeywords", "TrainKeywords"]


class PlanKeywords(TypedDict, total=False):
    """Keywords of a plan; see `Run`. Without them: all cores, half of the memory."""

    threads: int | None
    memory: str | int | None


class FreshKeywords(PlanKeywords, total=False):
    """Keywords of a stage that cannot be told to resume."""

    force: bool
    progress: Progress | None


class RunKeywords(FreshKeywords, total=False):
    """Keywords of a stage that can be resumed."""

    resume: bool


class TrainKeywords(RunKeywords, total=False):
    """Keywords of a training."""

    checkpoint_every: float


@dataclass(frozen=True)
class Run:
    """Keywords of a stage with their defaults filled in.

    threads           at most; all cores unless given
    memory            the budget: bytes, or a size such as 512M
    force, resume     replace an output that exists; continue what an interrupted run left
    progress          told how far the stage is; silent unless given
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

    @classmethod
    def of(cls, function: str, given: Mapping[str, Any], accepted: type[PlanKeywords] = RunKeywords) -> Run:
        """Return how `function` runs by the keywords it was given; raises `TypeError` for one that it does not accept."""
        known = accepted.__annotations__
        for name in given:
            if name not in known:
                raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; it takes {', '.join(known)}")
        return cls(**given)

"""How a command runs: threads, budget, what it may replace; nothing here changes a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cooc_engine.runtime.keywords import (
    FreshKeywords,
    RunKeywords,
    SharedFreshKeywords,
    SharedKeywords,
    SharedPlanKeywords,
    TrainKeywords,
)
from cooc_engine.runtime.options import AtLeast, Flag, Options
from cooc_engine.runtime.progress import Kind, open_progress

__all__ = ["PlannedOptions", "RunOptions", "SharedOptions", "SharedTrainOptions", "TrainOptions"]


@dataclass(frozen=True)
class RunOptions(Options):
    """How a command runs; nothing here changes a result."""

    heading = "Running"

    threads: Annotated[int | None, AtLeast(1), Flag(alias=("--thread", "--workers"))] = None
    """Number of threads; all cores by default."""
    memory: str | None = None
    """Memory budget, such as 512M or 4G, not counting an idle interpreter and mapped files; by default half of all memory."""
    force: bool = False
    """Replace an existing output."""
    resume: bool = False
    """Continue an interrupted run."""
    take_over: bool = False
    """With --resume: take over the output of a run that was killed on another machine."""
    progress: Kind = "auto"
    """How progress is shown on stderr: `auto` is JSON with --json, else a bar on a terminal and lines elsewhere."""
    json: bool = False
    """Print the result as one JSON object."""

    def fresh_keywords(self) -> FreshKeywords:
        """Return the keywords of a library function that cannot resume."""
        progress = open_progress(self.progress)
        return {"threads": self.threads, "memory": self.memory, "force": self.force, "progress": progress}

    def keywords(self) -> RunKeywords:
        """Return the keywords of a library function."""
        return {**self.fresh_keywords(), "resume": self.resume, "take_over": self.take_over}


@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """How training runs; nothing here changes a result."""

    checkpoint_every: Annotated[float, AtLeast(0)] = 10.0
    """Minutes between checkpoints within an epoch."""

    def training_keywords(self) -> TrainKeywords:
        """Return the keywords of a training function."""
        return {**self.keywords(), "checkpoint_every": self.checkpoint_every}


@dataclass(frozen=True)
class SharedOptions(RunOptions):
    """How a command runs if several processes can share its work; nothing here changes a result."""

    processes: Annotated[int | None, AtLeast(1)] = None
    """Number of worker processes that share the work; --threads and --memory apply to each, by default an equal share."""
    cluster: str | None = None
    """A Dask cluster to share the work: tcp://HOST:PORT, or a scheduler file; --threads and --memory apply to each worker."""

    def fresh_keywords(self) -> SharedFreshKeywords:
        """Return the keywords of a library function that cannot resume."""
        how = super().fresh_keywords()
        return {**how, "processes": self.processes, "cluster": self.cluster, "take_over": self.take_over}

    def keywords(self) -> SharedKeywords:
        """Return the keywords of a library function."""
        return {**self.fresh_keywords(), "resume": self.resume}


@dataclass(frozen=True)
class SharedTrainOptions(SharedOptions, TrainOptions):
    """How training runs if several processes can share it; nothing here changes a result."""


@dataclass(frozen=True)
class PlannedOptions(SharedOptions):
    """How a command runs if it can predict its memory and disk usage."""

    dry_run: bool = False
    """Print only the plan: the predicted memory, runs, entries and disk space. Nothing is written."""

    def plan_keywords(self) -> SharedPlanKeywords:
        """Return the keywords of a library function that plans."""
        return {"threads": self.threads, "memory": self.memory, "processes": self.processes, "cluster": self.cluster}

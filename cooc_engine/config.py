"""Options, written once: flags, TOML keys, Python keywords and the model's record all come from these classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from cooc_engine.runtime.options import WHOLE, AtLeast, Options

__all__ = ["CompareOptions", "EvalOptions", "PlannedOptions", "RunOptions", "TrainOptions"]


@Parameter(name="*")
@dataclass(frozen=True)
class EvalOptions(Options):
    """How vectors are judged."""

    restrict: Annotated[int, WHOLE, AtLeast(1)] = 30_000
    """Ask analogies among so many of the most frequent words."""
    by_section: bool = False
    """Show each section of the analogies too."""
    bootstrap: Annotated[int, WHOLE, AtLeast(0)] = 0
    """Resample pairs and questions so many times, say 1000, and show between which limits 95 % of the scores lie."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the bootstrap and of the clusters."""


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions(Options):
    """How a command runs; nothing here changes a result."""

    threads: Annotated[int | None, WHOLE, AtLeast(1), Parameter(alias=["--thread", "--workers"])] = None
    """Threads; all cores unless given."""
    memory: str | None = None
    """Budget, such as 512M or 4G (binary); half of the machine's, or of its control group's, unless given."""
    force: bool = False
    """Replace an output that exists."""
    resume: bool = False
    """Continue what an interrupted run left."""
    progress: Literal["auto", "bar", "lines", "json", "none"] = "auto"
    """Progress on stderr: a bar on a terminal and lines elsewhere, JSON lines, or nothing."""
    json: bool = False
    """Print the result as one JSON object."""


@Parameter(name="*")
@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """How training runs; nothing here changes a result."""

    checkpoint_every: Annotated[float, AtLeast(0)] = 10.0
    """Minutes between checkpoints within an epoch."""


@Parameter(name="*")
@dataclass(frozen=True)
class PlannedOptions(RunOptions):
    """How a command runs that can say beforehand what it will take."""

    dry_run: bool = False
    """Print only the plan: memory, runs, entries and disk as predicted. Nothing is written."""


@Parameter(name="*")
@dataclass(frozen=True)
class CompareOptions(Options):
    """How models are compared."""

    restrict: Annotated[int, WHOLE, AtLeast(1)] = 30_000
    """Analogies and neighbours are looked for among so many of the most frequent words."""
    samples: Annotated[int, WHOLE, AtLeast(100)] = 1000
    """How often the pairs or questions are drawn anew for the intervals."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of these draws."""
    frequent: Annotated[int, WHOLE, AtLeast(1)] = 1000
    """Neighbours are compared of so many of the most frequent words."""
    neighbours: Annotated[int, WHOLE, AtLeast(1), Parameter(alias="--topn")] = 10
    """How many nearest neighbours are compared."""
    common: bool = False
    """Compare models of different vocabularies on the words that all have, instead of refusing them."""

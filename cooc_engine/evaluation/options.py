"""Options of evaluating and comparing models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cooc_engine.runtime.options import AtLeast, Flag, Options

__all__ = ["CompareOptions", "EvalOptions"]


@dataclass(frozen=True)
class EvalOptions(Options):
    """How vectors are judged."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Ask analogies among so many of the most frequent words."""
    by_section: bool = False
    """Show each section of the analogies too."""
    bootstrap: Annotated[int, AtLeast(0)] = 0
    """Resample pairs and questions so many times, say 1000, and show between which limits 95 % of the scores lie."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Seed of the bootstrap and of the clusters."""


@dataclass(frozen=True)
class CompareOptions(Options):
    """How models are compared."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Analogies and neighbours are looked for among so many of the most frequent words."""
    samples: Annotated[int, AtLeast(100)] = 1000
    """How often the pairs or questions are drawn anew for the intervals."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Seed of these draws."""
    frequent: Annotated[int, AtLeast(1)] = 1000
    """Neighbours are compared of so many of the most frequent words."""
    neighbours: Annotated[int, AtLeast(1), Flag(alias=("--topn",))] = 10
    """How many nearest neighbours are compared."""
    common: bool = False
    """Compare models of different vocabularies on the words that all have, instead of refusing them."""

"""Options of judging and comparing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from cooc_engine.runtime.options import WHOLE, AtLeast, Options

__all__ = ["CompareOptions", "EvalOptions"]


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

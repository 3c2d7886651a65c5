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
    """Answer analogies only with this many of the most frequent words."""
    by_section: bool = False
    """Show the scores of each section of the analogies too."""
    bootstrap: Annotated[int, AtLeast(0)] = 0
    """Number of bootstrap samples of pairs and questions, such as 1000, for 95 % intervals of the scores; 0 shows none."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap and of the clustering."""
    trust_tokenizer: bool = False
    """Run the Python function by which a model says that its text was split, if there is one, on the sentences."""


@dataclass(frozen=True)
class CompareOptions(Options):
    """How models are compared."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Search analogies and neighbours only among this many of the most frequent words."""
    samples: Annotated[int, AtLeast(100)] = 1000
    """Number of bootstrap samples for the intervals."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap."""
    frequent: Annotated[int, AtLeast(1)] = 1000
    """Compare the neighbours of this many of the most frequent words."""
    neighbours: Annotated[int, AtLeast(1), Flag(alias=("--topn",))] = 10
    """Number of nearest neighbours to compare."""
    common: bool = False
    """Compare models of different vocabularies on the words they share, instead of refusing them."""

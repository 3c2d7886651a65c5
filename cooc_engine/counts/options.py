"""Options of counting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.runtime.options import Above, AtLeast, Below, Flag, Options

__all__ = ["PAIRS", "CountOptions", "UniformCountOptions"]

WIDEST = 100_000  # words on a side of the centre: weights, and gaps between documents, take memory for each


@dataclass(frozen=True)
class CountOptions(Options):
    """Options of counting: which pairs of words co-occur, and with which weight."""

    heading = "Counting"

    window: Annotated[int, AtLeast(1), Below(WIDEST), Flag(alias=("--window-size", "--ws", "--win"))] = 10
    """Number of context words on each side of the centre."""
    window_weight: Literal["harmonic", "uniform", "dynamic"] = "harmonic"
    """Weight of a co-occurrence at distance k: `harmonic` 1/k, `uniform` 1, `dynamic` (window-k+1)/window."""
    context_side: Literal["both", "left", "right"] = "both"
    """The side of the centre from which contexts are taken; the centre is always the row."""
    positional: bool = False
    """Count contexts separately for each signed distance, as hyperwords does: the columns are (word, distance)."""
    oov_gap: Literal["drop", "keep"] = "drop"
    """Whether words outside the vocabulary are dropped before windows are formed, or kept as gaps in them."""
    subsample: Annotated[float | None, Above(0), Flag(alias=("--sample", "--sub"))] = None
    """Subsample frequent words before windows are formed: a word of frequency f is kept with probability √(t/f) + t/f."""
    subsample_seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the subsampling."""

    @property
    def denominator(self) -> int:
        """Common denominator of the weights: 1 if they are uniform, the window if dynamic, lcm(1..window) if harmonic."""
        if self.window_weight == "harmonic":
            # The lcm grows like e^window: for a very wide window, computing it would take minutes.
            return math.lcm(*range(1, min(self.window, 64) + 1))
        return 1 if self.window_weight == "uniform" else self.window

    @property
    def slots(self) -> int:
        """Number of columns for each context word: 1, or one for each signed distance."""
        sides = 2 if self.context_side == "both" else 1
        return sides * self.window if self.positional else 1

    @property
    def distances(self) -> list[int]:
        """The signed distances of the contexts from the centre, ascending: for positional counts those of a word's columns."""
        left = range(-self.window, 0) if self.context_side != "right" else ()
        return [*left, *(range(1, self.window + 1) if self.context_side != "left" else ())]


@dataclass(frozen=True)
class UniformCountOptions(CountOptions):
    """Options of counting for a model that is usually trained on unweighted counts."""

    window_weight: Literal["harmonic", "uniform", "dynamic"] = "uniform"
    """Weight of a co-occurrence at distance k: `uniform` 1, `harmonic` 1/k, `dynamic` (window-k+1)/window."""


PAIRS = CountOptions(window=1, window_weight="uniform", context_side="right")
"""The options of counts of pairs, such as users and items: each pair counts as a text of two words, the first being the row."""

"""Options of counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.runtime.options import Above, AtLeast, Flag, Options

__all__ = ["CountOptions", "UniformCountOptions"]


@dataclass(frozen=True)
class CountOptions(Options):
    """Options of counting: which pairs of words co-occur, and with which weight."""

    window: Annotated[int, AtLeast(1), Flag(alias=("--window-size", "--ws", "--win"))] = 10
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
    """Subsample frequent words before windows are formed: a word of frequency f is kept with √(t/f) + t/f; off by default."""
    subsample_seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the subsampling."""


@dataclass(frozen=True)
class UniformCountOptions(CountOptions):
    """Options of counting for a model that is usually trained on unweighted counts."""

    window_weight: Literal["harmonic", "uniform", "dynamic"] = "uniform"
    """Weight of a co-occurrence at distance k: `uniform` 1, `harmonic` 1/k, `dynamic` (window-k+1)/window."""

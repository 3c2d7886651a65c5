"""Options of counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.runtime.options import Above, AtLeast, Flag, Options

__all__ = ["CountOptions", "UniformCountOptions"]


@dataclass(frozen=True)
class CountOptions(Options):
    """What counts as a co-occurrence, and how much."""

    window: Annotated[int, AtLeast(1), Flag(alias=("--window-size", "--ws", "--win"))] = 10
    """How many words on each side of the centre are its contexts."""
    window_weight: Literal["harmonic", "uniform", "dynamic"] = "harmonic"
    """Weight of distance k: `harmonic` 1/k, `uniform` 1, `dynamic` (window-k+1)/window."""
    context_side: Literal["both", "left", "right"] = "both"
    """Which side of the centre its contexts stand on; the centre is always the row."""
    positional: bool = False
    """Count a context apart for each signed distance (hyperwords): the columns are (word, distance)."""
    oov_gap: Literal["drop", "keep"] = "drop"
    """Words outside the vocabulary: dropped before the window is laid, or kept as gaps in it."""
    subsample: Annotated[float | None, Above(0), Flag(alias=("--sample", "--sub"))] = None
    """Thin frequent words before the window is laid: of share f, √(t/f) + t/f are kept, as in word2vec; off unless given."""
    subsample_seed: Annotated[int, AtLeast(0)] = 1
    """Seed of `subsample`."""


@dataclass(frozen=True)
class UniformCountOptions(CountOptions):
    """The same for a model that is usually trained on unweighted counts."""

    window_weight: Literal["harmonic", "uniform", "dynamic"] = "uniform"
    """Weight of distance k: `uniform` 1, `harmonic` 1/k, `dynamic` (window-k+1)/window."""

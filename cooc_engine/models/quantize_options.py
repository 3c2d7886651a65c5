"""Options of quantising a model, by the names of fastText's program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cooc_engine.runtime.options import AtLeast, Options

__all__ = ["QuantizeOptions"]


@dataclass(frozen=True)
class QuantizeOptions(Options):
    """How a model is made small."""

    dsub: Annotated[int, AtLeast(1)] = 2
    """Components of a vector that one byte stands for."""
    qnorm: bool = False
    """Quantise the lengths of vectors apart from their directions, for one more byte per vector."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the first centroids."""

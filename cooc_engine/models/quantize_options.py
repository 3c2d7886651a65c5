"""Options for quantising a model, named as in fastText's program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import Above, AtLeast, Flag, Options

__all__ = ["QuantizeOptions"]


@dataclass(frozen=True)
class QuantizeOptions(Options):
    """How a model is quantised."""

    dsub: Annotated[int, AtLeast(1)] = 2
    """Number of components of a vector that one byte represents."""
    qnorm: bool = False
    """Quantise the lengths of vectors separately from their directions, with one more byte per vector."""
    qout: bool = False
    """Quantise the output vectors of a classifier too."""
    cutoff: Annotated[int, AtLeast(0)] = 0
    """Keep only this many of the words and n-grams of a classifier, those with the longest vectors; 0 keeps all."""
    retrain: str | None = None
    """With --cutoff: a text, or its corpus, on which the remaining rows are retrained before they are quantised."""
    epochs: Annotated[int, AtLeast(1), Flag(alias=("--epoch",))] = 5
    """With --retrain: number of passes over the text."""
    lr: Annotated[float, Above(0)] = 0.05
    """With --retrain: initial learning rate, which decays linearly to 0."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the first centroids."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for retraining a model that is not pruned, and for options of retraining without a text."""
        super().__post_init__()
        for name in ("epochs", "lr"):
            if self.retrain is None and getattr(self, name) != getattr(type(self), name):
                raise UsageError(f"--{name} is for --retrain; pass --retrain too, or leave it out")
        if self.retrain is not None and not self.cutoff:
            raise UsageError("--retrain trains what --cutoff has kept; pass --cutoff too")

"""Types of options that most families have, with the names that other programs give them."""

from __future__ import annotations

from typing import Annotated

from cooc_engine.runtime.options import Above, AtLeast, Flag

__all__ = ["Clip", "Epochs", "LearningRate", "VectorSize"]

VectorSize = Annotated[int, AtLeast(1), Flag(alias=("--dim", "--dims", "--size"))]
Epochs = Annotated[int, AtLeast(1), Flag(alias=("--epoch", "--iter", "--iterations"))]
LearningRate = Annotated[float, Above(0), Flag(alias=("--eta", "--learning-rate"))]
Clip = Annotated[float | None, Above(0), Flag(alias=("--grad-clip", "--grad-clip-value"))]

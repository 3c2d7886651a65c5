"""Offsets: where each part of a flat array begins, and where the last one ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cooc_engine.runtime.types import Offsets

__all__ = ["offsets_of"]


def offsets_of(sizes: npt.ArrayLike) -> Offsets:
    """Return the offsets (n + 1,) of n consecutive parts of these sizes: 0, and then the cumulative sums."""
    offsets = np.zeros(np.size(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets

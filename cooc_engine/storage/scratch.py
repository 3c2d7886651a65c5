"""Matrices as kernels want them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Matrix", "aligned_zeros"]

Matrix = npt.NDArray[np.float32]

LINE = 64  # bytes of a cache line


def aligned_zeros(rows: int, columns: int) -> Matrix:
    """Return a matrix of zeros that begins at a cache line."""
    raw = np.zeros(rows * columns + LINE // 4, np.float32)
    skip = -raw.ctypes.data % LINE // 4
    return raw[skip : skip + rows * columns].reshape(rows, columns)

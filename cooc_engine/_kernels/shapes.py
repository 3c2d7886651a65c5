"""Sizes on which kernels and those who lay out their arrays agree; whoever needs only these loads no kernel."""

from __future__ import annotations

PANEL = 32  # columns of a dense matrix that lie together
CENTROIDS = 256  # of each part of quantised vectors, one for each value of a byte

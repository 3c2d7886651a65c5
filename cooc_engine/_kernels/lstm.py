"""The elementwise part of an LSTM step, forward and backward; the products around it are the caller's.

i, j, f, o = the four blocks of the sum of a and b
c ← clip(σ(f + 1) c + σ(i) tanh(j), ±clip);  m = σ(o) tanh(c)
"""

from __future__ import annotations

from numba import float32, uint64, void

from cooc_engine._kernels.functions import tanh
from cooc_engine._kernels.jit import array, kernel, out


@kernel(
    void(
        out(float32, 2), array(float32, 2), array(float32, 2), out(float32, 2), out(float32, 2), out(float32, 2), float32
    ),
    fast=True,
)  # fmt: skip
def step_cells(gates, added, before, after, squashed, made, clip):
    """Compute the cells of a step, for each row.

    gates (B, 4 C) is added to `added` and becomes the values of the gates; before, after, squashed, made (B, C): the cells,
    their tanh, and what is projected.
    """
    rows, cells = before.shape[0], uint64(before.shape[1])
    for r in range(rows):  # in loops of few arrays each: one loop for all does not vectorise, and takes five times as long
        for k in range(4 * cells):
            gates[r, k] += added[r, k]
        for k in range(2 * cells, 3 * cells):
            gates[r, k] += float32(1)
        for k in range(4 * cells):
            half = k < cells or k >= 2 * cells  # σ(x) = 1/2 + 1/2 tanh(x / 2)
            scale, shift = float32(0.5) if half else float32(1), float32(0.5) if half else float32(0)
            gates[r, k] = shift + scale * tanh(scale * gates[r, k])
        for k in range(cells):
            c = gates[r, 2 * cells + k] * before[r, k] + gates[r, k] * gates[r, cells + k]
            after[r, k] = min(max(c, -clip), clip)
        for k in range(cells):
            squashed[r, k] = tanh(after[r, k])
        for k in range(cells):
            made[r, k] = gates[r, 3 * cells + k] * squashed[r, k]


@kernel(
    void(
        array(float32, 2), array(float32, 2), array(float32, 2), array(float32, 2), array(float32, 2), out(float32, 2),
        out(float32, 2), float32,
    ),
    fast=True,
)  # fmt: skip
def unstep_cells(gates, before, after, squashed, made, cells, sums, clip):
    """Compute the gradient of a step from that of what was projected, `made`, and of the cells after it, `cells`.

    `cells` becomes the gradient of the cells before the step, `sums` (B, 4 C) that of the sums of the gates. A clipped cell
    passes no gradient. The other arrays are those of `step_cells`.
    """
    rows, n = before.shape
    for r in range(rows):
        for k in range(n):
            i, j, f, o = gates[r, k], gates[r, n + k], gates[r, 2 * n + k], gates[r, 3 * n + k]
            t, d, one = squashed[r, k], made[r, k], float32(1)
            inside = one if abs(after[r, k]) < clip else float32(0)
            e = (cells[r, k] + d * o * (one - t * t)) * inside
            sums[r, k] = e * j * i * (one - i)
            sums[r, n + k] = e * i * (one - j * j)
            sums[r, 2 * n + k] = e * before[r, k] * f * (one - f)
            sums[r, 3 * n + k] = d * t * o * (one - o)
            cells[r, k] = e * f

"""The elementwise part of an LSTM step, forward and backward; the products around it are the caller's.

i, j, f, o = the four blocks of the sum of a and b
c ← clip(σ(f + 1) c + σ(i) tanh(j), ±clip);  m = σ(o) tanh(c)
"""

from __future__ import annotations

from numba import float32, void

from cooc_engine._kernels.jit import array, helper, kernel, out

BOUND = float32(7.9)  # beyond it tanh is 1 in float32


@helper
def tanh(x):
    """Return the hyperbolic tangent within a few units of the last place: a quotient of polynomials, which vectorises."""
    x = min(max(x, -BOUND), BOUND)
    s = x * x
    n = float32(-2.76076847742355e-16) * s + float32(2.00018790482477e-13)
    n = n * s + float32(-8.60467152213735e-11)
    n = n * s + float32(5.12229709037114e-08)
    n = n * s + float32(1.48572235717979e-05)
    n = n * s + float32(6.37261928875436e-04)
    n = n * s + float32(4.89352455891786e-03)
    d = float32(1.19825839466702e-06) * s + float32(1.18534705686654e-04)
    d = d * s + float32(2.26843463243900e-03)
    d = d * s + float32(4.89352518554385e-03)
    return n * x / d


@helper
def logistic(x):
    """Return 1 / (1 + exp(-x))."""
    return float32(0.5) + float32(0.5) * tanh(float32(0.5) * x)


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
    rows, cells = before.shape
    for r in range(rows):
        for k in range(cells):
            i = logistic(gates[r, k] + added[r, k])
            j = tanh(gates[r, cells + k] + added[r, cells + k])
            f = logistic(gates[r, 2 * cells + k] + added[r, 2 * cells + k] + float32(1))
            o = logistic(gates[r, 3 * cells + k] + added[r, 3 * cells + k])
            c = min(max(f * before[r, k] + i * j, -clip), clip)
            t = tanh(c)
            gates[r, k], gates[r, cells + k], gates[r, 2 * cells + k], gates[r, 3 * cells + k] = i, j, f, o
            after[r, k], squashed[r, k], made[r, k] = c, t, o * t


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

"""Slow and obvious twins of importing: plain Python, unbounded integers."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

MASK = 2**64 - 1


def whole(count: float, denominator: int, tolerance: float) -> int | None:
    """A count times the denominator, or None if that is not an integer that fits into 63 bits."""
    if not 0 <= count < float("inf"):
        return None
    exact = Fraction(count * denominator) if count * denominator < float("inf") else Fraction(2**70)
    value = round(exact)
    return value if value < 2**63 and abs(exact - value) <= Fraction(tolerance) * max(value, 1) else None


def mix64(x: int) -> int:
    """The output of SplitMix64 for the state before x's increment."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fingerprint(entries: Iterable[tuple[int, int, int]]) -> int:
    return sum(value * mix64(row << 32 | column) for row, column, value in entries) & MASK


def added(entries: Iterable[tuple[int, int, int]]) -> dict[tuple[int, int], int]:
    """The matrix of the entries, with duplicates added up."""
    matrix: dict[tuple[int, int], int] = {}
    for row, column, value in entries:
        if value:
            matrix[row, column] = matrix.get((row, column), 0) + value
    return matrix

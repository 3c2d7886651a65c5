"""CRC-32 as zlib computes it: by zlib-ng, some ten times faster, which xopen brings on most machines, or else by zlib."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32", "crc32_ahead", "crc32_joined", "crc32_of"]

POLYNOMIAL = 0xEDB88320  # of CRC-32, its highest power in the lowest bit, as in all numbers below
PIECE = 1 << 20  # bytes of a file that are in memory at a time


def crc32_of(path: Path, size: int) -> int:
    """Return the CRC-32 of the first `size` bytes of a file, or of all of it if it has fewer."""
    with path.open("rb") as file:
        return crc32_ahead(file, size)


def crc32_ahead(file: BinaryIO, size: int, crc: int = 0) -> int:
    """Return the CRC-32 of some bytes, whose own is `crc`, followed by the next `size` bytes of a file, or all it has."""
    while piece := file.read(min(size, PIECE)):
        crc, size = crc32(piece, crc), size - len(piece)
    return crc


def crc32_joined(first: int, second: int, size: int) -> int:
    """Return the CRC-32 of bytes followed by `size` others, given that of both: first · x^(8 · size) + second."""
    power, shift = 1 << 30, 1 << 31  # x, and x^0
    bits = 8 * size
    while bits:
        if bits & 1:
            shift = _product(shift, power)
        power, bits = _product(power, power), bits >> 1
    return _product(first, shift) ^ second


def _product(a: int, b: int) -> int:
    """Return the product of two polynomials modulo that of CRC-32."""
    product = 0
    for place in range(31, -1, -1):
        if a >> place & 1:
            product ^= b
        b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)
    return product

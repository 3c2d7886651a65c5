"""CRC-32 as zlib computes it: by zlib-ng, some ten times faster, which xopen brings on most machines, or else by zlib."""

from __future__ import annotations

from pathlib import Path

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32", "crc32_of"]

PIECE = 1 << 20  # bytes of a file that are in memory at a time


def crc32_of(path: Path, size: int) -> int:
    """Return the CRC-32 of the first `size` bytes of a file, or of all of it if it has fewer."""
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(min(size, PIECE)):
            crc, size = crc32(piece, crc), size - len(piece)
    return crc

"""CRC-32 as zlib computes it: by zlib-ng, some ten times faster, which xopen brings on most machines, or else by zlib."""

from __future__ import annotations

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]

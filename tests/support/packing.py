"""Compression with checksums, by the name of the format; Zstandard's is not written unless it is asked for."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def zst(data: bytes) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


COMPRESS = {"gz": lambda data: gzip.compress(data, mtime=0), "bz2": bz2.compress, "xz": lzma.compress, "zst": zst}


def flipped(data: bytes, bit: int) -> bytes:
    """Return data in which one bit is another."""
    found = bytearray(data)
    found[bit // 8] ^= 1 << bit % 8
    return bytes(found)

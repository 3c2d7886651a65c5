"""Shards: the words of a corpus as int32 ids, memory-mapped, with document offsets.

A shard is two files: `tokens-NNNNN.bin` holds the ids, -1 for words outside the vocabulary, and `documents-NNNNN.bin` the
offsets, where document d is ids[offsets[d]:offsets[d + 1]]. No document is split between shards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError
from cooc_engine.storage.arrays import load_array, open_array

__all__ = ["SHARD_TOKENS", "Shard", "documents_path", "load_shard", "open_shard", "tokens_path"]

PIECE = 1 << 16  # documents checked at a time
SHARD_TOKENS = 1 << 26  # 256 MiB of ids; a longer document makes a longer shard


@dataclass(frozen=True)
class Shard:
    """A shard: ids (tokens,) int32, -1 if unknown; offsets (documents + 1,) int64; both mapped and read-only."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]


def tokens_path(directory: Path, number: int) -> Path:
    """Return the file of a shard's ids."""
    return directory / f"tokens-{number:05d}.bin"


def documents_path(directory: Path, number: int) -> Path:
    """Return the file of a shard's document offsets."""
    return directory / f"documents-{number:05d}.bin"


def open_shard(directory: Path, number: int) -> Shard:
    """Open a shard whose values were checked before: only headers and sizes are checked again."""
    return Shard(open_array(tokens_path(directory, number), np.int32), open_array(documents_path(directory, number), np.int64))


def load_shard(directory: Path, number: int, words: int) -> Shard:
    """Open a shard and check its checksums, offsets, and that ids are below `words`; raises `FormatError` naming the file."""
    ids = load_array(tokens_path(directory, number), np.int32)
    offsets = load_array(documents_path(directory, number), np.int64)
    fall = any((np.diff(offsets[at : at + PIECE + 1]) < 0).any() for at in range(0, len(offsets), PIECE))
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or fall:
        raise FormatError(
            f"{documents_path(directory, number)}: offsets do not fit the shard's {len(ids)} tokens; build it again"
        )
    if len(ids) and (int(ids.max()) >= words or int(ids.min()) < -1):
        raise FormatError(f"{tokens_path(directory, number)}: an id is outside the vocabulary of {words} words; build it again")
    return Shard(ids, offsets)

"""Shards: the words of a corpus as int32 ids, memory-mapped, with document offsets.

A shard is two files: `tokens-NNNNN.bin` holds the ids, -1 for words outside the vocabulary, and `documents-NNNNN.bin` the
offsets, where document d is ids[offsets[d]:offsets[d + 1]]. No document is split between shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.storage.arrays import ArrayFiles, Bound
from cooc_engine.storage.relations import check_offsets, check_within

__all__ = ["SHARD_TOKENS", "Shard", "kept_shard", "load_shard", "open_shard", "shard_files"]

SHARD_TOKENS = 1 << 26  # 256 MiB of ids; a longer document makes a longer shard


@dataclass(frozen=True)
class Shard:
    """A shard: ids (tokens,) int32, -1 if unknown; offsets (documents + 1,) int64; both mapped and read-only."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]


def shard_files(number: int) -> dict[str, type[np.signedinteger[Any]]]:
    """Return the names of the files of a shard, and the types of their values."""
    return {f"tokens-{number:05d}.bin": np.int32, f"documents-{number:05d}.bin": np.int64}


def kept_shard(number: int, files: Mapping[str, Bound]) -> dict[str, Bound]:
    """Return those of the recorded files that belong to a shard."""
    return {name: files[name] for name in shard_files(number) if name in files}


def open_shard(files: ArrayFiles, number: int) -> Shard:
    """Open a shard whose values were checked before: only headers and sizes are checked again."""
    return Shard(*(files.open(name, kind) for name, kind in shard_files(number).items()))


def load_shard(files: ArrayFiles, number: int, sizes: tuple[int, int], words: int) -> Shard:
    """Open a shard, whose `sizes` are its numbers of tokens and documents, and verify it.

    Raises `FormatError`, naming the file, if a checksum differs, offsets fall, or an id is not below `words`.
    """
    (ids_name, offsets_name), (tokens, documents) = shard_files(number), sizes
    shard = Shard(files.load(ids_name, np.int32, tokens), files.load(offsets_name, np.int64, documents + 1))
    check_offsets(shard.offsets, tokens, f"{files.directory / offsets_name}")
    check_within(shard.ids, -1, words, f"{files.directory / ids_name}")
    return shard

"""Counts made by other programs: their vocabulary, re-ranked by count, and the options that they were counted with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.directory import CoocManifest
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.runtime.types import WordIds

__all__ = ["ForeignCounts", "refuse_positional"]


@dataclass(frozen=True)
class ForeignCounts:
    """Fields that all foreign counts share; `ranks[i]` is our row of their word i, None if the order is the same."""

    name: str
    vocabulary: Vocabulary
    options: CountOptions
    ranks: WordIds | None
    origin: Mapping[str, Any]
    manifest: CoocManifest | None = None

    @property
    def denominator(self) -> int:
        """The common denominator by which counts are multiplied to become integers."""
        return self.options.denominator

    def ranked(self, rows: WordIds, columns: WordIds) -> tuple[WordIds, ...]:
        """Return rows and columns in our numbering, -1 for anything outside the vocabulary."""
        if self.ranks is None:
            return rows, columns
        return tuple(np.where(self._known(part), self.ranks.take(part, mode="clip"), np.int32(-1)) for part in (rows, columns))

    def _known(self, part: WordIds) -> npt.NDArray[np.bool_]:
        return (part >= 0) & (part < len(self.vocabulary))


def refuse_positional(options: CountOptions) -> None:
    """Raise `UsageError` for positional options: files of other programs have one column per word."""
    if options.positional:
        raise UsageError("--positional: counts of other programs cannot be positional; leave it out")

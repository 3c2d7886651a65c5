"""Counts made by other programs: their vocabulary, re-ranked by count, and the options that they were counted with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.directory import CoocManifest
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.runtime.types import WordIds

__all__ = ["ForeignCounts", "refuse_positional"]


@dataclass(frozen=True)
class ForeignCounts:
    """Fields that all foreign counts share; `ranks[i]` is our row of their word i, None if the order is the same.

    Where columns have names of their own, these are `column_names`, and `column_ranks[i]` is our column of theirs.
    """

    name: str
    vocabulary: Vocabulary
    options: CountOptions
    ranks: WordIds | None
    origin: Mapping[str, Any]
    manifest: CoocManifest | None = None
    column_names: Vocabulary | None = None
    column_ranks: WordIds | None = None

    @property
    def denominator(self) -> int:
        """The common denominator by which counts are multiplied to become integers."""
        return self.options.denominator

    def ranked(self, rows: WordIds, columns: WordIds) -> tuple[WordIds, ...]:
        """Return rows and columns in our numbering, -1 for anything outside the vocabulary."""
        others = self.ranks if self.column_names is None else self.column_ranks
        return _renumbered(rows, self.ranks), _renumbered(columns, others)


def _renumbered(numbers: WordIds, ranks: WordIds | None) -> WordIds:
    if ranks is None:
        return numbers
    known = (numbers >= 0) & (numbers < len(ranks))
    return np.where(known, ranks.take(numbers, mode="clip"), np.int32(-1))


def refuse_positional(options: CountOptions) -> None:
    """Raise `UsageError` for positional options: files of other programs have one column per word."""
    if options.positional:
        raise UsageError("--positional: counts of other programs cannot be positional; leave it out")

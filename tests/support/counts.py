"""Counts of a handful of documents and all that their directories hold; strategies that draw them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import from_coo
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions

TEXTS = [["a", "b", "a", "c", "d"], ["b", "c"], ["d"] * 6]
SLOW = settings(deadline=None, max_examples=25)
texts_of = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), min_size=1, max_size=9).filter(any)
sides = st.sampled_from(["both", "left", "right"])
weights = st.sampled_from(["harmonic", "uniform", "dynamic"])
options_of = st.builds(CountOptions, window=st.integers(1, 12), window_weight=weights, context_side=sides)


def counted(texts, at: Path, options: CountOptions) -> Cooc:
    at.mkdir(exist_ok=True)
    (at / "text.txt").write_text("".join(" ".join(text) + "\n" for text in texts))
    return count(encode(at / "text.txt", at / "corpus", EncodeOptions(min_count=1, reserved="keep")), at / "cooc", options)


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def bodies(path: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(path).items() if name != "manifest.json"}


def integers(cooc: Cooc) -> dict[tuple[int, int], int]:
    """All entries as the integers on the disk; columns must rise within a row, and no entry be 0."""
    found: dict[tuple[int, int], int] = {}
    for block in cooc.blocks:
        columns, values = cooc.block_integers(block)
        starts = (cooc.row_offsets[block.first : block.last + 1] - cooc.row_offsets[block.first]).tolist()
        for row, (a, b) in enumerate(itertools.pairwise(starts), block.first):
            assert (np.diff(columns[a:b]) > 0).all()
            found |= {(row, c): v for c, v in zip(columns[a:b].tolist(), values[a:b].tolist(), strict=True)}
    assert 0 not in found.values()
    return found


def exact(cooc: Cooc) -> dict[tuple[int, int], Fraction]:
    return {place: Fraction(value, cooc.denominator) for place, value in integers(cooc).items()}


def cut_by(patch: pytest.MonkeyPatch, run: int) -> None:
    """Let a run have so many entries, whatever the budget."""
    of = from_coo._Allotment.of.__func__

    def small(cls, *given):
        room = of(cls, *given)
        return cls(room.threads, room.columns, 7, run, room.plan)

    patch.setattr(from_coo._Allotment, "of", classmethod(small))

"""A million records with what they make, and small pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cooc_engine.counts import directory, from_coo
from cooc_engine.counts.options import CountOptions
from cooc_engine.formats.glove_counts import RECORD, import_glove


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A million records in no order, of 3000 words, and what they make without a budget."""
    at, random = tmp_path_factory.mktemp("large"), np.random.default_rng(4)
    records = np.empty(1_000_000, RECORD)
    records["row"], records["column"] = (np.minimum(random.zipf(1.3, len(records)), 3000) for _ in range(2))
    records["count"] = random.integers(1, 9, len(records)) / 2
    records.tofile(at / "records")
    (at / "vocab").write_text("".join(f"w{i} {9000 - i}\n" for i in range(3000)))
    import_glove(at / "records", at / "vocab", at / "whole", CountOptions(context_side="right"))
    return at


@pytest.fixture
def small_pieces(monkeypatch) -> None:
    """Several chunks, tasks and blocks, even for a handful of entries."""
    monkeypatch.setattr(from_coo, "CHUNK", 16)
    monkeypatch.setattr(from_coo, "TASK_ENTRIES", 20)
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 6)

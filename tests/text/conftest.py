"""A directory for each test of text, which holds a module of functions."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tokenizing import FUNCTIONS


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Every test works in a directory of its own, which holds a module of functions."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FUNCTIONS)

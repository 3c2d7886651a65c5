"""The stubs are those that scripts/stubs.py makes, so editors and type checkers know each option as it is."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "stubs.py"


def stubs():
    spec = importlib.util.spec_from_file_location("stubs", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", ["train.pyi", "text_estimators.pyi", "text_to_counts.pyi"])
def test_stubs_are_up_to_date(file):
    made = stubs().STUBS[file]()
    assert (stubs().PIPELINE / file).read_text("utf-8") == made, "run: python scripts/stubs.py"
    assert ast.parse(made)

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of shared data: beside the checkout, or where COOC_SHARED says."""
    path = Path(os.environ.get("COOC_SHARED") or Path(__file__).parents[1] / ".." / "shared").resolve()
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    return path

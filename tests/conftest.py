"""What several files of tests need: the data that stands beside the checkout, and Ctrl-C for the programs that they start."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("COOC_SHARED") or Path(__file__).resolve().parents[2] / "shared")

# A shell starts what runs in the background with SIGINT ignored, and so would everything be that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"needs {SHARED}"))


@pytest.fixture(scope="session")
def client():
    """A cluster of two workers on this machine; a test that uses it is marked `cluster`."""
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of shared data; a test that uses it is marked `shared`."""
    return SHARED

"""What several files of tests need: the data that stands beside the checkout, and Ctrl-C for the programs that they start."""

from __future__ import annotations

import gc
import importlib
import os
import signal
from pathlib import Path

import pytest

from cooc_engine._kernels import later
from cooc_engine.runtime.progress import open_progress
from cooc_engine.runtime.warming import warm

SHARED = Path(os.environ.get("COOC_SHARED") or Path(__file__).resolve().parents[2] / "shared")

# A shell starts what runs in the background with SIGINT ignored, and so would everything be that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Files that take longest, the longest first: begun last, one of them would keep one core busy while the others are idle.
LONG = [
    "test_faults.py", "test_fuzz.py", "test_contract.py", "test_claims.py", "test_encode.py", "test_docs.py", "test_streams.py",
    "test_interruption.py", "test_word2vec.py", "test_workers.py", "test_documents.py", "test_compression.py", "test_grid.py",
]  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist would begin with the files that have most tests


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("numprocesses", None):  # several processes would all compile all kernels
        warm(open_progress("lines"))
    else:
        gc.disable()  # until everything is imported


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is imported is no garbage, and takes long to look through: that is not done again during the tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several processes
        rank = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(item.path.name, len(LONG)))
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"needs {SHARED}"))


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """No test waits for kernels to be loaded: examples of Hypothesis have deadlines, and others measure memory."""
    for name in later.__all__:
        importlib.import_module(f"{later.__package__}.{name}")


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

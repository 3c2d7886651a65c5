"""Temporary directories: each is there while it is used, and what a killed process left goes with the next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from cooc_engine.storage.temporary import temporary_directory

KILLED = """
import os, signal
from cooc_engine.storage.temporary import temporary_directory
with temporary_directory() as home:
    (home / "corpus").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_what_a_killed_process_left_goes_and_what_is_used_stays(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    [left] = tmp_path.iterdir()
    assert left.name.startswith(f"cooc-engine-{os.getuid()}-") and (left / "corpus").is_dir()
    with temporary_directory() as first, temporary_directory() as second:
        assert {*tmp_path.iterdir()} == {first, second}
        assert [path.name for path in first.iterdir()] == ["lock"]
    assert not [*tmp_path.iterdir()]


def test_what_is_not_locked_like_ours_stays(tmp_path, monkeypatch):
    name = f"cooc-engine-{os.getuid()}-"
    (tmp_path / f"{name}no-lock").mkdir()
    (tmp_path / f"{name}file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "lock").touch()
    (tmp_path / f"{name}link").symlink_to(tmp_path / "elsewhere")
    before = {*tmp_path.rglob("*")}
    with temporary_directory():
        pass
    assert {*tmp_path.rglob("*")} == before
    with temporary_directory() as ours:
        shutil.copytree(ours, tmp_path / f"{name}theirs")
        before = {*tmp_path.rglob("*")}
        monkeypatch.setattr(os, "getuid", lambda: ours.stat().st_uid + 1)
        with temporary_directory() as other:
            assert {*tmp_path.rglob("*")} == before | {other, other / "lock"}

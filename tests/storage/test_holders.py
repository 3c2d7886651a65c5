"""Runs on other machines: one at work is not disturbed, one that was killed is taken over when that is asked for."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time

import pytest

from cooc_engine.errors import UsageError
from cooc_engine.storage import holders
from cooc_engine.storage.holders import held
from cooc_engine.storage.locks import locked
from cooc_engine.storage.outputs import building

PLAN = {"kind": "cooc"}


def left_by(host: str, at, ago: float):
    """What a run on a host left that was killed so many seconds ago."""
    work = at / "out.part"
    work.mkdir()
    (work / "plan.json").write_text(json.dumps(PLAN))
    (work / "lock").write_text(json.dumps({"host": host, "pid": 7}))
    (work / "done.bin").write_bytes(b"1")
    os.utime(work / "lock", (time.time() - ago,) * 2)
    return work


@pytest.mark.parametrize("how", [{"resume": True}, {"resume": True, "take_over": True}, {"force": True}], ids=str)
def test_a_run_at_work_on_another_machine_is_not_disturbed(tmp_path, how):
    work = left_by("node7", tmp_path, 5)
    said = r"out: process 7 on node7 is working on it"
    with pytest.raises(UsageError, match=said), building(tmp_path / "out", PLAN, ("done.bin",), **how):
        raise AssertionError
    assert sorted(path.name for path in work.iterdir()) == ["done.bin", "lock", "plan.json"]


def test_a_run_that_was_killed_on_another_machine_is_taken_over(tmp_path):
    work = left_by("node7", tmp_path, 100)
    said = r"was working on it and was killed.* continue with resume=True and take_over=True"
    with pytest.raises(UsageError, match=said), building(tmp_path / "out", PLAN, ("done.bin",), resume=True):
        raise AssertionError
    with building(tmp_path / "out", PLAN, ("done.bin",), resume=True, take_over=True):
        assert (work / "done.bin").exists() and json.loads((work / "lock").read_text())["pid"] == os.getpid()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["done.bin"]


def test_a_run_of_this_machine_and_one_that_ended_in_order_need_no_word(tmp_path):
    work = left_by(socket.gethostname(), tmp_path, 5)
    with pytest.raises(KeyboardInterrupt), held(work / "lock", take_over=False):
        raise KeyboardInterrupt
    assert (work / "lock").read_bytes() == b""
    with held(work / "lock", take_over=False):
        pass


def test_the_lock_is_touched_while_its_holder_works(tmp_path, monkeypatch):
    monkeypatch.setattr(holders, "EVERY", 0.01)
    lock = tmp_path / "lock"
    with held(lock, take_over=False):
        os.utime(lock, (0, 0))
        end = time.monotonic() + 10
        while lock.stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_says_so(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UsageError, match=r"its file system has no locks .*mount it with flock"), locked(tmp_path / "lock"):
        pass


def test_one_thread_touches_all_locks(tmp_path):
    """Python waits without end for a thread for which there is no memory: the first lock begins the only one."""
    with held(tmp_path / "first", take_over=False):
        before = threading.active_count()
        with held(tmp_path / "second", take_over=False):
            assert threading.active_count() == before

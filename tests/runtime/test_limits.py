"""Limits of the process that are too low for the libraries."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading

import pytest
from support.command import assert_one_line

from cooc_engine.errors import ResourceError
from cooc_engine.runtime import limits


def test_too_little_address_space_is_told_before_a_library_dies_of_it():
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (100 << 20, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "cooc_engine", "similarity", "nowhere", "w1", "w2"]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=60)
    assert_one_line(done.returncode, done.stdout, done.stderr, 4, "100M of address space; raise ulimit -v, to 768M or more")


def test_threads_that_cannot_be_begun(monkeypatch):
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(limits, "usable_cores", lambda: 3)
    limits.check_limits()
    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(ResourceError, match="cannot begin 2 more threads; raise ulimit -u"):
        limits.check_limits()

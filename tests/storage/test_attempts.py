"""Two attempts at one task never share a file: who is believed lost may still write."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cooc_engine.storage import attempts
from cooc_engine.storage.attempts import attempt, attempt_name
from cooc_engine.storage.outputs import beside


def at_work(finals: list[Path], begun: threading.Barrier, go_on: threading.Event, names: list[str], text: str) -> None:
    with attempt(*finals) as suffix:
        names.append(suffix)
        for path in finals:
            beside(path, suffix).write_text(text[:1])
        begun.wait(10)
        assert go_on.wait(10)
        for path in finals:
            beside(path, suffix).write_text(text)


def test_two_attempts_at_once(tmp_path):
    """The first leaves whole files, and so does the second, which was slower."""
    finals, begun, names = [tmp_path / "columns", tmp_path / "rows"], threading.Barrier(3), list[str]()
    signals = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=at_work, args=(finals, begun, signal, names, "whole")) for signal in signals]
    for thread in threads:
        thread.start()
    begun.wait(10)
    assert len(set(names)) == 2 and len(list(tmp_path.iterdir())) == 4, "each has files of its own"
    for signal, thread in zip(signals, threads, strict=True):
        signal.set()
        thread.join(10)
        assert {path.name: path.read_text() for path in finals} == {"columns": "whole", "rows": "whole"}
    assert sorted(tmp_path.iterdir()) == sorted(finals)


def test_an_attempt_that_fails_leaves_what_another_has_finished(tmp_path):
    final = tmp_path / "rows"
    final.write_text("whole")
    with pytest.raises(ValueError, match="no"), attempt(final) as suffix:
        beside(final, suffix).write_text("half")
        raise ValueError("no")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_the_name_of_an_attempt_says_host_process_and_thread(monkeypatch):
    """Two machines may give their processes the same number; what a host is called need not be a name of a file."""
    here = attempt_name()
    monkeypatch.setattr(attempts.socket, "gethostname", lambda: "Node/7.cluster")
    there = attempt_name()
    assert there.startswith("node-7-cluster-") and there != here and there.split("-")[-2:] == here.split("-")[-2:]

"""What batch systems need: errors as JSON, signals that leave something to go on with, and logs."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import time
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line, copied

from cooc_engine.corpus import second_pass
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.runtime.interrupts import deferred_interrupt, interrupts


@pytest.fixture(autouse=True)
def attended():
    """SIGHUP is not ignored, even if the tests themselves run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("asked", [["--json"], ["--progress", "json"], ["--progress=json", "--json"]])
@pytest.mark.parametrize(
    "command, code, says",
    [
        (["count", "nosuch", "--output", "c"], 1, "nosuch: no such corpus"),
        (["count", "nosuch", "--output", "c", "--window", "0"], 2, "--window is 0"),
        (["encode", "nosuch", "--outptu", "c"], 2, "--outptu"),
    ],
)
def test_an_error_is_json_where_json_was_asked_for(call, asked, command, code, says):
    given, stdout, stderr = call(*command, *asked)
    lines = [json.loads(line) for line in stderr.splitlines()]
    assert given == code and stdout == ""
    assert lines[-1].keys() == {"error", "exit_code"} and lines[-1]["exit_code"] == code and says in lines[-1]["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_of_batch_systems_leave_what_is_finished(call, made, monkeypatch, number):
    copied(made, "text.txt")
    with monkeypatch.context() as patch:
        patch.setattr(second_pass, "write_shards", lambda *given: os.kill(os.getpid(), number))
        code, _, stderr = call("encode", "text.txt", "--output", "c", *QUIET)
    assert code == 130 and "c: interrupted; continue with --resume" in stderr
    assert signal.getsignal(number) == signal.SIG_DFL, "the handlers are there for the time of a command"
    assert call("encode", "text.txt", "--output", "c", "--resume", *QUIET)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_before_its_work_says_so(call, made, monkeypatch, number):
    """As while kernels are compiled."""
    copied(made, "cooc")
    monkeypatch.setattr("cooc_engine.counts.directory.Cooc.__init__", lambda *given: os.kill(os.getpid(), number))
    assert_one_line(*call("info", "cooc"), 130, "interrupted; what was finished is kept")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM])
def test_a_training_notes_signals_and_stops_at_the_next_step(number):
    with interrupts(), deferred_interrupt() as interrupted:
        os.kill(os.getpid(), number)
        assert interrupted()
        os.kill(os.getpid(), signal.SIGINT)  # another one, such as SIGTERM after SIGUSR1, does not hurry
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_a_signal_that_comes_within_a_finaliser_is_not_lost(capfd):
    class Stopping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # where Python calls the handler, if it has not yet

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupts():
        Stopping()
        time.sleep(60)
    assert time.monotonic() - begin < 30, "it wakes what sleeps"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_is_ignored_stays_so(number):
    """As by `nohup`, and by a shell for what it runs with &."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with interrupts(), deferred_interrupt() as interrupted:
            os.kill(os.getpid(), number)
            assert not interrupted()
    finally:
        signal.signal(number, before)


def test_stages_are_logged(made, tmp_path, caplog):
    copied(made, "text.txt")
    with caplog.at_level(logging.INFO, "cooc_engine"):
        encode("text.txt", tmp_path / "c", EncodeOptions(min_count=1))
    told = [record.getMessage() for record in caplog.records if record.name == "cooc_engine"]
    assert told[0] == "tokenize: begins" and any(line.startswith("tokenize: 100 %") for line in told)
    assert Path(tmp_path / "c").exists()


def test_the_result_of_a_job_names_its_directory(call, made):
    copied(made, "text.txt")
    Path("job.toml").write_text('output = "work"\n[encode]\ntexts = ["text.txt"]\n')
    code, stdout, _ = call("run", "job.toml", *QUIET)
    assert code == 0 and stdout.startswith("work: finished, ")
    code, stdout, _ = call("run", "job.toml", "--json", *QUIET)
    assert code == 0
    assert {key: json.loads(stdout)[key] for key in ("output", "job")} == {"output": "work", "job": "job.toml"}


@pytest.mark.parametrize("before", [[], ["--resume"]])
def test_resuming_what_is_finished_keeps_it_and_says_so(call, made, before):
    """As a script that is queued again does, which always says --resume."""
    for name in ("text.txt", "corpus", "cooc"):
        copied(made, name)
    quick = ["--vector-size", "4", "--epochs", "1"]
    for command, output, changed, said in (
        (["encode", "text.txt", "--output", "c"], Path("c/manifest.json"), ["--lowercase"], "--lowercase (false, now true)"),
        (["count", "corpus", "--output", "n"], Path("n/manifest.json"), ["--window", "3"], "--window (10, now 3)"),
        (["train", "glove", "cooc", "--output", "m.h5", *quick], Path("m.h5"), ["--seed", "9"], "--seed (1, now 9)"),
        (["train", "cbow", "text.txt", "--output", "s.h5", *quick], Path("s.h5"), ["--seed", "9"], "--seed (1, now 9)"),
    ):
        assert call(*command, *before, *QUIET)[0] == 0
        stamp = output.stat().st_mtime_ns
        code, stdout, stderr = call(*command, "--resume", "--progress", "lines")
        name = output.parent if output.name == "manifest.json" else output
        assert code == 0 and f"{name}: is finished, and kept" in stderr and stdout.startswith(f"{name}: ")
        assert output.stat().st_mtime_ns == stamp
        code, _, stderr = call(*command, *changed, "--resume", "--progress", "lines")
        assert "kept" not in stderr, "what is refused is not kept"
        assert code == 2 and f"{name}: was made with different {said}; pass --force to replace it (" in stderr


def test_a_table_is_not_taken_for_a_text_silently(call):
    Path("d.csv").write_text("id,text\n" + "1,a b\n" * 9)
    encode = ["encode", "d.csv", "--output", "c", "--min-count", "1"]
    assert "warning: d.csv: looks like a table, and all its columns are read as text" in call(*encode)[2]
    stderr = call(*encode, "--doc-id-column", "1", "--force", *QUIET)[2]
    assert stderr.rstrip().endswith("Ids of documents are in columns separated by tabs, not commas.")


def test_what_force_throws_away_is_said_before(call, made):
    """The size of an output, and of a model the time that it took; what an interrupted run left is discarded too."""
    for name in ("text.txt", "model.h5", "cooc"):
        copied(made, name)
    Path("model.h5.checkpoint").write_bytes(b"12345")
    train = ["train", "glove", "cooc", "--output", "model.h5", "--vector-size", "8", "--epochs", "3"]
    from_text = [{"cooc": "text.txt"}.get(word, word) for word in train]
    for command in (train, from_text):
        assert re.search(r"replace it \([\d.]+K that took [\d.]+ s to train\)$", call(*command, *QUIET)[2])
    told = call(*train, "--force")[2].splitlines()
    assert re.fullmatch(r"model.h5: will be replaced \([\d.]+K that took [\d.]+ s to train\)", told[0])
    assert told[1] == "model.h5.checkpoint: was left by an interrupted run and is discarded (5 B)"
    encode = ["encode", "text.txt", "--output", "c", "--min-count", "1"]
    call(*encode)
    assert re.search(r"c: exists; pass --force to replace it \([\d.]+K\)$", call(*encode)[2])
    told = call(*encode, "--force")[2].splitlines()
    assert re.match(r"c: will be replaced \([\d.]+K\)$", told[0]) and "interrupted" not in told[1]
    assert "interrupted" not in call("encode", "text.txt", "--output", "new", "--force")[2]

"""Commands that are interrupted, killed, run twice or out of memory: what they say, what they leave, how they go on."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line, left, make_text

import cooc_engine
from cooc_engine.cli.app import main
from cooc_engine.corpus import second_pass
from cooc_engine.models.file import open_model


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """A text on which every stage takes longer than a signal does, beside its corpus and its counts."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    make_text(path, 600_000, 900)
    for verb, source, output in (("encode", path, "corpus"), ("count", path.with_name("corpus"), "cooc")):
        assert main([verb, str(source), "--output", str(path.with_name(output)), *QUIET]) == 0
    return path


def start(*arguments: object, says: str) -> subprocess.Popen:
    """Start a command and wait until its progress says something."""
    command = [sys.executable, "-m", "cooc_engine", *map(str, arguments), "--progress", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if says in line:
            return process
    raise AssertionError(f"it ended before {says!r}: {process.wait()}")


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Wait for the end of a command; what `start` has read ahead is read on."""
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    try:
        with process:
            records = map(json.loads, process.stderr.read().splitlines())
            lines = [f"cooc-engine: {record['error']}" for record in records if "error" in record]
    finally:
        watchdog.cancel()
    return process.returncode, lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_goes_on_with_the_same_bits(call, text, number):
    train = ["train", "glove", text.with_name("cooc"), "--output", "m.h5", "--vector-size", 20, "--epochs", 30]
    process = start(*train, says='"stage": "train"')
    process.send_signal(number)
    code, lines = finish(process)
    assert code == 130, lines
    assert len(lines) == 1 and lines[0].startswith("cooc-engine: m.h5.checkpoint: interrupted in epoch ")
    assert lines[0].endswith("; continue with --resume")
    assert left() == ["m.h5.checkpoint"]
    assert_one_line(*call(*train), 2, "m.h5.checkpoint: left by an interrupted run; pass --resume")
    assert_one_line(
        *call(*train, "--lr", 0.01, "--resume", *QUIET), 2, "begun with different --lr (0.05, now 0.01); pass --force"
    )
    assert call(*train, "--resume", "--threads", 1, *QUIET)[0] == 0
    assert left() == ["m.h5"]
    whole = [word if word != "m.h5" else "whole.h5" for word in train]
    assert call(*whole, *QUIET)[0] == 0
    resumed, straight = open_model("m.h5", verify=True), open_model("whole.h5")
    assert all(resumed.array(name).tobytes() == straight.array(name).tobytes() for name in straight.names)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in straight.history]


def test_training_on_text_that_is_interrupted_keeps_its_counts(call, text):
    train = ["train", "glove", text, "--output", "m.h5", "--vector-size", 20, "--epochs", 30]
    process = start(*train, says='"stage": "train"')
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert left() == ["m.h5.checkpoint", "m.h5.work"]
    stamp = Path("m.h5.work/cooc/manifest.json").stat().st_mtime_ns
    assert_one_line(*call(*train), 2, "m.h5.work: left by an interrupted run; pass --resume")
    assert_one_line(
        *call(*train, "--lr", 0.01, "--resume", *QUIET), 2, "begun with different --lr (0.05, now 0.01); pass --force"
    )
    assert Path("m.h5.work/cooc/manifest.json").stat().st_mtime_ns == stamp
    assert call(*train, "--resume", *QUIET)[0] == 0
    assert left() == ["m.h5"]


@pytest.mark.parametrize("stage", ["tokenize", "lay out", "deal tiles", "train"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_anywhere_nothing_looks_whole_and_resuming_works(call, text, stage, number):
    train = [
        "train",
        "glove",
        text,
        "--output",
        "m.h5",
        "--vector-size",
        4,
        "--epochs",
        60,
        "--window",
        3,
    ]
    process = start(*train, says=f'"stage": "{stage}"')
    process.send_signal(number)
    code, lines = finish(process)
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL), lines
    assert not Path("m.h5").exists()
    for path in ("m.h5.work/corpus", "m.h5.work/cooc"):
        if Path(path).exists():
            assert call("info", path)[0] == 0
    assert call(*train, "--resume", *QUIET)[0] == 0
    assert left() == ["m.h5"]
    assert call("info", "m.h5")[0] == 0


@pytest.mark.parametrize("verb", ["encode", "count"])
def test_ctrl_c_within_a_stage_says_one_line(text, verb):
    source = text if verb == "encode" else text.with_name("corpus")
    process = start(verb, source, "--output", "out", says='"stage"')
    process.send_signal(signal.SIGINT)
    code, lines = finish(process)
    if code != 0:  # it may have been quicker
        assert code == 130
        assert lines == ["cooc-engine: out: interrupted; continue with --resume"]
        assert left() == ["out.part"]


def test_a_second_run_on_the_same_output_is_refused(call, text):
    train = ["train", "glove", text.with_name("cooc"), "--output", "m.h5", "--vector-size", 20, "--epochs", 2000]
    process = start(*train, says='"stage": "train"')
    try:
        assert_one_line(*call(*train, *QUIET), 2, "another run is working on it")
    finally:
        process.kill()
        process.communicate()


def test_out_of_memory(call, made, monkeypatch):
    def no_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr(second_pass, "write_shards", no_memory)
    assert_one_line(*call("encode", made / "text.txt", "--output", "c"), 4, "c: out of memory; run again with --resume")
    assert left() == ["c.part"]


def test_an_interruption_while_a_class_is_made(call, made, monkeypatch):
    """As while modules are imported: Python raises a `RuntimeError` from it."""

    def interrupted(*given, **how):
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr(cooc_engine, "count", interrupted)
    assert_one_line(*call("count", made / "corpus", "--output", "o", *QUIET), 130, "interrupted; what was finished is kept")


STOPPED = """
import os, signal, sys

module = sys.argv.pop(1)

class Stop:
    def find_spec(name, *given):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Stop)
from cooc_engine.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "code", "says"),
    [
        ("cooc_engine.cli.app", -signal.SIGINT, ""),
        ("cooc_engine.cli.ask", 130, "cooc-engine: interrupted; what was finished is kept\n"),
    ],
)
def test_ctrl_c_while_modules_are_loaded_shows_no_traceback(made, module, code, says):
    command = [sys.executable, "-c", STOPPED, module, "nn", str(made / "model.h5"), "w1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", says)


def test_an_interruption_while_it_is_found_out_what_to_say(call, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("cooc_engine.cli.app.explanation", interrupted)
    assert_one_line(*call("nn", "--nonsense"), 130, "interrupted; what was finished is kept")


@pytest.mark.parametrize(
    ("number", "told", "says"),
    [
        (errno.EMFILE, "Too many open files", "f: Too many open files; raise ulimit -n and run again"),
        (errno.ENOSPC, "No space left", "f: No space left; free some disk and run again"),
        (errno.ENOENT, "No usable temporary directory found in []", "in []; free some disk and run again"),
    ],
)
def test_what_the_system_has_no_more_of(call, monkeypatch, number, told, says):
    def short(*given, **how):
        raise OSError(number, told, "f")

    monkeypatch.setattr("cooc_engine.cli.app.app", short)
    assert_one_line(*call("nn", "m.h5", "w1"), 4, says)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "c: out of memory; free some and run again"),
        (("--resume",), "c: out of memory; run again with --resume and a smaller --memory"),
    ],
)
@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "m"), RuntimeError("can't start new thread")])
def test_memory_that_runs_out_before_the_work_begins(monkeypatch, capsys, error, given, says):
    def short(*given, **how):
        raise error

    monkeypatch.setattr("cooc_engine.cli.app.app", short)
    assert main(["count", "corpus", "--output", "c", *given]) == 4
    assert capsys.readouterr().err == f"cooc-engine: {says}\n"

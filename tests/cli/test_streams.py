"""Standard streams that are closed, full or without a reader: work goes on, failures stay failures, lost results are errors."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line

from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus

REDIRECTED = {
    "closed": "{0}>&-",
    "full": "{0}>/dev/full",
    "dead": "{0}>&$DEAD",
}
COMMANDS = {  # what each makes, or None for results alone
    "encode": (["encode", "{made}/text.txt", "--output", "out"], "out/manifest.json"),
    "count": (["count", "{made}/corpus", "--output", "out"], "out/manifest.json"),
    "train": (["train", "glove", "{made}/cooc", "--output", "out", "--epochs", "1", "--vector-size", "2"], "out"),
    "nn": (["nn", "{made}/model.h5", "w1"], None),
    "help": (["--help"], None),
}


def redirected(where: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Run a command with streams as the shell's redirections `where` say; DEAD is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    script = f'DEAD={writing}; exec "$@" {where}'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "cooc_engine", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=300, pass_fds=[writing], **options)
    finally:
        os.close(writing)


def arguments_of(name: str, made: Path) -> list[str]:
    return [word.format(made=made) for word in COMMANDS[name][0]]


@pytest.mark.parametrize("state, progress", [("closed", "lines"), ("full", "json"), ("dead", "bar")])
def test_progress_that_cannot_be_written_ends_no_work(made, state, progress):
    done = redirected(REDIRECTED[state].format(2), *arguments_of("encode", made), "--progress", progress)
    assert done.returncode == 0
    assert done.stdout.startswith("out: 2,000 tokens")
    assert Corpus("out").digest == Corpus(made / "corpus").digest


@pytest.mark.parametrize("name, state", [("count", "full"), ("train", "dead"), ("train", "closed")])
def test_no_verb_ends_without_its_progress(made, name, state):
    done = redirected(REDIRECTED[state].format(2), *arguments_of(name, made))
    assert done.returncode == 0 and done.stdout.startswith("out: ")
    assert Path(COMMANDS[name][1]).exists()


@pytest.mark.parametrize("state", REDIRECTED)
@pytest.mark.parametrize("name", ["encode", "nn", "help"])
def test_results_that_cannot_be_delivered(made, name, state):
    """They are an error, except for a reader that went away; the work is done all the same."""
    done = redirected(REDIRECTED[state].format(1), *arguments_of(name, made), *(QUIET if name == "encode" else []))
    if state == "dead":
        assert name == "help" or (done.returncode, done.stderr) == (0, "")
    else:
        assert_one_line(done.returncode, "", done.stderr, 1, "standard output: ", "the result could not be printed")
    made_file = COMMANDS[name][1]
    assert made_file is None or Path(made_file).exists()


@pytest.mark.parametrize("state", REDIRECTED)
def test_all_output_lost(made, state):
    where = REDIRECTED[state].format(1) + " " + REDIRECTED[state].format(2)
    done = redirected(where, *arguments_of("encode", made))
    assert done.returncode == (0 if state == "dead" else 1)
    assert Corpus("out").digest == Corpus(made / "corpus").digest


@pytest.mark.parametrize("state", REDIRECTED)
def test_a_failure_stays_one(made, state):
    """Its message is dropped, and never printed among the results."""
    done = redirected(REDIRECTED[state].format(2), "nn", str(made / "model.h5"), "w99")
    assert (done.returncode, done.stdout) == (1, "")
    done = redirected(REDIRECTED[state].format(1), "encode", "nowhere", "--output", "out")
    assert_one_line(done.returncode, done.stdout, done.stderr, 1, "nowhere: no such file")


@pytest.mark.parametrize("where", ["<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_not_given_to_a_file(made, where):
    done = redirected(where, *arguments_of("encode", made), *QUIET)
    assert done.returncode == (1 if ">&-" in where else 0), done.stderr
    assert Corpus("out").digest == Corpus(made / "corpus").digest


@pytest.mark.parametrize("arguments", [["encode", "-", "--output", "out"], ["nn", "{made}/model.h5", "-"]])
@pytest.mark.parametrize("where, says", [("<&-", "-: the standard input is closed"), ("0>out.txt", "-: cannot be read")])
def test_an_input_that_cannot_be_read(made, arguments, where, says):
    done = redirected(where, *[word.format(made=made) for word in arguments])
    assert_one_line(done.returncode, done.stdout, done.stderr, 1, says)
    assert not Path("out").exists()


def test_a_tokenizer_that_prints_where_nobody_reads(made):
    Path("chatty.py").write_text("def words(text):\n    print(text, flush=True)\n    return text.split()\n")
    flags = ["--tokenizer", "chatty:words", "--threads", "1"]
    done = redirected("2>&$DEAD", *arguments_of("encode", made), *flags)
    assert done.returncode == 0, done.stdout
    assert Corpus("out").tokens == 2000


def test_a_line_without_end_is_refused(made, monkeypatch, call):
    from io import BytesIO, TextIOWrapper

    from cooc_engine.cli import ask

    monkeypatch.setattr(ask, "LONGEST", 16)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"w1\n" + b"x" * 16)))
    code, _, stderr = call("nn", made / "model.h5", "-")
    assert (code, stderr) == (1, "cooc-engine: -:2: has 16 B or more on one line; is it text?\n")


def on_terminal(*arguments: object) -> str:
    """Return what a command shows on a terminal, on both streams."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "cooc_engine", *map(str, arguments)]
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(slave)
        shown = b""
        try:
            while block := os.read(master, 1 << 16):
                shown += block
        except OSError:  # the other end is closed
            pass
        process.wait(60)
    os.close(master)
    return shown.decode()


def test_a_terminal_obeys_no_word():
    Path("t").write_text("plain \x1b]0;title\x07 \x9b31m\n" * 5, "utf-8")
    assert main(["train", "glove", "t", "--output", "m.h5", "--epochs", "1", *QUIET]) == 0
    for flags in ([], ["--json"]):
        shown = on_terminal("nn", "m.h5", "plain", *flags)
        assert "\\u001b]0;title\\u0007" in shown and "\\u009b31m" in shown
        assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    assert on_terminal("nn", "no\x1b[31m\nfile", "a").count("\n") == 1

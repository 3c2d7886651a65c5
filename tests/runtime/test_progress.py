"""What progress writes: a bar on a terminal, which leaves plain lines behind, and plain or JSON lines elsewhere."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from cooc_engine.runtime.progress import BarProgress, JsonProgress, LineProgress, Progress, open_progress

WORK = """
import sys, time
from cooc_engine.runtime.progress import open_progress
progress = open_progress("auto")
with progress.stage("count", 100, "words") as stage:
    print("a result", flush=True)
    progress.say("news [of] the stage")
    for _ in range(10):
        stage.advance(10, "loss [bold] 0.5")
        time.sleep(float(sys.argv[1]))
with progress.stage("sort", unit="rows") as stage:
    stage.advance(3)
    time.sleep(0.3)
progress.say("done")
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def on_terminal(seconds: float = 0.05, interrupt: bool = False, **environment: str) -> tuple[int, str]:
    """Run the work with stderr alone on a pseudo terminal; returns the exit code and all that was written to the terminal."""
    master, slave = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS")}
    command = [sys.executable, "-c", WORK, str(seconds)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=slave, env=clean | {"TERM": "xterm-256color", "COLUMNS": "100"} | environment
    )
    os.close(slave)
    written = b""
    while select.select([master], [], [], 60)[0]:
        try:
            block = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        written += block
        if interrupt and b"%" in written:
            process.send_signal(signal.SIGINT)
            interrupt = False
    os.close(master)
    assert process.stdout.read() == b"a result\n"
    process.stdout.close()
    return process.wait(60), written.decode()


def screen(written: str) -> list[str]:
    """What a terminal shows in the end, of the few controls that a bar needs: lines, without what was overwritten."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", written, re.DOTALL):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token.endswith("A") and token.startswith("\x1b"):
            row -= int(token[2:-1] or 1)
        elif not token.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_a_bar_is_drawn_and_leaves_plain_lines():
    code, written = on_terminal()
    assert code == 0
    assert re.search(r"━+ +count: \d\d %, \d\d words, \d+/s, 0:0\d left", CONTROL.sub("", written))
    assert "loss [bold] 0.5" in CONTROL.sub("", written)  # a note is text, not markup
    assert written.count(HIDE) == written.count(SHOW)
    news, first, second, third = screen(written)
    assert re.fullmatch(r"count: 100 %, 100 words, [\d.]+k?/s, loss \[bold\] 0\.5 in \d\.\d s", first)
    assert re.fullmatch(r"sort: 3 rows, [\d.]+/s in \d\.\d s", second)
    assert (news, third) == ("news [of] the stage", "done")


def test_no_colour_where_none_is_wanted():
    code, written = on_terminal(NO_COLOR="1")
    assert code == 0 and "━" in written
    assert not re.search(r"\x1b\[[0-9;]*3\dm", written)


def test_ctrl_c_leaves_the_terminal_as_it_was():
    code, written = on_terminal(0.2, interrupt=True)
    assert code != 0
    assert written.count(HIDE) == written.count(SHOW) and written.rindex(SHOW) > written.rindex(HIDE)
    assert screen(written)[1].startswith("count: ") and "━" not in "".join(screen(written))
    assert "Traceback" in screen(written)[2]


def test_a_dumb_terminal_gets_no_cursor_movements():
    code, written = on_terminal(TERM="dumb")
    assert code == 0 and "\x1b" not in written
    assert [line.partition(":")[0] for line in screen(written)] == ["news [of] the stage", "count", "sort", "done"]


def test_off_a_terminal_lines_are_few_and_plain(monkeypatch):
    stream = io.StringIO()
    progress = open_progress("auto", stream)
    monkeypatch.setattr(progress, "first", 0.05)
    with progress.stage("count", 10, "words") as stage:
        for _ in range(5):
            stage.advance(2)
            time.sleep(0.04)
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()
    assert [line.partition(":")[0] for line in stream.getvalue().splitlines()] == [
        "count",
        "count",
    ]  # one after 0.05 s, the end


def test_json_and_nothing():
    stream = io.StringIO()
    with open_progress("json", stream).stage("count", 10, "words") as stage:
        stage.advance(10)
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["done"] for record in records] == [0, 10] and "seconds" in records[1]
    silent = open_progress("none")
    assert type(silent) is Progress
    silent.say("nothing")


@pytest.mark.parametrize("kind", [LineProgress, JsonProgress, BarProgress])
def test_a_stream_that_was_closed_ends_no_work(kind):
    stream = io.StringIO()
    progress = kind(stream)
    stream.close()
    with progress.stage("count", 10, "words") as stage:
        progress.tick(stage)
        progress.say("news")


def test_without_standard_error_nothing_is_written(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert type(open_progress("lines")) is Progress


@pytest.mark.parametrize("kind", ["lines", "bar"])
def test_a_terminal_obeys_no_name(kind):
    stream = io.StringIO()
    progress = open_progress(kind, stream)
    progress.say("made \x1b[2J of \u202etxt.h5")
    with progress.stage("train", 3, "words") as stage:
        stage.advance(1, "\x1b]0;title\x07")
    assert "made \\u001b[2J of \\u202etxt.h5" in stream.getvalue() and "\\u001b]0;title\\u0007" in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue() and "\x07" not in stream.getvalue()

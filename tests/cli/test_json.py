"""What a command writes with --json: the result on stdout, and JSON alone on stderr, whether it succeeds or fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cooc_engine.cli.console import show_notices
from cooc_engine.runtime.streams import message_line, speak_json


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def assert_failed(result: tuple[int, str, str], code: int, *says: str) -> None:
    """Nothing is on stdout, and the last line of stderr, all of which is JSON, is the error."""
    found, stdout, stderr = result
    *messages, error = records(stderr)
    assert (found, stdout, error["exit_code"]) == (code, "", code)
    assert all(text in error["error"] for text in says)
    assert all(message.keys() & {"message", "stage"} for message in messages)


@pytest.mark.parametrize("verb", ["nn", "train", "demo"])
def test_a_wrong_flag_is_an_error_in_json(call, verb):
    assert_failed(call(verb, "--json", "--nonsense"), 2)


def test_progress_of_work_that_fails_is_json(call):
    Path("t").write_bytes(b"a b c\n" * 100 + b"\0\n")
    assert_failed(call("encode", "t", "--output", "c", "--json"), 1, "NUL byte")
    assert_failed(call("train", "glove", "t", "--output", "m.h5", "--json=true"), 1, "NUL byte")


def test_progress_of_work_that_succeeds_is_json(call, made):
    code, stdout, stderr = call("encode", made / "text.txt", "--output", "c", "--json")
    assert code == 0 and len(records(stdout)) == 1 and {"tokenize", "write shards"} <= {r.get("stage") for r in records(stderr)}


def test_progress_that_has_a_form_keeps_it(call, made):
    code, stdout, stderr = call("encode", made / "text.txt", "--output", "c", "--json", "--progress", "lines")
    assert code == 0 and len(records(stdout)) == 1 and stderr.startswith("memory: ")
    assert call("encode", made / "text.txt", "--output", "d", "--json", "--progress", "none")[2] == ""


def test_what_is_answered_is_printed_although_the_rest_fails(call, made):
    code, stdout, stderr = call("nn", made / "model.h5", "w1", "nowhere", "--json")
    [answer], [error] = records(stdout), records(stderr)
    assert code == error["exit_code"] == 1 and "nowhere" in error["error"] and [*answer] == ["w1"]


def test_notices_and_the_end_by_a_truncated_file_are_json(capsys):
    import logging

    logger = logging.getLogger("cooc_engine.kernels")
    before = [*logger.handlers]
    try:
        show_notices()
        with speak_json(True):
            logger.info("compiling")
            assert message_line("a\nb", {"error": "a\nb"}) == '{"error": "a\\nb"}'
    finally:
        logger.handlers[:], logger.propagate = before, True
    assert records(capsys.readouterr().err) == [{"message": "compiling"}]
    assert message_line("a\nb", {}) == "cooc-engine: a\\nb"

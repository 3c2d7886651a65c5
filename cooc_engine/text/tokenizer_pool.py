"""A pool of processes for tokenizers that are Python code; results come back in the order of the input.

Each process runs `tokenizer_worker` and is connected by two pipes. One thread waits for each process, so only a few pieces
are in flight at a time, and the result does not depend on the number of processes.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from cooc_engine.errors import CoocError, InputError, ResourceError, UsageError
from cooc_engine.runtime.children import command, end_of
from cooc_engine.runtime.threads import in_order
from cooc_engine.text.readers import PLAIN, Piece, bad_byte
from cooc_engine.text.tokenizer_worker import FAULT, OPTIONS, READY, WORDS, inside, receive, send

__all__ = ["Processes", "pieces_under_way"]

GRACE = 5  # seconds for a process to end when its work is done


def pieces_under_way(processes: int) -> int:
    """Return how many pieces of text are held at most: sent, waiting, or tokenized and not yet consumed."""
    return 2 * processes + 1


class Processes:
    """A context manager: `count` processes with the tokenizer that `record` names.

    Entering raises `UsageError` if there is no such tokenizer. Leaving ends the processes, if necessary by killing them.
    """

    def __init__(self, record: Mapping[str, Any], count: int) -> None:
        self._name, self._count = record["tokenizer"], count
        path = [*sys.path, str(Path.cwd())] if record["here"] else sys.path
        self._command = command("text.tokenizer_worker", path, str(os.getpid()))
        self._record = json.dumps(record).encode()  # may be longer than an argument of a program
        self._all: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(count)

    def __enter__(self) -> Processes:
        if inside():
            raise UsageError(
                'the module of the tokenizer encodes text when it is imported; put that under if __name__ == "__main__"'
            )
        try:
            for _ in range(self._count):
                self._start()
            for process in self._all:
                self._expect_ready(process)
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def _start(self) -> None:
        # The workers have a session each: Ctrl-C at a terminal reaches only this process, which then ends them.
        pipe = subprocess.PIPE
        process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, start_new_session=True)
        self._all.append(process)
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # how it ended is said when it should be ready
            send(process.stdin, OPTIONS, self._record)

    def _expect_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        answer = receive(process.stdout)
        if answer is None:
            raise UsageError(f"--tokenizer {self._name}: its process {end_of(process)} while starting")
        if answer[0] != READY:
            raise UsageError(answer[1].decode())
        self._free.put(process)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for process in self._all:
            if kind is None:
                assert process.stdin is not None
                process.stdin.close()
            else:
                process.kill()
        for process in self._all:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._pool.shutdown(cancel_futures=True)
        for process in self._all:
            _close(process)

    def words(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, bytes]]:
        """Yield each piece with its words, separated by spaces, one document per line.

        Raises `InputError`, naming the line, at the first fault in the text or in the tokenizer, and `ResourceError` if a
        process was killed.
        """
        return in_order(self._pool, self._cut, pieces, pieces_under_way(self._count) - 1)

    def _cut(self, piece: Piece) -> tuple[Piece, bytes]:
        if piece.kind == WORDS:
            return piece, piece.text
        process = self._free.get()
        try:
            answer = _exchange(process, piece)
        finally:
            self._free.put(process)
        if answer is None:
            raise self._died(process, piece)
        if answer[0] == FAULT:
            raise _fault(piece, *json.loads(answer[1]))
        return piece, answer[1]

    def _died(self, process: subprocess.Popen[bytes], piece: Piece) -> CoocError:
        text = f"{piece.place(0)}: the process of --tokenizer {self._name} {end_of(process)} here or in the text that follows"
        if process.returncode == -signal.SIGKILL:
            return ResourceError(f"{text}; is there enough memory? continue with --resume")
        return InputError(text)


def _exchange(process: subprocess.Popen[bytes], piece: Piece) -> tuple[bytes, bytes] | None:
    """Send a piece and return the answer, or None if the process has ended."""
    assert process.stdin is not None and process.stdout is not None
    try:
        send(process.stdin, piece.kind, piece.text)
    except (BrokenPipeError, ValueError):  # a closed pipe is a ValueError
        return None
    return receive(process.stdout)


def _fault(piece: Piece, number: int, place: int | None, what: str) -> InputError:
    if place is None:
        return InputError(f"{piece.place(number)}: {what}")
    return bad_byte(piece.source, piece.text[place], piece.offset + place, PLAIN.advice)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with suppress(OSError):  # flushing to a process that has ended fails
            pipe.close()

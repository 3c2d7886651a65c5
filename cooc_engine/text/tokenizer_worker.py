"""A process that tokenizes: it reads pieces of text from one pipe and writes their words to another.

`tokenizer_pool` starts it as a separate program. A message, in either direction, is a kind, a length and bytes:

    LINES      lines of a file                      WORDS    one document per line, words separated by spaces
    DOCUMENTS  documents separated by NUL           READY    the tokenizer was found
    FAULT      JSON: number of the line or document in the piece, offset of the bad byte or null, and what is wrong
    REFUSED    the tokenizer was not found, and why OPTIONS   JSON: the options of the tokenizer, before all else
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from cooc_engine.errors import InputError, UsageError
from cooc_engine.runtime.children import die_with
from cooc_engine.runtime.streams import messages
from cooc_engine.text.tokenizers import lines_of

__all__ = [
    "DOCUMENTS",
    "FAULT",
    "LINES",
    "OPTIONS",
    "READY",
    "REFUSED",
    "WORDS",
    "inside",
    "main",
    "receive",
    "send",
]

OPTIONS, LINES, DOCUMENTS, WORDS, READY, FAULT, REFUSED = b"O", b"L", b"D", b"W", b"R", b"F", b"U"
HEADER = struct.Struct("<cQ")

_inside = False


def inside() -> bool:
    """Tell whether this process is such a worker."""
    return _inside


def send(target: IO[bytes], kind: bytes, data: bytes) -> None:
    """Write a message."""
    target.write(HEADER.pack(kind, len(data)))
    target.write(data)
    target.flush()


def receive(source: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Return the kind and the bytes of the next message, or None at the end, even if that cuts a message short."""
    head = source.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    kind, size = HEADER.unpack(head)
    data = source.read(size)
    return (kind, data) if len(data) == size else None


def main() -> None:
    """Serve until the pipe is closed. Arguments: sys.path, and the caller's process id."""
    global _inside
    _inside = True
    die_with(int(sys.argv[2]))
    source, target = _own_pipes()
    with suppress(BrokenPipeError):
        if (options := receive(source)) is None:
            return
        record = json.loads(options[1])
        try:
            line_of = lines_of(record)
        except UsageError as error:
            send(target, REFUSED, error.text.encode(errors="backslashreplace"))
            return
        send(target, READY, b"")
        while (message := receive(source)) is not None:
            send(target, *_answer(record["tokenizer"], line_of, *message))


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Reserve standard input and output for messages; what a tokenizer prints goes to standard error."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is none
        os.dup2(nothing, 1)
    sys.stdout, sys.stderr = messages(1), messages(2)
    return pipes


def _answer(name: str, line_of: Callable[[str], bytes], kind: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Return the words of a piece of text, or the first fault in it."""
    texts = data.split(b"\0") if kind == DOCUMENTS else data.removesuffix(b"\n").split(b"\n")
    words = []
    for number, raw in enumerate(texts):
        text, fault = _decoded(raw)
        if fault >= 0:
            return FAULT, json.dumps([number, sum(map(len, texts[:number])) + number + fault, ""]).encode()
        try:
            words.append(line_of(text if kind == DOCUMENTS else text.removesuffix("\r")))
        except InputError as error:
            return FAULT, json.dumps([number, None, error.text]).encode()
        except (TypeError, ValueError) as error:
            return FAULT, json.dumps([number, None, f"--tokenizer {name} gave {_complaint(error)}"]).encode()
    words.append(b"")
    return WORDS, b"\n".join(words)


def _decoded(raw: bytes) -> tuple[str, int]:
    """Return the decoded text, and the offset of the first byte that is NUL or not UTF-8, or -1."""
    nul = raw.find(b"\0")
    try:
        return raw.decode(), nul
    except UnicodeDecodeError as error:
        return "", error.start if nul < 0 else min(nul, error.start)


def _complaint(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "a word with half of a surrogate pair"
    return f"a word that is not a string ({error})" if isinstance(error, TypeError) else str(error)

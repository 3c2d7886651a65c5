"""A slow and obvious twin of encoding: text as bytes, cut by `bytes.split`, counted by `Counter`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"


@dataclass
class Encoded:
    """Words and counts in order, and each document as a list of rows, -1 for a word outside the vocabulary."""

    words: list[bytes]
    counts: list[int]
    documents: list[list[int]]


def documents(texts: Iterable[bytes]) -> list[list[bytes]]:
    """One document per line; the end of a text ends its line, and an empty text has none."""
    found = []
    for text in texts:
        lines = (b" " + text.removeprefix(BOM) if text.startswith(BOM) else text).split(b"\n")
        found += [line.split() for line in (lines if lines[-1] else lines[:-1])]
    return found


def lines(text: bytes) -> list[bytes]:
    """Lines without their ends; the end of a text ends its line, and a byte order mark is no part of the first."""
    if not text:
        return []
    found = text.removeprefix(BOM).split(b"\n")
    return found if found[-1] or len(found) == 1 else found[:-1]


def encode(docs: Sequence[Sequence[bytes]], min_count: int = 1, max_vocab: int | None = None) -> Encoded:
    counts = Counter(word for document in docs for word in document)
    kept = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))[:max_vocab]
    rows = {word: row for row, word in enumerate(kept)}
    return Encoded(kept, [counts[w] for w in kept], [[rows.get(word, -1) for word in document] for document in docs])


def first_fault(text: bytes) -> int | None:
    """Position of the first NUL byte or invalid UTF-8 in the text, or None."""
    try:
        text.decode()
        fault = len(text)
    except UnicodeDecodeError as error:
        fault = error.start
    nul = text.find(b"\0")
    fault = min(fault, nul) if nul >= 0 else fault
    return None if fault == len(text) else fault

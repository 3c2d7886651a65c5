"""Slow and obvious twin of subwords: n-grams of a list of characters, and the hash of fastText's program byte by byte."""

from __future__ import annotations

import re


def characters(text: bytes) -> list[bytes]:
    """UTF-8 characters; continuation bytes belong to the byte before them, however many there are."""
    return re.findall(rb"(?s).[\x80-\xbf]*", text)


def ngrams(word: bytes, min_n: int, max_n: int) -> list[bytes]:
    """The n-grams of `<word>`, but for lone boundary characters; the token of a line's end has none."""
    if word == b"</s>":
        return []
    letters = characters(b"<" + word + b">")
    found = [
        (begin, begin + n)
        for begin in range(len(letters))
        for n in range(max(1, min_n), max_n + 1)
        if begin + n <= len(letters)
    ]
    alone = [(0, 1), (len(letters) - 1, len(letters))]
    return [b"".join(letters[begin:end]) for begin, end in found if (begin, end) not in alone]


def fnv(text: bytes) -> int:
    """32-bit FNV-1a with each byte's sign extended."""
    value = 2166136261
    for byte in text:
        signed = byte - 256 if byte >= 128 else byte
        value = ((value ^ (signed % 2**32)) * 16777619) % 2**32
    return value

"""The binary format of the word2vec program, which gensim reads and writes too."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from cooc_engine.formats.incoming import CHUNK, WIDEST, Faults, Incoming
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.runtime.types import Matrix
from cooc_engine.text.compression import opened

__all__ = ["read_word2vec", "write_word2vec"]

READ = CHUNK // 2  # bytes per read; what is left of one read is joined with the next
LONGEST_WORD = 1 << 16  # bytes of a word or header; anything longer shows that the file is not word2vec's


def write_word2vec(file: BinaryIO, outgoing: Outgoing) -> None:
    """Write word2vec's binary format: a header, then each word, a space, d float32 numbers and a line end."""
    file.write(b"%d %d\n" % outgoing.shape)
    for start, stop in outgoing.starts():
        data, size = np.ascontiguousarray(outgoing.rows[start:stop], "<f4").tobytes(), 4 * outgoing.shape[1]
        for at, word in enumerate(outgoing.words(start, stop)):
            file.write(b"%b %b\n" % (word, data[at * size : (at + 1) * size]))


def read_word2vec(path: Path, faults: Faults, incoming: Incoming) -> None:
    """Read word2vec's binary format, with or without line ends after the numbers (gensim writes none)."""
    with opened(path) as file:
        fields = file.readline(LONGEST_WORD).split()
        if len(fields) != 2 or not all(f.isdigit() and len(f) < 19 for f in fields) or not 0 < int(fields[1]) <= WIDEST:
            faults.fatal(1, "expected a head of two numbers, of words and of columns")
        promised, width = map(int, fields)
        found, data = 0, b""
        while found < promised:
            more = file.read(READ)
            words, rows, used = _cut(data := data + more, width, promised - found)
            if words:
                incoming.add(words, rows, range(found + 1, found + len(words) + 1))
                found, data = found + len(words), data[used:]
            elif not more:
                break
            elif len(data) > LONGEST_WORD + 4 * width:
                faults.fatal(f"word {found + 1}", "no end of the word; not a file of word2vec, or its head is wrong")
        rest = data.strip(b"\n") or file.read(READ).strip(b"\n")
    if found < promised:
        faults.found("head", f"word {found + 1}", f"the header says {promised} words, the file ends after {found}")
    elif rest:
        faults.found("head", f"word {found + 1}", f"the header says {promised} words, and more follow")


def _cut(data: bytes, width: int, most: int) -> tuple[list[bytes], Matrix, int]:
    """Parse up to `most` whole entries at the start of `data`; return words, rows (n, d) and the number of bytes used."""
    words: list[bytes] = []
    places, place = [], 0
    while len(words) < most:
        space = data.find(b" ", place, place + LONGEST_WORD)
        if space < 0 or space + 1 + 4 * width > len(data):
            break
        words.append(data[place:space].lstrip(b"\n"))
        places.append(space + 1)
        place = space + 1 + 4 * width
    rows = [np.frombuffer(data, "<f4", width, at) for at in places]
    return words, np.stack(rows) if rows else np.empty((0, width), np.float32), place

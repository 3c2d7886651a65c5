"""Vectors as lines of text: word2vec's and fastText's `.vec` with a header line, GloVe's without, and the projector's.

A line is a word and d numbers, separated by white space, so a word cannot contain any. The TensorFlow projector takes the
numbers alone, separated by tabs, and the words from a second file.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from cooc_engine._kernels.later import subwords as hashing
from cooc_engine.errors import InputError
from cooc_engine.formats.incoming import WIDEST, Faults, Incoming, shown
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.models.subwords import SubwordRows
from cooc_engine.runtime.types import Matrix
from cooc_engine.text import bounded
from cooc_engine.text.compression import opened

__all__ = ["WHITE_SPACE", "metadata_path", "read_projector", "read_text", "write_floret", "write_projector", "write_text"]

LINES = 1 << 20  # bytes of lines parsed at a time
ROWS = 1 << 12  # rows of a table that are written at a time
LONGEST_LINE = 1 << 22  # bytes of a line
LONG = 1 << 17  # characters of a line that is parsed in pieces
PIECE = re.compile(r"(?s).{1,65536}[^ \t]*")  # of a line: `np.loadtxt` takes some 60 bytes for each number of a row
FIELD = re.compile(rb"[^ \t\n\v\f\r]+")
SHOWN = 40  # bytes shown of a line
SAMPLE = 100  # lines from which the vector size is inferred if there is no header
WHITE_SPACE = b" \t\n\v\f\r"  # characters that no word of a text format can contain
FILLED = ~np.isin(np.arange(256), [*WHITE_SPACE])  # for each byte


# --------------------------------------------------------------------------------------------------------- writing


def write_text(file: BinaryIO, outgoing: Outgoing, *, head: bool, end: bytes = b"\n") -> None:
    """Write lines of a word and its numbers, to nine digits, which float32 round-trips exactly; `head` adds a line `V d`."""
    size, width = outgoing.shape
    if head:
        file.write(b"%d %d\n" % (size, width))
    line = " ".join(["%.9g"] * width).encode()
    for start, stop in outgoing.starts():
        rows = outgoing.rows[start:stop].tolist()
        words = outgoing.words(start, stop)
        file.writelines(b"%b %b%b" % (word, line % tuple(row), end) for word, row in zip(words, rows, strict=True))


def write_projector(file: BinaryIO, metadata: BinaryIO, outgoing: Outgoing) -> None:
    """Write the numbers, tab-separated, to one file and the words to the other; counts, if known, are added with a header."""
    line = "\t".join(["%.9g"] * outgoing.shape[1]).encode() + b"\n"
    if outgoing.counted:
        metadata.write(b"word\tcount\n")
    for start, stop in outgoing.starts():
        file.writelines(line % tuple(row) for row in outgoing.rows[start:stop].tolist())
        words, counts = outgoing.words(start, stop), outgoing.vocabulary.counts[start:stop].tolist()
        if outgoing.counted:
            metadata.writelines(b"%b\t%d\n" % pair for pair in zip(words, counts, strict=True))
        else:
            metadata.writelines(word + b"\n" for word in words)


def write_floret(file: BinaryIO, subwords: SubwordRows) -> None:
    """Write floret's table: a line with the options of hashing, then each row after its number."""
    (rows, width), sizes = subwords.matrix.shape, subwords.subwords
    head = (rows, width, sizes.min_n, sizes.max_n, sizes.hashes, hashing.MURMUR_SEED, "<", ">")
    file.write(" ".join(map(str, head)).encode() + b"\n")
    line = " ".join(["%.9g"] * width).encode()
    for start in range(0, rows, ROWS):
        block = subwords.matrix[start : start + ROWS].tolist()
        file.writelines(b"%d %b\n" % (start + number, line % tuple(row)) for number, row in enumerate(block))


def metadata_path(path: Path) -> Path:
    """Return the path of the file that holds the words of a projector's file."""
    return path.with_name(f"{path.stem}-metadata{path.suffix or '.tsv'}")


# --------------------------------------------------------------------------------------------------------- reading


class _Line(NamedTuple):
    """A line: its number in the file, the word, the rest of the line, and the word's count, 0 if unknown."""

    number: int
    word: bytes
    numbers: bytes
    occurs: int = 0


def read_text(path: Path, faults: Faults, incoming: Incoming, *, head: bool) -> None:
    """Read lines of a word and its numbers; with `head`, the first line gives the numbers of words and columns."""
    with opened(path) as file:
        numbered = bounded.lines(file, LONGEST_LINE, path)
        promised, width = _head(next(numbered, (1, b""))[1], faults) if head else (0, 0)
        found = _gather(_lines(numbered), width, faults, incoming)
    if head and found != promised:
        faults.found("head", 1, f"the header says {promised} words, the file has {found}")


def _head(line: bytes, faults: Faults) -> tuple[int, int]:
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 19 for field in fields) or not 0 < int(fields[1]) <= WIDEST:
        faults.fatal(1, "expected a head of two numbers, of words and of columns")
    return int(fields[0]), int(fields[1])


def _lines(numbered: Iterable[tuple[int, bytes]]) -> Iterator[_Line]:
    for number, line in numbered:
        if line[:1] in (b" ", b"\t"):
            yield _Line(number, b"", line.strip(WHITE_SPACE))
        elif fields := line.split(None, 1):
            yield _Line(number, fields[0], fields[1].rstrip(WHITE_SPACE) if len(fields) > 1 else b"")


def _width(lines: Sequence[_Line]) -> int:
    """Return the most common number of fields: a few lines may be broken, or have a word that contains spaces."""
    ((width, _),) = Counter(_fields(line.numbers) for line in lines).most_common(1) or [(0, 0)]
    return width


def _fields(numbers: bytes) -> int:
    """Return the number of fields, of which a list would take many times their memory."""
    filled = FILLED[np.frombuffer(b" " + numbers, np.uint8)]
    return int(np.count_nonzero(filled[1:] & ~filled[:-1]))


def _gather(lines: Iterator[_Line], width: int, faults: Faults, incoming: Incoming) -> int:
    """Add all lines, a block at a time, and return their number; a `width` of 0 is that of most of the first lines."""
    found = 0
    sample = list(itertools.islice(_block(lines), SAMPLE))
    width, lines = width or _width(sample), itertools.chain(sample, lines)
    if sample and not 0 < width <= WIDEST:
        faults.fatal(sample[0].number, f"expected a word and 1 to {WIDEST:,} numbers, found {width}")
    while block := list(_block(lines)):
        found += len(block)
        rows = _parsed(block, width)
        if rows is None:  # some line is broken: look at each one
            block = [line for line in block if _is_sound(line, width, faults)]
            rows = _parsed(block, width) if block else None
        if rows is not None:
            words, _, counts = zip(*((line.word, line.number, line.occurs) for line in block), strict=True)
            incoming.add(words, rows, [line.number for line in block], counts)
    return found


def _block(lines: Iterator[_Line]) -> Iterator[_Line]:
    size = 0
    for line in lines:
        yield line
        size += len(line.numbers)
        if size >= LINES:
            return


def _parsed(block: Sequence[_Line], width: int) -> Matrix | None:
    """Return the numbers (n, d) of lines, or None if any line does not have exactly `width` of them."""
    if not all(line.numbers for line in block):
        return None
    texts = [line.numbers.decode("latin-1") for line in block]
    rows = _numbers(texts) if max(map(len, texts)) <= LONG else _long_rows(texts, width)
    return rows if rows is not None and rows.shape == (len(block), width) else None


def _numbers(texts: Sequence[str]) -> Matrix | None:
    """Return the numbers of texts of equal length as rows, or None if one is not numbers alone."""
    if any(map(str.isspace, texts)):
        return None
    try:
        with np.errstate(over="ignore"):  # values too large for float32 become infinite, which is a fault
            return np.loadtxt(texts, np.float32, comments=None, ndmin=2)
    except ValueError:
        return None


def _long_rows(texts: Sequence[str], width: int) -> Matrix | None:
    """Return the numbers (n, width) of long lines as `_numbers` does, taken piece by piece."""
    rows = np.empty((len(texts), width), np.float32)
    for row, text in zip(rows, texts, strict=True):
        begin = 0
        for piece in _pieces(text):
            found = _numbers([piece])
            if found is None or len(found) != 1 or found.size > width - begin:
                return None
            row[begin : begin + found.size] = found[0]
            begin += found.size
        if begin != width or "\r" in text:
            return None
    return rows


def _pieces(text: str) -> Iterator[str]:
    """Cut a line between fields."""
    return (piece[0] for piece in PIECE.finditer(text) if not piece[0].isspace())


def _is_sound(line: _Line, width: int, faults: Faults) -> bool:
    """Tell whether a line has a word and `width` numbers; report the fault if not."""
    if _parsed([line], width) is not None:
        return True
    size = _fields(line.numbers)
    if size > width and line.word and (word := _word_with_spaces(line, size - width, width)):
        faults.found("space", line.number, f"the word {shown(word)} has spaces in it")
    elif size != width:
        faults.found("broken", line.number, f"expected a word and {width} numbers, found {size}")
    else:
        faults.found("broken", line.number, f"{shown(_bad_field(line.numbers))} is not a number")
    return False


def _word_with_spaces(line: _Line, extra: int, width: int) -> bytes | None:
    """Return the beginning of the word of a line that has `extra` fields before its numbers, or None if there are others."""
    begin = next(itertools.islice(FIELD.finditer(line.numbers), extra, None)).start()
    if _parsed([_Line(0, b"", line.numbers[begin:])], width) is None:
        return None
    return b" ".join([line.word, *line.numbers[: min(begin, LONG)].split()])


def _bad_field(numbers: bytes) -> bytes:
    """Return the first field that is no number, or else the beginning of the line, which has a carriage return in it."""
    pieces = (piece for piece in _pieces(numbers.decode("latin-1")) if _numbers([piece]) is None)
    fields = next(pieces, "").encode("latin-1").split()
    return next((field for field in fields if _parsed([_Line(0, b"", field)], 1) is None), numbers[:SHOWN])


def read_projector(path: Path, faults: Faults, incoming: Incoming) -> None:
    """Read the projector's numbers, and the words from the file `metadata_path` beside it."""
    beside = metadata_path(path)
    if not beside.is_file():
        raise InputError(f"{path}: its words must be in {beside}, which does not exist")
    with opened(path) as file, opened(beside) as metadata:
        both = (bounded.lines(*pair) for pair in ((file, LONGEST_LINE, path), (metadata, LONGEST_LINE, beside)))
        numbers, names = ((line.rstrip(b"\r\n") for _, line in numbered) for numbered in both)
        first = next(names, b"")
        whole = names if b"\t" in first else itertools.chain([first], names)  # a single column has no header
        pairs = enumerate(itertools.zip_longest(whole, numbers), 1)
        _gather(_paired(pairs, faults), 0, faults, incoming)


def _paired(pairs: Iterable[tuple[int, tuple[bytes | None, bytes | None]]], faults: Faults) -> Iterator[_Line]:
    for number, (name, numbers) in pairs:
        if name is None or numbers is None:
            faults.found("head", number, f"has {'no vector for this word' if numbers is None else 'no word for this vector'}")
            continue
        word, _, count = name.partition(b"\t")
        yield _Line(number, word, numbers, int(count) if count.isdigit() and len(count) < 19 else 0)

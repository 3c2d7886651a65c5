"""Readers of text files, plain or compressed, and of Python iterables.

They yield blocks of bytes cut at white space, for the encoding kernel, or pieces of whole lines, for the processes that run
a tokenizer; `word_blocks` turns the words that these return into blocks again.
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fcntl import F_SETPIPE_SZ, fcntl
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import encoding
from cooc_engine.errors import InputError
from cooc_engine.storage.schema import Natural
from cooc_engine.text.compression import Decompressed
from cooc_engine.text.files import unchanged
from cooc_engine.text.id_column import IdColumn
from cooc_engine.text.paragraphs import LineJoiner
from cooc_engine.text.reading import Decoder, Reading
from cooc_engine.text.stores import TextPath
from cooc_engine.text.tagged import Tags
from cooc_engine.text.tokenizer_worker import DOCUMENTS, LINES, WORDS
from cooc_engine.text.tokenizers import joined

__all__ = [
    "LONGEST_LINE",
    "PLAIN",
    "Block",
    "Piece",
    "Place",
    "Readable",
    "bad_byte",
    "document_blocks",
    "document_pieces",
    "document_words",
    "file_blocks",
    "file_pieces",
    "line_batches",
    "sample_text",
    "stream_blocks",
    "word_blocks",
]

BLOCK_BYTES = 4 << 20
PIECE_BYTES = 1 << 18
PIPE_BYTES = 1 << 20  # the most that Linux gives without privileges
LONGEST_LINE = 1 << 26  # bytes of a line that a model is asked about, which is held as a whole
PLACES, SAMPLE_CHUNK = 16, 1 << 16  # places that a sample of text is taken from, and bytes read at a time
BOM = b"\xef\xbb\xbf"
DOCUMENT = ": document "  # between the name of a source and a number, in messages
PLAIN = Reading()
SPACES = (b" ", b"\n", b"\t", b"\r", b"\v", b"\f")


class Place(NamedTuple):
    """A position in the input: the number of a file in the list, and an offset in its (decompressed) text."""

    file: Natural
    byte: Natural


@dataclass
class Block:
    """A reusable buffer of text: `text[:size]` ends with white space and is followed by padding."""

    text: npt.NDArray[np.uint8]
    size: int = 0
    source: str = ""
    offset: int = 0  # of the block's first byte in its (decompressed) source
    read: int = 0  # bytes read from the disk for it, for the progress
    behind: Place | None = None  # where reading resumes after it; None if the source cannot be read again

    @classmethod
    def empty(cls, size: int) -> Block:
        """Return a new buffer for `size` bytes and a line end."""
        return cls(np.zeros(size + 1 + encoding.PADDING, np.uint8))

    @property
    def room(self) -> int:
        """Bytes of text that it can hold."""
        return len(self.text) - 1 - encoding.PADDING


@dataclass(frozen=True)
class Piece:
    """Some whole lines or documents; of kind WORDS, lines that are already cut into words."""

    text: bytes
    kind: bytes
    source: str
    number: int  # of the first line, from 1, or of the first document, from 0
    offset: int  # of the first byte in its (decompressed) source
    read: int = 0  # bytes read from the disk for it, for the progress
    unit: str = ":"  # what the number counts, in a message

    def place(self, number: int) -> str:
        """Return how a message names line or document `number` of the piece, counted from 0."""
        unit = self.unit if self.kind == LINES else DOCUMENT
        return f"{self.source}{unit}{self.number + number}"


def bad_byte(source: str, byte: int, offset: int, advice: str = "") -> InputError:
    """Return the error for a byte that cannot occur in text: NUL, or one that is not UTF-8; `advice` ends the message."""
    fault = "a NUL byte; is it a binary file?" if byte == 0 else f"byte 0x{byte:02x} is not UTF-8"
    return InputError(f"{source}: {fault} (at byte {offset}){advice}")


def file_blocks(
    paths: Sequence[TextPath],
    take: Callable[[], Block],
    start: Place = Place(0, 0),  # noqa: B008
    ids: IdColumn | None = None,
    reading: Reading = PLAIN,
) -> Iterator[Block]:
    """Yield the text of all files in blocks obtained from `take`; `-` is standard input. The end of a file ends its line.

    Reading begins at `start`, the `behind` of an earlier block; the ids of documents, if there are any, are taken out. Raises
    `InputError`, naming the file, if one is missing, unreadable or damaged.
    """
    for number, path in enumerate(paths[start.file :], start.file):
        with _Source(path, reading, ids) as source:
            begin, reading.finished = start.byte if number == start.file else 0, reading.faults
            last, ends = source.skip(begin), source.ends_lines
            for block in stream_blocks(source, str(path), take, source.advance, begin, last, ends_lines=ends):
                block.behind = Place(number, block.offset + block.size)
                yield block


def sample_text(paths: Sequence[TextPath], most: int, reading: Reading = PLAIN) -> tuple[bytes, int, bool]:
    """Return up to about `most` bytes of text from places all over the files, their total size, and whether that is all of it.

    Of a compressed file only the beginning is read; its compression ratio gives an estimate of the file's total size.
    """
    sizes = [path.stat().st_size for path in paths]
    total, ends, taken = sum(sizes), np.cumsum(sizes), 0.0
    if total <= most:
        shares = {number: size / total for number, size in enumerate(sizes) if size}
    else:  # PLACES evenly spaced places, which stand for equal shares of the text
        drawn = np.searchsorted(ends, (np.arange(PLACES) + 0.5) * (total / PLACES), "right").tolist()
        shares = {number: drawn.count(number) / PLACES for number in drawn}
    pieces, complete = [], total <= most
    for number, share in shares.items():
        with _Source(paths[number], reading) as source:
            text, ratio, ended = source.sample(sizes[number], max(SAMPLE_CHUNK, round(most * share)))
        pieces.append(text)
        taken += share * total * ratio
        complete = complete and ended
    return b"".join(pieces), round(taken), complete


class Readable(Protocol):
    """A stream of bytes."""

    def readinto(self, target: memoryview, /) -> int:
        """Fill `target` and return the number of bytes, 0 at the end."""
        ...


class _Source(Decompressed):
    """A file or the standard input, decompressed and decoded, without the ids of documents if it has a column of them."""

    def __init__(self, path: TextPath, reading: Reading = PLAIN, ids: IdColumn | None = None) -> None:
        super().__init__(path, _standard_input() if str(path) == "-" else None)
        self._told, self._ids, self.reading = self.taken, ids, reading
        self._decoder = Decoder(reading, self.name, super().readinto) if reading.decodes else None
        self._joiner = LineJoiner(reading.document) if reading.document != "line" else None

    def readinto(self, target: Any) -> int:
        """Fill `target` with bytes of the text and return their number, 0 at the end."""
        size = self._decoded(target)
        if self._ids and len(target):
            while 0 < size < self._ids.least and (more := self._decoded(target[size:])):
                size += more
            self._ids.strip(target, size, self.name)
        return self._joiner.join(target, size) if self._joiner else size

    def _decoded(self, target: Any) -> int:
        return self._decoder.readinto(target) if self._decoder else super().readinto(target)

    @property
    def ends_lines(self) -> bool:
        """Whether the last line of the text has an end: what follows it is white space."""
        return self._joiner is not None

    def skip(self, size: int) -> bytes:
        """Skip `size` decompressed bytes; return the last of them, or a line end if there is none."""
        if size == 0:
            return b"\n"
        if self.reading.plain:
            self.seek(size - 1)
        else:  # what comes depends on what came before
            scratch = memoryview(bytearray(SAMPLE_CHUNK))
            left = size - 1
            while left and (n := self.readinto(scratch[:left])):
                left -= n
        return self.read(1) or b"\n"

    def sample(self, size: int, most: int) -> tuple[bytes, float, bool]:
        """Return text of a file of `size` bytes, the ratio of text bytes to file bytes, and whether that is all of it."""
        if not self.compressed and self.reading.plain and size > most:
            offsets = np.linspace(0, size - SAMPLE_CHUNK, max(1, most // SAMPLE_CHUNK)).astype(np.int64).tolist()
            return b"".join(self._chunk(offset) for offset in offsets), 1.0, False
        text, steps, scratch = bytearray(), [(0, 0)], memoryview(bytearray(1 << 14))
        n = 1
        while n and len(text) < (2 if len(steps) > 3 else 16) * most:
            n = self.readinto(scratch)
            if step := self.advance():
                steps.append((len(text), steps[-1][1] + step))
            text += scratch[:n]
        if n == 0:
            return bytes(text) + (b"" if text.endswith(b"\n") else b"\n"), len(text) / size, True
        # The ratio is taken between two reads from the disk: what the decompressor has read ahead is not in the text yet.
        (before, begin), (now, end) = steps[:2][-1], steps[-1]
        ratio = (now - before) / (end - begin) if end > begin else len(text) / max(end, 1)
        return bytes(text[: _last_space(memoryview(text)[:most], self.name, 0)]), ratio, False

    def _chunk(self, offset: int) -> bytes:
        """Return the whole words in a chunk of a plain file, each preceded by its white space."""
        self.seek(offset)
        data = bytearray(SAMPLE_CHUNK)
        text = bytes(data[: self.readinto(memoryview(data))])
        first = min((place for place in map(text.find, SPACES) if place >= 0), default=len(text))
        return text[first : max(first, *map(text.rfind, SPACES))]

    def advance(self) -> int:
        """Return the number of bytes read from the disk since the last call."""
        before, self._told = self._told, self.taken
        return self._told - before


def _standard_input() -> BinaryIO:
    """Return the standard input; a pipe gets room for several pieces, so that they are full if its writer is ahead."""
    if sys.stdin is None:
        raise InputError("-: the standard input is closed")
    with suppress(OSError):  # it is no pipe, or the system allows no more
        fcntl(sys.stdin.buffer.fileno(), F_SETPIPE_SZ, PIPE_BYTES)
    return sys.stdin.buffer


def stream_blocks(
    stream: Readable,
    source: str,
    take: Callable[[], Block],
    advance: Callable[[], int] = int,
    offset: int = 0,
    last: bytes = b"\n",
    *,
    ends_lines: bool = False,
) -> Iterator[Block]:
    """Yield blocks of a stream; what follows the last white space of a block begins the next.

    The stream is at byte `offset` of its source; `last` is the byte before that. The last line gets an end if it has
    none, unless the stream `ends_lines` itself.
    """
    carry, ended = b"", False
    while not ended:
        block = take()
        view = block.text.data
        view[: len(carry)] = carry
        size = len(carry)
        while size < block.room and (n := stream.readinto(view[size : block.room])):
            size += n
        ended = size < block.room
        if offset == 0 and size >= 3 and bytes(view[:3]) == BOM:
            view[:3] = b"   "
        if ended:
            cut = size if ends_lines else _end_line(view, size, last)
        else:
            cut = _last_space(view[:size], source, offset)
        carry, last = bytes(view[cut:size]), bytes(view[cut - 1 : cut]) if cut else last
        block.size, block.source, block.offset, block.read = cut, source, offset, advance()
        offset += cut
        yield block


def _end_line(view: memoryview, size: int, before: bytes) -> int:
    """End the last line of a source if it has no line end, and return the new size; `before` is the byte before the block."""
    if (bytes(view[size - 1 : size]) if size else before) == b"\n":
        return size
    view[size : size + 1] = b"\n"
    return size + 1


def _last_space(view: memoryview, source: str, offset: int) -> int:
    """Return the position just after the last white space."""
    for tail in (1 << 12, len(view)):
        end = bytes(view[-tail:])
        place = max(map(end.rfind, SPACES))
        if place >= 0:
            return len(view) - len(end) + place + 1
    raise InputError(f"{source}: no white space in {len(view)} bytes from byte {offset} on; is it text?")


def document_blocks(
    documents: Iterable[Any], take: Callable[[], Block], reading: Reading = PLAIN, ids: Tags | None = None
) -> Iterator[Block]:
    """Yield documents, each a string or a sequence of words, in blocks with one document per line; they are iterated once."""
    plain = ids.taken_off(documents) if ids else documents
    lines = (_line(number, document, reading) for number, document in enumerate(plain, 1))
    return stream_blocks(io.BufferedReader(_Lines(lines), 1 << 20), "documents", take, lambda: 0)


def _line(number: int, document: str | Sequence[str], reading: Reading) -> bytes:
    """Return a document as a line of text; a lone surrogate in a string becomes bytes that are refused as not UTF-8."""
    if isinstance(document, str):
        return b" ".join(reading.encoded(document).split()) + b"\n"
    try:
        return joined(document_words(number, document)) + b"\n"
    except UnicodeEncodeError:
        raise InputError(f"documents: document {number} has a word with half of a surrogate pair") from None
    except ValueError as error:
        raise InputError(f"documents: document {number} has {error}") from None


def document_words(number: int, document: Any) -> list[str]:
    """Return the words of a document that is no string; raises `InputError`, with its number, if it is no iterable of words."""
    if isinstance(document, bytes | bytearray) or not isinstance(document, Iterable) or getattr(document, "ndim", 1) == 0:
        raise InputError(f"documents: document {number} is {document!r:.40}; it must be a string or a sequence of words")
    words = list(document)
    for at, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise InputError(f"documents: document {number} has {word!r:.40} as word {at}; words are strings")
    return words


def file_pieces(
    paths: Sequence[TextPath],
    longest: int,
    ids: IdColumn | None = None,
    reading: Reading = PLAIN,
    *,
    at_once: bool = False,
    size: int | None = None,
) -> Iterator[Piece]:
    """Yield the text of files in pieces of whole lines; raises as `file_blocks` does, and for a line over `longest` bytes.

    With `at_once`, lines of the standard input that are there are not kept waiting until a piece is full. Raises `InputError`
    too, once a file has been read, if it was changed meanwhile.
    """
    for path in paths:
        with unchanged([path]), _Source(path, reading, ids) as source:
            yield from _line_pieces(source, str(path), longest, 1 if at_once and source.comes else size or PIECE_BYTES)


def line_batches(
    paths: Sequence[TextPath], longest: int, reading: Reading = PLAIN, *, size: int | None = None
) -> Iterator[list[str]]:
    """Yield the lines of text files without their ends, `size` bytes, or a piece, at a time, and those of stdin as they come.

    Raises as `file_pieces` does, and for invalid UTF-8.
    """
    for piece in file_pieces(paths, longest, reading=reading, at_once=True, size=size):
        try:
            yield piece.text.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise bad_byte(piece.source, piece.text[error.start], piece.offset + error.start) from None


def _line_pieces(source: _Source, name: str, longest: int, least: int) -> Iterator[Piece]:
    """Yield pieces of whole lines, from at least so many bytes read at a time."""
    rest, offset, number, ended = bytearray(), 0, 1, False
    unit = DOCUMENT if source.ends_lines else ":"
    while not ended:
        data = _read(source, least)
        ended = len(data) < least
        closing = ended and not source.ends_lines
        cut = len(data) if closing else data.rfind(b"\n") + 1
        _check_length(f"{name}{unit}{number}", rest, data, longest)
        if cut or closing:
            text, rest = bytes(rest + data[:cut]), bytearray(data[cut:])
            if text:
                yield replace(_piece(text, name, number, offset, source.advance()), unit=unit)
            offset, number = offset + len(text), number + text.count(b"\n")
        else:
            rest += data


def _piece(text: bytes, name: str, number: int, offset: int, read: int = 0) -> Piece:
    """Return whole lines as a piece, without the mark at the beginning of a source."""
    skipped = len(BOM) if offset == 0 and text.startswith(BOM) else 0
    return Piece(text[skipped:] or b"\n", LINES, name, number, offset + skipped, read)


def _check_length(place: str, rest: bytearray, data: bytes, longest: int) -> None:
    """Raise `InputError` if a line that begins with `rest` and goes on in `data` has more than `longest` bytes."""
    if len(rest) + (data.find(b"\n") + 1 or len(data)) > longest:
        raise _too_long(place, longest)


def _read(source: _Source, least: int) -> bytes:
    """Return the next bytes: at least so many, or as many as are left, and at most that or PIECE_BYTES."""
    buffer = bytearray(max(least, PIECE_BYTES))
    size = 0
    while size < least and (n := source.readinto(memoryview(buffer)[size:])):
        size += n
    return bytes(buffer[:size])


def _too_long(place: str, longest: int) -> InputError:
    return InputError(
        f"{place}: has more than {longest} bytes, and a line is taken as a whole; split it, or pass more --memory, "
        "if the command has that option"
    )


def document_pieces(
    documents: Iterable[Any], longest: int, reading: Reading = PLAIN, ids: Tags | None = None
) -> Iterator[Piece]:
    """Yield documents in pieces: strings unchanged, for a tokenizer, and sequences of words as lines of words."""
    offset, plain = 0, ids.taken_off(documents) if ids else documents
    for kind, group in itertools.groupby(enumerate(plain, 1), lambda item: DOCUMENTS if isinstance(item[1], str) else WORDS):
        glue = b"\0" if kind == DOCUMENTS else b""
        for number, texts in _batches((number, _text(number, document, longest, reading)) for number, document in group):
            yield Piece(glue.join(texts), kind, "documents", number, offset)
            offset += sum(map(len, texts)) + len(texts) * len(glue)


def _text(number: int, document: str | Sequence[str], longest: int, reading: Reading) -> bytes:
    if not isinstance(document, str):
        return _line(number, document, reading)
    if "\0" in document and reading.errors == "strict":
        raise InputError(f"documents: document {number} holds a NUL; is it text?")
    text = reading.encoded(document)
    if len(text) > longest:
        raise _too_long(f"documents: document {number}", longest)
    return text


def _batches(texts: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lists of texts of about PIECE_BYTES in all, each with the number of its first text."""
    batch: list[bytes] = []
    first = size = 0
    for number, text in texts:
        if not batch:
            first, size = number, 0
        batch.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            yield first, batch
            batch = []
    if batch:
        yield first, batch


def word_blocks(found: Iterator[tuple[Piece, bytes]], take: Callable[[], Block]) -> Iterator[Block]:
    """Yield blocks of the words found in pieces of text."""
    read = 0

    def lines() -> Iterator[bytes]:
        nonlocal read
        for piece, words in found:
            read += piece.read
            yield words

    def advance() -> int:
        nonlocal read
        taken, read = read, 0
        return taken

    return stream_blocks(io.BufferedReader(_Lines(lines()), 1 << 20), "words", take, advance)


class _Lines(io.RawIOBase):
    """A byte stream over an iterator of bytes."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._rest = lines, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._rest = memoryview(line)
        n = min(len(target), len(self._rest))
        target[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

"""How the bytes of a text are read: in which encoding, what happens to bytes that are none of it, and what a document is.

Plain UTF-8 with a document in each line takes none of this: it goes to the kernels as it is.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.runtime.options import Options, checked

__all__ = ["Decoder", "Errors", "Reading", "ReadingOptions", "Unit", "encoding_name"]

Errors = Literal["strict", "replace", "skip"]
Unit = Literal["line", "blank-line", "file"]
UTF8, MARKED = "utf-8", "cooc-engine.marked"
FAULT = re.compile("[\0\ud800-\udfff]")  # what no text holds; halves of surrogate pairs mark bytes that could not be decoded
CHUNK = 1 << 18


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Handle an error of decoding: put a mark where no character could be decoded."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udc80", error.end


codecs.register_error(MARKED, _mark)


def encoding_name(given: str) -> str:
    """Return Python's own name of an encoding; raises `UsageError` if it is none of text files."""
    try:
        name = codecs.lookup(given).name
        with suppress(UnicodeDecodeError):
            b"a".decode(name)  # a codec that does not make text, such as zip, is a LookupError
    except (LookupError, UnicodeError, ValueError):
        known = "one that Python knows, such as utf-8, gb18030 or latin-1"
        raise UsageError(f"--encoding is {given!r}; it must be {known}") from None
    return name


@dataclass(frozen=True)
class ReadingOptions(Options):
    """How a text is read that a model is asked about, where this differs from how the text of its training was."""

    encoding: str | None = None
    """The encoding of the text; by default that of the text of the training."""
    errors: Errors | None = None
    """Bytes that are no text, and NULs: stop (`strict`), take U+FFFD (`replace`), or `skip`; by default as in the training."""


@dataclass
class Reading:
    """How texts are read; `faults` counts the characters that were replaced or skipped so far, `finished` those of the files
    before the one that is being read."""

    encoding: str = UTF8
    errors: Errors = "strict"
    document: Unit = "line"
    faults: int = 0
    finished: int = 0

    @classmethod
    def of(cls, record: Mapping[str, Any], where: object) -> Reading:
        """Return how a text was read, by the options that the file `where` records; raises `FormatError` if it does not say."""
        try:
            unit: Any = record.get("document") or "line"
            errors: Any = record.get("errors") or "strict"
            if unit not in get_args(Unit) or errors not in get_args(Errors):
                raise ValueError
            return cls(encoding_name(record.get("encoding") or UTF8), errors, unit)
        except (AttributeError, TypeError, ValueError):
            raise FormatError(f"{where}: does not record how its text was read") from None

    def changed(self, encoding: str | None, errors: Errors | None) -> Reading:
        """Return how another text is read: in this encoding and with these errors, where they are given, and else as this one.

        Raises `UsageError` for an encoding or a way to handle errors that there is not.
        """
        name = self.encoding if encoding is None else encoding_name(encoding)
        return Reading(name, self.errors if errors is None else checked("errors", errors, Errors), self.document)

    @property
    def decodes(self) -> bool:
        """Whether bytes must be decoded on the way."""
        return self.encoding != UTF8 or self.errors != "strict"

    @property
    def plain(self) -> bool:
        """Whether a text is taken as it is."""
        return not self.decodes and self.document == "line"

    @property
    def advice(self) -> str:
        """What to do about a byte that is no text, to end a message."""
        return "; name the text's --encoding, or pass --errors=replace" if self.errors == "strict" else ""

    def encoded(self, text: str) -> bytes:
        """Return a string as UTF-8; with `strict`, half of a surrogate pair becomes bytes that are refused as not UTF-8."""
        return text.encode(errors="surrogatepass") if self.errors == "strict" else self.utf8(text)

    def utf8(self, text: str) -> bytes:
        """Return a text as UTF-8; what no text holds is counted, and replaced by U+FFFD or left out."""
        try:
            if "\0" not in text:
                return text.encode()
        except UnicodeEncodeError:
            pass
        text, faults = FAULT.subn("\ufffd" if self.errors == "replace" else "", text)
        self.faults += faults
        return text.encode()


class Decoder:
    """The bytes of a source as UTF-8.

    read   fills a buffer with the next bytes of the source and returns their number, 0 at the end
    """

    def __init__(self, reading: Reading, source: str, read: Callable[[memoryview], int]) -> None:
        self._reading, self._source, self._read = reading, source, read
        decoder = codecs.getincrementaldecoder(reading.encoding)
        self._decode = decoder("strict" if reading.errors == "strict" else MARKED).decode
        self._buffer, self._ready = memoryview(bytearray(CHUNK)), memoryview(b"")
        self._place, self._ended = 0, False

    def readinto(self, target: Any) -> int:
        """Fill `target` and return the number of bytes, 0 at the end; raises `InputError` for bytes that are not text."""
        while not self._ready and not self._ended:
            self._ready = memoryview(self._next())
        n = min(len(target), len(self._ready))
        target[:n], self._ready = self._ready[:n], self._ready[n:]
        return n

    def _next(self) -> bytes:
        size = self._read(self._buffer)
        self._place, self._ended = self._place + size, size == 0
        try:
            text = self._decode(self._buffer[:size], self._ended)
            if self._reading.errors != "strict":
                return self._reading.utf8(text)
            if "\0" not in text:
                return text.encode()
        except UnicodeDecodeError as error:
            at = self._place - len(error.object) + error.start
            fault = f"byte 0x{error.object[error.start]:02x} is not {self._reading.encoding} (at byte {at})"
        except UnicodeError as error:
            fault = f"is not {self._reading.encoding} ({error})"
        else:
            fault = f"a NUL before byte {self._place}; is it {self._reading.encoding}?"
        raise InputError(f"{self._source}: {fault}{self._reading.advice}")

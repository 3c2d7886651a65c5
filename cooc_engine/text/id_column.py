"""The column of a tab-separated text that holds the ids of documents: it is taken out of the text while this is read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import columns
from cooc_engine.errors import InputError

__all__ = ["IdColumn"]

NUMBER = re.compile("0|-?[1-9][0-9]{0,18}")
LEAST, MOST = -(2**63), 2**63 - 1
BOM = np.frombuffer(b"\xef\xbb\xbf", np.uint8)


class IdColumn:
    """Takes the ids out of files that are read one after another; the text keeps its length, so that places in it stay true.

    column   of the ids, from 1
    write    is called with the next ids, as bytes with a line end after each; they are UTF-8, and not spaces alone

    numbers  whether ids must be whole numbers of 64 bits, each written in the one way that Python writes it
    separator  stands between the tags of a document, if it has several

    An id is what the column says, to the byte, except that a carriage return before the end of a line belongs to this.
    """

    def __init__(
        self, column: int, write: Callable[[npt.NDArray[np.uint8]], None], numbers: bool = False, separator: str | None = None
    ) -> None:
        self._column, self._write, self._numbers, self._separator = column, write, numbers, separator
        self._rest, self._seen = "", 0  # of numbers and tags: the beginning of one, and how many there were
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._state, self._begun, self._open = np.zeros(5, np.int64), False, False

    @property
    def least(self) -> int:
        """Bytes that the next call of `strip` must have, if there are so many."""
        return 0 if self._begun else len(BOM)

    def strip(self, target: Any, size: int, source: str) -> None:
        """Take the ids out of the next `size` bytes of a source; with none, the source has ended, and with it the last line.

        The first bytes of a source come together, as many as a mark of their order has (`least`).
        """
        text = np.frombuffer(target, np.uint8)[:size]
        if size == 0 and self._open:
            self._take(np.full(1, columns.LINE_END, np.uint8), source)
        if not self._begun and np.array_equal(text[:3], BOM):
            text[:3] = columns.SPACE
            text = text[3:]
        if len(text):
            self._take(text, source)
        self._begun = size > 0
        if size == 0:
            self._state[:], self._seen = 0, 0

    def _take(self, text: npt.NDArray[np.uint8], source: str) -> None:
        self._open = bool(text[-1] != columns.LINE_END)
        taken = np.empty(len(text) + 1, np.uint8)
        self._check(taken[: columns.take_column(text, len(text), self._column - 1, self._state, taken)], source)

    def _check(self, ids: npt.NDArray[np.uint8], source: str) -> None:
        if line := int(self._state[columns.EMPTY]):
            raise InputError(f"{source}:{line}: has no document id in column {self._column}; columns are separated by tabs")
        try:
            text = self._decode(ids.tobytes())
        except UnicodeDecodeError:
            raise InputError(f"{source}: a document id near line {self._state[columns.LINES] + 1} is not UTF-8") from None
        if "\0" in text:
            raise InputError(f"{source}: a document id has a NUL byte; is it a binary file?")
        if self._numbers or self._separator:
            self._check_each(text, source)
        self._write(ids)

    def _check_each(self, text: str, source: str) -> None:
        *found, self._rest = (self._rest + text).split("\n")
        for number, line in enumerate(found, self._seen + 1):
            for one in line.split(self._separator) if self._separator else [line]:
                self._check_one(one, f"{source}:{number}")
        self._seen += len(found)

    def _check_one(self, one: str, where: str) -> None:
        if self._separator and not one.strip():
            raise InputError(f"{where}: has an empty tag in column {self._column}; tags are separated by {self._separator!r}")
        if self._numbers and not (NUMBER.fullmatch(one) and LEAST <= int(one) <= MOST):
            raise InputError(f"{where}: the document id {one!r} is not a 64-bit integer; pass --doc-id-type=string")

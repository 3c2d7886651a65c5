"""Words and vectors being imported: they are checked, rows are spooled to disk, and faults are reported or counted.

Only the words are kept in memory; the rows go to an unnamed temporary file, which is mapped once all have been read.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError
from cooc_engine.formats.rounding import Values, restored
from cooc_engine.models.subwords import SubwordRows
from cooc_engine.runtime.types import Matrix, Rows
from cooc_engine.storage.hdf5 import BEYOND, LARGEST
from cooc_engine.storage.scratch import map_rows, nameless

__all__ = ["CHUNK", "WIDEST", "Faults", "Incoming", "check_shapes", "is_utf8", "repeated", "shown", "taken"]

CHUNK = 1 << 22  # bytes processed at a time
WIDEST = 1 << 20  # numbers of a vector: longer ones are taken for a damaged header


class Faults:
    """Faults of a file: the first is an error, or, with `skip`, all are tallied by kind and their words left out."""

    def __init__(self, path: Path, *, skip: bool) -> None:
        self.path, self.skip = path, skip
        self.tally: Counter[str] = Counter()

    def found(self, kind: str, where: int | str, what: str) -> None:
        """Tally a fault; raises `InputError`, naming file and line, unless faults are skipped."""
        if not self.skip:
            self.fatal(where, what)
        self.tally[kind] += 1

    def fatal(self, where: int | str, what: str) -> NoReturn:
        """Raise `InputError`, naming file and line."""
        raise InputError(f"{self.path}:{where}: {what}")


class Incoming:
    """Collects words and their vectors as they are read; `finish` returns them.

    directory   where the rows are spooled; that of temporary files if None
    places      prefix of a word's number in messages, such as "word "; empty for line numbers
    """

    def __init__(self, faults: Faults, directory: Path | None = None, places: str = "") -> None:
        self.faults, self._directory, self._places = faults, directory, places
        self.subwords: SubwordRows | None = None  # those of a file that has any, set by its reader
        self._text, self._ends = bytearray(), array("q", [0])
        self._counts, self._numbers = array("q"), array("q")
        self._spool, self.width = nameless(directory), 0

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.close()

    def add(self, words: Sequence[bytes], rows: Matrix, numbers: Sequence[int], counts: Sequence[int] | None = None) -> None:
        """Add words, their vectors (n, d), line numbers and counts; a word that cannot be used is a fault."""
        self.width = rows.shape[1]
        sound = np.logical_and.reduce(np.abs(rows) < LARGEST, axis=1)  # NaN is not
        for at, word in enumerate(words):
            if not sound[at]:
                self._fault(
                    "not finite", numbers[at], f"the vector of {shown(word)} holds a number that is not finite, or {BEYOND}"
                )
            elif not word:
                sound[at] = False
                self._fault("no word", numbers[at], "the word is empty")
            elif not is_utf8(word):
                sound[at] = False
                self._fault("not UTF-8", numbers[at], f"the word {shown(word)} is not UTF-8")
            else:
                self._text += word
                self._ends.append(len(self._text))
                self._numbers.append(numbers[at])
                self._counts.append(counts[at] if counts is not None else 0)
        self._spool.write(np.ascontiguousarray(rows if sound.all() else rows[sound], "<f4").data)

    def add_arrays(self, words: Sequence[bytes], values: Values, start: int, beside: Mapping[str, Values]) -> None:
        """Add words and stored vectors (n, d), rows `start` and following; `beside` holds their `scales` and `counts`."""
        numbers, counts = range(start + 1, start + len(words) + 1), beside.get("counts")
        if counts is not None and len(counts) and (counts.min() < 0 or counts.max() >= 2**63):
            wrong = int(((counts < 0) | (counts >= 2**63)).argmax())
            self.faults.fatal(f"{self._places}{numbers[wrong]}", f"the count is {counts[wrong]}")
        self.add(words, restored(values, beside.get("scales")), numbers, None if counts is None else counts.tolist())

    def _fault(self, kind: str, number: int, what: str) -> None:
        self.faults.found(kind, f"{self._places}{number}", what)

    def finish(self) -> tuple[Vocabulary, Matrix]:
        """Return the distinct words and their vectors (V, d), mapped; raises `InputError` if there are none."""
        ends, counts = (np.frombuffer(numbers, np.int64) for numbers in (self._ends, self._counts))
        vocabulary = Vocabulary(np.frombuffer(self._text, np.uint8), ends, counts)
        if not len(vocabulary):
            raise InputError(f"{self.faults.path}: contains no vectors")
        rows = map_rows(self._spool, len(vocabulary), self.width)
        vocabulary.order = vocabulary.sorted_rows()
        again = self._repeated(vocabulary)
        if len(again):
            kept = np.delete(np.arange(len(vocabulary)), again)
            vocabulary, rows = taken(vocabulary, kept), self._spooled(rows, kept)
        return vocabulary, rows

    def _repeated(self, vocabulary: Vocabulary) -> Rows:
        """Return the rows whose word already occurs in an earlier row."""
        again = repeated(vocabulary)
        for second, first in again:
            where = f"first at {self._places}{self._numbers[first]}"
            self._fault("stands twice", self._numbers[second], f"the word {vocabulary.word(second)!r} stands twice ({where})")
        return np.array([second for second, _ in again], np.int64)

    def _spooled(self, rows: Matrix, kept: Rows) -> Matrix:
        step = max(1, CHUNK // (4 * self.width))
        with nameless(self._directory) as spool:
            for start in range(0, len(kept), step):
                spool.write(rows[kept[start : start + step]].data)
            return map_rows(spool, len(kept), self.width)


def repeated(vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Return, in ascending order, each row whose word already occurs in an earlier row, together with that row."""
    order, sizes = vocabulary.sorted_rows(), np.diff(vocabulary.offsets)
    alike = np.flatnonzero(sizes[order[1:]] == sizes[order[:-1]])
    pairs = zip(order[alike].tolist(), order[alike + 1].tolist(), strict=True)  # equal words are sorted by row
    return sorted((second, first) for first, second in pairs if vocabulary.word(first) == vocabulary.word(second))


def taken(vocabulary: Vocabulary, rows: Rows) -> Vocabulary:
    """Return the words in some rows of a vocabulary, with their counts."""
    found = Vocabulary.from_words((vocabulary.word(row) for row in rows), vocabulary.counts[rows])
    found.order = found.sorted_rows()
    return found


class Described(Protocol):
    """The description of an array in a header."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""


def check_shapes(path: Path, vectors: Described, beside: Mapping[str, Described]) -> None:
    """Raise `InputError` unless vectors have a plausible size, and each array `beside` them has one number per vector."""
    size, width = vectors.shape
    if not 0 < width <= WIDEST:
        raise InputError(f"{path}: vectors of {width} numbers; there can be 1 to {WIDEST:,}")
    for name, found in beside.items():
        if found.shape != (size,):
            raise InputError(f"{path}: {size} vectors, but {name} has the shape {' x '.join(map(str, found.shape))}")
        if found.dtype.kind not in ("iu" if name == "counts" else "fiu"):
            raise InputError(f"{path}: {name} holds {found.dtype}, not numbers")


def is_utf8(word: bytes) -> bool:
    """Tell whether bytes are valid UTF-8."""
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown(word: bytes) -> str:
    """Return a word for a message, in quotes; of a long one, the beginning."""
    text = word.decode(errors="replace")
    return repr(text if len(text) <= 40 else text[:39] + "…")

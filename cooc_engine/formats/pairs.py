"""Counts of pairs in a text, each line of which has a row, a column and perhaps a count, such as a user, an item and a number.

The text is read once. Names are numbered by first occurrence, and only they are kept in memory; pairs are written as numbers to
an unnamed file, until all names are known and ranked, and are then sorted like the entries of any other matrix.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.vocabulary_file import ranked
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.from_coo import Coordinates, build
from cooc_engine.counts.options import PAIRS
from cooc_engine.errors import InputError
from cooc_engine.formats.foreign_counts import ForeignCounts
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import Run, RunKeywords
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.paths import listed, path_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Counts, PathLike, Paths
from cooc_engine.storage.checksums import crc32
from cooc_engine.storage.outputs import disk_errors, part_path, refuse_overwrite
from cooc_engine.storage.scratch import nameless
from cooc_engine.text.bounded import lines
from cooc_engine.text.compression import opened

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Separator", "count_pairs"]

Separator = Literal["tab", "comma", "space"]
SEPARATORS: Mapping[Separator, bytes | None] = {"tab": b"\t", "comma": b",", "space": None}  # the last for white space
PAIR = np.dtype([("row", "<i4"), ("column", "<i4"), ("count", "<i8")])
LONGEST = 1 << 16  # bytes of a line
TOGETHER = 1 << 14  # lines that become numbers at a time
NAME_BYTES = 250  # of memory for a name, beside its text: in the dictionary, as an object, and as it is ranked
DIGITS = 18  # of a count, so that it fits into 64 bits
BOM = b"\xef\xbb\xbf"


@gated
def count_pairs(
    texts: Paths,
    output: PathLike,
    *,
    separator: Separator | None = None,
    header: bool = False,
    **run: Unpack[RunKeywords],
) -> Cooc:
    """Count the pairs in text files: each line has a row, a column and, optionally, a count, which is otherwise 1.

    >>> orders = count_pairs("orders.tsv", "orders", threads=1)
    >>> orders["ann", "tea"], orders["bob", "green tea"], orders["bob", "tea"]
    (3.0, 1.0, 0.0)

    separator  what separates fields: "tab", "comma", or "space" for any white space; by default a tab if the first line of a
               file contains one, or else a comma if it contains one
    header     whether the first line of each file contains the names of its fields, and is skipped

    Files may be compressed. Names cannot contain separators, and spaces around them are removed; quoted names are refused.
    Counts are whole numbers, and those of the same pair are added up, so that bytes depend neither on the order of lines nor on
    `threads` or `memory`. `run` takes threads, memory, force, resume and progress. Raises `InputError`, naming file and line,
    for any other line, and `UsageError` if names do not fit into the budget.
    """
    how, paths, output = Run.of("count_pairs", run), listed(texts), path_of(output)
    refuse_overwrite(output, part_path(output), force=how.force, resume=how.resume)
    with nameless(output.parent) as spool:
        with disk_errors(output), how.shown.stage("read pairs", None, "pairs") as stage:
            read = _Reading(spool, how.budget, stage)
            for path in paths:
                read.add(path, separator, header=header)
            found = read.finish(paths)
        return build(found, output, how)


class _Names(dict[bytes, int]):
    """The numbers of names, by first occurrence; looking up a new name checks it, and gives it the next number.

    size  estimated bytes of memory that the names take
    """

    size = 0

    def __missing__(self, name: bytes) -> int:
        if not name:
            raise ValueError("a name is empty")
        name.decode()
        self.size += len(name) + NAME_BYTES
        self[name] = number = len(self)
        return number

    def ranked(self, sums: Counts, what: str) -> tuple[Vocabulary, Any]:
        """Return the names as a vocabulary with the counts `sums`, and the row that each number has in it."""
        offsets = offsets_of(np.fromiter(map(len, self), np.int64, len(self)))
        return ranked(Vocabulary(np.frombuffer(b"".join(self), np.uint8), offsets, sums), what, spaces=True)


@dataclass
class _Reading:
    """Reads text, and appends its pairs as numbers to `spool`."""

    spool: IO[bytes]
    budget: int
    stage: Stage
    rows: _Names = field(default_factory=_Names)
    columns: _Names = field(default_factory=_Names)
    total: int = 0
    crc: int = 0

    def add(self, path: Path, separator: Separator | None, *, header: bool) -> None:
        """Read a file."""
        with opened(path) as file:
            found = _records(lines(file, LONGEST, path))
            first = next(found, (1, b""))
            sign = SEPARATORS[separator or _separator_of(first[1])]
            whole = found if header else itertools.chain([first] if first[1] else [], found)
            while batch := list(itertools.islice(whole, TOGETHER)):
                self._write(path, batch, sign)

    def _write(self, path: Path, batch: list[tuple[int, bytes]], sign: bytes | None) -> None:
        found: list[tuple[int, int, int]] = []
        for number, line in batch:
            try:
                row, column, count = _parsed(line, sign)
                found.append((self.rows[row], self.columns[column], count))
            except UnicodeDecodeError:
                raise InputError(f"{path}:{number}: not UTF-8") from None
            except ValueError as error:
                raise InputError(f"{path}:{number}: {error}") from None
        pairs = np.empty(len(found), PAIR)
        for name, values in zip(PAIR.names or (), zip(*found, strict=True), strict=True):
            pairs[name] = values
        self.total += sum(pairs["count"].tolist())
        if self.total >= 2**63:
            raise InputError(f"{path}:{batch[-1][0]}: the counts up to here overflow 64 bits together")
        Plan("count pairs", self.budget, {"names of rows and columns": self.rows.size + self.columns.size}).check()
        self.crc = crc32(pairs.data, self.crc)
        self.spool.write(pairs.data)
        self.stage.advance(len(batch))

    def finish(self, paths: list[Path]) -> _Pairs:
        """Return all pairs, whose names are ranked."""
        if not self.rows:
            raise InputError(f"{', '.join(map(str, paths)) or 'no file'}: contains no pairs")
        self.spool.flush()
        size = os.fstat(self.spool.fileno()).st_size // PAIR.itemsize
        sums = np.zeros(len(self.rows), np.int64), np.zeros(len(self.columns), np.int64)
        for begin in range(0, size, TOGETHER):
            pairs = _read(self.spool, begin, min(begin + TOGETHER, size))
            for name, part in zip(("row", "column"), sums, strict=True):
                np.add.at(part, pairs[name], pairs["count"])
        vocabulary, ranks = self.rows.ranked(sums[0], "the rows")
        names, column_ranks = self.columns.ranked(sums[1], "the columns")
        named = {"column_names": names, "column_ranks": column_ranks}
        return _Pairs("the pairs", vocabulary, PAIRS, ranks, {"pairs": self.crc}, **named, spool=self.spool, size=size)


def _records(numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, without line ends and byte-order mark."""
    for number, line in numbered:
        text = (line.removeprefix(BOM) if number == 1 else line).strip(b" \r\n")
        if text.strip():
            yield number, text


def _separator_of(line: bytes) -> Separator:
    return "tab" if b"\t" in line else "comma" if b"," in line else "space"


def _parsed(line: bytes, sign: bytes | None) -> tuple[bytes, bytes, int]:
    """Return the names and the count of a line; raises `ValueError`, saying what is wrong with it."""
    fields = [part.strip(b" ") for part in line.split(sign)]
    if not 2 <= len(fields) <= 3:
        raise ValueError(f"expected a row, a column and perhaps a count, found {len(fields)} of them; see --separator")
    if sign == b"," and b'"' in (fields[0][:1], fields[1][:1]):
        raise ValueError("names in quotes are not read; separate them by tabs instead")
    count = fields[2] if fields[2:] else b"1"
    if not count.isdigit() or len(count) > DIGITS:
        hint = "; a first line that names the fields is left out with --header"
        raise ValueError(f"{count[:40].decode(errors='replace')!r} is not a count, which is a whole number{hint}")
    return fields[0], fields[1], int(count)


def _read(spool: IO[bytes], begin: int, end: int) -> Any:
    """Return pairs begin:end; several threads may read at once."""
    return np.frombuffer(os.pread(spool.fileno(), (end - begin) * PAIR.itemsize, begin * PAIR.itemsize), PAIR)


@dataclass(frozen=True)
class _Pairs(ForeignCounts):
    """Pairs as numbers in a file."""

    spool: IO[bytes] = field(default_factory=io.BytesIO)
    size: int = 0

    def read(self, begin: int, end: int) -> Coordinates:
        """Return rows, columns and counts of pairs begin:end."""
        pairs = _read(self.spool, begin, end)
        rows, columns = self.ranked(pairs["row"].copy(), pairs["column"].copy())
        return rows, columns, pairs["count"].copy()

"""Computing rows of the matrix, from the text or from runs, in tasks for threads, and writing them to disk in order."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import counting
from cooc_engine.counts.windows import Window
from cooc_engine.errors import FormatError
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.threads import cut_by_cost, in_order
from cooc_engine.runtime.types import Counts, Offsets
from cooc_engine.storage.arrays import ArrayReader, ArrayWriter, is_whole, load_array
from cooc_engine.storage.attempts import attempt
from cooc_engine.storage.checksums import crc32
from cooc_engine.storage.relations import check_offsets

__all__ = [
    "Accumulator",
    "Merged",
    "RowFiles",
    "Source",
    "Stored",
    "TextSource",
    "Written",
    "accumulator_bytes",
    "entries_in",
    "write_row_file",
    "write_rows",
]

VALUES = (np.uint32, np.uint64)
KINDS: dict[str, Any] = {"rows": np.int64, "columns": np.int32, "values": VALUES}
TASK_ENTRIES = 1 << 20  # counted at a time by a thread (a longer row is a task by itself)
SHARES = 4  # tasks for each thread, at least, if no word is too frequent for it
LEAST_PIECE = 16  # contexts per column in a piece of a row, so that adding up its entries takes little time in comparison


class Accumulator:
    """The buffers of a thread: `row`, an accumulator of `width` columns, and `rows`, room for the finished rows of a task.

    `gap` further columns of the accumulator collect gaps, which are not contexts.
    """

    def __init__(self, width: int, gap: int, entries: int, rows: int) -> None:
        columns = width + gap
        top = (columns >> 6) + 1
        bits = np.zeros(top + (columns >> 12) + 1, np.uint64)
        listed, amounts = np.zeros(counting.LISTED + counting.SOON, np.int32), np.empty(counting.LISTED, np.int64)
        self.row = counting.RowAccumulator(np.zeros(columns, np.int64), bits, top, width, listed, amounts)
        lengths, sums = np.empty(rows, np.int64), np.empty(rows, np.int64)
        self.rows = counting.CountedRows(np.empty(entries, np.int32), np.empty(entries, np.int64), lengths, sums)

    def add(self, columns: npt.NDArray[np.int32], values: Counts) -> None:
        """Add entries to the row."""
        counting.add_entries(columns, values, self.row)

    def end_row(self) -> int:
        """Write the row as the only one that is finished; returns the number of its entries."""
        nothing = np.zeros((1, 2), np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
        return int(counting.merge_rows(*nothing, self.row, self.rows))


def accumulator_bytes(columns: int, entries: int) -> int:
    """Return the memory of an accumulator, with the copies made while its entries are written."""
    return columns * 8 + columns // 7 + entries * 20


class Stored(Protocol):
    """Rows on disk that can be merged; entries are numbered consecutively through all rows."""

    @property
    def size(self) -> int:
        """Number of rows."""
        ...

    def offsets(self, first: int, last: int) -> Offsets:
        """Return where the entries of rows first:last begin, and where the last of them ends."""
        ...

    def entries(self, begin: int, end: int) -> tuple[npt.NDArray[np.int32], Counts]:
        """Return columns and values of entries begin:end."""
        ...


class Source(Protocol):
    """A source of rows to write."""

    @property
    def bounds(self) -> Offsets:
        """(V,) upper bounds of the number of entries of each row."""
        ...

    def pieces(self, first: int, last: int, threads: int) -> int:
        """Return the number of pieces that threads fill at the same time: 1 for several rows, 1 or more for a single row."""
        ...

    def fill(self, accumulator: Accumulator, first: int, last: int, share: tuple[int, int] = (0, 1)) -> int:
        """Write rows first:last to the accumulator, or of a row cut into share[1] pieces the one with the number share[0].

        Returns the number of entries.
        """
        ...

    def work(self, first: int, last: int) -> int:
        """Return the work of rows first:last, in the units of the stage's progress."""
        ...


@dataclass(frozen=True)
class TextSource:
    """Rows counted from a text."""

    text: counting.PositionLists
    window: Window
    bounds: Offsets

    def fair(self, threads: int) -> int:
        """Return the number of centres of a task that leaves no thread waiting for another."""
        return max(1, int(self.text.starts[-1]) // (SHARES * threads))

    def tasks(self, first: int, last: int, entries: int, threads: int) -> list[tuple[int, int]]:
        """Cut rows first:last into tasks of at most `entries` entries and a fair number of centres, or of one row."""
        centres = np.diff(self.text.ends[first : last + 1])
        costs = np.maximum(self.bounds[first:last], (centres * (entries / self.fair(threads))).astype(np.int64))
        return [(first + a, first + b) for a, b in cut_by_cost(costs, entries)]

    def pieces(self, first: int, last: int, threads: int) -> int:
        """Cut a row with more centres than a fair task has; adding up its columns takes time for each piece."""
        if last > first + 1 or threads == 1:
            return 1
        least = LEAST_PIECE * len(self.bounds) * self.window.slots // self.window.contexts
        return max(1, self.work(first, last) // max(self.fair(threads), least))

    def fill(self, accumulator: Accumulator, first: int, last: int, share: tuple[int, int] = (0, 1)) -> int:
        """Count rows first:last, or a piece of their centres."""
        return int(counting.count_rows(self.text, (first, last), share, self.window.shape, accumulator.row, accumulator.rows))

    def work(self, first: int, last: int) -> int:
        """Return the number of centres."""
        return int(self.text.ends[last] - self.text.ends[first])


@dataclass(frozen=True)
class RowFiles:
    """Consecutive rows in three array files: offsets and sums of the rows, columns and values of the entries.

    of      what the rows belong to, within the plan of the directory: numbers of rows, or stretches of the input
    suffix  the suffix of an attempt to write them
    """

    directory: Path
    name: str
    of: Any
    suffix: str = ""

    def path(self, part: str) -> Path:
        """Return the file of `rows`, `columns` or `values`."""
        return self.directory / f"{part}-{self.name}.bin{self.suffix}"

    @contextmanager
    def attempt(self) -> Iterator[RowFiles]:
        """Yield files to write instead, which are renamed to these when the block ends, the file of rows last."""
        with attempt(*(self.path(part) for part in ("columns", "values", "rows"))) as suffix:
            yield replace(self, suffix=suffix)

    def whole(self) -> bool:
        """Tell whether all rows were written, and none of the files was damaged or exchanged since."""
        if not all(is_whole(self.path(part), kind) for part, kind in KINDS.items()):
            return False
        found = load_array(self.path("rows"), np.int64)
        return len(found) > 0 and int(found[-1]) == self.mark(found[:-1])

    def mark(self, rows: Counts) -> int:
        """Return a checksum that binds offsets and sums to the other files, the plan of the directory, and their part of it."""
        held = [ArrayReader(self.path(part), KINDS[part]).bound for part in ("columns", "values")]
        told = (self.directory / "plan.json").read_bytes() + repr((self.name, self.of, *map(tuple, held))).encode()
        return crc32(rows.data, crc32(told))

    def rows(self, size: int) -> tuple[Counts, Counts]:
        """Return the numbers of entries and the sums of all `size` rows; raises `FormatError` if the file is damaged."""
        found: Counts = load_array(self.path("rows"), np.int64)
        offsets, sums = found[: size + 1], found[size + 1 : -1]
        if len(sums) != size or (sums < 0).any():
            raise FormatError(f"{self.path('rows')}: does not hold the sums of {size} rows; pass --force to start anew")
        check_offsets(offsets, int(offsets[-1]), f"{self.path('rows')}")
        return np.diff(offsets), sums

    @property
    def bytes(self) -> int:
        """Bytes of the three files."""
        return sum(self.path(part).stat().st_size for part in KINDS)

    def unlink(self) -> None:
        """Delete the files."""
        for part in ("rows", "columns", "values"):
            self.path(part).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Written:
    """Rows in files, read in slices; no file stays open, so that any number of them can be merged at once."""

    rows: ArrayReader
    columns: ArrayReader
    values: ArrayReader
    size: int  # in rows

    @classmethod
    def open(cls, files: RowFiles, size: int, width: int) -> Written:
        """Open the files that `write_rows` wrote of `size` rows of `width` columns, after verifying what they hold."""
        rows, columns = ArrayReader(files.path("rows"), np.int64), ArrayReader(files.path("columns"), np.int32)
        values = ArrayReader(files.path("values"), (np.uint32, np.uint64))
        entries = int(files.rows(size)[0].sum())
        if columns.size != entries or values.size != entries:
            raise FormatError(f"{columns.path}: does not hold the {entries} entries of its rows; pass --force to start anew")
        columns.verify(width)
        values.verify()
        return cls(rows, columns, values, size)

    def offsets(self, first: int, last: int) -> Offsets:
        """Return where the entries of rows first:last begin, and where the last of them ends."""
        return self.rows.read(first, last + 1)

    def entries(self, begin: int, end: int) -> tuple[npt.NDArray[np.int32], Counts]:
        """Return columns and values of entries begin:end."""
        return self.columns.read(begin, end), self.values.read(begin, end).astype(np.int64)


class Merged:
    """The sums of several runs or directories, row by row, for all rows or the range `rows`.

    Memory holds the slices of one task per thread. A task reads at most `entries` entries and as many offsets: each row has one
    offset per source, so a task has fewer rows if there are many sources. A longer row is added up in pieces.
    """

    def __init__(self, sources: Sequence[Stored], width: int, entries: int, rows: tuple[int, int] | None = None) -> None:
        self._sources, self._most = sources, entries
        self._totals = np.zeros(sources[0].size, np.int64)
        first, last = rows or (0, sources[0].size)
        for source in sources:
            self._totals[first:last] += np.diff(source.offsets(first, last))
        self.bounds = np.minimum(self._totals, width)

    def tasks(self, first: int, last: int) -> list[tuple[int, int]]:
        """Cut rows first:last into tasks."""
        costs = self._totals[first:last] + len(self._sources)
        return [(first + a, first + b) for a, b in cut_by_cost(costs, self._most)]

    def pieces(self, first: int, last: int, threads: int) -> int:
        """Return 1: no row is cut, since none has more entries than all sources together have columns."""
        return 1

    def fill(self, accumulator: Accumulator, first: int, last: int, share: tuple[int, int] = (0, 1)) -> int:
        """Add up rows first:last, which form one task."""
        if last == first + 1 and self._totals[first] > self._most:
            return self._fill_long(accumulator, first)
        offsets = np.stack([source.offsets(first, last) for source in self._sources])
        slices = [source.entries(a, b) for source, a, b in zip(self._sources, offsets[:, 0], offsets[:, -1], strict=True)]
        offsets -= offsets[:, :1]
        offsets += offsets_of(offsets[:-1, -1])[:, None]
        columns, values = (np.concatenate([part[i] for part in slices]) for i in (0, 1))
        return int(counting.merge_rows(offsets, columns, values, accumulator.row, accumulator.rows))

    def _fill_long(self, accumulator: Accumulator, row: int) -> int:
        """Add up a row that is longer than a task, a piece at a time."""
        for source in self._sources:
            begin, end = source.offsets(row, row + 1).tolist()
            for at in range(begin, end, self._most):
                accumulator.add(*source.entries(at, min(end, at + self._most)))
        return accumulator.end_row()

    def work(self, first: int, last: int) -> int:
        """Return the number of entries to add."""
        return int(self._totals[first:last].sum())


def entries_in(sources: Sequence[Stored], first: int, last: int) -> int:
    """Return the number of entries that the sources have in rows first:last."""
    return sum(int(source.offsets(last, last)[0] - source.offsets(first, first)[0]) for source in sources)


def write_rows(
    files: RowFiles,
    dtype: npt.DTypeLike,
    source: Source,
    tasks: Sequence[tuple[int, int]],
    accumulators: Sequence[Accumulator],
    stage: Stage,
) -> None:
    """Write the rows of consecutive tasks, in two fewer threads than there are accumulators; the row file is written last."""
    free: queue.SimpleQueue[Accumulator] = queue.SimpleQueue()
    for accumulator in accumulators:
        free.put(accumulator)

    def work(piece: _Piece) -> tuple[_Piece, Accumulator, int]:
        accumulator = free.get()
        return piece, accumulator, source.fill(accumulator, piece.first, piece.last, piece.share)

    threads = len(accumulators) - 2
    pieces = [piece for task in tasks for piece in _Piece.of(*task, source.pieces(*task, threads))]
    ahead = threads + 1 if len(pieces) == len(tasks) else threads  # a row in pieces is held while the next ones are added
    lengths, sums = [], []
    with (
        ThreadPoolExecutor(threads) as pool,
        ArrayWriter(files.path("columns"), np.int32) as columns,
        ArrayWriter(files.path("values"), dtype) as values,
    ):
        for accumulator, first, last, entries in _joined(in_order(pool, work, pieces, ahead), free):
            rows = accumulator.rows
            columns.append(rows.columns[:entries])
            values.append(rows.values[:entries].astype(dtype))
            lengths.append(rows.lengths[: last - first].copy())
            sums.append(rows.sums[: last - first].copy())
            free.put(accumulator)
            stage.advance(source.work(first, last))
    write_row_file(files, np.concatenate(lengths), np.concatenate(sums))


class _Piece(NamedTuple):
    """Rows first:last, or one of several pieces of a row: its number, and how many there are."""

    first: int
    last: int
    share: tuple[int, int]

    @classmethod
    def of(cls, first: int, last: int, pieces: int) -> list[_Piece]:
        """Return all pieces of a task."""
        return [cls(first, last, (number, pieces)) for number in range(pieces)]


def _joined(
    done: Iterable[tuple[_Piece, Accumulator, int]], free: queue.SimpleQueue[Accumulator]
) -> Iterator[tuple[Accumulator, int, int, int]]:
    """Yield each task once its pieces are done and added up in the accumulator of the first one."""
    for (first, last, (piece, pieces)), accumulator, entries in done:
        if piece == 0:
            whole = accumulator
        if pieces > 1:
            whole.add(accumulator.rows.columns[:entries], accumulator.rows.values[:entries])
        if piece > 0:
            free.put(accumulator)
        if piece == pieces - 1:
            yield whole, first, last, entries if pieces == 1 else whole.end_row()


def write_row_file(files: RowFiles, lengths: Counts, sums: Counts) -> None:
    """Write the offsets and sums of the rows, and the mark that shows that the rows are complete."""
    with ArrayWriter(files.path("rows"), np.int64) as rows:
        found = np.concatenate([offsets_of(lengths), sums])
        rows.append(found)
        rows.append(np.array([files.mark(found)]))

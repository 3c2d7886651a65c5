"""Building a co-occurrence directory from matrix entries in any order, within a memory budget.

A range of entries that fits the budget is grouped by row with a counting sort, and each row is added up in the dense
accumulator of counting, which also sorts it. If there are several ranges, each makes a run, and the runs are merged as in
counting. Everything is validated before anything is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import coo, counting
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.count import MERGE_BYTES
from cooc_engine.counts.directory import (
    BLOCK_ENTRIES,
    KIND,
    MEMBERS,
    RECTANGULAR,
    VERSION,
    Block,
    Cooc,
    CoocManifest,
    clean,
    finish_blocks,
    plan_blocks,
)
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.row_writer import Accumulator, Merged, RowFiles, Source, Written, accumulator_bytes, write_rows
from cooc_engine.counts.windows import Window
from cooc_engine.errors import FormatError
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.threads import cut_by_cost, cut_evenly
from cooc_engine.runtime.types import Counts, Offsets
from cooc_engine.storage.inputs import record_bytes
from cooc_engine.storage.outputs import building, read_manifest, write_whole
from cooc_engine.storage.schema import Natural, read_json

__all__ = ["Coordinates", "EntrySource", "build", "rows_of", "whole_counts"]

CHUNK = 1 << 16  # entries read at a time
CHUNK_BYTES = 80 * CHUNK
TASK_ENTRIES = 1 << 20
LEAST_ENTRIES = 1 << 14
ENTRY_BYTES = 12  # bytes per entry grouped by row
DISK_BYTES = 8  # bytes per entry on disk, a column and a count; a pair that occurs several times takes less
LEAST_RUN = 1 << 20
MOST_BLOCKS = 1 << 12
ROUNDED = 1e-9  # tolerated relative error of float64 sums; those of GloVe's programs are off by 1e-11
Coordinates = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Counts]


class EntrySource(Protocol):
    """Counts from elsewhere, as entries in any order; the counts of duplicate entries are added up."""

    @property
    def name(self) -> str:
        """The name of the source in error messages."""
        ...

    @property
    def size(self) -> int:
        """The number of entries."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the rows, and of the columns unless these have names of their own."""
        ...

    @property
    def column_names(self) -> Vocabulary | None:
        """The words of columns that have names of their own, else None."""
        ...

    @property
    def options(self) -> CountOptions:
        """The options that the entries were counted with."""
        ...

    @property
    def origin(self) -> Mapping[str, Any]:
        """Facts that identify the source, so that an interrupted run is resumed only with the same one."""
        ...

    @property
    def manifest(self) -> CoocManifest | None:
        """The manifest of the co-occurrence directory that the entries were exported from, or None."""
        ...

    def read(self, begin: int, end: int) -> Coordinates:
        """Return rows, columns and counts, times the weights' denominator, of entries begin:end; may raise `FormatError`."""
        ...


def _width(entries: EntrySource, window: Window) -> int:
    """Return the number of columns."""
    return len(entries.vocabulary if entries.column_names is None else entries.column_names) * window.slots


def rows_of(offsets: npt.NDArray[Any], begin: int, end: int) -> npt.NDArray[np.int32]:
    """Return the rows of entries begin:end of a CSR matrix, where row r has entries offsets[r]:offsets[r + 1]."""
    first, last = int(np.searchsorted(offsets, begin, "right")) - 1, int(np.searchsorted(offsets, end, "left"))
    lengths = np.diff(np.clip(offsets[first : last + 1], begin, end))
    return np.repeat(np.arange(first, last, dtype=np.int32), lengths)


def whole_counts(counts: npt.NDArray[Any], denominator: int, name: str, begin: int) -> Counts:
    """Return counts times `denominator`; raises `FormatError` if one is not an integer. The first count is entry `begin`."""
    values = np.empty(len(counts), np.int64)
    if counts.dtype.kind in "iu":
        wrong = np.flatnonzero((counts < 0) | (counts > (2**63 - 1) // denominator))
        at = int(wrong[0]) if len(wrong) else len(counts)
        np.multiply(counts.astype(np.int64), denominator, out=values)
    else:
        tolerance = max(ROUNDED, float(np.finfo(counts.dtype).eps))
        at = coo.round_counts(np.ascontiguousarray(counts, np.float64), float(denominator), tolerance, values)
    if at == len(counts):
        return values
    count = float(counts[at])
    if not 0 <= count < np.inf:
        raise FormatError(f"{name}: entry {begin + at + 1} is {count:g}, which is not a count")
    if count * denominator >= 2**63:
        raise FormatError(f"{name}: entry {begin + at + 1}, {count:g}, overflows 64 bits; pass a smaller --window or weights")
    raise FormatError(
        f"{name}: entry {begin + at + 1}, {count:.9g}, is not a multiple of 1/{denominator}; "
        f"pass the --window and weights it was made with"
    )


@dataclass(frozen=True)
class _Allotment:
    """The division of the budget: `entries` per accumulator, and `run` entries grouped by row at a time."""

    threads: int
    columns: int
    entries: int
    run: int
    plan: Plan

    @classmethod
    def of(cls, words: int, columns: int, budget: int, threads: int) -> _Allotment:
        """Divide the budget; raises `UsageError` if it is below the minimum."""
        entries = min(TASK_ENTRIES, max(LEAST_ENTRIES, budget // 3 // ((threads + 2) * 20 + threads * MERGE_BYTES)))
        parts = {
            "tables of words": (16 + 4 * threads) * 8 * words,
            "accumulators and entries": (threads + 2) * accumulator_bytes(columns, max(entries, columns)),
            "reading and merging": threads * max(CHUNK_BYTES, entries * MERGE_BYTES),
            "dealing": LEAST_RUN,
        }
        plan = Plan("import", budget, parts)
        plan.check()
        return cls(threads, columns, entries, (budget - plan.least + LEAST_RUN) // ENTRY_BYTES, plan)

    def write(
        self, files: RowFiles, dtype: npt.DTypeLike, source: Source, tasks: Sequence[tuple[int, int]], stage: Stage
    ) -> None:
        """Write the rows of the tasks, using accumulators with room for the largest."""
        entries, rows = max(int(source.bounds[a:b].sum()) for a, b in tasks), max(b - a for a, b in tasks)
        write_rows(
            files, dtype, source, tasks, [Accumulator(self.columns, 1, entries, rows) for _ in range(self.threads + 2)], stage
        )


@dataclass(frozen=True)
class _Tally:
    """The tally of a run of entries, which `ranges` divides among threads.

    lengths  (threads, V) number of entries by thread and row
    sums     (V,) sum of each row
    marks    two digests of the entries, of which the second has rows and columns exchanged
    """

    ranges: list[tuple[int, int]]
    lengths: Counts
    sums: Counts
    marks: tuple[int, int]

    @classmethod
    def of(cls, entries: EntrySource, run: tuple[int, int], room: _Allotment, stage: Stage) -> _Tally:
        """Validate and tally the entries of a run; raises `FormatError` naming the first invalid one."""
        words, threads = len(entries.vocabulary), room.threads
        ranges = cut_evenly(*run, threads)
        lengths, sums = np.zeros((threads, words), np.int64), np.zeros((threads, words), np.int64)
        marks = np.zeros((threads, 2), np.uint64)

        def work(part: tuple[int, int], *found: Any) -> None:
            for begin in range(*part, CHUNK):
                chunk = entries.read(begin, min(begin + CHUNK, part[1]))
                at = coo.tally(*chunk, room.columns, coo.RowTally(*found))
                if at < len(chunk[0]):
                    raise _refusal(entries, begin + at, int(chunk[0][at]), int(chunk[1][at]), room.columns)
                stage.advance(len(chunk[0]))

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, ranges, lengths, sums, marks))
        total = np.zeros(words, np.int64)
        for part in sums:
            _add_sums(entries, total, part)
        straight, turned = (sum(column) % 2**64 for column in marks.T.tolist())
        return cls(ranges, lengths, total, (straight, turned))


def _refusal(entries: EntrySource, at: int, row: int, column: int, columns: int) -> FormatError:
    words = len(entries.vocabulary)
    if 0 <= row < words and 0 <= column < columns:
        return _overflow(entries, row)
    return FormatError(
        f"{entries.name}: entry {at + 1} is outside the vocabulary of {words} words; does it belong to other counts?"
    )


def _overflow(entries: EntrySource, row: int) -> FormatError:
    return FormatError(f"{entries.name}: the counts of {entries.vocabulary.words[row]!r} overflow 64 bits together")


def _add_sums(entries: EntrySource, total: Counts, sums: Counts) -> None:
    total += sums
    if (total < 0).any():
        raise _overflow(entries, int(np.flatnonzero(total < 0)[0]))


@dataclass(frozen=True)
class _Dealt:
    """A range of entries grouped by row, in their original order within a row: a `Source` of sorted rows."""

    starts: Offsets
    columns: npt.NDArray[np.int32]
    values: Counts
    bounds: Offsets

    @classmethod
    def of(cls, entries: EntrySource, tally: _Tally, room: _Allotment, stage: Stage) -> _Dealt:
        """Group the tallied entries by row."""
        starts = offsets_of(tally.lengths.sum(0))
        fills = starts[:-1] + np.cumsum(tally.lengths, 0) - tally.lengths
        columns, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)

        def work(part: tuple[int, int], fill: Offsets) -> None:
            for begin in range(*part, CHUNK):
                end = min(begin + CHUNK, part[1])
                coo.deal(*entries.read(begin, end), fill, columns, values)
                stage.advance(end - begin)

        with ThreadPoolExecutor(room.threads) as pool:
            list(pool.map(work, tally.ranges, fills))
        return cls(starts, columns, values, np.minimum(np.diff(starts), room.columns))

    def pieces(self, first: int, last: int, threads: int) -> int:
        """Return 1: no row is cut."""
        return 1

    def fill(self, accumulator: Accumulator, first: int, last: int, share: tuple[int, int] = (0, 1)) -> int:
        """Add up rows first:last."""
        offsets = self.starts[None, first : last + 1]
        return int(counting.merge_rows(offsets, self.columns, self.values, accumulator.row, accumulator.rows))

    def work(self, first: int, last: int) -> int:
        """Return the number of entries to add."""
        return int(self.starts[last] - self.starts[first])


def build(
    entries: EntrySource,
    output: Path,
    run: Run,
) -> Cooc:
    """Build a co-occurrence directory from entries; its bytes depend on neither their order nor `threads` nor `memory`.

    Raises `FormatError`, naming the entry, if it is outside the vocabulary, not a multiple of 1/denominator or too large, and
    if the options say that contexts are on both sides but the counts are not symmetric; `UsageError` if the budget is below
    the minimum.
    """
    options, vocabulary, progress = entries.options, entries.vocabulary, run.shown
    window, words, names = Window.of(options), len(vocabulary), entries.column_names
    room = _Allotment.of(words, _width(entries, window), run.budget, run.workers)
    named = {"version": VERSION} if names is None else {"version": RECTANGULAR, "column_vocabulary": names.digest}
    plan = {"kind": KIND, "options": options.record(), "vocabulary": vocabulary.digest, **named, **entries.origin}
    with building(output, plan, MEMBERS, **run.claim, peak=lambda: _disk_bytes(entries, room)) as work:
        progress.say(room.plan.line())
        if not Cooc.is_finished(work):
            _fill(work, entries, room, progress)
        clean(work)
    return Cooc(output)


def _disk_bytes(entries: EntrySource, room: _Allotment) -> int:
    """Predict the bytes of disk that a build takes at its peak, runs that wait to be merged with it."""
    kept = DISK_BYTES * entries.size + sum(8 * len(names) + names.text.nbytes for names in _names(entries))
    return kept if entries.size <= room.run else kept + DISK_BYTES * entries.size


def _names(entries: EntrySource) -> list[Vocabulary]:
    return [names for names in (entries.vocabulary, entries.column_names) if names is not None]


def _fill(work: Path, entries: EntrySource, room: _Allotment, progress: Progress) -> None:
    """Write all missing files of the directory."""
    options, vocabulary = entries.options, entries.vocabulary
    window, words = Window.of(options), len(vocabulary)
    runs = _plan_runs(work, entries.size, room.run)
    lengths, sums, marks = np.zeros(words, np.int64), np.zeros(words, np.int64), (0, 0)
    with progress.stage("check entries", entries.size, "entries") as stage:
        for run in runs:
            tally = _Tally.of(entries, run, room, stage)
            lengths += tally.lengths.sum(0)
            _add_sums(entries, sums, tally.sums)
            marks = marks[0] + tally.marks[0], marks[1] + tally.marks[1]
    if options.context_side == "both" and window.slots == 1 and (marks[0] - marks[1]) % 2**64:
        raise FormatError(
            f"{entries.name}: counts of contexts on both sides are symmetric, these are not; pass --context-side=left or right"
        )
    blocks = _blocks(entries, window, lengths, sums)
    files = [RowFiles(work, f"run-{number:05d}", run) for number, run in enumerate(runs)]
    todo = [block for block in blocks if not block.files(work).whole()]
    if todo and len(runs) == 1:
        with progress.stage("sort entries", entries.size, "entries") as stage:
            source = _Dealt.of(entries, tally, room, stage)
        with progress.stage("write rows", source.work(todo[0].first, words), "entries") as stage:
            for block in todo:
                tasks = list(cut_by_cost(source.bounds[: block.last], room.entries, block.first))
                room.write(block.files(work), block.dtype, source, tasks, stage)
    elif todo:
        _write_runs(entries, runs, files, room, progress)
        _merge_runs(work, blocks, todo, files, room, progress)
    _finish(work, blocks, entries, window, marks[0] % 2**64)


def _plan_runs(work: Path, size: int, run: int) -> list[tuple[int, int]]:
    """Return ranges of at most `run` entries; a resumed import keeps those that it started with, if they fit."""
    record = work / "runs.json"
    if record.exists():
        kept = read_json(record_bytes(record), list[tuple[Natural, Natural]], f"{record}")
        if [*(begin for begin, _ in kept), size] != [0, *(end for _, end in kept)]:
            raise FormatError(f"{record}: its runs are not all {size} entries, one after another; pass --force to start anew")
        if max(end - begin for begin, end in kept) <= run:
            return kept
        for path in (record, *work.glob("*-run-*.bin")):
            path.unlink()
    count = max(1, -(-size // run))
    runs = cut_evenly(0, size, count)
    if count > 1:
        write_whole(record, json.dumps(runs).encode())
    return runs


def _blocks(entries: EntrySource, window: Window, lengths: Counts, sums: Counts) -> list[Block]:
    """Cut rows into blocks: as recorded, else as counting a text with this vocabulary would, if its counts are plausible."""
    if entries.manifest:
        return [Block(i, *block) for i, block in enumerate(entries.manifest["blocks"])]
    counts, columns = entries.vocabulary.counts, _width(entries, window)
    most = np.minimum(counts.astype(np.float64) * window.most, 2.0**62)  # what matters is whether it reaches 2**32
    bounds = np.minimum(columns, np.maximum(window.contexts * counts, lengths))
    if bounds.sum(dtype=np.float64) > MOST_BLOCKS * BLOCK_ENTRIES:
        bounds = np.minimum(columns, lengths)
    return plan_blocks(bounds, np.maximum(most, sums))


def _write_runs(
    entries: EntrySource, runs: list[tuple[int, int]], files: list[RowFiles], room: _Allotment, progress: Progress
) -> None:
    with progress.stage(f"sort {len(runs)} runs", entries.size, "entries") as stage:
        for run, file in zip(runs, files, strict=True):
            if not file.whole():
                _write_run(entries, run, file, room, stage)


def _write_run(entries: EntrySource, run: tuple[int, int], file: RowFiles, room: _Allotment, stage: Stage) -> None:
    tally = _Tally.of(entries, run, room, Stage("check entries", None, "entries"))
    source = _Dealt.of(entries, tally, room, Stage("sort entries", None, "entries"))
    dtype = np.uint64 if tally.sums.max() >= 2**32 else np.uint32
    room.write(file, dtype, source, list(cut_by_cost(source.bounds, room.entries)), stage)


def _merge_runs(
    work: Path, blocks: list[Block], todo: list[Block], files: list[RowFiles], room: _Allotment, progress: Progress
) -> None:
    sources = [Written.open(file, blocks[-1].last, room.columns) for file in files]
    merged = Merged(sources, room.columns, room.entries)
    with progress.stage("merge runs", merged.work(todo[0].first, blocks[-1].last), "entries") as stage:
        for block in todo:
            room.write(block.files(work), block.dtype, merged, merged.tasks(block.first, block.last), stage)


def _finish(work: Path, blocks: list[Block], entries: EntrySource, window: Window, mark: int) -> None:
    """Write the rest of the directory; importing exported counts must reproduce the original bytes."""
    vocabulary, names = entries.vocabulary, entries.column_names
    digests = " ".join(each.digest for each in (vocabulary, names) if each is not None)
    digest = hashlib.sha256(f"{digests} {window.denominator} {mark}".encode()).hexdigest()
    fields = {
        "tokens": int(vocabulary.counts.sum()),
        "denominator": window.denominator,
        "columns": _width(entries, window),
        "slots": window.slots,
        "corpus": {"digest": digest, "options": {}},
        "options": entries.options.record(),
    }
    wanted = entries.manifest
    if wanted:
        fields |= {"tokens": wanted["tokens"], "corpus": wanted["corpus"]}
        fields = {key: fields[key] for key in wanted if key in fields}  # in its order
    finish_blocks(work, blocks, vocabulary, fields, names)
    made = read_manifest(work, KIND, (VERSION, RECTANGULAR), CoocManifest)
    if wanted and made != (wanted if wanted["version"] >= VERSION else {**wanted, "version": VERSION, "files": made["files"]}):
        raise FormatError(f"{entries.name}: does not hold the counts that it claims to; make it again")

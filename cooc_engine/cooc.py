"""From an encoded corpus to exact co-occurrence counts: sorted CSR in row blocks, memory-mapped.

Weights are integers over a common denominator (2520 for 1/k in a window of 10), summed in 64-bit integers and divided
once when read. A corpus that fits the budget is counted at once; a larger one a run at a time, and the runs are added up
row by row. Sums of integers have no order: the bytes are the same for any number of threads, runs and shards.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine._kernels import counting
from cooc_engine.config import CountOptions
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.windows import Run, Window, check_text, cut_runs, lay_out
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.rows import Lane, Merged, RowFiles, TextSource, Written, cut_rows, lane_bytes, write_rows
from cooc_engine.rowsample import ROWS as SAMPLED_ROWS
from cooc_engine.rowsample import Sample, count_sample
from cooc_engine.runtime.budget import Disk, Plan, memory_budget, show_size
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.options import from_mapping
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.storage.arrays import HEADER_BYTES, ArrayWriter, load_array, open_array
from cooc_engine.storage.outputs import building, part_path, read_manifest, write_manifest, write_whole

__all__ = ["Block", "Cooc", "Room", "Sizes", "clean", "count", "finish_blocks", "plan_blocks", "plan_count", "write_merged"]

KIND, VERSION = "cooc", 1
BLOCK_ENTRIES = 1 << 25  # at most so many entries stand in a row block
TASK_ENTRIES = 1 << 20  # at most so many entries are counted before they are written
LEAST_ENTRIES = 1 << 14
LEAST_TEXT = 1 << 20
MERGE_BYTES = 28  # of an entry that is read and added
MANIFEST = 1000  # bytes of a manifest and of the plan, about
MARGIN = 24  # bytes that a run of any length takes for each word in the radius of the window
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Block:
    """Rows first:last of the matrix, in files of their own; `wide` values take 8 bytes and not 4."""

    number: int
    first: int
    last: int
    wide: bool

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """Type of the values on the disk."""
        return np.uint64 if self.wide else np.uint32

    def files(self, directory: Path) -> RowFiles:
        """Return the block's files."""
        return RowFiles(directory, f"{self.number:05d}")

    def path(self, directory: Path, part: str) -> Path:
        """Return the block's file of `columns`, `values`, or (while counting) `rows`."""
        return self.files(directory).path(part)


def plan_blocks(bounds: npt.NDArray[np.int64], sums: Sequence[int] | npt.NDArray[Any]) -> list[Block]:
    """Cut rows into blocks of at most BLOCK_ENTRIES entries; bounds[r] limits a row's entries, sums[r] its sum."""
    ranges = cut_rows(bounds, BLOCK_ENTRIES)
    return [Block(i, a, b, bool(max(sums[a:b]) >= 2**32)) for i, (a, b) in enumerate(ranges)]


def index_type(entries: int, columns: int) -> np.dtype[Any]:
    """Return the type that SciPy needs for the indices of a matrix."""
    return np.dtype(np.int64 if max(entries, columns) >= 2**31 else np.int32)


class Cooc:
    """A co-occurrence directory, opened lazily: a V × columns matrix of exact counts in row blocks.

    Raises `InputError` if there is none at `path`, `FormatError` if it is damaged or of another version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path, KIND, VERSION)
        self.entries: int = self.manifest["entries"]
        self.denominator: int = self.manifest["denominator"]
        self.columns: int = self.manifest["columns"]
        self.options = self._recorded_options()
        self.blocks = [Block(i, *block) for i, block in enumerate(self.manifest["blocks"])]
        self._checked: set[int] = set()

    def _recorded_options(self) -> CountOptions:
        try:
            return from_mapping(CountOptions, self.manifest["options"], str(self.path))
        except UsageError as error:
            raise FormatError(f"{self.path}: was counted with options of another version ({error}); count again") from None

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of rows and columns."""
        return Vocabulary.load(self.path, self.manifest["vocabulary"]["digest"])

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest: equal for counts of the same corpus with the same options."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(V + 1,) int64: row r has entries row_offsets[r]:row_offsets[r + 1] of the whole matrix."""
        return load_array(self.path / "row-offsets.bin", np.int64)

    @functools.cached_property
    def row_integers(self) -> npt.NDArray[np.int64]:
        """(V,) int64: sum of each row, in units of 1 / `denominator`."""
        return load_array(self.path / "row-sums.bin", np.int64)

    @functools.cached_property
    def row_sums(self) -> npt.NDArray[np.float64]:
        """(V,) float64: sum of each row, in co-occurrences."""
        return self.row_integers / self.denominator

    @functools.cached_property
    def column_integers(self) -> npt.NDArray[np.int64]:
        """(columns,) int64: sum of each column, in units of 1 / `denominator`."""
        return load_array(self.path / "column-sums.bin", np.int64)

    @functools.cached_property
    def column_sums(self) -> npt.NDArray[np.float64]:
        """(columns,) float64: sum of each column, in co-occurrences."""
        return self.column_integers / self.denominator

    @functools.cached_property
    def diagonal(self) -> npt.NDArray[np.int64]:
        """(V,) int64: how often each word is a context of itself, in units of 1 / `denominator`."""
        found = np.zeros(len(self.vocabulary), np.int64)
        for block in self.blocks:
            starts = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            counting.find_diagonal(starts, *self.block_integers(block), block.first, found[block.first : block.last])
        return found

    def block_integers(self, block: Block) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """Return columns and integer values of a block, mapped; divide by `denominator` to get counts.

        The first time they are compared with their checksums and checked.
        """
        opened = open_array if block.number in self._checked else load_array
        columns = opened(block.path(self.path, "columns"), np.int32)
        values = opened(block.path(self.path, "values"), block.dtype)
        if block.number in self._checked:
            return columns, values
        entries = int(self.row_offsets[block.last] - self.row_offsets[block.first])
        if len(columns) != entries or len(values) != entries:
            raise FormatError(
                f"{block.path(self.path, 'columns')}: {len(columns)} entries where the rows have {entries}; count again"
            )
        if entries and (int(columns.min()) < 0 or int(columns.max()) >= self.columns):
            raise FormatError(f"{block.path(self.path, 'columns')}: a column is outside the vocabulary; count again")
        self._checked.add(block.number)
        return columns, values

    def row(self, row: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return columns and counts of one row, without reading the others."""
        block = next(block for block in self.blocks if block.first <= row < block.last)
        columns, values = (open_array(block.path(self.path, p), t) for p, t in (("columns", np.int32), ("values", block.dtype)))
        begin, end = self.row_offsets[row : row + 2] - self.row_offsets[block.first]
        return columns[begin:end], values[begin:end] / self.denominator

    def csr(self, block: Block | None = None, *, memory: str | int | None = None) -> scipy.sparse.csr_array:
        """Return the whole matrix, or one block of rows, as a (rows, columns) float64 CSR matrix in memory.

        Raises `UsageError` if the whole takes more than `memory` (half of the machine's unless given).
        """
        first, last = (0, len(self.row_offsets) - 1) if block is None else (block.first, block.last)
        starts = self.row_offsets[first : last + 1] - self.row_offsets[first]
        entries = int(starts[-1])
        kind = index_type(entries, self.columns)
        size = entries * (8 + kind.itemsize) + starts.nbytes
        if block is None and size > (budget := memory_budget(memory)):
            raise UsageError(
                f"{self.path}: {entries:,} entries take {show_size(size)} as one matrix, more than {show_size(budget)}; "
                f"pass more memory or go through row_blocks()"
            )
        indices, data = np.empty(entries, kind), np.empty(entries)
        at = 0
        for part in self.blocks if block is None else [block]:
            columns, values = self.block_integers(part)
            indices[at : at + len(columns)] = columns
            np.divide(values, self.denominator, out=data[at : at + len(columns)])
            at += len(columns)
        return scipy.sparse.csr_array((data, indices, starts.astype(kind)), (last - first, self.columns))

    def row_blocks(self, entries: int = TASK_ENTRIES) -> Iterator[tuple[int, scipy.sparse.csr_array]]:
        """Yield (first row, CSR matrix) of consecutive rows, with at most `entries` entries each or one longer row."""
        for block in self.blocks:
            columns, values = self.block_integers(block)
            offsets = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            for first, last in cut_rows(np.diff(offsets), entries):
                part, starts = slice(*offsets[[first, last]]), offsets[first : last + 1] - offsets[first]
                data, indices = values[part] / self.denominator, columns[part].copy()
                yield block.first + first, scipy.sparse.csr_array((data, indices, starts), (last - first, self.columns))

    def rows(self) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.float64]]]:
        """Yield (row, columns, counts) for every row, from the disk; for looking, not for speed."""
        for block in self.blocks:
            columns, values = self.block_integers(block)
            starts = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            for row, (a, b) in enumerate(itertools.pairwise(starts), block.first):
                yield row, columns[a:b], values[a:b] / self.denominator

    def info(self) -> dict[str, Any]:
        """Return everything recorded."""
        return self.manifest


@dataclass(frozen=True)
class Room:
    """How the budget is used: `lanes` lanes with `entries` entries each, and `text` bytes for the text of a run."""

    threads: int
    entries: int
    text: int
    plan: Plan

    @classmethod
    def of(cls, words: int, window: Window, budget: int, threads: int) -> Room:
        """Share a budget; raises `UsageError` if it cannot hold the least."""
        columns = words * window.slots

        def plan(entries: int) -> Plan:
            parts = {
                "tables of words": (12 + 2 * threads) * 8 * words,
                "accumulators and entries": (threads + 2) * lane_bytes(columns, max(entries, min(columns, BLOCK_ENTRIES))),
                "merging": threads * entries * MERGE_BYTES,
                "text": LEAST_TEXT + MARGIN * window.size,
            }
            return Plan("count", budget, parts)

        least = plan(LEAST_ENTRIES)
        least.check()
        each = (threads + 2) * 20 + threads * MERGE_BYTES
        entries = min(
            TASK_ENTRIES, max(LEAST_ENTRIES, min(budget // 3 // each, LEAST_ENTRIES + (budget - least.least) // each))
        )
        chosen = plan(entries)
        return cls(threads, entries, budget - chosen.least + chosen.memory["text"], chosen)

    def lanes(self, window: Window, bounds: npt.NDArray[np.int64], tasks: Sequence[tuple[int, int]]) -> list[Lane]:
        """Return lanes with room for the largest of some tasks."""
        entries = max(int(bounds[a:b].sum()) for a, b in tasks)
        rows = max(b - a for a, b in tasks)
        return [Lane(len(bounds) * window.slots, window.slots, entries, rows) for _ in range(self.threads + 2)]


def count(
    corpus: PathLike | Corpus,
    output: PathLike,
    options: CountOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Cooc:
    """Count the co-occurrences of an encoded corpus into the directory `output`.

    The bytes of the result depend on neither `threads` nor `memory`, the budget in bytes or as `512M`. Raises `UsageError`
    if sums could overflow 64 bits, or if the budget cannot hold the least that is needed.
    """
    progress = progress or Progress()
    job = _Job.of(corpus, options, threads, memory)
    record = {"kind": KIND, "version": VERSION, "options": job.options.record(), "corpus": job.corpus.digest}
    at = Path(output)
    with building(at, record, force=force, resume=resume, peak=lambda: job.plan(at, job.runs(part_path(at))).peak) as work:
        if progress.speaks:
            progress.say(job.plan(at, job.runs(work)).line())
        if not (work / "manifest.json").exists():
            job.corpus.vocabulary.save(work)
            _count_blocks(work, job, progress)
            finish_blocks(work, job.blocks, job.corpus.vocabulary, job.fields())
        clean(work)
    return Cooc(output)


def plan_count(
    corpus: PathLike | Corpus,
    output: PathLike,
    options: CountOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
) -> Plan:
    """Return how `count` would use its budget and the disk, and write nothing.

    The number of entries is predicted from a sample of the rows that is counted exactly. Raises as `count` does.
    """
    job = _Job.of(corpus, options, threads, memory)
    return job.plan(Path(output), job.runs(None))


@dataclass(frozen=True)
class _Job:
    """A count that has been checked, and its memory shared out."""

    corpus: Corpus
    options: CountOptions
    window: Window
    blocks: list[Block]
    room: Room

    @classmethod
    def of(cls, corpus: PathLike | Corpus, options: CountOptions | None, threads: int | None, memory: str | int | None) -> _Job:
        """Check a count; raises `UsageError`."""
        corpus, options = corpus if isinstance(corpus, Corpus) else Corpus(corpus), options or CountOptions()
        window, counts = Window.of(options), corpus.counts
        _check_overflow(window, counts, options)
        room = Room.of(len(counts), window, memory_budget(memory), threads or usable_cores())
        blocks = plan_blocks(window.bounds(counts), [n * window.most for n in counts.tolist()])
        return cls(corpus, options, window, blocks, room)

    def runs(self, work: Path | None) -> list[Run]:
        """Return the runs to count in; a resumed count keeps those that it began with in `work`, whatever its budget."""
        if work is not None and (work / "runs.json").exists():
            return [Run(tuple(map(tuple, parts))) for parts in json.loads((work / "runs.json").read_bytes())]
        return cut_runs(self.corpus, self.window.size, self.room.text)

    def plan(self, output: Path, runs: list[Run]) -> Plan:
        """Return the plan, with the disk that counting in these runs is predicted to take."""
        counts, columns = self.corpus.counts, len(self.corpus.counts) * self.window.slots
        most = self.room.plan.budget * 4 // (columns * (self.room.threads + 1))  # in half of the budget, a bit a column
        sample = Sample.draw(self.window.bounds(counts), counts, min(SAMPLED_ROWS, max(1, most)))
        whole, in_runs = count_sample(self.corpus, self.options, runs, sample, self.room.threads, self.room.text)
        tokens = max(1, self.corpus.manifest["tokens_in_vocabulary"])
        most = int(counts.max()) * self.window.most
        wide = [most * sum(end - begin for _, begin, end in run.parts) >= 2**32 * tokens for run in runs]
        sizes = [float(found @ sample.weights) * (12 if far else 8) for found, far in zip(in_runs, wide, strict=True)]
        directory = Sizes.of(self.corpus.vocabulary, columns, self.blocks, sample, whole)
        return replace(self.room.plan, runs=len(runs), disk=directory.disk(output, sizes if len(runs) > 1 else []))

    def fields(self) -> dict[str, Any]:
        """Return what the manifest says of the count."""
        return {
            "tokens": self.corpus.manifest["tokens_in_vocabulary"],
            "denominator": self.window.denominator,
            "columns": len(self.corpus.counts) * self.window.slots,
            "slots": self.window.slots,
            "corpus": {"digest": self.corpus.digest, "options": self.corpus.manifest["options"]},
            "options": self.options.record(),
        }


def _check_overflow(window: Window, counts: npt.NDArray[np.int64], options: CountOptions) -> None:
    if int(counts.max()) * window.most >= 2**63:
        raise UsageError(
            f"--window {options.window}: {options.window_weight} sums could overflow 64 bits; "
            f"take a smaller window or uniform weights"
        )
    if len(counts) * window.slots >= 2**31 - 2 * window.slots:
        raise UsageError(
            f"--positional: {len(counts)} words at {window.slots} distances are too many columns; pass --max-vocab"
        )


def _count_blocks(work: Path, job: _Job, progress: Progress) -> None:
    """Write the blocks that are not there yet: from the text, or from runs if it takes more than one."""
    todo = [block for block in job.blocks if not block.files(work).whole()]
    if not todo:
        return
    corpus, options, room = job.corpus, job.options, job.room
    runs = job.runs(work)
    if len(runs) == 1:
        with progress.stage("lay out", corpus.tokens, "words") as stage:
            source = _text_source(corpus, runs[0], options, room, stage)
        with progress.stage("count", source.work(todo[0].first, todo[-1].last), "words") as stage:
            for block in todo:
                tasks = [(a, b) for a, b in cut_rows(source.bounds[: block.last], room.entries, block.first)]
                lanes = room.lanes(job.window, source.bounds, tasks)
                write_rows(block.files(work), block.dtype, source, tasks, lanes, stage)
        return
    write_whole(work / "runs.json", json.dumps([run.parts for run in runs]).encode())
    files = [RowFiles(work, f"run-{number:05d}") for number in range(len(runs))]
    with progress.stage(f"count {len(runs)} runs", corpus.tokens, "words") as stage:
        for run, file in zip(runs, files, strict=True):
            if not file.whole():
                _write_run(file, corpus, run, options, room, stage)
    merged = Merged([Written.open(file) for file in files], len(corpus.counts) * job.window.slots, room.entries)
    with progress.stage("merge runs", merged.work(todo[0].first, todo[-1].last), "entries") as stage:
        for block in todo:
            write_merged(work, block, merged, job.window, room, stage)


def _text_source(corpus: Corpus, run: Run, options: CountOptions, room: Room, stage: Stage) -> TextSource:
    window = Window.of(options)
    text = lay_out(corpus, run, options, room.threads, stage)
    check_text(text, corpus.counts, corpus)
    return TextSource(text, window, window.bounds(text.counts))


def _write_run(files: RowFiles, corpus: Corpus, run: Run, options: CountOptions, room: Room, stage: Stage) -> None:
    source = _text_source(corpus, run, options, room, Stage("lay out", None, "words"))
    wide = int(source.text.counts.max()) * source.window.most >= 2**32
    tasks = list(cut_rows(source.bounds, room.entries))
    lanes = room.lanes(source.window, source.bounds, tasks)
    write_rows(files, np.uint64 if wide else np.uint32, source, tasks, lanes, stage)


def write_merged(work: Path, block: Block, merged: Merged, window: Window, room: Room, stage: Stage) -> None:
    """Write the rows of a block, added up."""
    tasks = merged.tasks(block.first, block.last)
    lanes = room.lanes(window, merged.bounds, tasks)
    write_rows(block.files(work), block.dtype, merged, tasks, lanes, stage)


def finish_blocks(work: Path, blocks: list[Block], vocabulary: Vocabulary, fields: dict[str, Any]) -> None:
    """Join the blocks' row lengths and sums, sum the columns, and write the manifest."""
    halves = [np.split(load_array(block.path(work, "rows"), np.int64), [block.last - block.first + 1]) for block in blocks]
    lengths, row_sums = np.concatenate([np.diff(half[0]) for half in halves]), np.concatenate([half[1] for half in halves])
    columns = fields["columns"]
    column_sums = row_sums
    if fields["options"]["context_side"] != "both" or columns != len(vocabulary):
        column_sums = np.zeros(columns, np.int64)
        for block in blocks:
            parts = (
                load_array(block.path(work, "columns"), np.int32),
                load_array(block.path(work, "values"), block.dtype),
            )
            counting.add_columns(*parts, column_sums)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    for name, numbers in (("row-offsets", offsets), ("row-sums", row_sums), ("column-sums", column_sums)):
        with ArrayWriter(work / f"{name}.bin", np.int64) as file:
            file.append(numbers)
    whole = {
        "entries": int(offsets[-1]),
        "total": sum(row_sums.tolist()),  # a row fits 64 bits, all of them together need not
        "blocks": [[block.first, block.last, block.wide] for block in blocks],
        "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
        **fields,
    }
    write_manifest(work, KIND, VERSION, whole)
    clean(work)


def clean(work: Path) -> None:
    """Delete what is not part of a finished directory: the files of rows, and the runs."""
    for path in (*work.glob("rows-*.bin"), *work.glob("*-run-*.bin"), work / "runs.json"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Sizes:
    """Bytes of a directory's files as predicted: those of the blocks' entries, of their rows, and of all others."""

    entries: int  # their number
    blocks: int
    rows: int
    rest: int

    @classmethod
    def of(
        cls, vocabulary: Vocabulary, columns: int, blocks: list[Block], sample: Sample, found: npt.NDArray[np.int64]
    ) -> Sizes:
        """Predict from the numbers of entries found in the sampled rows; see FORMAT.md for the files."""
        words = len(vocabulary)
        wide = np.repeat([block.wide for block in blocks], [block.last - block.first for block in blocks])
        entries = found * sample.weights
        rest = len(vocabulary.text) + 8 * (4 * words + columns) + MANIFEST + 25 * len(blocks)
        return cls(
            round(entries.sum()),
            round(float(entries @ np.where(wide[sample.rows], 12, 8))) + 2 * HEADER_BYTES * len(blocks),
            16 * words + (HEADER_BYTES + 8) * len(blocks),
            rest + 6 * HEADER_BYTES,
        )

    def disk(self, output: Path, runs: Sequence[float]) -> Disk:
        """Return the disk taken, with runs of so many bytes of entries: they stay until all blocks are there."""
        output_bytes = self.blocks + self.rest
        kept = sum(round(size) + self.rows + 3 * HEADER_BYTES + 25 for size in runs)
        return Disk(output.absolute().parent, output_bytes, self.rows + kept, output_bytes + self.rows + kept, self.entries)

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine._kernels import counting
from cooc_engine.budget import Plan, memory_budget, show_size
from cooc_engine.config import CountOptions, EncodeOptions, from_mapping, usable_cores
from cooc_engine.corpus import Corpus
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.progress import Progress, Stage
from cooc_engine.rows import Lane, Merged, RowFiles, TextSource, Written, cut_rows, lane_bytes, write_rows
from cooc_engine.store import (
    ArrayReader,
    ArrayWriter,
    building,
    load_array,
    open_array,
    read_manifest,
    write_manifest,
    write_whole,
)
from cooc_engine.vocab import Vocabulary
from cooc_engine.windows import Run, Window, check_text, cut_runs, lay_out

__all__ = ["Cooc", "count", "merge"]

KIND, VERSION = "cooc", 1
BLOCK_ENTRIES = 1 << 25  # at most so many entries stand in a row block
TASK_ENTRIES = 1 << 20  # at most so many entries are counted before they are written
LEAST_ENTRIES = 1 << 14
LEAST_TEXT = 1 << 20
MERGE_BYTES = 28  # of an entry that is read and added
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
    def column_sums(self) -> npt.NDArray[np.float64]:
        """(V,) float64: sum of each column, in co-occurrences."""
        return load_array(self.path / "column-sums.bin", np.int64) / self.denominator

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
class _Room:
    """How the budget is used: `lanes` lanes with `entries` entries each, and `text` bytes for the text of a run."""

    threads: int
    entries: int
    text: int
    plan: Plan

    @classmethod
    def of(cls, words: int, columns: int, budget: int, threads: int) -> _Room:
        """Share a budget; raises `UsageError` if it cannot hold the least."""
        each = (threads + 2) * 20 + threads * MERGE_BYTES
        entries = min(TASK_ENTRIES, max(LEAST_ENTRIES, budget // 3 // each))
        parts = {
            "tables of words": (12 + 2 * threads) * 8 * words,
            "accumulators and entries": (threads + 2) * lane_bytes(columns, max(entries, min(columns, BLOCK_ENTRIES))),
            "merging": threads * entries * MERGE_BYTES,
            "text": LEAST_TEXT,
        }
        plan = Plan("count", budget, parts)
        plan.check()
        return cls(threads, entries, budget - plan.least + LEAST_TEXT, plan)

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
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    options, progress, threads = options or CountOptions(), progress or Progress(), threads or usable_cores()
    window, counts = Window.of(options), corpus.counts
    _check_overflow(window, counts, options)
    room = _Room.of(len(counts), len(counts) * window.slots, memory_budget(memory), threads)
    bounds = np.minimum(len(counts) * window.slots, window.contexts * counts)
    blocks = plan_blocks(bounds, [n * window.most for n in counts.tolist()])
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "corpus": corpus.digest}
    with building(Path(output), plan, force=force, resume=resume) as work:
        progress.say(room.plan.line())
        corpus.vocabulary.save(work)
        _count_blocks(work, corpus, options, blocks, room, progress)
        fields = {
            "tokens": corpus.manifest["tokens_in_vocabulary"],
            "denominator": window.denominator,
            "columns": len(counts) * window.slots,
            "slots": window.slots,
            "corpus": {"digest": corpus.digest, "options": corpus.manifest["options"]},
            "options": options.record(),
        }
        finish_blocks(work, blocks, corpus.vocabulary, fields)
    return Cooc(output)


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


def _count_blocks(
    work: Path, corpus: Corpus, options: CountOptions, blocks: list[Block], room: _Room, progress: Progress
) -> None:
    """Write the blocks that are not there yet: from the text, or from runs if it takes more than one."""
    todo = [block for block in blocks if not block.files(work).whole()]
    if not todo:
        return
    window, words = Window.of(options), len(corpus.vocabulary)
    runs = _plan_runs(work, corpus, options.window, room)
    files = [RowFiles(work, f"run-{number:05d}") for number in range(len(runs))]
    if len(runs) == 1:
        with progress.stage("lay out", corpus.tokens, "words") as stage:
            source = _text_source(corpus, runs[0], options, room, stage)
        with progress.stage("count", source.work(todo[0].first, todo[-1].last), "words") as stage:
            for block in todo:
                tasks = [(a, b) for a, b in cut_rows(source.bounds[: block.last], room.entries, block.first)]
                lanes = room.lanes(window, source.bounds, tasks)
                write_rows(block.files(work), block.dtype, source, tasks, lanes, stage)
        return
    with progress.stage(f"count {len(runs)} runs", corpus.tokens, "words") as stage:
        for run, file in zip(runs, files, strict=True):
            if not file.whole():
                _write_run(file, corpus, run, options, room, stage)
    sources = [Written.open(file) for file in files]
    merged = Merged(sources, [(block.first, block.last) for block in blocks], words * window.slots, room.entries)
    with progress.stage("merge runs", merged.work(todo[0].first, words), "entries") as stage:
        for block in todo:
            _write_merged(work, block, merged, window, room, stage)
    for file in files:
        file.unlink()
    (work / "runs.json").unlink()


def _plan_runs(work: Path, corpus: Corpus, window: int, room: _Room) -> list[Run]:
    """Return the runs; a resumed count keeps those that it began with, whatever its budget."""
    record = work / "runs.json"
    if record.exists():
        return [Run(tuple(map(tuple, parts))) for parts in json.loads(record.read_bytes())]
    runs = cut_runs(corpus, window, room.text)
    if len(runs) > 1:
        write_whole(record, json.dumps([run.parts for run in runs]).encode())
    return runs


def _text_source(corpus: Corpus, run: Run, options: CountOptions, room: _Room, stage: Stage) -> TextSource:
    window = Window.of(options)
    text = lay_out(corpus, run, options, room.threads, stage)
    check_text(text, corpus.counts, corpus)
    return TextSource(text, window, np.minimum(len(corpus.vocabulary) * window.slots, window.contexts * text.counts))


def _write_run(files: RowFiles, corpus: Corpus, run: Run, options: CountOptions, room: _Room, stage: Stage) -> None:
    source = _text_source(corpus, run, options, room, Stage("lay out", None, "words"))
    wide = int(source.text.counts.max()) * source.window.most >= 2**32
    tasks = list(cut_rows(source.bounds, room.entries))
    lanes = room.lanes(source.window, source.bounds, tasks)
    write_rows(files, np.uint64 if wide else np.uint32, source, tasks, lanes, stage)


def _write_merged(work: Path, block: Block, merged: Merged, window: Window, room: _Room, stage: Stage) -> None:
    tasks = [task for task in merged.tasks if block.first <= task[0] < block.last]
    lanes = room.lanes(window, merged.bounds, tasks)
    write_rows(block.files(work), block.dtype, merged, tasks, lanes, stage)


def finish_blocks(work: Path, blocks: list[Block], vocabulary: Vocabulary, fields: dict[str, Any]) -> None:
    """Join the blocks' row lengths and sums, sum the columns, and write the manifest."""
    halves = [np.split(load_array(block.path(work, "rows"), np.int64), 2) for block in blocks]
    lengths, row_sums = (np.concatenate([half[i] for half in halves]) for i in (0, 1))
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
    for block in blocks:
        block.path(work, "rows").unlink()
    whole = {
        "entries": int(offsets[-1]),
        "total": sum(row_sums.tolist()),  # a row fits 64 bits, all of them together need not
        "blocks": [[block.first, block.last, block.wide] for block in blocks],
        "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
        **fields,
    }
    write_manifest(work, KIND, VERSION, whole)


class _StoredCooc:
    """A co-occurrence directory as rows that can be merged."""

    def __init__(self, cooc: Cooc) -> None:
        self.size = len(cooc.vocabulary)
        self._offsets = ArrayReader(cooc.path / "row-offsets.bin", np.int64)
        self._begins = [int(self._offsets.read(block.first, block.first + 1)[0]) for block in cooc.blocks]
        self._files = [
            (
                ArrayReader(block.path(cooc.path, "columns"), np.int32),
                ArrayReader(block.path(cooc.path, "values"), block.dtype),
            )
            for block in cooc.blocks
        ]
        for file in itertools.chain(*self._files):
            file.verify()

    def lengths(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Return the number of entries of rows first:last."""
        return np.diff(self._offsets.read(first, last + 1))

    def entries(self, begin: int, end: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return columns and values of entries begin:end, from the blocks that hold them."""
        columns, values = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        for at, files in zip(self._begins, self._files, strict=True):
            a, b = max(0, begin - at), min(files[0].size, end - at)
            if a < b:
                columns.append(files[0].read(a, b))
                values.append(files[1].read(a, b).astype(np.int64))
        return np.concatenate(columns), np.concatenate(values)


def merge(
    coocs: Sequence[PathLike | Cooc],
    output: PathLike,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Cooc:
    """Add up co-occurrence directories of equal vocabulary and options into the directory `output`."""
    opened = [cooc if isinstance(cooc, Cooc) else Cooc(cooc) for cooc in coocs]
    if not opened:
        raise UsageError("nothing to merge; name at least one co-occurrence directory")
    first, progress, threads = opened[0], progress or Progress(), threads or usable_cores()
    for cooc in opened[1:]:
        _check_alike(first, cooc)
    window, vocabulary = Window.of(first.options), first.vocabulary
    sums = [sum(parts) for parts in zip(*(cooc.row_integers.tolist() for cooc in opened), strict=True)]
    if max(sums) >= 2**63:
        raise UsageError(f"{output}: the sums overflow 64 bits; merge fewer directories")
    room = _Room.of(len(vocabulary), first.columns, memory_budget(memory), threads)
    lengths = sum((np.diff(cooc.row_offsets) for cooc in opened), np.zeros(len(vocabulary), np.int64))
    blocks = plan_blocks(np.minimum(lengths, first.columns), sums)
    digests = sorted(cooc.manifest["corpus"]["digest"] for cooc in opened)
    plan = {"kind": KIND, "version": VERSION, "options": first.options.record(), "corpora": digests}
    with building(Path(output), plan, force=force, resume=resume) as work:
        progress.say(room.plan.line())
        vocabulary.save(work)
        sources = [_StoredCooc(cooc) for cooc in opened]
        merged = Merged(sources, [(block.first, block.last) for block in blocks], first.columns, room.entries)
        with progress.stage("merge", merged.work(0, len(vocabulary)), "entries") as stage:
            for block in blocks:
                if not block.files(work).whole():
                    _write_merged(work, block, merged, window, room, stage)
        joined = hashlib.sha256(" ".join(digests).encode()).hexdigest() if len(digests) > 1 else digests[0]
        fields = {
            **{key: first.manifest[key] for key in ("denominator", "columns", "slots", "options")},
            "tokens": sum(cooc.manifest["tokens"] for cooc in opened),
            "corpus": {"digest": joined, "options": first.manifest["corpus"]["options"]},
        }
        finish_blocks(work, blocks, vocabulary, fields)
    return Cooc(output)


def _check_alike(one: Cooc, other: Cooc) -> None:
    if one.manifest["vocabulary"] != other.manifest["vocabulary"]:
        raise UsageError(f"{other.path}: its vocabulary is not that of {one.path}; encode both with one vocabulary")
    if one.options != other.options:
        ours, theirs = one.options.record(), other.options.record()
        changed = ", ".join(key for key in ours if ours[key] != theirs[key])
        raise UsageError(f"{other.path}: was counted with another {changed} than {one.path}")
    ours, theirs = one.manifest["corpus"]["options"], other.manifest["corpus"]["options"]
    if ours and theirs:  # counts of other programs do not say
        cuts = [EncodeOptions(**record).cut for record in (ours, theirs)]
        changed = ", ".join(key for key in cuts[0] if cuts[0][key] != cuts[1][key])
        if changed:
            raise UsageError(f"{other.path}: its text was cut into words with another {changed} than that of {one.path}")

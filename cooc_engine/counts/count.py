"""From an encoded corpus to exact co-occurrence counts: sorted CSR in row blocks, memory-mapped.

Weights are integers over a common denominator (2520 for 1/k in a window of 10), summed in 64-bit integers and divided
only when they are read. A corpus that fits the budget is counted in one run; a larger one in several, which are added up row
by row. Integer sums do not depend on their order: the bytes are the same for any number of threads, runs and shards.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts import directory
from cooc_engine.counts.directory import (
    KIND,
    MEMBERS,
    VERSION,
    Block,
    Cooc,
    clean,
    finish_blocks,
    plan_blocks,
)
from cooc_engine.counts.forecast import ROWS as SAMPLED_ROWS
from cooc_engine.counts.forecast import Sample, Sizes, count_sample
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.row_writer import (
    Accumulator,
    Merged,
    RowFiles,
    Stored,
    TextSource,
    Written,
    accumulator_bytes,
    entries_in,
    write_rows,
)
from cooc_engine.counts.windows import (
    CorpusPart,
    Window,
    beside_segments,
    check_text,
    cut_corpus,
    laid_out_bytes,
    read_positions,
)
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import Run, SharedKeywords, SharedPlanKeywords
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import PathLike
from cooc_engine.runtime.workers import Here, Workers
from cooc_engine.storage.inputs import record_bytes
from cooc_engine.storage.outputs import building, check_same, part_path, write_whole
from cooc_engine.storage.schema import Natural, read_json

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MERGE_BYTES", "STRETCHES", "Allotment", "check_counts", "count", "merge_blocks", "plan_count", "write_merged"]
TASK_ENTRIES = 1 << 20  # maximum number of entries counted before they are written
LEAST_ENTRIES = 1 << 14
LEAST_TEXT = 1 << 20
MERGE_BYTES = 28  # bytes per entry that is read and added up
STRETCHES = 8  # stretches of blocks for each worker, so that none waits long for the last
MARGIN = 24  # bytes per position within the radius of the window, for a run of any length


@dataclass(frozen=True)
class Allotment:
    """The division of the budget: `entries` per accumulator, and `text` bytes for the text of a run."""

    threads: int
    entries: int
    text: int
    plan: Plan

    @classmethod
    def of(cls, words: int, window: Window, budget: int, threads: int) -> Allotment:
        """Divide the budget; raises `UsageError` if it is too small."""
        columns = words * window.slots
        longest = min(columns, directory.BLOCK_ENTRIES)

        def plan(entries: int) -> Plan:
            parts = {
                "tables of words": (12 + 2 * threads) * 8 * words,
                "accumulators and entries": (threads + 2) * accumulator_bytes(columns, max(entries, longest)),
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
        text = beside_segments(budget - chosen.least + chosen.memory["text"], words)
        return cls(threads, entries, text, chosen)

    def accumulators(
        self, window: Window, bounds: npt.NDArray[np.int64], tasks: Sequence[tuple[int, int]]
    ) -> list[Accumulator]:
        """Return accumulators with room for the largest of the tasks."""
        entries = max(int(bounds[a:b].sum()) for a, b in tasks)
        rows = max(b - a for a, b in tasks)
        return [Accumulator(len(bounds) * window.slots, window.slots, entries, rows) for _ in range(self.threads + 2)]


def count(
    corpus: PathLike | Corpus,
    output: PathLike,
    options: CountOptions | None = None,
    **run: Unpack[SharedKeywords],
) -> Cooc:
    """Count the co-occurrences of an encoded corpus into the directory `output`.

    The bytes of the result depend on none of `threads`, `memory`, the budget in bytes or as `512M`, and `processes`, which
    share the work. Raises `UsageError` if sums could overflow 64 bits, or if the budget is too small.
    """
    how, at = Run.of("count", run, SharedKeywords), path_of(output)
    options, corpus = defaulted("count", CountOptions, options), Corpus.of(corpus)
    if how.keeps(at):
        cooc = directory.Cooc(at)
        check_counts(cooc, options, corpus)
        how.tell_kept(at)
        return cooc
    with how.shared() as workers:
        job, progress = _Job.of(corpus, options, workers), how.shown
        record = {"kind": KIND, "version": VERSION, "options": job.options.record(), "corpus": job.corpus.digest}

        def peak() -> int | None:
            return job.plan(at, job.runs(part_path(at))).peak

        with (
            building(at, record, MEMBERS, **how.claim, peak=peak) as work,
            workers.at(work),
        ):
            runs = job.runs(work)
            if progress.speaks:
                progress.say(job.plan(at, runs).line())
            if not Cooc.is_finished(work):
                _count_blocks(work, job, runs, progress)
                finish_blocks(work, job.blocks, job.corpus.vocabulary, job.fields())
            clean(work)
    return Cooc(output)


def check_counts(cooc: Cooc, options: CountOptions, corpus: Corpus | None, flag: str = "--force") -> None:
    """Raise `UsageError`, naming what differs and the flag to pass, if counts are not those of a corpus with these options."""
    found = {"options": cooc.options.record(), "corpus": cooc.manifest["corpus"]["digest"]}
    made_of = {"corpus": corpus.digest} if corpus else {}
    check_same(cooc.path, found, {"options": options.record(), **made_of}, flag=flag)


@gated
def plan_count(
    corpus: PathLike | Corpus,
    output: PathLike,
    options: CountOptions | None = None,
    **run: Unpack[SharedPlanKeywords],
) -> Plan:
    """Return the plan of `count`, its memory and disk usage in bytes, and write nothing.

    >>> plan = plan_count(corpus, "planned", memory="1G", threads=1)
    >>> plan.budget == 2**30, plan.runs, plan.disk.entries == cooc.entries
    (True, 1, True)

    The number of entries is predicted from a sample of rows that are counted exactly. Raises what `count` raises.
    """
    with Run.of("plan_count", run, SharedPlanKeywords).shared() as workers:
        job = _Job.of(corpus, options, workers)
        return job.plan(path_of(output), job.runs(None))


@dataclass(frozen=True)
class _Job:
    """A validated counting job, with its memory allotted."""

    corpus: Corpus
    options: CountOptions
    window: Window
    blocks: list[Block]
    room: Allotment
    workers: Workers

    @classmethod
    def of(cls, corpus: PathLike | Corpus, options: CountOptions | None, workers: Workers) -> _Job:
        """Validate the job; raises `UsageError`.

        A text that fits into the memory of all workers of one machine is counted by one process with all threads: several
        would each count a run, and adding up the runs takes longer than counting.
        """
        options, corpus = defaulted("plan_count", CountOptions, options), Corpus.of(corpus)
        if options.subsample is None:
            options.refuse_unused("nothing is subsampled without --subsample", "subsample_seed")
        window, counts = Window.of(options), corpus.counts
        _check_overflow(window, counts, options)
        if workers.count > 1 and workers.local and _fits(corpus, window, workers.here):
            workers = workers.here
        room = Allotment.of(len(counts), window, workers.memory, workers.threads)
        blocks = plan_blocks(window.bounds(counts), [n * window.most for n in counts.tolist()])
        return cls(corpus, options, window, blocks, room, workers)

    def runs(self, work: Path | None) -> list[CorpusPart]:
        """Return the runs to count in, one for each worker or more; a resumed count keeps those that it began with."""
        if work is not None and (work / "runs.json").exists():
            return self._kept_runs(work / "runs.json")
        share = laid_out_bytes(self.corpus, self.window.size, self.workers.count)
        return cut_corpus(self.corpus, self.window.size, min(self.room.text, share))

    def _kept_runs(self, record: Path) -> list[CorpusPart]:
        """Return recorded runs; raises `FormatError` unless they are the whole corpus, one part after another."""
        runs = read_json(record_bytes(record), list[list[tuple[Natural, Natural, Natural]]], f"{record}")
        sizes = [tokens for tokens, _ in self.corpus.manifest["shards"]]
        firsts, parts = [0, *itertools.accumulate(sizes)], list(itertools.chain(*runs))
        inside = all(number < len(sizes) and begin < end <= sizes[number] for number, begin, end in parts)
        if not (inside and all(runs)) or (
            [*(firsts[number] + begin for number, begin, _ in parts), self.corpus.tokens]
            != [0, *(firsts[number] + end for number, _, end in parts)]
        ):
            raise FormatError(f"{record}: its runs are not the whole corpus, part after part; pass --force to start anew")
        return [CorpusPart(tuple(parts)) for parts in runs]

    def plan(self, output: Path, runs: list[CorpusPart]) -> Plan:
        """Return the plan, with the predicted disk usage of counting in these runs."""
        counts, columns = self.corpus.counts, len(self.corpus.counts) * self.window.slots
        most = self.room.plan.budget * 4 // (columns * (self.room.threads + 1))  # in half of the budget, at one bit per column
        sample = Sample.draw(self.window.bounds(counts), counts, min(SAMPLED_ROWS, max(1, most)))
        whole, in_runs = count_sample(self.corpus, self.options, runs, sample, self.room.threads, self.room.text)
        tokens = max(1, self.corpus.manifest["tokens_in_vocabulary"])
        most = int(counts.max()) * self.window.most
        wide = [most * sum(end - begin for _, begin, end in run.parts) >= 2**32 * tokens for run in runs]
        sizes = [float(found @ sample.weights) * (12 if far else 8) for found, far in zip(in_runs, wide, strict=True)]
        directory = Sizes.of(self.corpus.vocabulary, columns, self.blocks, sample, whole)
        return replace(self.room.plan, runs=len(runs), disk=directory.disk(output, sizes if len(runs) > 1 else []))

    def fields(self) -> dict[str, Any]:
        """Return the fields of the manifest that describe the count."""
        return {
            "tokens": self.corpus.manifest["tokens_in_vocabulary"],
            "denominator": self.window.denominator,
            "columns": len(self.corpus.counts) * self.window.slots,
            "slots": self.window.slots,
            "corpus": {"digest": self.corpus.digest, "options": self.corpus.manifest["options"]},
            "options": self.options.record(),
        }


def _fits(corpus: Corpus, window: Window, here: Here) -> bool:
    """Tell whether a text can be counted in one run."""
    room = Allotment.of(len(corpus.counts), window, here.memory, here.threads)
    return len(cut_corpus(corpus, window.size, room.text)) == 1


def _check_overflow(window: Window, counts: npt.NDArray[np.int64], options: CountOptions) -> None:
    if int(counts.max()) * window.most >= 2**63:
        raise UsageError(
            f"--window={options.window}: {options.window_weight} sums could overflow 64 bits; "
            f"take a smaller window or uniform weights"
        )
    if len(counts) * window.slots >= 2**31 - 2 * window.slots:
        raise UsageError(
            f"--positional: {len(counts)} words at {window.slots} distances are too many columns; pass --max-vocab"
        )


def _count_blocks(work: Path, job: _Job, runs: list[CorpusPart], progress: Progress) -> None:
    """Write the missing blocks: directly from the text, or from runs if more than one is needed."""
    todo = [block for block in job.blocks if not block.files(work).whole()]
    if todo and len(runs) == 1:
        _count_whole(work, job, todo, runs[0], progress)
    elif todo:
        _count_runs(work, job, todo, runs, progress)


def _count_whole(work: Path, job: _Job, todo: list[Block], run: CorpusPart, progress: Progress) -> None:
    """Write blocks from the text, which fits into memory."""
    with progress.stage("lay out", job.corpus.tokens, "words") as stage:
        source = _text_source(job.corpus, run, job.options, job.room, stage)
    with progress.stage("count", source.work(todo[0].first, todo[-1].last), "words") as stage:
        for block in todo:
            tasks = source.tasks(block.first, block.last, job.room.entries, job.room.threads)
            accumulators = job.room.accumulators(job.window, source.bounds, tasks)
            with block.files(work).attempt() as files:
                write_rows(files, block.dtype, source, tasks, accumulators, stage)


def _count_runs(work: Path, job: _Job, todo: list[Block], runs: list[CorpusPart], progress: Progress) -> None:
    """Write blocks from runs, which are counted first."""
    write_whole(work / "runs.json", json.dumps([run.parts for run in runs]).encode())
    written = [RowFiles(work, f"run-{number:05d}", run.parts) for number, run in enumerate(runs)]
    with progress.stage(f"count {len(runs)} runs", job.corpus.tokens, "words") as stage:
        items = ((file, job.corpus, run, job.options, job.room) for run, file in zip(runs, written, strict=True))
        _all(job.workers.each(count_run, items, stage))
    words, width = len(job.corpus.counts), len(job.corpus.counts) * job.window.slots
    with progress.stage("check runs", sum(file.bytes for file in written), "bytes") as stage:
        sources = list(job.workers.each(open_run, ((file, words, width) for file in written), stage))
    with progress.stage("merge runs", entries_in(sources, todo[0].first, todo[-1].last), "entries") as stage:
        merge_blocks(work, todo, sources, job.window, job.room, job.workers, stage)


def _all(results: Iterator[None]) -> None:
    """Wait for tasks that return nothing."""
    for _ in results:
        pass


def count_run(files: RowFiles, corpus: Corpus, run: CorpusPart, options: CountOptions, room: Allotment, stage: Stage) -> None:
    """Task: count a run, unless it is already written."""
    if not files.whole():
        with files.attempt() as attempt:
            _write_run(attempt, corpus, run, options, room, stage)


def open_run(files: RowFiles, words: int, width: int, stage: Stage) -> Written:
    """Task: verify a run; returns it, to be read."""
    opened = Written.open(files, words, width)
    stage.advance(files.bytes)
    return opened


def _text_source(corpus: Corpus, run: CorpusPart, options: CountOptions, room: Allotment, stage: Stage) -> TextSource:
    window = Window.of(options)
    text = read_positions(corpus, run, options, room.threads, stage)
    check_text(text, corpus.counts, corpus)
    return TextSource(text, window, window.bounds(text.counts))


def _write_run(files: RowFiles, corpus: Corpus, run: CorpusPart, options: CountOptions, room: Allotment, stage: Stage) -> None:
    source = _text_source(corpus, run, options, room, Stage("lay out", None, "words"))
    wide = int(source.text.counts.max()) * source.window.most >= 2**32
    tasks = source.tasks(0, len(source.bounds), room.entries, room.threads)
    accumulators = room.accumulators(source.window, source.bounds, tasks)
    write_rows(files, np.uint64 if wide else np.uint32, source, tasks, accumulators, stage)


def merge_blocks(
    work: Path, todo: list[Block], sources: Sequence[Stored], window: Window, room: Allotment, workers: Workers, stage: Stage
) -> None:
    """Write blocks, each the sum of the rows of all sources."""
    parts = 1 if workers.count == 1 else STRETCHES * workers.count
    stretches = (todo[a:b] for a, b in cut_evenly(0, len(todo), min(parts, len(todo))))
    _all(workers.each(merge_rows, ((work, blocks, sources, window, room) for blocks in stretches), stage))


def merge_rows(
    work: Path, blocks: Sequence[Block], sources: Sequence[Stored], window: Window, room: Allotment, stage: Stage
) -> None:
    """Task: write consecutive blocks, unless that has been done."""
    merged = Merged(sources, sources[0].size * window.slots, room.entries, (blocks[0].first, blocks[-1].last))
    for block in blocks:
        if not block.files(work).whole():
            write_merged(work, block, merged, window, room, stage)


def write_merged(work: Path, block: Block, merged: Merged, window: Window, room: Allotment, stage: Stage) -> None:
    """Write the rows of a block, summed over the sources."""
    tasks = merged.tasks(block.first, block.last)
    accumulators = room.accumulators(window, merged.bounds, tasks)
    with block.files(work).attempt() as files:
        write_rows(files, block.dtype, merged, tasks, accumulators, stage)

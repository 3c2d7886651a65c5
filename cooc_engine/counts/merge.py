"""Merging: the sum of co-occurrence directories with the same vocabulary and options."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.counts.count import STRETCHES, Allotment, merge_blocks
from cooc_engine.counts.directory import KIND, MEMBERS, VERSION, Block, Cooc, clean, finish_blocks, plan_blocks
from cooc_engine.counts.forecast import ROWS, Sample, Sizes, merge_sample
from cooc_engine.counts.row_writer import entries_in
from cooc_engine.counts.windows import Window
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import Run, SharedKeywords, SharedPlanKeywords
from cooc_engine.runtime.paths import path_of, several
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import PathLike
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.outputs import building

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["merge", "plan_merge"]


class _StoredCooc:
    """A co-occurrence directory as a source of rows to merge."""

    def __init__(self, cooc: Cooc) -> None:
        self.size, self._cooc = len(cooc.vocabulary), cooc
        self._offsets = cooc.row_offsets
        self._begins = [int(self._offsets[block.first]) for block in cooc.blocks]
        self._files = [[cooc.files.reader(name, kind) for name, kind in block.kinds.items()] for block in cooc.blocks]

    def __reduce__(self) -> tuple[Any, tuple[Path, str]]:
        """Return how another process opens it: that process reads the tables of words, so that they are not sent."""
        return _opened, (self._cooc.path, self._cooc.digest)

    def offsets(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Return the offsets of the entries of rows first:last, and the end of the last row."""
        return self._offsets[first : last + 1]

    def entries(self, begin: int, end: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return columns and values of entries begin:end, from the blocks that hold them."""
        columns, values = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        for at, files in zip(self._begins, self._files, strict=True):
            a, b = max(0, begin - at), min(files[0].size, end - at)
            if a < b:
                columns.append(files[0].read(a, b))
                values.append(files[1].read(a, b).astype(np.int64))
        return np.concatenate(columns), np.concatenate(values)


def _opened(path: Path, digest: str) -> _StoredCooc:
    return _StoredCooc(_unchanged(path, digest))


def _unchanged(path: Path, digest: str) -> Cooc:
    """Open a directory in a worker; raises `FormatError` if it is not the one that was chosen."""
    cooc = Cooc(path)
    if cooc.digest != digest:
        raise FormatError(f"{path}: changed while it was merged; merge again")
    return cooc


Several = PathLike | Cooc | Sequence[PathLike | Cooc]


@gated
def merge(
    coocs: Several,
    output: PathLike,
    **run: Unpack[SharedKeywords],
) -> Cooc:
    """Add up co-occurrence directories with the same vocabulary and options into the directory `output`.

    >>> twice = merge([cooc, cooc], "twice", threads=1)
    >>> twice["river", "water"] == 2 * cooc["river", "water"]
    True

    The sum is exact, and its bytes depend on none of `threads`, `memory` and `processes`. Raises `UsageError` for directories
    that differ in vocabulary or options, for sums that overflow 64 bits, and for a budget that is too small; `FormatError` if a
    directory is damaged, or changes meanwhile.
    """
    how, at = Run.of("merge", run, SharedKeywords), path_of(output)
    with how.shared() as workers:
        job, progress = _Sum.of(coocs, workers), how.shown
        record = {"kind": KIND, "version": VERSION, "options": job.coocs[0].options.record(), "corpora": job.digests()}
        with (
            building(at, record, MEMBERS, **how.claim, peak=lambda: job.plan(at).peak) as work,
            workers.at(work),
        ):
            if workers.count > 1:
                _verify(job.coocs, workers, progress)
            if progress.speaks:
                progress.say(job.plan(at).line())
            if not Cooc.is_finished(work):
                _add_up(work, job, workers, progress)
            clean(work)
    return Cooc(output)


@gated
def plan_merge(coocs: Several, output: PathLike, **run: Unpack[SharedPlanKeywords]) -> Plan:
    """Return the plan of `merge`, its memory and disk usage in bytes, and write nothing.

    The number of entries is predicted by adding up a sample of the rows. Raises what `merge` raises.
    """
    with Run.of("plan_merge", run, SharedPlanKeywords).shared() as workers:
        return _Sum.of(coocs, workers).plan(path_of(output))


@dataclass(frozen=True)
class _Sum:
    """A validated merge, with its memory allotted."""

    coocs: list[Cooc]
    blocks: list[Block]
    room: Allotment

    @classmethod
    def of(cls, coocs: Several, workers: Workers) -> _Sum:
        """Validate the merge; raises `UsageError`."""
        opened = [Cooc.of(cooc) for cooc in several(coocs)]
        if not opened:
            raise UsageError("nothing to merge; name at least one co-occurrence directory")
        for cooc in opened:
            cooc.refuse_rectangular("merge takes counts of words near words; count all pairs at once")
        for cooc in opened[1:]:
            _check_alike(opened[0], cooc)
        sums = [sum(parts) for parts in zip(*(cooc.row_integers.tolist() for cooc in opened), strict=True)]
        if max(sums) >= 2**63:
            raise UsageError(f"{opened[-1].path}: the sums overflow 64 bits; merge fewer directories")
        room = Allotment.of(len(sums), Window.of(opened[0].options), workers.memory, workers.threads)
        lengths = sum((np.diff(cooc.row_offsets) for cooc in opened), np.zeros(len(sums), np.int64))
        return cls(opened, plan_blocks(np.minimum(lengths, opened[0].columns), sums), room)

    def digests(self) -> list[str]:
        """Return the digests of the corpora that were counted."""
        return sorted(cooc.manifest["corpus"]["digest"] for cooc in self.coocs)

    def sources(self) -> list[_StoredCooc]:
        """Open the directories, after verifying all checksums."""
        for cooc in self.coocs:
            for block in cooc.blocks:
                cooc.block_integers(block)  # verifies it
        return [_StoredCooc(cooc) for cooc in self.coocs]

    def plan(self, output: Path) -> Plan:
        """Return the plan, with the predicted disk usage of merging."""
        first = self.coocs[0]
        lengths = sum((np.diff(cooc.row_offsets) for cooc in self.coocs), np.zeros(len(first.vocabulary), np.int64))
        sample = Sample.draw(lengths, lengths, ROWS)
        sizes = Sizes.of(first.vocabulary, first.columns, self.blocks, sample, merge_sample(self.sources(), sample))
        return replace(self.room.plan, stage="merge", disk=sizes.disk(output, []))


def _add_up(work: Path, job: _Sum, workers: Workers, progress: Progress) -> None:
    """Write the missing blocks of the sum, and the rest of its directory."""
    sources, first, digests = job.sources(), job.coocs[0], job.digests()
    with progress.stage("merge", entries_in(sources, 0, len(first.vocabulary)), "entries") as stage:
        merge_blocks(work, job.blocks, sources, Window.of(first.options), job.room, workers, stage)
    joined = hashlib.sha256(" ".join(digests).encode()).hexdigest() if len(digests) > 1 else digests[0]
    fields = {
        "denominator": first.denominator,
        "columns": first.columns,
        "slots": first.manifest["slots"],
        "options": first.manifest["options"],
        "tokens": sum(cooc.manifest["tokens"] for cooc in job.coocs),
        "corpus": {"digest": joined, "options": first.manifest["corpus"]["options"]},
    }
    finish_blocks(work, job.blocks, first.vocabulary, fields)


def _verify(coocs: Sequence[Cooc], workers: Workers, progress: Progress) -> None:
    """Compare directories with their checksums; the blocks are divided among several workers."""
    bound = [cooc for cooc in coocs if cooc.files.bound is not None]
    with progress.stage("check counts", sum(cooc.entries for cooc in bound), "entries") as stage:
        for cooc in bound:
            parts = cut_evenly(0, len(cooc.blocks), min(STRETCHES * workers.count, len(cooc.blocks)))
            items = ((cooc.path, cooc.digest, *part) for part in parts)
            for first, last in workers.each(verify_blocks, items, stage):
                cooc.note_verified(first, last)


def verify_blocks(path: Path, digest: str, first: int, last: int, stage: Stage) -> tuple[int, int]:
    """Task: compare blocks first:last with their checksums; returns these numbers."""
    cooc = _unchanged(path, digest)
    for block in cooc.blocks[first:last]:
        columns, _ = cooc.block_integers(block)
        stage.advance(len(columns))
    return first, last


def _check_alike(one: Cooc, other: Cooc) -> None:
    if one.manifest["vocabulary"] != other.manifest["vocabulary"]:
        raise UsageError(f"{other.path}: its vocabulary differs from that of {one.path}; encode both with one vocabulary")
    if one.options != other.options:
        ours, theirs = one.options.record(), other.options.record()
        changed = ", ".join(key for key in ours if ours[key] != theirs[key])
        raise UsageError(f"{other.path}: was counted with a different {changed} from {one.path}")
    if all(cooc.manifest["corpus"]["options"] for cooc in (one, other)):  # counts of other programs do not record it
        cut, other_cut = one.encoding.cut, other.encoding.cut
        changed = ", ".join(key for key in cut if cut[key] != other_cut[key])
        if changed:
            raise UsageError(f"{other.path}: its text was split into words with a different {changed} from that of {one.path}")

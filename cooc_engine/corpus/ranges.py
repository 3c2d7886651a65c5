"""The first pass in ranges of whole files, each a task for a worker; the words of all ranges are then ranked together.

No document spans two files, so the ranges in their order are the text. Each attempt at a range writes tables and a spool under
names of its own; the checkpoint, which only the coordinator writes, says which of them are valid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from cooc_engine.corpus.allotment import Allotment
from cooc_engine.corpus.first_pass import (
    SPOOLS,
    PassCheckpoint,
    PassRecord,
    Spool,
    Tables,
    checkpoint_of,
    table_path,
    tokenize,
)
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranking import RANKED, merge_ranked, rank_part, rank_tables, write_rows
from cooc_engine.corpus.text_input import TextInput
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import Words
from cooc_engine.runtime.machine import return_memory
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.threads import cut_by_ends
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.arrays import ArrayFiles, Bound
from cooc_engine.storage.attempts import attempt, attempt_name
from cooc_engine.storage.outputs import beside, read_record, write_record
from cooc_engine.storage.schema import Natural, Relation, fitted
from cooc_engine.storage.scratch import map_raw
from cooc_engine.text import files
from cooc_engine.text.stores import TextPath
from cooc_engine.text.tokenizer_pool import Processes

__all__ = ["RangeTables", "RangesCheckpoint", "can_be_shared", "spool_ranges", "write_range_rows"]

RANGES = 4  # ranges for each worker, so that none waits long for the last
SHARED_BYTES = 1 << 26  # of words with their counts, from which on workers rank them


class _RangesRecord(TypedDict):
    """The record in `ranges.json`, as FORMAT.md specifies it."""

    texts: list[tuple[Natural, int] | None]
    cuts: list[Natural]
    passes: list[PassRecord | None]
    files: dict[str, Bound]


def _cover(record: _RangesRecord) -> bool:
    """Tell whether the ranges cover all texts, one after another, and each has an entry in `passes`."""
    firsts = record["cuts"]
    rises = all(a < b for a, b in itertools.pairwise(firsts))
    return rises and firsts[:1] == [0] and firsts[-1] == len(record["texts"]) and len(record["passes"]) == len(firsts) - 1


CUTS = Relation("cuts", "the first files of as many ranges as there are passes, and the number of files", _cover)


@dataclass(frozen=True)
class RangesCheckpoint:
    """The state of a first pass in ranges, as `PassCheckpoint` is that of a pass in one piece.

    texts    size and time of each file
    cuts     range i consists of the files cuts[i]:cuts[i + 1]
    spooled  for each range its finished pass, or None
    files    size and checksum of the vocabulary's files, once the words are ranked and all rows are written
    """

    texts: list[tuple[int, int] | None]
    cuts: list[int]
    spooled: list[PassCheckpoint | None]
    files: Mapping[str, Bound] = field(default_factory=dict)

    @classmethod
    def begin(cls, paths: Sequence[TextPath], parts: int) -> RangesCheckpoint:
        """Cut files into `parts` ranges of about the same size, or as many as there are files."""
        sizes = [path.stat().st_size for path in paths]
        ends = np.cumsum(sizes)
        cuts = [0, *(last for _, last in cut_by_ends(ends, max(1, int(ends[-1]) // parts)))]
        return cls(files.stamps(paths), cuts, [None] * (len(cuts) - 1))

    @classmethod
    def load(cls, directory: Path) -> RangesCheckpoint | None:
        """Return the checkpoint that `save` wrote, or None; raises `FormatError` if it is damaged."""
        path = directory / "ranges.json"
        if not path.exists():
            return None
        found = read_record(path, _RangesRecord, CUTS)
        passes = [one and PassCheckpoint.of(fitted(one, PassRecord, f"{path}", SPOOLS)) for one in found["passes"]]
        return cls(found["texts"], found["cuts"], passes, found["files"])

    def save(self, directory: Path) -> None:
        """Write the checkpoint; all the data that it counts must already be on disk."""
        passes = [one and asdict(one) for one in self.spooled]
        record = {"texts": self.texts, "cuts": self.cuts, "passes": passes, "files": self.files}
        write_record(directory / "ranges.json", record)

    def verify(self, directory: Path) -> None:
        """Raise `FormatError` if a spool is not what it was when the checkpoint was saved, or a table of words is none."""
        for one in self.passes:
            one.verify(directory)
            if not self.complete:
                for number, size in enumerate(one.tables):
                    Words.stored(table_path(directory, one.name, "words", number), size)

    @property
    def passes(self) -> list[PassCheckpoint]:
        """The finished passes, in the order of the text."""
        return [one for one in self.spooled if one]

    @property
    def complete(self) -> bool:
        """Whether the rest can be made from the disk alone."""
        return bool(self.files)

    @property
    def tokens(self) -> int:
        """Number of words."""
        return sum(one.tokens for one in self.passes)

    @property
    def documents(self) -> int:
        """Number of documents."""
        return sum(one.documents for one in self.passes)


def can_be_shared(paths: Sequence[TextPath], options: EncodeOptions) -> bool:
    """Tell whether a text can be read in ranges: several files that can be read again, whose order nothing else depends on."""
    several = len(paths) > 1 and None not in files.stamps(paths)
    return several and not options.phrases and options.doc_id_column is None and options.errors == "strict"


def spool_ranges(
    work: Path,
    paths: Sequence[TextPath],
    options: EncodeOptions,
    room: Allotment,
    point: RangesCheckpoint | None,
    workers: Workers,
    progress: Progress,
) -> RangesCheckpoint:
    """Run the first pass on all ranges that have none yet; returns the checkpoint, already written."""
    point = point or RangesCheckpoint.begin(paths, RANGES * workers.count)
    todo = [number for number, one in enumerate(point.spooled) if one is None]
    items = ((work, number, paths[slice(*point.cuts[number : number + 2])], options, room) for number in todo)
    with progress.stage("tokenize", files.total_bytes(paths), "bytes") as stage, files.unchanged(paths):
        for number, one in zip(todo, workers.each(spool_range, items, stage), strict=True):
            point = replace(point, spooled=[*point.spooled[:number], one, *point.spooled[number + 1 :]])
            point.save(work)
    return point


def spool_range(
    work: Path, number: int, paths: Sequence[TextPath], options: EncodeOptions, room: Allotment, stage: Stage
) -> PassCheckpoint:
    """Task: the first pass on the files of a range."""
    text, name = TextInput.of(paths), f"range-{number:05d}-{attempt_name()}-"
    tables = Tables(work, room.threads, room.table, room.ranking, name=name)
    pool = Processes(options.cut, room.threads) if options.runs_python else nullcontext()
    try:
        with pool as processes, Spool(work, name=name) as spool:
            tokenize(text.reader(room, options.reading(), processes), spool, tables, room.threads, room.block, stage)
        sizes = tables.flush()
    except BaseException:
        for path in work.glob(f"{name}*"):
            path.unlink(missing_ok=True)
        raise
    return_memory()
    return checkpoint_of(files.stamps(paths), spool, tables, sizes, name=name)


@dataclass(frozen=True)
class RangeTables:
    """The word tables of all ranges, on disk, and the workers that rank their words."""

    directory: Path
    passes: Sequence[PassCheckpoint]
    room: int
    workers: Workers

    def rank(self, min_count: int, max_vocab: int | None) -> Vocabulary:
        """Write the vocabulary of all tables, as `rank_tables` does, in so many parts that one fits into its memory.

        If there are many words, each worker ranks parts of them.
        """
        tables = _words(self.directory, self.passes)
        size = sum(words.records.nbytes for words in tables)
        parts = 1 + RANKED * size // self.room
        if size < SHARED_BYTES or self.workers.count == 1:
            return rank_tables(tables, self.directory, parts, min_count, max_vocab)
        ranked = self._ranked(max(parts, self.workers.count), min_count, max_vocab)
        return merge_ranked(ranked, self.directory, max_vocab)

    def _ranked(self, parts: int, min_count: int, max_vocab: int | None) -> Iterator[Vocabulary]:
        """Yield the parts, ranked by workers; each is valid until the next is asked for."""
        items = ((self.directory, self.passes, part, parts, min_count, max_vocab) for part in range(parts))
        for part, _ in enumerate(self.workers.each(write_ranked, items, Stage("", None, ""))):
            paths = _ranked_paths(self.directory, part)
            yield Vocabulary(*(map_raw(path, kind) for path, kind in zip(paths, "Bqq", strict=True)))
            for path in paths:
                path.unlink()


def write_ranked(
    work: Path,
    passes: Sequence[PassCheckpoint],
    part: int,
    parts: int,
    min_count: int,
    max_vocab: int | None,
    stage: Stage,
) -> None:
    """Task: rank those words of all ranges whose hash falls into part `part` of `parts`."""
    finals, ranked = _ranked_paths(work, part), rank_part(_words(work, passes), part, parts, min_count, max_vocab)
    with attempt(*finals) as suffix:
        for path, values in zip(finals, (ranked.text, ranked.offsets, ranked.counts), strict=True):
            beside(path, suffix).write_bytes(np.ascontiguousarray(values).data)


def _ranked_paths(work: Path, part: int) -> list[Path]:
    return [work / f"part-{part:05d}-{what}.spool" for what in ("text", "offsets", "counts")]


def _words(directory: Path, passes: Iterable[PassCheckpoint]) -> list[Words]:
    paths = (table_path(directory, one.name, "words", number) for one in passes for number in range(len(one.tables)))
    return [Words.stored(path) for path in paths]


def write_range_rows(work: Path, point: RangesCheckpoint, room: int, workers: Workers, stage: Stage) -> RangesCheckpoint:
    """Write the row in the vocabulary, which `work` has, of every id of every range; returns the new checkpoint."""
    items = ((work, one, room) for one in point.passes)
    return replace(point, spooled=list(workers.each(range_rows, items, stage)))


def range_rows(work: Path, one: PassCheckpoint, room: int, stage: Stage) -> PassCheckpoint:
    """Task: write the rows of the ids of a range; returns its pass without its tables of words, which are no longer needed."""
    finals = [table_path(work, one.name, "rows", number) for number in range(len(one.tables))]
    with attempt(*finals) as suffix:
        paths = [beside(path, suffix) for path in finals]
        write_rows(Vocabulary.load(ArrayFiles(work)), list(zip(_words(work, [one]), one.tables, paths, strict=True)), room)
        rows = {final.name: Bound.of(path) for final, path in zip(finals, paths, strict=True)}
    stage.advance(sum(one.tables))
    return replace(one, spools={**{name: bound for name, bound in one.spools.items() if "-words-" not in name}, **rows})

"""The second pass: the spooled ids are renumbered by the ranks of their words into shards, and the manifest is written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import counting
from cooc_engine.corpus.directory import COUNTS, ID_FILES, KIND, VERSION, Corpus, CorpusDigest
from cooc_engine.corpus.first_pass import PassCheckpoint, Spooled
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranges import RangesCheckpoint
from cooc_engine.corpus.shards import SHARD_TOKENS, kept_shard, load_shard, open_shard, shard_files
from cooc_engine.corpus.vocabulary import VOCABULARY_FILES, Vocabulary
from cooc_engine.errors import FormatError
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.threads import cut_by_ends, in_order
from cooc_engine.runtime.types import Counts, Offsets, WordIds
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.arrays import ArrayFiles, ArrayWriter, Bound, bound_files
from cooc_engine.storage.attempts import attempt
from cooc_engine.storage.outputs import beside, write_manifest
from cooc_engine.storage.relations import check_sum
from cooc_engine.storage.scratch import map_raw, new_raw

__all__ = ["write_corpus", "write_shards"]

PIECE_DOCUMENTS = 1 << 16
Checkpoint = PassCheckpoint | RangesCheckpoint


def write_corpus(
    work: Path, point: Checkpoint, options: EncodeOptions, names: list[str], workers: Workers, progress: Progress
) -> None:
    """Write the missing shards and the manifest."""
    files = ArrayFiles(work, point.files)
    vocabulary = Vocabulary.load(files)
    foreign = options.vocabulary is not None
    tally = new_raw(work / "counts.spool", np.int64, len(vocabulary) + 1) if foreign else None
    with progress.stage("write shards", point.tokens, "words") as stage:
        shards, digest = write_shards(work, point, len(vocabulary), tally, workers, stage)
    counts = vocabulary.counts if tally is None else tally[:-1]
    kinds: dict[str, npt.DTypeLike] = {**VOCABULARY_FILES}
    if foreign:
        kinds[COUNTS] = np.int64
        with ArrayWriter(work / COUNTS, np.int64) as file:
            file.append(counts)
    if options.has_ids:
        kinds |= ID_FILES
        for name, kind in ID_FILES.items():
            files.load(name, kind)  # an interrupted run may have left them
    for number in range(len(shards)):
        kinds |= shard_files(number)
    fields = {
        "tokens": point.tokens,
        "tokens_in_vocabulary": int(counts.sum()),
        "documents": point.documents,
        "shards": shards,
        "vocabulary": vocabulary.record,
        "digest": digest.of(vocabulary.digest, point.tokens, point.documents),
        "options": options.record(),
        "texts": names,
        "files": bound_files(work, kinds),
        **({"faults": point.faults} if isinstance(point, PassCheckpoint) and options.errors != "strict" else {}),
    }
    write_manifest(work, KIND, VERSION, fields)
    made = Corpus(work)  # what would be refused later, as what a forged spool makes, is not finished
    check_sum(counts, made.manifest["tokens_in_vocabulary"], f"{work}: the counts of the words")


def write_shards(
    directory: Path, point: Checkpoint, words: int, counts: Counts | None, workers: Workers, stage: Stage
) -> tuple[list[tuple[int, int]], CorpusDigest]:
    """Renumber the spools into shards, and count the rows in `counts` if it is given: (V + 1,), the last for id −1.

    Each shard that is written is recorded in the checkpoint, and one that it names is kept. Returns the tokens and documents
    of each shard, and what identifies the corpus.
    """
    text = _SpooledText.of(directory, point.passes, words)
    digest, shards = CorpusDigest(), list(text.shards())
    items = (
        (text, shard, kept_shard(shard.number, point.files), words, counts is not None, workers.threads) for shard in shards
    )
    for shard, found in zip(shards, workers.each(write_shard, items, stage), strict=True):
        point = replace(point, files={**point.files, **found})
        point.save(directory)
        digest.join_ids(next(iter(found.values())).crc, shard.tokens)
        if counts is not None:
            _add(_tally_path(directory, shard.number), counts)
    digest.add_ends(text.ends)
    return [(shard.tokens, shard.documents) for shard in shards], digest


@dataclass(frozen=True)
class _ShardPlan:
    """A shard to be written, which will hold tokens begin:end and documents first:last of the text."""

    number: int
    begin: int
    end: int
    first: int
    last: int

    @property
    def tokens(self) -> int:
        return self.end - self.begin

    @property
    def documents(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class _SpooledText:
    """The spools of a text, one after another, and a raw file of the ends of all documents in it."""

    directory: Path
    passes: Sequence[PassCheckpoint]
    path: Path

    @classmethod
    def of(cls, directory: Path, passes: Sequence[PassCheckpoint], words: int) -> _SpooledText:
        """Check all spools, and join the document ends of several; raises `FormatError` as `Spooled` does."""
        spools = [Spooled(directory, one, words) for one in passes]
        path = directory / f"{passes[0].name}documents.spool"
        if len(passes) > 1:
            path = directory / "ends.spool"
            with path.open("wb") as file:
                for spool, before in zip(spools, _firsts(passes), strict=False):
                    for at in range(0, len(spool.ends), PIECE_DOCUMENTS):
                        file.write((spool.ends[at : at + PIECE_DOCUMENTS] + before).data)
        return cls(directory, [replace(one, files={}) for one in passes], path)

    @property
    def ends(self) -> Offsets:
        """(documents,) int64: the number of tokens up to the end of each document, mapped."""
        return map_raw(self.path, np.int64)

    def shards(self) -> Iterator[_ShardPlan]:
        """Cut the text into shards."""
        ends, begin = self.ends, 0
        for number, (first, last) in enumerate(cut_by_ends(ends, SHARD_TOKENS)):
            end = int(ends[last - 1])
            yield _ShardPlan(number, begin, end, first, last)
            begin = end

    def ids(self, begin: int, end: int, pool: ThreadPoolExecutor, threads: int) -> Iterator[WordIds]:
        """Yield the ids of the tokens begin:end, renumbered, a piece at a time."""
        for one, (a, b) in zip(self.passes, itertools.pairwise(_firsts(self.passes)), strict=True):
            if max(a, begin) < min(b, end):
                yield from _renumbered(Spooled(self.directory, one), max(a, begin) - a, min(b, end) - a, pool, threads)


def _renumbered(spool: Spooled, begin: int, end: int, pool: ThreadPoolExecutor, threads: int) -> Iterator[WordIds]:
    return in_order(pool, lambda piece: spool.rows(*piece), spool.pieces(begin, end), threads + 2)


def _firsts(passes: Sequence[PassCheckpoint]) -> list[int]:
    """Return the number of the first token of each pass in the text, and of all tokens."""
    return [0, *itertools.accumulate(one.tokens for one in passes)]


def write_shard(
    text: _SpooledText, shard: _ShardPlan, kept: Mapping[str, Bound], words: int, counted: bool, threads: int, stage: Stage
) -> dict[str, Bound]:
    """Task: write a shard, unless one that was `kept` is undamaged, and count its rows in a file if that is wanted.

    Returns what a manifest records of its files, that of the ids first.
    """
    files = shard_files(shard.number)
    if _is_kept(ArrayFiles(text.directory, kept), shard, words):
        stage.advance(shard.tokens)
    else:
        finals = [text.directory / name for name in files]
        with attempt(*finals) as suffix, ThreadPoolExecutor(threads) as pool:
            ids, offsets = (beside(path, suffix) for path in finals)
            _write_ids(ids, text.ids(shard.begin, shard.end, pool, threads), stage)
            _write_offsets(offsets, text.ends[shard.first : shard.last], shard.begin)
    if counted:
        with attempt(_tally_path(text.directory, shard.number)) as suffix:
            rows = new_raw(beside(_tally_path(text.directory, shard.number), suffix), np.int64, words + 1)
            counting.histogram(open_shard(ArrayFiles(text.directory), shard.number).ids, rows)
    return bound_files(text.directory, files)


def _tally_path(directory: Path, number: int) -> Path:
    """Return the raw file of the counts (V + 1,) int64 of the rows in a shard, the last for id −1."""
    return directory / f"counts-{number:05d}.spool"


def _add(path: Path, counts: Counts) -> None:
    """Add counts from a raw file, and delete it."""
    np.add(counts, map_raw(path, np.int64), out=counts)
    path.unlink()


def _is_kept(files: ArrayFiles, shard: _ShardPlan, words: int) -> bool:
    """Tell whether an interrupted run finished a shard, which nothing has damaged since."""
    try:
        load_shard(files, shard.number, (shard.tokens, shard.documents), words)
    except FormatError:
        return False
    return True


def _write_ids(path: Path, pieces: Iterable[WordIds], stage: Stage) -> None:
    with ArrayWriter(path, np.int32) as file:
        for ids in pieces:
            file.append(ids)
            stage.advance(len(ids))


def _write_offsets(path: Path, ends: Offsets, begin: int) -> None:
    """Write the document offsets of a shard whose first token is `begin` in the spool."""
    with ArrayWriter(path, np.int64) as file:
        file.append(np.zeros(1, np.int64))
        for at in range(0, len(ends), PIECE_DOCUMENTS):
            file.append(ends[at : at + PIECE_DOCUMENTS] - begin)

"""The second pass: the spooled ids are renumbered by the ranks of their words into shards, and the manifest is written."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import counting
from cooc_engine.corpus.directory import COUNTS, ID_FILES, KIND, VERSION, CorpusDigest
from cooc_engine.corpus.first_pass import PIECE_TOKENS, PassCheckpoint, Spooled
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.shards import SHARD_TOKENS, Shard, load_shard, shard_files
from cooc_engine.corpus.vocabulary import VOCABULARY_FILES, Vocabulary
from cooc_engine.errors import FormatError
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.threads import cut_by_ends, in_order
from cooc_engine.runtime.types import Counts, Offsets, WordIds
from cooc_engine.storage.arrays import ArrayFiles, ArrayWriter, bound_files
from cooc_engine.storage.outputs import write_manifest
from cooc_engine.storage.scratch import new_raw

__all__ = ["write_corpus", "write_shards"]

PIECE_DOCUMENTS = 1 << 16


def write_corpus(work: Path, point: PassCheckpoint, options: EncodeOptions, names: list[str], run: Run) -> None:
    """Write the missing shards and the manifest."""
    files = ArrayFiles(work, point.files)
    vocabulary = Vocabulary.load(files)
    foreign = options.vocabulary is not None
    tally = new_raw(work / "counts.spool", np.int64, len(vocabulary) + 1) if foreign else None
    with run.shown.stage("write shards", point.tokens, "words") as stage:
        shards, digest = write_shards(work, point, len(vocabulary), tally, run.workers, stage)
    counts = vocabulary.counts if tally is None else tally[:-1]
    kinds: dict[str, npt.DTypeLike] = {**VOCABULARY_FILES}
    if foreign:
        kinds[COUNTS] = np.int64
        with ArrayWriter(work / COUNTS, np.int64) as file:
            file.append(counts)
    if options.doc_id_column is not None:
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
    }
    write_manifest(work, KIND, VERSION, fields)


def write_shards(
    directory: Path, point: PassCheckpoint, words: int, counts: Counts | None, threads: int, stage: Stage
) -> tuple[list[tuple[int, int]], CorpusDigest]:
    """Renumber the spool into shards, and count the rows in `counts` if it is given: (V + 1,), the last for id −1.

    Each shard that is written is recorded in the checkpoint, and one that it names is kept. Returns the tokens and documents
    of each shard, and what identifies the corpus.
    """
    spooled = Spooled(directory, point, words)
    digest, shards, begin = CorpusDigest(), list[tuple[int, int]](), 0
    record = _Record(digest, counts, stage)
    with ThreadPoolExecutor(threads) as pool:
        for first, last in cut_by_ends(spooled.ends, SHARD_TOKENS):
            end, number = int(spooled.ends[last - 1]), len(shards)
            shards.append((end - begin, last - first))
            if kept := _kept(ArrayFiles(directory, point.files), number, shards[-1], words):
                record.reread(kept)
            else:
                files = shard_files(number)
                ids, offsets = (directory / name for name in files)
                renumbered = in_order(pool, lambda piece: spooled.rows(*piece), spooled.pieces(begin, end), threads + 2)
                _write_ids(ids, renumbered, record)
                _write_offsets(offsets, spooled.ends[first:last], begin)
                point = replace(point, files={**point.files, **bound_files(directory, files)})
                point.save(directory)
            begin = end
    digest.add_ends(spooled.ends)
    return shards, digest


def _kept(files: ArrayFiles, number: int, sizes: tuple[int, int], words: int) -> Shard | None:
    """Return a shard that an interrupted run finished, or None if there is none, or it is damaged."""
    try:
        return load_shard(files, number, sizes, words)
    except FormatError:
        return None


class _Record:
    """What is noted of the ids in the shards: the corpus's digest and, if wanted, the count of each row."""

    def __init__(self, digest: CorpusDigest, counts: Counts | None, stage: Stage) -> None:
        self._digest, self._counts, self._stage = digest, counts, stage

    def note(self, ids: WordIds) -> None:
        """Include the next ids."""
        self._digest.add_ids(ids)
        if self._counts is not None:
            counting.histogram(ids, self._counts)
        self._stage.advance(len(ids))

    def reread(self, shard: Shard) -> None:
        """Include the ids of an existing shard, a piece at a time."""
        for at in range(0, len(shard.ids), PIECE_TOKENS):
            self.note(shard.ids[at : at + PIECE_TOKENS])


def _write_ids(path: Path, pieces: Iterable[WordIds], record: _Record) -> None:
    with ArrayWriter(path, np.int32) as file:
        for ids in pieces:
            file.append(ids)
            record.note(ids)


def _write_offsets(path: Path, ends: Offsets, begin: int) -> None:
    """Write the document offsets of a shard whose first token is `begin` in the spool."""
    with ArrayWriter(path, np.int64) as file:
        file.append(np.zeros(1, np.int64))
        for at in range(0, len(ends), PIECE_DOCUMENTS):
            file.append(ends[at : at + PIECE_DOCUMENTS] - begin)

"""The second pass: the spooled ids are renumbered by the ranks of their words into shards, and the manifest is written."""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cooc_engine._kernels import encoding
from cooc_engine.corpus.directory import KIND, VERSION
from cooc_engine.corpus.first_pass import PIECE_TOKENS, PassCheckpoint, Spooled
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.shards import SHARD_TOKENS, documents_path, tokens_path
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.threads import cut_by_ends, in_order
from cooc_engine.runtime.types import Counts, Offsets, WordIds
from cooc_engine.storage.arrays import ArrayWriter, is_whole, load_array
from cooc_engine.storage.outputs import write_manifest

__all__ = ["write_corpus", "write_shards"]

PIECE_DOCUMENTS = 1 << 16


def write_corpus(
    work: Path, point: PassCheckpoint, options: EncodeOptions, names: list[str], run: Run, *, verify: bool
) -> None:
    """Write the missing shards and the manifest; `verify` checks the shards left by an interrupted run."""
    vocabulary = Vocabulary.load(work)
    counts = np.zeros(len(vocabulary), np.int64) if verify or options.vocabulary is not None else None
    with run.shown.stage("write shards", point.tokens, "words") as stage:
        shards, checksums = write_shards(work, Spooled(work, point), counts, run.workers, stage)
    if options.vocabulary is not None and counts is not None:
        with ArrayWriter(work / "word-counts.bin", np.int64) as file:
            file.append(counts)
    elif counts is not None and (counts != vocabulary.counts).any():
        raise FormatError(f"{work}: the interrupted run's files do not hold the words that it counted; encode again")
    fields = {
        "tokens": point.tokens,
        "tokens_in_vocabulary": int((vocabulary.counts if counts is None else counts).sum()),
        "documents": point.documents,
        "shards": shards,
        "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
        "digest": hashlib.sha256(f"{vocabulary.digest} {point.tokens} {point.documents} {checksums}".encode()).hexdigest(),
        "options": options.record(),
        "texts": names,
    }
    write_manifest(work, KIND, VERSION, fields)


def write_shards(
    directory: Path, spooled: Spooled, counts: Counts | None, threads: int, stage: Stage
) -> tuple[list[list[int]], list[int]]:
    """Renumber the spool into shards, and count the rows in `counts` if it is given.

    Existing shards are kept. Returns the tokens and documents of each shard, and checksums of all ids and document ends.
    """
    record, shards = _Record(counts, stage), list[list[int]]()
    with ThreadPoolExecutor(threads) as pool:
        for first, last in cut_by_ends(spooled.ends, SHARD_TOKENS):
            begin, end = int(spooled.ends[first - 1]) if first else 0, int(spooled.ends[last - 1])
            tokens, documents = tokens_path(directory, len(shards)), documents_path(directory, len(shards))
            if is_whole(tokens, np.int32) and is_whole(documents, np.int64):
                record.reread(load_array(tokens, np.int32))
            else:
                renumbered = in_order(pool, functools.partial(_renumber, spooled), spooled.pieces(begin, end), threads + 2)
                _write_ids(tokens, renumbered, record)
                _write_offsets(documents, spooled.ends[first:last], begin)
            shards.append([end - begin, last - first])
    return shards, [record.checksum, zlib.crc32(spooled.ends.data)]


class _Record:
    """Running totals over all ids in the shards: their checksum and, if wanted, the count of each row."""

    def __init__(self, counts: Counts | None, stage: Stage) -> None:
        self.checksum, self._counts, self._stage = 0, counts, stage

    def note(self, ids: WordIds) -> None:
        """Include the next ids."""
        self.checksum = zlib.crc32(ids.data, self.checksum)
        if self._counts is not None:
            self._counts += np.bincount(ids + 1, minlength=len(self._counts) + 1)[1:]
        self._stage.advance(len(ids))

    def reread(self, ids: WordIds) -> None:
        """Include the ids of an existing shard, a piece at a time."""
        for at in range(0, len(ids), PIECE_TOKENS):
            self.note(ids[at : at + PIECE_TOKENS])


def _renumber(spooled: Spooled, piece: tuple[int, int, int]) -> WordIds:
    begin, end, table = piece
    rows = np.empty(end - begin, np.int32)
    encoding.renumber(spooled.ids[begin:end], spooled.rows[table], rows)
    return rows


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

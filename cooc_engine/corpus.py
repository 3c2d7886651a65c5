"""From text to an encoded corpus: tokenise once with provisional ids, rank the words, renumber into shards.

The first pass reads blocks in order; each worker thread has a hash table of its own. Provisional ids and document ends
are spooled to the disk, so memory holds the tables and a few blocks. Then the tables are merged, words are ranked, and the
second pass writes shards. Ranks depend on the counts and the bytes of the words alone: any number of threads gives the
same files.
"""

from __future__ import annotations

import functools
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine import readers
from cooc_engine._kernels import encoding
from cooc_engine.budget import Plan, memory_budget
from cooc_engine.config import EncodeOptions, usable_cores
from cooc_engine.errors import InputError, UsageError
from cooc_engine.phrases import Text, join_phrases
from cooc_engine.progress import Progress, Stage
from cooc_engine.shards import SHARD_TOKENS, Shard, cut_shards, documents_path, load_shard, open_shard, tokens_path
from cooc_engine.spool import Spool, Tables, in_order, tokenize
from cooc_engine.store import ArrayWriter, building, load_array, read_manifest, write_manifest
from cooc_engine.vocab import Vocabulary, rank_parts

__all__ = ["Corpus", "encode", "encode_documents", "text_names"]

KIND, VERSION = "corpus", 1
PIECE_DOCUMENTS = 1 << 20
LEAST_BLOCK, LEAST_TABLE = 1 << 18, 3 << 19
GROWTH = 4  # a table that grows holds its old and its new records, and a block may double it
PathLike = str | os.PathLike[str]


class Corpus:
    """An encoded corpus on disk, opened lazily.

    Raises `InputError` if there is none at `path`, `FormatError` if it is damaged or of another version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path, KIND, VERSION)
        self.tokens: int = self.manifest["tokens"]
        self.documents: int = self.manifest["documents"]
        self.shards: int = len(self.manifest["shards"])
        self.digest: str = self.manifest["digest"]
        self._checked: set[int] = set()

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words and their counts."""
        return Vocabulary.load(self.path, self.manifest["vocabulary"]["digest"])

    @functools.cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """(V,) occurrences of each word in this corpus, whose vocabulary may be that of another."""
        path = self.path / "word-counts.bin"
        return load_array(path, np.int64) if path.exists() else self.vocabulary.counts

    def shard(self, number: int) -> Shard:
        """Open shard `number`; the first time its values are checked too (a count in runs opens it once a run)."""
        if number in self._checked:
            return open_shard(self.path, number)
        shard = load_shard(self.path, number, self.manifest["vocabulary"]["words"])
        self._checked.add(number)
        return shard

    def info(self) -> dict[str, Any]:
        """Return everything recorded."""
        return self.manifest


def encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Corpus:
    """Encode text files, one document a line, into the directory `output`.

    Files may be compressed (gz, bz2, xz, zst, told by their first bytes); `-` is the standard input. The result does not
    depend on `threads` or `memory`, the budget in bytes or as `512M`. Raises `InputError` naming file and byte for text
    that is missing, empty, binary, truncated or not UTF-8.
    """
    paths = [Path(texts)] if isinstance(texts, str | os.PathLike) else [Path(text) for text in texts]
    blocks = functools.partial(readers.file_blocks, paths)
    names = text_names(paths)
    return _encode(
        blocks,
        names,
        readers.total_bytes(paths),
        Path(output),
        options,
        threads,
        memory,
        progress,
        force=force,
        resume=resume,
    )


def text_names(texts: Sequence[PathLike]) -> list[str]:
    """Return the names of text files as a manifest holds them: what is not UTF-8 in one is written as `\\xNN`."""
    return [os.fsencode(text).decode(errors="backslashreplace") for text in texts]


def encode_documents(
    documents: Iterable[str | Sequence[str]],
    output: PathLike,
    options: EncodeOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is run through once, and may be a generator."""
    blocks = functools.partial(readers.document_blocks, documents)
    return _encode(blocks, ["documents"], None, Path(output), options, threads, memory, progress, force=force, resume=False)


def _encode(
    blocks: Callable[[Callable[[], readers.Block]], Iterator[readers.Block]],
    names: list[str],
    size: int | None,
    output: Path,
    options: EncodeOptions | None,
    threads: int | None,
    memory: str | int | None,
    progress: Progress | None,
    *,
    force: bool,
    resume: bool,
) -> Corpus:
    options, progress, threads = options or EncodeOptions(), progress or Progress(), threads or usable_cores()
    room = _Room.of(memory_budget(memory), threads)
    if options.phrases and options.vocabulary is not None:
        raise UsageError("--phrases makes words and --vocabulary names them; pass one of the two")
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "texts": names}
    with building(output, plan, force=force, resume=resume) as work:
        progress.say(room.plan.line())
        for left in work.glob("*.spool"):  # an interrupted run, with another budget, may have had more of them
            left.unlink()
        with Spool(work) as spool, progress.stage("tokenize", size, "bytes") as stage:
            tables = Tables(work, threads, room.table, room.ranking)
            tokenize(blocks, spool, tables, threads, room.block, stage)
        if spool.tokens == 0:
            raise InputError(f"{', '.join(names)}: no words in it; is it the right file?")
        vocabulary = _rank(tables, options, names)
        text = Text(spool, tables.rows(vocabulary), vocabulary)
        for number in range(options.phrases):
            text = join_phrases(text, work, number, options, room.ranking, progress)
        spool, rows, vocabulary = text.spool, text.rows, text.vocabulary
        vocabulary.save(work)
        counts = None if options.vocabulary is None else np.zeros(len(vocabulary), np.int64)
        with progress.stage("write shards", spool.tokens, "words") as stage:
            shards, checksums = write_shards(work, spool, rows, counts, threads, stage)
        if counts is not None:
            with ArrayWriter(work / "word-counts.bin", np.int64) as file:
                file.append(counts)
        spool.remove()
        tables.remove()
        fields = {
            "tokens": spool.tokens,
            "tokens_in_vocabulary": int((vocabulary.counts if counts is None else counts).sum()),
            "documents": spool.documents,
            "shards": shards,
            "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
            "digest": hashlib.sha256(f"{vocabulary.digest} {spool.tokens} {spool.documents} {checksums}".encode()).hexdigest(),
            "options": options.record(),
            "texts": names,
        }
        write_manifest(work, KIND, VERSION, fields)
    return Corpus(output)


@dataclass(frozen=True)
class _Room:
    """How the budget is used: bytes of a block of text, of a thread's table before it is written out, and of ranking."""

    block: int
    table: int
    ranking: int
    plan: Plan

    @classmethod
    def of(cls, budget: int, threads: int) -> _Room:
        """Share a budget; raises `UsageError` if it cannot hold the least."""
        block = min(readers.BLOCK_BYTES, max(LEAST_BLOCK, budget // 16 // (threads + 2)))
        parts = {"blocks of text": (threads + 2) * 4 * block, "tables of words": threads * GROWTH * LEAST_TABLE}
        plan = Plan("encode", budget, parts)
        plan.check()
        left = budget - parts["blocks of text"]
        return cls(block, max(LEAST_TABLE, left // threads // GROWTH), left, plan)


def _rank(tables: Tables, options: EncodeOptions, names: list[str]) -> Vocabulary:
    """Rank the words of all tables, or take the vocabulary that was asked for."""
    if options.vocabulary is not None:
        return _vocabulary_of(Path(options.vocabulary))
    most_words = None if options.phrases else options.max_vocab  # phrases take their places first
    words = [words for words, _ in tables.all()]
    vocabulary = rank_parts(words, tables.parts, options.min_count, most_words)
    if not len(vocabulary):
        most = rank_parts(words, tables.parts, 1, 1)
        raise InputError(
            f"{', '.join(names)}: no word occurs {options.min_count} times or more (the most frequent, {most.words[0][:40]!r}, "
            f"{most.counts[0]}); lower --min-count"
        )
    return vocabulary


def _vocabulary_of(path: Path) -> Vocabulary:
    """Return the vocabulary of a corpus or of a co-occurrence directory."""
    if not (path / "vocab-text.bin").is_file():
        raise InputError(f"{path}: has no vocabulary; name a corpus or a co-occurrence directory")
    return Vocabulary.load(path)


def write_shards(
    directory: Path,
    spool: Spool,
    rows: list[npt.NDArray[np.int32]],
    counts: npt.NDArray[np.int64] | None,
    threads: int,
    stage: Stage,
) -> tuple[list[list[int]], list[int]]:
    """Run the second pass: renumber the spool into shards, and count the rows in `counts` if it is given.

    Returns tokens and documents of each shard, and checksums of all ids and document ends.
    """
    ids, ends = spool.mapped()
    checksum, shards = 0, list[list[int]]()

    def renumber(piece: tuple[int, int, int]) -> npt.NDArray[np.int32]:
        begin, end, table = piece
        result = np.empty(end - begin, np.int32)
        encoding.renumber(ids[begin:end], rows[table], result)
        return result

    with ThreadPoolExecutor(threads) as pool:
        for first, last in cut_shards(ends, SHARD_TOKENS):
            begin = int(ends[first - 1]) if first else 0
            with ArrayWriter(tokens_path(directory, len(shards)), np.int32) as file:
                for values in in_order(pool, renumber, spool.pieces(begin, int(ends[last - 1])), threads + 2):
                    file.append(values)
                    checksum = zlib.crc32(values.data, checksum)
                    if counts is not None:
                        counts += np.bincount(values + 1, minlength=len(counts) + 1)[1:]
                    stage.advance(len(values))
            with ArrayWriter(documents_path(directory, len(shards)), np.int64) as file:
                file.append(np.zeros(1, np.int64))
                for d in range(first, last, PIECE_DOCUMENTS):
                    file.append(ends[d : min(last, d + PIECE_DOCUMENTS)] - begin)
            shards.append([int(ends[last - 1]) - begin, last - first])
    return shards, [checksum, zlib.crc32(ends.data)]

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
import queue
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine import readers
from cooc_engine._kernels import encoding
from cooc_engine.config import EncodeOptions, usable_cores
from cooc_engine.errors import FormatError, InputError
from cooc_engine.progress import Progress, Stage
from cooc_engine.shards import SHARD_TOKENS, Shard, cut_shards, documents_path, load_shard, tokens_path
from cooc_engine.store import ArrayWriter, building, read_manifest, write_manifest
from cooc_engine.vocab import Vocabulary, WordTable, rank_words

__all__ = ["Corpus", "encode", "encode_documents", "text_names"]

KIND, VERSION = "corpus", 1
PIECE_TOKENS = 1 << 20
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
        self.shards: int = self.manifest["shards"]
        self.digest: str = self.manifest["digest"]

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words and their counts."""
        vocabulary = Vocabulary.load(self.path)
        if vocabulary.digest != self.manifest["vocabulary"]["digest"]:
            raise FormatError(f"{self.path}: the vocabulary is not the one its manifest names; build it again")
        return vocabulary

    def shard(self, number: int) -> Shard:
        """Open and check shard `number`."""
        return load_shard(self.path, number, self.manifest["vocabulary"]["words"])

    def info(self) -> dict[str, Any]:
        """Return everything recorded."""
        return self.manifest


def encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Corpus:
    """Encode text files, one document a line, into the directory `output`.

    Files may be compressed (gz, bz2, xz, zst, told by their first bytes); `-` is the standard input. The result does not
    depend on `threads`. Raises `InputError` naming file and byte for text that is missing, empty, binary, truncated or not
    UTF-8.
    """
    paths = [Path(texts)] if isinstance(texts, str | os.PathLike) else [Path(text) for text in texts]
    blocks = functools.partial(readers.file_blocks, paths)
    names = text_names(paths)
    return _encode(blocks, names, readers.total_bytes(paths), Path(output), options, threads, progress, force=force, resume=resume)


def text_names(texts: Sequence[PathLike]) -> list[str]:
    """Return the names of text files as a manifest holds them: what is not UTF-8 in one is written as `\\xNN`."""
    return [os.fsencode(text).decode(errors="backslashreplace") for text in texts]


def encode_documents(
    documents: Iterable[str | Sequence[str]],
    output: PathLike,
    options: EncodeOptions | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is run through once, and may be a generator."""
    blocks = functools.partial(readers.document_blocks, documents)
    return _encode(blocks, ["documents"], None, Path(output), options, threads, progress, force=force, resume=False)


def _encode(
    blocks: Callable[[Callable[[], readers.Block]], Iterator[readers.Block]],
    names: list[str],
    size: int | None,
    output: Path,
    options: EncodeOptions | None,
    threads: int | None,
    progress: Progress | None,
    *,
    force: bool,
    resume: bool,
) -> Corpus:
    options, progress, threads = options or EncodeOptions(), progress or Progress(), threads or usable_cores()
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "texts": names}
    with building(output, plan, force=force, resume=resume) as work:
        with Spool(work) as spool, progress.stage("tokenize", size, "bytes") as stage:
            tables = tokenize(blocks, spool, threads, stage)
        if spool.tokens == 0:
            raise InputError(f"{', '.join(names)}: no words in it; is it the right file?")
        vocabulary, rows = _rank(tables, options, names)
        vocabulary.save(work)
        with progress.stage("write shards", spool.tokens, "words") as stage:
            shards, checksums = write_shards(work, spool, rows, threads, stage)
        spool.remove()
        fields = {
            "tokens": spool.tokens,
            "tokens_in_vocabulary": int(vocabulary.counts.sum()),
            "documents": spool.documents,
            "shards": shards,
            "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
            "digest": hashlib.sha256(f"{vocabulary.digest} {spool.tokens} {spool.documents} {checksums}".encode()).hexdigest(),
            "options": options.record(),
            "texts": names,
        }
        write_manifest(work, KIND, VERSION, fields)
    return Corpus(output)


def _rank(tables: list[WordTable], options: EncodeOptions, names: list[str]) -> tuple[Vocabulary, list[npt.NDArray[np.int32]]]:
    """Merge the tables and rank the words; returns the rows of each table's ids."""
    merged = tables[0]
    merges = [merged.add(table) for table in tables[1:]]
    vocabulary, rows = rank_words(merged, options.min_count, options.max_vocab)
    if not len(vocabulary):
        most, _ = rank_words(merged, 1, 1)
        raise InputError(
            f"{', '.join(names)}: no word occurs {options.min_count} times or more (the most frequent, {most.words[0][:40]!r}, "
            f"{most.counts[0]}); lower --min-count"
        )
    return vocabulary, [rows, *(rows[merge] for merge in merges)]


class Spool:
    """Provisional ids and document ends of the first pass, in two raw files; which table gave the ids is remembered.

    tokens.spool     int32   ids in the order of the text
    documents.spool  int64   the number of tokens up to the end of each document
    """

    def __init__(self, directory: Path) -> None:
        self.paths = directory / "tokens.spool", directory / "documents.spool"
        self.tokens = self.documents = 0
        self.parts: list[tuple[int, int]] = []  # (end in tokens, table) of each block

    def __enter__(self) -> Spool:
        self._files = [path.open("wb") for path in self.paths]
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for file in self._files:
            with suppress(OSError) if kind else nullcontext():  # after an error a full disk has already been reported
                file.close()

    def append(self, ids: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], table: int) -> None:
        """Add the words of a block and the document ends in it."""
        self._files[0].write(ids.data)
        self._files[1].write((ends + self.tokens).data)
        self.tokens += len(ids)
        self.documents += len(ends)
        self.parts.append((self.tokens, table))

    def mapped(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids and the document ends, mapped."""
        tokens = np.memmap(self.paths[0], np.int32, "r").view(np.ndarray)
        return tokens, np.memmap(self.paths[1], np.int64, "r").view(np.ndarray)

    def pieces(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (from, to, table) of pieces that make up the tokens begin:end, none longer than PIECE_TOKENS."""
        for stop, table in self.parts[int(np.searchsorted([p[0] for p in self.parts], begin, "right")) :]:
            while begin < min(stop, end):
                to = min(stop, end, begin + PIECE_TOKENS)
                yield begin, to, table
                begin = to

    def remove(self) -> None:
        """Delete the files."""
        for path in self.paths:
            path.unlink()


@dataclass
class _Lane:
    """A block on its way: the text and the ids made of it."""

    block: readers.Block
    ids: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    words: int = 0
    table: int = 0


def tokenize(
    blocks: Callable[[Callable[[], readers.Block]], Iterator[readers.Block]], spool: Spool, threads: int, stage: Stage
) -> list[WordTable]:
    """Run the first pass: write provisional ids to the spool; returns a word table for each thread."""
    tables: list[WordTable] = [WordTable() for _ in range(threads)]
    free_tables: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(threads):
        free_tables.put(number)
    half = readers.BLOCK_BYTES // 2 + 1
    lanes = deque(_Lane(readers.Block.empty(), np.empty(half, np.int32), np.empty(0, np.int64)) for _ in range(threads + 2))
    by_block = {id(lane.block): lane for lane in lanes}
    pending: deque[Future[_Lane]] = deque()

    def work(lane: _Lane) -> _Lane:
        lane.table = free_tables.get()
        try:
            _tokenize_block(lane, tables[lane.table])
        finally:
            free_tables.put(lane.table)
        return lane

    def finish() -> None:
        lane = pending.popleft().result()
        spool.append(lane.ids[: lane.words], lane.ends, lane.table)
        stage.advance(lane.block.read)
        lanes.append(lane)

    def take() -> readers.Block:
        if not lanes:
            finish()
        return lanes[0].block

    with ThreadPoolExecutor(threads) as pool:
        for block in blocks(take):
            lanes.popleft()
            pending.append(pool.submit(work, by_block[id(block)]))
        while pending:
            finish()
    return tables


def _tokenize_block(lane: _Lane, table: WordTable) -> None:
    """Fill a lane with the ids of its block, growing the table as often as needed."""
    block = lane.block
    lane.ends = np.empty(np.count_nonzero(block.text[: block.size] == 10), np.int64)
    place = lane.words = documents = 0
    while True:
        why, place, lane.words, documents = encoding.tokenize(
            block.text, place, block.size, table.slots, table.records, table.state, lane.ids, lane.words, lane.ends, documents
        )
        if why == encoding.DONE:
            return
        if why == encoding.BAD_TEXT:
            byte = int(block.text[place])
            fault = "a NUL byte; is it a binary file?" if byte == 0 else f"byte 0x{byte:02x} is not UTF-8"
            raise InputError(f"{block.source}: {fault} (at byte {block.offset + place})")
        table.grow(block.size - place)


def write_shards(
    directory: Path, spool: Spool, rows: list[npt.NDArray[np.int32]], threads: int, stage: Stage
) -> tuple[int, list[int]]:
    """Run the second pass: renumber the spool into shards; returns how many, and checksums of all ids and document ends."""
    ids, ends = spool.mapped()
    checksum = shards = 0

    def renumber(piece: tuple[int, int, int]) -> npt.NDArray[np.int32]:
        begin, end, table = piece
        result = np.empty(end - begin, np.int32)
        encoding.renumber(ids[begin:end], rows[table], result)
        return result

    with ThreadPoolExecutor(threads) as pool:
        for first, last in cut_shards(ends, SHARD_TOKENS):
            begin = int(ends[first - 1]) if first else 0
            with ArrayWriter(tokens_path(directory, shards), np.int32) as file:
                for values in in_order(pool, renumber, spool.pieces(begin, int(ends[last - 1])), threads + 2):
                    file.append(values)
                    checksum = zlib.crc32(values.data, checksum)
                    stage.advance(len(values))
            with ArrayWriter(documents_path(directory, shards), np.int64) as file:
                file.append(np.concatenate([[0], ends[first:last] - begin]))
            shards += 1
    return shards, [checksum, zlib.crc32(ends.data)]


def in_order(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Yield function(item) in order, with at most `ahead` of them under way."""
    pending: deque[Future[Any]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()

"""The first pass over a text: words become provisional ids on the disk, and are counted in tables that stay within a budget.

Blocks are read in order; each worker thread has a hash table of its own. A table that has outgrown its share is written
out and a new one begun. At the end the tables are merged by parts of the words, so that counts are exact in any budget.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine import readers
from cooc_engine._kernels import encoding
from cooc_engine.errors import InputError
from cooc_engine.progress import Stage
from cooc_engine.vocab import Vocabulary, WordTable

__all__ = ["Spool", "Tables", "in_order", "tokenize"]

PIECE_TOKENS = 1 << 20


class Tables:
    """The word tables of the first pass, one a thread at a time; one that has outgrown its share goes to the disk.

    Each has a number, under which the spool remembers whose ids a block has.
    """

    def __init__(self, directory: Path, threads: int, share: int, room: int) -> None:
        self._directory, self._share, self._room = directory, share, room
        self._lock = threading.Lock()
        self._tables: list[WordTable | tuple[Path, int]] = []
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for _ in range(threads):
            self._add()

    def _add(self) -> None:
        with self._lock:
            self._tables.append(WordTable())
            self._free.put(len(self._tables) - 1)

    @contextmanager
    def one(self) -> Iterator[tuple[int, WordTable]]:
        """Lend a table that no other thread has, with its number."""
        number = self._free.get()
        table = self._tables[number]
        assert isinstance(table, WordTable)
        try:
            yield number, table
        except BaseException:
            self._free.put(number)  # the others must not wait for it
            raise
        if table.nbytes > self._share:
            path = self._directory / f"words-{number:05d}.spool"
            table.words.tofile(path)
            self._tables[number] = path, len(table)
            self._add()
        else:
            self._free.put(number)

    def all(self) -> Iterator[tuple[npt.NDArray[np.uint64], int]]:
        """Yield the records and the number of words of every table, in order; those on the disk mapped."""
        for table in self._tables:
            if isinstance(table, WordTable):
                yield table.words, len(table)
            else:
                yield np.memmap(table[0], np.uint64, "r").view(np.ndarray), table[1]

    @property
    def parts(self) -> int:
        """In how many parts the words must be ranked, so that one part fits (a word takes 12 times its record on the way)."""
        return 1 + 12 * sum(words.nbytes for words, _ in self.all()) // self._room

    def rows(self, vocabulary: Vocabulary) -> list[npt.NDArray[np.int32]]:
        """Return, for the ids of each table, their rows in the vocabulary, or -1; on the disk if the table is there."""
        finder, rows = WordTable.of(vocabulary), []
        for number, (words, size) in enumerate(self.all()):
            found = finder.find(words, size)
            if not isinstance(self._tables[number], WordTable):
                path = self._directory / f"rows-{number:05d}.spool"
                found.tofile(path)
                found = np.memmap(path, np.int32, "r").view(np.ndarray)
            rows.append(found)
        return rows

    def remove(self) -> None:
        """Delete the files."""
        for number, table in enumerate(self._tables):
            if not isinstance(table, WordTable):
                table[0].unlink()
                (self._directory / f"rows-{number:05d}.spool").unlink()


class Spool:
    """Provisional ids and document ends of the first pass, in two raw files; which table gave the ids is remembered.

    tokens.spool     int32   ids in the order of the text
    documents.spool  int64   the number of tokens up to the end of each document
    """

    def __init__(self, directory: Path, name: str = "") -> None:
        self.paths = directory / f"{name}tokens.spool", directory / f"{name}documents.spool"
        self.tokens = self.documents = 0
        self.parts: list[tuple[int, int]] = []  # (end in tokens, table) of each block

    def __enter__(self) -> Spool:
        self._files = [path.open("wb") for path in self.paths]
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        tokens, documents = self._files
        with suppress(OSError) if kind else nullcontext(), documents, tokens:  # a full disk is reported once
            pass

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

    @classmethod
    def empty(cls, size: int) -> _Lane:
        """Return a lane for blocks of `size` bytes."""
        return cls(readers.Block.empty(size), np.empty(size // 2 + 1, np.int32), np.empty(0, np.int64))


def tokenize(
    blocks: Callable[[Callable[[], readers.Block]], Iterator[readers.Block]],
    spool: Spool,
    tables: Tables,
    threads: int,
    block_bytes: int,
    stage: Stage,
) -> None:
    """Run the first pass: count the words in the tables, and write provisional ids to the spool."""
    lanes = deque(_Lane.empty(block_bytes) for _ in range(threads + 2))
    by_block = {id(lane.block): lane for lane in lanes}
    pending: deque[Future[_Lane]] = deque()

    def work(lane: _Lane) -> _Lane:
        with tables.one() as (lane.table, table):
            _tokenize_block(lane, table)
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


def _tokenize_block(lane: _Lane, table: WordTable) -> None:
    """Fill a lane with the ids of its block, growing the table as often as needed."""
    block = lane.block
    lane.ends = np.empty(np.count_nonzero(block.text[: block.size] == 10), np.int64)
    place = lane.words = documents = 0
    while True:
        why, place, lane.words, documents = encoding.tokenize(
            block.text,
            place,
            block.size,
            table.slots,
            table.records,
            table.state,
            lane.ids,
            lane.words,
            lane.ends,
            documents,
        )
        if why == encoding.DONE:
            return
        if why == encoding.BAD_TEXT:
            byte = int(block.text[place])
            fault = "a NUL byte; is it a binary file?" if byte == 0 else f"byte 0x{byte:02x} is not UTF-8"
            raise InputError(f"{block.source}: {fault} (at byte {block.offset + place})")
        table.grow(block.size - place)


def in_order(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Yield function(item) in order, with at most `ahead` of them under way."""
    pending: deque[Future[Any]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()

"""The first pass over a text: words become provisional ids on disk and are counted in hash tables within a memory budget.

Blocks are read in order; each worker thread has its own hash table. A table that outgrows its share is written to disk and
a new one started. At the end the tables are merged, one part of the words at a time, so that counts are exact in any budget.
A checkpoint records the progress of the pass, and finally that it is complete: the rest can then be made from the disk alone.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding
from cooc_engine._kernels.encoding import TokenizedText
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import WordTable
from cooc_engine.runtime.progress import Stage
from cooc_engine.storage.outputs import write_whole
from cooc_engine.text import readers

__all__ = ["PassCheckpoint", "Spool", "Spooled", "Tables", "Tally", "tokenize"]

PIECE_TOKENS = 1 << 20
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class PassCheckpoint:
    """The state of the first pass: its output so far for the given texts, at a place in them or, without a place, at the end.

    `texts` are the sizes and times of the files, `blocks` is the number of blocks, `tables` the number of words in each table,
    `name` the prefix of the file names.
    """

    texts: list[tuple[int, int] | None]
    tokens: int
    documents: int
    blocks: int
    tables: list[int]
    place: readers.Place | None
    name: str = ""

    @classmethod
    def load(cls, directory: Path) -> PassCheckpoint | None:
        """Return the checkpoint that `save` wrote, or None."""
        path = directory / "first-pass.json"
        if not path.exists():
            return None
        fields = json.loads(path.read_bytes())
        fields["texts"] = [stamp and tuple(stamp) for stamp in fields["texts"]]
        fields["place"] = fields["place"] and readers.Place(*fields["place"])
        return cls(**fields)

    def save(self, directory: Path) -> None:
        """Write the checkpoint; all the data that it counts must already be on disk."""
        write_whole(directory / "first-pass.json", json.dumps(asdict(self)).encode())


def _write(path: Path, values: npt.NDArray[Any]) -> None:
    with path.open("wb") as file:
        file.write(values.data)


def _mapped(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.memmap(path, dtype, "r").view(np.ndarray) if path.stat().st_size else np.empty(0, dtype)


class Tables:
    """The word tables of the first pass, one per thread at a time; a table that outgrows its share is written to disk.

    Each has a number, by which the spool records which table gave the ids of a block. `written` are the numbers of words of the
    tables that an interrupted pass left on disk.
    """

    def __init__(self, directory: Path, threads: int, share: int, room: int, written: Sequence[int] = ()) -> None:
        self._directory, self._threads, self._share, self._room = directory, threads, share, room
        self._lock = threading.Lock()
        self._tables: list[WordTable | tuple[Path, int]] = [(self._path("words", i), size) for i, size in enumerate(written)]
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for _ in range(threads):
            self._free.put(self._add())

    def _path(self, what: str, number: int) -> Path:
        return self._directory / f"{what}-{number:05d}.spool"

    def _add(self) -> int:
        with self._lock:
            self._tables.append(WordTable())
            return len(self._tables) - 1

    @contextmanager
    def one(self) -> Iterator[tuple[int, WordTable]]:
        """Lend a table that no other thread is using, with its number."""
        number = self._free.get()
        table = self._tables[number]
        assert isinstance(table, WordTable)
        try:
            yield number, table
            if table.nbytes > self._share:
                number = self._write(number, table)
        finally:
            self._free.put(number)  # even after an error, since other threads wait for it

    def _write(self, number: int, table: WordTable) -> int:
        """Write a table to disk; returns the number of the new one that replaces it."""
        path = self._path("words", number)
        _write(path, table.words)
        self._tables[number] = path, len(table)
        return self._add()

    def flush(self) -> list[int]:
        """Write all tables to disk, while no thread is using one; returns their numbers of words."""
        for _ in range(self._threads):
            number = self._free.get()
            table = self._tables[number]
            assert isinstance(table, WordTable)
            self._free.put(self._write(number, table))
        return [size for _, size in self.all()][: -self._threads]

    def all(self) -> Iterator[tuple[npt.NDArray[np.uint64], int]]:
        """Yield the records and the number of words of every table, in order; those on disk are mapped."""
        for table in self._tables:
            if isinstance(table, WordTable):
                yield table.words, len(table)
            else:
                yield _mapped(table[0], np.uint64), table[1]

    @property
    def parts(self) -> int:
        """Number of parts in which the words must be ranked so that one part fits (ranking takes 12 times a word's record)."""
        return 1 + 12 * sum(words.nbytes for words, _ in self.all()) // self._room

    def write_rows(self, vocabulary: Vocabulary) -> list[int]:
        """Write, for the ids of each table, their rows in the vocabulary, or -1; returns the tables' numbers of words."""
        finder = WordTable.of(vocabulary)
        for number, (words, size) in enumerate(self.all()):
            _write(self._path("rows", number), finder.find(words, size))
        return [size for _, size in self.all()]


def _spool_paths(directory: Path, name: str) -> list[Path]:
    return [directory / f"{name}{part}.spool" for part in ("tokens", "documents", "blocks")]


class Tally:
    """Counts the output of the first pass: tokens and documents."""

    def __init__(self) -> None:
        self.tokens = self.documents = self.blocks = 0

    def append(self, ids: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], table: int) -> None:
        """Count the words of a block and the document ends in it."""
        self.tokens += len(ids)
        self.documents += len(ends)
        self.blocks += 1


class Spool(Tally):
    """Writes the output of the first pass to three raw files, from the beginning or continuing from a checkpoint.

    tokens.spool     int32      provisional ids in the order of the text
    documents.spool  int64      the number of tokens up to the end of each document
    blocks.spool     int64 × 2  the number of tokens up to the end of each block, and the table that gave its ids
    """

    def __init__(self, directory: Path, point: PassCheckpoint | None = None, name: str = "") -> None:
        super().__init__()
        self._paths = _spool_paths(directory, name)
        if point:
            self.tokens, self.documents, self.blocks = point.tokens, point.documents, point.blocks

    def __enter__(self) -> Spool:
        self._files = [path.open("r+b" if self.blocks else "wb") for path in self._paths]
        for file, size in zip(self._files, (4 * self.tokens, 8 * self.documents, 16 * self.blocks), strict=True):
            file.truncate(size)
            file.seek(size)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        tokens, documents, blocks = self._files
        with suppress(OSError) if kind else nullcontext(), blocks, documents, tokens:  # a full disk is reported once
            pass

    def append(self, ids: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], table: int) -> None:
        """Write the words of a block and the document ends in it."""
        self._files[0].write(ids.data)
        self._files[1].write((ends + self.tokens).data)
        super().append(ids, ends, table)
        self._files[2].write(np.array([self.tokens, table]).data)

    def flush(self) -> None:
        """Pass all buffered data on to the operating system."""
        for file in self._files:
            file.flush()


class Spooled:
    """The output of a finished first pass: provisional ids and document ends, mapped, and the row of each id.

    ids (tokens,) int32; ends (documents,) int64; rows[t][i] is the row of id i of table t.
    """

    def __init__(self, directory: Path, point: PassCheckpoint) -> None:
        paths = _spool_paths(directory, point.name)
        self.ids, self.ends, blocks = (_mapped(path, kind) for path, kind in zip(paths, "iqq", strict=True))
        self._stops, self._tables = blocks.reshape(-1, 2).T.copy()
        rows = (directory / f"{point.name}rows-{number:05d}.spool" for number in range(len(point.tables)))
        self.rows = [_mapped(path, np.int32) for path in rows]

    def pieces(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (from, to, table) of pieces that make up the tokens begin:end, none longer than PIECE_TOKENS."""
        for block in range(int(np.searchsorted(self._stops, begin, "right")), len(self._stops)):
            while begin < min(int(self._stops[block]), end):
                to = min(int(self._stops[block]), end, begin + PIECE_TOKENS)
                yield begin, to, int(self._tables[block])
                begin = to


@dataclass
class _PieceBuffers:
    """Buffers of one block in progress: its text, and the ids and document ends made from it."""

    block: readers.Block
    ids: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    words: int = 0
    table: int = 0

    @classmethod
    def empty(cls, size: int) -> _PieceBuffers:
        """Return buffers for blocks of `size` bytes."""
        return cls(readers.Block.empty(size), np.empty(size // 2 + 1, np.int32), np.empty(0, np.int64))


class _BlocksUnderWay:
    """Blocks in progress: read, tokenised by threads and spooled in order, in two more buffers than there are threads."""

    def __init__(self, spool: Tally, tables: Tables, stage: Stage, buffers: Iterable[_PieceBuffers]) -> None:
        self._spool, self._tables, self._stage = spool, tables, stage
        self._free = deque(buffers)
        self._by_block = {id(piece.block): piece for piece in self._free}
        self._pending: deque[Future[_PieceBuffers]] = deque()

    def lend(self) -> readers.Block:
        """Return a block to read into; if all are in use, waits until the oldest is spooled."""
        if not self._free:
            self._spool_oldest()
        return self._free[0].block

    def start(self, pool: ThreadPoolExecutor, block: readers.Block) -> None:
        """Start tokenising the block that was lent last."""
        self._free.popleft()
        self._pending.append(pool.submit(self._tokenize, self._by_block[id(block)]))

    def finish(self) -> None:
        """Spool all blocks in progress."""
        while self._pending:
            self._spool_oldest()

    def _tokenize(self, piece: _PieceBuffers) -> _PieceBuffers:
        with self._tables.one() as (piece.table, table):
            _tokenize_block(piece, table)
        return piece

    def _spool_oldest(self) -> None:
        piece = self._pending.popleft().result()
        self._spool.append(piece.ids[: piece.words], piece.ends, piece.table)
        self._stage.advance(piece.block.read)
        self._free.append(piece)


def tokenize(
    blocks: Callable[[Callable[[], readers.Block]], Iterator[readers.Block]],
    spool: Tally,
    tables: Tables,
    threads: int,
    block_bytes: int,
    stage: Stage,
    save: Callable[[readers.Place], None] | None = None,
) -> None:
    """Run the first pass: count the words in the tables, and write provisional ids to the spool.

    `save`, if given, is called every two minutes with the place up to which everything has been spooled.
    """
    under_way = _BlocksUnderWay(spool, tables, stage, (_PieceBuffers.empty(block_bytes) for _ in range(threads + 2)))
    saved = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks(under_way.lend):
            under_way.start(pool, block)
            if save and block.behind and time.monotonic() - saved >= CHECKPOINT_SECONDS:
                place = block.behind
                under_way.finish()
                save(place)
                saved = time.monotonic()
        under_way.finish()


def _tokenize_block(piece: _PieceBuffers, table: WordTable) -> None:
    """Fill the buffers with the ids of the block, growing the table as often as needed."""
    block = piece.block
    piece.ends = np.empty(np.count_nonzero(block.text[: block.size] == 10), np.int64)
    tokens = TokenizedText(piece.ids, piece.ends)
    why, place, sizes = encoding.FULL, 0, (0, 0)
    while why != encoding.DONE:
        why, place, sizes = encoding.tokenize(block.text, place, block.size, table.arrays, tokens, sizes)
        if why == encoding.BAD_TEXT:
            raise readers.bad_byte(block.source, int(block.text[place]), block.offset + place)
        if why == encoding.FULL:
            table.grow(block.size - place)
    piece.words = sizes[0]

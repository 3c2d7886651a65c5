"""The first pass over a text: words become provisional ids on disk and are counted in hash tables within a memory budget.

Blocks are read in order; each worker thread has its own hash table. A table that outgrows its share is written to disk and
a new one started. At the end the tables are merged, one part of the words at a time, so that counts are exact in any budget.
A checkpoint records the progress of the pass, and finally that it is complete: the rest can then be made from the disk alone.
It has a checksum of every file that it counts on, which is compared before a run goes on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding
from cooc_engine._kernels.encoding import TokenizedText
from cooc_engine.corpus.ranking import RANKED, rank_tables, write_rows
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import Words, WordTable
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import WordIds
from cooc_engine.storage.arrays import Bound, torn
from cooc_engine.storage.checksums import crc32, crc32_of
from cooc_engine.storage.outputs import read_record, write_record
from cooc_engine.storage.relations import check_rising, check_within
from cooc_engine.storage.schema import Matches, Natural, Relation
from cooc_engine.text import readers

__all__ = [
    "SPOOLS", "PassCheckpoint", "PassRecord", "Spool", "Spooled", "Tables", "Tally", "checkpoint_of", "table_path",
    "tokenize", "word_ids",
]  # fmt: skip

PIECE_TOKENS = 1 << 20
CHECKPOINT_SECONDS = 120.0


class _Faults(TypedDict, total=False):
    """The key that records of older versions lack."""

    faults: Natural


class PassRecord(_Faults):
    """The record in `first-pass.json`, as FORMAT.md specifies it."""

    texts: list[tuple[Natural, int] | None]
    tokens: Natural
    documents: Natural
    blocks: Natural
    tables: list[Natural]
    place: readers.Place | None
    name: Annotated[str, Matches(r"(phrases-\d\d-|range-\d{5}-[a-z0-9-]+-)?", "the name of a pass")]
    spools: dict[Annotated[str, Matches(r"[a-z0-9-]+\.spool", "the name of a spool")], Bound]
    files: dict[str, Bound]


PLACED = Relation(
    "place", "in one of the texts", lambda record: record["place"] is None or record["place"].file < len(record["texts"])
)
SPOOLS = Relation("spools", "of all three files", lambda record: {*_spool_names(record["name"])} <= record["spools"].keys())


@dataclass(frozen=True)
class PassCheckpoint:
    """The state of the first pass: its output so far, and the place in the texts where it goes on, None once it is complete.

    texts   size and time of each file
    tables  number of words in each table
    name    prefix of the names of the files
    spools  for each raw file, the size of the part that is valid, and the CRC-32 of its bytes
    files   size and checksum of each finished array file, as a manifest records them
    faults  number of characters that were replaced or skipped, in the files before that of the place
    """

    texts: list[tuple[int, int] | None]
    tokens: int
    documents: int
    blocks: int
    tables: list[int]
    place: readers.Place | None
    name: str = ""
    spools: Mapping[str, Bound] = field(default_factory=dict)
    files: Mapping[str, Bound] = field(default_factory=dict)
    faults: int = 0

    @classmethod
    def load(cls, directory: Path) -> PassCheckpoint | None:
        """Return the checkpoint that `save` wrote, or None; raises `FormatError` if it is damaged."""
        path = directory / "first-pass.json"
        if not path.exists():
            return None
        return cls.of(read_record(path, PassRecord, PLACED, SPOOLS))

    @classmethod
    def of(cls, found: PassRecord) -> PassCheckpoint:
        """Return the checkpoint of a record."""
        return cls(**{key: value for key, value in found.items() if key in cls.__dataclass_fields__})  # type: ignore[arg-type]

    @property
    def complete(self) -> bool:
        """Whether the rest can be made from the disk alone."""
        return self.place is None

    @property
    def passes(self) -> list[PassCheckpoint]:
        """The passes that make up the text, as `RangesCheckpoint` has several: this one alone."""
        return [self]

    def save(self, directory: Path) -> None:
        """Write the checkpoint; all the data that it counts must already be on disk."""
        write_record(directory / "first-pass.json", asdict(self))

    def verify(self, directory: Path) -> None:
        """Raise `FormatError` if a spool is not what it was when the checkpoint was saved."""
        for name, bound in self.spools.items():
            path = directory / name
            if not path.is_file() or crc32_of(path, bound.bytes) != bound.crc:
                raise torn(path)


def _mapped(path: Path, dtype: npt.DTypeLike, size: int | None = None) -> npt.NDArray[Any]:
    """Map a raw file of values; raises `FormatError` if it is missing, or does not hold `size` values."""
    kind, found = np.dtype(dtype), path.stat().st_size if path.exists() else -1
    if found % kind.itemsize or (size is not None and found != size * kind.itemsize):
        raise torn(path)
    return np.memmap(path, kind, "r").view(np.ndarray) if found else np.empty(0, kind)


class Tables:
    """The word tables of the first pass, one per thread at a time; a table that outgrows its share is written to disk.

    Tables are numbered, and the spool records the number of the table that gave the ids of each block. Tables that an
    interrupted pass left on disk, with a checkpoint, are kept. `bounds` has size and checksum of every file written: of the
    tables, and at the end of the rows.
    """

    def __init__(
        self, directory: Path, threads: int, share: int, room: int, point: PassCheckpoint | None = None, name: str = ""
    ) -> None:
        self._directory, self._threads, self._share, self._room, self._name = directory, threads, share, room, name
        self._lock = threading.Lock()
        kept = [(self._path("words", number), size) for number, size in enumerate(point.tables if point else ())]
        self.bounds = dict(point.spools) if point else {}
        for path, size in kept:
            Words.stored(path, size)
        self._tables: list[WordTable | tuple[Path, int]] = [*kept]
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for _ in range(threads):
            self._free.put(self._add())

    def _path(self, what: str, number: int) -> Path:
        return table_path(self._directory, self._name, what, number)

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
        Words(table.words).save(path)
        self.bounds[path.name] = Bound.of(path)
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

    def all(self) -> Iterator[tuple[Words, int]]:
        """Yield the words of every table, and their number, in order; those on disk are mapped."""
        for table in self._tables:
            if isinstance(table, WordTable):
                yield Words(table.words), len(table)
            else:
                yield Words.stored(table[0]), table[1]

    def rank(self, min_count: int, max_vocab: int | None) -> Vocabulary:
        """Write the vocabulary of all tables, as `rank_tables` does, in so many parts that one fits into its memory."""
        parts = 1 + RANKED * sum(words.records.nbytes for words, _ in self.all()) // self._room
        if parts > 1:
            self.flush()
        return rank_tables([words for words, _ in self.all()], self._directory, parts, min_count, max_vocab)

    def write_rows(self, vocabulary: Vocabulary) -> list[int]:
        """Write the row in the vocabulary, or -1, of every id of every table; returns the tables' numbers of words."""
        tables = [(words, size, self._path("rows", number)) for number, (words, size) in enumerate(self.all())]
        write_rows(vocabulary, tables, self._room)
        self.bounds = {path.name: Bound.of(path) for _, _, path in tables}
        return [size for _, size, _ in tables]


def table_path(directory: Path, name: str, what: str, number: int) -> Path:
    """Return the path of the file of a table's `words`, or of their `rows`, in the pass with this name."""
    return directory / f"{name}{what}-{number:05d}.spool"


def _spool_names(name: str) -> list[str]:
    return [f"{name}{part}.spool" for part in ("tokens", "documents", "blocks")]


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
        self._paths = [directory / file for file in _spool_names(name)]
        self._crcs = [0, 0, 0]
        if point:
            self.tokens, self.documents, self.blocks = point.tokens, point.documents, point.blocks
            self._crcs = [point.spools[path.name].crc for path in self._paths]

    @property
    def bounds(self) -> dict[str, Bound]:
        """Size and checksum of each file."""
        sizes = 4 * self.tokens, 8 * self.documents, 16 * self.blocks
        return {path.name: Bound(*made) for path, *made in zip(self._paths, sizes, self._crcs, strict=True)}

    def __enter__(self) -> Spool:
        sizes = [bound.bytes for bound in self.bounds.values()]
        for path, size in zip(self._paths, sizes, strict=True):
            if size and not (path.exists() and path.stat().st_size >= size):
                raise torn(path)
        self._files = [path.open("r+b" if self.blocks else "wb") for path in self._paths]
        for file, size in zip(self._files, sizes, strict=True):
            file.truncate(size)
            file.seek(size)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        tokens, documents, blocks = self._files
        with suppress(OSError) if kind else nullcontext(), blocks, documents, tokens:  # a full disk is reported once
            pass

    def append(self, ids: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], table: int) -> None:
        """Write the words of a block and the document ends in it."""
        self._write(0, ids)
        self._write(1, ends + self.tokens)
        super().append(ids, ends, table)
        self._write(2, np.array([self.tokens, table]))

    def _write(self, number: int, values: npt.NDArray[Any]) -> None:
        self._files[number].write(values.data)
        self._crcs[number] = crc32(values.data, self._crcs[number])

    def flush(self) -> None:
        """Pass all buffered data on to the operating system."""
        for file in self._files:
            file.flush()


def checkpoint_of(
    texts: list[tuple[int, int] | None],
    spool: Spool,
    tables: Tables,
    sizes: list[int],
    place: readers.Place | None = None,
    *,
    name: str = "",
    faults: int = 0,
) -> PassCheckpoint:
    """Return the checkpoint of a pass that has written a spool and tables with these numbers of words."""
    bounds = {**tables.bounds, **spool.bounds}
    return PassCheckpoint(texts, spool.tokens, spool.documents, spool.blocks, sizes, place, name, bounds, faults=faults)


class Spooled:
    """The output of a finished first pass: provisional ids and document ends, mapped, and the row of each id.

    ids (tokens,) int32; ends (documents,) int64. Raises `FormatError` if a file is not the one in the checkpoint; and, if
    `words`, the size of the vocabulary, is given, if any number in the files is out of range.
    """

    def __init__(self, directory: Path, point: PassCheckpoint, words: int | None = None) -> None:
        paths = [directory / file for file in _spool_names(point.name)]
        sizes = point.tokens, point.documents, 2 * point.blocks
        self._path = paths[0]
        self._ids, self.ends, blocks = (_mapped(*file) for file in zip(paths, "iqq", sizes, strict=True))
        self._stops, self._tables = blocks.reshape(-1, 2).T.copy()
        files = [table_path(directory, point.name, "rows", number) for number in range(len(point.tables))]
        self._rows = [_mapped(path, np.int32, size) for path, size in zip(files, point.tables, strict=True)]
        if words is None:
            return
        for path, ends in ((paths[1], self.ends), (paths[2], self._stops)):
            check_rising(ends, point.tokens, f"{path}")
        check_within(self._tables, 0, len(point.tables), f"{paths[2]}")
        for path, rows in zip(files, self._rows, strict=True):
            check_within(rows, -1, words, f"{path}")

    @property
    def tokens(self) -> int:
        """Number of words."""
        return len(self._ids)

    def rows(self, begin: int, end: int, table: int) -> WordIds:
        """Return the rows in the vocabulary, or -1, of the ids begin:end, which are those of a table."""
        ids, known = self._ids[begin:end], self._rows[table]
        check_within(ids, -1, len(known), f"{self._path}")  # a negative id is counted from the end of the table
        found = np.empty(len(ids), np.int32)
        encoding.renumber(ids, known, found)
        return found

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
    piece.ends = np.empty(np.count_nonzero(piece.block.text[: piece.block.size] == 10), np.int64)
    piece.words = word_ids(piece.block, table, TokenizedText(piece.ids, piece.ends))


def word_ids(block: readers.Block, table: WordTable, tokens: TokenizedText, advice: str = readers.PLAIN.advice) -> int:
    """Fill buffers with the ids of the words of a block, growing the table as often as needed; return the number of words.

    Raises `InputError`, naming source and byte, for bytes that are not UTF-8; `advice` ends the message.
    """
    why, place, sizes = encoding.FULL, 0, (0, 0)
    while why != encoding.DONE:
        why, place, sizes = encoding.tokenize(block.text, place, block.size, table.arrays, tokens, sizes)
        if why == encoding.BAD_TEXT:
            raise readers.bad_byte(block.source, int(block.text[place]), block.offset + place, advice)
        if why == encoding.FULL:
            table.grow(block.size - place)
    words: int = sizes[0]
    return words

"""A co-occurrence directory: memory-mapped, sorted CSR in row blocks. Planning the blocks and finishing a directory."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine._kernels import counting
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.row_writer import RowFiles
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.runtime.budget import memory_budget
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.options import recorded_options
from cooc_engine.runtime.threads import cut_by_cost
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.arrays import ArrayWriter, load_array, open_array
from cooc_engine.storage.outputs import read_manifest, write_manifest

__all__ = ["Block", "Cooc", "clean", "finish_blocks", "plan_blocks"]

KIND, VERSION = "cooc", 1
BLOCK_ENTRIES = 1 << 25  # maximum number of entries in a row block
READ_ENTRIES = 1 << 20  # maximum number of entries read at a time, unless a single row has more


@dataclass(frozen=True)
class Block:
    """Rows first:last of the matrix, in separate files; `wide` values take 8 bytes instead of 4."""

    number: int
    first: int
    last: int
    wide: bool

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """Type of the values on disk."""
        return np.uint64 if self.wide else np.uint32

    def files(self, directory: Path) -> RowFiles:
        """Return the block's files."""
        return RowFiles(directory, f"{self.number:05d}")

    def path(self, directory: Path, part: str) -> Path:
        """Return the block's file of `columns`, `values`, or (while counting) `rows`."""
        return self.files(directory).path(part)


def plan_blocks(bounds: npt.NDArray[np.int64], sums: Sequence[int] | npt.NDArray[Any]) -> list[Block]:
    """Cut rows into blocks of at most BLOCK_ENTRIES entries; bounds[r] bounds the entries of row r, sums[r] its sum."""
    ranges = cut_by_cost(bounds, BLOCK_ENTRIES)
    return [Block(i, a, b, bool(max(sums[a:b]) >= 2**32)) for i, (a, b) in enumerate(ranges)]


def index_type(entries: int, columns: int) -> np.dtype[Any]:
    """Return the type that SciPy needs for the indices of a matrix of this size."""
    return np.dtype(np.int64 if max(entries, columns) >= 2**31 else np.int32)


class Cooc:
    """A co-occurrence directory, opened lazily: a V × columns matrix of exact counts in row blocks.

    Raises `InputError` if there is no such directory at `path`, `FormatError` if it is damaged or of another version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path, KIND, VERSION)
        self.entries: int = self.manifest["entries"]
        self.denominator: int = self.manifest["denominator"]
        self.columns: int = self.manifest["columns"]
        self.options = recorded_options(CountOptions, self.manifest["options"], self.path, done="counted", redo="count")
        self.blocks = [Block(i, *block) for i, block in enumerate(self.manifest["blocks"])]
        self._checked: set[int] = set()

    @classmethod
    def of(cls, source: PathLike | Cooc) -> Cooc:
        """Return an open directory unchanged, or open the one at a path."""
        return source if isinstance(source, Cooc) else cls(source)

    @property
    def positional(self) -> bool:
        """Whether contexts are pairs of word and relative position, so that there are more columns than words."""
        return self.columns != len(self.vocabulary)

    def refuse_empty(self) -> None:
        """Raise `InputError` if there is not a single entry to train on."""
        if self.entries == 0:
            raise InputError(f"{self.path}: holds no co-occurrences; every document has a single word")

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of rows and columns."""
        return Vocabulary.load(self.path, self.manifest["vocabulary"]["digest"])

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest: equal for counts of the same corpus with the same options."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(V + 1,) int64: row r has entries row_offsets[r]:row_offsets[r + 1] of the whole matrix."""
        return load_array(self.path / "row-offsets.bin", np.int64)

    @functools.cached_property
    def row_integers(self) -> npt.NDArray[np.int64]:
        """(V,) int64: sum of each row, in units of 1 / `denominator`."""
        return load_array(self.path / "row-sums.bin", np.int64)

    @functools.cached_property
    def row_sums(self) -> npt.NDArray[np.float64]:
        """(V,) float64: sum of each row, in co-occurrences."""
        return self.row_integers / self.denominator

    @functools.cached_property
    def column_integers(self) -> npt.NDArray[np.int64]:
        """(columns,) int64: sum of each column, in units of 1 / `denominator`."""
        return load_array(self.path / "column-sums.bin", np.int64)

    @functools.cached_property
    def column_sums(self) -> npt.NDArray[np.float64]:
        """(columns,) float64: sum of each column, in co-occurrences."""
        return self.column_integers / self.denominator

    @functools.cached_property
    def diagonal(self) -> npt.NDArray[np.int64]:
        """(V,) int64: how often each word is a context of itself, in units of 1 / `denominator`."""
        found = np.zeros(len(self.vocabulary), np.int64)
        for block in self.blocks:
            starts = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            counting.find_diagonal(starts, *self.block_integers(block), block.first, found[block.first : block.last])
        return found

    def block_integers(self, block: Block) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """Return columns and integer values of a block, mapped; divide the values by `denominator` to get counts.

        On first use they are compared with their checksums and validated.
        """
        opened = open_array if block.number in self._checked else load_array
        columns = opened(block.path(self.path, "columns"), np.int32)
        values = opened(block.path(self.path, "values"), block.dtype)
        if block.number in self._checked:
            return columns, values
        entries = int(self.row_offsets[block.last] - self.row_offsets[block.first])
        if len(columns) != entries or len(values) != entries:
            raise FormatError(
                f"{block.path(self.path, 'columns')}: {len(columns)} entries where the rows have {entries}; count again"
            )
        if entries and (int(columns.min()) < 0 or int(columns.max()) >= self.columns):
            raise FormatError(f"{block.path(self.path, 'columns')}: a column is outside the vocabulary; count again")
        self._checked.add(block.number)
        return columns, values

    def row(self, row: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return columns and counts of one row, without reading the others."""
        block = next(block for block in self.blocks if block.first <= row < block.last)
        columns, values = (open_array(block.path(self.path, p), t) for p, t in (("columns", np.int32), ("values", block.dtype)))
        begin, end = self.row_offsets[row : row + 2] - self.row_offsets[block.first]
        return columns[begin:end], values[begin:end] / self.denominator

    def csr(self, block: Block | None = None, *, memory: str | int | None = None) -> scipy.sparse.csr_array:
        """Return the whole matrix, or one block of rows, as a (rows, columns) float64 CSR matrix in memory.

        Raises `UsageError` if the whole matrix takes more than `memory` (by default half of the machine's memory).
        """
        first, last = (0, len(self.row_offsets) - 1) if block is None else (block.first, block.last)
        starts = self.row_offsets[first : last + 1] - self.row_offsets[first]
        entries = int(starts[-1])
        kind = index_type(entries, self.columns)
        size = entries * (8 + kind.itemsize) + starts.nbytes
        if block is None and size > (budget := memory_budget(memory)):
            raise UsageError(
                f"{self.path}: {entries:,} entries take {show_size(size)} as one matrix, more than {show_size(budget)}; "
                f"pass more memory or iterate over row_blocks()"
            )
        indices, data = np.empty(entries, kind), np.empty(entries)
        at = 0
        for part in self.blocks if block is None else [block]:
            columns, values = self.block_integers(part)
            indices[at : at + len(columns)] = columns
            np.divide(values, self.denominator, out=data[at : at + len(columns)])
            at += len(columns)
        return scipy.sparse.csr_array((data, indices, starts.astype(kind)), (last - first, self.columns))

    def row_blocks(self, entries: int = READ_ENTRIES) -> Iterator[tuple[int, scipy.sparse.csr_array]]:
        """Yield (first row, CSR matrix) of consecutive rows, with at most `entries` entries each or one longer row."""
        for block in self.blocks:
            columns, values = self.block_integers(block)
            offsets = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            for first, last in cut_by_cost(np.diff(offsets), entries):
                part, starts = slice(*offsets[[first, last]]), offsets[first : last + 1] - offsets[first]
                data, indices = values[part] / self.denominator, columns[part].copy()
                yield block.first + first, scipy.sparse.csr_array((data, indices, starts), (last - first, self.columns))

    def rows(self) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.float64]]]:
        """Yield (row, columns, counts) for every row, from disk; convenient, but slow."""
        for block in self.blocks:
            columns, values = self.block_integers(block)
            starts = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            for row, (a, b) in enumerate(itertools.pairwise(starts), block.first):
                yield row, columns[a:b], values[a:b] / self.denominator

    def info(self) -> dict[str, Any]:
        """Return everything recorded."""
        return self.manifest


def finish_blocks(work: Path, blocks: list[Block], vocabulary: Vocabulary, fields: dict[str, Any]) -> None:
    """Write the vocabulary, join the blocks' row lengths and sums, sum the columns, and write the manifest."""
    vocabulary.save(work)
    halves = [np.split(load_array(block.path(work, "rows"), np.int64), [block.last - block.first + 1]) for block in blocks]
    lengths, row_sums = np.concatenate([np.diff(half[0]) for half in halves]), np.concatenate([half[1] for half in halves])
    columns = fields["columns"]
    column_sums = row_sums
    if fields["options"]["context_side"] != "both" or columns != len(vocabulary):
        column_sums = np.zeros(columns, np.int64)
        for block in blocks:
            parts = (
                load_array(block.path(work, "columns"), np.int32),
                load_array(block.path(work, "values"), block.dtype),
            )
            counting.add_columns(*parts, column_sums)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    for name, numbers in (("row-offsets", offsets), ("row-sums", row_sums), ("column-sums", column_sums)):
        with ArrayWriter(work / f"{name}.bin", np.int64) as file:
            file.append(numbers)
    whole = {
        "entries": int(offsets[-1]),
        "total": sum(row_sums.tolist()),  # each row fits into 64 bits, but their sum may not
        "blocks": [[block.first, block.last, block.wide] for block in blocks],
        "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
        **fields,
    }
    write_manifest(work, KIND, VERSION, whole)
    clean(work)


def clean(work: Path) -> None:
    """Delete the files that are not part of a finished directory: the row files and the runs."""
    for path in (*work.glob("rows-*.bin"), *work.glob("*-run-*.bin"), work / "runs.json"):
        path.unlink(missing_ok=True)

"""Co-occurrence directories: memory-mapped, sorted CSR in row blocks; planning the blocks, and finishing a directory."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import counting
from cooc_engine.corpus.options import RecordedOptions
from cooc_engine.corpus.vocabulary import OF_COLUMNS, VOCABULARY_FILES, Vocabulary, VocabularyRecord
from cooc_engine.counts.options import PAIRS, CountOptions
from cooc_engine.counts.row_writer import RowFiles
from cooc_engine.errors import FormatError, InputError, UnknownWordError, UsageError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import memory_budget
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.options import recorded_options
from cooc_engine.runtime.threads import cut_by_cost
from cooc_engine.runtime.types import Counts, PathLike
from cooc_engine.storage.arrays import BINDS, ArrayFiles, ArrayWriter, BoundFiles, bound_files
from cooc_engine.storage.opened import OpenedDirectory
from cooc_engine.storage.outputs import read_manifest, write_manifest
from cooc_engine.storage.relations import check_offsets, check_sum, check_within
from cooc_engine.storage.schema import Digest, Natural, Positive, Relation, Total

if TYPE_CHECKING:
    import scipy.sparse

__all__ = [
    "BLOCK_ENTRIES", "KIND", "MEMBERS", "READ", "RECTANGULAR", "RELATIONS", "VERSION", "Block", "Cooc", "CoocManifest", "clean",
    "finish_blocks", "plan_blocks",
]  # fmt: skip

KIND, VERSION, RECTANGULAR = "cooc", 2, 3  # the last if columns have names of their own
READ = (1, VERSION, RECTANGULAR)
MEMBERS = (
    "columns-*.bin", "values-*.bin", "rows-*.bin", "row-offsets.bin", "row-sums.bin", "column-sums.bin", "vocab-*.bin",
    f"{OF_COLUMNS}vocab-*.bin", "runs.json",
)  # fmt: skip
BLOCK_ENTRIES = 1 << 25  # maximum number of entries in a row block
READ_ENTRIES = 1 << 20  # maximum number of entries read at a time, unless a single row has more


class Counted(TypedDict):
    """The record of the counted corpus in a manifest; counts of other programs have no options."""

    digest: Digest
    options: dict[str, Any]


class _NamedColumns(BoundFiles, total=False):
    """The key of a manifest whose columns have names of their own."""

    column_vocabulary: VocabularyRecord


class CoocManifest(_NamedColumns):
    """The manifest of a co-occurrence directory, as FORMAT.md specifies it."""

    version: Natural
    entries: Natural
    total: Total
    columns: Natural
    slots: Positive
    tokens: Total
    denominator: Positive
    blocks: list[tuple[Natural, Natural, bool]]
    vocabulary: VocabularyRecord
    corpus: Counted
    options: dict[str, Any]


def _are_consecutive(manifest: CoocManifest) -> bool:
    """Tell whether the blocks hold all rows, one after another."""
    firsts, lasts, _ = zip(*manifest["blocks"], strict=True) if manifest["blocks"] else ((0,), (0,), ())
    return (*firsts, manifest["vocabulary"]["words"]) == (0, *lasts) and all(a < b for a, b in zip(firsts, lasts, strict=True))


def _width(manifest: CoocManifest) -> int:
    """Return the number of columns that the vocabularies imply."""
    named = manifest.get("column_vocabulary", manifest["vocabulary"])
    return named["words"] * manifest["slots"]


RELATIONS = (
    BINDS,
    Relation(
        "version", "3 if and only if there is a column_vocabulary", lambda m: ("column_vocabulary" in m) == (m["version"] == 3)
    ),
    Relation("columns", "the words times the slots", lambda m: m["columns"] == _width(m)),
    Relation("columns", "at most 2^31 - 1", lambda m: m["columns"] < 2**31),
    Relation("blocks", "all rows, one block after another", _are_consecutive),
    Relation(
        "entries", "at most the rows times the columns", lambda m: m["entries"] <= m["vocabulary"]["words"] * m["columns"]
    ),
)


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
        return RowFiles(directory, f"{self.number:05d}", (self.first, self.last))

    @property
    def kinds(self) -> dict[str, npt.DTypeLike]:
        """The names of its files, columns first, with the types of their values."""
        return {f"columns-{self.number:05d}.bin": np.int32, f"values-{self.number:05d}.bin": self.dtype}

    def open(self, files: ArrayFiles) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """Return its columns and values, mapped; they are not verified."""
        columns, values = (files.open(name, kind) for name, kind in self.kinds.items())
        return columns, values


def plan_blocks(bounds: npt.NDArray[np.int64], sums: Sequence[int] | npt.NDArray[Any]) -> list[Block]:
    """Cut rows into blocks of at most BLOCK_ENTRIES entries; bounds[r] bounds the entries of row r, sums[r] its sum."""
    ranges = cut_by_cost(bounds, BLOCK_ENTRIES)
    return [Block(i, a, b, bool(max(sums[a:b]) >= 2**32)) for i, (a, b) in enumerate(ranges)]


def index_type(entries: int, columns: int) -> np.dtype[Any]:
    """Return the type that SciPy needs for the indices of a matrix of this size."""
    return np.dtype(np.int64 if max(entries, columns) >= 2**31 else np.int32)


class Cooc(OpenedDirectory):
    """A co-occurrence directory, opened lazily: a V × columns matrix of exact counts in row blocks.

    Rows are words of the `vocabulary`, and so are columns, unless the counts are positional, or `rectangular`: then columns
    have names of their own, the `column_vocabulary`.

    >>> round(cooc["river", "water"], 2), cooc["river", "tea"]
    (3.33, 0.0)
    >>> cooc.csr().shape == (len(cooc.vocabulary), len(cooc.vocabulary))
    True

    `cooc[word, context]` is the count of a pair. The directory is accepted in place of its path, and pickled as it.

    Raises `InputError` if there is no such directory at `path`, `FormatError` if it is damaged or of another version.
    """

    @gated
    def __init__(self, path: PathLike) -> None:
        super().__init__(path)
        self.manifest = read_manifest(self.path, KIND, READ, CoocManifest, *RELATIONS)
        self.entries = self.manifest["entries"]
        self.denominator = self.manifest["denominator"]
        self.columns = self.manifest["columns"]
        self.options = recorded_options(CountOptions, self.manifest["options"], self.path, done="counted", redo="count")
        encoded = self.manifest["corpus"]["options"]  # none if another program counted it
        self.encoding = recorded_options(RecordedOptions, encoded, self.path, done="encoded", redo="encode")
        if (self.denominator, self.manifest["slots"]) != (self.options.denominator, self.options.slots):
            raise FormatError(f"{self.path}: its denominator or slots are not those of its options; count again")
        if self.rectangular and self.options != PAIRS:
            raise FormatError(f"{self.path}: its options are not those of counts whose columns have names; count again")
        self.blocks = [Block(i, *block) for i, block in enumerate(self.manifest["blocks"])]
        self.files = ArrayFiles(self.path, self.manifest.get("files"))
        self._size = self.manifest["vocabulary"]["words"]
        self._checked: set[int] = set()

    @classmethod
    def unchanged(cls, path: PathLike, digest: str) -> Cooc:
        """Open counts on which a model is being trained; raises `FormatError` if they no longer have this `digest`."""
        opened = cls(path)
        if opened.digest != digest:
            raise FormatError(f"{path}: changed while a model was trained on it; train again with --force")
        return opened

    def facts(self) -> dict[str, str]:
        """Return the numbers of the counts, their density and options, and their path."""
        density = self.entries / max(1, self._size * self.columns)
        how = f"{self.options.window}, {self.options.window_weight}, {self.options.context_side}"
        columns = {"columns": f"{self.columns:,}"} if self.rectangular else {"window": how}
        density_of = {"entries": f"{self.entries:,}", "density": f"{density:.3%}"}
        return {"words": f"{self._size:,}", **density_of, **columns, "path": str(self.path)}

    def __getitem__(self, pair: tuple[str, str]) -> float:
        """Return how often a context word occurs near a word, 0 for never; positional counts are summed over the positions.

        Raises `UnknownWordError` for a word outside the vocabulary.
        """
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(word, str) for word in pair):
            raise UsageError(f"counts are of pairs, a word and its context, such as cooc['river', 'water'], not {pair!r}")
        row, context = self._row_of(pair[0]), self._row_of(pair[1], self.column_vocabulary)
        columns, counts = self.row(row)
        slots = self.manifest["slots"]
        begin, end = np.searchsorted(columns, [context * slots, (context + 1) * slots])
        return float(counts[begin:end].sum())

    def _row_of(self, word: str, vocabulary: Vocabulary | None = None) -> int:
        row = (vocabulary or self.vocabulary).find(word)
        if row < 0:
            raise UnknownWordError(f"{self.path}: {word!r} is not in the vocabulary")
        return row

    @gated
    def to_frame(self, word: str | None = None, *, memory: str | int | None = None) -> Any:
        """Return a pandas `DataFrame` with the columns word, context and count: a row for each entry, of one `word` or of all.

        Positional counts also have the column `distance`. Raises `UsageError` if pandas is missing, and as `csr` does.
        """
        require("a frame", "frames", "pandas")
        import pandas as pd

        if word is None:
            matrix = self.csr(memory=memory).tocoo()
            rows, columns, counts = matrix.row, matrix.col, matrix.data
        else:
            row = self._row_of(word)
            columns, counts = self.row(row)
            rows = np.full(len(columns), row)
        words, contexts = (np.array(names.words, object) for names in (self.vocabulary, self.column_vocabulary))
        slots = self.manifest["slots"]
        frame = {"word": words[rows], "context": contexts[columns // slots]}
        if self.positional:
            frame["distance"] = np.array(self.options.distances)[columns % slots]
        return pd.DataFrame({**frame, "count": counts})

    @gated
    def to_anndata(self, *, memory: str | int | None = None) -> Any:
        """Return an `AnnData` of the counts as CSR: observations are words; variables are contexts, with distances if any.

        `obs` has the counts of the words, and `var` those of columns that have names of their own. Raises `UsageError` if
        anndata is missing, and as `csr` does.
        """
        require("AnnData", "anndata", "anndata")
        import pandas as pd
        from anndata import AnnData
        from scipy.sparse import csr_matrix

        words, matrix = self.vocabulary.words, csr_matrix(self.csr(memory=memory))
        obs = pd.DataFrame({"count": self.vocabulary.counts}, index=pd.Index(words, name="word"))
        contexts = self.column_vocabulary.words
        names = [f"{word}{at:+d}" for word in words for at in self.options.distances] if self.positional else contexts
        counts = {"count": self.column_vocabulary.counts} if self.rectangular else {}
        return AnnData(X=matrix, obs=obs, var=pd.DataFrame(counts, index=pd.Index(names, name="context")))

    @property
    def positional(self) -> bool:
        """Whether contexts are pairs of word and relative position, so that there are more columns than words."""
        return self.manifest["slots"] != 1

    @property
    def rectangular(self) -> bool:
        """Whether columns have names of their own, so that rows and columns are different things, such as users and items."""
        return "column_vocabulary" in self.manifest

    def refuse_rectangular(self, what: str) -> None:
        """Raise `UsageError`, with the advice `what`, if columns have names of their own."""
        if self.rectangular:
            raise UsageError(f"{self.path}: its columns are not its words; {what}")

    def refuse_empty(self) -> None:
        """Raise `InputError` if there is not a single entry to train on."""
        if self.entries == 0:
            why = "every count is 0" if self.rectangular else "every document has a single word"
            raise InputError(f"{self.path}: holds no co-occurrences; {why}")

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of rows, and of columns unless these have names of their own."""
        return Vocabulary.load(self.files, self.manifest["vocabulary"])

    @functools.cached_property
    def column_vocabulary(self) -> Vocabulary:
        """The words of columns: those of rows, unless they have names of their own."""
        record = self.manifest.get("column_vocabulary")
        return Vocabulary.load(self.files, record, OF_COLUMNS) if record else self.vocabulary

    @property
    def column_names(self) -> Vocabulary | None:
        """The words of columns, if these have names of their own."""
        return self.column_vocabulary if self.rectangular else None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest: equal for counts of the same corpus with the same options."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(V + 1,) int64: row r has entries row_offsets[r]:row_offsets[r + 1] of the whole matrix."""
        offsets = self.files.load("row-offsets.bin", np.int64, self._size + 1)
        check_offsets(offsets, self.entries, f"{self.path / 'row-offsets.bin'}", self.columns)
        return offsets

    @functools.cached_property
    def row_integers(self) -> npt.NDArray[np.int64]:
        """(V,) int64: sum of each row, in units of 1 / `denominator`."""
        return self._sums("row-sums.bin", self._size)

    @functools.cached_property
    def row_sums(self) -> npt.NDArray[np.float64]:
        """(V,) float64: sum of each row, in co-occurrences."""
        return self.row_integers / self.denominator

    @functools.cached_property
    def column_integers(self) -> npt.NDArray[np.int64]:
        """(columns,) int64: sum of each column, in units of 1 / `denominator`."""
        return self._sums("column-sums.bin", self.columns)

    def _sums(self, name: str, size: int) -> npt.NDArray[np.int64]:
        sums = self.files.load(name, np.int64, size)
        check_sum(sums, self.manifest["total"], f"{self.path / name}")
        return sums

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
        if not self._checked and self.files.bound is None:
            self._check_columns()
        if block.number not in self._checked:
            self._check_block(block)
        return block.open(self.files)

    def note_verified(self, first: int, last: int) -> None:
        """Note that a worker has compared blocks first:last with their checksums, so that they are not verified again."""
        self._checked.update(range(first, last))

    def _check_block(self, block: Block) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """Return columns and values of a block, once their checksums and the offsets and sums of its rows are verified."""
        offsets = self.row_offsets[block.first : block.last + 1]
        columns, values = (self.files.load(name, kind, int(offsets[-1] - offsets[0])) for name, kind in block.kinds.items())
        sums = self.row_integers[block.first : block.last]
        wrong = counting.first_wrong_row(offsets - offsets[0], columns, values, self.columns, sums)
        if wrong >= 0:
            name = self.path / next(iter(block.kinds))
            raise FormatError(f"{name}: row {block.first + wrong} does not fit the sums of the rows; count again")
        self._checked.add(block.number)
        return columns, values

    def _check_columns(self) -> None:
        """Compare all entries of a directory of version 1, whose manifest lacks their checksums, with the sums of columns."""
        sums = np.zeros(self.columns, np.int64)
        for block in self.blocks:
            counting.add_columns(*self._check_block(block), sums)
        if (sums != self.column_integers).any():
            raise FormatError(f"{self.path}: its entries are not those that its columns' sums say; count again")

    @gated
    def row(self, row: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return columns and counts of one row; its block is read as a whole the first time, to verify it."""
        if not 0 <= row < len(self.vocabulary):
            raise UsageError(f"row is {row}; it must be from 0 to {len(self.vocabulary) - 1}")
        block = next(block for block in self.blocks if block.first <= row < block.last)
        columns, values = self.block_integers(block)
        begin, end = self.row_offsets[row : row + 2] - self.row_offsets[block.first]
        return columns[begin:end], values[begin:end] / self.denominator

    @gated
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
        return _matrix((data, indices, starts.astype(kind)), last - first, self.columns)

    @gated
    def row_blocks(self, entries: int = READ_ENTRIES) -> Iterator[tuple[int, scipy.sparse.csr_array]]:
        """Yield (first row, CSR matrix) of consecutive rows, with at most `entries` entries each or one longer row."""
        for block in self.blocks:
            columns, values = self.block_integers(block)
            offsets = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            for first, last in cut_by_cost(np.diff(offsets), entries):
                part, starts = slice(*offsets[[first, last]]), offsets[first : last + 1] - offsets[first]
                data, indices = values[part] / self.denominator, columns[part].copy()
                yield block.first + first, _matrix((data, indices, starts), last - first, self.columns)

    def rows(self) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.float64]]]:
        """Yield (row, columns, counts) for every row, from disk; convenient, but slow."""
        for block in self.blocks:
            columns, values = self.block_integers(block)
            starts = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
            for row, (a, b) in enumerate(itertools.pairwise(starts), block.first):
                yield row, columns[a:b], values[a:b] / self.denominator

    def info(self) -> dict[str, Any]:
        """Return everything recorded but the checksums of the files."""
        return {key: value for key, value in self.manifest.items() if key != "files"}


def _matrix(parts: tuple[npt.NDArray[Any], ...], rows: int, columns: int) -> scipy.sparse.csr_array:
    from scipy.sparse import csr_array  # which takes long to load, and few commands need

    return csr_array(parts, (rows, columns))


def finish_blocks(
    work: Path, blocks: list[Block], vocabulary: Vocabulary, fields: dict[str, Any], column_names: Vocabulary | None = None
) -> None:
    """Write the vocabulary, join the blocks' row lengths and sums, sum the columns, and write the manifest.

    `column_names` are the words of columns that have names of their own.
    """
    vocabulary.save(work)
    rows = [block.files(work).rows(block.last - block.first) for block in blocks]
    lengths, row_sums = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    symmetric = fields["options"]["context_side"] == "both" and fields["columns"] == len(vocabulary)
    column_sums = row_sums if symmetric else _column_sums(work, blocks, lengths, fields["columns"])
    offsets = offsets_of(lengths)
    kinds: dict[str, npt.DTypeLike] = {**VOCABULARY_FILES}
    if column_names is not None:
        column_names.save(work, OF_COLUMNS)
        kinds |= {f"{OF_COLUMNS}{name}": kind for name, kind in VOCABULARY_FILES.items()}
        fields = {**fields, "column_vocabulary": column_names.record}
    for name, numbers in (("row-offsets.bin", offsets), ("row-sums.bin", row_sums), ("column-sums.bin", column_sums)):
        kinds[name] = np.int64
        with ArrayWriter(work / name, np.int64) as file:
            file.append(numbers)
    for block in blocks:
        kinds |= block.kinds
    whole = {
        "entries": int(offsets[-1]),
        "total": sum(row_sums.tolist()),  # each row fits into 64 bits, but their sum may not
        "blocks": [[block.first, block.last, block.wide] for block in blocks],
        "vocabulary": vocabulary.record,
        **fields,
        "files": bound_files(work, kinds),
    }
    write_manifest(work, KIND, VERSION if column_names is None else RECTANGULAR, whole)
    clean(work)


def _column_sums(work: Path, blocks: list[Block], lengths: Counts, columns: int) -> Counts:
    """Return the sum of each column over all blocks, given the number of entries of each row."""
    files, sums = ArrayFiles(work), np.zeros(columns, np.int64)
    for block in blocks:
        size = int(lengths[block.first : block.last].sum())
        parts = [files.load(name, kind, size) for name, kind in block.kinds.items()]
        check_within(parts[0], 0, columns, f"{work}: columns of block {block.number}")
        counting.add_columns(*parts, sums)
    return sums


def clean(work: Path) -> None:
    """Delete the files that are not part of a finished directory: the row files and the runs."""
    for path in (*work.glob("rows-*.bin"), *work.glob("*-run-*.bin"), work / "runs.json"):
        path.unlink(missing_ok=True)

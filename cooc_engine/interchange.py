"""Counts of other programs: GloVe's records of `int32 row, int32 column, float64 count` from 1, and matrices of SciPy.

GloVe counts contexts on both sides, or (`-symmetric 0`) on the left, and then writes the transpose of our rows: row a,
column b for the text "a b". Export and import turn such counts over.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import RESERVED, UNKNOWN, Vocabulary
from cooc_engine.corpus.word_table import WordTable, rank_words
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.from_coo import Coordinates, build, rows_of, whole_counts
from cooc_engine.counts.options import CountOptions
from cooc_engine.counts.windows import Window
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.runtime.budget import Plan, memory_budget
from cooc_engine.runtime.progress import Progress
from cooc_engine.storage.outputs import disk_errors, locked, refuse_file

__all__ = ["RECORD", "export_glove", "import_glove", "import_matrix", "read_vocabulary"]

RECORD = np.dtype([("row", "<i4"), ("column", "<i4"), ("count", "<f8")])
RECORD_BYTES = 40  # of an entry on its way to a record
CHUNK = 1 << 18  # records written at a time
LEAST_CHUNK = 1 << 12
LONGEST = 1000  # bytes of a word that GloVe's programs read
SPACE = np.frombuffer(b"\0\t\n\v\f\r ", np.uint8)
PathLike = str | os.PathLike[str]


def export_glove(
    cooc: PathLike | Cooc,
    records: PathLike,
    vocabulary: PathLike,
    *,
    memory: str | int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write counts as GloVe's records (to be shuffled before `glove`), and the vocabulary as lines of word and count.

    Raises `UsageError` for what those programs cannot read: positional counts, the word `<unk>`, words of more than 1000
    bytes; and if the budget cannot hold the least that is needed. On any error nothing is left.
    """
    cooc, progress = cooc if isinstance(cooc, Cooc) else Cooc(cooc), progress or Progress()
    if cooc.columns != len(cooc.vocabulary):
        raise UsageError(f"{cooc.path}: has a column for each position, which GloVe's records cannot say")
    _check_words(cooc)
    budget = memory_budget(memory)
    tables = 32 * cooc.columns
    chunk = min(CHUNK, max(LEAST_CHUNK, (budget - tables) // RECORD_BYTES))
    plan = Plan("export", budget, {"tables of words": tables, "records": chunk * RECORD_BYTES})
    plan.check()
    outputs = [Path(records), Path(vocabulary)]
    if outputs[0] == outputs[1]:
        raise UsageError(f"{outputs[0]}: records and vocabulary take a file each")
    parts = [refuse_file(output, force=force) for output in outputs]
    progress.say(plan.line())
    with disk_errors(outputs[0]), locked(parts[0]), progress.stage("export", cooc.entries, "entries") as stage:
        try:
            with parts[0].open("wb") as file:
                for found in _records(cooc, chunk):
                    file.write(found.view(np.uint8).data)
                    stage.advance(len(found))
            with parts[1].open("wb") as file:
                file.writelines(_lines(cooc.vocabulary))
            for part, output in zip(parts, outputs, strict=True):
                part.replace(output)
        except BaseException:
            for part in parts:
                part.unlink(missing_ok=True)
            raise


def _check_words(cooc: Cooc) -> None:
    """Raise `UsageError` for a word that GloVe's programs stumble over, some of them after hours."""
    sizes = np.diff(cooc.vocabulary.offsets)
    if len(sizes) and sizes.max() > LONGEST:
        raise UsageError(f"{cooc.path}: word {int(sizes.argmax()) + 1} has more than {LONGEST} bytes; GloVe cannot read it")
    if cooc.vocabulary.find(UNKNOWN) >= 0:
        raise UsageError(
            f"{cooc.path}: {UNKNOWN} is a word of it, which {RESERVED[UNKNOWN]}; encode the text with another for it"
        )


def _lines(vocabulary: Vocabulary) -> Iterator[bytes]:
    """Yield lines of a word and its count."""
    offsets, counts = vocabulary.offsets, vocabulary.counts
    for first in range(0, len(counts), 1 << 12):
        begins = offsets[first : first + (1 << 12) + 1].tolist()
        for begin, end, count in zip(begins, begins[1:], counts[first : first + (1 << 12)].tolist(), strict=False):
            yield b"%b %d\n" % (vocabulary.text[begin:end].tobytes(), count)


def _records(cooc: Cooc, chunk: int) -> Iterator[npt.NDArray[Any]]:
    row, column = ("column", "row") if cooc.options.context_side == "left" else ("row", "column")
    for block in cooc.blocks:
        columns, values = cooc.block_integers(block)
        first = int(cooc.row_offsets[block.first])
        for begin in range(0, len(columns), chunk):
            end = min(begin + chunk, len(columns))
            found = np.empty(end - begin, RECORD)
            found[row] = rows_of(cooc.row_offsets, first + begin, first + end) + 1
            found[column] = columns[begin:end] + 1
            found["count"] = values[begin:end] / cooc.denominator
            yield found


# ---------------------------------------------------------------------------------------------------------- importing


@dataclass(frozen=True)
class _Foreign:
    """What foreign counts have in common: `ranks` are the rows of their words here, None if they are in order."""

    name: str
    vocabulary: Vocabulary
    options: CountOptions
    ranks: npt.NDArray[np.int32] | None
    origin: Mapping[str, Any]
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def denominator(self) -> int:
        return Window.of(self.options).denominator

    def ranked(self, rows: npt.NDArray[np.int32], columns: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], ...]:
        """Return rows and columns as they are here; what is outside the vocabulary stays so."""
        if self.ranks is None:
            return rows, columns
        return tuple(np.where(self._known(part), self.ranks.take(part, mode="clip"), np.int32(-1)) for part in (rows, columns))

    def _known(self, part: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        return (part >= 0) & (part < len(self.vocabulary))


@dataclass(frozen=True)
class _Records(_Foreign):
    """GloVe's records in a file, which is read and never mapped: one that shrinks is an error and no crash."""

    path: Path = Path()
    size: int = 0

    def read(self, begin: int, end: int) -> Coordinates:
        """Return the coordinates and integers of some records."""
        found = np.fromfile(self.path, RECORD, end - begin, offset=begin * RECORD.itemsize)
        if len(found) < end - begin:
            raise FormatError(f"{self.path}: was made shorter while it was read; import it again")
        names = ("column", "row") if self.options.context_side == "left" else ("row", "column")
        rows, columns = self.ranked(*(found[name] - np.int32(1) for name in names))
        return rows, columns, whole_counts(found["count"], self.denominator, self.name, begin)


def import_glove(
    records: PathLike, vocabulary: PathLike, output: PathLike, options: CountOptions | None = None, **how: Any
) -> Cooc:
    """Read GloVe's records, in any order, into a co-occurrence directory; `options` say how they were counted.

    Counts become exact again: they must be multiples of the weights' denominator, 1/2520 for 1/k in a window of 10. `how`
    takes threads, memory, force, resume and progress. Raises what `build` of `entries.py` raises, and `InputError` for a
    vocabulary that is none.
    """
    options, path = options or CountOptions(), Path(records)
    _refuse_positional(options)
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if status.st_size == 0 or status.st_size % RECORD.itemsize:
        raise FormatError(f"{path}: {status.st_size} bytes are no whole number of records of {RECORD.itemsize}; truncated?")
    words, ranks = _ranked(read_vocabulary(Path(vocabulary)), str(vocabulary))
    origin = {"records": [str(path), status.st_size, status.st_mtime_ns]}
    found = _Records(str(path), words, options, ranks, origin, path=path, size=status.st_size // RECORD.itemsize)
    return build(found, Path(output), **how)


def _refuse_positional(options: CountOptions) -> None:
    if options.positional:
        raise UsageError("--positional: counts of other programs cannot say it")


def read_vocabulary(path: Path) -> Vocabulary:
    """Read lines of a word and its count, without a Python object for each word."""
    text, ends, counts = bytearray(), array("q", [0]), array("q")
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                word, _, count = line.rstrip(b"\r\n").rpartition(b" ")
                if not word or not count.isdigit() or len(count) > 18:
                    raise InputError(f"{path}:{number}: expected a word and its count")
                text += word
                ends.append(len(text))
                counts.append(int(count))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{int(np.searchsorted(ends, error.start, 'right'))}: not UTF-8") from None
    return Vocabulary(np.frombuffer(text, np.uint8), np.frombuffer(ends, np.int64), np.frombuffer(counts, np.int64))


def _ranked(vocabulary: Vocabulary, name: str) -> tuple[Vocabulary, npt.NDArray[np.int32] | None]:
    """Return words by falling count, equal ones by their bytes, and where each went (None: they were in order).

    Raises `InputError` if there is none, or one is empty, stands twice or has white space in it.
    """
    if not len(vocabulary):
        raise InputError(f"{name}: no words in it")
    bad = np.flatnonzero(np.isin(vocabulary.text, SPACE))
    if len(bad) or (np.diff(vocabulary.offsets) == 0).any():
        at = int(np.searchsorted(vocabulary.offsets, bad[0], "right")) if len(bad) else 0
        what = f"word {at} has white space in it; join its parts with _" if at else "a word is empty"
        raise InputError(f"{name}: {what}")
    table = WordTable.of(vocabulary)
    if len(table) < len(vocabulary):
        words = vocabulary.words
        twice = next(word for at, word in enumerate(words) if vocabulary.ids[word] != at)
        raise InputError(f"{name}: the word {twice!r} stands in it twice")
    ranked = rank_words(WordTable.of(vocabulary, vocabulary.counts), 0, None)
    ranks = WordTable.of(ranked).find(table.words, len(table))
    return ranked, None if np.array_equal(ranks, np.arange(len(ranks))) else ranks


@dataclass(frozen=True)
class _Matrix(_Foreign):
    """A matrix of SciPy: CSR or CSC by `offsets` (CSC if `turned`), or coordinates, where `offsets` is None."""

    rows: npt.NDArray[Any] | None = None
    offsets: npt.NDArray[Any] | None = None
    columns: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, np.int32))
    counts: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0))
    turned: bool = False

    @property
    def size(self) -> int:
        """Number of entries that the matrix stores."""
        return len(self.counts)

    def read(self, begin: int, end: int) -> Coordinates:
        """Return the coordinates and integers of some entries."""
        rows = rows_of(self.offsets, begin, end) if self.offsets is not None else self.rows[begin:end]  # type: ignore[index]
        pair = rows.astype(np.int32, copy=False), self.columns[begin:end].astype(np.int32, copy=False)
        rows, columns = self.ranked(*(pair[::-1] if self.turned else pair))
        return rows, columns, whole_counts(self.counts[begin:end], self.denominator, self.name, begin)


def import_matrix(
    matrix: Any, words: Iterable[str] | Vocabulary, output: PathLike, options: CountOptions | None = None, **how: Any
) -> Cooc:
    """Write a sparse matrix of counts, V x V, as a co-occurrence directory; row and column i belong to the i-th of `words`.

    With scikit-learn: `vectorizer = CountVectorizer(binary=True)`, `X = vectorizer.fit_transform(texts)`,
    `import_matrix(X.T @ X, vectorizer.get_feature_names_out(), "cooc")`. Without `options` counts are whole numbers, the
    same both ways; options with weights say what they are multiples of, and `context_side` that they are not.

    The directory has its words by falling count: rows move, `Cooc.vocabulary` says where to. A list of words does not say
    how often each occurs: then the sums of the rows, rounded up, stand for it; a `Vocabulary` says it. Zeros are left out,
    and a place that stands twice adds up. `how` takes threads, memory, force, resume and progress; the matrix itself does
    not count as memory. Raises what `build` of `entries.py` raises, `UsageError` for what is no such matrix.
    """
    options = options or CountOptions(window_weight="uniform")
    _refuse_positional(options)
    if not hasattr(matrix, "tocoo"):
        raise UsageError(f"a {type(matrix).__name__} is no sparse matrix of SciPy; make one with scipy.sparse.csr_array")
    if isinstance(words, Mapping):
        raise UsageError("words is a mapping, which has no order to rely on; pass them in a list, in the order of the rows")
    words = words if isinstance(words, Vocabulary) else list(words)
    if matrix.shape != (len(words), len(words)):
        raise UsageError(
            f"{len(words)} words take a matrix of as many rows and columns, not {' x '.join(map(str, matrix.shape))}"
        )
    if matrix.dtype.kind not in "iufb":
        raise UsageError(f"the matrix holds {matrix.dtype}; counts are real numbers")
    parts = _parts(matrix)
    if not isinstance(words, Vocabulary):
        sums = np.asarray(matrix.sum(1), np.float64).reshape(-1)
        words = _vocabulary(words, sums)
    vocabulary, ranks = _ranked(words, "the words")
    crc = 0
    for values in parts.values():
        crc = zlib.crc32(np.ascontiguousarray(values).data, crc) if isinstance(values, np.ndarray) else crc
    return build(_Matrix("the matrix", vocabulary, options, ranks, {"matrix": crc}, **parts), Path(output), **how)


def _parts(matrix: Any) -> dict[str, Any]:
    """Return the arrays of a matrix, without a copy if it is CSR, CSC or COO."""
    if matrix.format in ("csr", "csc"):
        size = int(matrix.indptr[-1])
        found = {"offsets": matrix.indptr, "columns": matrix.indices[:size], "turned": matrix.format == "csc"}
    else:
        matrix = matrix.tocoo()
        size = len(matrix.data)
        found = {"rows": matrix.row, "columns": matrix.col}
    return {**found, "counts": (matrix.data.view(np.uint8) if matrix.dtype.kind == "b" else matrix.data)[:size]}


def _vocabulary(words: list[str], sums: npt.NDArray[np.float64]) -> Vocabulary:
    for at, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise UsageError(f"word {at} is a {type(word).__name__}; words are strings")
    with np.errstate(invalid="ignore"):  # the sums of what is refused later
        return Vocabulary.from_words(words, np.ceil(np.clip(np.nan_to_num(sums), 0, 2.0**62)).astype(np.int64).tolist())

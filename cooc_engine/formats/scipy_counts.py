"""Import of counts from a SciPy sparse matrix in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.vocabulary_file import ranked
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.from_coo import Coordinates, build, rows_of, whole_counts
from cooc_engine.counts.options import PAIRS, CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.formats.foreign_counts import ForeignCounts, refuse_positional
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.keywords import Run, RunKeywords
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.checksums import crc32

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["import_matrix"]


@dataclass(frozen=True)
class _SparseCounts(ForeignCounts):
    """A SciPy sparse matrix: CSR, or CSC if `turned`; or COO, where `offsets` is None."""

    rows: npt.NDArray[Any] | None = None
    offsets: npt.NDArray[Any] | None = None
    columns: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, np.int32))
    counts: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0))
    turned: bool = False

    @property
    def size(self) -> int:
        """Number of stored entries."""
        return len(self.counts)

    def read(self, begin: int, end: int) -> Coordinates:
        """Return rows, columns and integer counts of entries begin:end."""
        rows = rows_of(self.offsets, begin, end) if self.offsets is not None else self.rows[begin:end]  # type: ignore[index]
        pair = rows.astype(np.int32, copy=False), self.columns[begin:end].astype(np.int32, copy=False)
        rows, columns = self.ranked(*(pair[::-1] if self.turned else pair))
        return rows, columns, whole_counts(self.counts[begin:end], self.denominator, self.name, begin)


@gated
def import_matrix(
    matrix: Any,
    words: Iterable[str] | Vocabulary,
    output: PathLike,
    options: CountOptions | None = None,
    *,
    columns: Iterable[str] | Vocabulary | None = None,
    **run: Unpack[RunKeywords],
) -> Cooc:
    """Write a sparse V x V matrix of counts as a co-occurrence directory; row and column i belong to the i-th of `words`.

    >>> from scipy.sparse import csr_array
    >>> import_matrix(csr_array([[0, 3], [3, 0]]), ["tea", "milk"], "breakfast", threads=1)["tea", "milk"]
    3.0

    With scikit-learn: `vectorizer = CountVectorizer(binary=True)`, `X = vectorizer.fit_transform(texts)`,
    `import_matrix(X.T @ X, vectorizer.get_feature_names_out(), "cooc")`. Without `options` the counts must be whole numbers
    and the matrix symmetric; with weights in `options` counts may be fractions of their denominator, and with one
    `context_side` the matrix need not be symmetric.

    With `columns` the matrix may have any shape, such as users by items: its rows are named by `words` and its columns by
    `columns`, and both may contain spaces. The counts must then be whole numbers. With an `AnnData`:

        import_matrix(adata.X, adata.obs_names, "cooc", columns=adata.var_names)

    The words of the directory are in order of decreasing count, so rows move: `Cooc.vocabulary` has the new order. The word
    counts are those of a `Vocabulary`; for a list of words they are the row sums, rounded up, and for columns the column sums.
    Zeros are left out, and duplicate entries are added. `run` takes threads, memory, force, resume and progress; the matrix
    itself does not count towards the budget. Raises what `build` of `counts.from_coo` raises, and `UsageError` for anything
    but such a matrix.
    """
    how = Run.of("import_matrix", run)
    if not hasattr(matrix, "tocoo"):
        raise UsageError(f"a {type(matrix).__name__} is not a SciPy sparse matrix; make one with scipy.sparse.csr_array")
    rows, others = _listed(words), None if columns is None else _listed(columns)
    options = _options(options, rectangular=others is not None)
    if matrix.shape != (len(rows), len(rows if others is None else others)):
        shape, sizes = " x ".join(map(str, matrix.shape)), f"{len(rows)} words"
        needed = "as many rows and columns" if others is None else f"as many rows, and {len(others)} columns"
        hint = "; pass columns, the names of the columns, if they are not the words" if others is None else ""
        raise UsageError(f"{sizes} need a matrix of {needed}, not {shape}{hint}")
    if matrix.dtype.kind not in "iufb":
        raise UsageError(f"the matrix holds {matrix.dtype}; counts are real numbers")
    parts, crc = _parts(matrix), 0
    vocabulary, ranks = ranked(_counted(rows, matrix, 1), "the words", spaces=others is not None)
    if others is not None:
        names, column_ranks = ranked(_counted(others, matrix, 0), "the columns", spaces=True)
        parts |= {"column_names": names, "column_ranks": column_ranks}
    for values in parts.values():
        crc = crc32(np.ascontiguousarray(values).data, crc) if isinstance(values, np.ndarray) else crc
    return build(_SparseCounts("the matrix", vocabulary, options, ranks, {"matrix": crc}, **parts), path_of(output), how)


def _options(given: CountOptions | None, *, rectangular: bool) -> CountOptions:
    """Return the options of the counts; raises `UsageError` for those that such a matrix cannot have."""
    if rectangular and given is not None:
        raise UsageError("options say how words of a text were counted, and columns have names of their own; leave one out")
    options = PAIRS if rectangular else defaulted("import_matrix", CountOptions, given or CountOptions(window_weight="uniform"))
    refuse_positional(options)
    return options


def _listed(words: Iterable[str] | Vocabulary) -> list[str] | Vocabulary:
    return words if isinstance(words, Vocabulary) else list(words)


def _parts(matrix: Any) -> dict[str, Any]:
    """Return the arrays of a matrix, uncopied if it is CSR, CSC or COO."""
    if matrix.format in ("csr", "csc"):
        size = int(matrix.indptr[-1])
        found = {"offsets": matrix.indptr, "columns": matrix.indices[:size], "turned": matrix.format == "csc"}
    else:
        matrix = matrix.tocoo()
        size = len(matrix.data)
        found = {"rows": matrix.row, "columns": matrix.col}
    return {**found, "counts": (matrix.data.view(np.uint8) if matrix.dtype.kind == "b" else matrix.data)[:size]}


def _counted(words: list[str] | Vocabulary, matrix: Any, axis: int) -> Vocabulary:
    """Return words with the sums of the matrix along an axis for counts, unless they have some."""
    if isinstance(words, Vocabulary):
        return words
    for at, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise UsageError(f"word {at} is a {type(word).__name__}; words are strings")
    sums = np.asarray(matrix.sum(axis), np.float64).reshape(-1)
    with np.errstate(invalid="ignore"):  # values that cause this are refused later
        return Vocabulary.from_words(words, np.ceil(np.clip(np.nan_to_num(sums), 0, 2.0**62)).astype(np.int64).tolist())

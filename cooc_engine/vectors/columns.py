"""Vectors of the columns of counts, such as the items that users chose: queries by name, among columns and across to rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.text.tokenizers import Splitting
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.words import Key

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ColumnVectors"]


class ColumnVectors(Vectors):
    """The columns of a model and their vectors: all methods of `Vectors`, with column names in place of words.

    Rows and columns of PMI-SVD are in one space, U Σ^½ and V Σ^½, so that their inner product is nearly their PMI. Where
    columns are words, these are the vectors of contexts.

    >>> drinks = train("pmi-svd", count_pairs("orders.tsv", "drinks", threads=1), "orders.h5", vector_size=2, threads=1).columns
    >>> drinks.most_similar(drinks.words["cat"], topn=1)[0][0]
    'coffee'

    words   `Vectors` of the same model's rows, so that `columns.most_similar(columns.words["ann"])` are the columns nearest to
            a row, and `columns.words.most_similar(columns["tea"])` the rows nearest to a column
    """

    item = "column"
    words: Vectors

    @classmethod
    @gated
    def open(cls, source: PathLike, *, trust_tokenizer: bool = False) -> Self:
        """Open the columns of a model, or of its file; raises `UsageError` if it has none, and what `Vectors.open` raises."""
        model = source if isinstance(source, ModelFile) else open_model(source)
        splitting = Splitting(model.config.get("encode", {}), model.path, trust_tokenizer)
        how: dict[str, Any] = {"family": model.family, "splitting": splitting}
        opened = cls(*model.column_rows(), **how)
        opened.words = Vectors(model.vocabulary, model.rows("w"), **how, digest=model.digest)
        opened._model, opened._path = model, model.path.absolute()
        return opened

    _model: ModelFile

    @gated
    def fold_in(self, rows: Any, *, threads: int | None = None) -> Matrix:
        """Return the vectors (n, d) of new rows, such as users whom the training did not know, in the space of both.

        `rows` is a matrix of counts (n, columns), sparse or dense, with columns in the order of `index_to_key`; or for each row
        a mapping of names of columns to counts, or a list of names, which may be repeated. Columns that the training did not
        have are left out, and a row without any other gets zeros. Rows of the training get nearly their own vectors. Raises
        `UsageError` for a model that does not have what this takes, and for numbers that are no counts.
        """
        from scipy.sparse import csr_array  # which, as the kernels, queries do not need

        from cooc_engine.matrix.pmi_svd import fold_in

        counts: Any = csr_array(rows if hasattr(rows, "shape") else self._listed(rows), dtype=np.float64)
        if counts.shape[1] != len(self):
            raise UsageError(f"new rows have {counts.shape[1]} columns; the model has {len(self)}")
        if not (np.isfinite(counts.data).all() and (counts.data >= 0).all()):
            raise UsageError("new rows have a number that is not a count: it is negative or not finite")
        counts.sum_duplicates()
        return fold_in(self._model, counts, usable_threads(threads))

    def _listed(self, rows: Iterable[Mapping[str, float] | Iterable[str]]) -> Any:
        """Return rows that are given by names as a matrix."""
        from scipy.sparse import coo_array

        counts = [row if isinstance(row, Mapping) else Counter(row) for row in rows]
        found = [(at, self._find(name), n) for at, row in enumerate(counts) for name, n in row.items()]
        table = np.array([entry for entry in found if entry[1] >= 0], np.float64).reshape(-1, 3)
        places = table[:, :2].astype(np.int64).T
        return coo_array((table[:, 2], (places[0], places[1])), (len(counts), len(self)))

    def _unknown(self, word: Key, hint: bool) -> UnknownWordError:
        if not isinstance(word, str):
            return super()._unknown(word, hint)
        return UnknownWordError(f"there is no column {word!r}; the first names are {self.vocabulary.beginning()}")

"""Vectors of the columns of counts, such as the items that users chose: queries on them by their names, and across to rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cooc_engine.errors import UnknownWordError
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.types import PathLike
from cooc_engine.text.tokenizers import Splitting
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.words import Key

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ColumnVectors"]


class ColumnVectors(Vectors):
    """The columns of a model and their vectors: all methods of `Vectors`, with names of columns in the place of words.

    Rows and columns of PMI-SVD are in one space, U Σ^½ and V Σ^½, so that their inner product is nearly their PMI. Where
    columns are words, these are the vectors of contexts.

    >>> drinks = train("pmi-svd", count_pairs("orders.tsv", "counts", threads=1), "orders.h5", vector_size=2, threads=1).columns
    >>> drinks.most_similar(drinks.words["cat"], topn=1)[0][0]
    'coffee'

    words   `Vectors` of the same model's rows, so that `columns.most_similar(columns.words["ann"])` are the columns nearest to
            a row, and `columns.words.most_similar(columns["tea"])` the rows nearest to a column
    """

    words: Vectors

    @classmethod
    def open(cls, source: PathLike, *, trust_tokenizer: bool = False) -> Self:
        """Open the columns of a model, or of its file; raises `UsageError` if it has none, and what `Vectors.open` raises."""
        model = source if isinstance(source, ModelFile) else open_model(source)
        splitting = Splitting(model.config.get("encode", {}), model.path, trust_tokenizer)
        how: dict[str, Any] = {"family": model.family, "splitting": splitting}
        opened = cls(*model.column_rows(), **how)
        opened.words = Vectors(model.vocabulary, model.rows("w"), **how, digest=model.digest)
        opened._path = model.path.absolute()
        return opened

    def _unknown(self, word: Key, hint: bool) -> UnknownWordError:
        return UnknownWordError(f"there is no column {word!r}; their names are {self.vocabulary.word(0)!r} and so on")

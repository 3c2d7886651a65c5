"""Words and their vectors: access by word, vectors of words outside the vocabulary, comparison of words.

A query is a word or a vector; only answers are rows of the matrix. So a word outside the vocabulary can be queried wherever
`WordVectors.outside` provides a vector for it.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UnknownWordError, UsageError
from cooc_engine.formats.vectors import format_of, read_vectors
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.models.published import Published
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.models.subwords import SubwordRows
from cooc_engine.runtime.arguments import gated, items, numbers, row_numbers
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.options import refusal
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.shown import Shown
from cooc_engine.runtime.types import Floats, Mask, Matrix, PathLike, Rows
from cooc_engine.text.tokenizers import Splitting, words_in
from cooc_engine.vectors.search import (
    BLOCK,
    DENSE,
    RowReader,
    Score,
    Search,
    best_rows,
    cosines,
    inverse_norms,
    scaled,
    search_of,
    top,
)
from cooc_engine.vectors.spelling import similar_spelling

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Answers", "Key", "Text", "WordVectors", "inside"]

Answers = list[tuple[str, float]]
Key = str | int | np.integer[Any]
"""A word, or the number of its row, as in gensim."""
Text = str | Iterable[str]


class WordVectors(Shown):
    """V words and their vectors, and access to them; row i, float32 (d,), belongs to word i."""

    item = "word"  # what has a vector

    @gated
    def __init__(
        self,
        words: Vocabulary | Iterable[str],
        matrix: npt.ArrayLike | Published | SparseVectors | None = None,
        *,
        family: str = "",
        splitting: Splitting | None = None,
        digest: str = "",
        subwords: SubwordRows | None = None,
    ) -> None:
        """Take a vocabulary, or words in the order of the rows, and a matrix (V, d); float32 is not copied.

        family     the model family that made them, if known
        splitting  how a text is split into words; at white space if unknown
        digest     a checksum that identifies these words and vectors; computed when needed if unknown
        subwords   the rows of n-grams, which give words outside the vocabulary a vector
        """
        if matrix is None:
            raise UsageError("Vectors(words, matrix) takes words and their vectors; Vectors.open(model) opens those of a model")
        if not isinstance(words, Vocabulary):
            words = list(words)
            for word, times in Counter(words).items():
                if times > 1:
                    raise FormatError(f"{word!r} is given {times} times; each word has one vector")
            words = Vocabulary.from_words(words, [0] * len(words))
        self.vocabulary, self.family, self._splitting = words, family, splitting or Splitting({})
        given = matrix if isinstance(matrix, Published | SparseVectors) else numbers("matrix", matrix)
        self._rows: RowReader = given.astype(np.float32, copy=False) if isinstance(given, np.ndarray) else given
        self._digest, self._subwords = digest, subwords
        self._path: Path | None = None  # of the file that they were opened from
        if len(self._rows.shape) != 2 or self._rows.shape[0] != len(words):
            raise FormatError(f"{len(words)} words do not fit a matrix of shape {self._rows.shape}")
        self._exact = search_of(self._rows)
        self._search: Search = self._exact

    @classmethod
    @gated
    def open(cls, source: PathLike, *, trust_tokenizer: bool = False) -> Self:
        """Open the published vectors of a model, or a file of vectors in any format that `export_vectors` writes.

        `source` is a path or a `Model`. Vectors that were opened are pickled as their path, others with all numbers.

        If a model names a Python function as tokenizer, that is code from a file: methods that take a text raise `UsageError`,
        unless `trust_tokenizer`, and then import it from `sys.path`. Raises what `open_model` and `read_vectors` raise.
        """
        if not isinstance(source, ModelFile) and format_of(source) is not None:
            found = read_vectors(source)
            opened = cls(found.vocabulary, found.vectors, subwords=found.subwords)
        else:
            model = source if isinstance(source, ModelFile) else open_model(source)
            opened = cls.of_model(model, model.rows(), digest=model.digest, trust_tokenizer=trust_tokenizer)
        opened._path = path_of(source).absolute()
        return opened

    @classmethod
    def of_model(cls, model: ModelFile, matrix: Any, *, digest: str = "", trust_tokenizer: bool = False) -> Self:
        """Return vectors (V, d) of a model, which splits texts, and knows words outside its vocabulary by their n-grams."""
        splitting = Splitting(model.config.get("encode", {}), model.path, trust_tokenizer)
        known: Any = {"family": model.family, "digest": digest, "subwords": model.subwords}
        return cls(model.vocabulary, matrix, splitting=splitting, **known)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path that was opened, and otherwise words and vectors."""
        if self._path is not None:
            return functools.partial(type(self).open, trust_tokenizer=self._splitting.trusted), (self._path,)
        known: Any = {"family": self.family, "splitting": self._splitting, "digest": self._digest, "subwords": self._subwords}
        return functools.partial(type(self), **known), (self.vocabulary, self._rows[:])

    def facts(self) -> dict[str, str]:
        """Return numbers and origin of the vectors, and the first words."""
        size = {f"{self.item}s": f"{len(self):,}", "size": str(self.vector_size)}
        origin = {"family": self.family, "file": str(self._path or "")}
        return {**size, **{name: value for name, value in origin.items() if value}, "first": self.vocabulary.beginning()}

    def to_frame(self) -> Any:
        """Return a pandas `DataFrame` (V, d) whose index are the words; raises `UsageError` if pandas is missing."""
        require("a frame", "frames", "pandas")
        import pandas as pd

        return pd.DataFrame(self._dense(), index=pd.Index(self.index_to_key, name=self.item))

    def _dense(self) -> Matrix:
        if self.is_sparse:
            raise UsageError(f"these vectors are sparse, {len(self):,} x {self.vector_size:,}; use those of pmi-svd")
        return self.vectors

    # --------------------------------------------------------------------------------------------------------------- access

    @functools.cached_property
    def vectors(self) -> Matrix:
        """All vectors, float32 (V, d); those that are sums are computed at first use and kept. Explicit ones stay sparse."""
        found: Matrix = self._rows[:]
        return found

    @gated
    def part(self, begin: int, end: int) -> Matrix | SparseVectors:
        """Return the vectors of rows begin:end; explicit ones stay sparse."""
        found: Matrix | SparseVectors = self._rows[begin:end]
        return found

    def some(self, rows: Rows) -> Self:
        """Return the words and vectors of the given rows; explicit ones stay sparse."""
        words, rows = self.index_to_key, row_numbers("rows", rows, len(self))
        vectors = self._rows.take(rows) if isinstance(self._rows, SparseVectors) else self._rows[rows]
        return self._with([words[row] for row in rows], vectors)

    def _with(self, words: Sequence[str], vectors: Any) -> Self:
        """Return other words and vectors of the same origin."""
        known: Any = {"family": self.family, "splitting": self._splitting, "subwords": self._subwords}
        return type(self)(words, vectors, **known)

    @functools.cached_property
    def digest(self) -> str:
        """Digest that identifies these words and vectors: that of the model, or else SHA-256 over all of them."""
        if self._digest:
            return self._digest
        found = hashlib.sha256(self.vocabulary.digest.encode())
        for part in self._parts(len(self)):
            found.update(np.ascontiguousarray(self._rows[part]).data)
        return found.hexdigest()

    def _parts(self, number: int, most: int = BLOCK) -> Iterator[slice]:
        """Yield slices of `number` vectors: parts that are copied one at a time, of at most so many vectors."""
        size = max(1, min(most, DENSE // max(1, self.vector_size)))
        return (slice(first, min(first + size, number)) for first in range(0, number, size))

    @property
    def index_to_key(self) -> list[str]:
        """The words, by row."""
        return self.vocabulary.words

    @property
    def key_to_index(self) -> dict[str, int]:
        """Row of each word; the dictionary is made at first use and kept."""
        return self.vocabulary.ids

    @property
    def vector_size(self) -> int:
        """Length d of the vectors."""
        return int(self._rows.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether the vectors are explicit ones, most of whose numbers are 0."""
        return isinstance(self._rows, SparseVectors)

    @property
    def inverse_norms(self) -> Matrix:
        """One over the length of each vector, (V,); 0 for a zero vector, whose cosines are then 0. Computed once and kept."""
        return self._exact.inverse_norms

    def __len__(self) -> int:
        """Return V."""
        return int(self._rows.shape[0])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the words."""
        return iter(self.index_to_key)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all vectors (V, d): to NumPy, these are a matrix."""
        return np.array(self._dense(), dtype, copy=copy)

    def __contains__(self, word: object) -> bool:
        """Tell whether a word is in the vocabulary, or a number is that of a row."""
        return isinstance(word, str | int | np.integer) and self._find(word) >= 0

    def __getitem__(self, word: Key | Sequence[Key]) -> Matrix:
        """Return the vector (d,) of a word, or the vectors (n, d) of several; a number is that of a row, from 0 on.

        As in gensim, rows are neither sliced nor counted from the end; `vectors` is an array, with which that works.
        """
        if not isinstance(word, str | int | np.integer):
            return self._asked(_keys(word), hint=False)[0]
        row = self._find(word)
        vector: Matrix = self._rows[row] if row >= 0 else self._asked(_keys([word]), hint=False)[0][0]
        return vector

    @gated
    def get_vector(self, word: Key, norm: bool = False) -> Matrix:
        """Return the vector (d,) of a word; scaled to length 1 with `norm`."""
        vector: Matrix = scaled(self[word][None])[0] if norm else self[word]
        return vector

    @gated
    def vector(self, word: str, oov: str = "subword") -> Matrix:
        """Return the vector (d,) of a word; `oov` decides about a word outside the vocabulary.

        "subword": the mean of its n-grams, or an error where it has none; "zero": zeros; "raise": an error.
        """
        if oov not in ("subword", "zero", "raise"):
            raise UsageError(f"oov is {oov!r}; it must be subword, zero or raise")
        row = self._find(word)
        if row < 0 and oov == "zero":
            return np.zeros(self.vector_size, np.float32)
        vector: Matrix = self[word] if oov == "subword" else self._rows[self.row(word)]
        return vector

    @gated
    def get_word_vector(self, word: str) -> Matrix:
        """Return the vector (d,) of a word, or else the mean of its n-grams, or else zeros, as fastText's program does."""
        found: Matrix = self._vectors([word], self._rows_of([word]))[0][0]
        return found

    @gated
    def get_subwords(self, word: str) -> tuple[list[str], Rows]:
        """Return the subwords whose mean is a word's vector: the word itself, if it is in the vocabulary, and its n-grams.

        Their rows (n,) are numbered as in fastText's program: the word's row, and V plus the bucket of an n-gram.
        If some n-grams were left out, those that are left are numbered in the order of their buckets.
        """
        row = self._find(word)
        ngrams, rows = self._subwords.of(word) if self._subwords else ([], np.empty(0, np.int64))
        own = [row] if row >= 0 else []
        return [word] * len(own) + ngrams, np.concatenate([np.array(own, np.int64), len(self) + rows])

    # ---------------------------------------------------------------------------------------------------------------- words

    @gated
    def row(self, word: str) -> int:
        """Return the row of a word."""
        row = self._find(word)
        if row < 0:
            raise self._unknown(word, hint=False)
        return row

    def _find(self, word: Key) -> int:
        """Return the row of a word as written, or of a row number; -1 if there is none."""
        if not isinstance(word, str):
            is_row = isinstance(word, int | np.integer) and not isinstance(word, bool)
            return int(word) if is_row and 0 <= word < len(self) else -1
        return self.vocabulary.find(word) if self.vocabulary.order is not None else self.vocabulary.ids.get(word, -1)

    @gated
    def rows_of(self, words: Iterable[str], limit: int | None = None) -> Rows:
        """Return the row of each word, as written or else lower-cased; -1 if neither is among the first `limit` words."""
        limit = len(self) if limit is None else limit

        @functools.cache
        def row_of(word: str) -> int:
            rows = (self._find(variant) for variant in (word, word.lower()))
            return next((row for row in rows if 0 <= row < limit), -1)

        return np.fromiter(map(row_of, words), np.int64)

    @gated
    def words_of(self, sentence: Text) -> list[str]:
        """Return the words of a text, tokenized as the model's text was; a list of words is returned unchanged."""
        return words_in(sentence, self._cut) if isinstance(sentence, str) else list(sentence)

    def knows(self, sentence: Text) -> bool:
        """Tell whether any word of a text has a vector, as written or lower-cased."""
        words = self.words_of(sentence)
        return bool((self.rows_of(words) >= 0).any() or (words and self.outside(words)[1].any()))

    @functools.cached_property
    def _cut(self) -> Any:
        return self._splitting.cut()

    @gated
    def outside(self, words: Sequence[str]) -> tuple[Matrix, Mask]:
        """Return vectors (n, d) for words outside the vocabulary, and whether each has one (n,): the means of their n-grams.

        Without subwords none has one. A subclass that computes such vectors in another way overrides only this method, which
        all queries and evaluations call. Such a word is still not in the vocabulary, and never an answer.
        """
        if self._subwords is not None:
            return self._subwords.vectors(words)
        return np.zeros((len(words), self.vector_size), np.float32), np.zeros(len(words), bool)

    def _outside(self, keys: Sequence[Key]) -> tuple[Matrix, Mask]:
        """Return what `outside` returns for keys, of which a number that is not that of a row has no vector."""
        vectors, known = self.outside([key if isinstance(key, str) else "" for key in keys])
        return vectors, known & [isinstance(key, str) for key in keys]

    def _rows_of(self, words: Sequence[Key]) -> Rows:
        """Return the row of each word as written; -1 if it is not in the vocabulary."""
        return np.fromiter(map(self._find, words), np.int64, len(words))

    def _vectors(self, words: Sequence[Key], rows: Rows) -> tuple[Matrix, Mask]:
        """Return the vectors (n, d) of words, zeros where there is none, and whether each has one.

        `rows` are the rows of the words, -1 outside the vocabulary.
        """
        known = rows >= 0
        if known.all():
            return self._rows[rows], known
        vectors = np.zeros((len(rows), self.vector_size), np.float32)
        vectors[known] = self._rows[rows[known]]
        missing = np.flatnonzero(~known)
        made, has = self._outside([words[at] for at in missing.tolist()])
        vectors[missing[has]], known[missing] = made[has], has
        return vectors, known

    def _asked(self, words: Sequence[Key], hint: bool = True) -> tuple[Matrix, Rows]:
        """Return the vectors (n, d) of words as written, and their rows or -1; raise if one has no vector."""
        rows = self._checked(words, hint)
        return self._vectors(words, rows)[0], rows

    def _checked(self, words: Sequence[Key], hint: bool = True) -> Rows:
        """Return the rows of words as written, -1 outside the vocabulary; raise if one has no vector either way."""
        rows = self._rows_of(words)
        missing = [words[at] for at in np.flatnonzero(rows < 0).tolist()]
        known = self._outside(missing)[1] if missing else np.ones(0, bool)
        if not known.all():
            raise self._unknown(missing[int(known.argmin())], hint)
        return rows

    def _unknown(self, word: Key, hint: bool) -> UnknownWordError:
        if not isinstance(word, str):
            return UnknownWordError(f"there is no row {word}; {len(self):,} {self.item}s have the rows from 0 on")
        near = similar_spelling(word, self.vocabulary) if hint else None
        return UnknownWordError(f"{word!r} is not in the vocabulary" + (f"; did you mean {near!r}?" if near else ""))

    # ----------------------------------------------------------------------------------------------------------- comparison

    @gated
    def unit(self, words: Iterable[str], limit: int | None = None) -> tuple[Matrix, Mask]:
        """Return unit vectors of words, (n, d), zeros where there is none, and whether each word has one, (n,).

        Words are looked up as in `rows_of`. With a `limit` below V, only the first `limit` words have one.
        """
        words = list(words)
        rows = self.rows_of(words, limit)
        if limit is None or limit >= len(self):
            vectors, known = self._vectors(words, rows)
            return scaled(vectors), known
        known = rows >= 0
        units = np.zeros((len(rows), self.vector_size), np.float32)
        units[known] = self.unit_rows(rows[known])
        return units, known

    def unit_rows(self, rows: Rows) -> Matrix:
        """Return copies of rows scaled to length 1, (n, d)."""
        return scaled(self._rows[row_numbers("rows", rows, len(self))])

    @gated
    def cosines(self, words1: Iterable[str], words2: Iterable[str]) -> tuple[Floats, Mask]:
        """Return the cosines of pairs of words, float64 (n,), within -1..1, and whether both words have a vector, (n,).

        Words are looked up as in `rows_of`.
        """
        first, second = list(words1), list(words2)
        if len(first) != len(second):
            raise UsageError(f"words1 has {len(first)} words, and words2 {len(second)}; pass pairs of words")
        rows1, rows2 = self.rows_of(first), self.rows_of(second)
        result, known = np.empty(len(first)), np.empty(len(first), bool)
        for part in self._parts(len(first)):
            a, there = self._vectors(first[part], rows1[part])
            b, also_there = self._vectors(second[part], rows2[part])
            result[part], known[part] = cosines(a, b), there & also_there
        return result, known

    @gated
    def cosine_table(self, words: Iterable[str], limit: int | None = None) -> tuple[Callable[[int, int], Matrix], Mask]:
        """Return a function table(begin, end), and whether each word has a vector, (n,).

        The function returns the cosines of the words with rows begin:end, float32 (n, end - begin). Words are looked up once,
        as in `unit`; explicit vectors stay sparse.
        """
        if self.is_sparse:
            rows = self.rows_of(words, limit)
            return functools.partial(self._sparse_table, rows), rows >= 0
        units, known = self.unit(words, limit)
        return lambda begin, end: units @ scaled(self._rows[begin:end]).T, known

    def _sparse_table(self, rows: Rows, begin: int, end: int) -> Matrix:
        others = self._rows[begin:end]
        table, factors, known = np.zeros((len(rows), len(others)), np.float32), inverse_norms(others), np.flatnonzero(rows >= 0)
        for part in self._parts(len(known)):
            table[known[part]] = (others @ self.unit_rows(rows[known[part]]).T).T * factors
        return table

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]] = ()) -> tuple[Rows, Matrix]:
        """Return rows and cosines, both (q, topn), of the vectors nearest to each query vector, best first.

        queries   (q, d) float32, of any length
        exclude   for each query the rows that must not be answers; empty for none

        Equal cosines are ordered by row. Where there are fewer than `topn` answers, the rest are row -1.
        """
        if numbers("queries", queries, 2).shape[1] != self.vector_size or not np.isfinite(queries).all():
            raise refusal("queries", queries, f"finite numbers, {self.vector_size} for each query")
        wanted = f"a list of rows for each of the {len(queries)} queries, or empty"
        excluded = [row_numbers("exclude", rows, len(self)).tolist() for rows in items("exclude", exclude, wanted)]
        if excluded and len(excluded) != len(queries):
            raise refusal("exclude", exclude, wanted)
        return self._search.nearest(queries, top(len(self), topn), excluded or [()] * len(queries))

    # ------------------------------------------------------------------------------------------------------ answers

    def _found(self, score: Score, topn: int, exclude: Sequence[int]) -> Answers:
        return self._answers(*best_rows(self._rows, score, top(len(self), topn), [exclude]))[0]

    def _answers(self, rows: Rows, values: Matrix) -> list[Answers]:
        word: Callable[[int], str] = self.vocabulary.word
        pairs = zip(rows.tolist(), values.tolist(), strict=True)
        return [
            [(word(row), value) for row, value in zip(*pair, strict=True) if row >= 0 and value > -np.inf] for pair in pairs
        ]


def _keys(given: Any) -> list[Key]:
    """Return words or numbers of rows as a list; raises `UsageError` for what is no list, and for an item that is neither."""
    wanted = "a word, the number of its row, or a list of these; vectors has the matrix"
    keys: list[Key] = items("the key", given, wanted)
    for at, key in enumerate(keys):
        if not isinstance(key, str | int | np.integer) or isinstance(key, bool):
            raise refusal(f"key[{at}]", key, "a word, or the number of its row")
    return keys


def inside(rows: Rows) -> list[int]:
    """Return the rows that are not -1, those of words in the vocabulary."""
    found: list[int] = rows[rows >= 0].tolist()
    return found

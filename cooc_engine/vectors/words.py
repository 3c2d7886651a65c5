"""Words and their vectors: opened lazily, looked up, compared in pairs and tables, and searched for the nearest.

What judges vectors (`evaluation.py`) needs no more of them than `Judged` says, which vectors of any other kind can have too.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UnknownWordError, UsageError
from cooc_engine.formats.vectors import format_of, read_vectors
from cooc_engine.models.file import open_model
from cooc_engine.models.published import Published
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.text.tokenizers import tokenizer
from cooc_engine.vectors.search import BLOCK, DENSE, Ids, Matrix, Rows, Screen, batches, best_rows, inverse_norms, top

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Judged", "WordVectors"]

KEPT_NORMS = 1 << 22  # words whose norms are kept: 16 MB; of more they are computed anew for each block
SCREENED = 1 << 12, 48 << 20  # a screen is made from so many words on, while it takes no more bytes
SCREENED_ANSWERS = 256
FIRST_SINGLES = 4  # single questions that are answered without a screen, which takes as long as some ten of them
Numbers = Ids | Sequence[int]


class Judged(Protocol):
    """What word pairs, analogies, clusters, outliers and sentences ask of vectors."""

    def __len__(self) -> int:
        """Return V."""

    def rows_of(self, words: Iterable[str], limit: int | None = None) -> Ids:
        """Return the row of each word, as written, else lower-cased; -1 if neither is among the first `limit`."""

    def cosines(self, rows1: Numbers, rows2: Numbers) -> npt.NDArray[np.float64]:
        """Return the cosines of pairs of rows, (n,)."""

    def cosine_table(self, rows1: Numbers, rows2: Numbers) -> Matrix:
        """Return the cosines of all rows of one list with all of the other, (n, m)."""

    def unit(self, rows: Numbers) -> Matrix:
        """Return rows scaled to length 1, or other coordinates with the same inner products, (n, any)."""

    def knows(self, sentence: Any) -> bool:
        """Tell whether a word of a text is in the vocabulary."""

    def sentence_similarity(self, sentence1: Any, sentence2: Any, measure: str = "dot") -> float:
        """Return how near two texts are; judged by measure "cosine"."""


class WordVectors:
    """V words and their vectors: row i, float32 (d,), belongs to word i, frequent ones first.

    `word in kv`, `kv[word]`, `kv[[word, ...]]` and `len(kv)` work as in gensim. A word that is not in the vocabulary
    raises `UnknownWordError`, which is a `KeyError` too. Vectors that are sums of a model's matrices are added up where
    they are needed, and a model file's words are found in its mapped index: opening reads nearly nothing.
    """

    def __init__(
        self,
        words: Vocabulary | Iterable[str],
        matrix: npt.ArrayLike | Published | SparseVectors,
        *,
        family: str = "",
        encoding: Mapping[str, Any] | None = None,
        digest: str = "",
    ) -> None:
        """Take a vocabulary, or words in the order of the rows, and a matrix (V, d); float32 is not copied.

        family     the model family that made them, if it is known
        encoding   the options of `encode` that say how a text is cut into words; white space, if it is not known
        digest     what tells these words and vectors from others, if it is known
        """
        if not isinstance(words, Vocabulary):
            words = list(words)
            words = Vocabulary.from_words(words, [0] * len(words))
        self.vocabulary, self.family, self._encoding = words, family, encoding or {}
        self._rows: Rows = matrix if isinstance(matrix, Published | SparseVectors) else np.asarray(matrix, np.float32)
        self._digest = digest
        self._singles = 0  # questions that came one by one
        if len(self._rows.shape) != 2 or self._rows.shape[0] != len(words):
            raise FormatError(f"{len(words)} words do not fit a matrix of shape {self._rows.shape}")

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the published vectors of a model file, or a file of vectors in any format that `export_vectors` writes.

        Raises what `open_model` and `read_vectors` raise.
        """
        if format_of(path) is not None:
            found = read_vectors(path)
            return cls(found.vocabulary, found.vectors)
        model = open_model(path)
        encoding = model.config.get("encode")
        return cls(model.vocabulary, model.rows(), family=model.family, encoding=encoding, digest=model.digest)

    # ------------------------------------------------------------------------------------------------------- access

    @functools.cached_property
    def vectors(self) -> Matrix:
        """All vectors, float32 (V, d); those that are sums are made at the first use and kept. Explicit ones stay sparse."""
        found: Matrix = self._rows[:]
        return found

    def part(self, begin: int, end: int) -> Matrix | SparseVectors:
        """Return the vectors of rows begin:end; explicit ones stay sparse."""
        found: Matrix | SparseVectors = self._rows[begin:end]
        return found

    def some(self, rows: Ids) -> Self:
        """Return the words of some rows with their vectors; explicit ones stay sparse."""
        words = self.index_to_key
        vectors = self._rows.take(rows) if isinstance(self._rows, SparseVectors) else self._rows[rows]
        return type(self)([words[row] for row in rows], vectors, family=self.family, encoding=self._encoding)

    @functools.cached_property
    def digest(self) -> str:
        """What tells these words and vectors from others: a model's digest, or else SHA-256 of all of them."""
        if self._digest:
            return self._digest
        found = hashlib.sha256(self.vocabulary.digest.encode())
        for start in range(0, len(self), self._step):
            found.update(np.ascontiguousarray(self._rows[start : start + self._step]).data)
        return found.hexdigest()

    @property
    def _step(self) -> int:
        """How many vectors are copied at a time."""
        return max(1, min(BLOCK, DENSE // max(1, self.vector_size)))

    @property
    def index_to_key(self) -> list[str]:
        """The words, by row."""
        return self.vocabulary.words

    @property
    def key_to_index(self) -> dict[str, int]:
        """Row of each word; the dictionary is made at the first use and kept."""
        return self.vocabulary.ids

    @property
    def vector_size(self) -> int:
        """Length d of the vectors."""
        return int(self._rows.shape[1])

    @functools.cached_property
    def inverse_norms(self) -> Matrix:
        """One over the length of each vector, (V,); 0 for a vector of zeros, whose cosines are then 0."""
        parts = [inverse_norms(self._rows[start : start + BLOCK]) for start in range(0, len(self), BLOCK)]
        return np.concatenate([*parts, np.empty(0, np.float32)])

    def _factors(self, start: int, block: Matrix) -> Matrix:
        """Return one over the lengths of the rows from `start` on, which are `block`."""
        if len(self) > KEPT_NORMS:
            return inverse_norms(block)
        return self.inverse_norms[start : start + len(block)]

    def __len__(self) -> int:
        """Return V."""
        return int(self._rows.shape[0])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the words."""
        return iter(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        """Tell whether the word is in the vocabulary."""
        return isinstance(word, str) and self._find(word) >= 0

    def __getitem__(self, word: str | Sequence[str]) -> Matrix:
        """Return the vector (d,) of a word, or the vectors (n, d) of several."""
        found: Matrix = self._rows[self.row(word) if isinstance(word, str) else [self.row(w) for w in word]]
        return found

    def get_vector(self, word: str, norm: bool = False) -> Matrix:
        """Return the vector (d,) of a word; scaled to length 1 with `norm`."""
        vector: Matrix = self.unit([self.row(word)])[0] if norm else self[word]
        return vector

    def vector(self, word: str, oov: str = "raise") -> Matrix:
        """Return the vector (d,) of a word; for one outside the vocabulary zeros if `oov` is "zero", or an error ("raise")."""
        if oov not in ("raise", "zero"):
            raise UsageError(f"oov is {oov!r}; it must be raise or zero")
        return np.zeros(self.vector_size, np.float32) if oov == "zero" and word not in self else self[word]

    def row(self, word: str) -> int:
        """Return the row of a word."""
        row = self._find(word)
        if row < 0:
            raise UnknownWordError(f"{word!r} is not in the vocabulary")
        return row

    def _find(self, word: str) -> int:
        return self.vocabulary.find(word) if self.vocabulary.order is not None else self.vocabulary.ids.get(word, -1)

    def rows_of(self, words: Iterable[str], limit: int | None = None) -> Ids:
        """Return the row of each word, as written, else lower-cased; -1 if neither is among the first `limit`."""
        limit = len(self) if limit is None else limit

        @functools.cache
        def row_of(word: str) -> int:
            rows = (self._find(variant) for variant in (word, word.lower()))
            return next((row for row in rows if 0 <= row < limit), -1)

        return np.fromiter(map(row_of, words), np.int64)

    def words_of(self, sentence: str | Iterable[str]) -> list[str]:
        """Return the words of a text, cut as the model's text was; a list of words is taken as it is."""
        return self._cut(sentence) if isinstance(sentence, str) else list(sentence)

    def knows(self, sentence: str | Iterable[str]) -> bool:
        """Tell whether a word of a text is in the vocabulary, as written or lower-cased."""
        return bool((self.rows_of(self.words_of(sentence)) >= 0).any())

    @functools.cached_property
    def _cut(self) -> Any:
        return tokenizer(self._encoding)

    # --------------------------------------------------------------------------------------------------- comparison

    def unit(self, rows: Numbers) -> Matrix:
        """Return copies of rows, scaled to length 1: (n, d)."""
        found: Matrix = self._rows[np.asarray(rows, np.int64)]
        return found * inverse_norms(found)[:, None]

    def cosines(self, rows1: Numbers, rows2: Numbers) -> npt.NDArray[np.float64]:
        """Return the cosines of pairs of rows, float64 (n,), within -1..1."""
        first, second = np.asarray(rows1, np.int64), np.asarray(rows2, np.int64)
        result = np.empty(len(first))
        for start in range(0, len(first), self._step):
            part = slice(start, start + self._step)
            result[part] = cosines(self._rows[first[part]], self._rows[second[part]])
        return result

    def cosine_table(self, rows1: Numbers, rows2: Numbers) -> Matrix:
        """Return the cosines of all rows of one list with all of the other, float32 (n, m)."""
        if not isinstance(self._rows, SparseVectors):
            return self.unit(rows1) @ self.unit(rows2).T
        first, others = np.asarray(rows1, np.int64), self._rows.take(np.asarray(rows2, np.int64))
        table, factors = np.empty((len(first), len(others)), np.float32), inverse_norms(others)
        for start in range(0, len(first), self._step):
            part = slice(start, start + self._step)
            table[part] = (others @ self.unit(first[part]).T).T * factors
        return table

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]] = ()) -> tuple[Ids, Matrix]:
        """Return rows and cosines, both (q, topn), of the vectors nearest to each query vector, the best first.

        queries   (q, d) float32, of any length
        exclude   for each query the rows that may not be answers; empty for none

        Equal cosines are in order of the rows. Where there are fewer than `topn` answers, the rest are row -1.
        """
        topn, exclude = top(len(self), topn), exclude or [()] * len(queries)
        if len(queries) == 1 and topn + len(exclude[0]) <= SCREENED_ANSWERS and self._may_screen():
            found = self._screen.nearest(queries[0], topn, exclude[0])
            if found is not None and len(found[0]) == topn:
                return found[0][None], found[1][None]
        rows, values = np.empty((len(queries), topn), np.int64), np.empty((len(queries), topn), np.float32)
        for part in batches(len(queries), topn, self.vector_size):
            units = (queries[part] * inverse_norms(queries[part])[:, None]).T.copy()
            score = functools.partial(self._cosines_with, units)
            rows[part], values[part] = best_rows(self._rows, score, topn, exclude[part])
        return rows, values

    def _cosines_with(self, units: Matrix, start: int, block: Matrix) -> Matrix:
        """Return the cosines of a block of rows with unit vectors, which stand in columns: (rows, q)."""
        scores: Matrix = block @ units
        scores *= self._factors(start, block)[:, None]
        return scores

    def _may_screen(self) -> bool:
        """Tell whether single questions are many enough, and the words neither few nor too many, for a screen."""
        least, most = SCREENED
        self._singles += 1
        return self._singles > FIRST_SINGLES and least <= len(self) <= most // (self.vector_size + 8)

    @functools.cached_property
    def _screen(self) -> Screen:
        return Screen(self._rows, self._factors)


def cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the cosines of rows with rows, in double precision, within -1..1; 0 with a row of zeros."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    dots: npt.NDArray[np.float64] = np.einsum("ij,ij->i", a, b)
    found: npt.NDArray[np.float64] = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0).clip(-1, 1)
    return found

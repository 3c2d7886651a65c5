"""Word vectors and queries on them, named as in gensim: similarity, neighbours, analogies, sentences, PMI.

A query is a word or a vector; only answers are rows of the matrix. So a word outside the vocabulary can be queried wherever
`Vectors.outside` provides a vector for it. Neighbours of many words are found together by blocked matrix products, which
take at most 64 MB besides the matrix, however many words there are. A method that uses another formula than the cosine says
so.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UnknownWordError, UsageError
from cooc_engine.formats.vectors import format_of, read_vectors
from cooc_engine.models.file import open_model
from cooc_engine.models.published import Published
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.models.subwords import SubwordRows
from cooc_engine.runtime.types import Floats, Mask, Matrix, Rows
from cooc_engine.text.tokenizers import Splitting
from cooc_engine.vectors.profiles import profile_factor
from cooc_engine.vectors.search import (
    BLOCK,
    DENSE,
    QUERIES,
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
from cooc_engine.vectors.sentences import word_table
from cooc_engine.vectors.spelling import similar_spelling

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["REVERSED", "Vectors", "nn"]

COSMUL_EPSILON = 1e-6  # keeps 3CosMul from dividing by zero; gensim's value
SIF = 1e-3  # a in a / (a + P(w)), the value of Arora et al. (2017)
REVERSED = "GloVe's vectors are longest for frequent words, which say little: this ranking puts the least telling words first"

Answers = list[tuple[str, float]]
Keys = str | Matrix | Sequence[str | Matrix]
Text = str | Iterable[str]


class Vectors:
    """V words and their vectors, and queries on them; row i, float32 (d,), belongs to word i, most frequent words first.

    `word in kv`, `kv[word]`, `kv[[word, ...]]` and `len(kv)` work as in gensim. A word that is not in the vocabulary
    raises `UnknownWordError`, which is a `KeyError` too, unless its subwords give it a vector, as in fastText's models. Vectors
    that are sums of a model's matrices are added only where needed, and words are looked up in a model file's mapped
    index: opening reads almost nothing.

    Similarity is the cosine unless stated otherwise. In models where the inner product of two vectors is the words' PMI (tied
    simpler-GloVe, approximately PMI-SVD), `related`, `similar`, `norms`, `keywords` and sums over sentences have a
    statistical meaning (Su Jianlin 2017). Function words have nearly random directions there and may appear as neighbours.
    """

    def __init__(
        self,
        words: Vocabulary | Iterable[str],
        matrix: npt.ArrayLike | Published | SparseVectors,
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
        if not isinstance(words, Vocabulary):
            words = list(words)
            words = Vocabulary.from_words(words, [0] * len(words))
        self.vocabulary, self.family, self._splitting = words, family, splitting or Splitting({})
        self._rows: RowReader = matrix if isinstance(matrix, Published | SparseVectors) else np.asarray(matrix, np.float32)
        self._digest, self._subwords = digest, subwords
        if len(self._rows.shape) != 2 or self._rows.shape[0] != len(words):
            raise FormatError(f"{len(words)} words do not fit a matrix of shape {self._rows.shape}")
        self._exact = search_of(self._rows)
        self._search: Search = self._exact

    @classmethod
    def open(cls, path: Path | str, *, trust_tokenizer: bool = False) -> Self:
        """Open the published vectors of a model file, or a file of vectors in any format that `export_vectors` writes.

        If a model names a Python function as tokenizer, that is code from a file: methods that take a text raise `UsageError`,
        unless `trust_tokenizer`, and then import it from `sys.path`. Raises what `open_model` and `read_vectors` raise.
        """
        if format_of(path) is not None:
            found = read_vectors(path)
            return cls(found.vocabulary, found.vectors, subwords=found.subwords)
        model = open_model(path)
        splitting = Splitting(model.config.get("encode", {}), path, trust_tokenizer)
        known: Any = {"family": model.family, "digest": model.digest, "subwords": model.subwords}
        return cls(model.vocabulary, model.rows(), splitting=splitting, **known)

    # --------------------------------------------------------------------------------------------------------------- access

    @functools.cached_property
    def vectors(self) -> Matrix:
        """All vectors, float32 (V, d); those that are sums are computed at first use and kept. Explicit ones stay sparse."""
        found: Matrix = self._rows[:]
        return found

    def part(self, begin: int, end: int) -> Matrix | SparseVectors:
        """Return the vectors of rows begin:end; explicit ones stay sparse."""
        found: Matrix | SparseVectors = self._rows[begin:end]
        return found

    def some(self, rows: Rows) -> Self:
        """Return the words and vectors of the given rows; explicit ones stay sparse."""
        words = self.index_to_key
        vectors = self._rows.take(rows) if isinstance(self._rows, SparseVectors) else self._rows[rows]
        known: Any = {"family": self.family, "splitting": self._splitting, "subwords": self._subwords}
        return type(self)([words[row] for row in rows], vectors, **known)

    @functools.cached_property
    def digest(self) -> str:
        """Digest that identifies these words and vectors: that of the model, or else SHA-256 over all of them."""
        if self._digest:
            return self._digest
        found = hashlib.sha256(self.vocabulary.digest.encode())
        for start in range(0, len(self), self._step):
            found.update(np.ascontiguousarray(self._rows[start : start + self._step]).data)
        return found.hexdigest()

    @property
    def _step(self) -> int:
        """Number of vectors copied at a time."""
        return max(1, min(BLOCK, DENSE // max(1, self.vector_size)))

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

    def __contains__(self, word: object) -> bool:
        """Tell whether the word is in the vocabulary."""
        return isinstance(word, str) and self._find(word) >= 0

    def __getitem__(self, word: str | Sequence[str]) -> Matrix:
        """Return the vector (d,) of a word, or the vectors (n, d) of several."""
        if not isinstance(word, str):
            return self._asked(word, hint=False)[0]
        row = self._find(word)
        vector: Matrix = self._rows[row] if row >= 0 else self._asked([word], hint=False)[0][0]
        return vector

    def get_vector(self, word: str, norm: bool = False) -> Matrix:
        """Return the vector (d,) of a word; scaled to length 1 with `norm`."""
        vector: Matrix = scaled(self[word][None])[0] if norm else self[word]
        return vector

    def vector(self, word: str, oov: str = "subword") -> Matrix:
        """Return the vector (d,) of a word; for one outside the vocabulary what `oov` says.

        "subword": the mean of its n-grams, or an error where it has none; "zero": zeros; "raise": an error.
        """
        if oov not in ("subword", "zero", "raise"):
            raise UsageError(f"oov is {oov!r}; it must be subword, zero or raise")
        row = self._find(word)
        if row < 0 and oov == "zero":
            return np.zeros(self.vector_size, np.float32)
        vector: Matrix = self[word] if oov == "subword" else self._rows[self.row(word)]
        return vector

    def get_word_vector(self, word: str) -> Matrix:
        """Return the vector (d,) of a word, or else the mean of its n-grams, or else zeros, as fastText's program does."""
        found: Matrix = self._vectors([word], self._rows_of([word]))[0][0]
        return found

    def get_subwords(self, word: str) -> tuple[list[str], Rows]:
        """Return what a word's vector is the mean of: the word itself, if it is in the vocabulary, and its n-grams.

        Their rows are those of fastText's program: that of the word, and V plus the bucket of an n-gram.
        """
        row = self._find(word)
        ngrams, rows = self._subwords.subwords.of(word) if self._subwords else ([], np.empty(0, np.int64))
        own = [row] if row >= 0 else []
        return [word] * len(own) + ngrams, np.concatenate([np.array(own, np.int64), len(self) + rows])

    # ---------------------------------------------------------------------------------------------------------------- words

    def row(self, word: str) -> int:
        """Return the row of a word."""
        row = self._find(word)
        if row < 0:
            raise self._unknown(word, hint=False)
        return row

    def _find(self, word: str) -> int:
        return self.vocabulary.find(word) if self.vocabulary.order is not None else self.vocabulary.ids.get(word, -1)

    def rows_of(self, words: Iterable[str], limit: int | None = None) -> Rows:
        """Return the row of each word, as written or else lower-cased; -1 if neither is among the first `limit` words."""
        limit = len(self) if limit is None else limit

        @functools.cache
        def row_of(word: str) -> int:
            rows = (self._find(variant) for variant in (word, word.lower()))
            return next((row for row in rows if 0 <= row < limit), -1)

        return np.fromiter(map(row_of, words), np.int64)

    def words_of(self, sentence: Text) -> list[str]:
        """Return the words of a text, tokenized as the model's text was; a list of words is returned unchanged."""
        return self._cut(sentence) if isinstance(sentence, str) else list(sentence)

    def knows(self, sentence: Text) -> bool:
        """Tell whether any word of a text has a vector, as written or lower-cased."""
        words = self.words_of(sentence)
        return bool((self.rows_of(words) >= 0).any() or (words and self.outside(words)[1].any()))

    @functools.cached_property
    def _cut(self) -> Any:
        return self._splitting.cut()

    def outside(self, words: Sequence[str]) -> tuple[Matrix, Mask]:
        """Return vectors (n, d) for words outside the vocabulary, and whether each has one (n,): the means of their n-grams.

        Without subwords none has one. A subclass that makes them otherwise overrides only this method: all queries and
        evaluations call it. Such a word is still not in the vocabulary, and never an answer.
        """
        if self._subwords is not None:
            return self._subwords.vectors(words)
        return np.zeros((len(words), self.vector_size), np.float32), np.zeros(len(words), bool)

    def _rows_of(self, words: Sequence[str]) -> Rows:
        """Return the row of each word as written; -1 if it is not in the vocabulary."""
        return np.fromiter(map(self._find, words), np.int64, len(words))

    def _vectors(self, words: Sequence[str], rows: Rows) -> tuple[Matrix, Mask]:
        """Return the vectors (n, d) of words, zeros where there is none, and whether each has one.

        `rows` are the rows of the words, -1 outside the vocabulary.
        """
        known = rows >= 0
        if known.all():
            return self._rows[rows], known
        vectors = np.zeros((len(rows), self.vector_size), np.float32)
        vectors[known] = self._rows[rows[known]]
        missing = np.flatnonzero(~known)
        made, has = self.outside([words[at] for at in missing.tolist()])
        vectors[missing[has]], known[missing] = made[has], has
        return vectors, known

    def _asked(self, words: Sequence[str], hint: bool = True) -> tuple[Matrix, Rows]:
        """Return the vectors (n, d) of words as written, and their rows or -1; raise if one has no vector."""
        rows = self._checked(words, hint)
        return self._vectors(words, rows)[0], rows

    def _checked(self, words: Sequence[str], hint: bool = True) -> Rows:
        """Return the rows of words as written, -1 outside the vocabulary; raise if one has no vector either way."""
        rows = self._rows_of(words)
        missing = [words[at] for at in np.flatnonzero(rows < 0).tolist()]
        known = self.outside(missing)[1] if missing else np.ones(0, bool)
        if not known.all():
            raise self._unknown(missing[int(known.argmin())], hint)
        return rows

    def _unknown(self, word: str, hint: bool) -> UnknownWordError:
        near = similar_spelling(word, self.vocabulary) if hint else None
        return UnknownWordError(f"{word!r} is not in the vocabulary" + (f"; did you mean {near!r}?" if near else ""))

    # ----------------------------------------------------------------------------------------------------------- comparison

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
        return scaled(self._rows[rows])

    def cosines(self, words1: Iterable[str], words2: Iterable[str]) -> tuple[Floats, Mask]:
        """Return the cosines of pairs of words, float64 (n,), within -1..1, and whether both words have a vector, (n,).

        Words are looked up as in `rows_of`.
        """
        first, second = list(words1), list(words2)
        rows1, rows2 = self.rows_of(first), self.rows_of(second)
        result, known = np.empty(len(first)), np.empty(len(first), bool)
        for start in range(0, len(first), self._step):
            part = slice(start, start + self._step)
            a, there = self._vectors(first[part], rows1[part])
            b, also_there = self._vectors(second[part], rows2[part])
            result[part], known[part] = cosines(a, b), there & also_there
        return result, known

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
        for start in range(0, len(known), self._step):
            part = known[start : start + self._step]
            table[part] = (others @ self.unit_rows(rows[part]).T).T * factors
        return table

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]] = ()) -> tuple[Rows, Matrix]:
        """Return rows and cosines, both (q, topn), of the vectors nearest to each query vector, best first.

        queries   (q, d) float32, of any length
        exclude   for each query the rows that must not be answers; empty for none

        Equal cosines are ordered by row. Where there are fewer than `topn` answers, the rest are row -1.
        """
        return self._search.nearest(queries, top(len(self), topn), exclude or [()] * len(queries))

    # --------------------------------------------------------------------------------------------------- similarity

    def similarity(self, word1: str, word2: str) -> float:
        """Return the cosine of two words' vectors."""
        vectors, _ = self._asked([word1, word2], hint=False)
        return float(cosines(vectors[:1], vectors[1:])[0])

    def n_similarity(self, words1: Sequence[str], words2: Sequence[str]) -> float:
        """Return the cosine between the mean vectors of two lists of words."""
        if not len(words1) or not len(words2):
            raise UsageError("n_similarity needs at least one word on each side")
        means = [self._asked(words)[0].astype(np.float64).mean(0) for words in (words1, words2)]
        return float(cosines(means[0][None], means[1][None])[0])

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Return the word whose vector is farthest, by cosine, from the mean of all the words' unit vectors."""
        if len(words) < 2:
            raise UsageError("doesnt_match needs at least two words")
        units = scaled(self._asked(words)[0]).astype(np.float64)
        return words[int((units @ units.mean(0)).argmin())]

    def most_similar(self, positive: Keys = (), negative: Keys = (), topn: int = 10) -> Answers:
        """Return the `topn` words nearest to the mean of the unit vectors of `positive` and the negated ones of `negative`.

        Either is a word, a vector, or a sequence of them; the given words are not among the answers. With two positive words
        and one negative this is the analogy by 3CosAdd (Mikolov et al. 2013; Levy and Goldberg 2014).
        """
        plus, minus, given = self._units(positive, negative)
        query = plus.sum(0, dtype=np.float64) - minus.sum(0, dtype=np.float64)
        return self._answers(*self.nearest(query[None, :].astype(np.float32), topn, [given]))[0]

    def most_similar_cosmul(self, positive: Keys = (), negative: Keys = (), topn: int = 10) -> Answers:
        """Return the `topn` words with the highest product of (1 + cos) / 2 over `positive`, divided by that over `negative`.

        With two positive words and one negative this is the analogy by 3CosMul (Levy and Goldberg 2014).
        """
        plus, minus, given = self._units(positive, negative)
        units, kept = np.concatenate([plus, minus]).T.copy(), len(plus)

        def score(start: int, block: Matrix) -> Matrix:
            shifted = (self._exact.cosines_with(units, start, block) + 1) / 2
            products: Matrix = shifted[:, :kept].prod(1) / (shifted[:, kept:].prod(1) + np.float32(COSMUL_EPSILON))
            return products[:, None]

        return self._found(score, topn, given)

    def _units(self, positive: Keys, negative: Keys) -> tuple[Matrix, Matrix, list[int]]:
        """Return unit vectors of the positive and of the negative keys, and the rows of all keys that are in the vocabulary."""
        keys = [*_several(positive), *_several(negative)]
        if not keys:
            raise UsageError("most_similar needs at least one word or vector")
        vectors, rows = self._asked([key for key in keys if isinstance(key, str)])
        words = iter(scaled(vectors))
        units = np.stack([next(words) if isinstance(key, str) else _unit(key, self.vector_size) for key in keys])
        return units[: len(_several(positive))], units[len(_several(positive)) :], _inside(rows)

    def analogy(self, a: str, b: str, c: str, topn: int = 10) -> Answers:
        """Return the words that are to `c` as `b` is to `a`, by 3CosAdd on unit vectors; the three words are left out."""
        return self.most_similar(positive=[b, c], negative=[a], topn=topn)

    def neighbours(self, words: Sequence[str], topn: int = 10) -> dict[str, Answers]:
        """Return for each word the `topn` other words with the largest cosine; many words are answered at once."""
        words = [words] if isinstance(words, str) else words
        rows = self._checked(words)
        answers: list[Answers] = []
        together = min(QUERIES, self._step)
        for start in range(0, len(rows), together):
            part = slice(start, start + together)
            queries, _ = self._vectors(words[part], rows[part])
            answers += self._answers(*self.nearest(queries, topn, [_inside(row) for row in rows[part, None]]))
        return dict(zip(words, answers, strict=True))

    # ---------------------------------------------------------------------------------------------------------- PMI

    def related(self, word: str, topn: int = 10, normalize: bool = False) -> Answers:
        """Return the `topn` words with the largest inner product with a word, which in PMI models is their PMI.

        A PMI of 0 means independence. With `normalize` vectors are scaled to length 1, and the inner product is the cosine.
        """
        if normalize:
            return self.most_similar(word, topn=topn)
        vector, row = self._asked([word])
        query = vector.T.copy()
        return self._found(lambda _, block: block @ query, topn, _inside(row))

    def similar(self, word: str, topn: int = 10, context_words: int = 10_000) -> Answers:
        """Return the `topn` words whose PMI with the first `context_words` words correlates best with that of a word.

        A word's profile consists of the inner products of its vector with those of the N most frequent words. With V the
        centred vectors of these, and V'V = UU' (Cholesky; where that fails, or N is at most d, U is R' of V = QR), the Pearson
        correlation of two profiles is the cosine of v_i U and v_j U. N of about 10,000 finds words of the same topic, about
        500 words of the same grammatical kind (Su Jianlin 2017).
        """
        if context_words < 2:
            raise UsageError(f"context_words is {context_words}; it must be at least 2")
        vector, row = self._asked([word])
        factor = self._profiles(min(context_words, len(self)))
        query = scaled(vector @ factor).T.copy()

        def score(_: int, block: Matrix) -> Matrix:
            profiles: Matrix = block @ factor
            scores: Matrix = (profiles @ query) * inverse_norms(profiles)[:, None]
            return scores

        return self._found(score, topn, _inside(row))

    @functools.cached_property
    def _profiles(self) -> Callable[[int], Matrix]:
        return functools.lru_cache(maxsize=4)(functools.partial(profile_factor, self._rows))

    def norms(self, words: Sequence[str] | None = None) -> tuple[Floats, Floats]:
        """Return |v|^2 and -log P(w) of words, by default of all: (n,) each; NaN where a word's count is unknown.

        In simpler-GloVe the first is nearly a linear function of the second: the norm measures how informative a word is.
        """
        rows = np.arange(len(self)) if words is None else self._checked(words)
        if isinstance(self._rows, SparseVectors) and (rows >= 0).all():
            return self._rows.take(rows).lengths().astype(np.float64) ** 2, self._surprise(rows)
        squares = np.empty(len(rows))
        for start in range(0, len(rows), self._step):
            part = slice(start, start + self._step)
            block = self._vectors((words or ())[part], rows[part])[0].astype(np.float64)
            squares[part] = np.einsum("ij,ij->i", block, block)
        return squares, self._surprise(rows)

    def _surprise(self, rows: Rows) -> Floats:
        shares = self._shares(rows)
        found: Floats = -np.log(np.where(shares > 0, shares, np.nan))
        return found

    def _shares(self, rows: Rows) -> Floats:
        """Return P(w), the relative frequency of each word in the text; 0 where its count is unknown."""
        counts = self.vocabulary.counts[rows] if (rows >= 0).all() else np.where(rows >= 0, self.vocabulary.counts[rows], 0)
        found: Floats = counts / max(self._total, 1)
        return found

    @functools.cached_property
    def _total(self) -> int:
        return int(self.vocabulary.counts.sum(dtype=np.float64))

    # ---------------------------------------------------------------------------------------------------- sentences

    def sentence_vector(self, sentence: Text, how: str = "sum") -> Matrix:
        """Return a vector (d,) for a text, or a list of words, from the vectors of its words.

        sum    the sum: with PMI vectors (simpler-GloVe) its inner products are sums of the PMI of the sentence's words
        mean   the sum divided by the number of words
        sif    mean of a / (a + P(w)) v_w, a = 0.001: the weights of Arora, Liang and Ma (2017), without their second step
               (removing the common component of a set of sentences)

        A text is tokenized as the model's own was. Words are looked up as written or else lower-cased; others are left out,
        and a sentence without a known word gives zeros.
        """
        found: Matrix = self.sentence_vectors([sentence], how)[0]
        return found

    def sentence_vectors(self, sentences: Sequence[Text], how: str = "sum") -> Matrix:
        """Return the vectors (n, d) of many texts, as `sentence_vector` does of one; each distinct word is looked up once."""
        return self._summed(sentences, how).astype(np.float32)

    def _summed(self, sentences: Sequence[Text], how: str) -> Floats:
        if how not in ("sum", "mean", "sif"):
            raise UsageError(f"how is {how!r}; it must be one of sum, mean, sif")
        words, table = word_table([self.words_of(sentence) for sentence in sentences])
        rows = self.rows_of(words)
        weights = np.ones(len(rows))
        if how == "sif":
            if self._total == 0:
                raise UsageError("sif weights words by their frequency, which is not known; import with --vocab")
            weights = SIF / (SIF + self._shares(rows))
        total, known = np.zeros((len(sentences), self.vector_size)), np.zeros(len(rows))
        for start in range(0, len(rows), self._step):
            part = slice(start, start + self._step)
            vectors, known[part] = self._vectors(words[part], rows[part])
            total += table[:, part] @ (weights[part, None] * vectors)
        return total if how == "sum" else total / np.maximum(1, table @ known)[:, None]

    def sentence_similarity(self, sentence1: Text, sentence2: Text, measure: str = "dot") -> float:
        """Return the inner product of two sentences' summed vectors, or their cosine (`measure` "dot" or "cosine").

        In PMI models the inner product is the sum of the PMI of each word of one sentence with each word of the other, which
        is the PMI of the sentences if their words are independent (Su Jianlin 2017).
        """
        a, b = self._summed([sentence1, sentence2], "sum")
        return float(a @ b) if _measured(measure) == "dot" else float(cosines(a[None], b[None])[0])

    def keywords(self, text: Text, topn: int = 10, measure: str = "dot") -> Answers:
        """Return the words of a text, ranked by the inner product, or cosine, of their vectors with the sum of all.

        Each word appears once. The ranking puts informative words first where these have long vectors (simpler-GloVe,
        PMI-SVD). In GloVe frequent words have long vectors, which reverses the ranking, and a `UserWarning` says so.
        """
        from cooc_engine.models.families import FAMILIES  # imports all option classes, which no other query needs

        if self.family in FAMILIES and FAMILIES[self.family].product == "log count":
            warnings.warn(REVERSED, stacklevel=2)
        words = self.words_of(text)
        rows = self.rows_of(words)
        named = [self.vocabulary.word(row) if row >= 0 else word for row, word in zip(rows.tolist(), words, strict=True)]
        unique = dict(zip(named, rows.tolist(), strict=True))
        vectors, known = self._vectors(list(unique), np.array(list(unique.values()), np.int64))
        names = [name for name, there in zip(unique, known, strict=True) if there]
        found: Floats = vectors[known].astype(np.float64)
        total, topn = self._summed([words], "sum")[0], top(max(1, len(names)), topn)
        values = found @ total if _measured(measure) == "dot" else cosines(found, np.broadcast_to(total, found.shape))
        return [(names[at], float(values[at])) for at in np.argsort(-values, kind="stable")[:topn]]

    # ------------------------------------------------------------------------------------------------------ answers

    def _found(self, score: Score, topn: int, exclude: Sequence[int]) -> Answers:
        return self._answers(*best_rows(self._rows, score, top(len(self), topn), [exclude]))[0]

    def _answers(self, rows: Rows, values: Matrix) -> list[Answers]:
        word: Callable[[int], str] = self.vocabulary.word
        pairs = zip(rows.tolist(), values.tolist(), strict=True)
        return [
            [(word(row), value) for row, value in zip(*pair, strict=True) if row >= 0 and value > -np.inf] for pair in pairs
        ]


def _measured(measure: str) -> str:
    if measure not in ("dot", "cosine"):
        raise UsageError(f"measure is {measure!r}; it must be dot or cosine")
    return measure


def _inside(rows: Rows) -> list[int]:
    """Return the rows that are not -1, those of words in the vocabulary."""
    found: list[int] = rows[rows >= 0].tolist()
    return found


def _several(keys: Keys) -> list[str | Matrix]:
    if isinstance(keys, str) or (isinstance(keys, np.ndarray) and keys.ndim == 1):
        return [keys]
    return list(keys)


def _unit(vector: Matrix, size: int) -> Matrix:
    wide = np.asarray(vector, np.float64)
    if wide.shape != (size,):
        raise UsageError(f"a vector of shape {wide.shape} was given; the model's vectors have {size} components")
    norm = np.linalg.norm(wide)
    return (wide / norm if norm else wide).astype(np.float32)


def nn(model_path: Path | str, words: Sequence[str], topn: int = 10) -> dict[str, Answers]:
    """Return for each of `words` its `topn` nearest neighbours in a model file, as pairs of word and cosine.

    Raises `UnknownWordError`, naming model and word, and what `open_model` raises.
    """
    vectors = Vectors.open(model_path)
    try:
        return vectors.neighbours(words, topn)
    except UnknownWordError as error:
        raise UnknownWordError(f"{model_path}: {error}") from None

"""Word vectors and queries on them: neighbours, PMI, sentences; those that gensim has too are in `keyed`.

Neighbours of many words are found together by blocked matrix products, which take at most 64 MB besides the matrix, however
many words there are. A method that uses another formula than the cosine says so.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.runtime.arguments import gated, items
from cooc_engine.runtime.types import Floats, Matrix, PathLike, Rows
from cooc_engine.vectors.keyed import KeyedQueries
from cooc_engine.vectors.profiles import profile_factor
from cooc_engine.vectors.search import QUERIES, cosines, inverse_norms, scaled, top
from cooc_engine.vectors.sentences import word_table
from cooc_engine.vectors.words import Answers, Text, inside

__all__ = ["REVERSED", "Vectors", "nn"]

SIF = 1e-3  # a in a / (a + P(w)), the value of Arora et al. (2017)
REVERSED = "GloVe's vectors are longest for frequent words, which say little: this ranking puts the least telling words first"


class Vectors(KeyedQueries):
    """V words and their vectors, and queries on them; row i, float32 (d,), belongs to word i, most frequent words first.

    >>> kv = Vectors.open("model.h5")
    >>> "tea" in kv, kv["tea"].shape, kv[["tea", "milk"]].shape
    (True, (10,), (2, 10))
    >>> kv.similarity("tea", "coffee") > kv.similarity("tea", "river")
    True

    `word in kv`, `kv[word]`, `kv[[word, ...]]` and `len(kv)` work as in gensim. A word that is not in the vocabulary
    raises `UnknownWordError`, which is a `KeyError` too, unless its subwords give it a vector, as in fastText's models. Vectors
    that are sums of a model's matrices are computed only where needed, and words are looked up in a model file's mapped
    index: opening reads almost nothing.

    Similarity is the cosine unless stated otherwise. In models where the inner product of two vectors is the words' PMI (tied
    simpler-GloVe, approximately PMI-SVD), `related`, `similar`, `norms`, `keywords` and sums over sentences have a
    statistical meaning (Su Jianlin 2017). Function words have nearly random directions there and may appear as neighbours.
    """

    @gated
    def analogy(self, a: str, b: str, c: str, topn: int = 10) -> Answers:
        """Return the words that are to `c` as `b` is to `a`, by 3CosAdd on unit vectors; the three words are left out."""
        return self.most_similar(positive=[b, c], negative=[a], topn=topn)

    @gated
    def neighbours(self, words: Sequence[str], topn: int = 10) -> dict[str, Answers]:
        """Return for each word the `topn` other words with the largest cosine; many words are answered at once."""
        words = [words] if isinstance(words, str) else words
        rows = self._checked(words)
        answers: list[Answers] = []
        for part in self._parts(len(rows), QUERIES):
            queries, _ = self._vectors(words[part], rows[part])
            answers += self._answers(*self.nearest(queries, topn, [inside(row) for row in rows[part, None]]))
        return dict(zip(words, answers, strict=True))

    # ---------------------------------------------------------------------------------------------------------- PMI

    @gated
    def related(self, word: str, topn: int = 10, normalize: bool = False) -> Answers:
        """Return the `topn` words with the largest inner product with a word, which in PMI models is their PMI.

        A PMI of 0 means independence. With `normalize` vectors are scaled to length 1, and the inner product is the cosine.
        """
        if normalize:
            return self.most_similar(word, topn=topn)
        vector, row = self._asked([word])
        query = vector.T.copy()
        return self._found(lambda _, block: block @ query, topn, inside(row))

    @gated
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

        return self._found(score, topn, inside(row))

    @functools.cached_property
    def _profiles(self) -> Callable[[int], Matrix]:
        return functools.lru_cache(maxsize=4)(functools.partial(profile_factor, self._rows))

    @gated
    def norms(self, words: Sequence[str] | None = None) -> tuple[Floats, Floats]:
        """Return |v|^2 and -log P(w) of words, by default of all: (n,) each; NaN where a word's count is unknown.

        In simpler-GloVe the first is nearly a linear function of the second: the norm measures how informative a word is.
        """
        rows = np.arange(len(self)) if words is None else self._checked([words] if isinstance(words, str) else words)
        if isinstance(self._rows, SparseVectors) and (rows >= 0).all():
            return self._rows.take(rows).lengths().astype(np.float64) ** 2, self._surprise(rows)
        squares = np.empty(len(rows))
        for part in self._parts(len(rows)):
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

    @gated
    def sentence_vector(self, sentence: Text, how: str = "sum") -> Matrix:
        """Return a vector (d,) for a text, or a list of words, from the vectors of its words.

        sum    the sum: with PMI vectors (simpler-GloVe) its inner products are sums of the PMI of the sentence's words
        mean   the sum divided by the number of words
        unit   the mean of the word vectors scaled to length 1, as fastText's program prints it for word vectors
        sif    mean of a / (a + P(w)) v_w, a = 0.001: the weights of Arora, Liang and Ma (2017), without their second step
               (removing the common component of a set of sentences)

        A text is tokenized as the model's own was. Words are looked up as written or else lower-cased; others are left out,
        and a sentence without a known word gives zeros.
        """
        found: Matrix = self.sentence_vectors([sentence], how)[0]
        return found

    @gated
    def sentence_vectors(self, sentences: Sequence[Text], how: str = "sum") -> Matrix:
        """Return the vectors (n, d) of many texts, as `sentence_vector` does of one; each distinct word is looked up once."""
        return self._summed(sentences, how).astype(np.float32)

    def _summed(self, sentences: Sequence[Text], how: str) -> Floats:
        if how not in ("sum", "mean", "unit", "sif"):
            raise UsageError(f"how is {how!r}; it must be one of sum, mean, unit, sif")
        wanted = "a list of texts, each a string or a list of words"
        sentences = items("sentences", sentences, wanted)
        words, table = word_table([self.words_of(sentence) for sentence in sentences])
        rows = self.rows_of(words)
        weights = np.ones(len(rows))
        if how == "sif":
            if self._total == 0:
                origin = "these vectors" if self._path is None else self._path
                raise UsageError(
                    f"{origin}: sif weights words by their frequency, which is not recorded; take mean, or import the vectors "
                    "with --vocab=FILE, a file of words and their counts"
                )
            weights = SIF / (SIF + self._shares(rows))
        total, known = np.zeros((len(sentences), self.vector_size)), np.zeros(len(rows))
        for part in self._parts(len(rows)):
            vectors, known[part] = self._vectors(words[part], rows[part])
            if how == "unit":
                vectors, known[part] = scaled(vectors), known[part] * vectors.any(1)
            total += table[:, part] @ (weights[part, None] * vectors)
        return total if how == "sum" else total / np.maximum(1, table @ known)[:, None]

    @gated
    def sentence_similarity(self, sentence1: Text, sentence2: Text, measure: str = "dot") -> float:
        """Return the inner product of two sentences' summed vectors, or their cosine (`measure` "dot" or "cosine").

        In PMI models the inner product is the sum of the PMI of each word of one sentence with each word of the other, which
        is the PMI of the sentences if their words are independent (Su Jianlin 2017).
        """
        a, b = self._summed([sentence1, sentence2], "sum")
        return float(a @ b) if _measured(measure) == "dot" else float(cosines(a[None], b[None])[0])

    @gated
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


def _measured(measure: str) -> str:
    if measure not in ("dot", "cosine"):
        raise UsageError(f"measure is {measure!r}; it must be dot or cosine")
    return measure


@gated
def nn(model_path: PathLike, words: Sequence[str], topn: int = 10) -> dict[str, Answers]:
    """Return for each of `words` its `topn` nearest neighbours in a model file, as pairs of word and cosine.

    >>> [word for word, cosine in nn("model.h5", ["tea"], topn=2)["tea"]]
    ['coffee', 'hot']

    Raises `UnknownWordError`, naming model and word, and what `open_model` raises.
    """
    vectors = Vectors.open(model_path)
    try:
        return vectors.neighbours(words, topn)
    except UnknownWordError as error:
        raise UnknownWordError(f"{model_path}: {error}") from None

"""Asking word vectors, with gensim's names: similarity, neighbours, analogies; and what the vectors of PMI models say more.

Neighbours of many words are found together by products of blocks, which take no more than 64 MB beside the matrix,
however many words there are. Where a formula is not the plain cosine, its method says it.
"""

from __future__ import annotations

import difflib
import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.models.sparse_vectors import SPARSE, SparseVectors
from cooc_engine.vectors.search import BLOCK, QUERIES, Ids, Matrix, Rows, Score, best_rows, inverse_norms, top
from cooc_engine.vectors.words import WordVectors, cosines

__all__ = ["REVERSED", "Vectors", "nn"]

SPELLINGS = 20_000  # the most frequent words, among which a misspelt one is looked for
COSMUL_EPSILON = 1e-6  # keeps 3CosMul from dividing by zero; gensim's value
SIF = 1e-3  # a of a / (a + P(w)), as Arora et al. (2017) have it
REVERSED = "vectors of GloVe are long for frequent words, which say little: this ranking puts the least telling words first"

Answers = list[tuple[str, float]]
Keys = str | Matrix | Sequence[str | Matrix]
Text = str | Iterable[str]


class Vectors(WordVectors):
    """V words and their vectors, and what can be asked of them.

    Similarity is the cosine unless said otherwise. Where the inner product of two vectors is the words' PMI (tied
    simpler-GloVe, nearly PMI-SVD), `related`, `similar`, `norms`, `keywords` and the sums of sentences have a meaning in
    statistics (Su Jianlin 2017). The directions of function words are nearly random there: they may turn up as neighbours.
    """

    # --------------------------------------------------------------------------------------------------- similarity

    def similarity(self, word1: str, word2: str) -> float:
        """Return the cosine of two words' vectors."""
        return float(self.cosines([self.row(word1)], [self.row(word2)])[0])

    def n_similarity(self, words1: Sequence[str], words2: Sequence[str]) -> float:
        """Return the cosine of the means of two lists of words' vectors."""
        if not len(words1) or not len(words2):
            raise UsageError("n_similarity needs at least one word on each side")
        means = [self._rows[[self._row_or_hint(w) for w in words]].astype(np.float64).mean(0) for words in (words1, words2)]
        return float(cosines(means[0][None], means[1][None])[0])

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Return the word that is farthest, by cosine, from the mean of all of their unit vectors."""
        if len(words) < 2:
            raise UsageError("doesnt_match needs at least two words")
        units = self.unit([self._row_or_hint(word) for word in words]).astype(np.float64)
        return words[int((units @ units.mean(0)).argmin())]

    def most_similar(self, positive: Keys = (), negative: Keys = (), topn: int = 10) -> Answers:
        """Return the `topn` words nearest to the mean of the unit vectors of `positive` and minus those of `negative`.

        Either is a word, a vector, or several of them; words that were given are not among the answers. With two
        positive words and a negative one this is the analogy by 3CosAdd (Mikolov et al. 2013; Levy and Goldberg 2014).
        """
        plus, minus, given = self._units(positive, negative)
        query = plus.sum(0, dtype=np.float64) - minus.sum(0, dtype=np.float64)
        return self._answers(*self.nearest(query[None, :].astype(np.float32), topn, [given]))[0]

    def most_similar_cosmul(self, positive: Keys = (), negative: Keys = (), topn: int = 10) -> Answers:
        """Return the `topn` words of the highest product of (1 + cos) / 2 with `positive`, over that with `negative`.

        With two positive words and a negative one this is the analogy by 3CosMul (Levy and Goldberg 2014).
        """
        plus, minus, given = self._units(positive, negative)
        units, kept = np.concatenate([plus, minus]).T.copy(), len(plus)

        def score(start: int, block: Matrix) -> Matrix:
            shifted = (self._cosines_with(units, start, block) + 1) / 2
            products: Matrix = shifted[:, :kept].prod(1) / (shifted[:, kept:].prod(1) + np.float32(COSMUL_EPSILON))
            return products[:, None]

        return self._found(score, topn, given)

    def _units(self, positive: Keys, negative: Keys) -> tuple[Matrix, Matrix, list[int]]:
        """Return unit vectors of the positive and the negative keys, and the rows of those that are words."""
        keys = [*_several(positive), *_several(negative)]
        if not keys:
            raise UsageError("most_similar needs at least one word or vector")
        given = [self._row_or_hint(key) for key in keys if isinstance(key, str)]
        rows = iter(self.unit(given))
        units = np.stack([next(rows) if isinstance(key, str) else _unit(key, self.vector_size) for key in keys])
        return units[: len(_several(positive))], units[len(_several(positive)) :], given

    def analogy(self, a: str, b: str, c: str, topn: int = 10) -> Answers:
        """Return the words that are to `c` what `b` is to `a`, by 3CosAdd on unit vectors; the three are left out."""
        return self.most_similar(positive=[b, c], negative=[a], topn=topn)

    def neighbours(self, words: Sequence[str], topn: int = 10) -> dict[str, Answers]:
        """Return for each word the `topn` others of the largest cosine; all words are answered together."""
        words = [words] if isinstance(words, str) else words
        rows = [self._row_or_hint(word) for word in words]
        answers: list[Answers] = []
        together = min(QUERIES, self._step)
        for start in range(0, len(rows), together):
            part = rows[start : start + together]
            answers += self._answers(*self.nearest(self._rows[part], topn, [[row] for row in part]))
        return dict(zip(words, answers, strict=True))

    # ---------------------------------------------------------------------------------------------------------- PMI

    def related(self, word: str, topn: int = 10, normalize: bool = False) -> Answers:
        """Return the `topn` words of the largest inner product with a word, which is their PMI where the model is of that kind.

        0 means independent. With `normalize` both vectors have length 1 first: then it is the cosine.
        """
        if normalize:
            return self.most_similar(word, topn=topn)
        row = self._row_or_hint(word)
        query = self._rows[[row]].T.copy()
        return self._found(lambda _, block: block @ query, topn, [row])

    def similar(self, word: str, topn: int = 10, context_words: int = 10_000) -> Answers:
        """Return the `topn` words whose PMI with the first `context_words` words correlates most with that of a word.

        A word's profile is the inner products of its vector with those of the N most frequent words; with V the centred
        vectors of these, and V'V = UU' (Cholesky; where that fails, or N is at most d, U is R' of V = QR), the Pearson
        correlation of two profiles is the cosine of v_i U and v_j U. N about 10,000 finds words of the same topic, N about
        500 words of the same grammar (Su Jianlin 2017).
        """
        if context_words < 2:
            raise UsageError(f"context_words is {context_words}; it must be at least 2")
        row = self._row_or_hint(word)
        factor = self._profiles(min(context_words, len(self)))
        query = self._rows[[row]] @ factor
        query = (query * inverse_norms(query)[:, None]).T.copy()

        def score(_: int, block: Matrix) -> Matrix:
            profiles = block @ factor
            scores: Matrix = (profiles @ query) * inverse_norms(profiles)[:, None]
            return scores

        return self._found(score, topn, [row])

    @functools.cached_property
    def _profiles(self) -> Callable[[int], Matrix]:
        return functools.lru_cache(maxsize=4)(functools.partial(profile_factor, self._rows))

    def norms(self, words: Sequence[str] | None = None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return |v|^2 and -log P(w) of words, of all if None: (n,) each; NaN where a word's count is not known.

        The first is nearly a straight function of the second in simpler-GloVe: a norm says how much a word says.
        """
        rows = np.arange(len(self)) if words is None else np.array([self._row_or_hint(word) for word in words], np.int64)
        if isinstance(self._rows, SparseVectors):
            return self._rows.take(rows).lengths().astype(np.float64) ** 2, self._surprise(rows)
        squares = np.empty(len(rows))
        for start in range(0, len(rows), self._step):
            block = self._rows[rows[start : start + self._step]].astype(np.float64)
            squares[start : start + self._step] = np.einsum("ij,ij->i", block, block)
        return squares, self._surprise(rows)

    def _surprise(self, rows: Ids) -> npt.NDArray[np.float64]:
        shares = self._shares(rows)
        found: npt.NDArray[np.float64] = -np.log(np.where(shares > 0, shares, np.nan))
        return found

    def _shares(self, rows: Ids) -> npt.NDArray[np.float64]:
        """Return P(w), the share of the words of the text that are this one; 0 where counts are not known."""
        found: npt.NDArray[np.float64] = self.vocabulary.counts[rows] / max(self._total, 1)
        return found

    @functools.cached_property
    def _total(self) -> int:
        return int(self.vocabulary.counts.sum())

    # ---------------------------------------------------------------------------------------------------- sentences

    def sentence_vector(self, sentence: Text, how: str = "sum") -> Matrix:
        """Return a vector (d,) for a text, or a list of words, from the vectors of its words.

        sum    of all: with PMI vectors its inner products are those of the sentence's words (simpler-GloVe)
        mean   the same over the number of words
        sif    mean of a / (a + P(w)) v_w, a = 0.001: the weights of Arora, Liang and Ma (2017), without their second step
               (to take the common component from a set of sentences)

        A text is cut as the model's own was. Words are looked up as written, else lower-cased; others are left out, and a
        sentence without a known word is zeros.
        """
        return self._summed(self._sentence(sentence), how).astype(np.float32)

    def _sentence(self, sentence: Text) -> Ids:
        rows = self.rows_of(self.words_of(sentence))
        return rows[rows >= 0]

    def _summed(self, rows: Ids, how: str) -> npt.NDArray[np.float64]:
        if how not in ("sum", "mean", "sif"):
            raise UsageError(f"how is {how!r}; it must be one of sum, mean, sif")
        weights = np.ones(len(rows))
        if how == "sif":
            if self._total == 0:
                raise UsageError("sif weighs words by their frequency, which is not known; import with --vocab")
            weights = SIF / (SIF + self._shares(rows))
        total = np.zeros(self.vector_size)
        for start in range(0, len(rows), self._step):
            part = slice(start, start + self._step)
            total += weights[part] @ self._rows[rows[part]]
        return total if how == "sum" else total / max(1, len(rows))

    def sentence_similarity(self, sentence1: Text, sentence2: Text, measure: str = "dot") -> float:
        """Return the inner product of the sums of two sentences' vectors, or its cosine (`measure` "dot" or "cosine").

        The inner product is the sum of the PMI of each word of the one with each of the other, which is the PMI of the
        sentences if their words are independent (Su Jianlin 2017).
        """
        a, b = (self._summed(self._sentence(sentence), "sum") for sentence in (sentence1, sentence2))
        return float(a @ b) if _measured(measure) == "dot" else float(cosines(a[None], b[None])[0])

    def keywords(self, text: Text, topn: int = 10, measure: str = "dot") -> Answers:
        """Return the words of a text by the inner product, or cosine, of their vectors with the sum of all of them.

        Each word stands once. The ranking puts telling words first where long vectors are telling (simpler-GloVe, PMI-SVD);
        vectors of GloVe are long for frequent words: then it is reversed, and a `UserWarning` says so.
        """
        if self.family == "glove":
            warnings.warn(REVERSED, stacklevel=2)
        rows = self._sentence(text)
        unique = np.array(list(dict.fromkeys(rows.tolist())), np.int64)
        total, topn = self._summed(rows, "sum"), top(max(1, len(unique)), topn)
        found = self._rows[unique].astype(np.float64)
        values = found @ total if _measured(measure) == "dot" else cosines(found, np.broadcast_to(total, found.shape))
        order = np.argsort(-values, kind="stable")[:topn]
        return [(self.vocabulary.word(int(unique[at])), float(values[at])) for at in order]

    # ------------------------------------------------------------------------------------------------------ answers

    def _found(self, score: Score, topn: int, exclude: Sequence[int]) -> Answers:
        return self._answers(*best_rows(self._rows, score, top(len(self), topn), [exclude]))[0]

    def _answers(self, rows: Ids, values: Matrix) -> list[Answers]:
        word: Callable[[int], str] = self.vocabulary.word
        pairs = zip(rows.tolist(), values.tolist(), strict=True)
        return [
            [(word(row), value) for row, value in zip(*pair, strict=True) if row >= 0 and value > -np.inf] for pair in pairs
        ]

    def _row_or_hint(self, word: str) -> int:
        """Return the row of a word, or raise naming a word of nearly the same spelling."""
        try:
            return self.row(word)
        except UnknownWordError as error:
            near = self._spelling(word)
            raise UnknownWordError(f"{error}; did you mean {near!r}?" if near else str(error)) from None

    def _spelling(self, word: str) -> str | None:
        for variant in (word.lower(), word.capitalize(), word.upper()):
            if variant in self:
                return variant
        start, lengths = word[:1].lower(), range(len(word) - 1, len(word) + 2)
        frequent = map(self.vocabulary.word, range(min(SPELLINGS, len(self))))
        close = (w for w in frequent if len(w) in lengths and w[:1].lower() == start)
        return next(iter(difflib.get_close_matches(word, close, 1, 0.7)), None)


def profile_factor(rows: Rows, count: int) -> Matrix:
    """Return U, float32 (d, at most d), with UU' = V'V for V the first `count` rows, centred; a block of them at a time."""
    if isinstance(rows, SparseVectors):
        raise UsageError(SPARSE)
    blocks = [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    size = int(rows.shape[1])
    mean = np.zeros(size)
    for part in blocks:
        mean += rows[part].sum(0, dtype=np.float64) / count
    if count > size:
        gram = np.zeros((size, size))
        for part in blocks:
            centred = rows[part] - mean
            gram += centred.T @ centred
        with suppress(np.linalg.LinAlgError):
            return np.linalg.cholesky(gram).astype(np.float32)
    triangle = np.empty((0, size))
    for part in blocks:
        triangle = np.linalg.qr(np.concatenate([triangle, rows[part] - mean]))[1]
    return np.ascontiguousarray(triangle.T, np.float32)


def _measured(measure: str) -> str:
    if measure not in ("dot", "cosine"):
        raise UsageError(f"measure is {measure!r}; it must be dot or cosine")
    return measure


def _several(keys: Keys) -> list[str | Matrix]:
    if isinstance(keys, str) or (isinstance(keys, np.ndarray) and keys.ndim == 1):
        return [keys]
    return list(keys)


def _unit(vector: Matrix, size: int) -> Matrix:
    wide = np.asarray(vector, np.float64)
    if wide.shape != (size,):
        raise UsageError(f"a vector of shape {wide.shape} was given where the model's have {size} numbers")
    norm = np.linalg.norm(wide)
    return (wide / norm if norm else wide).astype(np.float32)


def nn(model_path: Path | str, words: Sequence[str], topn: int = 10) -> dict[str, Answers]:
    """Return the `topn` nearest neighbours, by cosine, of words in a model file: for each word, words and cosines.

    Raises `UnknownWordError`, naming model and word, and what `open_model` raises.
    """
    vectors = Vectors.open(model_path)
    try:
        return vectors.neighbours(words, topn)
    except UnknownWordError as error:
        raise UnknownWordError(f"{model_path}: {error}") from None

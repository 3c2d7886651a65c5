"""Queries by cosine, in the words of gensim's KeyedVectors: neighbours, analogies, distances, means, ranks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.formats.vectors import read_vectors, write_vectors
from cooc_engine.runtime.arguments import gated, numbers
from cooc_engine.runtime.options import refusal
from cooc_engine.runtime.paths import NotSeveral, path_of, several
from cooc_engine.runtime.types import Floats, Matrix, PathLike
from cooc_engine.vectors import gensim_objects, gensim_tests
from cooc_engine.vectors.gensim_names import GensimNames
from cooc_engine.vectors.search import ExactSearch, cosines, scaled, top
from cooc_engine.vectors.words import Answers, Key, WordVectors, inside

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["KeyedQueries", "Keys"]

COSMUL_EPSILON = 1e-6  # keeps 3CosMul from dividing by zero; gensim's value
PARTS = 2  # parts of the vocabulary whose searches are kept

Weighted = tuple[Key | Matrix, float]
Keys = Key | Matrix | Sequence[Key | Matrix | Weighted] | None
"""A word, a vector, or a sequence of these, each alone or in a pair with its weight."""


class KeyedQueries(WordVectors, GensimNames):
    """Queries by cosine, named as in gensim, which give gensim's answers.

    Wherever a word is expected, the number of its row may be given. Unlike in gensim, a vector that is given is scaled to
    length 1, as those of words are.
    """

    # --------------------------------------------------------------------------------------------------- similarity

    @gated
    def similarity(self, word1: Key, word2: Key) -> float:
        """Return the cosine of two words' vectors."""
        vectors, _ = self._asked([word1, word2], hint=False)
        return float(cosines(vectors[:1], vectors[1:])[0])

    @gated
    def distance(self, word1: Key, word2: Key) -> float:
        """Return 1 - the cosine of two words' vectors."""
        return 1 - self.similarity(word1, word2)

    @gated
    def distances(self, word_or_vector: Key | Matrix, other_words: Sequence[Key] = ()) -> Matrix:
        """Return 1 - the cosine of a word or vector with each of `other_words`, by default with all words, (n,)."""
        unit = self._units([word_or_vector])[0]
        if len(other_words):
            found: Matrix = 1 - scaled(self._asked(_list(other_words))[0]) @ unit[0]
            return found
        return 1 - self._cosines_with(unit[0], 0, len(self))

    @staticmethod
    def cosine_similarities(vector_1: npt.NDArray[Any], vectors_all: npt.NDArray[Any]) -> Floats:
        """Return the cosines of a vector (d,) with vectors (n, d), (n,)."""
        one, all_of_them = numbers("vector_1", vector_1, 1), numbers("vectors_all", vectors_all, 2)
        if len(one) != all_of_them.shape[1]:
            raise UsageError(f"vector_1 has {len(one)} components, and those of vectors_all have {all_of_them.shape[1]}")
        return cosines(np.broadcast_to(one, all_of_them.shape), all_of_them)

    @gated
    def n_similarity(self, words1: Sequence[Key], words2: Sequence[Key]) -> float:
        """Return the cosine between the mean vectors of two lists of words."""
        if not len(words1) or not len(words2):
            raise UsageError("n_similarity needs at least one word on each side")
        means = [self._asked(_list(words))[0].astype(np.float64).mean(0) for words in (words1, words2)]
        return float(cosines(means[0][None], means[1][None])[0])

    @gated
    def relative_cosine_similarity(self, word1: Key, word2: Key, topn: int = 10) -> float:
        """Return the cosine of two words, divided by the sum of those of the first with its `topn` nearest words.

        Above 0.10 for ten words, two are likely to be synonyms (Leeuwenberg et al. 2016).
        """
        return self.similarity(word1, word2) / sum(value for _, value in self.most_similar(word1, topn=topn))

    @gated
    def most_similar_to_given(self, key1: Key, keys_list: Sequence[Key]) -> Key:
        """Return the word of a list that is nearest to a word."""
        if not len(keys_list):
            raise UsageError("keys_list is empty; it must have at least one word")
        nearest: Key = _list(keys_list)[int(self.distances(key1, keys_list).argmin())]
        return nearest

    @gated
    def closer_than(self, key1: Key, key2: Key) -> list[str]:
        """Return all words that are nearer to `key1` than `key2` is."""
        distances, (own, other) = self.distances(key1), self._rows_of([key1, key2])
        bound = distances[other] if other >= 0 else np.float32(self.distance(key1, key2))
        return [self.vocabulary.word(row) for row in np.flatnonzero(distances < bound).tolist() if row != own]

    def rank(self, key1: Key, key2: Key) -> int:
        """Return the place of `key2` among the words nearest to `key1`, from 1."""
        return len(self.closer_than(key1, key2)) + 1

    @gated
    def rank_by_centrality(self, words: Sequence[Key]) -> list[tuple[float, Key]]:
        """Return words with the cosines of their vectors with the mean of all the words' unit vectors, largest first."""
        units = scaled(self._asked(_list(words))[0]).astype(np.float64)
        values = units @ _unit(units.mean(0))
        return [(float(values[at]), words[at]) for at in np.argsort(-values, kind="stable")]

    @gated
    def doesnt_match(self, words: Sequence[Key]) -> Key:
        """Return the word whose vector is farthest, by cosine, from the mean of all the words' unit vectors."""
        if len(words) < 2:
            raise UsageError("doesnt_match needs at least two words")
        return self.rank_by_centrality(words)[-1][1]

    # -------------------------------------------------------------------------------------------------------- means

    @gated
    def get_mean_vector(
        self,
        keys: Sequence[Key | Matrix],
        weights: Sequence[float] | npt.NDArray[Any] | None = None,
        pre_normalize: bool = True,
        post_normalize: bool = False,
        ignore_missing: bool = True,
    ) -> Matrix:
        """Return the weighted mean (d,) of vectors and of the vectors of words, which are scaled to length 1 first.

        The sum is divided by that of the absolute weights. Words without a vector are left out, or, unless `ignore_missing`,
        raise `UnknownWordError`. `post_normalize` scales the mean to length 1.
        """
        keys = _list(keys)
        if not keys:
            raise UsageError("a mean needs at least one word")
        factors = np.ones(len(keys)) if weights is None else numbers("weights", weights, 1).astype(np.float64)
        if len(factors) != len(keys):
            raise UsageError(f"weights has {len(factors)} numbers for {len(keys)} words; pass a weight for each")
        words = [key for key in keys if not isinstance(key, np.ndarray)]
        found, known = self._vectors(words, self._rows_of(words))
        if not known.all() and not ignore_missing:
            raise self._unknown(words[int(known.argmin())], hint=True)
        made, there = iter(scaled(found) if pre_normalize else found), iter(known.tolist())
        size = self.vector_size
        rows = np.stack([_checked_vector(key, size) if isinstance(key, np.ndarray) else next(made) for key in keys])
        factors = factors * [isinstance(key, np.ndarray) or next(there) for key in keys]
        mean = factors @ rows.astype(np.float64) / (np.abs(factors).sum() or 1)
        result: Matrix = (_unit(mean) if post_normalize else mean).astype(np.float32)
        return result

    def get_normed_vectors(self) -> Matrix:
        """Return a copy of all vectors, scaled to length 1, (V, d)."""
        return self.unit_rows(np.arange(len(self)))

    # --------------------------------------------------------------------------------------------------- neighbours

    @overload
    def most_similar(
        self,
        positive: Keys = ...,
        negative: Keys = ...,
        topn: int = ...,
        clip_start: int = ...,
        clip_end: int | None = ...,
        restrict_vocab: int | None = ...,
    ) -> Answers: ...

    @overload
    def most_similar(
        self,
        positive: Keys,
        negative: Keys = ...,
        *,
        topn: None,
        clip_start: int = ...,
        clip_end: int | None = ...,
        restrict_vocab: int | None = ...,
    ) -> Matrix: ...

    @gated
    def most_similar(
        self,
        positive: Keys = (),
        negative: Keys = (),
        topn: int | None = 10,
        clip_start: int = 0,
        clip_end: int | None = None,
        restrict_vocab: int | None = None,
    ) -> Answers | Matrix:
        """Return the `topn` words nearest to the mean of the unit vectors of `positive` and the negated ones of `negative`.

        >>> [word for word, cosine in kv.most_similar("tea", topn=1)]
        ['coffee']
        >>> [word for word, cosine in kv.most_similar(["tea", ("milk", 0.5)], negative=["river"], topn=2)]
        ['with', 'coffee']

        Either is a word, a vector, or a sequence of them; a pair `(word, weight)` takes its weight in the place of 1 or -1. The
        given words are not among the answers. With two positive words and one negative this is the analogy by 3CosAdd
        (Mikolov et al. 2013; Levy and Goldberg 2014). Answers come from the rows `clip_start:clip_end`, or from the first
        `restrict_vocab`; with a `topn` of None they are the cosines of all these rows instead.
        """
        keys, weights = _weighted(positive, negative)
        units, given = self._units(keys)
        query = (weights @ units.astype(np.float64)).astype(np.float32)
        first, last = self._clip(clip_start, clip_end, restrict_vocab)
        if topn is None:
            return self._cosines_with(scaled(query[None])[0], first, last)
        if (first, last) == (0, len(self)):
            return self._answers(*self.nearest(query[None], topn, [given]))[0]
        left_out = [row - first for row in given if first <= row < last]
        rows, values = self._searched(first, last).nearest(query[None], top(last - first, topn), [left_out])
        return self._answers(np.where(rows >= 0, rows + first, -1), values)[0]

    @gated
    def similar_by_word(self, word: Key, topn: int = 10, restrict_vocab: int | None = None) -> Answers:
        """Return the `topn` words nearest to a word."""
        return self.most_similar(word, topn=topn, restrict_vocab=restrict_vocab)

    similar_by_key = similar_by_word

    @gated
    def similar_by_vector(self, vector: Matrix, topn: int = 10, restrict_vocab: int | None = None) -> Answers:
        """Return the `topn` words nearest to a vector."""
        return self.most_similar(vector, topn=topn, restrict_vocab=restrict_vocab)

    @gated
    def most_similar_cosmul(self, positive: Keys = (), negative: Keys = (), topn: int = 10) -> Answers:
        """Return the `topn` words with the highest product of (1 + cos) / 2 over `positive`, divided by that over `negative`.

        With two positive words and one negative this is the analogy by 3CosMul (Levy and Goldberg 2014).
        """
        keys, weights = _weighted(positive, negative)
        found, given = self._units(keys)
        kept = int((weights > 0).sum())
        units = found[np.argsort(-weights, kind="stable")].T.copy()

        def score(start: int, block: Matrix) -> Matrix:
            shifted = (self._exact.cosines_with(units, start, block) + 1) / 2
            products: Matrix = shifted[:, :kept].prod(1) / (shifted[:, kept:].prod(1) + np.float32(COSMUL_EPSILON))
            return products[:, None]

        return self._found(score, topn, given)

    def _units(self, keys: Sequence[Key | Matrix]) -> tuple[Matrix, list[int]]:
        """Return unit vectors of words and vectors, (n, d), and the rows of those words that are in the vocabulary."""
        if not len(keys):
            raise UsageError("at least one word or vector is needed")
        vectors, rows = self._asked([key for key in keys if not isinstance(key, np.ndarray)])
        words = iter(scaled(vectors))
        units = [_given(key, self.vector_size) if isinstance(key, np.ndarray) else next(words) for key in keys]
        return np.stack(units), inside(rows)

    def _cosines_with(self, unit: Matrix, first: int, last: int) -> Matrix:
        """Return the cosines of rows first:last with a vector of length 1, (last - first,)."""
        found, column = np.empty(last - first, np.float32), unit[:, None]
        for part in self._parts(len(found)):
            begin, end = first + part.start, first + part.stop
            found[part] = self._exact.cosines_with(column, begin, self._rows[begin:end])[:, 0]
        return found

    def _clip(self, start: int, end: int | None, restrict: int | None) -> tuple[int, int]:
        first, last = (0, restrict) if restrict else (start, end or len(self))
        if not 0 <= first < min(last, len(self)):
            raise UsageError(f"there are no rows {first}:{last}; the vocabulary has {len(self)} words")
        return first, min(last, len(self))

    @functools.cached_property
    def _searched(self) -> Callable[[int, int], ExactSearch]:
        return functools.lru_cache(PARTS)(lambda first, last: ExactSearch(self._rows[first:last]))

    # ------------------------------------------------------------------------------------- words, and other programs

    @gated
    def get_index(self, key: Key, default: int | None = None) -> int:
        """Return the row of a word; `default` for one that is not in the vocabulary, or `UnknownWordError` without that."""
        row = self._find(key)
        if row < 0 and default is None:
            raise self._unknown(key, hint=False)
        return row if row >= 0 or default is None else default

    def has_index_for(self, key: Key) -> bool:
        """Tell whether a word is in the vocabulary."""
        return key in self

    def get_vecattr(self, key: Key, attr: Literal["count"]) -> int:
        """Return how often a word occurs, the attribute "count"; there are no others."""
        if not isinstance(attr, str) or attr != "count":
            raise UnknownWordError(f"there is no attribute {attr!r}; the only one is 'count'")
        return int(self.vocabulary.counts[self.get_index(key)])

    @gated
    def vectors_for_all(self, keys: Iterable[str]) -> Self:
        """Return new vectors, of those of the given words that have one, each once and in their order."""
        words = list(dict.fromkeys(_list(keys)))
        vectors, known = self._vectors(words, self._rows_of(words))
        return self._with([word for word, there in zip(words, known, strict=True) if there], vectors[known])

    @gated
    def evaluate_word_pairs(
        self,
        pairs: PathLike,
        delimiter: str = "\t",
        restrict_vocab: int = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
    ) -> tuple[Any, Any, float]:
        """Return SciPy's Pearson and Spearman correlations with human scores, and the percentage of pairs left out.

        The numbers are gensim's: words are compared in upper case, and pairs with a word outside the first `restrict_vocab` are
        left out, or count as 0. `cooc_engine.evaluate` has more tests, intervals, and tells the coverage.
        """
        how = gensim_tests.Matching(self.index_to_key[:restrict_vocab], case_insensitive, dummy4unknown)
        return gensim_tests.word_pairs(self.similarity, how, path_of(pairs), delimiter)

    @gated
    def evaluate_word_analogies(
        self,
        analogies: PathLike,
        restrict_vocab: int = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
    ) -> tuple[float, list[dict[str, Any]]]:
        """Return the share of analogies answered right, and by section those answered right and wrong, as gensim does.

        As in gensim, answers that equal a word of the question in upper case are skipped, but only the nearest five are seen.
        """
        how = gensim_tests.Matching(self.index_to_key[:restrict_vocab], case_insensitive, dummy4unknown)
        near = functools.partial(self.most_similar, topn=5, restrict_vocab=restrict_vocab)
        return gensim_tests.word_analogies(near, how, path_of(analogies))

    @gated
    def save_word2vec_format(self, fname: PathLike, binary: bool = False, write_header: bool = True) -> None:
        """Write words and vectors in word2vec's format, text or binary, replacing a file; without its header in GloVe's."""
        if binary and not write_header:
            raise UsageError("word2vec's binary format begins with a header; leave write_header out")
        form = "word2vec-bin" if binary else "word2vec" if write_header else "glove"
        write_vectors(self.vocabulary, self._rows, fname, form, force=True)

    @classmethod
    @gated
    def load_word2vec_format(cls, fname: PathLike, binary: bool = False, no_header: bool = False) -> Self:
        """Open a file in word2vec's format, text or binary, or without its header; `open` recognises all these itself."""
        found = read_vectors(fname, "word2vec-bin" if binary else "glove" if no_header else "word2vec")
        return cls(found.vocabulary, found.vectors)

    @classmethod
    def from_gensim(cls, source: Any) -> Self:
        """Return the vectors of gensim's KeyedVectors, or of a model that has them as `wv`; n-grams come along."""
        words, matrix, subwords = gensim_objects.parts_of(source)
        return cls(words, matrix, subwords=subwords)

    def to_gensim(self) -> Any:
        """Return gensim's KeyedVectors with the same words, vectors and counts; FastTextKeyedVectors if there are n-grams.

        Raises `UsageError` if gensim is missing, or the vectors are explicit or hashed as floret does.
        """
        return gensim_objects.keyed_vectors(self.vocabulary, self._dense(), self._subwords)


def _list(keys: Iterable[Any]) -> list[Any]:
    """Return keys as a list; a string alone would be taken letter by letter."""
    if isinstance(keys, str):
        raise UsageError(f"{keys!r} is a string where a list of words is needed; pass [{keys!r}], or {keys!r}.split()")
    return several(keys)


def _several(name: str, keys: Any) -> list[Any]:
    if keys is None:
        return []
    is_vector = isinstance(keys, np.ndarray) and keys.ndim == 1 and keys.dtype.kind in "fiu"
    if is_vector or isinstance(keys, str | int | np.integer):
        return [keys]
    try:
        return several(keys)
    except NotSeveral:
        raise refusal(name, keys, "a word, a vector, or a list of these") from None


def _weighted(positive: Keys, negative: Keys) -> tuple[list[Key | Matrix], Floats]:
    """Return all keys without their weights, and the weights: by default 1 for those of `positive`, -1 for the others."""
    given = ("positive", positive, 1.0), ("negative", negative, -1.0)
    pairs = [_pair(key, weight) for name, keys, weight in given for key in _several(name, keys)]
    return [key for key, _ in pairs], np.array([weight for _, weight in pairs])


def _pair(key: Any, weight: float) -> Weighted:
    is_pair = isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], Real)
    return (key[0], float(key[1])) if is_pair else (key, weight)


def _given(vector: Matrix, size: int) -> Matrix:
    return _unit(_checked_vector(vector, size)).astype(np.float32)


def _checked_vector(vector: Matrix, size: int) -> Floats:
    """Return a vector (d,) in double precision; raises `UsageError` if it is not one of finite numbers."""
    if vector.shape != (size,):
        raise UsageError(f"a vector of shape {vector.shape} was given; the model's vectors have {size} components")
    wide = numbers("vector", vector, 1).astype(np.float64)
    if not np.isfinite(wide).all():
        raise UsageError("a vector with infinity or NaN was given; vectors are finite")
    return wide


def _unit(vector: Floats) -> Floats:
    norm = np.linalg.norm(vector)
    return vector / norm if norm else vector

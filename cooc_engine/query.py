"""Asking word vectors: similarity, neighbours and analogies, with gensim's names for them.

Similarity is the cosine throughout. Neighbours of many words are found together by products of blocks, which take no
more than 64 MB beside the matrix, however many words there are.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError, UnknownWordError, UsageError
from cooc_engine.modelfile import open_model
from cooc_engine.vectorfile import format_of, read_vectors
from cooc_engine.vocab import Vocabulary

__all__ = ["Vectors", "nn"]

QUERIES = 256  # queries that are answered by one product
BLOCK = 2048  # rows of one product; QUERIES * BLOCK scores, and some 50 bytes for each if all are candidates: 30 MB
FIRST = 64  # rows of the first block; each next is twice as large, so that few scores pass the best ones so far
SPELLINGS = 20_000  # the most frequent words, among which a misspelt one is looked for

Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class Vectors:
    """V words and their vectors: row i of `vectors`, float32 (V, d), belongs to `index_to_key[i]`, frequent ones first.

    `word in kv`, `kv[word]`, `kv[[word, ...]]` and `len(kv)` work as in gensim. A word that is not in the vocabulary
    raises `UnknownWordError`, which is a `KeyError` too.
    """

    def __init__(self, words: Vocabulary | Iterable[str], matrix: npt.NDArray[np.floating]) -> None:
        """Take a vocabulary, or words in the order of the rows, and a matrix (V, d); float32 is not copied."""
        self.vocabulary = words if isinstance(words, Vocabulary) else None
        self._words = None if isinstance(words, Vocabulary) else list(words)
        self.vectors: Matrix = np.asarray(matrix, np.float32)
        size = len(words) if isinstance(words, Vocabulary) else len(self.index_to_key)
        if self.vectors.ndim != 2 or len(self.vectors) != size:
            raise FormatError(f"{size} words do not fit a matrix of shape {self.vectors.shape}")

    @classmethod
    def open(cls, path: Path | str) -> Vectors:
        """Open the published vectors of a model file, or a file of vectors in any format that `export_vectors` writes.

        Raises what `open_model` and `read_vectors` raise.
        """
        if format_of(path) is not None:
            found = read_vectors(path)
            return cls(found.vocabulary, found.vectors)
        model = open_model(path)
        return cls(model.vocabulary, model.vectors)

    @property
    def index_to_key(self) -> list[str]:
        """The words, by row."""
        return self.vocabulary.words if self.vocabulary is not None else self._words or []

    @functools.cached_property
    def key_to_index(self) -> dict[str, int]:
        """Row of each word."""
        return self.vocabulary.ids if self.vocabulary is not None else {w: i for i, w in enumerate(self.index_to_key)}

    @property
    def vector_size(self) -> int:
        """Length d of the vectors."""
        return int(self.vectors.shape[1])

    @functools.cached_property
    def inverse_norms(self) -> Matrix:
        """One over the length of each vector, (V,); 0 for a vector of zeros, whose cosines are then 0."""
        norms = np.empty(len(self.vectors), np.float32)
        for start in range(0, len(norms), BLOCK):
            rows = self.vectors[start : start + BLOCK]
            norms[start : start + BLOCK] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        return np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)

    def __len__(self) -> int:
        """Return V."""
        return len(self.vectors)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the words."""
        return iter(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        """Tell whether the word is in the vocabulary."""
        return word in self.key_to_index

    def __getitem__(self, word: str | Sequence[str]) -> Matrix:
        """Return the vector (d,) of a word, or the vectors (n, d) of several."""
        return self.vectors[self.row(word) if isinstance(word, str) else [self.row(w) for w in word]]

    def row(self, word: str) -> int:
        """Return the row of a word."""
        try:
            return self.key_to_index[word]
        except KeyError:
            raise UnknownWordError(f"{word!r} is not in the vocabulary") from None

    def unit(self, rows: Ids | Sequence[int]) -> Matrix:
        """Return copies of rows, scaled to length 1: (n, d)."""
        return self.vectors[rows] * self.inverse_norms[rows, None]

    def similarity(self, word1: str, word2: str) -> float:
        """Return the cosine of two words' vectors."""
        return float(self.cosines([self.row(word1)], [self.row(word2)])[0])

    def cosines(self, rows1: Ids | Sequence[int], rows2: Ids | Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the cosines of pairs of rows, float64 (n,), within -1..1."""
        first, second = np.asarray(rows1, np.int64), np.asarray(rows2, np.int64)
        result = np.empty(len(first))
        for start in range(0, len(first), BLOCK):
            part = slice(start, start + BLOCK)
            a, b = (self.vectors[r[part]].astype(np.float64) for r in (first, second))
            norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
            dots = np.einsum("ij,ij->i", a, b)
            result[part] = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
        return np.clip(result, -1, 1)

    def most_similar(
        self,
        positive: str | Matrix | Sequence[str | Matrix] = (),
        negative: str | Matrix | Sequence[str | Matrix] = (),
        topn: int = 10,
    ) -> list[tuple[str, float]]:
        """Return the `topn` words nearest to the mean of the unit vectors of `positive` and minus those of `negative`.

        Either is a word, a vector, or several of them; words that were given are not among the answers. With two
        positive words and a negative one this is the analogy by 3CosAdd (Mikolov et al. 2013; Levy and Goldberg 2014).
        """
        signed = [(key, 1.0) for key in _several(positive)] + [(key, -1.0) for key in _several(negative)]
        if not signed:
            raise UsageError("most_similar needs at least one word or vector")
        query = np.zeros(self.vector_size, np.float64)
        for key, sign in signed:
            vector = self.unit([self._row_or_hint(key)])[0] if isinstance(key, str) else _unit(key, self.vector_size)
            query += sign * vector
        given = [self.row(key) for key, _ in signed if isinstance(key, str)]
        return self._answers(*self.nearest(query[None, :].astype(np.float32), topn, [given]))[0]

    def analogy(self, a: str, b: str, c: str, topn: int = 10) -> list[tuple[str, float]]:
        """Return the words that are to `c` what `b` is to `a`, by 3CosAdd on unit vectors; the three are left out."""
        return self.most_similar(positive=[b, c], negative=[a], topn=topn)

    def neighbours(self, words: Sequence[str], topn: int = 10) -> dict[str, list[tuple[str, float]]]:
        """Return for each word the `topn` others of the largest cosine; all words are answered together."""
        words = [words] if isinstance(words, str) else words
        rows = [self._row_or_hint(word) for word in words]
        answers: list[list[tuple[str, float]]] = []
        for start in range(0, len(rows), QUERIES):
            part = rows[start : start + QUERIES]
            answers += self._answers(*self.nearest(self.vectors[part], topn, [[row] for row in part]))
        return dict(zip(words, answers, strict=True))

    def nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]] = ()) -> tuple[Ids, Matrix]:
        """Return rows and cosines, both (q, topn), of the vectors nearest to each query vector, the best first.

        queries   (q, d) float32, of any length
        exclude   for each query the rows that may not be answers; empty for none

        Equal cosines are in order of the rows. Where there are fewer than `topn` answers, the rest are row -1.
        """
        if topn < 1:
            raise UsageError(f"topn is {topn}; it must be at least 1")
        topn = min(topn, len(self))
        rows, cosines = np.full((len(queries), topn), -1, np.int64), np.full((len(queries), topn), -np.inf, np.float32)
        step = max(1, min(QUERIES, QUERIES * BLOCK // (8 * topn)))  # a very long list of answers is kept small, too
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            rows[part], cosines[part] = self._nearest(queries[part], topn, exclude[part])
        return rows, cosines

    def _nearest(self, queries: Matrix, topn: int, exclude: Sequence[Sequence[int]]) -> tuple[Ids, Matrix]:
        norms = np.linalg.norm(queries, axis=1, keepdims=True)
        units = np.divide(queries, norms, out=np.zeros_like(queries), where=norms > 0).T.copy()
        banned_query = np.repeat(np.arange(len(exclude)), [len(rows) for rows in exclude])
        banned_row = np.fromiter((row for rows in exclude for row in rows), np.int64)
        best = np.full((len(queries), topn), -1, np.int64), np.full((len(queries), topn), -np.inf, np.float32)
        start, size = 0, FIRST
        while start < len(self):
            stop = min(start + size, len(self))
            scores = self.vectors[start:stop] @ units
            scores *= self.inverse_norms[start:stop, None]
            inside = (banned_row >= start) & (banned_row < stop)
            scores[banned_row[inside] - start, banned_query[inside]] = -np.inf
            best = _merge(*best, scores, start)
            start, size = stop, min(2 * size, BLOCK)
        return best

    def _answers(self, rows: Ids, cosines: Matrix) -> list[list[tuple[str, float]]]:
        keys = self.index_to_key
        pairs = zip(rows.tolist(), cosines.tolist(), strict=True)
        return [[(keys[row], value) for row, value in zip(*pair, strict=True) if row >= 0] for pair in pairs]

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
        frequent = (w for w in self.index_to_key[:SPELLINGS] if len(w) in lengths and w[:1].lower() == start)
        return next(iter(difflib.get_close_matches(word, frequent, 1, 0.7)), None)


def _merge(rows: Ids, cosines: Matrix, scores: Matrix, start: int) -> tuple[Ids, Matrix]:
    """Return the best of the answers so far, (q, n), and of the scores, (block, q), of rows from `start` on."""
    queries, topn = rows.shape
    block_row, query = np.nonzero(scores > cosines[:, -1])
    if not len(query):
        return rows, cosines
    owner = np.concatenate([np.repeat(np.arange(queries), topn), query])
    value = np.concatenate([cosines.ravel(), scores[block_row, query]])
    found = np.concatenate([rows.ravel(), block_row + start])
    order = np.lexsort((found, -value, owner))
    first = np.searchsorted(owner[order], np.arange(queries))
    kept = order[first[:, None] + np.arange(topn)]
    return found[kept], value[kept]


def _several(keys: str | Matrix | Sequence[str | Matrix]) -> list[str | Matrix]:
    if isinstance(keys, str) or (isinstance(keys, np.ndarray) and keys.ndim == 1):
        return [keys]
    return list(keys)


def _unit(vector: Matrix, size: int) -> npt.NDArray[np.float64]:
    wide = np.asarray(vector, np.float64)
    if wide.shape != (size,):
        raise UsageError(f"a vector of shape {wide.shape} was given where the model's have {size} numbers")
    norm = np.linalg.norm(wide)
    return wide / norm if norm else wide


def nn(model_path: Path | str, words: Sequence[str], topn: int = 10) -> dict[str, list[tuple[str, float]]]:
    """Return the `topn` nearest neighbours, by cosine, of words in a model file: for each word, words and cosines.

    Raises `UnknownWordError`, naming model and word, and what `open_model` raises.
    """
    vectors = Vectors.open(model_path)
    try:
        return vectors.neighbours(words, topn)
    except UnknownWordError as error:
        raise UnknownWordError(f"{model_path}: {error}") from None

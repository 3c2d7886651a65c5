"""The subwords of fastText (Bojanowski et al. 2017): character n-grams, hashed to the rows of a matrix of buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import subwords
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.published import ListedRows, Published, Recipe
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.options import AtLeast, Below
from cooc_engine.runtime.types import Mask, Matrix, Offsets, Rows
from cooc_engine.storage.schema import Natural, Positive

__all__ = ["LINE_END", "NgramOptions", "SubwordRows", "Subwords", "subwords_of", "word_hashes", "word_means"]

LINE_END = "</s>"  # the token that fastText's program puts at each line's end; it has no n-grams
BEGIN, END = b"<>"
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Subwords:
    """The n-grams of `min_n` to `max_n` characters of each word, written as `<word>`, and their rows among `buckets` rows.

    A character is a code point: a combining mark counts as one. A boundary character alone is not an n-gram. The row of an
    n-gram is its hash modulo `buckets`, so several n-grams may share a row.

    With `hashes`, from 1 to 4, these are the n-grams of floret (Explosion 2022): the whole word comes first, and each n-gram
    has that many rows.
    """

    min_n: int
    max_n: int
    buckets: int
    hashes: int = 0

    def rows(self, words: Vocabulary | Sequence[str]) -> ListedRows:
        """Return the rows of each word's n-grams, in their order; an n-gram that occurs twice is listed twice."""
        words = words if isinstance(words, Vocabulary) else _vocabulary(words)
        starts = offsets_of(self._sizes(words))
        each = max(1, self.hashes)
        rows = np.empty(starts[-1] * each, np.int64)
        for first, last in words.pieces():
            part = slice(words.offsets[first], words.offsets[last])
            text, offsets = _bracketed(words.text[part], words.offsets[first : last + 1] - part.start)
            parts = self._ngrams(text, offsets, starts[first : last + 1] - starts[first])
            rows[starts[first] * each : starts[last] * each] = self._hashed(text, *parts)
        return ListedRows(starts * each, rows)

    def of(self, word: str) -> tuple[list[str], Rows]:
        """Return the n-grams of a word and their rows, in the order of `rows`; an n-gram is listed once for each row it has."""
        words = _vocabulary([word])
        text, offsets = _bracketed(words.text, words.offsets)
        begins, ends = self._ngrams(text, offsets, np.array([0, *self._sizes(words)]))
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        ngrams = [text[begin:end].tobytes().decode(errors="surrogateescape") for begin, end in pairs]
        return [ngram for ngram in ngrams for _ in range(max(1, self.hashes))], self._hashed(text, begins, ends)

    def _sizes(self, words: Vocabulary) -> Offsets:
        """Return the number of n-grams of each word."""
        begun = offsets_of(words.text & 0xC0 != 0x80)
        length = np.diff(begun[words.offsets]) + 2  # with the boundary characters
        sizes = sum((np.maximum(length + 1 - n, 0) for n in range(max(1, self.min_n), self.max_n + 1)), np.zeros_like(length))
        if self.min_n <= 1 <= self.max_n:
            sizes -= 2  # the boundary characters
        sizes[_equal(words, LINE_END.encode())] = 0
        return sizes + (self.hashes > 0)

    def _ngrams(self, text: Bytes, offsets: Offsets, starts: Offsets) -> tuple[Offsets, Offsets]:
        """Return where each n-gram begins and ends in the text of bracketed words."""
        begins, ends = np.empty((2, starts[-1]), np.int64)
        subwords.list_ngrams(text, offsets, self.min_n, self.max_n, self.hashes > 0, starts, begins, ends)
        return begins, ends

    def _hashed(self, text: Bytes, begins: Offsets, ends: Offsets) -> Rows:
        if not self.hashes:
            return (_hashes(text, begins, ends) % np.uint32(self.buckets)).astype(np.int64)
        hashes = np.empty((len(begins), self.hashes), np.uint32)
        subwords.murmur_parts(text, begins, ends, hashes)
        return (hashes.reshape(-1) % np.uint32(self.buckets)).astype(np.int64)


class _NgramOptions(TypedDict):
    min_n: Natural
    max_n: Annotated[int, AtLeast(0), Below(64)]
    buckets: Positive


class NgramOptions(_NgramOptions, total=False):
    """The options of n-grams in the record of a training, within the bounds that the training has."""

    hashes: Annotated[int, AtLeast(1), Below(5)]


def subwords_of(options: Mapping[str, Any]) -> Subwords:
    """Return the subwords of a training, from its options."""
    hashes = options.get("hashes", 1) if options.get("mode") == "floret" else 0
    return Subwords(options["min_n"], options["max_n"], options["buckets"], hashes)


class SubwordRows(NamedTuple):
    """Subwords and their matrix: an array (buckets, d), or an object whose rows are read like those of an array.

    kept  the bucket of each row of the matrix, ascending, if n-grams were left out; None if each bucket has a row
    """

    subwords: Subwords
    matrix: Any
    kept: Rows | None = None

    def lists(self, words: Vocabulary | Sequence[str]) -> ListedRows:
        """Return the rows of each word's n-grams in the matrix; n-grams that were left out have none."""
        lists = self.subwords.rows(words)
        return lists if self.kept is None else lists.among(self.kept)

    def of(self, word: str) -> tuple[list[str], Rows]:
        """Return the n-grams of a word that have rows in the matrix, and these."""
        ngrams, rows = self.subwords.of(word)
        if self.kept is None:
            return ngrams, rows
        return [ngrams[at] for at in np.flatnonzero(np.isin(rows, self.kept))], self.lists([word]).rows

    def vectors(self, words: Sequence[str]) -> tuple[Matrix, Mask]:
        """Return the mean of the rows of each word's n-grams, (n, d), zeros without any; and which words have some, (n,)."""
        lists = self.lists(words)
        means = Published({"subwords": self.matrix}, Recipe((), listed="subwords"), lists=lists)
        return means[:], np.diff(lists.starts) > 0


def word_means(arrays: Mapping[str, Matrix], subwords: Subwords, words: Vocabulary) -> Matrix:
    """Return the vectors of words, (V, d): means of each word's row in `own`, if it has one, and its n-grams' in `subwords`."""
    recipe = Recipe(("own",) if "own" in arrays else (), listed="subwords")
    return Published(arrays, recipe, lists=subwords.rows(words))[:]


def word_hashes(words: Vocabulary | Sequence[str]) -> npt.NDArray[np.uint32]:
    """Return the hash of each word itself, without boundary characters, uint32 (n,): that of fastText's dictionary."""
    words = words if isinstance(words, Vocabulary) else _vocabulary(words)
    return _hashes(words.text, words.offsets[:-1], words.offsets[1:])


def _hashes(text: Bytes, begins: Offsets, ends: Offsets) -> npt.NDArray[np.uint32]:
    hashes = np.empty(len(begins), np.uint32)
    subwords.hash_parts(np.ascontiguousarray(text), begins, ends, hashes)
    return hashes


def _equal(words: Vocabulary, word: bytes) -> Rows:
    """Return all rows of a vocabulary that hold this word."""
    alike = np.flatnonzero(np.diff(words.offsets) == len(word))
    places = words.offsets[alike, None] + np.arange(len(word))
    found: Rows = alike[(words.text[places] == np.frombuffer(word, np.uint8)).all(axis=1)]
    return found


def _vocabulary(words: Sequence[str]) -> Vocabulary:
    """Return words as concatenated bytes; bytes that are not UTF-8, which the command line has escaped, are restored."""
    encoded = [_encoded(word) for word in words]
    offsets = offsets_of([*map(len, encoded)])
    return Vocabulary(np.frombuffer(b"".join(encoded), np.uint8), offsets, np.zeros(len(encoded), np.int64))


def _encoded(word: str) -> bytes:
    try:
        return word.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return word.encode(errors="surrogatepass")


def _bracketed(text: Bytes, offsets: Offsets) -> tuple[Bytes, Offsets]:
    """Return words between boundary characters, as their bytes and offsets."""
    words = len(offsets) - 1
    places = np.repeat(offsets, 2)[1:-1]  # a word's end, and again as the next one's begin
    return np.insert(text, places, np.tile(np.array([BEGIN, END], np.uint8), words)), offsets + 2 * np.arange(words + 1)

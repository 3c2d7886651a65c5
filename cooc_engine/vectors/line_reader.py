"""Reading lines of text for a classifier: the ids of known words and labels, and of words that it has never seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding, lines
from cooc_engine._kernels.encoding import PADDING, HashTable, TokenizedText
from cooc_engine._kernels.lines import Line, Lines
from cooc_engine.corpus.first_pass import word_ids
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import WordTable, packed
from cooc_engine.errors import FormatError
from cooc_engine.models.file import ModelFile
from cooc_engine.models.subwords import LINE_END, Subwords, word_hashes
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Offsets, WordIds
from cooc_engine.sampled.lines import have_prefix, kept_bits, most_inputs, rows_of_words
from cooc_engine.text.readers import PLAIN, Block, Piece

__all__ = ["Dictionary", "LineReader", "Words"]

NEW_WORDS = 1 << 18  # words outside the vocabulary that a reader remembers


class Words(NamedTuple):
    """The words of some lines: their ids, the number of words up to the end of each line, and the input rows of all ids."""

    ids: WordIds
    ends: Offsets
    lines: Lines

    def line(self) -> Line:
        """Return room for the longest line."""
        longest = int(np.diff(self.ends, prepend=0).max(initial=0)) + 1
        most = most_inputs(self.lines, self.ids, np.concatenate([np.zeros(1, np.int64), self.ends]))
        inputs, labels, hashes = (np.empty(size, np.int32) for size in (most, longest, longest))
        return Line(inputs, labels, hashes, np.zeros(2, np.int64))


class Dictionary:
    """The words and the labels of a classifier, by which lines are read."""

    def __init__(self, model: ModelFile, labels: Vocabulary, options: SupervisedOptions) -> None:
        """Take the words of a model and its labels; raises `FormatError` if one of them is there twice."""
        self.options, self.words, self.labels = options, len(model.vocabulary), len(labels)
        self.table = WordTable.of(model.vocabulary)
        for records in packed(labels):
            self.table.add(records)
        if len(self.table) != self.words + self.labels:
            raise FormatError(f"{model.path}: contains a word twice, or a word that is also a label; train again")
        self.end, self.end_hash = model.vocabulary.find(LINE_END), int(word_hashes([LINE_END]).view(np.int32)[0])
        self.subwords = Subwords(options.min_n, options.max_n, options.buckets) if options.max_n else None
        kinds = [np.arange(self.words), lines.LABEL - np.arange(self.labels)]
        self._kept, self._bits = model.kept, kept_bits(model.kept, options.buckets)
        self.known = self._described([model.vocabulary, labels], np.concatenate(kinds).astype(np.int32))

    def described(self, new: Vocabulary) -> Lines:
        """Return the kinds and input rows of words that are neither known words nor known labels."""
        is_label = have_prefix(new, self.options.label.encode())
        return self._described([new], np.where(is_label, lines.NO_LABEL, lines.UNKNOWN).astype(np.int32))

    def _described(self, words: list[Vocabulary], kinds: npt.NDArray[np.int32]) -> Lines:
        options = self.options
        starts, rows = self._rows_of(words, kinds)
        hashes = [word_hashes(some).view(np.int32) for some in words if options.word_ngrams > 1]
        return Lines(
            kinds, starts, rows, np.concatenate(hashes) if hashes else np.empty(0, np.int32), options.word_ngrams, self.words,
            max(1, options.ngram_rows), *self._bits, self.end, self.end_hash,
        )  # fmt: skip

    def _rows_of(self, words: list[Vocabulary], kinds: npt.NDArray[np.int32]) -> tuple[Offsets, npt.NDArray[np.int32]]:
        """Return starts and input rows of words; both are empty without subwords."""
        if self.subwords is None:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        starts, rows, first = np.zeros(1, np.int64), np.empty(0, np.int32), 0
        for some in words:
            more, listed = rows_of_words(some, kinds[first : first + len(some)], self.words, self.subwords, self._kept)
            starts, rows = np.concatenate([starts, more[1:] + starts[-1]]), np.concatenate([rows, listed])
            first += len(some)
        return starts, rows


class _Growing:
    """An array that grows at its end, and is seldom copied for that."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._room, self._size = values, len(values)

    def grown(self, more: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Append values; returns all of them."""
        begin, self._size = self._size, self._size + len(more)
        if self._size > len(self._room):
            room = np.empty(2 * self._size, self._room.dtype)
            room[:begin] = self._room[:begin]
            self._room = room
        self._room[begin : self._size] = more
        return self._room[: self._size]


class LineReader:
    """Reads lines in one thread. The input rows of new words are kept for later lines, until there are too many of them."""

    def __init__(self, dictionary: Dictionary) -> None:
        """Begin with the words of the dictionary."""
        self._dictionary = dictionary
        self._forget()

    def _forget(self) -> None:
        self._table, known = WordTable(), self._dictionary.table.arrays
        self._table.arrays = HashTable(*(values.copy() for values in known))
        self._lines = self._dictionary.known
        self._grown = {name: _Growing(getattr(self._lines, name)) for name in ("kinds", "starts", "rows", "hashes")}

    def read(self, piece: Piece) -> Words:
        """Return the words of a piece of text. Raises `InputError`, naming source and byte, for bytes that are not UTF-8."""
        if len(self._table) > self._dictionary.words + self._dictionary.labels + NEW_WORDS:
            self._forget()
        block = _block(piece)
        ids = np.empty(block.size // 2 + 1, np.int32)
        ends = np.empty(np.count_nonzero(block.text[: block.size] == 10), np.int64)
        words, used = len(self._table), self._table.used
        count = word_ids(block, self._table, TokenizedText(ids, ends), PLAIN.advice)
        if len(self._table) > words:
            self._learn(self._dictionary.described(self._new_words(words, used)))
        return Words(ids[:count], ends, self._lines)

    def _learn(self, new: Lines) -> None:
        """Keep the kinds and input rows of new words."""
        starts = self._lines.starts
        added = new._replace(starts=new.starts[1:] + starts[-1] if len(starts) else starts)
        kinds, starts, rows, hashes = (array.grown(getattr(added, name)) for name, array in self._grown.items())
        self._lines = self._lines._replace(kinds=kinds, starts=starts, rows=rows, hashes=hashes)

    def _new_words(self, words: int, used: int) -> Vocabulary:
        """Return the words that were added to the table since it had `words` words, in `used` elements of its records."""
        records = self._table.records[used : self._table.used]
        counts, places, lengths = (np.empty(len(self._table), np.int64) for _ in range(3))
        encoding.list_words(records, len(records), counts, places, lengths)
        offsets = offsets_of(lengths[words:])
        text = np.empty(offsets[-1], np.uint8)
        encoding.gather_words(records.view(np.uint8), 8 * places[words:], lengths[words:], offsets, text)
        return Vocabulary(text, offsets, counts[words:])


def _block(piece: Piece) -> Block:
    """Return a piece of whole lines as a block; the last line is ended if it is not."""
    ended = piece.text.endswith(b"\n")
    text = np.frombuffer(piece.text + (b"" if ended else b"\n") + bytes(PADDING), np.uint8)
    return Block(text, len(text) - PADDING, piece.source, piece.offset)

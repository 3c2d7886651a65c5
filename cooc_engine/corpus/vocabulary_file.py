"""A vocabulary as a text file: one word and its count per line."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import WordTable, rank_words
from cooc_engine.errors import InputError
from cooc_engine.text.bounded import lines
from cooc_engine.text.compression import opened
from cooc_engine.text.tokenizers import LONGEST_WORD

__all__ = ["ranked", "read_vocabulary"]

SPACE = np.frombuffer(b"\0\t\n\v\f\r ", np.uint8)  # the last of which names may have


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a file, compressed or not, with a word and its count per line, without a Python object for each word."""
    text, ends, counts = bytearray(), array("q", [0]), array("q")
    with opened(path) as file:
        for number, line in lines(file, LONGEST_WORD + 32, path):
            word, _, count = line.rstrip(b"\r\n").rpartition(b" ")
            if not word or not count.isdigit() or len(count) > 18:
                raise InputError(f"{path}:{number}: expected a word and its count")
            text += word
            ends.append(len(text))
            counts.append(int(count))
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{int(np.searchsorted(ends, error.start, 'right'))}: not UTF-8") from None
    return Vocabulary(np.frombuffer(text, np.uint8), np.frombuffer(ends, np.int64), np.frombuffer(counts, np.int64))


def ranked(vocabulary: Vocabulary, name: str, *, spaces: bool = False) -> tuple[Vocabulary, npt.NDArray[np.int32] | None]:
    """Return the words by decreasing count, ties by their bytes, and the new row of each (None if they were in order).

    Raises `InputError` if there are no words, or if a word is empty, occurs twice or contains white space; with `spaces`, for
    names that are no words of a text, only tabs and the like are refused.
    """
    if not len(vocabulary):
        raise InputError(f"{name}: contains no words")
    bad = np.flatnonzero(np.isin(vocabulary.text, SPACE[:-1] if spaces else SPACE))
    if len(bad) or (np.diff(vocabulary.offsets) == 0).any():
        at = int(np.searchsorted(vocabulary.offsets, bad[0], "right")) if len(bad) else 0
        found = "a tab or a line end in it" if spaces else "white space in it; join its parts with _"
        what = f"word {at} has {found}" if at else "a word is empty"
        raise InputError(f"{name}: {what}")
    table = WordTable.of(vocabulary)
    if len(table) < len(vocabulary):
        words = vocabulary.words
        twice = next(word for at, word in enumerate(words) if vocabulary.ids[word] != at)
        raise InputError(f"{name}: contains the word {twice!r} twice")
    ranked = rank_words(WordTable.of(vocabulary, vocabulary.counts), 0, None)
    ranks = np.empty(len(table), np.int32)
    WordTable.of(ranked).find(table.words, ranks)
    return ranked, None if np.array_equal(ranks, np.arange(len(ranks))) else ranks

"""Phrases: words that often occur together become one word, `new york` to `new_york` (Mikolov et al. 2013b, eq. 6).

A pair is joined if (n_ab − δ)·n / (n_a·n_b) is above a threshold, where δ is the minimum count of a word and n the number of
words in the text: the score of word2phrase. Pairs are joined from left to right, a joined word starts no new pair, and no pair
spans two documents. Pairs are counted exactly, for one range of first words at a time that fits into the budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding
from cooc_engine._kernels.encoding import PairList, TokenizedText
from cooc_engine.corpus.first_pass import PassCheckpoint, Spool, Spooled
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError
from cooc_engine.runtime.progress import Progress
from cooc_engine.runtime.threads import cut_by_cost
from cooc_engine.runtime.types import Counts, Offsets, WordIds

__all__ = ["join_phrases"]

PAIR_BYTES = 24  # bytes per pair counted: its key, sorted, and the ends of runs of equal keys


class _SpooledText:
    """A spooled text and its vocabulary."""

    def __init__(self, spooled: Spooled, vocabulary: Vocabulary) -> None:
        self._spooled, self.vocabulary = spooled, vocabulary
        self.tokens = spooled.tokens

    def pieces(self) -> Iterator[tuple[WordIds, Offsets]]:
        """Yield the text in order: rows of the vocabulary (−1: none), and the document ends within them.

        A document end at the beginning of a piece belongs to the piece before it.
        """
        ends, done = self._spooled.ends, 0
        for begin, end, table in self._spooled.pieces(0, self.tokens):
            piece = self._spooled.rows(begin, end, table)
            upto = int(np.searchsorted(ends, end, "right"))
            yield piece, ends[done:upto] - begin
            done = upto


def join_phrases(
    directory: Path,
    point: PassCheckpoint,
    vocabulary: Vocabulary,
    number: int,
    options: EncodeOptions,
    room: int,
    progress: Progress,
) -> tuple[PassCheckpoint, Vocabulary]:
    """Join phrases in a spooled text, as pass `number`; returns the checkpoint of the new text, and its words ranked anew.

    `room` is the memory for counting pairs, in bytes. The new spool has separate files; the old one is kept.
    """
    text, name = _SpooledText(Spooled(directory, point, len(vocabulary)), vocabulary), f"phrases-{number:02d}-"
    with progress.stage(f"join phrases {number + 1}", 2 * text.tokens, "words") as stage:
        firsts, seconds = _phrases(text, options, room)
        stage.advance(text.tokens)
        pairs = PairList(np.searchsorted(firsts, np.arange(len(vocabulary) + 1)).astype(np.int64), seconds)
        with Spool(directory, name=name) as spool:
            counts = _join(text, pairs, spool)
        stage.advance(text.tokens)
    words = vocabulary.words
    joined = [f"{words[a]}_{words[b]}" for a, b in zip(firsts.tolist(), seconds.tolist(), strict=True)]
    last = number + 1 == options.phrases
    ranked, rows = _ranked(words + joined, counts, options.min_count, options.max_vocab if last else None)
    with (directory / f"{name}rows-00000.spool").open("wb") as file:
        file.write(rows.data)
    return PassCheckpoint(point.texts, spool.tokens, spool.documents, spool.blocks, [len(rows)], None, name), ranked


def _phrases(text: _SpooledText, options: EncodeOptions, room: int) -> tuple[WordIds, WordIds]:
    """Return the first and second words of all pairs above the threshold, sorted."""
    counts, words = text.vocabulary.counts, len(text.vocabulary)
    found = []
    for first, last in cut_by_cost(counts, max(1, room // PAIR_BYTES)):
        keys = np.empty(int(counts[first:last].sum()), np.int64)
        size = 0
        for key in _keys(text, first, last, words):
            keys[size : size + len(key)] = key
            size += len(key)
        keys = keys[:size]
        keys.sort()
        ends = np.flatnonzero(np.r_[keys[1:] != keys[:-1], True]) if size else np.empty(0, np.int64)
        together = np.diff(ends, prepend=-1)
        a, b = keys[ends] // words, keys[ends] % words
        score = (together - options.min_count) * (text.tokens / (counts[a].astype(np.float64) * counts[b]))
        found.append(keys[ends[score > options.phrase_threshold]])
    pairs = np.concatenate(found)
    return (pairs // words).astype(np.int32), (pairs % words).astype(np.int32)


def _keys(text: _SpooledText, first: int, last: int, words: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield a · words + b for all adjacent words a, b of the same document with a in first:last."""
    before = np.full(1, -1, np.int32)
    for ids, ends in text.pieces():
        a, b = np.concatenate([before, ids[:-1]]).astype(np.int64), ids.astype(np.int64)
        a[ends[ends < len(ids)]] = -1
        wanted = (a >= first) & (a < last) & (b >= 0)
        yield a[wanted] * words + b[wanted]
        before = np.full(1, -1, np.int32) if len(ends) and ends[-1] == len(ids) else ids[-1:]


def _join(text: _SpooledText, pairs: PairList, spool: Spool) -> Counts:
    """Write the joined text to a spool; returns the counts in it of each word, then of each pair."""
    counts = np.zeros(len(pairs.starts) + len(pairs.seconds), np.int64)
    state = np.full(1, encoding.NO_WORD, np.int64)
    for ids, ends in text.pieces():
        joined = TokenizedText(np.empty(len(ids) + 1, np.int32), np.empty(len(ends), np.int64))
        n = encoding.join_pairs(ids, ends, pairs, state, joined)
        spool.append(joined.ids[:n], joined.ends, 0)
        counts += np.bincount(joined.ids[:n] + 1, minlength=len(counts))
    return counts[1:]


def _ranked(words: list[str], counts: Counts, min_count: int, max_vocab: int | None) -> tuple[Vocabulary, WordIds]:
    """Rank words, which may contain duplicates; returns the vocabulary and the row of each word, plus a final −1 for id −1."""
    total: dict[str, int] = {}
    for word, n in zip(words, counts.tolist(), strict=True):
        total[word] = total.get(word, 0) + n
    kept = sorted((word for word, n in total.items() if n >= min_count), key=lambda word: (-total[word], word.encode()))
    vocabulary = Vocabulary.from_words(kept[:max_vocab], [total[word] for word in kept[:max_vocab]])
    if not len(vocabulary):
        raise InputError(f"once phrases are joined, no word occurs {min_count} times or more; lower --min-count or --phrases")
    ids = vocabulary.ids
    return vocabulary, np.array([*(ids.get(word, -1) for word in words), -1], np.int32)

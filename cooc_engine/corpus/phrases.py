"""Phrases: words that often occur together become one word, `new york` to `new_york` (Mikolov et al. 2013b, eq. 6).

A pair is joined if (n_ab − δ)·n / (n_a·n_b) is above a threshold, where δ is the minimum count of a word and n the number of
words in the text: the score of word2phrase. Pairs are joined from left to right, a joined word starts no new pair, and no pair
spans two documents. Pairs are counted exactly, for one range of first words at a time that fits into the budget.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import counting, encoding
from cooc_engine._kernels.encoding import PairList, TokenizedText
from cooc_engine.corpus.first_pass import PassCheckpoint, Spool, Spooled
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranking import RANKED, rank_tables, write_rows
from cooc_engine.corpus.vocabulary import PIECE_BYTES, Vocabulary
from cooc_engine.corpus.word_table import Records, Words, packed
from cooc_engine.errors import InputError
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Progress
from cooc_engine.runtime.threads import cut_by_cost, cut_by_ends
from cooc_engine.runtime.types import Counts, Offsets, WordIds
from cooc_engine.storage.arrays import Bound
from cooc_engine.storage.scratch import map_raw, new_raw

__all__ = ["join_phrases"]

Keys = npt.NDArray[np.int64]
PIECE = 1 << 14  # pairs that are worked on at a time
PAIR_BYTES = 112  # bytes per pair counted, if none occurs twice: its key, its words, their counts, its score


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
    words, rows = (directory / f"{name}{part}-00000.spool" for part in ("words", "rows"))
    with progress.stage(f"join phrases {number + 1}", 2 * text.tokens, "words") as stage:
        keys = _phrases(text, options, room, directory)
        stage.advance(text.tokens)
        with Spool(directory, name=name) as spool:
            counts = _join(text, _pair_list(keys, len(vocabulary), directory), spool, directory)
        stage.advance(text.tokens)
    with words.open("wb") as file:
        for records in itertools.chain(packed(vocabulary, counts), _joined_words(vocabulary, keys, counts)):
            file.write(records.data)
    last = number + 1 == options.phrases
    table, size = Words(map_raw(words, np.uint64)), len(counts)  # of the words, the pairs, and -1
    parts = 1 + RANKED * table.records.nbytes // max(1, room)
    ranked = rank_tables([table], directory, parts, options.min_count, options.max_vocab if last else None)
    if not len(ranked):
        least = options.min_count
        raise InputError(f"once phrases are joined, no word occurs {least} times or more; lower --min-count or --phrases")
    write_rows(ranked, [(table, size, rows)], room)
    bounds = {**spool.bounds, rows.name: Bound.of(rows)}
    point = replace(point, tokens=spool.tokens, documents=spool.documents, blocks=spool.blocks, tables=[size])
    return replace(point, name=name, spools=bounds), ranked


def _phrases(text: _SpooledText, options: EncodeOptions, room: int, directory: Path) -> Keys:
    """Return the keys of all pairs above the threshold, sorted and mapped; the key of words a and b is a · words + b."""
    counts, words = text.vocabulary.counts, len(text.vocabulary)
    ends = new_raw(directory / "ends.spool", np.int64, words)
    np.cumsum(counts, out=ends)
    path = directory / "pairs.spool"
    with path.open("wb") as file:
        for first, last in cut_by_ends(ends, max(1, room // PAIR_BYTES)):
            keys = np.empty(int(counts[first:last].sum()), np.int64)
            size = 0
            for key in _keys(text, first, last, words):
                keys[size : size + len(key)] = key
                size += len(key)
            keys = keys[:size]
            keys.sort()
            last_of_each = np.flatnonzero(np.r_[keys[1:] != keys[:-1], True]) if size else np.empty(0, np.int64)
            together = np.diff(last_of_each, prepend=-1)
            a, b = keys[last_of_each] // words, keys[last_of_each] % words
            score = (together - options.min_count) * (text.tokens / (counts[a].astype(np.float64) * counts[b]))
            file.write(keys[last_of_each[score > options.phrase_threshold]].data)
    return map_raw(path, np.int64)


def _pair_list(keys: Keys, words: int, directory: Path) -> PairList:
    """Return sorted pairs as the kernel takes them, mapped."""
    seconds = new_raw(directory / "seconds.spool", np.int32, len(keys))
    for at in range(0, len(keys), PIECE):
        seconds[at : at + PIECE] = keys[at : at + PIECE] % words
    starts = new_raw(directory / "starts.spool", np.int64, words + 1)
    for at in range(0, words + 1, PIECE):
        starts[at : at + PIECE] = np.searchsorted(keys, np.arange(at, min(at + PIECE, words + 1)) * words)
    return PairList(starts, seconds)


def _joined_words(vocabulary: Vocabulary, keys: Keys, counts: Counts) -> Iterator[Records]:
    """Yield the joined words of pairs as records, whose ids follow those of the words."""
    words, offsets = len(vocabulary), vocabulary.offsets
    for at in range(0, len(keys), PIECE):
        a, b = np.divmod(keys[at : at + PIECE], words)
        lengths, others = offsets[a + 1] - offsets[a], offsets[b + 1] - offsets[b]
        costs = lengths + 1 + others
        for first, last in cut_by_cost(costs, PIECE_BYTES):
            cut = slice(first, last)
            ends = offsets_of(costs[cut])
            text = np.full(ends[-1], ord("_"), np.uint8)
            encoding.gather_words(vocabulary.text, offsets[a[cut]], lengths[cut], ends[:-1], text)
            encoding.gather_words(vocabulary.text, offsets[b[cut]], others[cut], ends[:-1] + lengths[cut] + 1, text)
            begin = words + at + first
            these = counts[begin : begin + last - first]
            yield from packed(Vocabulary(text, ends, these), these, begin)


def _keys(text: _SpooledText, first: int, last: int, words: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield a · words + b for all adjacent words a, b of the same document with a in first:last."""
    before = np.full(1, -1, np.int32)
    for ids, ends in text.pieces():
        a, b = np.concatenate([before, ids[:-1]]).astype(np.int64), ids.astype(np.int64)
        a[ends[ends < len(ids)]] = -1
        wanted = (a >= first) & (a < last) & (b >= 0)
        yield a[wanted] * words + b[wanted]
        before = np.full(1, -1, np.int32) if len(ends) and ends[-1] == len(ids) else ids[-1:]


def _join(text: _SpooledText, pairs: PairList, spool: Spool, directory: Path) -> Counts:
    """Write the joined text to a spool; returns the counts in it of each word, then of each pair, and of id −1, mapped."""
    counts = new_raw(directory / "counts.spool", np.int64, len(pairs.starts) + len(pairs.seconds))
    state = np.full(1, encoding.NO_WORD, np.int64)
    for ids, ends in text.pieces():
        joined = TokenizedText(np.empty(len(ids) + 1, np.int32), np.empty(len(ends), np.int64))
        n = encoding.join_pairs(ids, ends, pairs, state, joined)
        spool.append(joined.ids[:n], joined.ends, 0)
        counting.histogram(joined.ids[:n], counts)
    return counts

"""The vocabulary of several word tables, and the row of each word in it, in bounded memory.

Words are split into parts by their hashes, and ranked one part at a time. Tables on disk are in groups by hash, so a part reads
only its own words. Ranked parts are runs on disk, which are merged into the files of the vocabulary; only one part, and pieces
of the files, are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from cooc_engine._kernels import encoding
from cooc_engine.corpus.vocabulary import PIECE_BYTES, PIECE_WORDS, Vocabulary, VocabularyWriter
from cooc_engine.corpus.word_table import Words, WordTable, packed, rank_words
from cooc_engine.runtime.threads import cut_by_cost
from cooc_engine.runtime.types import Counts
from cooc_engine.storage.arrays import ArrayFiles
from cooc_engine.storage.scratch import map_raw, new_raw

__all__ = ["RANKED", "merge_ranked", "rank_part", "rank_tables", "write_rows"]

RANKED = 11  # memory for ranking words, per byte of their records: a growing table, arrays of one number per word, and the text
FOUND = 6  # memory of a table in which words are looked up, per byte of their records


def rank_tables(tables: Sequence[Words], directory: Path, parts: int, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Write the exact vocabulary of several tables, with 1/`parts` of their words in memory at a time; returns it, mapped.

    It has the words that occur at least `min_count` times, but no more than the `max_vocab` most frequent ones.
    """
    if parts == 1:
        rank_part(tables, 0, 1, min_count, max_vocab).save(directory)
        return Vocabulary.load(ArrayFiles(directory))
    return merge_ranked((rank_part(tables, part, parts, min_count, max_vocab) for part in range(parts)), directory, max_vocab)


def rank_part(tables: Iterable[Words], part: int, parts: int, min_count: int, max_vocab: int | None) -> Vocabulary:
    """Return the vocabulary of the words of tables whose hash is in part `part` of `parts`."""
    return rank_words(_part(tables, part, parts), min_count, max_vocab)


def merge_ranked(ranked: Iterable[Vocabulary], directory: Path, max_vocab: int | None) -> Vocabulary:
    """Merge ranked parts, of which each is used before the next is requested, into a vocabulary; returns it, mapped."""
    runs, ends = _spooled(directory, ranked)
    _merge(runs, ends, directory, max_vocab)
    return Vocabulary.load(ArrayFiles(directory))


def _part(tables: Iterable[Words], part: int, parts: int) -> WordTable:
    table = WordTable()
    for words in tables:
        table.add(words.part(part, parts), part, parts)
    return table


def _spooled(directory: Path, runs: Iterable[Vocabulary]) -> tuple[Vocabulary, Counts]:
    """Write ranked runs one after another; returns all their words, mapped, and the end of each run among them."""
    paths = [directory / f"ranked-{name}.spool" for name in ("text", "offsets", "counts")]
    ends, size = [0], 0
    with ExitStack() as files:
        text, offsets, counts = (files.enter_context(path.open("wb")) for path in paths)
        offsets.write(np.zeros(1, np.int64).data)
        for run in runs:
            for file, values in ((text, run.text), (offsets, run.offsets[1:] + size), (counts, run.counts)):
                file.write(np.ascontiguousarray(values).data)
            size += len(run.text)
            ends.append(ends[-1] + len(run))
    return Vocabulary(*(map_raw(path, kind) for path, kind in zip(paths, "Bqq", strict=True))), np.array(ends)


def _merge(runs: Vocabulary, ends: Counts, directory: Path, most: int | None) -> None:
    """Write the words of ranked runs as one vocabulary of at most `most` words."""
    left = len(runs) if most is None else most
    heads, heap = ends[:-1].copy(), np.empty(len(ends) - 1, np.int64)
    order = np.empty(PIECE_WORDS, np.int64)
    with VocabularyWriter(directory) as file:
        while n := encoding.merge_runs(runs.text, runs.offsets, runs.counts, ends[1:], heads, heap, order[:left]):
            left -= n
            begins = runs.offsets[order[:n]]
            lengths = runs.offsets[order[:n] + 1] - begins
            for a, b in cut_by_cost(lengths, PIECE_BYTES):
                targets = np.cumsum(lengths[a:b]) - lengths[a:b]
                text = np.empty(int(lengths[a:b].sum()), np.uint8)
                encoding.gather_words(runs.text, begins[a:b], lengths[a:b], targets, text)
                file.append(text, lengths[a:b], runs.counts[order[a:b]])


def write_rows(vocabulary: Vocabulary, tables: Sequence[tuple[Words, int, Path]], room: int) -> None:
    """Write, for each id of tables (words, number of ids, file to write), its row in the vocabulary, or -1.

    `room` is the memory for a part of the vocabulary in which words are looked up, in bytes.
    """
    rows = [new_raw(path, np.int32, size) for _, size, path in tables]
    for each in rows:
        each.fill(-1)
    parts = 1 + FOUND * (len(vocabulary.text) + 24 * len(vocabulary)) // max(1, room)
    for part in range(parts):
        finder = _part(map(Words, packed(vocabulary)), part, parts)
        for (words, _, _), each in zip(tables, rows, strict=True):
            finder.find(words.part(part, parts), each, part, parts)

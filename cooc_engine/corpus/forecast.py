"""Predicting the tokens, documents and vocabulary growth of a text from a sample of it.

The number of distinct words among n tokens is assumed to grow as a power of n (Heaps 1978, *Information Retrieval*, 7.5),
fitted to the two halves of the sample; a text that fits entirely into the sample is counted exactly.
"""

from __future__ import annotations

import functools
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.first_pass import Tables, Tally, tokenize
from cooc_engine.corpus.word_table import HEAD_BYTES
from cooc_engine.runtime.progress import Stage
from cooc_engine.text import readers
from cooc_engine.text.reading import Reading
from cooc_engine.text.stores import TextPath

__all__ = ["SAMPLE_BYTES", "TextSample"]

SAMPLE_BYTES = 1 << 20
BLOCK_BYTES = 1 << 16
SLOTS, RECORDS = 1 << 16, 1 << 17  # sizes of a new table


class _Growth(Tally):
    """Remembers the number of distinct words after each block."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[tuple[int, int]] = []

    def append(self, ids: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], table: int) -> None:
        """Count a block; ids must be numbered by first occurrence."""
        super().append(ids, ends, table)
        if self.tokens:
            before = self.points[-1][1] if self.points else 0
            self.points.append((self.tokens, max(before, int(ids.max(initial=-1)) + 1)))


@dataclass(frozen=True)
class TextSample:
    """The predicted sizes of a text, and the words of the sample.

    `counts` (words,) and `lengths` (words,), in bytes, describe the words of the sample; `power` is their growth's exponent.
    """

    bytes: int
    tokens: int
    documents: int
    sampled: int
    counts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    power: float
    complete: bool

    @classmethod
    def of(cls, paths: Sequence[TextPath], reading: Reading = readers.PLAIN) -> TextSample | None:
        """Sample some files; None if there is no word in the sample. Raises `InputError` for a file that is not text."""
        text, size, complete = readers.sample_text(paths, SAMPLE_BYTES, reading)
        growth, tables = _Growth(), Tables(Path(), 1, sys.maxsize, sys.maxsize)
        blocks = functools.partial(readers.stream_blocks, io.BytesIO(text), str(paths[0]))
        tokenize(blocks, growth, tables, 1, BLOCK_BYTES, Stage("sample", None, "bytes"))
        if not growth.tokens:
            return None
        with tables.one() as (_, table):
            counts, _, lengths = table.listed()
        factor = 1.0 if complete else size / len(text)
        tokens, documents = round(growth.tokens * factor), round(growth.documents * factor)
        return cls(size, tokens, documents, growth.tokens, counts, lengths, _power(growth.points), complete)

    def words(self, tokens: float) -> float:
        """Return the predicted number of distinct words among this many tokens."""
        return float(min(tokens, len(self.counts) * (tokens / self.sampled) ** self.power))

    def kept(self, min_count: int, max_vocab: int | None) -> int:
        """Return the predicted number of words that occur at least `min_count` times, at most `max_vocab`.

        If the vocabulary grows as the power b, the share Γ(m - b) / Γ(1 - b) / Γ(m) of them occur m times (Karlin 1967).
        """
        if self.complete:
            frequent = int(np.count_nonzero(self.counts >= min_count))
        else:
            share = math.lgamma(min_count - self.power) - math.lgamma(1 - self.power) - math.lgamma(min_count)
            frequent = round(self.words(self.tokens) * math.exp(share))
        return min(frequent, max_vocab or sys.maxsize)

    @property
    def length(self) -> float:
        """Mean length in bytes of a word of the vocabulary."""
        return float(self.lengths.mean())

    @property
    def record(self) -> float:
        """Mean length in bytes of a word's record in a table."""
        return 16 + float(((self.lengths + 7) // 8 * 8).mean())

    def tables(self, threads: int, share: int, block: int) -> tuple[float, float]:
        """Return the bytes of the tables that outgrow their share of memory, and the number of words in all tables."""
        record = self.record
        each, longest = self.tokens / threads, block * self.tokens / self.bytes
        words = _table_words(record / 8, share, block)
        if self.words(each) <= words:  # no table outgrows its share
            return 0.0, threads * self.words(each)
        full = max(self.sampled * (words / len(self.counts)) ** (1 / self.power), longest)
        full = min(each, full + longest / 2)  # a table is written out when its block is done
        spilled = int(each // full)
        rest = self.words(each - spilled * full)
        return threads * spilled * (self.words(full) * record + HEAD_BYTES), threads * (spilled * self.words(full) + rest)


def _power(points: list[tuple[int, int]]) -> float:
    """Return the exponent of the growth from the middle of the points to the last, above 0 and below 1."""
    (n, v), (m, w) = points[(len(points) - 1) // 2], points[-1]
    return min(0.999, max(1e-3, math.log(w / v) / math.log(m / n))) if m > n else 0.5


def _table_words(record: float, share: int, block: int) -> int:
    """Return the number of words, with records of `record` 8-byte units, at which a table takes more than `share` bytes."""
    slots, records = SLOTS, RECORDS
    while True:
        words = min(slots / 2, records / record)
        if words == slots / 2:
            slots *= 2
        if words * record + block / 16 > records:
            records = 2 * records + block // 16
        if 8 * (slots + records) > share:
            return round(words)

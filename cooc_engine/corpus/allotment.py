"""The division of the memory budget of encoding, and its predicted disk usage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cooc_engine.corpus.forecast import TextSample
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranking import RANKED
from cooc_engine.corpus.shards import SHARD_TOKENS
from cooc_engine.corpus.vocabulary import Vocabulary, stored_bytes
from cooc_engine.errors import InputError
from cooc_engine.runtime.budget import Disk, Plan
from cooc_engine.runtime.paths import path_of
from cooc_engine.storage.arrays import HEADER_BYTES
from cooc_engine.text import files, readers
from cooc_engine.text.stores import TextPath
from cooc_engine.text.tokenizer_pool import pieces_under_way

__all__ = ["Allotment"]

LEAST_BLOCK, LEAST_TABLE = 1 << 18, 3 << 19
MOST_TABLE = 1 << 34  # bytes of a table, whose slots have 32 bits for a place in it; it may double
MANIFEST = 600  # approximate bytes of a manifest and of the plan
GROWTH = 4  # a growing table holds its old and its new records, and a block may double it
LINE_CUT, LINE_HELD = 32, 4  # memory to split a line into Python strings, and to hold it and its words, per byte of it
DICTIONARY = 96 << 20  # bytes of jieba's dictionary, in each process


@dataclass(frozen=True)
class Allotment:
    """The division of the memory budget; all sizes are in bytes.

    block    a block of text
    line     the longest line that is passed to Python code
    table    the words of one thread, before they are written to disk
    ranking  ranking the words
    """

    threads: int
    block: int
    line: int
    table: int
    ranking: int
    plan: Plan

    @classmethod
    def of(cls, budget: int, threads: int, options: EncodeOptions) -> Allotment:
        """Divide the budget; raises `UsageError` if it is below the minimum."""
        tables = threads * GROWTH * LEAST_TABLE
        times = threads * LINE_CUT + pieces_under_way(threads) * LINE_HELD if options.runs_python else 0

        def plan(block: int) -> Plan:
            # Once the text is read, words are ranked in the tables' share, part by part; only pieces of the result are held.
            parts = {"blocks of text": (threads + 2) * 4 * block, "tables of words": tables, "vocabulary": 4 * LEAST_BLOCK}
            if times:
                parts["lines in processes"] = times * readers.PIECE_BYTES
            if options.tokenizer == "jieba":
                parts["jieba's dictionaries"] = threads * DICTIONARY
            return Plan("encode", budget, parts)

        least = plan(LEAST_BLOCK)
        least.check()
        most = LEAST_BLOCK + (budget - least.least) // 4 // (threads + 2)
        block = min(readers.BLOCK_BYTES, most, max(LEAST_BLOCK, budget // 16 // (threads + 2)))
        chosen = plan(block)
        left, longer = budget - chosen.least + tables, 0
        if times:
            longer = (budget - chosen.least) // 4 // times
            left -= longer * times
        table = min(max(LEAST_TABLE, left // threads // GROWTH), MOST_TABLE)
        return cls(threads, block, readers.PIECE_BYTES + longer, table, min(left, RANKED * MOST_TABLE), chosen)

    def foreseen(self, paths: Sequence[TextPath], options: EncodeOptions, output: Path) -> Plan:
        """Return the plan, with the disk usage if predictable: spool and tables are kept until all shards are written."""
        with suppress(InputError, OSError):  # errors in a text are reported when it is read
            seen = paths and files.total_bytes(paths) and not options.runs_python
            sample = TextSample.of(paths, options.reading()) if seen else None
            if sample is not None:
                return replace(self.plan, disk=self._disk(sample, options, output))
        return self.plan

    def _disk(self, sample: TextSample, options: EncodeOptions, output: Path) -> Disk:
        spilled, rows = sample.tables(self.threads, self.table, self.block)
        if options.vocabulary is None:
            words = sample.kept(options.min_count, options.max_vocab)
            vocabulary = round(words * (sample.length + 16)) + 8 + 3 * HEADER_BYTES
            if RANKED * rows * sample.record > self.ranking:  # all tables are written out, then ranked parts of them
                spilled = rows * sample.record + vocabulary
        else:
            words = len(Vocabulary.stored_in(path_of(options.vocabulary)))
            vocabulary = 8 * words + HEADER_BYTES + stored_bytes(path_of(options.vocabulary))
        ids, shards = 4 * sample.tokens + 8 * sample.documents, sample.tokens // SHARD_TOKENS + 1
        blocks = sample.bytes // self.block + 1
        temporary = (1 + options.phrases) * ids + 16 * blocks + round(spilled + 4 * rows) + MANIFEST
        size = ids + shards * (8 + 2 * HEADER_BYTES) + vocabulary + MANIFEST
        return Disk(output.absolute().parent, size, temporary, size + temporary)

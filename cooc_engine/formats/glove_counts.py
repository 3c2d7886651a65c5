"""Import and export of the GloVe programs' files: co-occurrence records and the vocabulary that goes with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import RESERVED, UNKNOWN, Vocabulary
from cooc_engine.corpus.vocabulary_file import ranked, read_vocabulary
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.from_coo import Coordinates, build, rows_of, whole_counts
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.formats.foreign_counts import ForeignCounts, refuse_positional
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import FreshKeywords, Run, RunKeywords
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.inputs import refuse_streams
from cooc_engine.storage.outputs import writing_files

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["RECORD", "export_glove", "import_glove"]

RECORD = np.dtype([("row", "<i4"), ("column", "<i4"), ("count", "<f8")])
RECORD_BYTES = 40  # bytes of memory per record being written
CHUNK = 1 << 18  # records written at a time
LEAST_CHUNK = 1 << 12
LONGEST_WORD = 1000  # bytes of the longest word that GloVe's programs can read


@gated
def export_glove(
    cooc: PathLike | Cooc,
    records: PathLike,
    vocabulary: PathLike,
    **run: Unpack[FreshKeywords],
) -> None:
    """Write counts as GloVe's records (to be shuffled before `glove`), and the vocabulary as lines of word and count.

    >>> export_glove(cooc, "cooc.bin", "vocab.txt", force=True)

    Raises `UsageError` for what those programs cannot read (positional counts, the word `<unk>`, words of more than 1000
    bytes), and if the budget is too small. On any error nothing is left behind.
    """
    how = Run.of("export_glove", run, FreshKeywords)
    cooc, progress = Cooc.of(cooc), how.shown
    cooc.refuse_rectangular("GloVe's records cannot express that; take --format=hdf5")
    if cooc.positional:
        raise UsageError(f"{cooc.path}: has a column for each position, which GloVe's records cannot express")
    _check_words(cooc)
    budget = how.budget
    tables = 32 * cooc.columns
    chunk = min(CHUNK, max(LEAST_CHUNK, (budget - tables) // RECORD_BYTES))
    plan = Plan("export", budget, {"tables of words": tables, "records": chunk * RECORD_BYTES})
    plan.check()
    outputs = [path_of(records), path_of(vocabulary)]
    if outputs[0] == outputs[1]:
        raise UsageError(f"{outputs[0]}: records and vocabulary need separate files")
    with writing_files(outputs, force=how.force) as parts:
        progress.say(plan.line())
        with progress.stage("export", cooc.entries, "entries") as stage, parts[0].open("wb") as file:
            for found in _records(cooc, chunk):
                file.write(found.view(np.uint8).data)
                stage.advance(len(found))
        with parts[1].open("wb") as file:
            file.writelines(_lines(cooc.vocabulary))


def _check_words(cooc: Cooc) -> None:
    """Raise `UsageError` for a word on which GloVe's programs fail, some of them only after hours."""
    sizes = np.diff(cooc.vocabulary.offsets)
    if len(sizes) and sizes.max() > LONGEST_WORD:
        raise UsageError(
            f"{cooc.path}: word {int(sizes.argmax()) + 1} has more than {LONGEST_WORD} bytes; GloVe cannot read it"
        )
    if cooc.vocabulary.find(UNKNOWN) >= 0:
        raise UsageError(
            f"{cooc.path}: holds the word {UNKNOWN}, which {RESERVED[UNKNOWN]}; replace it in the text and encode again"
        )


def _lines(vocabulary: Vocabulary) -> Iterator[bytes]:
    """Yield one line per word: the word and its count."""
    offsets, counts = vocabulary.offsets, vocabulary.counts
    for first in range(0, len(counts), 1 << 12):
        begins = offsets[first : first + (1 << 12) + 1].tolist()
        for begin, end, count in zip(begins, begins[1:], counts[first : first + (1 << 12)].tolist(), strict=False):
            yield b"%b %d\n" % (vocabulary.text[begin:end].tobytes(), count)


def _records(cooc: Cooc, chunk: int) -> Iterator[npt.NDArray[Any]]:
    row, column = ("column", "row") if cooc.options.context_side == "left" else ("row", "column")
    for block in cooc.blocks:
        columns, values = cooc.block_integers(block)
        first = int(cooc.row_offsets[block.first])
        for begin in range(0, len(columns), chunk):
            end = min(begin + chunk, len(columns))
            found = np.empty(end - begin, RECORD)
            found[row] = rows_of(cooc.row_offsets, first + begin, first + end) + 1
            found[column] = columns[begin:end] + 1
            found["count"] = values[begin:end] / cooc.denominator
            yield found


# ---------------------------------------------------------------------------------------------------------- importing


@dataclass(frozen=True)
class _Records(ForeignCounts):
    """GloVe's records in a file, which is read, not mapped: if it shrinks meanwhile, that is an error, not a crash."""

    path: Path = Path()
    size: int = 0

    def read(self, begin: int, end: int) -> Coordinates:
        """Return rows, columns and integer counts of records begin:end."""
        found = np.fromfile(self.path, RECORD, end - begin, offset=begin * RECORD.itemsize)
        if len(found) < end - begin:
            raise FormatError(f"{self.path}: shrank while it was read; import it again")
        names = ("column", "row") if self.options.context_side == "left" else ("row", "column")
        rows, columns = self.ranked(*(found[name] - np.int32(1) for name in names))
        return rows, columns, whole_counts(found["count"], self.denominator, self.name, begin)


@gated
def import_glove(
    records: PathLike, vocabulary: PathLike, output: PathLike, options: CountOptions | None = None, **run: Unpack[RunKeywords]
) -> Cooc:
    """Import GloVe's records, in any order, as a co-occurrence directory; `options` say how they were counted.

    >>> export_glove(cooc, "cooc.bin", "vocab.txt", force=True)
    >>> import_glove("cooc.bin", "vocab.txt", "imported", threads=1)["river", "water"] == cooc["river", "water"]
    True

    Counts become exact again: each must be a multiple of 1/denominator, which is 1/2520 for weights 1/k in a window of 10.
    `run` takes threads, memory, force, resume and progress. Raises what `build` of `counts.from_coo` raises, and
    `InputError` for a file that is not a vocabulary.
    """
    how, options, path = Run.of("import_glove", run), defaulted("import_glove", CountOptions, options), path_of(records)
    refuse_positional(options)
    refuse_streams(path)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if status.st_size == 0 or status.st_size % RECORD.itemsize:
        raise FormatError(
            f"{path}: {status.st_size} bytes are not a whole number of {RECORD.itemsize}-byte records; truncated?"
        )
    words, ranks = ranked(read_vocabulary(path_of(vocabulary)), str(vocabulary))
    origin = {"records": [str(path), status.st_size, status.st_mtime_ns]}
    found = _Records(str(path), words, options, ranks, origin, path=path, size=status.st_size // RECORD.itemsize)
    return build(found, path_of(output), how)

"""Counts in the files of GloVe's own programs: records of `int32 row, int32 column, float64 count` from 1, and a vocabulary.

GloVe counts contexts on both sides, or (`-symmetric 0`) on the left, and then writes the transpose of our rows: row a,
column b for the text "a b". Export and import turn such counts over.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.config import CountOptions
from cooc_engine.cooc import KIND, VERSION, Block, Cooc, finish_blocks, plan_blocks
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.progress import Progress, Stage
from cooc_engine.rows import write_row_file
from cooc_engine.store import ArrayWriter, building, disk_errors, part_path, refuse_overwrite
from cooc_engine.vocab import Vocabulary
from cooc_engine.windows import Window

__all__ = ["RECORD", "export_glove", "import_glove"]

RECORD = np.dtype([("row", "<i4"), ("column", "<i4"), ("count", "<f8")])
CHUNK = 1 << 20  # records read at a time
PathLike = str | os.PathLike[str]


def export_glove(
    cooc: PathLike | Cooc, records: PathLike, vocabulary: PathLike, *, force: bool = False, progress: Progress | None = None
) -> None:
    """Write counts as GloVe's records (before `shuffle`), and the vocabulary as lines of word and count."""
    cooc, progress = cooc if isinstance(cooc, Cooc) else Cooc(cooc), progress or Progress()
    if cooc.columns != len(cooc.vocabulary):
        raise UsageError(f"{cooc.path}: has a column for each position, which GloVe's records cannot say")
    outputs = [Path(records), Path(vocabulary)]
    for output in outputs:
        refuse_overwrite(output, part_path(output), force=force, resume=True)
    with disk_errors(outputs[0]), progress.stage("export", cooc.entries, "entries") as stage:
        with part_path(outputs[0]).open("wb") as file:
            for block in cooc.blocks:
                file.write(_block_records(cooc, block).view(np.uint8).data)
                stage.advance(int(cooc.row_offsets[block.last] - cooc.row_offsets[block.first]))
        words = zip(cooc.vocabulary.words, cooc.vocabulary.counts.tolist(), strict=True)
        part_path(outputs[1]).write_text("".join(f"{word} {count}\n" for word, count in words), encoding="utf-8")
        for output in outputs:
            part_path(output).replace(output)


def _block_records(cooc: Cooc, block: Block) -> npt.NDArray[Any]:
    columns, values = cooc.block_integers(block)
    lengths = np.diff(cooc.row_offsets[block.first : block.last + 1])
    names = ("column", "row") if cooc.options.context_side == "left" else ("row", "column")
    found = np.empty(len(columns), RECORD)
    found[names[0]] = np.repeat(np.arange(block.first + 1, block.last + 1, dtype=np.int32), lengths)
    found[names[1]] = columns + 1
    found["count"] = values / cooc.denominator
    return found


def import_glove(
    records: PathLike,
    vocabulary: PathLike,
    output: PathLike,
    options: CountOptions | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Cooc:
    """Read GloVe's records, in any order, into a co-occurrence directory; `options` say how they were counted.

    Counts become exact again: they must be multiples of the weights' denominator, 1/2520 for 1/k in a window of 10. Raises
    `FormatError` naming the file for records that are not, or that are not of this vocabulary.
    """
    options, progress, path = options or CountOptions(), progress or Progress(), Path(records)
    window = Window.of(options)
    if window.slots > 1:
        raise UsageError("--positional: GloVe's records cannot say it")
    words = _read_vocabulary(Path(vocabulary))
    found = _map_records(path)
    turned = options.context_side == "left"
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "records": str(path)}
    with building(Path(output), plan, force=force) as work, progress.stage("import", 2 * len(found), "entries") as stage:
        lengths, sums = _row_totals(path, found, window.denominator, len(words), turned, stage)
        blocks = plan_blocks(lengths, sums)
        words.save(work)
        for block in blocks:
            _write_block(work, block, found, window.denominator, turned, stage)
        fields = {
            "tokens": int(words.counts.sum()),
            "denominator": window.denominator,
            "columns": len(words),
            "slots": 1,
            "corpus": {
                "digest": hashlib.sha256(f"{words.digest} {zlib.crc32(found.data)}".encode()).hexdigest(),
                "options": {},
            },
            "options": options.record(),
        }
        finish_blocks(work, blocks, words, fields)
    return Cooc(output)


def _read_vocabulary(path: Path) -> Vocabulary:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (at byte {error.start})") from None
    words, counts = [], []
    for number, line in enumerate(lines, 1):
        word, _, count = line.rpartition(" ")
        if not word or not count.isdecimal():
            raise InputError(f"{path}:{number}: expected a word and its count")
        words.append(word)
        counts.append(int(count))
    if not words or len(set(words)) < len(words):
        raise InputError(f"{path}: {'a word stands in it twice' if words else 'no words in it'}")
    return Vocabulary.from_words(words, counts)


def _map_records(path: Path) -> npt.NDArray[Any]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if size == 0 or size % RECORD.itemsize:
        raise FormatError(f"{path}: {size} bytes are no whole number of records of {RECORD.itemsize}; truncated?")
    return np.memmap(path, RECORD, "r").view(np.ndarray)


def _chunks(found: npt.NDArray[Any], denominator: int, turned: bool) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield rows and columns from 0, integer counts, and how far the counts were from integers."""
    for begin in range(0, len(found), CHUNK):
        chunk = found[begin : begin + CHUNK]
        rows, columns = chunk["row"].astype(np.int64) - 1, chunk["column"].astype(np.int64) - 1
        exact = chunk["count"] * denominator
        with np.errstate(invalid="ignore"):
            values = np.rint(exact).astype(np.int64)
        yield *((columns, rows) if turned else (rows, columns)), values, np.abs(exact - values)


def _row_totals(
    path: Path, found: npt.NDArray[Any], denominator: int, words: int, turned: bool, stage: Stage
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Check all records; returns the number and the sum of each row."""
    lengths, sums = np.zeros(words, np.int64), np.zeros(words, np.int64)
    for rows, columns, values, off in _chunks(found, denominator, turned):
        if min(rows.min(), columns.min()) < 0 or max(rows.max(), columns.max()) >= words:
            raise FormatError(f"{path}: a record is outside the vocabulary of {words} words; is it that of another count?")
        if not (off <= 1e-6 * np.maximum(values, 1)).all() or values.min() < 1:
            raise FormatError(
                f"{path}: a count is no multiple of 1/{denominator}; pass the --window and weights it was made with"
            )
        lengths += np.bincount(rows, minlength=words)
        np.add.at(sums, rows, values)
        stage.advance(len(rows))
    return lengths, sums


def _write_block(work: Path, block: Block, found: npt.NDArray[Any], denominator: int, turned: bool, stage: Stage) -> None:
    """Collect the records of a block, sort them, and add those of the same row and column."""
    parts = []
    for rows, columns, values, _ in _chunks(found, denominator, turned):
        mine = (rows >= block.first) & (rows < block.last)
        parts.append((rows[mine], columns[mine], values[mine]))
    rows, columns, values = (np.concatenate([part[i] for part in parts]) for i in range(3))
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    new = np.flatnonzero(np.r_[len(rows) > 0, (np.diff(rows) != 0) | (np.diff(columns) != 0)]) if len(rows) else rows
    values = np.add.reduceat(values, new) if len(rows) else values
    stage.advance(len(rows))
    rows, columns = rows[new] - block.first, columns[new]
    lengths = np.bincount(rows, minlength=block.last - block.first)
    sums = np.zeros(block.last - block.first, np.int64)
    np.add.at(sums, rows, values)
    for part, dtype, numbers in (("columns", np.int32, columns), ("values", block.dtype, values)):
        with ArrayWriter(block.path(work, part), dtype) as file:
            file.append(numbers)
    write_row_file(block.files(work), lengths, sums)

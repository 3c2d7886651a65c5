"""From an encoded corpus to exact co-occurrence counts: sorted CSR in row blocks, memory-mapped.

Weights are integers over a common denominator (2520 for 1/k in a window of 10), summed in 64-bit integers and divided
once when read. Rows are independent, so the same corpus gives the same bytes for any number of threads. Every size on the
disk follows from the vocabulary and the options.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import os
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine._kernels import counting
from cooc_engine.config import CountOptions, usable_cores
from cooc_engine.corpus import Corpus, in_order
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.progress import Progress, Stage
from cooc_engine.store import ArrayWriter, building, is_whole, load_array, read_manifest, write_manifest
from cooc_engine.vocab import Vocabulary

__all__ = ["Cooc", "count", "distance_weights"]

KIND, VERSION = "cooc", 1
TASK_ENTRIES = 1 << 20  # at most so many entries are counted before they are written (a longer row is its own task)
BLOCK_ENTRIES = 1 << 25  # at most so many entries stand in a row block
MOST_POSITIONS = 2**31 - 1
SIDES = {"both": counting.BOTH, "left": counting.LEFT, "right": counting.RIGHT}
PathLike = str | os.PathLike[str]


def distance_weights(options: CountOptions) -> tuple[npt.NDArray[np.int64], int]:
    """Return the integer weights of distances 1..window and their denominator (MODELS: harmonic 1/k, uniform 1, dynamic)."""
    distances = range(1, options.window + 1)
    if options.window_weight == "harmonic":
        denominator = math.lcm(*distances[:64])  # of which 43 overflow 64 bits
        weights = [denominator // k for k in distances[:64]]
    elif options.window_weight == "dynamic":
        denominator, weights = options.window, [options.window - k + 1 for k in distances]
    else:
        denominator, weights = 1, [1] * options.window
    if max(weights) >= 2**63:
        raise UsageError(f"--window {options.window} is too wide for exact {options.window_weight} weights; take uniform or dynamic")
    return np.array(weights, np.int64), denominator


@dataclass(frozen=True)
class Block:
    """Rows first:last of the matrix, in files of their own; `wide` values take 8 bytes and not 4."""

    number: int
    first: int
    last: int
    wide: bool

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """Type of the values on the disk."""
        return np.uint64 if self.wide else np.uint32

    def path(self, directory: Path, part: str) -> Path:
        """Return the block's file of `columns`, `values`, or (while counting) `rows`."""
        return directory / f"{part}-{self.number:05d}.bin"


def plan_blocks(bounds: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], entries: int) -> list[Block]:
    """Cut rows into blocks of at most `entries` entries; bounds[r] limits a row's entries, totals[r] its largest value."""
    first = 0
    blocks: list[Block] = []
    cumulated = np.r_[0, np.cumsum(bounds)]
    while first < len(bounds):
        last = max(first + 1, int(np.searchsorted(cumulated, cumulated[first] + entries, "right")) - 1)
        blocks.append(Block(len(blocks), first, last, bool(totals[first:last].max() >= 2**32)))
        first = last
    return blocks


class Cooc:
    """A co-occurrence directory, opened lazily: a V × V matrix of exact counts in row blocks.

    Raises `InputError` if there is none at `path`, `FormatError` if it is damaged or of another version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path, KIND, VERSION)
        self.entries: int = self.manifest["entries"]
        self.denominator: int = self.manifest["denominator"]
        self.options = CountOptions(**self.manifest["options"])
        self.blocks = [Block(i, *block) for i, block in enumerate(self.manifest["blocks"])]

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of rows and columns."""
        vocabulary = Vocabulary.load(self.path)
        if vocabulary.digest != self.manifest["vocabulary"]["digest"]:
            raise FormatError(f"{self.path}: the vocabulary is not the one its manifest names; build it again")
        return vocabulary

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest: equal for counts of the same corpus with the same options."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(V + 1,) int64: row r has entries row_offsets[r]:row_offsets[r + 1] of the whole matrix."""
        return load_array(self.path / "row-offsets.bin", np.int64)

    @functools.cached_property
    def row_sums(self) -> npt.NDArray[np.float64]:
        """(V,) float64: sum of each row, in co-occurrences."""
        return load_array(self.path / "row-sums.bin", np.int64) / self.denominator

    @functools.cached_property
    def column_sums(self) -> npt.NDArray[np.float64]:
        """(V,) float64: sum of each column, in co-occurrences."""
        return load_array(self.path / "column-sums.bin", np.int64) / self.denominator

    def block_integers(self, block: Block) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """Return columns and integer values of a block, mapped and checked; divide by `denominator` to get counts."""
        columns = load_array(block.path(self.path, "columns"), np.int32)
        values = load_array(block.path(self.path, "values"), block.dtype)
        entries = int(self.row_offsets[block.last] - self.row_offsets[block.first])
        if len(columns) != entries or len(values) != entries:
            raise FormatError(f"{block.path(self.path, 'columns')}: {len(columns)} entries where the rows have {entries}; count again")
        if entries and (int(columns.min()) < 0 or int(columns.max()) >= len(self.vocabulary)):
            raise FormatError(f"{block.path(self.path, 'columns')}: a column is outside the vocabulary; count again")
        return columns, values

    def csr(self, block: Block) -> scipy.sparse.csr_array:
        """Return a block as a (rows, V) float64 CSR matrix in memory."""
        columns, values = self.block_integers(block)
        starts = self.row_offsets[block.first : block.last + 1] - self.row_offsets[block.first]
        return scipy.sparse.csr_array((values / self.denominator, columns, starts), (block.last - block.first, len(self.vocabulary)))

    def info(self) -> dict[str, Any]:
        """Return everything recorded."""
        return self.manifest


def count(
    corpus: PathLike | Corpus,
    output: PathLike,
    options: CountOptions | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Cooc:
    """Count the co-occurrences of an encoded corpus into the directory `output`.

    The bytes of the result do not depend on `threads`. Raises `UsageError` if sums could overflow 64 bits.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    options, progress, threads = options or CountOptions(), progress or Progress(), threads or usable_cores()
    weights, denominator = distance_weights(options)
    vocabulary = corpus.vocabulary
    sides = 2 if options.context_side == "both" else 1
    most = sides * sum(weights.tolist())
    if int(vocabulary.counts.max()) * most >= 2**63:
        raise UsageError(f"--window {options.window}: {options.window_weight} sums could overflow 64 bits; take a smaller window or uniform weights")
    bounds = np.minimum(len(vocabulary), sides * options.window * vocabulary.counts)
    blocks = plan_blocks(bounds, vocabulary.counts * most, BLOCK_ENTRIES)
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "corpus": corpus.digest}
    with building(Path(output), plan, force=force, resume=resume) as work:
        vocabulary.save(work)
        todo = [block for block in blocks if not is_whole(block.path(work, "rows"), np.int64)]
        if todo:
            with progress.stage("lay out", corpus.tokens, "words") as stage:
                text = lay_out(corpus, options.window, threads, stage)
            tokens = int(text.starts[todo[-1].last] - text.starts[todo[0].first])
            with progress.stage("count", tokens, "words") as stage:
                for block in todo:
                    count_block(work, block, text, bounds, weights, options, threads, stage)
            del text
        entries, total = _finish(work, blocks, symmetric=sides == 2)
        fields = {
            "entries": entries,
            "tokens": corpus.manifest["tokens_in_vocabulary"],
            "total": total,
            "denominator": denominator,
            "blocks": [[block.first, block.last, block.wide] for block in blocks],
            "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
            "corpus": {"digest": corpus.digest, "options": corpus.manifest["options"]},
            "options": options.record(),
        }
        write_manifest(work, KIND, VERSION, fields)
    return Cooc(output)


@dataclass(frozen=True)
class Text:
    """Words laid out with separators between documents, and where each word stands.

    laid (n,) int32; positions (tokens + AHEAD,) int32; word w stands at positions[starts[w]:starts[w + 1]].
    """

    laid: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int32]


def lay_out(corpus: Corpus, window: int, threads: int, stage: Stage) -> Text:
    """Read all shards; words outside the vocabulary are dropped before any window is laid."""
    words = len(corpus.vocabulary)
    size = window + corpus.manifest["tokens_in_vocabulary"] + corpus.documents * window
    if size > MOST_POSITIONS:
        raise InputError(f"{corpus.path}: {size} positions are more than one count holds ({MOST_POSITIONS}); encode less text at a time")
    laid = np.empty(size, np.int32)
    laid[:window] = words
    n = window
    with ThreadPoolExecutor(threads) as pool:
        for number in range(corpus.shards):
            n = _lay_shard(corpus, number, window, laid, n, pool, threads)
            stage.advance(len(corpus.shard(number).ids))
        starts, positions = _positions(laid[:n], corpus.vocabulary.counts, pool, threads, corpus.path)
    return Text(laid[:n], starts, positions)


def _lay_shard(
    corpus: Corpus, number: int, window: int, laid: npt.NDArray[np.int32], n: int, pool: ThreadPoolExecutor, threads: int
) -> int:
    """Lay out one shard behind laid[:n], a range of documents a thread; returns the new n."""
    shard, words = corpus.shard(number), len(corpus.vocabulary)
    cuts = np.searchsorted(shard.offsets, np.linspace(0, len(shard.ids), threads + 1).astype(np.int64), "right") - 1
    cuts[0], cuts[-1] = 0, len(shard.offsets) - 1
    ranges = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
    kept = pool.map(lambda r: counting.count_kept(shard.ids[shard.offsets[r[0]] : shard.offsets[r[1]]]), ranges)
    sizes = [k + (r[1] - r[0]) * window for k, r in zip(kept, ranges, strict=True)]
    begins = (n + np.cumsum([0, *sizes])).tolist()
    if begins[-1] > len(laid):
        raise FormatError(f"{corpus.path}: more words in the shards than its manifest promises; build it again")
    fixed = (np.int32(words), window, laid)
    list(pool.map(lambda r, n: counting.lay_out(shard.ids, shard.offsets, *r, *fixed, n), ranges, begins))
    return int(begins[-1])


def _positions(
    laid: npt.NDArray[np.int32], counts: npt.NDArray[np.int64], pool: ThreadPoolExecutor, threads: int, where: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """List the positions of every word in rising order, by one counting sort; each thread sorts a range of the text."""
    words = len(counts)
    cuts = np.linspace(0, len(laid), threads + 1).astype(np.int64).tolist()
    found = np.zeros((threads, words + 1), np.int64)
    list(pool.map(lambda t: counting.histogram(laid[cuts[t] : cuts[t + 1]], found[t]), range(threads)))
    if (found.sum(0)[:words] != counts).any():
        raise FormatError(f"{where}: the shards do not hold the words that the vocabulary counts; build it again")
    starts = np.zeros(words + 2, np.int64)
    np.cumsum(found.sum(0), out=starts[1:])
    starts = starts[: words + 1]
    fill = starts[:-1] + np.cumsum(found[:, :words], 0) - found[:, :words]
    positions = np.zeros(starts[-1] + counting.AHEAD, np.int32)
    list(pool.map(lambda t: counting.list_positions(laid, cuts[t], cuts[t + 1], words, fill[t], positions), range(threads)))
    return starts, positions


class _Lane:
    """What a thread needs to count a task: an accumulator for a row, and room for the entries."""

    def __init__(self, words: int, entries: int, rows: int) -> None:
        self.accumulator = np.zeros(words + 1, np.int64)
        self.touched = np.zeros((words >> 6) + 1, np.uint64)
        self.columns, self.values = np.empty(entries, np.int32), np.empty(entries, np.int64)
        self.lengths, self.sums = np.empty(rows, np.int64), np.empty(rows, np.int64)


def count_block(
    directory: Path,
    block: Block,
    text: Text,
    bounds: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    options: CountOptions,
    threads: int,
    stage: Stage,
) -> None:
    """Count the rows of a block, a task a thread at a time, and write its files; the one of row lengths and sums comes last."""
    inner = bounds[block.first : block.last]
    tasks = [(block.first + t.first, block.first + t.last) for t in plan_blocks(inner, inner, TASK_ENTRIES)]
    room = max(int(bounds[a:b].sum()) for a, b in tasks), max(b - a for a, b in tasks)
    lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
    for _ in range(threads + 2):
        lanes.put(_Lane(len(bounds), *room))

    def work(task: tuple[int, int]) -> tuple[_Lane, int, int, int]:
        lane = lanes.get()
        entries = counting.count_rows(
            text.laid, text.starts, text.positions, *task, SIDES[options.context_side], weights, lane.accumulator, lane.touched,
            lane.columns, lane.values, lane.lengths, lane.sums,
        )  # fmt: skip
        return lane, *task, entries

    lengths, sums = [], []
    with (
        ThreadPoolExecutor(threads) as pool,
        ArrayWriter(block.path(directory, "columns"), np.int32) as columns,
        ArrayWriter(block.path(directory, "values"), block.dtype) as values,
    ):
        for lane, first, last, entries in in_order(pool, work, tasks, threads + 1):
            columns.append(lane.columns[:entries])
            values.append(lane.values[:entries].astype(block.dtype))
            lengths.append(lane.lengths[: last - first].copy())
            sums.append(lane.sums[: last - first].copy())
            lanes.put(lane)
            stage.advance(int(text.starts[last] - text.starts[first]))
    with ArrayWriter(block.path(directory, "rows"), np.int64) as rows:
        rows.append(np.concatenate([*lengths, *sums]))


def _finish(directory: Path, blocks: list[Block], *, symmetric: bool) -> tuple[int, int]:
    """Join the blocks' row lengths and sums, and sum the columns; returns the number and the sum of all entries."""
    halves = [np.split(load_array(block.path(directory, "rows"), np.int64), 2) for block in blocks]
    lengths, row_sums = (np.concatenate([half[i] for half in halves]) for i in (0, 1))
    column_sums = row_sums
    if not symmetric:
        column_sums = np.zeros_like(row_sums)
        for block in blocks:
            parts = load_array(block.path(directory, "columns"), np.int32), load_array(block.path(directory, "values"), block.dtype)
            counting.add_columns(*parts, column_sums)
    for name, numbers in (("row-offsets", np.r_[0, np.cumsum(lengths)]), ("row-sums", row_sums), ("column-sums", column_sums)):
        with ArrayWriter(directory / f"{name}.bin", np.int64) as file:
            file.append(numbers)
    for block in blocks:
        block.path(directory, "rows").unlink()
    return int(lengths.sum()), sum(row_sums.tolist())


def iterate_rows(cooc: Cooc) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.float64]]]:
    """Yield (row, columns, counts) for every row, from the disk; for looking, not for speed."""
    for block in cooc.blocks:
        columns, values = cooc.block_integers(block)
        starts = cooc.row_offsets[block.first : block.last + 1] - cooc.row_offsets[block.first]
        for row, (a, b) in enumerate(itertools.pairwise(starts), block.first):
            yield row, columns[a:b], values[a:b] / cooc.denominator

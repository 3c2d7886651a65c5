"""Context windows, and laying out the words of a part of the corpus for counting, with their positions."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels.later import counting
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.shards import Shard
from cooc_engine.corpus.thinning import keep_probabilities
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.threads import cut_evenly
from cooc_engine.runtime.types import WordIds

__all__ = [
    "CorpusPart", "Window", "beside_segments", "check_text", "cut_corpus", "laid_out_bytes", "lay_out", "read_positions",
    "whole_corpus",
]  # fmt: skip

WORD_BYTES, GAP_BYTES = 8, 4  # bytes per word laid out, for its id and its position; per gap
SEGMENT = 2**31  # positions in a segment of a text that is laid out: they are numbered in 32 bits
SEGMENT_TABLES = 5 * 8  # bytes per word of the vocabulary for each further segment


@dataclass(frozen=True)
class Window:
    """The contexts of a centre: integer `weights` of distances 1..window over `denominator`; `slots` columns per word."""

    weights: npt.NDArray[np.int64]
    denominator: int
    side: int
    slots: int

    @classmethod
    def of(cls, options: CountOptions) -> Window:
        """Make the window for the options (harmonic 1/k, uniform 1, dynamic (window − k + 1)/window)."""
        side = {"both": counting.BOTH, "left": counting.LEFT, "right": counting.RIGHT}[options.context_side]
        return cls(_weights(options), options.denominator, side, options.slots)

    @property
    def shape(self) -> counting.ContextWindow:
        """The window as the kernels take it."""
        return counting.ContextWindow(self.side, self.slots, self.weights)

    @property
    def size(self) -> int:
        """The radius."""
        return len(self.weights)

    @property
    def contexts(self) -> int:
        """The maximum number of contexts of one centre."""
        return self.size * (2 if self.side == counting.BOTH else 1)

    @property
    def most(self) -> int:
        """The maximum that one centre adds to the sum of its row."""
        return int(sum(self.weights.tolist())) * (2 if self.side == counting.BOTH else 1)

    def bounds(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return upper bounds (V,) of the number of entries in each row, for words that occur counts[w] times."""
        return np.minimum(len(counts) * self.slots, self.contexts * counts)


def _weights(options: CountOptions) -> npt.NDArray[np.int64]:
    distances = np.arange(1, options.window + 1, dtype=np.int64)
    if options.window_weight == "uniform":
        return np.ones_like(distances)
    if options.window_weight == "dynamic":
        return distances[::-1].copy()
    if options.denominator >= 2**63:
        raise UsageError(f"--window={options.window} is too wide for exact harmonic weights; use uniform or dynamic ones")
    return options.denominator // distances


@dataclass(frozen=True)
class CorpusPart:
    """A contiguous part of the corpus: (shard, first token, last token) for each shard that it covers, even in part."""

    parts: tuple[tuple[int, int, int], ...]


def whole_corpus(corpus: Corpus) -> CorpusPart:
    """Return the whole corpus as one part."""
    return CorpusPart(tuple((number, 0, len(corpus.shard(number).ids)) for number in range(corpus.shards)))


def laid_out_bytes(corpus: Corpus, window: int, parts: int) -> int:
    """Return the memory that suffices for each of `parts` parts of a corpus when laid out."""
    whole = WORD_BYTES * corpus.tokens + GAP_BYTES * window * (corpus.documents + corpus.shards)
    return whole // parts + (parts > 1) * (whole >> 6) // parts + 4 * (window + 1) * WORD_BYTES


def beside_segments(memory: int, words: int) -> int:
    """Return the part of `memory` that is left for a text beside the tables of its further segments, in bytes."""
    segment = WORD_BYTES * SEGMENT
    return memory if memory <= segment else memory * segment // (segment + SEGMENT_TABLES * words)


def cut_corpus(corpus: Corpus, window: int, memory: int, whole: CorpusPart | None = None) -> list[CorpusPart]:
    """Cut a corpus, or a part of it, into parts that need at most `memory` bytes each when laid out; a document may be cut."""
    room = memory - 2 * (window + 1) * WORD_BYTES
    runs, parts, left = [], list[tuple[int, int, int]](), room
    for number, begin, stop in (whole or whole_corpus(corpus)).parts:
        offsets = corpus.shard(number).offsets
        document = max(0, int(np.searchsorted(offsets, begin, "right")) - 1)
        while begin < stop:
            end, document = _fill(offsets, begin, document, window, left)
            end = min(end, stop)
            if end > begin:
                parts.append((number, begin, end))
                left -= _cost(offsets, begin, document, window, end)
                begin = end
            if begin < stop:
                runs.append(CorpusPart(tuple(parts)))
                parts, left = [], room
    return [*runs, CorpusPart(tuple(parts))] if parts else runs


def _cost(offsets: npt.NDArray[np.int64], begin: int, document: int, window: int, end: int) -> int:
    documents = document - int(np.searchsorted(offsets, begin, "right")) + 2
    return int(WORD_BYTES * (end - begin) + GAP_BYTES * window * documents)


def _fill(offsets: npt.NDArray[np.int64], begin: int, document: int, window: int, room: int) -> tuple[int, int]:
    """Return the end of the tokens that fit into `room`, from token `begin` in `document` on, and the document at that end."""

    def cost(d: int) -> int:
        return int(WORD_BYTES * (offsets[d + 1] - begin) + GAP_BYTES * window * (d - document + 1))

    last = bisect.bisect_right(range(document, len(offsets) - 1), room, key=cost) + document
    if last > document and offsets[last] > begin:
        return int(offsets[last]), last
    if last > document:  # only empty documents fit
        document = last
    return min(int(offsets[document + 1]), begin + max(0, room - GAP_BYTES * window) // WORD_BYTES), document


@dataclass(frozen=True)
class _Piece:
    """Tokens begin:end of a shard to be laid out at `place`."""

    number: int
    shard: Shard
    begin: int
    end: int


class _Layer:
    """Lays out pieces of shards according to the counting options."""

    def __init__(self, corpus: Corpus, options: CountOptions) -> None:
        keep = keep_probabilities(corpus.vocabulary.counts, options.subsample)
        seed = np.uint64(options.subsample_seed % 2**64)
        gap = {"drop": counting.DROP, "keep": counting.KEEP}[options.oov_gap]
        self.rule = counting.LayoutRule(len(corpus.vocabulary), options.window, gap, keep, seed)

    def write(self, piece: _Piece, laid: WordIds, n: int) -> int:
        """Write a piece to laid[n:]; returns the new n."""
        ids, offsets = piece.shard.ids, piece.shard.offsets
        document = int(np.searchsorted(offsets, piece.begin, "right")) - 1
        span = counting.TextSpan(document, piece.begin, piece.end, piece.number)
        return int(counting.lay_text(ids, offsets, span, self.rule, laid, n))

    def size(self, piece: _Piece) -> int:
        """Return the size of a piece when laid out."""
        return self.write(piece, np.empty(0, np.int32), 0)


def read_positions(
    corpus: Corpus, run: CorpusPart, options: CountOptions, threads: int, stage: Stage
) -> counting.PositionLists:
    """Read a run, with the contexts that its first and last words have outside it, and list the positions of its words."""
    with ThreadPoolExecutor(threads) as pool:
        laid, begin, end = lay_out(corpus, run, options, threads, pool.map)
        stage.advance(sum(end - begin for _, begin, end in run.parts))
        return _list_positions(laid, begin, end, len(corpus.vocabulary), pool, threads)


def lay_out(
    corpus: Corpus, run: CorpusPart, options: CountOptions, threads: int, apply: Callable[..., Any]
) -> tuple[WordIds, int, int]:
    """Return a run laid out with its contexts on either side, and the begin and end of its own words; `apply` maps pieces."""
    layer = _Layer(corpus, options)
    numbers = offsets_of([documents for _, documents in corpus.manifest["shards"]]).tolist()
    shards = {number: corpus.shard(number) for number, _, _ in run.parts}
    inner = [
        _Piece(numbers[number], shards[number], a, b)
        for number, begin, end in run.parts
        for a, b in cut_evenly(begin, end, threads)
    ]
    left, right = _margins(run, shards, numbers, layer)
    pieces = [left, *inner, right]
    sizes = list(apply(layer.size, pieces))
    places = np.cumsum([options.window, *sizes]).tolist()
    laid = np.empty(places[-1] + options.window, np.int32)
    laid[: options.window] = laid[places[-1] :] = layer.rule.gap
    list(apply(lambda piece, n: layer.write(piece, laid, n), pieces, places))
    return laid, places[1], places[-2]


def _margins(run: CorpusPart, shards: dict[int, Shard], numbers: list[int], layer: _Layer) -> tuple[_Piece, _Piece]:
    """Return the text before and after a run, within the documents that it cuts, as far as a window may reach."""
    (first, begin, _), (last, _, end) = run.parts[0], run.parts[-1]
    before, behind = shards[first], shards[last]
    start = int(before.offsets[np.searchsorted(before.offsets, begin, "right") - 1])
    stop = int(behind.offsets[np.searchsorted(behind.offsets, end, "left")])
    left = _reach(lambda n: _Piece(numbers[first], before, max(start, begin - n), begin), begin - start, layer)
    right = _reach(lambda n: _Piece(numbers[last], behind, end, min(stop, end + n)), stop - end, layer)
    return left, right


def _reach(piece: Callable[[int], _Piece], most: int, layer: _Layer) -> _Piece:
    """Widen a piece until it holds enough words to fill a window, or `most` tokens."""
    n = layer.rule.window
    while n < most and layer.size(piece(n)) < layer.rule.window:
        n *= 2
    return piece(min(n, most))


def _list_positions(
    laid: WordIds, begin: int, end: int, words: int, pool: ThreadPoolExecutor, threads: int
) -> counting.PositionLists:
    """List the positions of every word in ascending order, by one counting sort; each thread sorts a range of the text."""
    bases = np.arange(0, max(end, 1), SEGMENT)
    ranges = _within_segments(begin, end, threads)
    found = np.zeros((len(ranges), words + 1), np.int64)
    list(pool.map(lambda r, counts: counting.histogram(laid[r[0] : r[1]], counts), ranges, found))
    counts = np.zeros((len(bases), words), np.int64)
    for (first, _), more in zip(ranges, found, strict=True):
        counts[first // SEGMENT] += more[:words]
    starts = offsets_of(counts.T)
    fill = starts[: -1 : len(bases)] + np.cumsum(found[:, :words], 0) - found[:, :words]
    positions = np.zeros(starts[-1] + counting.AHEAD, np.int32)

    def write(chosen: tuple[int, int], places: npt.NDArray[np.int64]) -> None:
        counting.list_positions(laid, chosen, bases[chosen[0] // SEGMENT], np.int32(words), places, positions)

    list(pool.map(write, ranges, fill))
    return counting.PositionLists(laid, bases, starts, positions)


def _within_segments(begin: int, end: int, parts: int) -> list[tuple[int, int]]:
    """Cut begin:end evenly, and also where a segment ends."""
    ends = {last for _, last in cut_evenly(begin, end, parts)} | {*range(SEGMENT, end, SEGMENT)}
    return list(itertools.pairwise(sorted({begin, *(one for one in ends if one > begin)})))


def check_text(text: counting.PositionLists, counts: npt.NDArray[np.int64], corpus: Corpus) -> None:
    """Raise `FormatError` if a word occurs more often in the text than in the counts of the vocabulary."""
    if (text.counts > counts).any():
        raise FormatError(f"{corpus.path}: the shards do not hold the words that the vocabulary counts; build it again")

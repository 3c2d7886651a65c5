"""The tables that sampled models draw from: thinning of frequent words, noise words, Huffman paths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import rules, sampling
from cooc_engine._kernels.rules import Rule, Tables
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.thinning import keep_probabilities
from cooc_engine.runtime.types import Counts, Floats

__all__ = [
    "NO_USES", "InputRows", "Paths", "Uses", "alias_table", "chances", "children_of", "expected_uses", "huffman",
    "keeping", "longest_document", "tables",
]  # fmt: skip


InputRows = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]
"""The input rows of V words: starts, (V + 1,), and rows; word w has rows[starts[w]:starts[w + 1]]."""


def alias_table(counts: Counts, power: float) -> npt.NDArray[np.uint64]:
    """Return an alias table (Walker 1977; Vose 1991) that draws word w with probability ∝ n_w^power: 8 bytes per word.

    The low 32 bits of entry i hold an alias, the high ones the probability of i itself, times 2³². Words that never occur
    are never drawn.
    """
    weights = np.where(counts > 0, (counts / max(1, counts.max())) ** power, 0.0)  # relative to the largest: no overflow
    table = np.empty(len(counts), np.uint64)
    sampling.fill_alias(weights * (len(counts) / weights.sum()), np.empty(len(counts), np.int64), table)
    return table


def chances(table: npt.NDArray[np.uint64]) -> Floats:
    """Return the probability with which an alias table draws each word, (n,): its rounding is in it."""
    own, alias = np.ldexp((table >> np.uint64(32)).astype(np.float64), -32), (table & np.uint64(2**32 - 1)).astype(np.int64)
    found: Floats = (own + np.bincount(alias, 1 - own, len(table))) / len(table)
    return found


def keeping(tables: Tables, words: int) -> Floats:
    """Return the probability with which thinning keeps each of the words, (n,)."""
    return np.ldexp(tables.keep.astype(np.float64), -64) if len(tables.keep) else np.ones(words)


@dataclass(frozen=True)
class Paths:
    """The Huffman path of word w: nodes[starts[w]:starts[w + 1]] from the root down, labels 1 (left) or −1 (right) there.

    p(w | h) = Π σ(label · h·θ_node) over the path; a vocabulary of V words has V − 1 nodes.
    """

    starts: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int32]
    labels: npt.NDArray[np.float32]

    @property
    def longest(self) -> int:
        """Length of the longest path."""
        return int(np.diff(self.starts).max())

    def expected(self, counts: Counts) -> float:
        """Return the mean length of a path, weighted by the words' counts; for a complete tree it is near log2 V."""
        return float(np.diff(self.starts) @ counts / counts.sum())


def huffman(counts: Counts) -> Paths:
    """Return the paths of a Huffman tree of the counts (Huffman 1952), built as word2vec's program does."""
    (parents, codes), starts = _joined(counts), np.zeros(len(counts) + 1, np.int64)
    sampling.trace_paths(parents, codes, starts, np.empty(0, np.int32), np.empty(0, np.float32), 0)
    nodes, labels = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    sampling.trace_paths(parents, codes, starts, nodes, labels, 1)
    return Paths(starts, nodes, labels)


def children_of(counts: Counts) -> npt.NDArray[np.int32]:
    """Return the left and the right child of each node of that tree, (2 V - 1, 2): words first, the last node is the root."""
    parents, codes = _joined(counts)
    children = np.full((len(parents), 2), -1, np.int32)
    children[parents[:-1], codes[:-1]] = np.arange(len(parents) - 1)
    return children


def _joined(counts: Counts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Build the tree; return the parent of each node, and whether it is the right child."""
    words = len(counts)
    sums, parents = np.zeros(2 * words - 1, np.int64), np.zeros(2 * words - 1, np.int64)
    codes = np.zeros(2 * words - 1, np.int8)
    sums[:words] = counts
    sampling.join_huffman(np.argsort(-counts, kind="stable"), sums, parents, codes)
    return parents, codes


# Of Uses.frequent and Uses.stretch. One epoch on 17 M words, one seed, SCALED 1 and 4: MEN 40.3 and 41.2, WS-353 44.0 and 46.0,
# SimLex 23.0 and 21.1, analogies 14.3 and 14.2.
FIFTH, SCALED = 0.2, 4


class Uses(NamedTuple):
    """Expected uses per token of the most frequently used rows: as an input, or as a target and noise.

    word      for rows of words, which are used throughout the text
    document  for the row of a document, within that document: it is used at each of its words that is kept, and nowhere else
    longest   tokens of the longest document that has a row; 0 if none has
    root      for the root of a Huffman tree, which is on the path of every target
    frequent  for rows of words, but for the most frequent ones that make up a FIFTH of the text
    """

    word: float = 0.0
    document: float = 0.0
    longest: int = 0
    root: float = 0.0
    frequent: float = math.inf

    def stretch(self, most: int) -> float:
        """Return a number of tokens in which no row is expected to be used more than `most` times.

        The most frequent words may be used up to SCALED times as often: they have so many examples that they can do with less
        of each, and with every word at most `most` times training takes five times as long.
        """
        tokens = most / max(min(self.word, max(self.frequent, self.word / SCALED)), 1e-9)
        return min(tokens, most / self.document) if self.document * self.longest > most else tokens


NO_USES = Uses()


def expected_uses(counts: Counts, tables: Tables, rule: Rule, longest: int = 0) -> Uses:
    """Return how often the most used rows are used; `longest` is the number of tokens of the longest document.

    Deterministic batches are not made for the root of a Huffman tree, which needs few of its many steps.
    """
    shares = counts / counts.sum()
    kept = shares * keeping(tables, len(counts))
    contexts = 2 * rule.window if rule.fixed else rule.window + 1
    inputs, documents = {rules.CONTEXTS: contexts, rules.CENTRE: 1, rules.DOCUMENT: 0}[rule.inputs], rule.document >= 0
    each, root = _input_uses(kept, tables) * (contexts if inputs else 0), 0.0  # a centre is used for each of its contexts
    if rule.output == rules.PATH:
        root = float(kept.sum()) * (contexts if rule.inputs == rules.CENTRE else 1)
    if len(tables.noise):
        turns = inputs + documents if rule.shared == 0 and not rule.mean else 1
        targets = turns * (contexts if rule.inputs == rules.CENTRE else 1)
        each = np.maximum(each, targets * (kept + _noise(tables, rule, kept)))
    order = np.argsort(-each)
    frequent = order[np.searchsorted(np.cumsum(kept[order]), FIFTH * kept.sum())]
    text = float(kept.sum())
    return Uses(float(each.max()), text if documents else 0.0, longest if documents else 0, root, float(each[frequent]))


def _input_uses(kept: Floats, tables: Tables) -> Floats:
    """Return how often each word's input is used, per token: if it is the mean of several rows, the mean of their uses.

    A step of one of n rows moves the mean by an nth of it, and other words that have the row use it too.
    """
    starts = tables.row_starts
    if not len(starts):
        return kept
    sizes = np.diff(starts)
    uses = np.bincount(tables.rows, np.repeat(kept, sizes))
    means: Floats = np.add.reduceat(uses[tables.rows], starts[:-1]) / sizes
    return means


def _noise(tables: Tables, rule: Rule, kept: Floats) -> Floats:
    """Return, per target of the text, how often each word is drawn as noise without being the target itself."""
    noise: Floats = rule.negative * chances(tables.noise) * (kept.sum() - kept)
    return noise


def longest_document(corpus: Corpus) -> int:
    """Return the number of tokens of the longest document."""
    lengths = (np.diff(corpus.shard(number).offsets) for number in range(corpus.shards))
    return max((int(some.max()) for some in lengths if len(some)), default=0)


def tables(
    counts: Counts,
    *,
    subsample: float = 0.0,
    noise_power: float | None = None,
    paths: Paths | None = None,
    rows: InputRows | None = None,
    total: int | None = None,
) -> Tables:
    """Return the tables of a model: noise if `noise_power` is given, `paths` for hs, `rows` if words have several.

    `total` is the number of tokens relative to which words are thinned, by default those in the vocabulary.
    """
    starts, subrows = rows or (np.empty(0, np.int64), np.empty(0, np.int32))
    paths = paths or Paths(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    noise = np.empty(0, np.uint64) if noise_power is None else alias_table(counts, noise_power)
    keep = keep_probabilities(counts, subsample or None, total)
    return Tables(keep, noise, paths.starts, paths.nodes, paths.labels, starts, subrows)

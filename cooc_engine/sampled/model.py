"""A sampled model as its trainer sees it, the arrays of its network, and how the text is divided for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cooc_engine._kernels import classify, margin, rules, sgd
from cooc_engine._kernels.lines import Lines
from cooc_engine._kernels.margin import Margin
from cooc_engine._kernels.rules import CONCAT, Clock, Rule, Tables
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.file import ModelFile
from cooc_engine.runtime.threads import cut_falling
from cooc_engine.runtime.types import Matrix
from cooc_engine.sampled.network import START
from cooc_engine.sampled.sampler import NO_USES, Uses

__all__ = ["FLOOR", "GROUP", "Design", "LineModel", "MarginModel", "SampledModel", "group_of", "rate_at"]

Arrays = Mapping[str, Matrix]
PART = 1 << 14  # tokens that a thread takes at a time, and of a stretch of text that is read in its own order
ROUND = 64  # batches between two moments at which all threads rest
SMALL_PART, BATCH = 256, 16  # deterministic training: tokens of a part, at most, and parts whose steps are added together
GROUP = 32  # windows trained together, at most; the rates of the steps of a row that they are expected to use most
GROUP_RATE = 0.1  # add up to at most this: with 0.4, rates of 0.1 diverge in a text of 18 words
MOST_STEPS = 16  # steps of one row that count in full in a batch, and for which batches are sized; 32 would overshoot,
MOST_RATE = 0.4  # and so would fewer at higher rates: the rates of those that count add up to at most this
LISTED_PART = 8  # tokens of a batch of the full softmax, at most: steps add up, and more would overshoot in a small vocabulary
FLOOR = 1e-4  # the learning rate falls to this fraction of its initial value


def group_of(uses: Uses, lr: float) -> int:
    """Return the number of windows that are trained together: fewer where a row would be used too often by them."""
    # A document's row is used by each window: with groups of 32 instead of 4, 1 % more reviews are misjudged.
    document = 1.0 if uses.longest else 0.0
    return min(GROUP, max(1, int(GROUP_RATE / lr / max(uses.word, uses.root, document, 1e-9))))


def rate_at(clock: Clock, position: int) -> float:
    """Return the learning rate at a position of a shard, by the kernels' formula."""
    lr: float = clock.lr * (1 - (clock.done + clock.origin + position) / clock.total)
    return lr


@dataclass(frozen=True)
class SampledModel:
    """A sampled model as the trainer sees it: its rule, its tables, its epochs and learning rate.

    `uses` is needed only for deterministic training; `floor` is the fraction of `lr` to which the rate falls linearly.

    SPHERE     whether all rows have length 1
    DOCUMENTS  the matrix that ends with the rows of documents: 0 for the inputs, 1 for the outputs
    """

    SPHERE: ClassVar[bool] = False
    DOCUMENTS: ClassVar[int] = 0

    rule: Rule
    tables: Tables
    epochs: int
    lr: float
    seed: int
    deterministic: bool = False
    uses: Uses = NO_USES
    floor: float = FLOOR

    def __post_init__(self) -> None:
        """Raise `ValueError` for combinations that the training step does not support."""
        if self.rule.spread and not self.rule.mean:
            raise ValueError("Rule.spread shares the gradient of a mean; it goes with Rule.mean")
        if self.rule.frozen & rules.WORD_ROWS and self.rule.document < 0:
            raise ValueError("Rule.frozen keeps the input rows of words; it needs rows of documents to train")

    def horizon(self, tokens: int) -> float:
        """Return the number of tokens after which the rate would reach 0 if training went on; `tokens` is the text's length."""
        return self.epochs * tokens / (1 - self.floor) if self.floor < 1 else math.inf

    def team(self, threads: int) -> int:
        """Return how many of some threads can train at a time."""
        return threads

    def shares(self, batches: int, threads: int) -> list[tuple[int, int]]:
        """Return the batches that threads which race take at a time, as (first, end)."""
        return [(n, n + 1) for n in range(batches)]

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables."""
        return sum(int(table.nbytes) for table in self.tables)

    @property
    def segments(self) -> int:
        """Number of input rows that lie side by side in a hidden row: a document's and a window's, or one."""
        return 2 * self.rule.window + 1 if self.rule.mean == CONCAT else 1

    @property
    def tags_together(self) -> bool:
        """Whether all rows of a document are inputs of each window together, instead of one after the other."""
        return self.rule.document < 0 or bool(self.rule.mean and self.rule.inputs == rules.CONTEXTS)

    @property
    def listed(self) -> bool:
        """Whether examples are listed for a full softmax."""
        return self.rule.output == rules.LIST

    @property
    def part(self) -> int:
        """Tokens of a part."""
        stretch = self.uses.stretch(self.most_steps)
        if self.listed:
            return min(LISTED_PART, max(1, int(stretch)))
        return min(SMALL_PART, max(1, int(stretch / BATCH))) if self.deterministic else PART

    @property
    def most_steps(self) -> int:
        """Number of steps of one row in a batch that count in full: 16 at a rate of 0.025, 8 at 0.05."""
        return max(1, int(min(MOST_STEPS, MOST_RATE / self.lr)))

    @property
    def batch(self) -> int:
        """Parts that are trained together: those of a deterministic batch, or one."""
        return BATCH if self.deterministic and not self.listed else 1

    @property
    def round(self) -> int:
        """Batches between two moments at which the state is consistent."""
        return 1 if self.listed else ROUND

    @property
    def stretch(self) -> int:
        """Batches of a stretch of text that is read in its own order."""
        return max(1, PART // (self.part * self.batch))

    def train(self, ids: Any, offsets: Any, batches: Any, team: Any, clock: Any, *rest: Any) -> None:
        """Train on batches of a shard as one thread of a team, by `sgd.train_batches`.

        The rest are the input and the output matrix, the thread's scratch, the step log, the counters of uses, and the results.
        """
        *space, log, uses, results = rest
        walk = ids, offsets, batches, self.batch, self.part, team
        sgd.train_batches(*walk, self.rule, self.tables, clock, *space, log, self.most_steps, uses, results)


@dataclass(frozen=True, kw_only=True)
class SequentialModel(SampledModel):
    """A model whose steps are never recorded; deterministic training takes them one after another, in one thread.

    The steps of JoSE cannot be added up: each returns a row to the sphere, and at one position the row of a context takes up to
    2 · window · negative steps, each from where the last one left it.
    """

    def team(self, threads: int) -> int:
        """Return how many of some threads can train at a time."""
        return 1 if self.deterministic else threads

    @property
    def part(self) -> int:
        """Tokens of a part."""
        return PART

    @property
    def batch(self) -> int:
        """Parts that are trained together."""
        return 1

    @property
    def round(self) -> int:
        """Parts between two moments at which the state is consistent."""
        return ROUND


@dataclass(frozen=True, kw_only=True)
class LineModel(SequentialModel):
    """A classifier of lines.

    lines        how lines become input rows
    labels       number of labels
    longest      number of words of the longest line
    most_inputs  upper bound of the number of input rows of a line
    """

    lines: Lines
    labels: int
    longest: int
    most_inputs: int

    def shares(self, batches: int, threads: int) -> list[tuple[int, int]]:
        """Return the batches that a thread takes at a time: several, as training on one takes hardly longer than the call."""
        return [*cut_falling(batches, threads)]

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables."""
        laid = self.lines
        return super().table_bytes + sum(int(table.nbytes) for table in (laid.kinds, laid.starts, laid.rows, laid.hashes))

    def train(self, ids: Any, offsets: Any, batches: Any, team: Any, clock: Any, *rest: Any) -> None:
        """Train on parts of a shard, by `classify.train_lines`."""
        *space, _, _, results = rest
        how = self.rule, self.tables, self.lines, clock
        classify.train_lines(ids, offsets, batches, self.part, *how, *space, results)


@dataclass(frozen=True, kw_only=True)
class MarginModel(SequentialModel):
    """A model whose rows have length 1, trained with a hinge loss."""

    SPHERE = True
    DOCUMENTS = 1
    hinge: Margin

    def train(self, ids: Any, offsets: Any, batches: Any, team: Any, clock: Any, *rest: Any) -> None:
        """Train on parts of a shard, by `margin.train_margins`."""
        *space, _, _, results = rest
        how = self.rule, self.hinge, self.tables, clock
        margin.train_margins(ids, offsets, batches, self.part, *how, *space, results)


@dataclass(frozen=True)
class Design:
    """Everything that training needs from a family; the result of its `design(corpus, options)`.

    model       the model to train
    inputs      numbers of rows, by name, of the arrays that make up the input matrix, one after another
    outputs     the same for the output matrix
    facts       additional entries of the model's provenance
    start       unless rows are on the sphere, input vectors start uniformly between -start/d and start/d, output vectors at 0
    begin       for a start from an older model: copies the rows that are not words, and returns the arrays by its names
    settle      brings rows taken from an older model into the form of this one, such as length 1, in place
    finish      returns the arrays of the model file, given the vocabulary and the trained arrays
    finished    numbers of rows, by name, of the arrays that `finish` adds
    vocabulary  the words of the model, if they are not those of the corpus
    labels      the labels of a classifier
    documents   the names of the rows of documents, if these are tags instead of documents

    The arrays are otherwise those of the model file. An example's input row r is row r of the input matrix: with {"words": V,
    "documents": D} document k has row V + k, and `Rule.document` is V.
    """

    model: SampledModel
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    start: float = START
    begin: Callable[[ModelFile, Arrays], Arrays] = lambda older, arrays: arrays
    settle: Callable[[Arrays], None] = lambda arrays: None
    finish: Callable[[Vocabulary, Arrays], Arrays] = lambda vocabulary, arrays: arrays
    finished: Mapping[str, int] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    labels: Vocabulary | None = None
    documents: Vocabulary | None = None

    @property
    def has_documents(self) -> bool:
        """Whether documents have rows."""
        return "documents" in {*self.inputs, *self.outputs}

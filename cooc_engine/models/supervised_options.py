"""Options of the classifier, named as in fastText's program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.option_types import Epochs, LearningRate, VectorSize
from cooc_engine.runtime.options import AtLeast, Below, Flag, Options, Unparsed

__all__ = ["AllWordsOptions", "AutotuneOptions", "SupervisedOptions"]


@dataclass(frozen=True)
class AllWordsOptions(EncodeOptions):
    """How a text is encoded for a model that prunes the vocabulary itself: with all its words."""

    min_count: Annotated[int, AtLeast(1), Unparsed()] = 1
    """Words that occur fewer times than this are left out of the vocabulary."""


@dataclass(frozen=True)
class SupervisedOptions(Options):
    """A classifier of lines (Joulin et al. 2017)."""

    vector_size: VectorSize = 100
    """Dimension of the vectors."""
    loss: Literal["softmax", "hs", "ns", "ova"] = "softmax"
    """Softmax over all labels, hierarchical softmax, negative sampling, or one logistic regression for each label."""
    negative: Annotated[int, AtLeast(1), Below(10**4), Flag(alias=("--neg", "--ns"))] = 5
    """With ns: number of negative samples per line."""
    label: Annotated[str, Flag(alias=("--label-prefix",))] = "__label__"
    """Words that begin with this are labels; they may be anywhere in a line."""
    min_count: Annotated[int, AtLeast(1), Flag(alias=("--minCount", "--mincount"))] = 1
    """Words that occur fewer times than this have no vector, but are still part of n-grams."""
    min_count_label: Annotated[int, AtLeast(1), Flag(alias=("--minCountLabel",))] = 1
    """Labels that occur fewer times than this are ignored."""
    word_ngrams: Annotated[int, AtLeast(1), Below(64), Flag(alias=("--wordNgrams",))] = 1
    """Number of words of the longest word n-gram."""
    min_n: Annotated[int, AtLeast(0), Flag(alias=("--minn",))] = 0
    """Number of characters of the shortest subword."""
    max_n: Annotated[int, AtLeast(0), Below(64), Flag(alias=("--maxn",))] = 0
    """Number of characters of the longest subword; 0 for no subwords."""
    buckets: Annotated[int, AtLeast(1), Below(2**31), Flag(alias=("--bucket",))] = 2_000_000
    """Number of rows that n-grams and subwords are hashed to, if there are any."""
    epochs: Epochs = 5
    """Number of passes over the text."""
    lr: LearningRate = 0.1
    """Initial learning rate, which decays linearly to 0."""
    init: Annotated[str | None, Flag(alias=("--pretrained", "--pretrainedVectors"))] = None
    """Start from the vectors of this model, or of a file of vectors; words that it lacks are initialised as usual."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the initial values and of all sampling."""
    deterministic: bool = False
    """Train in one thread, with the same vectors for any number of threads."""
    extend: ClassVar[bool] = False
    vectors: ClassVar[str] = "w"

    def __post_init__(self) -> None:
        """Raise `UsageError` for an empty prefix, and for a shortest subword longer than the longest."""
        super().__post_init__()
        if not self.label or self.label.split() != [self.label]:
            raise UsageError(f"--label is {self.label!r}; it must be the beginning of a word, such as __label__")
        if self.min_n > self.max_n:
            raise UsageError(f"--min-n is {self.min_n}, above --max-n, {self.max_n}; pass both, or neither")
        if self.negative != type(self).negative and self.loss != "ns":
            raise UsageError(f"--negative is {self.negative}, but with --loss={self.loss} there are no negative samples")

    @property
    def ngram_rows(self) -> int:
        """The number of rows of n-grams: none without word n-grams and subwords."""
        return self.buckets if self.word_ngrams > 1 or self.max_n else 0


@dataclass(frozen=True)
class AutotuneOptions(Options):
    """How the options of a classifier are searched for."""

    heading = "Searching"

    duration: Annotated[float, AtLeast(0), Flag(alias=("--autotune-duration",))] = 300.0
    """Time for all trials, in seconds: none starts that would take longer than what remains, but one that started ends."""
    trials: Annotated[int | None, AtLeast(1)] = None
    """Largest number of trials."""
    metric: Annotated[str, Flag(alias=("--autotune-metric",))] = "f1"
    """What to maximise: `f1`, `precision` or `recall` of the best labels, or `f1:LABEL` for a single label."""
    predictions: Annotated[int, AtLeast(1), Flag(alias=("--autotune-predictions",))] = 1
    """Number of labels that are predicted for each line."""
    model_size: Annotated[str | None, Flag(alias=("--autotune-modelsize",))] = None
    """Largest size of the model file, such as 2M: models are quantised, and pruned so that they fit."""
    search_seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the search."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a metric that there is not."""
        super().__post_init__()
        if self.metric.partition(":")[0] not in ("f1", "precision", "recall"):
            raise UsageError(f"--metric is {self.metric!r}; it must be f1, precision or recall, or for a single label f1:LABEL")

"""Options, written once: flags, TOML keys, Python keywords and the model's record all come from these classes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import WHOLE, Above, AtLeast, Below, Options

__all__ = [
    "CbowOptions",
    "CompareOptions",
    "EvalOptions",
    "GloveOptions",
    "PlannedOptions",
    "PmiSvdOptions",
    "RunOptions",
    "SimplerGloveOptions",
    "SkipgramOptions",
    "StreamOptions",
    "TrainOptions",
]


@Parameter(name="*")
@dataclass(frozen=True)
class GloveOptions(Options):
    """The GloVe model and its optimiser (Pennington, Socher and Manning 2014)."""

    vector_size: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--dim", "--dims", "--size"])] = 100
    """Length of the vectors."""
    epochs: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--epoch", "--iter", "--iterations"])] = 25
    """How many times every entry is visited."""
    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.05
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Parameter(alias="--xmax")] = 100.0
    """Counts from here on have weight 1; take 10 for a small corpus."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent of the weight (count / x-max) of rarer entries."""
    clip: Annotated[float | None, Above(0), Parameter(alias=["--grad-clip", "--grad-clip-value"])] = 100.0
    """Bound of each component of a gradient, before the rate."""
    target: Literal["log", "log1p"] = "log"
    """What is fitted: the logarithm of a count, or of one more than it."""
    accumulators: Literal["component", "row"] = "component"
    """AdaGrad's sums of squares: for each component, the program's rule, or one a row: faster, smaller, of the same loss."""
    vectors: Literal["w+c", "w", "c", "concat"] = "w+c"
    """What queries use: word plus context vectors, either alone, or both side by side."""
    center: Literal["none", "mean"] = "none"
    """Subtract the mean from the vectors that queries use: a common offset has no part in the objective."""
    held_out: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Share of the entries that is not trained on; training stops when their loss no longer falls."""
    patience: Annotated[int, WHOLE, AtLeast(1)] = 2
    """With `held-out`: how many epochs in a row may bring no lower loss."""
    init: str | None = None
    """Start from the vectors of this model, word by word; words that it lacks start at random."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the initial values, of the order of the entries and of those held out."""


@Parameter(name="*")
@dataclass(frozen=True)
class SimplerGloveOptions(Options):
    """The simpler-GloVe model and its optimiser (Su Jianlin 2017)."""

    vector_size: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--dim", "--dims", "--size"])] = 100
    """Length of the vectors."""
    epochs: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--epoch", "--iter", "--iterations"])] = 30
    """How many times every entry is visited."""
    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.1
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Parameter(alias="--xmax")] = 100.0
    """The count that has weight 1."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent of the weight (count / x-max)."""
    truncate_weight: Literal["on", "off"] = "on"
    """Whether counts above x-max have weight 1 too, or more."""
    tying: Literal["tied", "free"] = "tied"
    """One set of vectors for words and contexts (best for meaning), or two (side by side, best for grammar)."""
    clip: Annotated[float | None, Above(0), Parameter(alias=["--grad-clip", "--grad-clip-value"])] = None
    """Bound of each component of a gradient, before the rate; none unless given."""
    accumulators: Literal["component", "row"] = "component"
    """AdaGrad's sums of squares: for each component, the program's rule, or one a row: faster, smaller, of the same loss."""
    vectors: Literal["w", "c", "w+c", "concat"] | None = None
    """What queries use: w, the only choice, of tied vectors; of free ones word and context vectors, concat unless given."""
    center: Literal["none", "mean"] = "none"
    """Subtract the mean from the vectors that queries use."""
    held_out: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Share of the entries that is not trained on; training stops when their loss no longer falls."""
    patience: Annotated[int, WHOLE, AtLeast(1)] = 2
    """With `held-out`: how many epochs in a row may bring no lower loss."""
    init: str | None = None
    """Start from the vectors of this model, word by word; words that it lacks start at random."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the initial values, of the order of the entries and of those held out."""

    def __post_init__(self) -> None:
        """Settle what queries use; raises `UsageError` for a choice that tied vectors do not have."""
        super().__post_init__()
        if self.tying == "tied" and self.vectors not in (None, "w"):
            raise UsageError(f"--vectors is {self.vectors!r}, but tied vectors are one set: pass --tying free, or w")
        object.__setattr__(self, "vectors", self.vectors or ("w" if self.tying == "tied" else "concat"))


@Parameter(name="*")
@dataclass(frozen=True)
class PmiSvdOptions(Options):
    """The PMI matrix and its truncated SVD (Levy, Goldberg and Dagan 2015)."""

    vector_size: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--dim", "--dims", "--size"])] = 100
    """Length of the vectors: how many singular values are kept."""
    pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi"
    """Of each counted pair: `ppmi` what is above 0, `pmi` all, `npmi` all, divided by -log of the pair's probability."""
    pmi_shift: Annotated[float, AtLeast(1e-100), Parameter(alias="--shift")] = 1.0
    """The log of this is subtracted from the PMI; it is the number of negative samples of the like skip-gram."""
    cds: Annotated[float, AtLeast(0)] = 0.75
    """Context distribution smoothing: the exponent of the contexts' counts."""
    eig: Annotated[float, AtLeast(0)] = 0.5
    """Exponent of the singular values in the vectors U S^eig and V S^eig."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """What queries use: word vectors, context vectors, their sum, or both side by side."""
    normalize: bool = False
    """Scale every word and context vector to length 1."""
    tol: Annotated[float, Above(0), Below(1)] = 0.01
    """Stop when no component has a larger residual |A v - s u| / s."""
    max_passes: Annotated[int, WHOLE, AtLeast(1)] = 200
    """Stop after so many passes whatever the residual is."""
    solver: Literal["krylov", "arpack", "none"] = "krylov"
    """Our block Krylov method; ARPACK through SciPy as the reference, one thread; none: the sparse PMI rows are the vectors."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the first block."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what vectors without a factorisation do not have."""
        super().__post_init__()
        if self.solver == "none" and self.vectors != "w":
            raise UsageError(f"--vectors is {self.vectors!r}; without an SVD (--solver none) there are only those of words: w")
        if self.solver == "none" and self.normalize:
            raise UsageError("--normalize: vectors without an SVD (--solver none) stay the PMI that they are")


@dataclass(frozen=True)
class StreamOptions(Options):
    """What all models that are trained on the text itself have in common."""

    vector_size: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--dim", "--dims", "--size"])] = 100
    """Length of the vectors."""
    window: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--window-size", "--ws", "--win"])] = 5
    """How many words on each side of the centre are its contexts, at most."""
    radius: Literal["random", "fixed"] = "random"
    """Radius of each window: drawn from 1 to `window`, or always `window`."""
    loss: Literal["ns", "hs", "softmax"] = "ns"
    """Output layer: negative sampling, hierarchical softmax, or the full softmax, for small vocabularies."""
    negative: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--neg", "--ns"])] = 5
    """Noise words of each example, with ns."""
    noise: Literal["shared", "own"] = "shared"
    """With ns: noise words are drawn once for a window, or, as word2vec's program does, anew for each input of it."""
    noise_power: Annotated[float, AtLeast(0), Parameter(alias="--ns-exponent")] = 0.75
    """With ns: noise words are drawn by their count to this power."""
    subsample: Annotated[float, AtLeast(0), Parameter(alias=["--sample", "--sub", "-t"])] = 1e-3
    """Thin frequent words: of share f, √(t/f) + t/f are kept, so it begins at 2.6 of this t; 0 keeps all."""
    epochs: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--epoch", "--iter", "--iterations"])] = 5
    """How many times the text is read."""
    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.025
    """Initial learning rate; it falls in a straight line to `min-lr`."""
    min_lr: Annotated[float | None, AtLeast(0), Parameter(alias="--min-alpha")] = None
    """Learning rate at the end; 1e-4 of `lr` unless given. After few epochs a tenth of `lr`, or more, gives better vectors."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """What queries use: input (word) or output (context) vectors, their sum, or both side by side."""
    init: str | None = None
    """Begin with the vectors of this model, for the words that it has."""
    extend: bool = False
    """Keep the words of `init` that the text does not have, with their vectors; counts add up."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the initial values and of everything that is drawn."""
    deterministic: bool = False
    """The same vectors for any number of threads; slower."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for options of noise where nothing is noise."""
        if self.negative == 0:
            raise UsageError("--negative is 0, but ns needs noise; for the hierarchical softmax pass --loss hs without it")
        super().__post_init__()
        if self.min_lr is not None and self.min_lr > self.lr:
            raise UsageError(f"--min-lr is {self.min_lr:g}, above --lr, {self.lr:g}; the rate does not rise")
        if self.loss != "ns":
            self._refuse(f"with --loss {self.loss} nothing is noise", "negative", "noise", "noise_power")

    def _refuse(self, why: str, *names: str) -> None:
        """Raise `UsageError` if one of some options is not as it is by default: it would change nothing."""
        for field in dataclasses.fields(self):
            value, flag = getattr(self, field.name), "--" + field.name.replace("_", "-")
            if field.name in names and value != field.default:
                raise UsageError(f"{flag} is {value}, but {why}; leave {flag} out")


@Parameter(name="*")
@dataclass(frozen=True)
class SkipgramOptions(StreamOptions):
    """Skip-gram (Mikolov et al. 2013)."""

    predict: Literal["centre", "contexts"] = "centre"
    """Each context word predicts the centre, as in word2vec's program, or the centre its contexts, as in the paper."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a choice of noise that there is not."""
        super().__post_init__()
        if self.predict == "contexts":
            self._refuse("a centre that predicts its contexts has noise of its own for each", "noise")


@Parameter(name="*")
@dataclass(frozen=True)
class CbowOptions(StreamOptions):
    """Continuous bag of words (Mikolov et al. 2013)."""

    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.05
    """Initial learning rate; it falls in a straight line to `min-lr`."""
    gradient: Literal["whole", "share"] = "whole"
    """What each of C context words receives of the mean's gradient: all of it, as in word2vec's program, or 1/C."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a choice of noise that there is not."""
        super().__post_init__()
        self._refuse("the mean of a window is one input, with one set of noise words", "noise")


@Parameter(name="*")
@dataclass(frozen=True)
class EvalOptions(Options):
    """How vectors are judged."""

    restrict: Annotated[int, WHOLE, AtLeast(1)] = 30_000
    """Ask analogies among so many of the most frequent words."""
    by_section: bool = False
    """Show each section of the analogies too."""
    bootstrap: Annotated[int, WHOLE, AtLeast(0)] = 0
    """Resample pairs and questions so many times, say 1000, and show between which limits 95 % of the scores lie."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the bootstrap and of the clusters."""


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions(Options):
    """How a command runs; nothing here changes a result."""

    threads: Annotated[int | None, WHOLE, AtLeast(1), Parameter(alias=["--thread", "--workers"])] = None
    """Threads; all cores unless given."""
    memory: str | None = None
    """Budget, such as 512M or 4G (binary); half of the machine's, or of its control group's, unless given."""
    force: bool = False
    """Replace an output that exists."""
    resume: bool = False
    """Continue what an interrupted run left."""
    progress: Literal["auto", "bar", "lines", "json", "none"] = "auto"
    """Progress on stderr: a bar on a terminal and lines elsewhere, JSON lines, or nothing."""
    json: bool = False
    """Print the result as one JSON object."""


@Parameter(name="*")
@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """How training runs; nothing here changes a result."""

    checkpoint_every: Annotated[float, AtLeast(0)] = 10.0
    """Minutes between checkpoints within an epoch."""


@Parameter(name="*")
@dataclass(frozen=True)
class PlannedOptions(RunOptions):
    """How a command runs that can say beforehand what it will take."""

    dry_run: bool = False
    """Print only the plan: memory, runs, entries and disk as predicted. Nothing is written."""


@Parameter(name="*")
@dataclass(frozen=True)
class CompareOptions(Options):
    """How models are compared."""

    restrict: Annotated[int, WHOLE, AtLeast(1)] = 30_000
    """Analogies and neighbours are looked for among so many of the most frequent words."""
    samples: Annotated[int, WHOLE, AtLeast(100)] = 1000
    """How often the pairs or questions are drawn anew for the intervals."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of these draws."""
    frequent: Annotated[int, WHOLE, AtLeast(1)] = 1000
    """Neighbours are compared of so many of the most frequent words."""
    neighbours: Annotated[int, WHOLE, AtLeast(1), Parameter(alias="--topn")] = 10
    """How many nearest neighbours are compared."""
    common: bool = False
    """Compare models of different vocabularies on the words that all have, instead of refusing them."""

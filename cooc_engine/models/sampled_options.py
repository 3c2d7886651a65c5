"""Options of the families that are trained on the text itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from cooc_engine.errors import UsageError
from cooc_engine.models.option_types import Epochs, LearningRate, VectorSize
from cooc_engine.runtime.options import Above, AtLeast, Below, Flag, Options

__all__ = [
    "INFER_EPOCHS", "INFER_SEED", "CbowOptions", "Doc2vecOptions", "FasttextOptions", "JoseOptions", "SampledOptions",
    "SkipgramOptions",
]  # fmt: skip

INFER_EPOCHS, INFER_SEED = 20, 1  # by default, of the vector of a new document


@dataclass(frozen=True)
class SampledOptions(Options):
    """Options common to all models that are trained on the text itself."""

    vector_size: VectorSize = 100
    """Dimension of the vectors."""
    window: Annotated[int, AtLeast(1), Flag(alias=("--window-size", "--ws", "--win"))] = 5
    """Largest number of context words on each side of the centre."""
    radius: Literal["random", "fixed"] = "random"
    """Size of each window: drawn from 1 to `window`, or always `window`."""
    loss: Literal["ns", "hs", "softmax"] = "ns"
    """Negative sampling, hierarchical softmax, or, for small vocabularies, the full softmax."""
    negative: Annotated[int, AtLeast(1), Below(10**4), Flag(alias=("--neg", "--ns"))] = 5
    """With ns: number of negative samples per example."""
    noise: Literal["shared", "own"] = "shared"
    """With ns: whether neighbouring windows share negative samples, or each input draws its own, as in word2vec's program."""
    noise_words: Annotated[int, AtLeast(1), Below(1025)] = 16
    """With shared noise: number of words drawn for each group of windows; more take longer and improve analogies."""
    noise_power: Annotated[float, AtLeast(0), Flag(alias=("--ns-exponent",))] = 0.75
    """With ns: negative samples are drawn in proportion to their counts to this power."""
    subsample: Annotated[float, AtLeast(0), Flag(alias=("--sample", "--sub", "-t"))] = 1e-3
    """Subsample frequent words: a word of frequency f > 2.6 t is kept with probability √(t/f) + t/f; 0 keeps all."""
    epochs: Epochs = 5
    """Number of passes over the text."""
    lr: LearningRate = 0.025
    """Initial learning rate, which decays linearly to `min-lr`."""
    min_lr: Annotated[float | None, AtLeast(0), Flag(alias=("--min-alpha",))] = None
    """Final learning rate, by default 1e-4 of `lr`. With few epochs, a tenth of `lr` or more gives better vectors."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """The vectors that queries use: input (word) or output (context) vectors, their sum, or both concatenated."""
    init: Annotated[str | None, Flag(alias=("--pretrained", "--pretrainedVectors"))] = None
    """Start from the vectors of this model, or of a file of vectors; words that it lacks are initialised as usual."""
    extend: bool = False
    """Keep the words of `init` that the text lacks, with their vectors; counts are added up."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the initial values and of all sampling."""
    deterministic: bool = False
    """Train slower, with the same vectors for any number of threads."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for options of noise if there is no noise."""
        if self.negative == 0:
            raise UsageError("--negative is 0, but ns needs samples; for the hierarchical softmax pass --loss=hs without it")
        super().__post_init__()
        if self.min_lr is not None and self.min_lr > self.lr:
            raise UsageError(f"--min-lr is {self.min_lr:g}, above --lr, {self.lr:g}; the rate must not rise")
        if self.loss != "ns":
            self.refuse_unused(
                f"with --loss={self.loss} there are no negative samples", "negative", "noise", "noise_words", "noise_power"
            )
        if self.noise == "own":
            self.refuse_unused("with --noise=own each input draws its own", "noise_words")

    @property
    def shared_words(self) -> int:
        """Number of noise words that a group of windows shares."""
        return self.noise_words


@dataclass(frozen=True)
class SkipgramOptions(SampledOptions):
    """Skip-gram (Mikolov et al. 2013)."""

    predict: Literal["centre", "contexts"] = "centre"
    """Whether each context word predicts the centre, as in word2vec's program, or the centre its contexts, as in the paper."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a choice of noise that does not exist here."""
        super().__post_init__()
        if self.predict == "contexts":
            self.refuse_unused("a centre that predicts its contexts draws negative samples for each", "noise")


@dataclass(frozen=True)
class CbowOptions(SampledOptions):
    """Continuous bag of words (Mikolov et al. 2013)."""

    lr: LearningRate = 0.05
    """Initial learning rate, which decays linearly to `min-lr`."""
    gradient: Literal["whole", "share"] = "whole"
    """The share of the mean's gradient that each of its C words receives: all of it, as in word2vec's program, or 1/C."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a choice of noise that does not exist here."""
        super().__post_init__()
        self.refuse_unused("the mean of a window is one input, with one set of negative samples", "noise")


@dataclass(frozen=True)
class Doc2vecOptions(SampledOptions):
    """Paragraph vectors, Doc2Vec (Le and Mikolov 2014)."""

    architecture: Annotated[Literal["dbow", "dm"], Flag(alias=("--model",))] = "dbow"
    """PV-DBOW: a document predicts each of its words; or PV-DM: the mean of document and window predicts the centre."""
    combine: Literal["mean", "sum", "concat"] = "mean"
    """With dm: use the mean of document and window, their sum, or their concatenation, with weights for each position."""
    radius: Literal["random", "fixed"] | None = None  # type: ignore[assignment]
    """Size of each window: drawn from 1 to `window`, or always `window`, as it is with concat."""
    words: Literal["on", "off"] = "off"
    """With dbow: also train skip-gram, so that words have input vectors in the same space as documents."""
    epochs: Epochs = 10
    """Number of passes over the text."""
    vectors: Literal["w", "c", "w+c", "concat"] | None = None  # type: ignore[assignment]
    """The word vectors that queries use: w by default, or c for dbow without `words`, which with hs has none."""

    def __post_init__(self) -> None:
        """Fill in vectors and radius, so that the record states them; raise `UsageError` for vectors that do not exist."""
        super().__post_init__()
        if not self.has_words and self.loss == "hs":
            self.refuse_unused("dbow with hs has no vectors of words, unless --words is on", "vectors", "init", "extend")
        elif self.vectors is None:
            object.__setattr__(self, "vectors", "w" if self.has_words else "c")
        if self.radius is None:
            object.__setattr__(self, "radius", "fixed" if self.combine == "concat" else "random")
        self._check_combination()
        if self.architecture == "dm":
            self.refuse_unused("dm trains words in any case", "words")
        elif not self.has_words:
            self.refuse_unused("a target is predicted once, with negative samples of its own", "noise_words")
        if self.architecture == "dm" or not self.has_words:
            self.refuse_unused("a target is predicted once, with one set of negative samples", "noise")
        if not self.has_words and self.vectors not in ("c", None):
            raise UsageError(
                f"--vectors is {self.vectors}; --architecture=dbow has only c, output vectors, unless --words is on"
            )

    def _check_combination(self) -> None:
        """Raise `UsageError` for a way to combine a document and a window that does not go with the other options."""
        if self.architecture == "dbow":
            self.refuse_unused("dbow has nothing to combine with a document", "combine")
        if self.combine != "mean" and self.loss == "softmax":
            raise UsageError(f"--combine={self.combine} goes with --loss=ns or hs; the full softmax takes means")
        if self.combine != "concat":
            return
        if self.radius != "fixed":
            raise UsageError("--radius=random does not go with --combine=concat, where each word of the window has its place")
        if self.vectors != "w":
            raise UsageError(f"--vectors is {self.vectors}; with --combine=concat outputs have other sizes, so there is only w")
        if self.extend:
            raise UsageError("--extend does not go with --combine=concat; leave it out: --init alone starts from its words")

    @property
    def has_words(self) -> bool:
        """Whether words have input vectors."""
        return self.architecture == "dm" or self.words == "on"


# Analogies answered, trained on 17 M words: after one epoch of fastText's skip-gram 43 % with 64 noise words, 41 % with 48 in
# nine tenths of the time, and 36 % with 16; of its CBOW 31 % with 64, 34 % with 16 and 35 % with 8, and pairs of words in the
# same order; after five of word2vec's skip-gram 39.2 % with 32, and 37.9 % with 16, in three quarters of the time.
@dataclass(frozen=True)
class FasttextOptions(SampledOptions):
    """fastText's word vectors (Bojanowski et al. 2017): a word is the mean of its own row and those of its n-grams."""

    architecture: Annotated[Literal["skipgram", "cbow"], Flag(alias=("--model",))] = "skipgram"
    """Whether the centre predicts each of its contexts, or the mean of all rows of all context words predicts the centre."""
    min_n: Annotated[int, AtLeast(0), Flag(alias=("--minn",))] = 3
    """Length of the shortest n-grams, in characters; 0 is taken as 1."""
    max_n: Annotated[int, AtLeast(0), Below(64), Flag(alias=("--maxn",))] = 6
    """Length of the longest n-grams, in characters; 0 trains words without n-grams."""
    buckets: Annotated[int, AtLeast(1), Below(2**31), Flag(alias=("--bucket",))] = 2_000_000
    """Number of rows that n-grams are hashed to."""
    mode: Literal["fasttext", "floret"] = "fasttext"
    """Whether each word has its own row, or words are hashed like n-grams, as in floret, into one table that can be small."""
    hashes: Annotated[int, AtLeast(1), Below(5), Flag(alias=("--hash-count", "--hashCount"))] = 1
    """With floret: number of rows of each word and n-gram."""
    noise_words: Annotated[int | None, AtLeast(1), Below(1025)] = None  # type: ignore[assignment]
    """With shared noise: number of words drawn for each group of windows, by default 48 for skip-gram and 8 for CBOW."""
    noise_power: Annotated[float, AtLeast(0), Flag(alias=("--ns-exponent",))] = 0.5
    """With ns: negative samples are drawn in proportion to their counts to this power."""
    subsample: Annotated[float, AtLeast(0), Flag(alias=("--sample", "--sub", "-t"))] = 1e-4
    """Subsample frequent words: a word of frequency f > 2.6 t is kept with probability √(t/f) + t/f; 0 keeps all."""
    lr: LearningRate = 0.05
    """Initial learning rate, which decays linearly to `min-lr`."""
    min_lr: Annotated[float, AtLeast(0), Flag(alias=("--min-alpha",))] = 0.0
    """Final learning rate."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for n-grams of no length, and for a choice of noise that there is not."""
        super().__post_init__()
        if self.mode == "fasttext":
            self.refuse_unused("--mode=fasttext gives each n-gram one row", "hashes")
        if 0 < self.max_n < self.min_n:
            raise UsageError(f"--max-n is {self.max_n}, below --min-n, {self.min_n}; pass --max-n=0 for no n-grams")
        if self.architecture == "cbow":
            self.refuse_unused("the mean of a window is one input, with one set of negative samples", "noise")

    @property
    def shared_words(self) -> int:
        """Number of noise words that a group of windows shares."""
        return self.noise_words or (48 if self.architecture == "skipgram" else 8)


@dataclass(frozen=True)
class JoseOptions(SampledOptions):
    """JoSE, joint spherical embedding (Meng et al. 2019): words, contexts and documents as vectors of length 1."""

    loss: ClassVar[str] = "ns"  # type: ignore[misc]
    margin: Annotated[float, Above(0), Below(4)] = 0.15
    """How much nearer to its context or document a word must be than a noise word, as a difference of cosines."""
    hinge: Literal["separate", "joint"] = "separate"
    """Separate losses for the context and the document, as in the authors' program, or their joint loss, as in the article."""
    step: Literal["program", "cosine", "plain"] = "program"
    """Factor of each step: that of the authors' program, the article's 1 + cos, or none (Riemannian gradient descent)."""
    negative: Annotated[int, AtLeast(1), Below(10**4), Flag(alias=("--neg", "--ns"))] = 2
    """Number of noise words for each pair of a word and its context, or document."""
    noise: Literal["shared", "own"] = "shared"
    """Whether neighbouring words share their noise words, or each draws its own, as in the authors' program."""
    noise_words: Annotated[int, AtLeast(1), Below(1025)] = 64
    """With shared noise: number of words that neighbours share, a sixteenth of which is redrawn at each position."""
    noise_power: Annotated[float, AtLeast(0), Flag(alias=("--ns-exponent",))] = 0.75
    """Noise words are drawn in proportion to their counts to this power."""
    epochs: Epochs = 10
    """Number of passes over the text."""
    lr: LearningRate = 0.04
    """Initial learning rate, which decays linearly to `min-lr`."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """The vectors that queries use: those of words as centres or as contexts, their sum, or both concatenated."""
    deterministic: bool = False
    """Train in one thread, with the same vectors for any number of threads."""

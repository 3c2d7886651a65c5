"""Options of the families that are trained on counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.option_types import Clip, Epochs, LearningRate, VectorSize
from cooc_engine.runtime.options import Above, AtLeast, Below, Flag, Options, Unparsed

__all__ = ["AsWrittenOptions", "GloveOptions", "PmiOptions", "PmiSvdOptions", "SimplerGloveOptions"]

UNWATCHED = "without --held-out no loss is watched"


@dataclass(frozen=True)
class GloveOptions(Options):
    """The GloVe model and its optimiser (Pennington, Socher and Manning 2014)."""

    vector_size: VectorSize = 100
    """Dimension of the vectors."""
    epochs: Epochs = 25
    """Number of passes over the entries."""
    lr: LearningRate = 0.05
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Flag(alias=("--xmax",))] = 100.0
    """Counts of at least this have weight 1; 10 suits a small corpus."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent α of the weight (count / x-max)^α of smaller counts."""
    clip: Clip = 100.0
    """Clip each component of a gradient to this, before multiplying by the learning rate."""
    target: Literal["log", "log1p"] = "log"
    """The value that is fitted: log x or log(1 + x) of a count x."""
    accumulators: Literal["component", "row"] = "component"
    """AdaGrad's sums of squares: one per component, as in GloVe's program, or one per row, which is faster and smaller at the
    same loss."""
    vectors: Literal["w+c", "w", "c", "concat"] = "w+c"
    """The vectors that queries use: the sum of word and context vectors, either alone, or both concatenated."""
    center: Literal["none", "mean"] = "none"
    """Subtract the mean from the vectors that queries use; the objective does not determine a common offset."""
    held_out: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Fraction of the entries that are held out from training, which stops when their loss no longer falls."""
    patience: Annotated[int, AtLeast(1)] = 2
    """With `held-out`: number of consecutive epochs that may pass without a lower loss."""
    init: str | None = None
    """Start from the vectors of this model, or of a file of vectors; words that it lacks start at random."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the initial values, of the order of the entries and of those held out."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for patience with a loss that is not watched."""
        super().__post_init__()
        if not self.held_out:
            self.refuse_unused(UNWATCHED, "patience")


@dataclass(frozen=True)
class SimplerGloveOptions(Options):
    """The simpler-GloVe model and its optimiser (Su Jianlin 2017)."""

    vector_size: VectorSize = 100
    """Dimension of the vectors."""
    epochs: Epochs = 30
    """Number of passes over the entries."""
    lr: LearningRate = 0.1
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Flag(alias=("--xmax",))] = 100.0
    """The count whose weight is 1."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent α of the weight (count / x-max)^α."""
    truncate_weight: Literal["on", "off"] = "on"
    """Whether the weight of counts above x-max is capped at 1."""
    tying: Literal["tied", "free"] = "tied"
    """One set of vectors for words and contexts (best for meaning), or two (concatenated, best for grammar)."""
    clip: Clip = None
    """Clip each component of a gradient to this, before multiplying by the learning rate; off by default."""
    accumulators: Literal["component", "row"] = "component"
    """AdaGrad's sums of squares: one per component, as in GloVe's program, or one per row, which is faster and smaller at the
    same loss."""
    vectors: Literal["w", "c", "w+c", "concat"] | None = None
    """The vectors that queries use: only w if tied; any of the four if free, by default concat."""
    center: Literal["none", "mean"] = "none"
    """Subtract the mean from the vectors that queries use."""
    held_out: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Fraction of the entries that are held out from training, which stops when their loss no longer falls."""
    patience: Annotated[int, AtLeast(1)] = 2
    """With `held-out`: number of consecutive epochs that may pass without a lower loss."""
    init: str | None = None
    """Start from the vectors of this model, or of a file of vectors; words that it lacks start at random."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the initial values, of the order of the entries and of those held out."""

    def __post_init__(self) -> None:
        """Fill in the vectors that queries use; raises `UsageError` for a choice that tied vectors do not have."""
        super().__post_init__()
        if not self.held_out:
            self.refuse_unused(UNWATCHED, "patience")
        if self.tying == "tied" and self.vectors not in (None, "w"):
            raise UsageError(f"--vectors is {self.vectors!r}, but tied vectors are a single set: pass --tying=free, or w")
        object.__setattr__(self, "vectors", self.vectors or ("w" if self.tying == "tied" else "concat"))


@dataclass(frozen=True)
class PmiOptions(Options):
    """The PMI matrix, whose sparse rows are the vectors (Levy, Goldberg and Dagan 2015)."""

    pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi"
    """`ppmi` keeps positive values, `pmi` those of all counted pairs; `npmi` divides them by -log of the pair's probability."""
    pmi_shift: Annotated[float, AtLeast(1e-100), Flag(alias=("--shift",))] = 1.0
    """The log of this is subtracted from the PMI; it corresponds to the number of negative samples in skip-gram."""
    cds: Annotated[float, AtLeast(0)] = 0.75
    """Context distribution smoothing: the exponent applied to context counts."""


@dataclass(frozen=True)
class AsWrittenOptions(EncodeOptions):
    """How a text is encoded for a family that has its own option `normalize`, which concerns vectors."""

    normalize: Annotated[Literal["NFC", "NFKC"] | None, Unparsed()] = None
    """Not available as a flag here: encode the text first, with its Unicode normalisation."""


@dataclass(frozen=True)
class PmiSvdOptions(Options):
    """The PMI matrix and its truncated SVD (Levy, Goldberg and Dagan 2015)."""

    vector_size: VectorSize = 100
    """Dimension of the vectors: the number of singular values that are kept."""
    pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi"
    """`ppmi` keeps positive values, `pmi` those of all counted pairs; `npmi` divides them by -log of the pair's probability."""
    pmi_shift: Annotated[float, AtLeast(1e-100), Flag(alias=("--shift",))] = 1.0
    """The log of this is subtracted from the PMI; it corresponds to the number of negative samples in skip-gram."""
    cds: Annotated[float, AtLeast(0)] = 0.75
    """Context distribution smoothing: the exponent applied to context counts."""
    eig: Annotated[float, AtLeast(0)] = 0.5
    """Exponent of the singular values in the vectors U S^eig and V S^eig."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """The vectors that queries use: word vectors, context vectors, their sum, or both concatenated."""
    normalize: bool = False
    """Scale all word and context vectors to length 1."""
    tol: Annotated[float, Above(0), Below(1)] = 0.01
    """Stop when no component's residual |A v - s u| / s is larger than this."""
    max_passes: Annotated[int, AtLeast(1)] = 200
    """Stop after this many passes over the matrix, whatever the residual."""
    solver: Literal["krylov", "arpack", "none"] = "krylov"
    """Block Krylov iteration; SciPy's ARPACK, as a reference, on one thread; or `none`, which is the same as `train pmi`."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the first block."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for options that require a factorisation."""
        super().__post_init__()
        if self.solver == "none":
            why = "without an SVD (--solver=none) the vectors are the rows of the PMI matrix"
            self.refuse_unused(why, "vector_size", "tol", "max_passes", "seed")
        if self.solver == "arpack":
            self.refuse_unused("ARPACK has its own passes", "max_passes")
        if self.solver == "none" and self.vectors != "w":
            raise UsageError(
                f"--vectors is {self.vectors!r}; without an SVD (--solver=none) there are only word vectors: pass w"
            )
        if self.solver == "none" and self.normalize:
            raise UsageError("--normalize: without an SVD (--solver=none) vectors are PMI values, not scaled; leave it out")

    @property
    def matrix(self) -> PmiOptions:
        """The options of the matrix that is factorised."""
        return PmiOptions(self.pmi, self.pmi_shift, self.cds)

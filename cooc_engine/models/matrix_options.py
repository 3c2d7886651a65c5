"""Options of the families that are trained on counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import Above, AtLeast, Below, Flag, Options

__all__ = ["GloveOptions", "PmiOptions", "PmiSvdOptions", "SimplerGloveOptions"]


@dataclass(frozen=True)
class GloveOptions(Options):
    """The GloVe model and its optimiser (Pennington, Socher and Manning 2014)."""

    vector_size: Annotated[int, AtLeast(1), Flag(alias=("--dim", "--dims", "--size"))] = 100
    """Length of the vectors."""
    epochs: Annotated[int, AtLeast(1), Flag(alias=("--epoch", "--iter", "--iterations"))] = 25
    """How many times every entry is visited."""
    lr: Annotated[float, Above(0), Flag(alias=("--eta", "--learning-rate"))] = 0.05
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Flag(alias=("--xmax",))] = 100.0
    """Counts from here on have weight 1; take 10 for a small corpus."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent of the weight (count / x-max) of rarer entries."""
    clip: Annotated[float | None, Above(0), Flag(alias=("--grad-clip", "--grad-clip-value"))] = 100.0
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
    patience: Annotated[int, AtLeast(1)] = 2
    """With `held-out`: how many epochs in a row may bring no lower loss."""
    init: str | None = None
    """Start from the vectors of this model, word by word; words that it lacks start at random."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Seed of the initial values, of the order of the entries and of those held out."""


@dataclass(frozen=True)
class SimplerGloveOptions(Options):
    """The simpler-GloVe model and its optimiser (Su Jianlin 2017)."""

    vector_size: Annotated[int, AtLeast(1), Flag(alias=("--dim", "--dims", "--size"))] = 100
    """Length of the vectors."""
    epochs: Annotated[int, AtLeast(1), Flag(alias=("--epoch", "--iter", "--iterations"))] = 30
    """How many times every entry is visited."""
    lr: Annotated[float, Above(0), Flag(alias=("--eta", "--learning-rate"))] = 0.1
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Flag(alias=("--xmax",))] = 100.0
    """The count that has weight 1."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent of the weight (count / x-max)."""
    truncate_weight: Literal["on", "off"] = "on"
    """Whether counts above x-max have weight 1 too, or more."""
    tying: Literal["tied", "free"] = "tied"
    """One set of vectors for words and contexts (best for meaning), or two (side by side, best for grammar)."""
    clip: Annotated[float | None, Above(0), Flag(alias=("--grad-clip", "--grad-clip-value"))] = None
    """Bound of each component of a gradient, before the rate; none unless given."""
    accumulators: Literal["component", "row"] = "component"
    """AdaGrad's sums of squares: for each component, the program's rule, or one a row: faster, smaller, of the same loss."""
    vectors: Literal["w", "c", "w+c", "concat"] | None = None
    """What queries use: w, the only choice, of tied vectors; of free ones word and context vectors, concat unless given."""
    center: Literal["none", "mean"] = "none"
    """Subtract the mean from the vectors that queries use."""
    held_out: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Share of the entries that is not trained on; training stops when their loss no longer falls."""
    patience: Annotated[int, AtLeast(1)] = 2
    """With `held-out`: how many epochs in a row may bring no lower loss."""
    init: str | None = None
    """Start from the vectors of this model, word by word; words that it lacks start at random."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Seed of the initial values, of the order of the entries and of those held out."""

    def __post_init__(self) -> None:
        """Settle what queries use; raises `UsageError` for a choice that tied vectors do not have."""
        super().__post_init__()
        if self.tying == "tied" and self.vectors not in (None, "w"):
            raise UsageError(f"--vectors is {self.vectors!r}, but tied vectors are one set: pass --tying free, or w")
        object.__setattr__(self, "vectors", self.vectors or ("w" if self.tying == "tied" else "concat"))


@dataclass(frozen=True)
class PmiOptions(Options):
    """The PMI matrix, whose sparse rows are the vectors (Levy, Goldberg and Dagan 2015)."""

    pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi"
    """Of each counted pair: `ppmi` what is above 0, `pmi` all, `npmi` all, divided by -log of the pair's probability."""
    pmi_shift: Annotated[float, AtLeast(1e-100), Flag(alias=("--shift",))] = 1.0
    """The log of this is subtracted from the PMI; it is the number of negative samples of the like skip-gram."""
    cds: Annotated[float, AtLeast(0)] = 0.75
    """Context distribution smoothing: the exponent of the contexts' counts."""


@dataclass(frozen=True)
class PmiSvdOptions(Options):
    """The PMI matrix and its truncated SVD (Levy, Goldberg and Dagan 2015)."""

    vector_size: Annotated[int, AtLeast(1), Flag(alias=("--dim", "--dims", "--size"))] = 100
    """Length of the vectors: how many singular values are kept."""
    pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi"
    """Of each counted pair: `ppmi` what is above 0, `pmi` all, `npmi` all, divided by -log of the pair's probability."""
    pmi_shift: Annotated[float, AtLeast(1e-100), Flag(alias=("--shift",))] = 1.0
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
    max_passes: Annotated[int, AtLeast(1)] = 200
    """Stop after so many passes whatever the residual is."""
    solver: Literal["krylov", "arpack", "none"] = "krylov"
    """Our block Krylov method; ARPACK through SciPy as the reference, one thread; `none` is another name of `train pmi`."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Seed of the first block."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what vectors without a factorisation do not have."""
        super().__post_init__()
        if self.solver == "none" and self.vectors != "w":
            raise UsageError(f"--vectors is {self.vectors!r}; without an SVD (--solver none) there are only those of words: w")
        if self.solver == "none" and self.normalize:
            raise UsageError("--normalize: vectors without an SVD (--solver none) stay the PMI that they are")

    @property
    def matrix(self) -> PmiOptions:
        """The options of the matrix that is factorised."""
        return PmiOptions(self.pmi, self.pmi_shift, self.cds)

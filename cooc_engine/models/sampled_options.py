"""Options of the families that are trained on the text itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import Above, AtLeast, Flag, Options

__all__ = ["CbowOptions", "SampledOptions", "SkipgramOptions"]


@dataclass(frozen=True)
class SampledOptions(Options):
    """What all models that are trained on the text itself have in common."""

    vector_size: Annotated[int, AtLeast(1), Flag(alias=("--dim", "--dims", "--size"))] = 100
    """Length of the vectors."""
    window: Annotated[int, AtLeast(1), Flag(alias=("--window-size", "--ws", "--win"))] = 5
    """How many words on each side of the centre are its contexts, at most."""
    radius: Literal["random", "fixed"] = "random"
    """Radius of each window: drawn from 1 to `window`, or always `window`."""
    loss: Literal["ns", "hs", "softmax"] = "ns"
    """Output layer: negative sampling, hierarchical softmax, or the full softmax, for small vocabularies."""
    negative: Annotated[int, AtLeast(1), Flag(alias=("--neg", "--ns"))] = 5
    """Noise words of each example, with ns."""
    noise: Literal["shared", "own"] = "shared"
    """With ns: noise words are drawn once for a window, or, as word2vec's program does, anew for each input of it."""
    noise_power: Annotated[float, AtLeast(0), Flag(alias=("--ns-exponent",))] = 0.75
    """With ns: noise words are drawn by their count to this power."""
    subsample: Annotated[float, AtLeast(0), Flag(alias=("--sample", "--sub", "-t"))] = 1e-3
    """Thin frequent words: of share f, √(t/f) + t/f are kept, so it begins at 2.6 of this t; 0 keeps all."""
    epochs: Annotated[int, AtLeast(1), Flag(alias=("--epoch", "--iter", "--iterations"))] = 5
    """How many times the text is read."""
    lr: Annotated[float, Above(0), Flag(alias=("--eta", "--learning-rate"))] = 0.025
    """Initial learning rate; it falls in a straight line to `min-lr`."""
    min_lr: Annotated[float | None, AtLeast(0), Flag(alias=("--min-alpha",))] = None
    """Learning rate at the end; 1e-4 of `lr` unless given. After few epochs a tenth of `lr`, or more, gives better vectors."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """What queries use: input (word) or output (context) vectors, their sum, or both side by side."""
    init: str | None = None
    """Begin with the vectors of this model, for the words that it has."""
    extend: bool = False
    """Keep the words of `init` that the text does not have, with their vectors; counts add up."""
    seed: Annotated[int, AtLeast(0)] = 1
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


@dataclass(frozen=True)
class SkipgramOptions(SampledOptions):
    """Skip-gram (Mikolov et al. 2013)."""

    predict: Literal["centre", "contexts"] = "centre"
    """Each context word predicts the centre, as in word2vec's program, or the centre its contexts, as in the paper."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a choice of noise that there is not."""
        super().__post_init__()
        if self.predict == "contexts":
            self._refuse("a centre that predicts its contexts has noise of its own for each", "noise")


@dataclass(frozen=True)
class CbowOptions(SampledOptions):
    """Continuous bag of words (Mikolov et al. 2013)."""

    lr: Annotated[float, Above(0), Flag(alias=("--eta", "--learning-rate"))] = 0.05
    """Initial learning rate; it falls in a straight line to `min-lr`."""
    gradient: Literal["whole", "share"] = "whole"
    """What each of C context words receives of the mean's gradient: all of it, as in word2vec's program, or 1/C."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a choice of noise that there is not."""
        super().__post_init__()
        self._refuse("the mean of a window is one input, with one set of noise words", "noise")

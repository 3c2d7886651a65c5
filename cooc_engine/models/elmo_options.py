"""Options of ELMo, whose vectors depend on the sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.option_types import Epochs
from cooc_engine.runtime.options import Above, AtLeast, Below, Flag, Options

__all__ = ["MOST_CHARACTERS", "ElmoOptions", "LettersOptions"]

MOST_CHARACTERS = 50  # of a word, with the marks of its begin and its end
MARKS = 3  # rows of the softmax that are no words of the text


@dataclass(frozen=True)
class LettersOptions(EncodeOptions):
    """How a text is encoded for a model that reads the characters of every word."""

    min_count: Annotated[int, AtLeast(1), Flag(alias=("--minCount",))] = 1
    """Words that occur fewer times than this are left out of the vocabulary."""


@dataclass(frozen=True)
class ElmoOptions(Options):
    """ELMo, a character network under two language models (Peters et al. 2018)."""

    vector_size: Annotated[int, AtLeast(1), Flag(alias=("--dim", "--dims", "--size", "--projection"))] = 128
    """Dimension of a word's vector without context, and of the output of each direction."""
    cells: Annotated[int, AtLeast(1), Flag(alias=("--hidden-size",))] = 256
    """Number of LSTM cells in each layer and direction."""
    layers: Annotated[int, AtLeast(1), Below(100)] = 2
    """Number of LSTM layers in each direction."""
    characters: Annotated[int, AtLeast(1)] = 32
    """Dimension of the vectors of characters, which are UTF-8 bytes."""
    filters: str = "1:32,2:32,3:64,4:128"
    """The convolutions over the characters: a comma-separated list of WIDTH:NUMBER."""
    highways: Annotated[int, AtLeast(0), Below(100)] = 1
    """Number of highway layers between the convolutions and the words' vectors."""
    activation: Literal["relu", "tanh"] = "relu"
    """The activation function after the max-pooling of the convolutions."""
    cell_clip: Annotated[float, Above(0)] = 3.0
    """Clip the cells of the LSTM to this absolute value."""
    projection_clip: Annotated[float, Above(0)] = 3.0
    """Clip the outputs of the LSTM to this absolute value."""
    softmax_words: Annotated[int, Above(MARKS), Below(2**31)] = 30_000
    """Number of the most frequent words that the language models predict; all others count as a single word."""
    negatives: Annotated[int, AtLeast(0), Below(2**31), Flag(alias=("--neg", "--negative"))] = 2048
    """Number of words drawn in each step for the sampled softmax; 0 for the full softmax."""
    noise_power: Annotated[float, AtLeast(0), Flag(alias=("--ns-exponent",))] = 0.75
    """These words are drawn in proportion to their counts to this power."""
    batch: Annotated[int, AtLeast(1), Flag(alias=("--batch-size",))] = 32
    """Batch size: number of positions of the text that are read in parallel."""
    steps: Annotated[int, AtLeast(1), Flag(alias=("--unroll-steps",))] = 20
    """Number of unrolled words, after which the parameters are updated; gradients do not pass further back."""
    optimizer: Literal["adam", "program"] = "adam"
    """Adam, with sparse AdaGrad for the softmax; or AdaGrad with the settings of the program bilm-tf."""
    lr: Annotated[float | None, Above(0), Flag(alias=("--eta", "--learning-rate"))] = None
    """Learning rate: by default 0.004 with adam, decaying linearly to 5 % of that, and a constant 0.2 with program."""
    softmax_lr: Annotated[float, Above(0)] = 0.3
    """With adam: learning rate of the softmax, which decays in the same way."""
    dropout: Annotated[float | None, AtLeast(0), Below(1)] = None
    """Share of each layer's inputs, and of the outputs, dropped at random: by default 0.1, or 0 for one epoch of adam."""
    epochs: Epochs = 1
    """Number of passes over the text."""
    held_out: Annotated[int, AtLeast(0)] = 20_000
    """Approximate number of words in the documents held out to measure the perplexity; at most 1 % of the text."""
    init: str | None = None
    """Start from the parameters of this model, whose sizes must be the same."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the initial values and of all sampling."""
    extend: ClassVar[bool] = False
    vectors: ClassVar[str] = "w"

    def __post_init__(self) -> None:
        """Raise `UsageError` for malformed filters and for sizes that do not go together."""
        super().__post_init__()
        if self.optimizer == "program" and self.softmax_lr != type(self).softmax_lr:
            raise UsageError("--softmax-lr goes with --optimizer=adam; otherwise --lr is the rate of all parameters")
        if self.negatives == 0 and self.noise_power != type(self).noise_power:
            raise UsageError("--noise-power goes with --negatives above 0; the full softmax draws nothing")
        self.convolutions  # noqa: B018

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        """Width and number of the filters of each convolution; raises `UsageError` for malformed `filters`."""
        try:
            pairs = [tuple(map(int, part.split(":"))) for part in self.filters.split(",")]
            found = tuple((width, number) for width, number in pairs)
        except ValueError:
            raise UsageError(f"--filters is {self.filters!r}; it must be like {type(self).filters}") from None
        if not all(1 <= width <= MOST_CHARACTERS and 1 <= number < 2**31 for width, number in found):
            raise UsageError(f"--filters is {self.filters!r}; widths must be from 1 to {MOST_CHARACTERS}, numbers at least 1")
        return found

    @property
    def rate(self) -> float:
        """The learning rate at the start."""
        return self.lr or {"adam": 4e-3, "program": 0.2}[self.optimizer]

    @property
    def left_out(self) -> float:
        """The share that dropout drops."""
        if self.dropout is not None:
            return self.dropout
        return 0.1 if self.epochs > 1 or self.optimizer == "program" else 0.0

"""The sizes of an ELMo network, and the table of its parameters: their names, axes and shapes, here and in published files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.runtime.types import Matrix

__all__ = [
    "CHARACTERS", "DIRECTIONS", "SOFTMAX", "SOFTMAX_BIAS", "Parameter", "Parameters", "Shape", "of_filters", "of_highway",
    "of_layer", "of_projection",
]  # fmt: skip

CHARACTERS = 261  # 256 bytes, and the marks of `characters`
DIRECTIONS = ("forward", "backward")
SOFTMAX, SOFTMAX_BIAS = "softmax", "softmax_bias"
Parameters = Mapping[str, Matrix]  # by name, with the shapes that `Shape.parameters` lists


def of_filters(number: int) -> tuple[str, str]:
    """Return the names of a convolution's filters, (width, characters, n), and of their bias, (n,)."""
    return f"filters-{number}", f"filters_bias-{number}"


def of_highway(number: int) -> tuple[str, str, str, str]:
    """Return the names of a highway layer's gate and transform, each (F, F) and its bias, (F,)."""
    return f"carry-{number}", f"carry_bias-{number}", f"transform-{number}", f"transform_bias-{number}"


def of_projection() -> tuple[str, str]:
    """Return the names of the projection to words' vectors, (F, P), and of its bias, (P,)."""
    return "projection", "projection_bias"


def of_layer(direction: int, layer: int) -> tuple[str, str, str]:
    """Return the names of an LSTM layer's weights, (2 P, 4 C), bias, (4 C,), and projection, (C, P)."""
    name = f"{DIRECTIONS[direction]}-{layer}"
    return f"{name}-weights", f"{name}-bias", f"{name}-projection"


class Parameter(NamedTuple):
    """A parameter: its name and axes in our model file, its shape, and its name in a published `weights.hdf5`.

    A published array of filters has an additional first axis of length 1. The softmax is not published, so that name is "".
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    published: str

    @property
    def published_shape(self) -> tuple[int, ...]:
        """The shape of the array in a published file."""
        return (1, *self.shape) if len(self.shape) == 3 else self.shape

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Shape:
    """All sizes of a network.

    characters   dimension of the vectors of characters
    filters      width and number of the filters of each convolution
    words        rows of the softmax, the first three of which are for `<S>`, `</S>` and `<UNK>`; 0 if the model has none
    residual     whether the layers after the first add their input to their output
    """

    characters: int
    filters: tuple[tuple[int, int], ...]
    highways: int
    vector_size: int
    cells: int
    layers: int
    words: int = 0
    activation: str = "relu"
    residual: bool = True
    cell_clip: float = 3.0
    projection_clip: float = 3.0

    @classmethod
    def of(cls, options: ElmoOptions, words: int) -> Shape:
        """Return the shape that the options of a training describe, with `words` rows of the softmax."""
        return cls(
            options.characters, options.convolutions, options.highways, options.vector_size, options.cells, options.layers,
            words, options.activation, cell_clip=options.cell_clip, projection_clip=options.projection_clip,
        )  # fmt: skip

    @property
    def features(self) -> int:
        """F, the number of all filters."""
        return sum(number for _, number in self.filters)

    @property
    def of_words(self) -> tuple[Parameter, ...]:
        """The parameters that turn the characters of a word into its vector."""
        F, P, k = self.features, self.vector_size, self.characters
        table = [Parameter("characters", "byte character", (CHARACTERS, k), "char_embed")]
        for i, (width, n) in enumerate(self.filters):
            filters, bias = of_filters(i)
            table.append(Parameter(filters, f"width-{i} character filter-{i}", (width, k, n), f"CNN/W_cnn_{i}"))
            table.append(Parameter(bias, f"filter-{i}", (n,), f"CNN/b_cnn_{i}"))
        for i in range(self.highways):
            published = (f"CNN_high_{i}/{name}" for name in ("W_carry", "b_carry", "W_transform", "b_transform"))
            for name, there in zip(of_highway(i), published, strict=True):
                square = "bias" not in name
                table.append(Parameter(name, "F feature" if square else "F", (F, F) if square else (F,), there))
        projection, bias = of_projection()
        table += [Parameter(projection, "F d", (F, P), "CNN_proj/W_proj"), Parameter(bias, "d", (P,), "CNN_proj/b_proj")]
        return tuple(table)

    @property
    def of_layers(self) -> tuple[Parameter, ...]:
        """The parameters of the LSTM layers, forward and then backward."""
        P, C = self.vector_size, self.cells
        kinds = (("inputs gates", (2 * P, 4 * C), "W_0"), ("gates", (4 * C,), "B"), ("cells d", (C, P), "W_P_0"))
        return tuple(
            Parameter(name, axes, shape, f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/{there}")
            for direction in range(len(DIRECTIONS))
            for layer in range(self.layers)
            for name, (axes, shape, there) in zip(of_layer(direction, layer), kinds, strict=True)
        )

    @property
    def of_softmax(self) -> tuple[Parameter, ...]:
        """The parameters of the softmax over words that both directions share; none if the model has no softmax."""
        if not self.words:
            return ()
        S, P = self.words, self.vector_size
        return Parameter(SOFTMAX, "S d", (S, P), ""), Parameter(SOFTMAX_BIAS, "S", (S,), "")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The table of all parameters; without those of the softmax, it is that of a published file."""
        return self.of_words + self.of_layers + self.of_softmax

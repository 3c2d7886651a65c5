"""The parameters of a network in one array, so that an optimiser steps them all at once, and their initial values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cooc_engine.contextual.shape import DIRECTIONS, SOFTMAX, Parameter, Shape, of_filters, of_highway, of_layer, of_projection
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.scratch import aligned_zeros

__all__ = ["Store", "set_start"]

ALIGNED = 16  # values of a cache line, at which each array begins
CARRY_BIAS = -2.0  # highways begin by passing on most of their input


@dataclass(frozen=True, eq=False)
class Store:
    """Arrays by name, which are parts of the one array `values`, with zeros between them."""

    values: Matrix
    arrays: dict[str, Matrix]

    @classmethod
    def zeros(cls, table: Iterable[Parameter]) -> Store:
        """Return a store of zeros with the arrays of a table."""
        table, ends = list(table), [0]
        for parameter in table:
            ends.append(ends[-1] + -(-parameter.size // ALIGNED) * ALIGNED)
        values = aligned_zeros(1, ends[-1])[0]
        places = zip(table, ends, strict=False)
        return cls(values, {p.name: values[at : at + p.size].reshape(p.shape) for p, at in places})


def set_start(shape: Shape, arrays: dict[str, Matrix], seed: int) -> None:
    """Initialise the parameters, which are zero, for training."""
    random = np.random.Generator(np.random.PCG64(seed))

    def uniform(name: str, bound: float) -> None:
        arrays[name][:] = random.uniform(-bound, bound, arrays[name].shape)

    def normal(name: str, deviation: float) -> None:
        arrays[name][:] = random.normal(0, deviation, arrays[name].shape)

    uniform("characters", 1.0)
    for number, (width, _) in enumerate(shape.filters):
        name, _ = of_filters(number)
        if shape.activation == "relu":
            uniform(name, 0.05)
        else:
            normal(name, (width * shape.characters) ** -0.5)
    for number in range(shape.highways):
        carry, carry_bias, transform, _ = of_highway(number)
        normal(carry, shape.features**-0.5)
        normal(transform, shape.features**-0.5)
        arrays[carry_bias][:] = CARRY_BIAS
    normal(of_projection()[0], shape.features**-0.5)
    for direction in range(len(DIRECTIONS)):
        for layer in range(shape.layers):
            weights, _, projection = of_layer(direction, layer)
            uniform(weights, (6 / (2 * shape.vector_size + 4 * shape.cells)) ** 0.5)
            uniform(projection, (6 / (shape.cells + shape.vector_size)) ** 0.5)
    if shape.words:
        normal(SOFTMAX, shape.vector_size**-0.5)

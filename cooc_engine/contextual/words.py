"""A word's vector from its characters: convolutions, highway layers and a projection (Kim et al. 2016), with their gradient.

    z = act(max_p (b + Σ_k T_k[c_{p+k}])),  T_k = E W_k, for each width; concatenated
    v ← g relu(v W_t + b_t) + (1 − g) v,  g = σ(v W_c + b_c), for each highway
    x = v W + b

Products are taken for blocks of a fixed number of words, the last one padded: a word's vector has the same bits in any company.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import spelling
from cooc_engine.contextual.characters import Spelled
from cooc_engine.contextual.shape import CHARACTERS, Parameters, Shape, of_filters, of_highway, of_projection
from cooc_engine.runtime.types import Matrix

__all__ = ["BLOCK", "WordTrace", "word_gradient", "word_vectors"]

BLOCK = 64  # words whose products are taken together


class WordTrace(NamedTuple):
    """What the gradient needs: characters, places of the maxima, z, each highway's (v, g, transform), and v after them."""

    spelled: Spelled
    places: npt.NDArray[np.int16]
    activated: Matrix
    highways: list[tuple[Matrix, Matrix, Matrix]]
    last: Matrix


def word_vectors(shape: Shape, parameters: Parameters, spelled: Spelled) -> tuple[Matrix, WordTrace]:
    """Return the vectors of n words, (n, P), and the trace for `word_gradient`."""
    padded, n = _padded(spelled), len(spelled.ids)
    places = np.empty((len(padded.ids), shape.features), np.int16)
    values = _convolved(shape, parameters, padded, places).reshape(-1, BLOCK, shape.features)
    v: Matrix = np.tanh(values) if shape.activation == "tanh" else np.maximum(values, 0)
    z = v
    highways = []
    for number in range(shape.highways):
        carry, carry_bias, transform, transform_bias = (parameters[name] for name in of_highway(number))
        gate = logistic(v @ carry + carry_bias)
        raised = np.maximum(v @ transform + transform_bias, 0)
        highways.append((v, gate, raised))
        v = gate * raised + (1 - gate) * v
    projection, bias = (parameters[name] for name in of_projection())
    x = (v @ projection + bias).reshape(-1, shape.vector_size)
    return x[:n], WordTrace(padded, places, z, highways, v)


def word_gradient(shape: Shape, parameters: Parameters, trace: WordTrace, gradient: Matrix, into: Parameters) -> None:
    """Write the gradient of the parameters, given that of the vectors, (n, P), to the arrays of `into`."""
    d: Matrix = np.zeros((len(trace.spelled.ids), shape.vector_size), np.float32)
    d[: len(gradient)] = gradient
    (projection, bias), flat = of_projection(), (len(d), shape.features)
    np.matmul(trace.last.reshape(flat).T, d, out=into[projection])
    np.sum(d, 0, out=into[bias])
    d = d @ parameters[projection].T
    for number in reversed(range(shape.highways)):
        v, gate, raised = (array.reshape(flat) for array in trace.highways[number])
        carry, carry_bias, transform, transform_bias = of_highway(number)
        of_gate: Matrix = d * (raised - v) * gate * (1 - gate)
        of_raised: Matrix = d * gate * (raised > 0)
        for name, bias, part in ((carry, carry_bias, of_gate), (transform, transform_bias, of_raised)):
            np.matmul(v.T, part, out=into[name])
            np.sum(part, 0, out=into[bias])
        d = d - d * gate + of_gate @ parameters[carry].T + of_raised @ parameters[transform].T
    z = trace.activated.reshape(flat)
    _unconvolve(shape, parameters, trace, d * ((1 - z * z) if shape.activation == "tanh" else (z > 0)), into)


def logistic(x: Matrix) -> Matrix:
    """Return 1 / (1 + exp(-x)), without overflow."""
    share: Matrix = np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * x)
    return share


def _padded(spelled: Spelled) -> Spelled:
    """Return whole blocks of words: the last word is repeated."""
    missing = -len(spelled.ids) % BLOCK
    rows = np.minimum(np.arange(len(spelled.ids) + missing), len(spelled.ids) - 1)
    return Spelled(spelled.ids[rows], spelled.lengths[rows])


def _convolved(shape: Shape, parameters: Parameters, spelled: Spelled, places: npt.NDArray[np.int16]) -> Matrix:
    """Return the largest value of each filter in each word with its bias, (n, F), and write its place."""
    values, first = np.empty(places.shape, np.float32), 0
    for number, (_, n) in enumerate(shape.filters):
        filters, bias = (parameters[name] for name in of_filters(number))
        tables = np.matmul(parameters["characters"], filters)
        spelling.convolve(*spelled, tables, np.zeros((2, n), np.float32), np.zeros(n, np.int32), first, values, places)
        values[:, first : first + n] += bias
        first += n
    return values


def _unconvolve(shape: Shape, parameters: Parameters, trace: WordTrace, gradient: Matrix, into: Parameters) -> None:
    characters, first = parameters["characters"], 0
    into["characters"][:] = 0
    for number, (width, n) in enumerate(shape.filters):
        filters, bias = of_filters(number)
        tables = np.zeros((width, CHARACTERS, n), np.float32)
        spelling.unconvolve(trace.spelled.ids, trace.places, gradient, first, tables)
        into["characters"][:] += np.matmul(tables, parameters[filters].transpose(0, 2, 1)).sum(0)
        np.matmul(characters.T, tables, out=into[filters])
        np.sum(gradient[:, first : first + n], 0, out=into[bias])
        first += n

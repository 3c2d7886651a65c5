"""The layers of one direction over some steps, and back-propagation through time.

The products of a layer's inputs are taken for all steps at once, those of its state step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cooc_engine._kernels import lstm
from cooc_engine.contextual.network import Network, States
from cooc_engine.contextual.shape import Parameters, Shape, of_layer
from cooc_engine.runtime.types import Matrix

__all__ = ["Unrolled"]


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What a layer keeps of T steps of B rows for back-propagation; hidden and cells begin with the initial state.

    inputs (T, B, P), gates (T, B, 4 C), cells (T + 1, B, C), squashed and made (T, B, C), hidden (T + 1, B, P).
    """

    gates: Matrix
    cells: Matrix
    squashed: Matrix
    made: Matrix
    hidden: Matrix
    inputs: Matrix

    def first(self, steps: int) -> LayerTrace:
        """Return the part for the first steps."""
        at, more = slice(steps), slice(steps + 1)
        return LayerTrace(
            self.gates[at], self.cells[more], self.squashed[at], self.made[at], self.hidden[more], self.inputs[at]
        )


class Unrolled:
    """One direction of a network, unrolled over a limited number of steps, for a fixed number of rows."""

    def __init__(self, network: Network, direction: int, steps: int, rows: int) -> None:
        """Allocate the traces of all layers for at most `steps` steps."""
        self.network, self.direction = network, direction
        P, C, layers = network.shape.vector_size, network.shape.cells, network.shape.layers
        sizes = [(steps, 4 * C), (steps + 1, C), (steps, C), (steps, C), (steps + 1, P), (steps, P)]
        self._now: list[LayerTrace] = []
        self._masks: Sequence[Matrix] | None = None
        self._traces = [LayerTrace(*(np.empty((n, rows, d), np.float32) for n, d in sizes)) for _ in range(layers)]

    def read(self, inputs: Matrix, states: States, masks: Sequence[Matrix] | None = None) -> Matrix:
        """Return the outputs of the last layer, (T, B, P), for inputs of that shape; the states of this direction move on.

        masks   what dropout multiplies the inputs of each layer by, and the outputs
        """
        shape, steps, self._masks = self.network.shape, len(inputs), masks
        self._now = [trace.first(steps) for trace in self._traces]
        for layer, trace in enumerate(self._now):
            trace.hidden[0], trace.cells[0] = states.hidden[self.direction, layer], states.cells[self.direction, layer]
            np.multiply(inputs, 1 if masks is None else masks[layer], out=trace.inputs)
            _read(shape, self.network.parameters, self.direction, layer, trace)
            states.hidden[self.direction, layer], states.cells[self.direction, layer] = trace.hidden[steps], trace.cells[steps]
            inputs = trace.hidden[1:] + trace.inputs if shape.residual and layer else trace.hidden[1:]
        return inputs if masks is None else inputs * masks[-1]

    def backpropagate(self, gradient: Matrix, into: Parameters) -> Matrix:
        """Return the gradient of the inputs that were read last, (T, B, P), from that of the outputs.

        Writes the gradient of the parameters to `into`, and overwrites the traces.
        """
        shape, masks = self.network.shape, self._masks
        gradient = gradient if masks is None else gradient * masks[-1]
        for layer in reversed(range(shape.layers)):
            of_inputs = _backpropagate(shape, self.network.parameters, self.direction, layer, gradient, self._now[layer], into)
            gradient = of_inputs + gradient if shape.residual and layer else of_inputs
            gradient = gradient if masks is None else gradient * masks[layer]
        return gradient


def _read(shape: Shape, parameters: Parameters, direction: int, layer: int, trace: LayerTrace) -> None:
    weights, bias, projection = (parameters[name] for name in of_layer(direction, layer))
    (steps, rows, P), clip = trace.inputs.shape, shape.projection_clip
    added = (trace.inputs.reshape(-1, P) @ weights[:P] + bias).reshape(steps, rows, -1)
    for t in range(steps):
        np.matmul(trace.hidden[t], weights[P:], out=trace.gates[t])
        lstm.step_cells(
            trace.gates[t], added[t], trace.cells[t], trace.cells[t + 1], trace.squashed[t], trace.made[t],
            np.float32(shape.cell_clip),
        )  # fmt: skip
        np.matmul(trace.made[t], projection, out=trace.hidden[t + 1])
        np.clip(trace.hidden[t + 1], -clip, clip, out=trace.hidden[t + 1])


def _backpropagate(
    shape: Shape, parameters: Parameters, direction: int, layer: int, gradient: Matrix, trace: LayerTrace, into: Parameters
) -> Matrix:
    """Return the gradient of the inputs of one layer; the gates of the trace become the gradients of their sums."""
    weights, bias, projection = of_layer(direction, layer)
    steps, rows, P = gradient.shape
    of_projected = np.empty((steps, rows, P), np.float32)
    of_hidden, of_cells = np.zeros((rows, P), np.float32), np.zeros((rows, shape.cells), np.float32)
    of_made, clip = np.empty_like(of_cells), np.float32(shape.projection_clip)
    back, state_back = parameters[projection].T, parameters[weights][P:].T
    for t in reversed(range(steps)):
        inside = np.abs(trace.hidden[t + 1]) < clip
        np.multiply(np.add(of_hidden, gradient[t], out=of_hidden), inside, out=of_projected[t])
        np.matmul(of_projected[t], back, out=of_made)
        lstm.unstep_cells(
            trace.gates[t], trace.cells[t], trace.cells[t + 1], trace.squashed[t], of_made, of_cells, trace.gates[t],
            np.float32(shape.cell_clip),
        )  # fmt: skip
        np.matmul(trace.gates[t], state_back, out=of_hidden)
    sums = trace.gates.reshape(steps * rows, -1)
    np.matmul(trace.inputs.reshape(-1, P).T, sums, out=into[weights][:P])
    np.matmul(trace.hidden[:-1].reshape(-1, P).T, sums, out=into[weights][P:])
    np.sum(sums, 0, out=into[bias])
    np.matmul(trace.made.reshape(steps * rows, -1).T, of_projected.reshape(-1, P), out=into[projection])
    return (sums @ parameters[weights][:P].T).reshape(gradient.shape)

"""A model of ELMo as a module of PyTorch, with the mix of its layers: for task models, on any device, fine-tuned or frozen.

Only this module needs PyTorch; importing it without PyTorch raises `UsageError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cooc_engine.contextual.characters import BEGIN, END, MARKS, Words
from cooc_engine.contextual.network import Network
from cooc_engine.contextual.shape import Shape, of_filters, of_highway, of_layer, of_projection
from cooc_engine.runtime.extras import require
from cooc_engine.vectors.layer_mix import LayerMix

require("a module of PyTorch", "torch", "torch")
import torch  # noqa: E402
from torch.nn import Module, Parameter, ParameterDict, functional  # noqa: E402

__all__ = ["ElmoModule"]

Tensor = Any  # torch.Tensor, whose types are not followed


class ElmoModule(Module):  # type: ignore[misc]
    """The network of a model, with its weights as parameters, and γ and s of the mix, which are learned with the task.

        module = ContextualVectors.open("elmo.h5").as_module()
        vectors, is_word = module(["the bank of the river".split(), ["paid"]])     # (2, 5, d) and (2, 5)

    weights   parameters by the names of the model file; they do not require gradients unless they are `trainable`
    gamma, scores   the parameters of the mix, which always do: add λ `scores.square().sum()` to the loss
    """

    def __init__(self, network: Network, mix: LayerMix | None = None, *, trainable: bool = False) -> None:
        """Copy the weights of a network; the mix begins as the mean of its layers."""
        super().__init__()
        self.shape: Shape = network.shape
        begin = mix or LayerMix.mean(network.shape.layers + 1)
        weights = {p.name: network.parameters[p.name] for p in network.shape.of_words + network.shape.of_layers}
        self.weights = ParameterDict({n: Parameter(torch.tensor(np.array(w)), trainable) for n, w in weights.items()})
        self.gamma = Parameter(torch.tensor(begin.gamma))
        self.scores = Parameter(torch.tensor(begin.scores))

    def forward(self, sentences: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return the mix for the words of sentences, (B, n, d), zeros beyond their ends, and which places are words, (B, n)."""
        layers, is_word = self.layers(sentences)
        shares = torch.softmax(self.scores, 0) * self.gamma
        return torch.einsum("j,jbnd->bnd", shares, layers), is_word

    def layers(self, sentences: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return all layers, (L + 1, B, n, d), zeros beyond the ends of the sentences, and which places are words, (B, n)."""
        device = self.gamma.device
        marked = [[MARKS[BEGIN], *sentence, MARKS[END]] for sentence in sentences]
        flat = Words.of([word for sentence in marked for word in sentence])
        ids = torch.as_tensor(flat.spelled(np.arange(len(flat))).ids, device=device)
        lengths = [len(sentence) for sentence in marked]
        x = torch.nn.utils.rnn.pad_sequence([*torch.split(self._words(ids.long()), lengths)], batch_first=True)
        places = torch.arange(x.shape[1], device=device)
        ends = torch.tensor(lengths, device=device)[:, None]
        turned = torch.where(places < ends, ends - 1 - places, places)  # the way back, and back again
        both = [x, torch.take_along_dim(x, turned[..., None], 1)]
        read = [self._read(direction, inputs) for direction, inputs in enumerate(both)]
        back = [torch.take_along_dim(layer, turned[..., None], 1) for layer in read[1]]
        stacked = torch.stack([torch.cat(pair, 2) for pair in zip(read[0], back, strict=True)])
        is_word = (places < ends - 1)[:, 1:-1]
        return stacked[:, :, 1:-1] * is_word[..., None], is_word

    def _words(self, ids: Tensor) -> Tensor:
        """Return the vectors without context, (n, P), of words by their characters, (n, 50)."""
        weights, found = self.weights, []
        for number in range(len(self.shape.filters)):
            filters, bias = (weights[name] for name in of_filters(number))
            windows = functional.conv1d(weights["characters"][ids].transpose(1, 2), filters.permute(2, 1, 0), bias)
            found.append(windows.amax(2))
        v = torch.cat(found, 1)
        v = torch.tanh(v) if self.shape.activation == "tanh" else torch.relu(v)
        for number in range(self.shape.highways):
            carry, carry_bias, transform, transform_bias = (weights[name] for name in of_highway(number))
            gate = torch.sigmoid(v @ carry + carry_bias)
            v = gate * torch.relu(v @ transform + transform_bias) + (1 - gate) * v
        projection, bias = (weights[name] for name in of_projection())
        x: Tensor = v @ projection + bias
        return x

    def _read(self, direction: int, inputs: Tensor) -> list[Tensor]:
        """Return all layers of a direction, each (B, T, P), the inputs first."""
        found = [inputs]
        for layer in range(self.shape.layers):
            outputs = self._layer(direction, layer, found[-1])
            found.append(outputs + found[-1] if self.shape.residual and layer else outputs)
        return found

    def _layer(self, direction: int, layer: int, inputs: Tensor) -> Tensor:
        weights, bias, projection = (self.weights[name] for name in of_layer(direction, layer))
        h, c = inputs.new_zeros(len(inputs), self.shape.vector_size), inputs.new_zeros(len(inputs), self.shape.cells)
        outputs, cell_clip, clip = [], self.shape.cell_clip, self.shape.projection_clip
        for u in inputs.unbind(1):
            i, j, f, o = (torch.cat([u, h], 1) @ weights + bias).chunk(4, 1)
            c = (torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(j)).clamp(-cell_clip, cell_clip)
            h = ((torch.sigmoid(o) * torch.tanh(c)) @ projection).clamp(-clip, clip)
            outputs.append(h)
        return torch.stack(outputs, 1)

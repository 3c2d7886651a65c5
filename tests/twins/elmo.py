"""Slow and obvious twin of ELMo, in float64, a word and a place at a time."""

from __future__ import annotations

import numpy as np

PLACES = 50


def character_ids(word: bytes) -> list[int]:
    """Bytes, at most 48, between the marks 258 and 259, then padding; the words <S> and </S> are single characters."""
    inner = {b"<S>": [256], b"</S>": [257]}.get(word, list(word[: PLACES - 2]))
    ids = [258, *inner, 259]
    return ids + [260] * (PLACES - len(ids))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def word_vector(shape, p, word: bytes):
    """The vector of a word without context, (P,)."""
    e = p["characters"][character_ids(word)]
    found = []
    for number, (width, _) in enumerate(shape.filters):
        filters = p[f"filters-{number}"]
        windows = [sum(e[at + k] @ filters[k] for k in range(width)) for at in range(PLACES - width + 1)]
        found.append(np.max(windows, 0) + p[f"filters_bias-{number}"])
    v = np.concatenate(found)
    v = np.tanh(v) if shape.activation == "tanh" else np.maximum(v, 0)
    for number in range(shape.highways):
        gate = sigmoid(v @ p[f"carry-{number}"] + p[f"carry_bias-{number}"])
        v = gate * np.maximum(v @ p[f"transform-{number}"] + p[f"transform_bias-{number}"], 0) + (1 - gate) * v
    return v @ p["projection"] + p["projection_bias"]


def step(shape, p, name, u, h, c):
    """One step of a layer: the new h and c; u (..., P)."""
    i, j, f, o = np.split(np.concatenate([u, h], -1) @ p[f"{name}-weights"] + p[f"{name}-bias"], 4, -1)
    c = np.clip(sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j), -shape.cell_clip, shape.cell_clip)
    return np.clip((sigmoid(o) * np.tanh(c)) @ p[f"{name}-projection"], -shape.projection_clip, shape.projection_clip), c


def layers(shape, p, direction: str, inputs, states):
    """The outputs of all layers for inputs (T, ..., P) in the order of the direction; `states` (h, c) of each are moved on."""
    found = [inputs]
    for layer, (h, c) in enumerate(states):
        outputs = []
        for u in found[-1]:
            h, c = step(shape, p, f"{direction}-{layer}", u, h, c)
            outputs.append(h + u if shape.residual and layer else h)
        found.append(np.stack(outputs))
        states[layer] = h, c
    return found


def contextual(shape, p, sentence: list[bytes]):
    """All layers of the words of a sentence, (L + 1, n, 2 P), from states of zero."""
    x = np.stack([word_vector(shape, p, word) for word in [b"<S>", *sentence, b"</S>"]])
    zero = [(np.zeros(shape.vector_size), np.zeros(shape.cells))]
    ahead = layers(shape, p, "forward", x, zero * shape.layers)
    behind = layers(shape, p, "backward", x[::-1], zero * shape.layers)
    return np.stack([np.concatenate([a, b[::-1]], 1)[1:-1] for a, b in zip(ahead, behind, strict=True)])


def losses(shape, p, hidden, targets):
    """−log of the chance of each target under the full softmax, for outputs (..., P)."""
    z = hidden @ p["softmax"].T + p["softmax_bias"]
    largest = z.max(-1, keepdims=True)
    total = np.log(np.exp(z - largest).sum(-1)) + largest[..., 0]
    return total - np.take_along_axis(z, targets[..., None], -1)[..., 0]


def sampled_losses(shape, p, hidden, targets, drawn, log_chances):
    """The sampled softmax of targets among `drawn`, distinct words; all logits are lowered by the log of a word's chance."""
    z = hidden @ p["softmax"].T + p["softmax_bias"] - log_chances
    own = np.take_along_axis(z, targets[..., None], -1)
    others = np.where(drawn == targets[..., None], -np.inf, z[..., drawn])
    return np.log(np.exp(own[..., 0]) + np.exp(others).sum(-1)) - own[..., 0]


def batch_losses(shape, p, words: list[bytes], inputs, targets, states, sample=None):
    """The sum of the losses of both directions over a batch, (2, T, B), from the layers' `states[direction]`, (h, c) of each.

    `sample` has the distinct words drawn and the log of all chances; without it the softmax is over all words.
    """
    x = np.stack([word_vector(shape, p, word) for word in words])
    total = 0.0
    for direction, name in enumerate(("forward", "backward")):
        top = layers(shape, p, name, x[inputs[direction]], list(states[direction]))[-1]
        loss = losses(shape, p, top, targets[direction])
        if sample is not None:
            loss = sampled_losses(shape, p, top, targets[direction], *sample)
        total += loss.sum()
    return total

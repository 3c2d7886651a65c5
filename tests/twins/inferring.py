"""A slow, obvious twin of the inference of Doc2Vec in float64: the row of one document is trained on its text, word by word."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from twins.sgd import Random, kept

from cooc_engine._kernels import rules
from cooc_engine.sampled.model import SampledModel


def pairs(model: SampledModel, word: int, noise: list[int]) -> Iterator[tuple[int, float]]:
    """The output rows of a target, and their labels: a noise word that equals it is left out."""
    tables = model.tables
    if model.rule.output == rules.PATH:
        path = slice(tables.path_starts[word], tables.path_starts[word + 1])
        yield from zip(tables.path_nodes[path], np.maximum(tables.path_labels[path], 0), strict=True)
    else:
        yield word, 1.0
        yield from ((other, 0.0) for other in noise if other != word)


def inferred(model: SampledModel, text: list[int], start: np.ndarray, W: np.ndarray, C: np.ndarray) -> np.ndarray:
    """The vector of a document: its hidden row is its own, or the mean or the sum with the rows of words around the target."""
    rule, tables, document = model.rule, model.tables, start.astype(np.float64)
    for epoch in range(model.epochs):
        random = Random.of(model.seed, epoch, 0)
        lr = model.lr * (1 - epoch / model.horizon(1))
        words = [word for p, word in enumerate(text) if kept(tables.keep.tolist(), model.seed, epoch, p, word)]
        for c, word in enumerate(words):
            radius = random.below(rule.window) + 1
            count = 0 if rule.output == rules.PATH else rule.negative
            noise = [random.noise(tables.noise.tolist()) for _ in range(count)]
            around = [w for p, w in enumerate(words) if p != c and abs(p - c) <= radius]
            rows = np.array([document, *(W[w] for w in around if rule.inputs == rules.CONTEXTS)])
            share = 1 if rule.mean == rules.SUM else 1 / len(rows)
            hidden, step = share * rows.sum(axis=0), np.zeros_like(document)
            for row, label in pairs(model, word, noise):
                step += lr * (label - 1 / (1 + np.exp(-C[row] @ hidden))) * C[row]
            document = document + (share if rule.spread else 1) * step
    return document

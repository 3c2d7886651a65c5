"""A small model of random numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.file import ModelData


def make_data(size: int = 12, width: int = 5, **changes) -> ModelData:
    rng = np.random.default_rng(size)
    shapes = {"words": (size, width), "contexts": (size, width), "word_bias": size, "context_bias": size}
    data = ModelData(
        family="glove",
        vocabulary=Vocabulary.from_words([f"wört{i}" for i in range(size)], range(2 * size, size, -1)),
        arrays={name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
        published="w+c",
        config={"glove": {"vector_size": width, "lr": 0.05, "max": None}, "text": ["ä", "b"]},
        provenance={"seed": np.int64(3), "corpus": Path("a/b")},
        history=[{"epoch": 1, "loss": np.float32(0.5), "seconds": 1.5, "items": 10, "lr": 0.05}],
    )
    return dataclasses.replace(data, **changes)

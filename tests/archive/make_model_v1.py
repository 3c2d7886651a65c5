"""Makes model-v1.h5, a model of format version 1; files of every released version stay here and must open for ever.

Run once a version: the file, not this program, is what later versions are tested against.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.file import ModelData, save_model

WORDS = ["the", "Köln", "水", "ice", "steam", "naïve"]
COUNTS = [90, 40, 40, 7, 5, 5]


def content() -> ModelData:
    size, width = len(WORDS), 3
    grid = np.arange(size * width, dtype=np.float32).reshape(size, width)
    arrays = {
        "words": grid / 8,
        "contexts": 1 - grid / 16,
        "word_bias": np.arange(size, dtype=np.float32) / 2,
        "context_bias": -np.arange(size, dtype=np.float32) / 4,
    }
    return ModelData(
        family="glove",
        vocabulary=Vocabulary.from_words(WORDS, COUNTS),
        arrays=arrays,
        published="w+c",
        config={
            "encode": {"min_count": 5, "max_vocab": None},
            "glove": {"vector_size": 3, "lr": 0.05, "vectors": "w+c"},
        },
        provenance={"seed": 1, "program": "0.1.0", "corpus": "Zürich"},
        history=[{"epoch": 1, "loss": 0.5, "seconds": 0.25, "items": 36, "lr": 0.05}],
        evaluation=[{"dataset": "men", "kind": "spearman", "value": None, "covered": 0, "total": 3000}],
    )


def make(path: Path) -> None:
    save_model(path, content())


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("model-v1.h5"))

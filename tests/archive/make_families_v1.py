"""Makes families-v1: a small model of each family of format version 1, and what it must say for ever.

Run once a version: the files, not this program, are what later versions are tested against.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from cooc_engine import Cooc, Corpus, train
from cooc_engine.models.families import family_of

ARCHIVE = Path(__file__).parent
FAMILIES = {
    "glove": {"vector_size": 3, "epochs": 2},
    "simpler-glove": {"vector_size": 3, "epochs": 2, "center": "mean"},
    "pmi-svd": {"vector_size": 2, "cds": 0.75},
    "pmi": {"solver": "none"},
    "skipgram": {"vector_size": 3, "epochs": 1, "subsample": 0.0, "deterministic": True},
    "cbow": {"vector_size": 3, "epochs": 1, "subsample": 0.0, "loss": "hs", "deterministic": True},
}
ON_TEXT = ("skipgram", "cbow")


def make(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    facts = {}
    for name, options in FAMILIES.items():
        data = Corpus(ARCHIVE / "corpus-v1") if name in ON_TEXT else Cooc(ARCHIVE / "cooc-v1")
        kind = "pmi-svd" if name == "pmi" else name
        model = train(kind, data, directory / f"{name}.h5", family_of(kind).options(**options))
        vectors = np.asarray(model.matrix[np.arange(len(model.vocabulary))], np.float64)
        facts[name] = {"family": model.family, "arrays": model.names, "epochs": len(model.history), "vectors": vectors.tolist()}
    (directory / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else ARCHIVE / "families-v1")

"""Makes models whose parameters have axes, and what they must say for ever: families-v2, and, with later code, families-v3.

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
TRAINED = {
    "glove": ("glove", {"vector_size": 3, "epochs": 2}),
    "simpler-glove": ("simpler-glove", {"vector_size": 3, "epochs": 2, "center": "mean"}),
    "pmi-svd": ("pmi-svd", {"vector_size": 2, "cds": 0.75}),
    "pmi": ("pmi-svd", {"solver": "none"}),
    "skipgram": ("skipgram", {"vector_size": 3, "epochs": 1, "subsample": 0.0, "vectors": "w+c", "deterministic": True}),
    "cbow": ("cbow", {"vector_size": 3, "epochs": 1, "subsample": 0.0, "loss": "hs", "deterministic": True}),
}


def make(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    facts = {}
    for name, (kind, options) in TRAINED.items():
        family = family_of(kind)
        data = Cooc(ARCHIVE / "cooc-v1") if family.counting else Corpus(ARCHIVE / "corpus-v1")
        model = train(kind, data, directory / f"{name}.h5", family.options(**options))
        vectors = np.asarray(model.matrix[np.arange(len(model.vocabulary))], np.float64)
        facts[name] = {
            "family": model.family,
            "arrays": model.names,
            "axes": dict(model.axes),
            "epochs": len(model.history),
            "vectors": vectors.tolist(),
        }
    (directory / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else ARCHIVE / "families-v2")

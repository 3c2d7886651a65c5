"""Documents of planted topics, and the small trainings of skip-gram and CBOW that learn them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.models.checkpoints import Checkpoint
from cooc_engine.models.sampled_options import CbowOptions, FasttextOptions, SkipgramOptions


def make_corpus(at: Path, documents, min_count: int = 1) -> Corpus:
    return encode_documents(documents, at, EncodeOptions(min_count=min_count))


def planted(seed: int = 1, documents: int = 150) -> list[list[str]]:
    """Documents of one of three topics, whose words never meet those of another."""
    rng = np.random.default_rng(seed)
    return [[f"{'abc'[k % 3]}{rng.integers(6)}" for _ in range(25)] for k in range(documents)]


SMALL = {"vector_size": 10, "window": 3, "subsample": 0, "epochs": 8, "lr": 0.1, "seed": 4}


def options_of(family: str, **changes):
    kind = {"skipgram": SkipgramOptions, "cbow": CbowOptions, "fasttext": FasttextOptions}[family]
    return kind(**{**SMALL, **changes})


def bits(model) -> dict[str, bytes]:
    return {name: model.array(name).tobytes() for name in model.names}


def stop_after(monkeypatch, rounds: int) -> None:
    """Let the user ask to stop after so many rounds."""
    original, seen = Checkpoint.between, []

    def between(saver, *step) -> None:
        seen.append(1)
        if len(seen) == rounds:
            saver.interrupted = lambda: True
        original(saver, *step)

    monkeypatch.setattr(Checkpoint, "between", between)

"""The provenance that a trained model records, and the digest by which a checkpoint is matched with its training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts.directory import Cooc
from cooc_engine.runtime.versions import versions

__all__ = ["Origin", "origin_of_corpus", "origin_of_counts", "plan_digest"]


class Seeded(Protocol):
    """Options of a training."""

    @property
    def seed(self) -> int:
        """Seed of everything that is drawn."""
        ...

    def record(self) -> dict[str, Any]:
        """Return the options as JSON can hold them."""
        ...


class Origin(NamedTuple):
    """The options of every stage up to the training, and where the model comes from, as `ModelData` holds them."""

    config: dict[str, Any]
    provenance: dict[str, Any]


def origin_of_counts(cooc: Cooc, options: Seeded, threads: int) -> Origin:
    """Return the origin of a model trained on co-occurrence counts."""
    corpus = cooc.manifest["corpus"]
    config = {"encode": corpus["options"], "count": cooc.options.record(), "train": options.record()}
    made_of = {"corpus": corpus["digest"], "cooc": cooc.digest, "tokens": cooc.manifest["tokens"], "entries": cooc.entries}
    return Origin(config, {**made_of, "seed": options.seed, "threads": threads, **versions()})


def origin_of_corpus(corpus: Corpus, options: Seeded, threads: int, facts: Mapping[str, Any]) -> Origin:
    """Return the origin of a model trained on the text itself; `facts` are what its family adds."""
    config = {"encode": corpus.manifest["options"], "train": options.record()}
    made_of = {"corpus": corpus.digest, "tokens": corpus.tokens}
    return Origin(config, {**made_of, "seed": options.seed, "threads": threads, **facts, **versions()})


def plan_digest(*parts: Any) -> str:
    """Return a digest of everything that decides the result of a training, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

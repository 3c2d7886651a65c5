"""The provenance that a trained model records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts.directory import Cooc
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.versions import processor, versions

__all__ = ["Origin", "origin_of_corpus", "origin_of_counts"]


class Origin(NamedTuple):
    """The options of every stage up to the training, and the provenance of the model, as `ModelData` holds them.

    The seed of a training without randomness is None.
    """

    config: dict[str, Any]
    provenance: dict[str, Any]


def origin_of_counts(cooc: Cooc, options: Options, threads: int) -> Origin:
    """Return the origin of a model trained on co-occurrence counts."""
    corpus = cooc.manifest["corpus"]
    trained = options.record()
    config = {"encode": corpus["options"], "count": cooc.options.record(), "train": trained}
    made_of = {"corpus": corpus["digest"], "cooc": cooc.digest, "tokens": cooc.manifest["tokens"], "entries": cooc.entries}
    return Origin(config, {**made_of, "seed": trained.get("seed"), "threads": threads, **versions(), **processor()})


def origin_of_corpus(corpus: Corpus, options: Options, threads: int, facts: Mapping[str, Any]) -> Origin:
    """Return the origin of a model trained on the text itself; `facts` are fields that its family adds to the provenance."""
    trained = options.record()
    config = {"encode": corpus.manifest["options"], "train": trained}
    made_of = {"corpus": corpus.digest, "tokens": corpus.tokens}
    return Origin(config, {**made_of, "seed": trained.get("seed"), "threads": threads, **facts, **versions(), **processor()})

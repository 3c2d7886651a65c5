"""Conversion of words and vectors from and to gensim's KeyedVectors, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.models.subwords import SubwordRows, Subwords
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.types import Matrix

__all__ = ["keyed_vectors", "parts_of"]


def parts_of(source: Any) -> tuple[Vocabulary, Matrix, SubwordRows | None]:
    """Return words with their counts, vectors (V, d), and the rows of n-grams if any, of KeyedVectors or of a model's `wv`."""
    kv = getattr(source, "wv", source)
    if not hasattr(kv, "index_to_key"):
        raise UsageError(f"a {type(source).__name__} is neither gensim KeyedVectors nor a model that has them as wv")
    counts = getattr(kv, "expandos", {}).get("count", np.zeros(len(kv.index_to_key), np.int64))
    words = Vocabulary.from_words(map(str, kv.index_to_key), counts)
    subwords = None
    if getattr(kv, "bucket", 0):
        subwords = SubwordRows(Subwords(kv.min_n, kv.max_n, kv.bucket), kv.vectors_ngrams)
    return words, np.asarray(kv.vectors, np.float32), subwords


def keyed_vectors(words: Vocabulary, vectors: Matrix, subwords: SubwordRows | None) -> Any:
    """Return gensim's KeyedVectors; raises `UsageError` if gensim is missing, or the n-grams are hashed as floret does."""
    require("KeyedVectors", "gensim", "gensim.models.keyedvectors")
    from gensim.models.keyedvectors import FastTextKeyedVectors, KeyedVectors

    width = vectors.shape[1]
    if subwords is None:
        made = KeyedVectors(width)
    else:
        ngrams = subwords.subwords
        if ngrams.hashes:
            raise UsageError("gensim does not hash n-grams like floret; export_vectors writes floret's table")
        if subwords.kept is not None:
            raise UsageError("gensim has a row for every bucket of n-grams, and some of this model's were left out")
        made = FastTextKeyedVectors(width, ngrams.min_n, ngrams.max_n, ngrams.buckets)
        made.vectors_ngrams = np.array(subwords.matrix[:], np.float32)
    made.add_vectors(words.words, np.array(vectors))
    made.expandos["count"] = words.counts.copy()
    return made

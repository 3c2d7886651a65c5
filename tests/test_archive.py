"""Directories of every released version still open, and hold what they held."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cooc_engine.cooc import Cooc
from cooc_engine.corpus import Corpus

ARCHIVE = Path(__file__).parent / "archive"
WORDS = ["the", "cat", "on", "sat"]


def test_corpus_version_1():
    corpus = Corpus(ARCHIVE / "corpus-v1")
    assert (corpus.tokens, corpus.documents, corpus.vocabulary.words) == (12, 3, WORDS)
    assert corpus.counts.tolist() == [4, 2, 2, 2]
    shard = corpus.shard(0)
    assert shard.ids.tolist() == [0, 1, 3, 2, 0, -1, 0, -1, 3, 2, 0, 1]
    assert shard.offsets.tolist() == [0, 6, 6, 12]


def test_cooc_version_1():
    cooc = Cooc(ARCHIVE / "cooc-v1")
    assert (cooc.vocabulary.words, cooc.denominator, cooc.entries) == (WORDS, 2, 12)
    (block,) = cooc.blocks
    expected = [[0, 2.0, 2.5, 2.5], [2.0, 0, 1.0, 1.0], [2.5, 1.0, 0, 2.0], [2.5, 1.0, 2.0, 0]]
    np.testing.assert_array_equal(cooc.csr(block).toarray(), expected)
    np.testing.assert_array_equal(cooc.row_sums, np.sum(expected, 1))

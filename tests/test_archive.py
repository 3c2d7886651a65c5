"""Directories of every released version still open, and hold what they held."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts.directory import Cooc
from cooc_engine.models.file import open_model
from cooc_engine.vectors.query import Vectors

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


@pytest.mark.parametrize("path", sorted((ARCHIVE / "families-v1").glob("*.h5")), ids=lambda path: path.stem)
def test_families_version_1(path):
    facts = json.loads((ARCHIVE / "families-v1" / "facts.json").read_text())
    assert len(facts) == 6
    wanted, model = facts[path.stem], open_model(path)
    assert (model.family, list(model.names), len(model.history)) == (wanted["family"], wanted["arrays"], wanted["epochs"])
    assert (model.vocabulary.words, model.vocabulary.counts.tolist()) == (WORDS, [4, 2, 2, 2])
    vectors = np.asarray(model.vectors[np.arange(len(WORDS))], np.float64)
    np.testing.assert_allclose(vectors, wanted["vectors"], rtol=1e-6, atol=1e-9)
    assert len(Vectors.open(path).most_similar("cat", topn=3)) == 3

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


@pytest.mark.parametrize("version", [1, 2])
def test_a_corpus(version):
    corpus = Corpus(ARCHIVE / f"corpus-v{version}")
    assert (corpus.tokens, corpus.documents, corpus.vocabulary.words) == (12, 3, WORDS)
    assert corpus.counts.tolist() == [4, 2, 2, 2]
    shard = corpus.shard(0)
    assert shard.ids.tolist() == [0, 1, 3, 2, 0, -1, 0, -1, 3, 2, 0, 1]
    assert shard.offsets.tolist() == [0, 6, 6, 12]


@pytest.mark.parametrize("version", [1, 2])
def test_counts(version):
    cooc = Cooc(ARCHIVE / f"cooc-v{version}")
    assert (cooc.vocabulary.words, cooc.denominator, cooc.entries) == (WORDS, 2, 12)
    (block,) = cooc.blocks
    expected = [[0, 2.0, 2.5, 2.5], [2.0, 0, 1.0, 1.0], [2.5, 1.0, 0, 2.0], [2.5, 1.0, 2.0, 0]]
    np.testing.assert_array_equal(cooc.csr(block).toarray(), expected)
    np.testing.assert_array_equal(cooc.row_sums, np.sum(expected, 1))


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("name", ["glove", "simpler-glove", "pmi-svd", "pmi", "skipgram", "cbow"])
def test_families(name, version):
    at = ARCHIVE / f"families-v{version}"
    facts = json.loads((at / "facts.json").read_text())
    assert {path.stem for path in at.glob("*.h5")} == {*facts}
    assert len(facts) == 6
    wanted, model = facts[name], open_model(at / f"{name}.h5", verify=True)
    assert (model.family, list(model.names), len(model.history)) == (wanted["family"], wanted["arrays"], wanted["epochs"])
    assert (model.vocabulary.words, model.vocabulary.counts.tolist()) == (WORDS, [4, 2, 2, 2])
    vectors = np.asarray(model.matrix[np.arange(len(WORDS))], np.float64)
    np.testing.assert_allclose(vectors, wanted["vectors"], rtol=1e-6, atol=1e-9)
    assert len(Vectors.open(model.path).most_similar("cat", topn=3)) == 3
    axes = json.loads((ARCHIVE / "families-v2" / "facts.json").read_text())[name]["axes"]
    assert {array: found for array, found in model.axes.items() if array in axes} == axes


def test_counts_and_a_model_whose_columns_have_names():
    cooc, model = Cooc(ARCHIVE / "cooc-v3"), open_model(ARCHIVE / "columns-v4.h5", verify=True)
    assert (cooc.vocabulary.words, cooc.column_vocabulary.words) == (["bob", "ann"], ["milk", "tea", "green tea"])
    assert cooc.csr().toarray().tolist() == [[3, 0, 1], [1, 2, 0]]
    names, contexts = model.column_rows()
    assert (model.vocabulary.words, names.words) == (["bob", "ann"], ["milk", "tea", "green tea"])
    products = [[0.37920168, 0, 0.32031015], [0, 0.78127909, 0]]  # the PMI above 0
    np.testing.assert_allclose(model.matrix @ contexts[:].T, products, atol=1e-6)

"""The whole way on 17 million words of Wikipedia, against figures that were measured once and must stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.matrix.glove import train_glove
from cooc_engine.models.matrix_options import GloveOptions

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def corpus(shared, tmp_path_factory) -> Corpus:
    text = shared / "data" / "enwiki-17m.txt.xz"
    return encode(text, tmp_path_factory.mktemp("enwiki") / "corpus", EncodeOptions(min_count=5))


@pytest.fixture(scope="module")
def cooc(corpus) -> Cooc:
    return count(corpus, corpus.path.with_name("cooc"), CountOptions(window=10))


def test_corpus_and_counts_have_their_known_sizes(corpus, cooc):
    assert len(corpus.vocabulary) == 88_090
    assert corpus.tokens == 17_052_137
    assert corpus.documents == 68_062
    assert cooc.entries == 50_860_089
    assert cooc.denominator == 2520
    assert cooc.manifest["tokens"] == int(corpus.vocabulary.counts.sum())
    assert sum(block.last - block.first for block in cooc.blocks) == 88_090


def test_one_epoch_of_glove_costs_no_more_than_it_did(shared: Path, cooc):
    options = GloveOptions(vector_size=100, epochs=1, x_max=10)
    model = train_glove(cooc, cooc.path.with_name("model.h5"), options)
    record = model.history[-1]
    assert record["items"] == 50_860_089
    assert record["loss"] <= 0.0779
    rows = evaluate([model.path], pairs=[shared / "data" / "eval" / "wordsim353.tsv"])
    value, covered = next((row["value"], row["covered"]) for row in rows if row["kind"] == "spearman")
    assert covered > 300
    assert value > 0.1

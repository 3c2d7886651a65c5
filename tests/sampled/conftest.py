"""Corpora of planted topics, whole and in shards, and small parts."""

from __future__ import annotations

import numpy as np
import pytest
from support.topics import make_corpus, planted

from cooc_engine.corpus import second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.sampled import model as model_module


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("w2v") / "corpus", planted())


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Corpus:
    """The same text in ten shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_pass, "SHARD_TOKENS", 400)
        return make_corpus(tmp_path_factory.mktemp("w2v") / "shards", planted())


@pytest.fixture(scope="session")
def documents_of_topics(tmp_path_factory) -> Corpus:
    """Eight long documents of one of two topics each."""
    rng = np.random.default_rng(5)
    documents = [[f"{'ab'[k % 2]}{rng.integers(6)}" for _ in range(400)] for k in range(8)]
    return make_corpus(tmp_path_factory.mktemp("documents") / "corpus", documents)


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Many parts and rounds in a small corpus."""
    for name, value in (("PART", 100), ("ROUND", 4), ("SMALL_PART", 40), ("BATCH", 3), ("LISTED_PART", 10)):
        monkeypatch.setattr(model_module, name, value)

"""Vectors of an older model as a start of skip-gram and CBOW, kept or extended."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from support.topics import make_corpus, options_of, planted, stop_after

from cooc_engine.counts.count import count
from cooc_engine.errors import InputError, InterruptedRun, UsageError
from cooc_engine.models.matrix_options import SimplerGloveOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import training


def test_vectors_of_another_model_are_a_start(corpus, tmp_path):
    first = train("skipgram", corpus, tmp_path / "first.h5", options_of("skipgram"))
    other = make_corpus(tmp_path / "other", [*planted(7), ["new", "a1"]])
    options = options_of("skipgram", epochs=1, lr=1e-12, init=str(first.path))
    model = train("skipgram", other, tmp_path / "second.h5", options)
    for word in first.vocabulary:
        here, there = model.vocabulary.ids[word], first.vocabulary.ids[word]
        np.testing.assert_allclose(model.matrix[here], first.matrix[there], atol=1e-6)
        np.testing.assert_allclose(model.array("contexts")[here], first.array("contexts")[there], atol=1e-6)
    assert 0 < np.abs(model.matrix[model.vocabulary.ids["new"]]).max() <= 0.1
    with pytest.raises(UsageError, match="pass vector_size=10"):
        train("skipgram", other, tmp_path / "x.h5", options_of("skipgram", init=str(first.path), vector_size=9))
    strange = make_corpus(tmp_path / "strange", [["q", "r"]])
    with pytest.raises(InputError, match="has no word in common with"):
        train("skipgram", strange, tmp_path / "x.h5", options)


def test_an_older_model_is_looked_at_before_any_work(corpus, tmp_path, monkeypatch):
    first = train("skipgram", corpus, tmp_path / "first.h5", options_of("skipgram"))
    monkeypatch.setattr(training, "memory_plan", lambda *args: pytest.fail("planned already"))
    with pytest.raises(UsageError, match="pass vector_size=10"):
        train("skipgram", corpus, tmp_path / "x.h5", options_of("skipgram", init=str(first.path), vector_size=9))
    counts = count(corpus, tmp_path / "cooc")
    tied = train("simpler-glove", counts, tmp_path / "tied.h5", SimplerGloveOptions(vector_size=10, epochs=1))
    with pytest.raises(UsageError, match=r"tied\.h5 has no contexts to keep, only words"):
        train("skipgram", corpus, tmp_path / "x.h5", options_of("skipgram", init=str(tied.path), extend=True))


def test_a_checkpoint_is_not_continued_from_another_older_model(corpus, tmp_path, small_parts, monkeypatch):
    old = train("skipgram", corpus, tmp_path / "old.h5", options_of("skipgram", epochs=1)).path
    options = options_of("skipgram", epochs=1, init=str(old))
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(InterruptedRun):
            train("skipgram", corpus, tmp_path / "m.h5", options)
    train("skipgram", corpus, old, options_of("skipgram", epochs=1, seed=99), force=True)
    with pytest.raises(UsageError, match="begun from other data"):
        train("skipgram", corpus, tmp_path / "m.h5", options, resume=True)


def test_words_of_an_older_model_are_kept(corpus, tmp_path):
    first = train("cbow", corpus, tmp_path / "first.h5", options_of("cbow"))
    other = make_corpus(tmp_path / "other", [["new", "a1", "newer"]] * 30)
    options = options_of("cbow", epochs=2, init=str(first.path), extend=True)
    model = train("cbow", other, tmp_path / "second.h5", options)
    counts = dict(zip(first.vocabulary.words, corpus.counts.tolist(), strict=True))
    wanted = Counter(counts) + Counter({"new": 30, "newer": 30, "a1": 30})
    assert dict(zip(model.vocabulary.words, model.vocabulary.counts.tolist(), strict=True)) == wanted
    assert (np.diff(model.vocabulary.counts) <= 0).all()
    for word, row in model.vocabulary.ids.items():
        if word in ("new", "newer"):
            continue
        old = first.vocabulary.ids[word]
        for name in ("words", "contexts"):
            same = np.array_equal(model.array(name)[row], first.array(name)[old])
            assert same == (word != "a1"), "what the new text does not have stays as it is"
    for change, says in (({"init": None}, "init FILE"), ({"loss": "hs"}, "loss='ns' or softmax")):
        with pytest.raises(UsageError, match=says):
            train("cbow", other, tmp_path / "x.h5", dataclasses.replace(options, **change))

"""`train` with options by name."""

from __future__ import annotations

import inspect

import pytest
from support.topics import make_corpus, planted

import cooc_engine
from cooc_engine.errors import UsageError
from cooc_engine.models.families import trainable
from cooc_engine.models.matrix_options import GloveOptions
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.pipeline.train import train
from cooc_engine.runtime.described import texts_of


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("train") / "corpus", planted())


def test_options_by_name_are_those_of_the_class(corpus, tmp_path):
    by_name = train("glove", corpus, tmp_path / "a.h5", vector_size=3, epochs=1, threads=1)
    by_class = train("glove", corpus, tmp_path / "b.h5", GloveOptions(vector_size=3, epochs=1), threads=1)
    assert by_name.config == by_class.config and (by_name.matrix == by_class.matrix).all()
    model = train("doc2vec", corpus, tmp_path / "c.h5", words="on", vector_size=3, epochs=1)
    assert model.config["train"] == Doc2vecOptions(words="on", vector_size=3, epochs=1).record()


def test_keywords_that_are_none(corpus, tmp_path):
    for given, error, says in (
        (
            {"sg": 1},
            TypeError,
            r"unexpected keyword argument 'sg' for glove; choose the model by its name, 'skipgram' or 'cbow'",
        ),
        ({"alpha": 0.1}, TypeError, r"'alpha' for glove; the learning rate is lr, and GloVe's exponent weight_power"),
        ({"vektor_size": 3}, TypeError, r"unexpected keyword argument 'vektor_size' for glove; did you mean vector_size\?"),
        ({"thread": 3}, TypeError, r"'thread' for glove; did you mean threads\?"),
        ({"window": 3}, TypeError, r"'window' for glove; pass count=CountOptions\(window=\.\.\.\)"),
        ({"min_count": 3}, TypeError, r"'min_count' for glove; pass encode=EncodeOptions\(min_count=\.\.\.\)"),
        ({"negative": 3}, TypeError, "'negative' for glove; its options are vector_size, epochs, "),
        ({"workers": 3}, TypeError, r"'workers' for glove; did you mean threads\?"),
        ({"size": 3}, TypeError, r"'size' for glove; did you mean vector_size\?"),
        ({"vector_size": 0}, UsageError, "vector_size is 0; it must be at least 1"),
        (
            {"options": GloveOptions(), "lr": 0.1},
            UsageError,
            "options were given, and lr too; pass all in GloveOptions",
        ),
    ):
        with pytest.raises(error, match=says):
            train("glove", corpus, tmp_path / "m.h5", **given)
    assert not list(tmp_path.iterdir())


def test_documents_are_no_names_of_files(tmp_path):
    with pytest.raises(UsageError, match=r"encode them with encode_documents\(\) first"):
        train("skipgram", [["a", "b"], ["c"]], tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("family", trainable())
def test_help_tells_of_every_option(family):
    kind = trainable()[family].options
    said = " ".join((inspect.getdoc(kind) or "").split())
    texts = texts_of(kind)
    assert [*texts] and set(texts) >= set(kind.names())
    for name in kind.names():
        assert f"{name} " in said and texts[name] in said
    shown = inspect.signature(kind)
    assert list(shown.parameters) == kind.names() and "Annotated" not in str(shown)


def test_help_of_options_is_made_when_it_is_asked_for():
    """Sources are not parsed when options are imported."""
    assert "vector_size" not in vars(cooc_engine.GloveOptions)["__doc__"]

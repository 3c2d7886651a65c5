"""A trained model answers, shows what it is, is taken where its path is, and goes through a pickle."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from support.models import make_data
from support.topics import make_corpus, planted

import cooc_engine
from cooc_engine.errors import CoocError, FormatError, UnknownArrayError, UsageError
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.models.file import save_model
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.pipeline.train import train
from cooc_engine.vectors.documents import DocumentVectors
from cooc_engine.vectors.model import Model, open_model
from cooc_engine.vectors.query import Vectors, nn


@pytest.fixture
def model(tmp_path) -> Model:
    row = {"model": "m", "dataset": "men", "kind": "spearman", "value": 0.5, "covered": 3, "total": 4}
    save_model(tmp_path / "m.h5", make_data(evaluation=[row, {**row, "kind": "pearson", "value": None}]))
    return open_model(tmp_path / "m.h5")


def test_a_model_answers(model):
    kv = Vectors.open(model.path)
    assert model.most_similar("wört3", topn=2) == kv.most_similar("wört3", topn=2)
    assert model.vectors is model.wv and np.array_equal(model.wv["wört3"], kv["wört3"])
    with pytest.raises(UsageError, match="has no vectors of documents"):
        _ = model.dv


def test_what_is_trained_answers(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", planted())
    model = train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(epochs=1, vector_size=5))
    assert isinstance(model, Model) and model.most_similar(model.vocabulary.word(0), topn=1)
    assert model.dv.index_to_key[:2] == ["1", "2"] and model.dv is model.documents
    text = [model.vocabulary.word(0)] * 3
    assert np.array_equal(model.infer_vector(text, epochs=2), DocumentVectors.open(model).infer_vector(text, epochs=2))
    again = pickle.loads(pickle.dumps(model.dv))
    assert np.array_equal(again["1"], model.dv["1"]) and np.array_equal(again.infer_vector(text), model.infer_vector(text))


def test_a_model_is_taken_in_place_of_its_path(model, tmp_path):
    (tmp_path / "pairs.tsv").write_text("wört1\twört2\t3\nwört3\twört4\t1\n")
    assert nn(model, ["wört1"]) == nn(model.path, ["wört1"])
    assert Vectors.open(model).most_similar("wört1") == model.most_similar("wört1")
    by_path = evaluate(model.path, tmp_path / "pairs.tsv")
    assert evaluate([model], str(tmp_path / "pairs.tsv")) == evaluate(model, [tmp_path / "pairs.tsv"]) == by_path
    assert [row["value"] for row in evaluate(model.wv, tmp_path / "pairs.tsv")] == [row["value"] for row in by_path]
    assert cooc_engine.export_vectors(model, tmp_path / "v.txt").words == 12
    assert cooc_engine.info(model)["family"] == "glove"


def test_shown_at_a_glance(model):
    line = (
        f"<Model: family glove, words 12, size 5, vectors w+c, loss 0.5000 in epoch 1, men spearman 0.5000, file {model.path}>"
    )
    assert repr(model) == line
    assert '<th style="text-align: left">family</th><td style="text-align: left">glove</td>' in model._repr_html_()
    assert repr(model.wv) == (
        f"<Vectors: words 12, size 5, family glove, file {model.path}, first wört0, wört1, wört2, wört3, wört4, ...>"
    )
    assert repr(Vectors(["<b>"], [[1]])) == "<Vectors: words 1, size 1, first <b>>"
    assert "&lt;b&gt;" in Vectors(["<b>"], [[1]])._repr_html_()
    assert repr(model.arrays).startswith("<VerifiedArrays: ") and "words 12 x 5" in repr(model.arrays)
    assert repr(model.columns).startswith("<ColumnVectors: columns 12, size 5, ")
    assert repr(model.vocabulary).startswith("<Vocabulary: words 12, tokens 222, first wört0, ")


def test_what_a_file_names_is_no_command_to_a_terminal(tmp_path):
    """Names of test sets and words come from files, and what is shown is one line."""
    named = [{"dataset": "\x1b[2Jmen\n", "kind": "spearman", "value": 0.5, "covered": 1, "total": 1}]
    save_model(tmp_path / "m.h5", make_data(evaluation=named))
    shown = [
        repr(open_model(tmp_path / "m.h5")),
        open_model(tmp_path / "m.h5")._repr_html_(),
        repr(Vectors(["\x1b[1m\n"], [[1]])),
    ]
    assert all(text.isprintable() for text in shown), shown
    assert r"\u001b[2Jmen\n spearman 0.5000" in shown[0]
    with pytest.raises(CoocError) as caught:
        Vectors(["a"], [[1]])["\x1b[1m\u202e\n"]
    assert str(caught.value).isprintable()


def test_a_parameter_that_there_is_not(model):
    with pytest.raises(
        FormatError, match=r"m\.h5: has no parameter foo; it has context_bias, contexts, word_bias, words$"
    ) as caught:
        model.array("foo")
    assert isinstance(caught.value, KeyError) and isinstance(caught.value, UnknownArrayError)


def test_pickles_are_paths_where_there_is_one(model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for kv in (model.wv, Vectors.open("m.h5")):
        data = pickle.dumps(kv)
        assert len(data) < 500, "no number of the vectors is in it"
        assert np.array_equal(pickle.loads(data)["wört3"], kv["wört3"])
    again = pickle.loads(pickle.dumps(open_model("m.h5")))
    assert isinstance(again, Model) and again.path == model.path
    loose = Vectors(["a", "b"], np.eye(2))
    loose.most_similar("a")
    assert pickle.loads(pickle.dumps(loose)).most_similar("a") == loose.most_similar("a")


def test_a_frame_of_vectors(model):
    pandas = pytest.importorskip("pandas")
    frame = model.wv.to_frame()
    assert isinstance(frame, pandas.DataFrame) and frame.shape == (12, 5)
    assert np.array_equal(frame.loc["wört3"], model.wv["wört3"])


def test_a_missing_library_is_named_with_the_command(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(UsageError, match=r'a frame needs pandas: python -m pip install "cooc_engine\[frames\]"'):
        model.wv.to_frame()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda model: model.wv.vocab, "'Vectors' object has no attribute 'vocab'; key_to_index has the words"),
        (
            lambda model: model.wv.add_vector("x", [1]),
            "'Vectors' object has no attribute 'add_vector'; vectors are ",
        ),
        (lambda model: model.options, "'Model' object has no attribute 'options'; config['train'] has the options"),
        (
            lambda model: model.wv.get_word_id("a"),
            "'Vectors' object has no attribute 'get_word_id'; key_to_index has the row of each word",
        ),
        (lambda model: model.wv.nonsense, "'Vectors' object has no attribute 'nonsense'"),
    ],
)
def test_who_asks_for_what_other_programs_have_is_told_what_is_here(model, asked, says):
    with pytest.raises(AttributeError) as caught:
        asked(model)
    assert str(caught.value).startswith(says)
    assert says.endswith(" ") or str(caught.value) == says


def test_import_takes_files_alone(tmp_path):
    with pytest.raises(UsageError, match=r"^path is \{'a': \[1.0\]\}; it must be a path$"):
        cooc_engine.import_vectors({"a": [1.0]}, tmp_path / "m.h5")

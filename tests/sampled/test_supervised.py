"""The classifier against its slow twin: lines as rows, single steps, gradients; what it refuses, and how it is trained."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.topics import bits, stop_after
from twins.lines import Lines, Network

from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import DivergenceError, InputError, InterruptedRun, UsageError
from cooc_engine.formats.vectors import export_vectors
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelData, ModelFile, save_model
from cooc_engine.models.sampled_options import SkipgramOptions
from cooc_engine.models.supervised_options import AllWordsOptions, SupervisedOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled.network import Network as Start
from cooc_engine.sampled.supervised import design_supervised
from cooc_engine.vectors.classifier import Classifier

TEXT = [
    "__label__a good film , a good story",
    "bad __label__b film naïve 映画",
    "good good __label__a __label__c 映画",
    "__label__b bad story",
    "",
    "no label here",
    "__label__c",
] * 3 + ["good __label__rare"]


def options(**changes) -> SupervisedOptions:
    return SupervisedOptions(**{"vector_size": 5, "lr": 0.3, "epochs": 1, "deterministic": True, "seed": 4, **changes})


def encoded(tmp_path: Path, lines: list[str] = TEXT):
    return encode_documents(lines, tmp_path / "corpus", AllWordsOptions())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return encoded(tmp_path_factory.mktemp("lines"))


def twin_of(model: ModelFile, chosen: SupervisedOptions) -> Lines:
    labels = {label: row for row, label in enumerate(model.labels.words)}
    sizes = chosen.word_ngrams, chosen.min_n, chosen.max_n, chosen.buckets
    return Lines(dict(model.vocabulary.ids), labels, chosen.label, *sizes)


def visited(lines: int, tokens: int, chosen: SupervisedOptions, seen: list[str]):
    """The lines of a text of one part in the order of training, with their learning rates."""
    for epoch, line in itertools.product(range(chosen.epochs), range(lines)):
        yield seen[line], chosen.lr * (1 - (epoch * tokens + tokens * line / lines) / (chosen.epochs * tokens))


KINDS = [{}, {"min_count": 4}, {"word_ngrams": 3, "buckets": 50}, {"min_n": 2, "max_n": 4, "buckets": 40, "word_ngrams": 2},
         {"min_count_label": 4}]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["softmax", "ova"])
def test_training_is_that_of_the_twin(tmp_path, corpus, kind, loss):
    one_label = [line.replace("__label__a __label__c", "__label__a") for line in TEXT] if loss == "softmax" else TEXT
    text = encoded(tmp_path, one_label)
    chosen = options(loss=loss, epochs=2, **kind)
    model = train("supervised", text, tmp_path / "m.h5", chosen)
    design = design_supervised(text, chosen)
    start = Start.random(design.inputs, design.outputs, 5, chosen.seed)
    network = Network(start.inputs[:, :5].astype(float), start.outputs[:, :5].astype(float))
    lines = twin_of(model, chosen)
    for line, lr in visited(len(TEXT), text.tokens, chosen, one_label):
        rows, labels = lines.of(line)
        if not (rows and labels):
            continue
        if loss == "softmax":
            network.take_softmax(rows, labels[0], lr)
        else:
            network.take_binary(rows, [(label, label in labels) for label in range(len(lines.labels))], lr)
    found = np.concatenate([model.array(name) for name in ("words", "ngrams") if name in model.names])
    assert np.allclose(found, network.inputs, atol=2e-6)
    assert np.allclose(model.array("labels"), network.outputs, atol=2e-6)
    losses = np.array(network.losses).reshape(2, -1).mean(axis=1)
    assert [record["loss"] for record in model.history] == pytest.approx(losses.tolist(), rel=1e-5)


@pytest.mark.parametrize("kind", [{}, {"word_ngrams": 3, "buckets": 9}])
def test_the_step_follows_the_gradient(kind):
    rng = np.random.default_rng(1)
    for answers in ([(1, True), (0, False), (2, False)], None):
        network = Network(rng.normal(size=(12, 4)), rng.normal(size=(3, 4)))
        rows, before = [0, 3, 3, 7], (network.inputs.copy(), network.outputs.copy())

        def loss(network=network, rows=rows, answers=answers) -> float:
            return network.softmax_loss(rows, 1) if answers is None else network.binary_loss(rows, answers)

        gradients = [numeric(loss, matrix) for matrix in (network.inputs, network.outputs)]
        (network.take_softmax(rows, 1, 1.0) if answers is None else network.take_binary(rows, answers, 1.0))
        for matrix, old, gradient in zip((network.inputs, network.outputs), before, gradients, strict=True):
            assert np.allclose(matrix - old, -gradient, atol=1e-6)


def numeric(loss, matrix: np.ndarray) -> np.ndarray:
    gradient = np.zeros_like(matrix)
    for place in np.ndindex(*matrix.shape):
        kept = matrix[place]
        values = []
        for step in (1e-5, -1e-5):
            matrix[place] = kept + step
            values.append(loss())
        matrix[place] = kept
        gradient[place] = (values[0] - values[1]) / 2e-5
    return gradient


@pytest.mark.parametrize("loss", ["softmax", "hs", "ns", "ova"])
def test_every_loss_learns_two_kinds_of_lines(tmp_path, loss):
    rng = np.random.default_rng(2)
    lines = [f"__label__{kind} " + " ".join(f"{kind}{k}" for k in rng.integers(9, size=6)) for kind in "abc" * 40]
    chosen = options(loss=loss, lr=0.5, epochs=20, **({"negative": 2} if loss == "ns" else {}))
    model = train("supervised", encoded(tmp_path, lines), tmp_path / "m.h5", chosen)
    assert model.history[-1]["loss"] < model.history[0]["loss"] / 2
    found = Classifier(model).predict(["a1 a2", "b3", "c5 c8"])[0]
    assert found == [("__label__a",), ("__label__b",), ("__label__c",)]


def test_lines_in_the_order_of_their_labels_are_learned_as_well(tmp_path, monkeypatch):
    """Each part takes lines from all over the text."""
    from cooc_engine.sampled import model as model_module

    monkeypatch.setattr(model_module, "PART", 60)
    rng = np.random.default_rng(2)
    lines = [f"__label__{kind} " + " ".join(f"{kind}{k}" for k in rng.integers(9, size=6)) for kind in sorted("ab" * 60)]
    model = train("supervised", encoded(tmp_path, lines), tmp_path / "m.h5", options(lr=0.5, epochs=5))
    assert Classifier(model).predict(["a1 a2", "b3 b4"])[0] == [("__label__a",), ("__label__b",)]


def test_one_of_several_labels_is_drawn(tmp_path):
    lines = ["__label__a __label__b x"] * 200
    model = train("supervised", encoded(tmp_path, lines), tmp_path / "m.h5", options(lr=0.2, epochs=4))
    labels, shares = Classifier(model).predict("x", k=2)
    assert set(labels) == {"__label__a", "__label__b"}
    assert shares.min() > 0.3


@pytest.mark.parametrize("stops", [(1,), (5, 2)])
def test_an_interrupted_training_ends_in_the_bits_of_the_whole_one(tmp_path, monkeypatch, corpus, stops):
    from cooc_engine.sampled import model as model_module

    monkeypatch.setattr(model_module, "PART", 20)
    monkeypatch.setattr(model_module, "ROUND", 1)
    chosen = options(epochs=3, word_ngrams=2, buckets=30)
    whole = train("supervised", corpus, tmp_path / "whole.h5", chosen)
    for number, stop in enumerate(stops):
        with monkeypatch.context() as patch:
            stop_after(patch, stop)
            with pytest.raises(InterruptedRun, match="resume=True"):
                train("supervised", corpus, tmp_path / "m.h5", chosen, resume=number > 0)
    assert bits(train("supervised", corpus, tmp_path / "m.h5", chosen, resume=True, threads=3)) == bits(whole)


def test_threads_that_race_learn_too(tmp_path, corpus):
    model = train("supervised", corpus, tmp_path / "m.h5", options(deterministic=False, epochs=5), threads=3)
    assert [record["examples"] for record in model.history] == [16] * 5
    assert all(record["items"] == corpus.tokens for record in model.history)


def test_training_begins_with_the_vectors_of_another_model(tmp_path, corpus):
    older = train("skipgram", corpus, tmp_path / "older.h5", SkipgramOptions(epochs=1, subsample=0))
    chosen = SupervisedOptions(vector_size=100, lr=1e-9, epochs=1, init=str(older.path))
    model = train("supervised", corpus, tmp_path / "m.h5", chosen)
    for word in ("good", "bad", "映画"):
        assert np.allclose(model.array("words")[model.vocabulary.ids[word]], older.array("words")[older.vocabulary.ids[word]])


OF_WORDS = [name for name, family in FAMILIES.items() if family.arrays.get("words") == "V d"]
FILES = ["word2vec", "word2vec-bin", "glove", "fasttext-vec", "fasttext", "npz", "safetensors"]


@pytest.mark.parametrize(("family", "form"), [*((name, None) for name in OF_WORDS), *(("imported", name) for name in FILES)])
def test_vectors_of_any_model_or_file_are_a_start(corpus, tmp_path, family, form):
    rows = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
    words, older = ["good", "strange", "film", "映画"], tmp_path / "older.h5"
    save_model(older, of_family(family, words, rows))
    if form is not None:
        export_vectors(older, tmp_path / "older.file", form)
        older = tmp_path / "older.file"
    chosen = options(lr=1e-9, init=str(older))
    before = sorted(tmp_path.iterdir())
    model = train("supervised", corpus, tmp_path / "m.h5", chosen)
    for row in (0, 2, 3):
        np.testing.assert_allclose(model.array("words")[model.vocabulary.ids[words[row]]], rows[row], atol=1e-5)
    assert 0 < np.abs(model.array("words")[model.vocabulary.ids["bad"]]).max() <= 0.2
    assert sorted(tmp_path.iterdir()) == [tmp_path / "m.h5", *before]
    with pytest.raises(UsageError, match=f"{older.name}: its vectors have 5 components; pass vector_size=5"):
        train("supervised", corpus, tmp_path / "n.h5", options(vector_size=6, init=str(older)))


def of_family(name: str, words: list[str], rows: np.ndarray) -> ModelData:
    """A model with all arrays of its family, of which `words` has these rows."""
    family, counts = FAMILIES[name], range(len(words), 0, -1)
    sizes = {"V": len(words), "N": len(words) - 1, "C": 2, "D": 1, "L": 1, "d": rows.shape[1]}
    arrays = {key: np.ones([sizes.get(axis, 7) for axis in axes.split()], np.float32) for key, axes in family.arrays.items()}
    names = {axis: Vocabulary.from_words([axis], [1]) if axis in "".join(family.arrays.values()) else None for axis in "DL"}
    named = {"document_ids": names["D"], "labels": names["L"]}
    return ModelData(name, Vocabulary.from_words(words, counts), {**arrays, "words": rows}, "w", {}, {}, **named)


def test_what_cannot_be_a_classifier_is_refused(tmp_path, corpus):
    for wrong, message in (({"label": "x y"}, "label is"), ({"label": ""}, "label is"), ({"min_n": 3, "max_n": 2}, "min_n is"),
                           ({"negative": 9}, "negative is")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            options(**wrong)
    with pytest.raises(InputError, match="too few words begin with __other__"):
        train("supervised", corpus, tmp_path / "m.h5", options(label="__other__"))
    with pytest.raises(DivergenceError, match="lr"):
        train("supervised", corpus, tmp_path / "m.h5", options(lr=1e6, epochs=5))
    cut = encode_documents(TEXT, tmp_path / "cut", EncodeOptions(min_count=4))
    with pytest.raises(UsageError, match="min_count=1"):
        train("supervised", cut, tmp_path / "m.h5", options(word_ngrams=2))
    reserved = encode_documents(["__label__a </s>"], tmp_path / "reserved", AllWordsOptions(reserved="keep"))
    with pytest.raises(InputError, match="</s> is a word of the text"):
        train("supervised", reserved, tmp_path / "m.h5", options())
    assert not list(tmp_path.glob("*.h5*"))


def test_a_matrix_that_is_mapped_is_trained_to_the_same_bits(tmp_path, corpus):
    chosen = options(word_ngrams=2, buckets=60_000)
    mapped = train("supervised", corpus, tmp_path / "mapped.h5", chosen, memory="1M")
    assert bits(mapped) == bits(train("supervised", corpus, tmp_path / "m.h5", chosen))


WORDS = st.text(st.sampled_from("ab<>é映😀"), min_size=1, max_size=5) | st.sampled_from(["__label__a", "__label__z", "good"])


@given(st.lists(WORDS, max_size=12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_lines_are_the_twins_rows(words, ngrams, min_n, more):
    """Also of words that training has not seen, of unknown labels, and of lines without words."""
    from support.lines import rows_of

    chosen = options(word_ngrams=ngrams, min_n=min_n if more else 0, max_n=min_n + more if more else 0, buckets=97)
    found, twin = rows_of(chosen, " ".join(words))
    assert sorted(found) == sorted(twin)


def test_options_survive_a_record():
    assert SupervisedOptions(**dataclasses.asdict(options())) == options()

"""Doc2Vec: its rules are those of the papers, documents of a topic lie together, and every row has its document's id."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from support.documents import KINDS
from support.steps import matrices, run_kernel, twin_of
from support.topics import bits, make_corpus, planted, stop_after

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, InputError, InterruptedRun, UsageError
from cooc_engine.models.file import open_model, save_model
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import training, workspace
from cooc_engine.sampled.doc2vec import design_doc2vec

SMALL = {"vector_size": 10, "window": 3, "subsample": 0, "epochs": 8, "lr": 0.1, "seed": 4}
ALL_KINDS = {**KINDS, "PV-DBOW, softmax": {"loss": "softmax"}}


def options_of(**changes) -> Doc2vecOptions:
    return Doc2vecOptions(**{**SMALL, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_the_update_is_the_twins(tmp_path, kind):
    corpus = make_corpus(tmp_path / "corpus", planted(documents=9))
    design = design_doc2vec(corpus, options_of(**KINDS[kind], lr=0.05))
    shard, segments = corpus.shard(0), design.model.segments
    documents = [shard.ids[a:b].tolist() for a, b in itertools.pairwise(shard.offsets.tolist())]
    model = dataclasses.replace(design.model, epochs=2)
    W, _ = matrices(sum(design.inputs.values()), 1, 6)
    _, C = matrices(1, len(corpus.vocabulary) * segments, 6, 0.7 / segments)
    exact_W, exact_C = W.astype(np.float64)[:, :6], C.astype(np.float64)[:, :6].reshape(-1, 6 * segments)
    run_kernel(documents, model, W, C.reshape(len(corpus.vocabulary), -1), epochs=2)
    noise = model.tables.noise.tolist()
    twin_of(model.rule, model.tables).train(documents, [], noise, exact_W, exact_C, 0.05, model.floor, model.seed, 2)
    np.testing.assert_allclose(W[:, :6], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :6], exact_C.reshape(-1, 6), rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_documents_of_a_topic_lie_together(corpus, tmp_path, kind):
    epochs = 20 if "PV-DM by" in kind else 8  # by sum and concatenation it is learned more slowly
    model = train("doc2vec", corpus, tmp_path / "m.h5", options_of(**ALL_KINDS[kind], epochs=epochs, deterministic=True))
    units = model.array("documents") / np.linalg.norm(model.array("documents"), axis=1, keepdims=True)
    nearest = np.argsort(-(units @ units.T), axis=1)[:, 1:11]  # but for the document itself
    least = 0.5 if "PV-DM" in kind else 0.9  # a window tells the topic too, so that less is left to learn for a document
    assert (nearest % 3 == np.arange(len(units))[:, None] % 3).mean() > least
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert ("words" in model.names) == ("PV-DBOW" not in kind or "words" in kind)


def test_rows_are_named_by_the_numbers_of_lines(corpus, tmp_path):
    model = train("doc2vec", corpus, tmp_path / "m.h5", options_of(epochs=1))
    opened = open_model(model.path, verify=True)
    assert opened.document_ids.words == [str(line) for line in range(1, 151)]
    assert opened.document_ids.counts.tolist() == [25] * 150
    assert [opened.document_ids.find(line) for line in ("1", "77", "150", "0", "151")] == [0, 76, 149, -1, -1]


def test_rows_are_named_by_the_column_of_ids(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"doc {k}\tice steam w{k}\n" for k in range(30)))
    corpus = encode(tmp_path / "a.txt", tmp_path / "corpus", EncodeOptions(min_count=1, doc_id_column=1))
    model = open_model(train("doc2vec", corpus, tmp_path / "m.h5", options_of(epochs=1)).path)
    assert model.document_ids.words == [f"doc {k}" for k in range(30)]
    assert model.document_ids.find("doc 7") == 7


def test_an_id_twice_is_refused_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "run_epochs", lambda *given: pytest.fail("it was trained"))
    (tmp_path / "a.txt").write_text("a\tice\na\tice\n")
    corpus = encode(tmp_path / "a.txt", tmp_path / "corpus", EncodeOptions(min_count=1, doc_id_column=1))
    with pytest.raises(InputError, match=r"several documents have the id 'a'; .* tag_separator"):
        train("doc2vec", corpus, tmp_path / "m.h5", options_of())


@pytest.mark.parametrize("changes", [{"document_ids": None}, {"document_ids": 149}], ids=str)
def test_a_file_whose_rows_have_no_ids_is_refused(corpus, tmp_path, changes):
    data = train("doc2vec", corpus, tmp_path / "m.h5", options_of(epochs=1)).data()
    if changes["document_ids"]:
        words, counts = data.document_ids.words, data.document_ids.counts
        changes = {"document_ids": Vocabulary.from_words(words[:149], counts[:149])}
    with pytest.raises(FormatError, match=r"document-ids|149"):
        save_model(tmp_path / "other.h5", dataclasses.replace(data, **changes))


@pytest.mark.parametrize("kind", [{}, {"architecture": "dm"}, {"architecture": "dm", "combine": "concat"}], ids=str)
def test_a_budget_that_documents_exceed_maps_them(tmp_path, monkeypatch, kind):
    """The same bits as in memory, and the ids are in the plan."""
    corpus = make_corpus(tmp_path / "corpus", planted(documents=1000))
    options = options_of(epochs=1, deterministic=True, **kind)
    plans = []
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[-1])
    roomy = train("doc2vec", corpus, tmp_path / "roomy.h5", options, threads=1)
    tight = train("doc2vec", corpus, tmp_path / "tight.h5", options, threads=1, memory=plans[0][0].least - 1)
    assert [list(mapped) for _, mapped in plans] == [[], ["inputs"]]
    assert plans[0][0].memory["ids of documents"] >= 100 * 1000
    assert bits(tight) == bits(roomy)


OPTIONS = [
    ({"loss": "hs", "vectors": "c"}, "vectors is c, but dbow with hs has no vectors of words, unless words is on"),
    ({"loss": "hs", "init": "m.h5"}, "init is m.h5, but dbow with hs has no vectors of words"),
    ({"vectors": "w"}, "architecture='dbow' has only c"),
    ({"architecture": "dm", "words": "on"}, "dm trains words"),
    ({"architecture": "dm", "noise": "own"}, "predicted once"),
    ({"noise": "own"}, "predicted once"),
    ({"architecture": "dm", "loss": "hs", "vectors": "c"}, "no output vector"),
    ({"combine": "sum"}, "dbow has nothing to combine"),
    ({"architecture": "dm", "combine": "sum", "loss": "softmax"}, "the full softmax takes means"),
    ({"architecture": "dm", "combine": "concat", "radius": "random"}, "each word of the window has its place"),
    ({"architecture": "dm", "combine": "concat", "vectors": "c"}, "there is only w"),
    ({"architecture": "dm", "combine": "concat", "extend": True}, "init alone starts from its words"),
]


def test_a_concatenation_has_weights_for_each_place(corpus, tmp_path):
    """Those of a model with the same window are taken over by one that begins with it, those of another window are not."""
    concat = {"architecture": "dm", "combine": "concat"}
    older = train("doc2vec", corpus, tmp_path / "m.h5", options_of(**concat))
    words = len(corpus.vocabulary)
    assert older.shapes["window_contexts"] == (words, 7, 10)
    assert (older.shapes["padding"], older.recorded["radius"]) == ((1, 10), "fixed")
    started = {"init": str(older.path), "lr": 1e-6, "epochs": 1}
    for window, same in ((3, True), (2, False)):
        model = train("doc2vec", corpus, tmp_path / f"{window}.h5", options_of(**concat, **started, window=window))
        np.testing.assert_allclose(model.array("words"), older.array("words"), atol=1e-3)
        taken = model.array("window_contexts")[:, :5], older.array("window_contexts")[:, :5]
        assert np.allclose(*taken, atol=1e-3) == same


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("PV-DBOW with words", "PV-DM")])
def test_the_bits_are_the_same_resumed_and_on_any_threads(corpus, tmp_path, monkeypatch, kind):
    """Of kinds that the contract does not train."""
    options = options_of(**KINDS[kind], epochs=2, deterministic=True)
    whole = train("doc2vec", corpus, tmp_path / "whole.h5", options, threads=1)
    stop_after(monkeypatch, 2)
    with pytest.raises(InterruptedRun):
        train("doc2vec", corpus, tmp_path / "m.h5", options, threads=3)
    monkeypatch.undo()
    assert bits(train("doc2vec", corpus, tmp_path / "m.h5", options, threads=2, resume=True)) == bits(whole)


@pytest.mark.parametrize(("changes", "why"), OPTIONS, ids=str)
def test_options_without_a_meaning_are_refused(corpus, tmp_path, changes, why):
    with pytest.raises(UsageError, match=why):
        train("doc2vec", corpus, tmp_path / "m.h5", options_of(**changes))


def test_the_tree_is_that_of_the_models_own_counts(corpus, tmp_path):
    """Or inference, which has only these, would take other paths."""
    options = EncodeOptions(vocabulary=str(corpus.path))
    other: Corpus = encode_documents(planted(seed=2, documents=20), tmp_path / "other", options)
    with pytest.raises(UsageError, match="has the vocabulary of another"):
        train("doc2vec", other, tmp_path / "m.h5", options_of(architecture="dm", loss="hs"))

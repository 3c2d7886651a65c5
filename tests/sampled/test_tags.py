"""Documents with tags: each tag has a vector, by the twin's update, and a single tag of its own is an id."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from support.documents import KINDS
from support.steps import matrices, run_kernel, twin_of
from support.topics import bits, make_corpus, planted, stop_after
from twins.tags import tagged

from cooc_engine import TaggedDocument
from cooc_engine.cli.app import main
from cooc_engine.corpus import document_ids
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.document_ids import tag_numbers, tagging
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, InterruptedRun, UsageError
from cooc_engine.formats.vectors import export_vectors, read_vectors
from cooc_engine.models.sampled_options import Doc2vecOptions, JoseOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import doc2vec, training, workspace
from cooc_engine.sampled.doc2vec import design_doc2vec

NO_CONCAT = [kind for kind in KINDS if "concatenation" not in kind]
SMALL = {"vector_size": 10, "window": 3, "subsample": 0, "epochs": 8, "lr": 0.1, "seed": 4}
PLAIN = EncodeOptions(min_count=1)


def options_of(**changes) -> Doc2vecOptions:
    return Doc2vecOptions(**{**SMALL, **changes})


def tags_of(number: int) -> list[str]:
    """A tag of its own, and one or two that documents of a topic share."""
    return [f"d{number}", f"topic {'abc'[number % 3]}", *(["third"] if number % 4 == 0 else [])]


def make_tagged(at, documents: int = 150) -> Corpus:
    texts = planted(documents=documents)
    return encode_documents([TaggedDocument(words, tags_of(k)) for k, words in enumerate(texts)], at, PLAIN)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return make_tagged(tmp_path_factory.mktemp("tags") / "corpus")


@pytest.mark.parametrize("kind", NO_CONCAT)
def test_the_update_is_the_twins(tmp_path, kind):
    corpus = make_tagged(tmp_path / "corpus", 9)
    design, (_, starts, rows) = design_doc2vec(corpus, options_of(**KINDS[kind], lr=0.05)), tagging(corpus)
    shard, words = corpus.shard(0), len(corpus.vocabulary)
    documents = [shard.ids[a:b].tolist() for a, b in itertools.pairwise(shard.offsets.tolist())]
    model = dataclasses.replace(design.model, epochs=2)
    W, C = matrices(sum(design.inputs.values()), words, 6)
    exact_W, exact_C = W.astype(np.float64)[:, :6], C.astype(np.float64)[:, :6]
    history = run_kernel(documents, model, W, C, epochs=2)
    plain = model.tables._replace(row_starts=np.empty(0, np.int64))
    twin = tagged(twin_of(model.rule, plain), [rows[a:b].tolist() for a, b in itertools.pairwise(starts.tolist())])
    noise = model.tables.noise.tolist()
    wanted = twin.train(documents, [], noise, exact_W, exact_C, 0.05, model.floor, model.seed, 2)
    np.testing.assert_allclose(W[:, :6], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :6], exact_C, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(history, wanted, rtol=1e-4)


@pytest.mark.parametrize("kind", NO_CONCAT)
def test_a_tag_of_its_own_is_an_id(tmp_path, kind):
    """The same bits, also if the kernel looks the rows up in lists."""
    documents = planted(documents=30)
    with_ids = make_corpus(tmp_path / "ids", documents)
    with_tags = encode_documents([TaggedDocument(words, [k]) for k, words in enumerate(documents)], tmp_path / "tags", PLAIN)
    options = options_of(**KINDS[kind], epochs=2, deterministic=True)
    models = [train("doc2vec", source, tmp_path / "m.h5", options, force=True) for source in (with_ids, with_tags)]
    assert bits(models[0]) == bits(models[1])
    model = design_doc2vec(with_tags, options).model
    assert not len(model.tables.row_starts)
    count = model.rule.document + len(documents)
    lists = model.tables._replace(row_starts=np.arange(count + 1), rows=np.arange(count, dtype=np.int32))
    texts, found = [[int(w) for w in with_tags.shard(0).ids[k * 25 : k * 25 + 25]] for k in range(30)], []
    for tables in (model.tables, lists):
        W, C = matrices(count, len(with_tags.vocabulary), 10)
        run_kernel(texts, dataclasses.replace(model, tables=tables), W, C)
        found.append(W.tobytes() + C.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", [*NO_CONCAT, "PV-DBOW, softmax"])
def test_tags_are_learned(corpus, tmp_path, kind):
    """Those of PV-DBOW lie among their documents; PV-DM's share the work with these, and need not."""
    epochs = 2 if "softmax" in kind else 8
    options = options_of(**KINDS.get(kind, {"loss": "softmax"}), epochs=epochs, deterministic=True)
    model = train("doc2vec", corpus, tmp_path / "m.h5", options)
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert len(model.documents) == 154
    for topic in "abc" if "PV-DBOW" in kind else "":
        near = [tag for tag, _ in model.documents.most_similar(f"topic {topic}", topn=10) if tag.startswith("d")]
        assert np.mean(["abc"[int(tag[1:]) % 3] == topic for tag in near]) > 0.9


@pytest.mark.parametrize("kind", NO_CONCAT)
def test_any_threads_and_an_interruption_give_the_same_bits(corpus, tmp_path, small_parts, monkeypatch, kind):
    options = options_of(**KINDS[kind], epochs=2, deterministic=True)
    whole = train("doc2vec", corpus, tmp_path / "whole.h5", options, threads=1)
    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        stop_after(patch, 2)
        train("doc2vec", corpus, tmp_path / "m.h5", options, threads=3)
    assert bits(train("doc2vec", corpus, tmp_path / "m.h5", options, threads=2, resume=True)) == bits(whole)


def test_a_training_goes_on_with_its_own_tags_alone(tmp_path, monkeypatch):
    """Which are no part of the digest of a corpus."""
    texts = planted(documents=30)
    for name in ("ab", "ba"):
        encode_documents([TaggedDocument(words, [name[k % 2]]) for k, words in enumerate(texts)], tmp_path / name, PLAIN)
    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        stop_after(patch, 1)
        train("doc2vec", tmp_path / "ab", tmp_path / "m.h5", options_of())
    with pytest.raises(UsageError, match="was begun from other data"):
        train("doc2vec", tmp_path / "ba", tmp_path / "m.h5", options_of(), resume=True)
    train("doc2vec", tmp_path / "ab", tmp_path / "m.h5", options_of(), resume=True)


def test_a_budget_that_tags_exceed_maps_their_rows(corpus, tmp_path, monkeypatch):
    plans, options = [], options_of(epochs=1, deterministic=True)
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[-1])
    roomy = train("doc2vec", corpus, tmp_path / "roomy.h5", options)
    tight = train("doc2vec", corpus, tmp_path / "tight.h5", options, memory=plans[0][0].least - 1)
    assert [list(mapped) for _, mapped in plans] == [[], ["inputs"]]
    assert plans[0][0].memory["ids of documents"] >= 250 * 154
    assert bits(tight) == bits(roomy)


def test_a_budget_that_tags_exceed_is_refused_before_they_are_read(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(doc2vec, "tagging", lambda corpus: pytest.fail("the tags are read"))
    with pytest.raises(UsageError, match=r"^memory='40.0K' is too little to train doc2vec: it takes \S+K \(tags of documents"):
        train("doc2vec", corpus, tmp_path / "m.h5", options_of(), memory=40 << 10)


@pytest.mark.parametrize("most", [50, 1000])
def test_tags_are_counted_or_estimated(tmp_path, monkeypatch, most):
    monkeypatch.setattr(document_ids, "SAMPLE", most)
    documents = [TaggedDocument(["ice"], [k, k // 2, "all", k]) for k in range(500)]
    tags, listed = tag_numbers(encode_documents(documents, tmp_path / "c", PLAIN))
    assert listed == 3 * 500 - 1  # no tag twice; 0 is its own half
    assert tags == 501 if most > 501 else abs(tags - 501) < 150


# ------------------------------------------------------------------------------------------------- from text and from Python


def test_tags_are_those_of_the_column(tmp_path, capsys):
    text = tmp_path / "a.txt"
    text.write_text("x|news\tice steam\nnews\tice\ny|news|y\tsteam ice ice\n")
    command = ["encode", str(text), "--output", str(tmp_path / "c"), "--min-count", "1"]
    assert main([*command, "--doc-id-column", "1", "--tag-separator", "|"]) == 0
    found = tagging(Corpus(tmp_path / "c"))
    assert (found.tags.words, found.tags.counts.tolist()) == (["x", "news", "y"], [2, 6, 3])
    assert (found.starts.tolist(), found.rows.tolist()) == ([0, 2, 3, 5], [0, 1, 1, 2, 1])
    model = train("doc2vec", tmp_path / "c", tmp_path / "m.h5", options_of(epochs=1))
    assert model.document_ids.words == ["x", "news", "y"]
    capsys.readouterr()
    assert main(["nn", str(model.path), "news", "--documents", "--json"]) == 0
    assert {tag for tag, _ in json.loads(capsys.readouterr().out)["news"]} == {"x", "y"}
    export_vectors(model.path, tmp_path / "d.npz", vectors="documents")
    np.testing.assert_array_equal(read_vectors(tmp_path / "d.npz").vectors, model.array("documents"))
    assert main([*command, "--tag-separator", "|", "--force"]) == 2
    assert "--tag-separator is for the ids of a column" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "more", "wrong"),
    [
        ("a,,b\tice", {}, "a.txt:2: has an empty tag in column 1; tags are separated by ','"),
        ("a, \tice", {}, "a.txt:2: has an empty tag"),
        ("1,x\tice", {"doc_id_type": "int64"}, "a.txt:2: the document id 'x' is not a 64-bit integer"),
    ],
)
def test_a_wrong_tag_is_refused_with_its_line(tmp_path, line, more, wrong):
    (tmp_path / "a.txt").write_text(f"1,2\tice\n{line}\n")
    with pytest.raises(InputError, match=wrong):
        encode(tmp_path / "a.txt", tmp_path / "c", EncodeOptions(min_count=1, doc_id_column=1, tag_separator=",", **more))


def test_tags_of_python_go_with_any_tokenizer(tmp_path):
    texts = [TaggedDocument("Ice, steam!", ["a", 7]), TaggedDocument(["Ice"], ("a",))]
    for name, options in (("plain", PLAIN), ("cut", EncodeOptions(min_count=1, tokenizer="regex", tag_separator="; "))):
        corpus = encode_documents(iter(texts), tmp_path / name, options)
        assert tagging(corpus).tags.words == ["a", "7"]
        assert corpus.options.tag_separator == ("," if name == "plain" else "; ")


@pytest.mark.parametrize(
    ("second", "wrong"),
    [
        (["ice"], "document 2 has no list of tags, unlike the first one"),
        (TaggedDocument(["ice"], "ab"), "document 2 has no list of tags"),
        (TaggedDocument(["ice"], []), "document 2 has no list of tags"),
        (TaggedDocument(["ice"], ["a,b"]), "document 2 has the tag 'a,b'"),
        (TaggedDocument(["ice"], ["a\nb"]), "no line end"),
        (TaggedDocument(["ice"], [" "]), "is not empty"),
    ],
    ids=str,
)
def test_what_is_no_tag_is_refused_with_the_number_of_its_document(tmp_path, second, wrong):
    with pytest.raises(InputError, match=wrong):
        encode_documents([TaggedDocument(["ice"], ["a"]), second], tmp_path / "c", PLAIN)
    assert not (tmp_path / "c").exists()


def test_tags_without_a_meaning_are_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match="has one place for the document"):
        train("doc2vec", corpus, tmp_path / "m.h5", options_of(architecture="dm", combine="concat"))
    with pytest.raises(UsageError, match="its documents have tags; JoSE takes none"):
        train("jose", corpus, tmp_path / "m.h5", JoseOptions(epochs=1))
    with pytest.raises(UsageError, match="is for documents with tags; pass TaggedDocument"):
        encode_documents(["ice"], tmp_path / "c", EncodeOptions(tag_separator=","))
    with pytest.raises(UsageError, match="a tab or a line end"):
        EncodeOptions(doc_id_column=1, tag_separator="\t")


def test_one_tag_for_several_documents_goes_with_a_concatenation(tmp_path):
    documents = [TaggedDocument(words, ["abc"[k % 3]]) for k, words in enumerate(planted())]
    corpus = encode_documents(documents, tmp_path / "c", PLAIN)
    options = options_of(architecture="dm", combine="concat", deterministic=True)
    model = train("doc2vec", corpus, tmp_path / "m.h5", options)
    assert model.document_ids.words == ["a", "b", "c"]
    inferred = model.documents.infer_vectors([text.words for text in documents])
    rows, _ = model.documents.nearest(inferred, 1, [()] * len(documents))
    assert (rows[:, 0] == np.arange(150) % 3).mean() > 0.9


def test_the_estimator_takes_tagged_documents(tmp_path):
    pytest.importorskip("sklearn")
    from cooc_engine import Doc2Vec

    documents = [TaggedDocument(words, tags_of(k)) for k, words in enumerate(planted(documents=20))]
    fitted = Doc2Vec(vector_size=4, min_count=1, epochs=1).fit(documents)
    assert "topic b" in fitted.model_.documents
    assert np.array_equal(fitted.transform(documents), fitted.transform([text.words for text in documents]))

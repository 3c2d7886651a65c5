"""Vectors of documents: inference is a pure function, and known documents are found again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from support.documents import ALL_KINDS, KINDS
from support.standard_input import given_stdin
from support.steps import twin_of

from cooc_engine import TaggedDocument
from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UnknownWordError, UsageError
from cooc_engine.formats.vectors import export_vectors, read_vectors
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import open_model, save_model
from cooc_engine.models.sampled_options import CbowOptions, Doc2vecOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled.doc2vec import inference_doc2vec
from cooc_engine.vectors.documents import DocumentVectors, infer
from cooc_engine.vectors.quantisation import quantize
from cooc_engine.vectors.query import nn


def made_up(words: int, length: int, share: float) -> list[str]:
    """60 documents with favourite words of their own: each draws its words from an order of its own."""
    rng, names = np.random.default_rng(3), np.array([f"w{k}" for k in range(words)])
    return [" ".join(names[rng.permutation(words)[rng.geometric(share, length).clip(1, words) - 1]]) for _ in range(60)]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return made_up(80, 60, 0.12)


@pytest.fixture(scope="module")
def corpus(texts, tmp_path_factory):
    return encode_documents(texts, tmp_path_factory.mktemp("documents") / "corpus", EncodeOptions(min_count=1))


@pytest.fixture(scope="module", params=ALL_KINDS)
def model(request, corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("model") / "m.h5"
    family, kind = ALL_KINDS[request.param]
    slow = {"epochs": 15} if kind.get("loss") == "softmax" else {}  # a step in Python for every few words
    options = FAMILIES[family].options(**{"vector_size": 20, "epochs": 30, "lr": 0.05, "subsample": 0, **slow, **kind})
    return train(family, corpus, output, options, threads=1)


def test_inference_is_a_pure_function(model, texts):
    documents, texts = DocumentVectors.open(model.path), texts[:24]
    wanted = infer(model.path, texts, threads=1)
    assert wanted.dtype == np.float32 and np.isfinite(wanted).all()
    for threads in (2, 3):
        order = np.random.default_rng(threads).permutation(len(texts))[:20]
        found = documents.infer_vectors([texts[k] for k in order], threads=threads)
        assert np.array_equal(found, wanted[order])
    assert np.array_equal(documents.infer_vector(texts[7].split()), wanted[7])
    assert not np.array_equal(documents.infer_vector(texts[7], seed=2), wanted[7])
    assert not np.array_equal(documents.infer_vector(texts[7], epochs=2), wanted[7])


def test_known_documents_are_found_again(model, texts):
    documents = DocumentVectors.open(model.path)
    inferred = documents.infer_vectors(texts)
    rows, cosines = documents.nearest(inferred, 1, [()] * len(texts))
    assert (rows[:, 0] == np.arange(len(texts))).mean() >= 0.95
    assert np.median(cosines) >= 0.9


@pytest.mark.parametrize(
    ("family", "kind"),
    [("doc2vec", {}), ("doc2vec", {"loss": "hs"}), ("doc2vec", {"architecture": "dm"}), ("jose", {})],
    ids=str,
)
def test_they_are_found_again_with_the_defaults(family, kind, tmp_path):
    """Of training and inference: a new document is not trained longer than those of the model were."""
    long = made_up(300, 300, 0.05)
    corpus = encode_documents(long, tmp_path / "c", EncodeOptions(min_count=1))
    documents = train(family, corpus, tmp_path / "m.h5", FAMILIES[family].options(**kind), threads=1).documents
    rows, cosines = documents.nearest(documents.infer_vectors(long), 1, [()] * len(long))
    assert np.array_equal(rows[:, 0], np.arange(len(long)))
    assert np.median(cosines) >= 0.93


@pytest.mark.parametrize("model", KINDS, indirect=True)
def test_the_update_is_the_twins(model, texts):
    """The row of one document is trained alone, by the rule of the step; words are thinned."""
    inference = inference_doc2vec(model, 3, 5, 1)
    keep = np.random.default_rng(2).integers(2**62, 2**64, 80, np.uint64)
    inference._model = dataclasses.replace(inference._model, tables=inference._model.tables._replace(keep=keep))
    ids = np.array([model.vocabulary.ids[word] for word in texts[4].split()], np.int32)
    found = inference.vectors([ids[:9], ids])[1]
    trained = inference._model
    (inputs, outputs), words, segments = inference._matrices, trained.rule.document, trained.segments
    W = np.vstack([inputs[:words, :20], inference._start[None]]).astype(np.float64)
    C = outputs.reshape(len(outputs) * segments, -1)[:, :20].astype(np.float64).reshape(len(outputs), -1)
    before = W[:words].copy(), C.copy()
    twin = twin_of(trained.rule, trained.tables)
    twin.train([ids.tolist()], keep.tolist(), trained.tables.noise.tolist(), W, C, trained.lr, trained.floor, trained.seed, 3)
    np.testing.assert_allclose(found, W[words], rtol=1e-4, atol=1e-5)
    assert np.array_equal(W[:words], before[0]) and np.array_equal(C, before[1])


def test_documents_without_known_words_get_zeros(model):
    found = infer(model.path, ["", "nowhere never", "w1 nowhere"])
    assert not found[:2].any()
    assert found[2].any()


@pytest.mark.parametrize("model", ["PV-DBOW, softmax"], indirect=True)
def test_the_update_of_a_full_softmax_is_its_gradient(model, texts):
    """Σ u_t − Σ_j p_j u_j over the words t of a part, with p of before the step."""
    inference = inference_doc2vec(model, 3, 5, 1)
    ids = np.array([model.vocabulary.ids[word] for word in texts[4].split()], np.int32)
    trained, row, outputs = inference._model, inference._start.astype(np.float64), model.array("contexts").astype(np.float64)
    for epoch in range(3):
        for begin in range(0, len(ids), trained.part):
            scores = np.exp(outputs @ row)
            expected = scores / scores.sum() @ outputs
            lr = trained.lr * (1 - (epoch * len(ids) + begin) / trained.horizon(len(ids)))
            row = row + lr * (outputs[ids[begin : begin + trained.part]] - expected).sum(axis=0)
    np.testing.assert_allclose(inference.vectors([ids])[0], row, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["PV-DBOW"], indirect=True)
def test_a_document_is_a_string_or_words_with_or_without_tags(model):
    documents = model.documents
    wanted = documents.infer_vector("w1 w2")
    for same in (["w1", "w2"], TaggedDocument(["w1", "w2"], ["a"]), (word for word in ("w1", "w2"))):
        assert np.array_equal(documents.infer_vector(same), wanted)
    for wrong in (None, b"w1 w2", [1, 2], 3):
        with pytest.raises(InputError, match=r"^documents: document 2 (is|has) .*strings?"):
            documents.infer_vectors(["w1", wrong])


@pytest.mark.parametrize("model", ["PV-DBOW, hs"], indirect=True)
def test_a_model_without_vectors_of_words_says_so(model, corpus, tmp_path, capsys):
    """Whatever asks for these; documents are inferred, queried and exported."""
    says, documents = r"m\.h5: has no vectors of words: .*; take these, or train with words='on' too$", model.documents
    for ask in (
        lambda: model.vectors,
        lambda: documents.words,
        lambda: model.matrix,
        lambda: quantize(model, tmp_path / "q.h5"),
    ):
        with pytest.raises(UsageError, match=says):
            ask()
    for choice in ("w", "x"):
        with pytest.raises(UsageError, match=f"vectors='{choice}': the model has only documents, nodes"):
            model.rows(choice)
    assert model.facts()["documents"] == "60" and model.vector_size == 20
    for command in (["nn", model.path, "w1"], ["nn", model.path, "w1", "--documents", "--of", "words"]):
        assert main([*map(str, command)]) == 2
        assert "take these, or train with --words on too" in capsys.readouterr().err
    assert main(["info", str(model.path)]) == 0
    assert "vectors: none" in capsys.readouterr().out
    with pytest.raises(UsageError, match="has no word vectors to start from"):
        train("skipgram", corpus, tmp_path / "s.h5", vector_size=20, init=str(model.path))


@pytest.mark.parametrize("model", ["PV-DBOW"], indirect=True)
def test_a_key_that_can_be_none_is_named(model):
    """Rows are numbers from 0 on, as in gensim; what is neither a word nor a row is refused, alone and in a list."""
    documents, rows = model.documents, model.array("documents")
    assert np.array_equal(documents[0], rows[0]) and np.array_equal(documents[[np.uint8(3), "5"]], rows[[3, 4]])
    assert documents[[]].shape == (0, 20) and np.array_equal(documents.vectors[-2:], rows[-2:])
    for row in (-1, 60, [0, -1]):
        with pytest.raises(KeyError, match=r"^there is no row (-1|60); 60 documents have the rows from 0 on$"):
            documents[row]
    for wrong in (1.5, None, slice(1, 3), b"1", np.float64(1)):
        with pytest.raises(
            UsageError, match=r"^the key is .*; it must be a word, the number of its row, or a list of these; vectors"
        ):
            documents[wrong]
    for wrong in ([1, 1.5], (1, True), np.array([False, True]), [1, None]):
        with pytest.raises(UsageError, match=r"^key\[[01]\] is .*; it must be a word, or the number of its row$"):
            documents[wrong]
    with pytest.raises(KeyError, match="there is no row 80; 80 words have the rows from 0 on"):
        documents.words[80]


@pytest.mark.parametrize("model", ["PV-DBOW"], indirect=True)
def test_some_documents_are_those_of_the_model_too(model):
    for some in (model.documents.some(np.array([6, 2])), model.documents.vectors_for_all(["7", "3", "61"])):
        assert np.array_equal(some["7"], model.documents["7"]) and some.index_to_key == ["7", "3"]
        assert np.array_equal(some.infer_vector("w1 w2"), model.documents.infer_vector("w1 w2"))
        assert np.array_equal(some.words["w1"], model.documents.words["w1"])
        assert some.facts()["documents"] == "2"
    alone = DocumentVectors(["a"], np.ones((1, 2)))
    assert alone["a"].tolist() == [1, 1]
    for ask in (lambda: alone.infer_vector("w1"), lambda: alone.words):
        with pytest.raises(UsageError, match=r"without their model; DocumentVectors\.open"):
            ask()


def test_what_is_not_there_is_said(corpus, tmp_path):
    train("cbow", corpus, tmp_path / "cbow.h5", CbowOptions(vector_size=4, epochs=1))
    with pytest.raises(UsageError, match="has no vectors of documents"):
        DocumentVectors.open(tmp_path / "cbow.h5")
    train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1))
    documents = DocumentVectors.open(tmp_path / "m.h5")
    with pytest.raises(UnknownWordError, match=r"there is no document '61'; the first ids are 1, 2, 3, 4, 5, \.\.\."):
        documents["61"]
    assert repr(documents).startswith("<DocumentVectors: documents 60, size 4, ")
    with pytest.raises(UsageError, match=r"^seed is 'x'; it must be of type int$"):
        documents.infer_vector("w1", seed="x")
    for alone in ("w1 w2", None):  # a string is not taken letter by letter
        with pytest.raises(UsageError, match=r"^texts is .*; it must be a list of documents, each a string"):
            documents.infer_vectors(alone)
    with pytest.raises(UsageError, match="epochs"):
        documents.infer_vector("w1", epochs=0)


def test_the_command_prints_a_line_for_every_line(corpus, texts, tmp_path, capsys):
    path = tmp_path / "m.h5"
    train("doc2vec", corpus, path, Doc2vecOptions(vector_size=4, epochs=1))
    (tmp_path / "new.txt").write_text(f"{texts[0]}\n\n  \r\nnowhere\n{texts[1]}")
    assert main(["infer", str(path), str(tmp_path / "new.txt"), "--epochs", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    wanted = infer(path, [texts[0], "", "", "nowhere", texts[1]], epochs=3)
    assert np.array_equal(np.array([line.split() for line in lines], np.float32), wanted)
    assert main(["infer", str(path), str(tmp_path / "new.txt"), "--epochs", "3", "--json"]) == 0
    found = [json.loads(line)["vector"] for line in capsys.readouterr().out.splitlines()]
    assert np.array_equal(np.array(found, np.float32), wanted)


def test_lines_of_stdin_are_answered_as_they_come(corpus, tmp_path, capsys, monkeypatch):
    path = train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1)).path
    wanted = [" ".join(f"{value:.9g}" for value in vector) for vector in infer(path, ["w1 w2", "w3", "w4 w5"]).tolist()]
    printed = []

    def asking() -> None:
        printed.append(capsys.readouterr().out.splitlines())

    given_stdin(monkeypatch, b"w1 w2\nw", b"3\nw4 w5\n", asking=asking)
    assert main(["infer", str(path), "-"]) == 0
    assert [*printed, capsys.readouterr().out.splitlines()] == [[], wanted[:1], wanted[1:], []]


def test_an_output_is_whole_or_not_there(corpus, texts, tmp_path, capsys, monkeypatch):
    train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1))
    new, output = tmp_path / "new.txt", tmp_path / "vectors.txt"
    new.write_text("\n".join(texts))
    command = ["infer", str(tmp_path / "m.h5"), str(new), "--epochs", "3"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert main([*command, "--output", str(output)]) == 0
    assert (output.read_text(), capsys.readouterr().out) == (printed, "")
    new.write_bytes(b"w1\n" * 100_000 + b"\xff\n")  # in a later batch of lines
    assert main([*command, "--output", str(output)]) == 2
    assert main([*command, "--output", str(output), "--force"]) == 1
    assert main([*command, "--output", str(tmp_path / "other.txt")]) == 1
    assert output.read_text() == printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5", "new.txt", "vectors.txt"]
    assert main([*command, "--force"]) == 2


def test_text_that_is_not_utf8_is_refused_with_its_place(corpus, tmp_path, capsys):
    train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1))
    (tmp_path / "bad.txt").write_bytes(b"w1 w2\nw3 \xff\n")
    assert main(["infer", str(tmp_path / "m.h5"), str(tmp_path / "bad.txt")]) == 1
    assert "bad.txt: byte 0xff is not UTF-8 (at byte 9)" in capsys.readouterr().err
    for how in (["--encoding", "latin-1"], ["--errors", "replace"]):
        assert main(["infer", str(tmp_path / "m.h5"), str(tmp_path / "bad.txt"), *how]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2
    assert open_model(tmp_path / "m.h5").document_ids is not None


# ------------------------------------------------------------------------------------------------------- questions and files


def asked(capsys, *arguments) -> dict[str, list]:
    assert main(["nn", *map(str, arguments), "--json", "--k", "3"]) == 0
    return json.loads(capsys.readouterr().out)


def test_neighbours_among_words_and_documents(model, capsys):
    documents = DocumentVectors.open(model.path)
    units = model.array("documents") / np.linalg.norm(model.array("documents"), axis=1, keepdims=True)
    found = asked(capsys, model.path, "7", "--documents")["7"]
    order = [str(row + 1) for row in np.argsort(-(units @ units[6])) if row != 6][:3]
    assert [name for name, _ in found] == order
    if model.published == "none":
        return
    near = asked(capsys, model.path, "w1", "--documents", "--of", "words")["w1"]
    assert near == [[name, pytest.approx(value)] for name, value in documents.most_similar(documents.words["w1"], topn=3)]
    assert {name for name, _ in near} <= set(documents.index_to_key)
    words = asked(capsys, model.path, "7", "--of", "documents")["7"]
    assert [name for name, _ in words] == [name for name, _ in documents.words.most_similar(documents["7"], topn=3)]
    assert asked(capsys, model.path, "w1", "--of", "words") == asked(capsys, model.path, "w1")


def test_questions_about_documents_that_are_not_there(corpus, tmp_path, capsys):
    path = train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1)).path
    assert main(["nn", str(path), "61", "--documents"]) == 1
    assert "there is no document '61'" in capsys.readouterr().err
    assert main(["nn", str(path), "1", "--documents", "--approximate"]) == 2
    assert "--approximate has an index of words alone" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["d.txt", "d.npz", "d.safetensors", "d.tsv"])
def test_documents_are_exported_with_their_ids(model, tmp_path, name):
    done = export_vectors(model.path, tmp_path / name, vectors="documents")
    assert (done.words, done.vector_size) == (60, 20)
    read = read_vectors(tmp_path / name)
    assert read.vocabulary.words == model.document_ids.words
    np.testing.assert_allclose(read.vectors, model.array("documents"), rtol=1e-6)
    assert main(["export", str(model.path), str(tmp_path / "again"), "--vectors", "documents", "--restrict", "7"]) == 0
    assert len(read_vectors(tmp_path / "again").vocabulary) == 7


def test_documents_with_numbers_are_asked_for_by_them(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("".join(f"{k - 3}\tice steam w{k}\n" for k in range(20)))
    found = {}
    for kind in ("string", "int64"):
        options = EncodeOptions(min_count=1, doc_id_column=1, doc_id_type=kind)
        corpus = encode(tmp_path / "a.txt", tmp_path / kind, options)
        model = train("doc2vec", corpus, tmp_path / f"{kind}.h5", Doc2vecOptions(vector_size=4, epochs=1))
        found[kind] = DocumentVectors.open(model.path)
    rows, numbered = model.array("documents"), found["int64"]
    assert np.array_equal(found["string"]["7"], rows[10])
    for key in (7, np.int64(7), "7"):
        assert np.array_equal(numbered[key], rows[10])
    assert np.array_equal(numbered[-3], rows[0])
    assert -3 in numbered and 17 not in numbered
    assert numbered.most_similar(-3, topn=1) == numbered.most_similar("-3", topn=1)
    with pytest.raises(UnknownWordError, match="there is no document 17"):
        numbered.most_similar(17)
    assert int(asked(capsys, model.path, "7", "--documents")["7"][0][0]) in numbered
    export_vectors(model.path, tmp_path / "d.txt", vectors="documents")
    assert read_vectors(tmp_path / "d.txt").vocabulary.words == [str(k - 3) for k in range(20)]


def test_vectors_are_not_exported_as_text_under_the_suffix_of_a_model(corpus, tmp_path):
    model = train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1))
    with pytest.raises(UsageError, match=r"d\.h5: no format has this suffix, and the model is an HDF5 file already"):
        export_vectors(model.path, tmp_path / "d.h5", vectors="documents")


def test_an_export_of_documents_that_are_not_there_is_refused(corpus, tmp_path):
    train("cbow", corpus, tmp_path / "cbow.h5", CbowOptions(vector_size=4, epochs=1))
    with pytest.raises(UsageError, match="has no vectors of documents"):
        export_vectors(tmp_path / "cbow.h5", tmp_path / "d.txt", vectors="documents")
    assert not (tmp_path / "d.txt").exists()


def test_a_quantised_model_answers_for_words(corpus, tmp_path):
    """It keeps the vectors of words alone."""
    model = train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=4, epochs=1, words="on"))
    quantize(model.path, tmp_path / "q.h5")
    assert len(nn(tmp_path / "q.h5", ["w1"], 3)["w1"]) == 3
    with pytest.raises(UsageError, match="has no vectors of documents"):
        DocumentVectors.open(tmp_path / "q.h5")


def test_the_size_of_vectors_is_that_of_the_arrays(corpus, tmp_path):
    """Whatever the record of the training says, which a forger may have written."""
    model = train("doc2vec", corpus, tmp_path / "m.h5", Doc2vecOptions(vector_size=20, epochs=1))
    config = {**model.config, "train": {**model.config["train"], "vector_size": 4}}
    save_model(tmp_path / "other.h5", dataclasses.replace(model.data(), config=config))
    assert np.array_equal(infer(tmp_path / "other.h5", ["w1 w2"]), infer(model.path, ["w1 w2"]))

"""Labelled documents: how files are read, where vectors come from, clusters, classifiers, and their scores."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from support.topics import planted

import cooc_engine
from cooc_engine.cli.app import main
from cooc_engine.errors import InputError, UnknownWordError, UsageError
from cooc_engine.evaluation.bootstrap import resamples
from cooc_engine.evaluation.classification import Classification, accuracy, classify, macro_f1
from cooc_engine.evaluation.clustering import Clustering, cluster, spherical_k_means
from cooc_engine.evaluation.documents import open_vectors
from cooc_engine.evaluation.labelled import read_labelled
from cooc_engine.evaluation.options import ClassifyOptions, ClusterOptions, DocumentOptions
from cooc_engine.models.sampled_options import Doc2vecOptions, SkipgramOptions
from cooc_engine.vectors.query import Vectors

TEXTS = [" ".join(words) for words in planted(documents=60)]
LABELS = [f"topic-{'abc'[k % 3]}" for k in range(60)]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The same documents with their labels in the text, in a column beside ids, and in a file; and models of them."""
    at = tmp_path_factory.mktemp("documents")
    for name, part in (("train", slice(0, 36)), ("test", slice(36, 60))):
        pairs = list(zip(TEXTS[part], LABELS[part], strict=True))
        write(at / f"{name}.txt", (f"__label__{label} {text}" for text, label in pairs))
        write(at / f"{name}.plain", (text for text, _ in pairs))
        write(at / f"{name}.labels", (label for _, label in pairs))
        write(at / f"{name}.tsv", (f"{name} {k}\t{label}\t{text}" for k, (text, label) in enumerate(pairs)))
    write(at / "all", TEXTS)
    small = {"vector_size": 8, "epochs": 20, "lr": 0.1, "subsample": 0, "seed": 4}
    encode = cooc_engine.EncodeOptions(min_count=1)
    cooc_engine.encode(at / "all", at / "corpus", encode)
    cooc_engine.train("doc2vec", at / "corpus", at / "d2v.h5", Doc2vecOptions(**small, deterministic=True))
    cooc_engine.train("skipgram", at / "corpus", at / "sg.h5", SkipgramOptions(**small, deterministic=True))
    return at


def write(path: Path, lines) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


# -------------------------------------------------------------------------------------------------------------- reading


def test_labels_are_read_from_the_text_from_a_column_and_from_files(home):
    names = ["train", "test"]
    marked = read_labelled([home / f"{name}.txt" for name in names], DocumentOptions())
    column = read_labelled([home / f"{name}.tsv" for name in names], DocumentOptions(label_column=2, doc_id_column=1))
    beside = read_labelled(
        [home / f"{name}.plain" for name in names], DocumentOptions(), [home / f"{name}.labels" for name in names]
    )
    for found in (marked, column, beside):
        assert [part.name for part in found] == names
        assert [text.strip() for part in found for text in part.texts] == TEXTS
        assert [label for part in found for label in part.labels] == LABELS
    numbers = [str(number) for number in range(1, 61)]
    assert [number for part in marked for number in part.ids] == [number for part in beside for number in part.ids] == numbers
    assert column[1].ids[:2] == ["test 0", "test 1"]


def test_a_label_may_stand_anywhere_and_begin_otherwise(tmp_path):
    (tmp_path / "a.txt").write_text("a b\t#x c\r\n#y\n")
    (found,) = read_labelled([tmp_path / "a.txt"], DocumentOptions(label="#"))
    assert (found.labels, [text.split() for text in found.texts]) == (["x", "y"], [["a", "b", "c"], []])


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "a.txt: holds no documents"),
        ("__label__x a\nb c\n", {}, "a.txt:2: has 0 labels, words that begin with __label__; expected one"),
        ("__label__x __label__y a\n", {}, "a.txt:1: has 2 labels"),
        ("x\ta\ny\n\tb\n", {"label_column": 1}, "a.txt:3: has no label in column 1"),
        ("x\ta\ny\n", {"label_column": 1, "doc_id_column": 2}, "a.txt:2: has no document id in column 2"),
    ],
)
def test_documents_without_one_label_are_refused_with_their_place(tmp_path, text, options, said):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        read_labelled([tmp_path / "a.txt"], DocumentOptions(**options))


def test_a_line_without_end_is_refused():
    with pytest.raises(InputError, match=r"/dev/zero:1: has more than 67108864 bytes"):
        read_labelled(["/dev/zero"], DocumentOptions())


def test_files_of_labels_that_do_not_fit_are_refused(home):
    plain, labels = home / "train.plain", home / "test.labels"
    with pytest.raises(InputError, match=r"test.labels: holds 24 labels, but .*train.plain has 36 documents"):
        read_labelled([plain], DocumentOptions(), [labels])
    with pytest.raises(UsageError, match=r"its own file of labels; texts: 1, files of labels: 2"):
        read_labelled([plain], DocumentOptions(), [labels, labels])
    write(home / "gap.labels", [*["a"] * 4, " ", *["b"] * 31])
    with pytest.raises(InputError, match=r"gap.labels:5: has no label"):
        read_labelled([plain], DocumentOptions(), [home / "gap.labels"])
    with pytest.raises(UsageError, match="choose one"):
        read_labelled([plain], DocumentOptions(label_column=1), [labels])


# -------------------------------------------------------------------------------------------------------------- vectors


def points(home: Path, model: str, **options) -> tuple[np.ndarray, str]:
    task = Clustering.of([home / "train.txt", home / "test.txt"], ClusterOptions(unit="off", **options))
    found = task.points(task.documents, open_vectors(home / model))
    return found.vectors, found.made


def test_vectors_are_those_of_documents_or_of_their_words(home):
    documents, words = open_vectors(home / "d2v.h5"), Vectors.open(home / "sg.h5")
    wanted = {
        ("d2v.h5", "infer"): (documents.infer_vectors(TEXTS, epochs=3), "inferred"),
        ("d2v.h5", "trained"): (documents.vectors, "trained"),
        ("d2v.h5", "words"): (documents.words.sentence_vectors(TEXTS, "sif"), "sif"),
        ("sg.h5", "infer"): (np.stack([words.sentence_vector(text, "sif") for text in TEXTS]), "sif"),
    }
    for (model, how), (vectors, name) in wanted.items():
        found, made = points(home, model, documents=how, words="sif", infer_epochs=3)
        np.testing.assert_allclose(found, vectors, rtol=1e-6)
        assert made == name


def test_a_model_that_gives_no_document_a_vector_is_an_error(home, tmp_path, capsys):
    """Which names the model and the way out."""
    cooc_engine.train("pmi", home / "all", tmp_path / "pmi.h5")
    empty, strange = Vectors([], np.empty((0, 3))), Vectors(["x", "y"], np.ones((2, 3)))
    task = Clustering.of([home / "train.txt"], ClusterOptions(words="sif"))
    with pytest.raises(InputError, match=r"^the model: has no words; import the model with vocab='?FILE"):
        task.points(task.documents, empty)
    with pytest.raises(UsageError, match=r"^these vectors: sif weights .* take mean, or import the vectors with vocab='?FILE"):
        task.points(task.documents, strange)
    mean = Classification.of(home / "train.txt", home / "test.txt", ClassifyOptions())
    with pytest.raises(InputError, match=r"^the model: knows no word of the documents in train; are these split and spelt"):
        mean.outcome(strange)
    strange.save_word2vec_format(tmp_path / "strange.vec")
    for model, says in (("pmi.h5", "explicit vectors are sparse"), ("strange.vec", "knows no word of the documents in train")):
        assert main(["cluster", str(tmp_path / model), "--texts", str(home / "train.txt"), "--progress", "none"]) > 0
        assert f"{tmp_path / model}: {says}" in capsys.readouterr().err


def test_ids_that_a_model_does_not_have_are_an_error(home):
    task = Clustering.of([home / "train.tsv"], ClusterOptions(label_column=2, doc_id_column=1, documents="trained"))
    with pytest.raises(UnknownWordError, match="there is no document 'train 0'"):
        task.outcome(open_vectors(home / "d2v.h5"))


def test_explicit_vectors_are_refused(home):
    cooc_engine.count(home / "corpus", home / "cooc")
    cooc_engine.train("pmi", home / "cooc", home / "pmi.h5")
    with pytest.raises(UsageError, match="take a model with an SVD"):
        cluster(home / "pmi.h5", home / "train.txt")


# -------------------------------------------------------------------------------------------------------------- clusters


def test_topics_are_found_by_clusters(home):
    rows = cluster([home / "d2v.h5", home / "sg.h5"], [home / "train.txt", home / "test.txt"], ClusterOptions(runs=3))
    kinds = [f"{kind}-{score}" for kind in ("k-means", "spherical") for score in ("nmi", "mi", "ari", "purity")]
    assert [row["kind"] for row in rows] == 2 * kinds
    assert {(row["dataset"], row["covered"], row["total"]) for row in rows} == {("train+test", 60, 60)}
    assert [row["documents"] for row in rows] == ["inferred"] * 8 + ["mean"] * 8
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert max(row["value"] for row in rows if row["kind"] == "k-means-nmi") == pytest.approx(1)


def test_a_score_is_the_mean_of_all_seeds(home):
    task = Clustering.of([home / "train.txt"], ClusterOptions(runs=4, clusters=5, documents="words", seed=7))
    outcome = task.outcome(open_vectors(home / "d2v.h5"))
    (scores,) = [one for one in task.scored([outcome]) if one.kind == "spherical-ari"]
    vectors = task.points(task.documents, open_vectors(home / "d2v.h5")).vectors
    runs = [sklearn.metrics.adjusted_rand_score(LABELS[:36], spherical_k_means(vectors, 5, seed)) for seed in range(7, 11)]
    np.testing.assert_allclose(scores.resampled[0], runs)
    assert scores.scores[0] == pytest.approx(np.mean(runs))


def test_spherical_clusters_are_those_of_directions():
    """Whatever the lengths: each point is in the cluster whose mean direction is nearest."""
    rng = np.random.default_rng(0)
    directions, topic = np.eye(4)[:3], np.arange(90) % 3
    vectors = ((directions[topic] + 0.1 * rng.normal(size=(90, 4))) * rng.uniform(0.1, 9, (90, 1))).astype(np.float32)
    found = spherical_k_means(vectors, 3, 1)
    assert sklearn.metrics.adjusted_rand_score(topic, found) == 1
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = spherical_k_means(vectors, 7, 2)
    sums = np.stack([units[found == cluster].sum(0) for cluster in range(7)])
    assert np.array_equal((units @ (sums / np.linalg.norm(sums, axis=1, keepdims=True)).T).argmax(1), found)


def test_there_are_no_more_clusters_than_distinct_points(home, tmp_path):
    write(tmp_path / "same.txt", [f"__label__{label} a1" for label in "xyz"])
    rows = cluster(home / "sg.h5", tmp_path / "same.txt", ClusterOptions(runs=2))
    assert {(row["covered"], row["kind"]): row["value"] for row in rows}[3, "k-means-purity"] == pytest.approx(1 / 3)


# ----------------------------------------------------------------------------------------------------------- classifiers


def test_topics_are_told_by_classifiers(home):
    rows = classify([home / "d2v.h5", home / "sg.h5"], home / "train.txt", home / "test.txt", ClassifyOptions(samples=100))
    kinds = [f"{kind}-{score}" for kind in ("knn", "logistic") for score in ("accuracy", "micro-f1", "macro-f1")]
    assert [row["kind"] for row in rows] == 2 * kinds
    assert {(row["dataset"], row["covered"], row["total"]) for row in rows} == {("test", 24, 24)}
    assert all(0.9 < row["low"] <= row["value"] <= row["high"] for row in rows)


def test_scores_are_those_of_scikit_learn():
    """On all documents, and on each resample of them."""
    rng = np.random.default_rng(5)
    wanted, found = rng.integers(0, 4, (2, 30))
    found[:15] = wanted[:15]
    weights = np.concatenate(list(resamples(30, 40, [1])))
    pairs = np.stack([accuracy(wanted, found, weights, 5), macro_f1(wanted, found, weights, 5)], axis=1)
    for scores, weight in zip(pairs.tolist(), weights, strict=True):
        drawn = np.repeat(np.arange(30), weight.astype(int))
        given = wanted[drawn], found[drawn]
        micro = sklearn.metrics.f1_score(*given, average="micro")
        assert scores == pytest.approx([micro, sklearn.metrics.f1_score(*given, average="macro")])


def test_labels_that_only_one_side_has(home, tmp_path):
    """One label to learn leaves nothing to choose; one that is only in the test is never found."""
    write(tmp_path / "one.txt", [f"__label__topic-a {TEXTS[0]}", f"__label__topic-a {TEXTS[3]}"])
    task = Classification.of(tmp_path / "one.txt", home / "test.txt")
    outcome = task.outcome(open_vectors(home / "sg.h5"))
    assert outcome["results"] == {"knn": [0] * 24, "logistic": [0] * 24}
    assert next(task.scored([outcome])).scores == [pytest.approx(8 / 24)]


# ---------------------------------------------------------------------------------------------------------- the commands


def test_the_commands_print_one_table_for_all_models(home, tmp_path, capsys):
    models = [str(home / "d2v.h5"), str(home / "sg.h5")]
    given = ["classify", *models, "--train", str(home / "train.plain"), "--test", str(home / "test.plain")]
    given += ["--labels", str(home / "train.labels"), str(home / "test.labels"), "--documents", "trained", "--progress", "none"]
    assert main([*given, "--output", str(tmp_path / "table.tsv")]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["model", "documents", "covered", "knn-accuracy", "knn-micro-f1"]
    assert [line.split()[:2] for line in lines] == [[models[0], "trained"], [models[1], "mean"]]
    assert main([*given, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == classify(
        models, home / "train.plain", home / "test.plain", ClassifyOptions(documents="trained"),
        labels=[home / "train.labels", home / "test.labels"],
    )  # fmt: skip
    table = [line.split("\t") for line in (tmp_path / "table.tsv").read_text().splitlines()]
    assert table == [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    assert main([*given, "--output", str(tmp_path / "table.tsv")]) == 2
    assert "table.tsv: exists" in capsys.readouterr().err


def test_the_command_clusters(home, capsys):
    assert main(["cluster", str(home / "sg.h5"), "--texts", str(home / "test.txt"), "--runs", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == cluster(str(home / "sg.h5"), home / "test.txt", ClusterOptions(runs=2))
    assert main(["cluster", str(home / "sg.h5")]) == 2
    assert capsys.readouterr().err == "cooc-engine: there is nothing to cluster; pass --texts FILE\n"


def test_scikit_learn_that_is_not_there_is_named(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(UsageError, match=r'needs scikit-learn: python -m pip install "cooc_engine\[sklearn\]"$'):
        cluster(home / "sg.h5", home / "train.txt")


def test_long_and_many_labels_take_the_memory_that_they_hold(tmp_path):
    lines = [f"label{row}\tice" for row in range(1000)] + ["x" * 10_000 + "\tice"]
    (tmp_path / "a.tsv").write_text("\n".join(lines))
    task = Classification.of(tmp_path / "a.tsv", tmp_path / "a.tsv", ClassifyOptions(label_column=1))
    tracemalloc.start()
    try:
        names, _, wanted = task._labels
        assert macro_f1(wanted, wanted, np.ones((1, 1001)), len(names)) == [1]
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()

"""Explicit vectors against dense ones: the matrix, the questions, the file, and what is not for them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from twins import svd as naive_svd

from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InterruptedRun, UsageError
from cooc_engine.evaluation.comparison import _entrants, comparison
from cooc_engine.evaluation.geometry import nearest_rows, norm_profile
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.evaluation.options import CompareOptions
from cooc_engine.formats.hdf5_counts import export_hdf5, import_hdf5
from cooc_engine.linalg.sparse import SparseRows
from cooc_engine.matrix import sparse_pmi
from cooc_engine.matrix.pmi_svd import train_pmi_svd
from cooc_engine.matrix.sparse_pmi import memory_plan, train_pmi
from cooc_engine.models import sparse_vectors as explicit_module
from cooc_engine.models.file import ModelFile, append_evaluation, open_model
from cooc_engine.models.matrix_options import PmiOptions, PmiSvdOptions
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.pipeline.describe import info
from cooc_engine.vectors.query import Vectors, nn
from cooc_engine.vectors.ratios import ratio

SLOW = settings(deadline=None, max_examples=40)
EXPLICIT = PmiOptions()


def sparse_of(matrix) -> SparseVectors:
    csr = scipy.sparse.csr_array(np.asarray(matrix, np.float32))
    return SparseVectors(SparseRows(csr.shape, csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data))


# ---------------------------------------------------------------------------------------------------------- the matrix

matrices = st.tuples(st.integers(1, 12), st.integers(1, 45)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([0, 0, 0, 1, 2.5, -1]))
)


@SLOW
@given(matrices, st.data())
def test_all_operations_are_those_of_a_dense_matrix(dense, data):
    vectors = sparse_of(dense)
    rows = data.draw(st.lists(st.integers(0, len(dense) - 1), max_size=5))
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(dense))] * 2)))
    right = np.random.default_rng(1).standard_normal((dense.shape[1], data.draw(st.integers(1, 40)))).astype(np.float32)
    assert (len(vectors), vectors.shape, vectors.ndim) == (len(dense), dense.shape, 2)
    assert np.array_equal(vectors[rows], dense[np.array(rows, int)])
    assert np.array_equal(vectors[0], dense[0])
    part = vectors[begin:end]
    assert np.allclose(part @ right, dense[begin:end] @ right, atol=1e-4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explicit_module, "PIECE", 5)
        assert np.allclose(part.lengths(), np.linalg.norm(dense[begin:end], axis=1), rtol=1e-6)
    taken = vectors.take(np.array(rows, np.int64))
    assert taken.shape == (len(rows), dense.shape[1])
    assert np.array_equal(taken[0 : len(rows)][np.arange(len(rows))], dense[np.array(rows, int)])


def test_what_needs_a_dense_matrix_is_refused_in_a_line():
    vectors = sparse_of(np.eye(3))
    for attempt in (lambda: np.asarray(vectors), lambda: np.linalg.norm(vectors), lambda: np.einsum("ij->i", vectors)):
        with pytest.raises(UsageError, match=r"sparse.*take a model with an SVD"):
            attempt()


# ------------------------------------------------------------------------------------------------------- the questions


@pytest.fixture(scope="module")
def pair() -> tuple[Vectors, Vectors]:
    """Explicit vectors and dense ones of the same numbers."""
    rng = np.random.default_rng(5)
    dense = (rng.random((200, 90)) * (rng.random((200, 90)) < 0.2)).astype(np.float32)
    dense[7] = 0
    words = [f"w{i}" for i in range(len(dense))]
    return Vectors(words, sparse_of(dense)), Vectors(words, dense)


def same(first, second) -> None:
    assert [word for word, _ in first] == [word for word, _ in second]
    assert np.allclose([cosine for _, cosine in first], [cosine for _, cosine in second], atol=1e-5)


def test_questions_are_answered_as_with_dense_vectors(pair, monkeypatch):
    ours, dense = pair
    assert ours.vector_size == 90
    assert np.allclose(ours.inverse_norms, dense.inverse_norms, rtol=1e-5)
    assert ours.similarity("w1", "w2") == pytest.approx(dense.similarity("w1", "w2"), abs=1e-6)
    assert ours.similarity("w1", "w7") == 0
    words = [f"w{i}" for i in range(0, 200, 7)], [f"W{(i + 3) % 200}" for i in range(0, 200, 7)]
    assert np.allclose(ours.cosines(*words)[0], dense.cosines(*words)[0], atol=1e-6)
    assert ours.cosines(["w1", "w1", "no"], ["w2", "no", "no"])[1].tolist() == [True, False, False]
    assert np.array_equal(ours["w3"], dense["w3"])
    assert np.array_equal(ours[["w3", "w9"]], dense[["w3", "w9"]])
    for together, limit in ((1 << 21, None), (3 * 90, 180)):
        for module in ("search", "words"):
            monkeypatch.setattr(f"cooc_engine.vectors.{module}.DENSE", together)
        found, expected = (kv.neighbours([f"w{i}" for i in range(0, 200, 11)], topn=6) for kv in pair)
        for word in found:
            same(found[word], expected[word])
        asked = [f"w{i}" for i in range(0, 210, 9)]
        (table, known), (wanted, same_known) = (kv.cosine_table(asked, limit) for kv in pair)
        assert np.array_equal(known, same_known) and known.sum() == (23 if limit is None else 20)
        assert np.allclose(table(20, 150), wanted(20, 150), atol=1e-5)
    same(ours.analogy("w1", "w2", "w3"), dense.analogy("w1", "w2", "w3"))
    same(ours.most_similar(["w4", dense["w5"]], ["w6"]), dense.most_similar(["w4", dense["w5"]], ["w6"]))


def test_the_judgement_is_that_of_dense_vectors(pair, tmp_path):
    ours, dense = pair
    (tmp_path / "pairs.tsv").write_text("".join(f"w{i}\tw{3 * i + 1}\t{i % 7}\n" for i in range(60)))
    questions = "".join(f"w{i} w{i + 1} w{i + 20} w{(7 * i) % 200}\n" for i in range(150))
    (tmp_path / "questions.txt").write_text(": all\n" + questions)
    given = [tmp_path / "pairs.tsv"], [tmp_path / "questions.txt"]
    found, expected = (evaluate({"it": kv}, *given, restrict=170) for kv in (ours, dense))
    for row, other in zip(found, expected, strict=True):
        assert row["value"] == pytest.approx(other["value"], abs=1e-5)
        assert {**row, "value": 0} == {**other, "value": 0}


# ------------------------------------------------------------------------------------------------------------ the model


def make_cooc(at: Path, words: int = 120, **options) -> Cooc:
    rng = np.random.default_rng(3)
    texts = [[f"w{8 * k + t}" for k in rng.geometric(8 / words, 30)] for t in rng.integers(0, 8, 200)]
    corpus = encode_documents(texts, at / "corpus", EncodeOptions(min_count=1), threads=1)
    return count(corpus, at / "cooc", CountOptions(**{"window": 4, **options}), threads=1)


@pytest.fixture(scope="module")
def cooc(tmp_path_factory) -> Cooc:
    return make_cooc(tmp_path_factory.mktemp("explicit"))


@pytest.fixture
def model(cooc, tmp_path) -> ModelFile:
    return train_pmi(cooc, tmp_path / "model.h5", EXPLICIT)


@pytest.mark.parametrize("changes", [{}, {"pmi": "pmi"}, {"pmi": "npmi", "cds": 1.0}, {"pmi_shift": 5.0}], ids=str)
@pytest.mark.parametrize("counting", [{}, {"context_side": "left"}, {"positional": True, "window": 2}], ids=str)
def test_the_vectors_are_the_twins_rows(tmp_path, changes, counting):
    counts = make_cooc(tmp_path, 60, **counting)
    options = PmiOptions(**changes)
    model = train_pmi(counts, tmp_path / "model.h5", options)
    expected = naive_svd.pmi(counts.csr().toarray(), options.pmi, options.pmi_shift, options.cds)
    assert model.matrix.shape == expected.shape == (len(counts.vocabulary), counts.columns)
    assert np.allclose(model.matrix[np.arange(len(expected))], expected, rtol=1e-6, atol=1e-7)
    assert (model.family, model.published, list(model.history)) == ("pmi", "w", [])
    assert model.config["train"] == options.record()
    assert open_model(model.path, verify=True).provenance["cooc"] == counts.digest


def test_threads_budget_and_pieces_do_not_change_a_byte(cooc, model, tmp_path, monkeypatch):
    def again(**how) -> ModelFile:
        return train_pmi(cooc, tmp_path / "again.h5", EXPLICIT, force=True, **how)

    first = again(threads=1).path.read_bytes()
    assert again(threads=1, memory="64M").path.read_bytes() == first
    for threads in (2, 3):
        other = again(threads=threads)
        for name in ("data", "indices", "indptr", "shape"):
            assert np.array_equal(other.array(name), model.array(name))
    monkeypatch.setattr(sparse_pmi, "PIECE", 7)
    assert again(threads=1).path.read_bytes() == first


def test_the_budget_holds_rows_and_not_the_matrix(cooc, tmp_path):
    least = memory_plan(cooc, 0).least
    assert train_pmi(cooc, tmp_path / "model.h5", EXPLICIT, threads=2, memory=least)
    with pytest.raises(UsageError, match=r"memory=.* is too little to train pmi:"):
        train_pmi(cooc, tmp_path / "none.h5", EXPLICIT, threads=2, memory=least - 1)
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_other_programs_read_the_file(model):
    """As FORMAT.md says, with h5py and SciPy alone."""
    with h5py.File(model.path) as file:
        group = file["parameters"]
        assert group.attrs["encoding-type"] == b"csr_matrix"
        assert tuple(group.attrs["shape"]) == model.matrix.shape
        parts = group["data"][:], group["indices"][:], group["indptr"][:]
        matrix = scipy.sparse.csr_array(parts, tuple(group["shape"][:]))
    assert matrix.has_sorted_indices
    assert np.array_equal(matrix.toarray(), model.matrix[np.arange(len(model.vocabulary))])


def test_a_model_is_asked_judged_and_described(cooc, model, tmp_path, capsys):
    one, two, *others = cooc.vocabulary.words[:6]
    lines = [f"{one}\t{word}\t{i * i % 5}\n" for i, word in enumerate([two, *others])]
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    dense = Vectors(cooc.vocabulary, model.matrix[np.arange(len(cooc.vocabulary))])
    found = nn(model.path, [one, two], topn=4)
    for word, answers in found.items():
        same(answers, dense.most_similar(word, topn=4))
    rows = evaluate([model.path], pairs=[tmp_path / "pairs.tsv"])
    assert rows[0]["value"] == pytest.approx(evaluate({"": dense}, pairs=[tmp_path / "pairs.tsv"])[0]["value"])
    append_evaluation(model.path, rows)
    again = open_model(model.path, verify=True)
    assert again.evaluation == rows
    assert np.array_equal(again.matrix[[0, 1]], model.matrix[[0, 1]])
    record = info(model.path)
    assert (record["family"], record["arrays"]["data"]) == ("pmi", [len(model.array("data"))])
    assert main(["nn", str(model.path), one, "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == [one]
    assert main(["eval", str(model.path), "--pairs", str(tmp_path / "pairs.tsv")]) == 0


def test_the_command_line_trains_and_says_what_it_made(cooc, tmp_path, capsys):
    command = ["train", "pmi", str(cooc.path), "--output", str(tmp_path / "m.h5")]
    assert main([*command, "--progress", "lines"]) == 0
    result = capsys.readouterr()
    size = len(cooc.vocabulary)
    assert f"{size} vectors of size {size}, " in result.out
    assert "loss" not in result.out
    assert "write vectors: 100 %" in result.err
    assert main([*command, "--json", "--force"]) == 0
    assert json.loads(capsys.readouterr().out)["history"] == []


def test_solver_none_of_pmi_svd_makes_the_same_vectors(cooc, tmp_path, capsys):
    changes = {"pmi": "npmi", "pmi_shift": 2.0, "cds": 0.5}
    new = train_pmi(cooc, tmp_path / "new.h5", PmiOptions(**changes))
    options = PmiSvdOptions(solver="none", **changes)
    old = train_pmi_svd(cooc, tmp_path / "old.h5", options)
    assert (old.family, old.published, list(old.history)) == (new.family, new.published, list(new.history)) == ("pmi", "w", [])
    assert old.names == new.names
    assert all(old.array(name).tobytes() == new.array(name).tobytes() for name in new.names)
    assert old.config["train"] == options.record()
    command = ["train", "pmi-svd", str(cooc.path), "--output", str(tmp_path / "m.h5"), "--solver", "none"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'm.h5'}: {len(cooc.vocabulary)} vectors of size")
    for flags, says in (
        (["--vectors", "w+c"], "--vectors is 'w+c'"),
        (["--normalize"], "--normalize"),
        (["--solver", "nine"], "--solver"),
    ):
        assert main([*command, *flags, "--force"]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


def test_ratios_are_not_for_them(model):
    with pytest.raises(UsageError, match="is a pmi model"):
        ratio(model.path, "w1", "w2", ["w3"])


def test_an_interrupted_run_leaves_nothing_and_can_be_resumed(cooc, tmp_path, monkeypatch):
    def interrupted(*given, **how):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sparse_pmi, "save_model", interrupted)
        with pytest.raises(InterruptedRun, match="resume=True"):
            train_pmi(cooc, tmp_path / "model.h5", EXPLICIT)
    assert not list(tmp_path.iterdir())
    assert train_pmi(cooc, tmp_path / "model.h5", EXPLICIT, resume=True)


def change(path: Path, name: str, values) -> None:
    """Write over a dataset, leaving its checksum as it was."""
    with h5py.File(path, "r+") as file:
        file[f"parameters/{name}"][...] = values


@pytest.mark.parametrize("column", [-1, 1 << 20])
def test_a_column_that_is_not_there_is_found_before_it_is_used(model, column):
    values = model.array("indices").copy()
    values[len(values) // 2] = column
    change(model.path, "indices", values)
    with pytest.raises(FormatError, match=r"indices is damaged \(checksum"):
        nn(model.path, [model.vocabulary.words[0]])
    with h5py.File(model.path, "r+") as file:
        file["parameters/indices"].attrs.modify("crc-32", np.uint32(zlib.crc32(values)))
    with pytest.raises(FormatError, match=r"element parameters/indices: a value is outside 0 to"):
        nn(model.path, [model.vocabulary.words[0]])


@pytest.mark.parametrize(
    "label, value, says",
    [
        ("family", "glove", "which family 'glove' does not have"),
        ("published", "c", "does not fit"),
        ("family", "x", "family is"),
    ],
)
def test_labels_that_do_not_fit(model, label, value, says):
    with h5py.File(model.path, "r+") as file:
        file["parameters"].attrs[label] = np.bytes_(value)
    with pytest.raises(FormatError, match=says):
        open_model(model.path)


def test_counts_are_not_taken_for_vectors_nor_the_other_way_round(cooc, model, tmp_path):
    export_hdf5(cooc, tmp_path / "counts.h5")
    with pytest.raises(FormatError, match="is a cooc-engine counts, expected"):
        open_model(tmp_path / "counts.h5")
    with pytest.raises(FormatError, match="is a cooc-engine model, expected"):
        import_hdf5(model.path, tmp_path / "cooc")
    with h5py.File(tmp_path / "counts.h5", "r+") as file, h5py.File(model.path) as other:
        del file["counts"]
        other.copy("parameters", file, "counts")
    with pytest.raises(FormatError, match="holds float32, expected float64"):
        import_hdf5(tmp_path / "counts.h5", tmp_path / "cooc")


def test_explicit_vectors_are_compared_with_others(cooc, model, tmp_path):
    """Side by side with dense ones; only singular values they have none of."""
    dense = train_pmi_svd(cooc, tmp_path / "dense.h5", PmiSvdOptions(vector_size=5))
    words = dense.vocabulary.words
    (tmp_path / "pairs.tsv").write_text("".join(f"{words[i]}\t{words[2 * i + 1]}\t{i % 5}\n" for i in range(15)))
    options = CompareOptions(frequent=20, neighbours=3)
    record = comparison([model.path, dense.path], [tmp_path / "pairs.tsv"], options=options)
    assert [one["model"] for one in record["spectra"]] == ["dense"]
    (judged,) = record["sets"]
    values = [row["value"] for row in evaluate([model.path, dense.path], [tmp_path / "pairs.tsv"]) if row["kind"] == "spearman"]
    assert [score["value"] for score in judged["scores"]] == values
    squares = (np.asarray(model.matrix[np.arange(len(words))], np.float64) ** 2).sum(1)
    wanted = norm_profile(squares, dense.vocabulary.counts)
    for group, other in zip(record["norms"][0]["groups"], wanted["groups"], strict=True):
        assert group == pytest.approx(other, rel=1e-6)
    fewer = make_cooc(tmp_path, 40)
    other = train_pmi_svd(fewer, tmp_path / "other.h5", PmiSvdOptions(vector_size=5))
    assert other.vocabulary.words != words
    (explicit, _) = _entrants({"a": model.path, "b": other.path}, common=True)
    assert isinstance(explicit.vectors.vectors, SparseVectors), "a dense copy would be V by V"
    assert explicit.vectors.index_to_key == [word for word in words if word in other.vocabulary]
    kept = [model.vocabulary.ids[word] for word in explicit.vectors.index_to_key]
    assert np.array_equal(explicit.vectors.vectors[np.arange(len(kept))], model.matrix[np.array(kept)])
    kv = Vectors.open(model.path)
    (word, *_), nearest = kv.index_to_key, nearest_rows(kv, 20, 3)
    assert [kv.index_to_key[row] for row in nearest[0]] == [near for near, _ in kv.most_similar(word, topn=3)]

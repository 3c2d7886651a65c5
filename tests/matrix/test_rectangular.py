"""Counts whose columns have names of their own, such as users by items, from a matrix to queries on a model."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.counts import files, integers
from twins import svd as naive

from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts import directory
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import PAIRS, CountOptions
from cooc_engine.errors import CoocError, FormatError, UsageError
from cooc_engine.formats.glove_counts import export_glove
from cooc_engine.formats.hdf5_counts import CountFile, export_hdf5, import_hdf5
from cooc_engine.formats.scipy_counts import import_matrix
from cooc_engine.matrix.glove import train_glove, train_simpler_glove
from cooc_engine.matrix.pmi_svd import train_pmi_svd
from cooc_engine.matrix.sparse_pmi import train_pmi
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.models.matrix_options import GloveOptions, PmiOptions, PmiSvdOptions
from cooc_engine.pipeline.describe import info
from cooc_engine.pipeline.stages import append
from cooc_engine.pipeline.train import train
from cooc_engine.storage.outputs import write_manifest
from cooc_engine.vectors.columns import ColumnVectors
from cooc_engine.vectors.model import Model, open_model
from cooc_engine.vectors.quantisation import quantize
from cooc_engine.vectors.ratios import ratio

FEW = settings(deadline=None, max_examples=3)


def names(what: str, size: int) -> list[str]:
    return [f"{what} {i}" for i in range(size)]


def imported(matrix, at: Path, **how) -> Cooc:
    rows, columns = matrix.shape
    return import_matrix(matrix, names("user", rows), at, columns=names("item", columns), **{"threads": 1, **how})


def in_order(cooc: Cooc, matrix) -> np.ndarray:
    """A matrix, its rows and columns as a directory has them."""
    rows, columns = ([int(n.split()[1]) for n in words] for words in (cooc.vocabulary, cooc.column_vocabulary))
    return scipy.sparse.csr_array(matrix).toarray()[np.ix_(rows, columns)]


@pytest.fixture(scope="module")
def chosen():
    """Users who choose items of their own half more often."""
    rng = np.random.default_rng(5)
    likes = np.arange(40)[:, None] % 2 == np.arange(25)[None] % 2
    return scipy.sparse.csr_array(rng.poisson(np.where(likes, 1.0, 0.1)))


@pytest.fixture(scope="module")
def cooc(chosen, tmp_path_factory) -> Cooc:
    return imported(chosen, tmp_path_factory.mktemp("rectangular") / "cooc")


@pytest.fixture(scope="module")
def model(cooc, tmp_path_factory) -> Model:
    return train("pmi-svd", cooc, tmp_path_factory.mktemp("model") / "model.h5", vector_size=6, tol=1e-4, threads=1)


# ----------------------------------------------------------------------------------------------------------- the counts

small = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.lists(
        st.lists(st.sampled_from([0, 0, 0, 1, 2, 300]), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    )
)


@FEW
@given(small, st.sampled_from(["csr", "csc", "coo"]))
@example([[0, 3, 0]], "csr")
@example([[0], [2], [0]], "csc")
def test_counts_are_those_of_the_matrix_whatever_its_shape(table, form):
    """One row, one column, and rows and columns without a count among them."""
    matrix = scipy.sparse.csr_array(np.array(table))
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "BLOCK_ENTRIES", 7)
        cooc = imported(matrix.asformat(form), Path(name) / "cooc")
        dense = in_order(cooc, matrix)
        np.testing.assert_array_equal(cooc.csr().toarray(), dense)
        assert cooc.vocabulary.counts.tolist() == cooc.row_integers.tolist() == dense.sum(1).tolist()
        assert cooc.column_vocabulary.counts.tolist() == cooc.column_integers.tolist() == dense.sum(0).tolist()
        assert (cooc.rectangular, cooc.positional, cooc.denominator, cooc.options) == (True, False, 1, PAIRS)
        export_hdf5(cooc, Path(name) / "counts.h5", threads=1)
        assert CountFile(Path(name) / "counts.h5").csr().shape == dense.shape
        assert files(import_hdf5(Path(name) / "counts.h5", Path(name) / "back", threads=1).path) == files(cooc.path)


def test_bytes_depend_on_neither_order_nor_threads_nor_budget(chosen, cooc, tmp_path):
    rows, columns = names("user", 40), names("item", 25)
    order, other = np.random.default_rng(1).permutation(40), np.random.default_rng(2).permutation(25)
    moved = chosen[order][:, other].tocoo()
    how = {"columns": [columns[i] for i in other], "threads": 3, "memory": "20M"}
    again = import_matrix(moved, [rows[i] for i in order], tmp_path / "again", **how)
    assert files(again.path) == files(cooc.path)


def test_a_pair_is_found_by_its_names(chosen, cooc):
    assert cooc["user 3", "item 7"] == chosen[3, 7]
    assert "columns 25" in repr(cooc)
    frame = cooc.to_frame("user 3")
    assert set(frame.context) == {f"item {i}" for i in np.flatnonzero(chosen[[3]].toarray())}
    with pytest.raises(CoocError, match="'user 1' is not in the vocabulary"):
        cooc["user 3", "user 1"]


def test_anndata_there_and_back(cooc, tmp_path):
    pytest.importorskip("anndata")
    data = cooc.to_anndata()
    assert data.shape == (40, 25)
    back = import_matrix(data.X, data.obs_names, tmp_path / "back", columns=data.var_names, threads=1)
    assert files(back.path) == files(cooc.path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"words": ["a", "b"], "columns": ["x"]}, "2 words need a matrix of as many rows, and 1 columns, not 2 x 3"),
        ({"words": ["a", "b"], "columns": None}, "rows and columns, not 2 x 3; pass columns, the names of the columns"),
        ({"words": ["a", "a"], "columns": ["x", "y", "z"]}, "the words: contains the word 'a' twice"),
        ({"words": ["a", "b"], "columns": ["x", "y", "y"]}, "the columns: contains the word 'y' twice"),
        ({"words": ["a", "b"], "columns": ["x", "y", ""]}, "the columns: a word is empty"),
        ({"words": ["a", "b"], "columns": ["x", "y\tz", "z"]}, "the columns: word 2 has a tab or a line end in it"),
        ({"words": ["a", "b"], "columns": {"x": 1}}, "columns is {'x': 1}; it must be a list, each item a string"),
        ({"words": ["a", "b"], "columns": ["x", "y", "z"], "options": CountOptions()}, "leave one out"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, given, message):
    with pytest.raises(CoocError, match=message):
        import_matrix(scipy.sparse.csr_array(np.ones((2, 3))), output=tmp_path / "out", **given)
    assert not list(tmp_path.iterdir())


def altered(cooc: Cooc, at: Path, **changes) -> Path:
    shutil.copytree(cooc.path, at)
    fields = json.loads((at / "manifest.json").read_text())
    version = changes.pop("version", fields["version"])
    fields = {key: value for key, value in {**fields, **changes}.items() if key not in ("checksum", "format", "version")}
    write_manifest(at, "cooc", version, fields)
    return at


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version is 2; it must be 3 if and only if there is a column_vocabulary"),
        ({"columns": 40}, "columns is 40; it must be the words times the slots"),
        ({"options": CountOptions(window_weight="uniform").record()}, "its options are not those of counts whose columns"),
        ({"column_vocabulary": {"words": 25, "digest": "0" * 64}}, "the vocabulary is not the one its manifest names"),
    ],
)
def test_a_manifest_that_does_not_fit_its_columns_is_refused(cooc, tmp_path, changes, message):
    with pytest.raises(FormatError, match=message):
        _ = Cooc(altered(cooc, tmp_path / "cooc", **changes)).column_vocabulary


def test_a_directory_without_the_names_of_its_columns_is_refused(cooc, tmp_path):
    shutil.copytree(cooc.path, tmp_path / "cooc")
    (tmp_path / "cooc" / "column-vocab-text.bin").unlink()
    with pytest.raises(FormatError, match=r"column-vocab-text\.bin"):
        _ = Cooc(tmp_path / "cooc").column_vocabulary


def test_damaged_names_are_found_before_the_work(cooc, tmp_path):
    """At the end, when they are written, a checkpoint of all the work would be left behind."""
    at = tmp_path / "cooc"
    shutil.copytree(cooc.path, at)
    text = at / "column-vocab-text.bin"
    text.write_bytes(text.read_bytes()[:-1] + b"?")
    with pytest.raises(FormatError, match=r"column-vocab-text\.bin: damaged"):
        train_pmi_svd(at, tmp_path / "model.h5", PmiSvdOptions(vector_size=2), threads=1)
    assert [path.name for path in tmp_path.iterdir()] == ["cooc"]


# ------------------------------------------------------------------------------------------------------------ the models


@pytest.mark.parametrize(
    ("changes", "turned"),
    [({}, True), ({"cds": 1.0}, False), ({"pmi": "npmi"}, False), ({"pmi": "pmi", "pmi_shift": 2.0}, False)],
)
def test_rows_and_columns_are_those_of_lapack(chosen, tmp_path, changes, turned):
    cooc = imported(chosen.T.tocsr() if turned else chosen, tmp_path / "cooc")
    options = PmiSvdOptions(vector_size=6, tol=1e-5, **changes)
    found = train_pmi_svd(cooc, tmp_path / "model.h5", options, threads=1)
    matrix = naive.pmi(cooc.csr().toarray(), options.pmi, options.pmi_shift, options.cds)
    values = found.array("singular_values").astype(float)
    assert np.allclose(values, naive.singular_values(matrix, 6), rtol=1e-4)
    left, right = (found.array(name).astype(float) / np.sqrt(values) for name in ("words", "contexts"))
    assert (len(left), len(right)) == matrix.shape
    for side in naive.residuals(matrix, left, values, right):
        assert (side <= 2e-4 * values).all()
    explicit = train_pmi(cooc, tmp_path / "pmi.h5", PmiOptions(**changes), threads=1)
    rows = scipy.sparse.csr_array(tuple(map(explicit.array, ("data", "indices", "indptr"))), matrix.shape)
    np.testing.assert_allclose(rows.toarray(), matrix, atol=1e-6)


@FEW
@given(small.filter(np.any))
@example([[1, 0, 300]])
@example([[2], [0], [1]])
def test_matrices_of_any_shape_are_factorised(table):
    with tempfile.TemporaryDirectory() as name:
        cooc = imported(scipy.sparse.csr_array(np.array(table)), Path(name) / "cooc")
        size = min(np.shape(table))
        options = PmiSvdOptions(vector_size=size, pmi="pmi", cds=1.0, pmi_shift=0.5)
        found = train_pmi_svd(cooc, Path(name) / "model.h5", options, threads=1)
        matrix = naive.pmi(cooc.csr().toarray(), "pmi", 0.5, 1.0)
        np.testing.assert_allclose(found.array("words").astype(float) @ found.array("contexts").T, matrix, atol=1e-4)
        columns = ColumnVectors.open(found)
        assert (len(columns.words), len(columns)) == np.shape(table)


def test_threads_and_budget_do_not_change_a_bit(cooc, model, tmp_path):
    for number, how in enumerate(({"threads": 3, "memory": "30M"}, {"threads": 2})):
        again = train("pmi-svd", cooc, tmp_path / f"{number}.h5", vector_size=6, tol=1e-4, **how)
        assert all(np.array_equal(again.array(name), model.array(name)) for name in model.names)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda cooc, out: train_glove(cooc, out), "glove takes counts of words near words; train pmi-svd on it, or pmi"),
        (lambda cooc, out: train_simpler_glove(cooc, out), "simpler-glove takes counts of words near words"),
        (lambda cooc, out: train_pmi_svd(cooc, out, PmiSvdOptions(vectors="w+c", vector_size=2)), "take vectors='w'"),
        (lambda cooc, out: train_pmi_svd(cooc, out, PmiSvdOptions()), "40 rows and 25 columns has 25 components at most"),
        (lambda cooc, out: merge([cooc, cooc], out), "count all pairs at once"),
        (lambda cooc, out: append(cooc, "text.txt", out), "a text cannot be appended to it"),
        (lambda cooc, out: export_glove(cooc, out, out.with_suffix(".txt")), "take format='hdf5'"),
    ],
)
def test_what_needs_words_near_words_says_so_in_a_line(cooc, tmp_path, refused, message):
    with pytest.raises(UsageError, match=message) as caught:
        refused(cooc, tmp_path / "out.h5")
    assert "its columns" in str(caught.value) or "components" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_ratios_are_not_compared_with_counts_of_other_columns(cooc, tmp_path):
    words = import_matrix(scipy.sparse.csr_array(np.ones((3, 3))), list("abc"), tmp_path / "square", threads=1)
    glove = train_glove(words, tmp_path / "glove.h5", GloveOptions(vector_size=2, epochs=1), threads=1)
    with pytest.raises(UsageError, match="ratios take counts of words near words"):
        ratio(glove.path, "a", "b", ["c"], cooc)


def test_contexts_with_names_of_their_own_do_not_initialise_words(tmp_path):
    """Though there are as many: each of these items would be taken for the user in its place."""
    from cooc_engine.models.warm_start import _of_words

    older = train_pmi_svd(imported(scipy.sparse.eye_array(4).tocsr(), tmp_path / "cooc"), tmp_path / "m.h5",
                          PmiSvdOptions(vector_size=2), threads=1)  # fmt: skip
    assert _of_words(older, {"words": "V d", "contexts": "V d"}) == ["words"]


# ---------------------------------------------------------------------------------------------------------- the questions


def test_neighbours_of_rows_of_columns_and_across(model):
    columns = model.columns
    assert (len(model.vectors), len(columns)) == (40, 25)
    for found, name in (
        (model.most_similar("user 4", topn=5), "user"),
        (columns.most_similar("item 4", topn=5), "item"),
        (columns.most_similar(model.vectors["user 4"], topn=5), "item"),
        (columns.words.most_similar(columns["item 4"], topn=5), "user"),
    ):
        assert {each.split()[0] for each, _ in found} == {name}
        assert np.mean([int(each.split()[1]) % 2 == 0 for each, _ in found]) >= 0.8
    expected = model.array("contexts")[columns.row("item 4")]
    np.testing.assert_array_equal(columns["item 4"], expected)
    with pytest.raises(CoocError, match="there is no column 'item 99'; the first names are item 10, "):
        columns.most_similar("item 99")


def shown(capsys, *arguments) -> tuple[int, list[str]]:
    code = main(list(map(str, arguments)))
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("flags", "asked", "answered"),
    [
        ([], "user", "user"),
        (["--columns"], "item", "item"),
        (["--columns", "--of", "rows"], "user", "item"),
        (["--of", "columns"], "item", "user"),
        (["--columns", "--of", "columns"], "item", "item"),
    ],
)
def test_the_command_answers_with_rows_and_columns(model, capsys, flags, asked, answered):
    code, lines = shown(capsys, "nn", model.path, f"{asked} 4", "--topn", 3, *flags)
    assert (code, lines[0]) == (0, f"{asked} 4")
    assert all(line.split()[1] == answered for line in lines[1:]) and len(lines) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nn", "{}", "item 4", "--columns", "--documents"], "no model has both documents and columns"),
        (["nn", "{}", "item 4", "--columns", "--of", "documents"], "no model has both documents and columns"),
        (["nn", "{}", "item 4", "--columns", "--approximate"], "an index of words alone; leave it out for columns"),
        (["nn", "{}", "item 99", "--columns"], "there is no column 'item 99'"),
        (["export", "{}", "out.npz", "--vectors", "c"], "--vectors c: its columns have names of their own; take w, or columns"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_in_a_line(model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([part.replace("{}", str(model.path)) for part in arguments]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("changes", [{}, {"pmi": "npmi", "eig": 1.0}, {"pmi": "pmi", "cds": 1.0, "pmi_shift": 2.0, "eig": 0.0}])
def test_new_rows_are_as_if_they_had_been_there(cooc, tmp_path, changes):
    """Rows of the training get their own vectors; others those of a dense computation."""
    options = PmiSvdOptions(vector_size=25, tol=1e-6, **changes)
    found = Model.of(train_pmi_svd(cooc, tmp_path / "model.h5", options, threads=1))
    kept = found.array("singular_values") > 1e-3
    folded = found.columns.fold_in(cooc.csr())
    np.testing.assert_allclose(folded[:, kept], found.matrix[:, kept], atol=2e-3)
    new = np.random.default_rng(3).poisson(0.5, (7, 25))
    new[2] = 0
    totals, sums = cooc.column_integers.astype(float), new.sum(1, keepdims=True)
    smoothed = totals**options.cds
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.log(new * smoothed.sum() / (sums * smoothed)) - np.log(options.pmi_shift)
        table = table / -np.log(new / totals.sum()) if options.pmi == "npmi" else table
    table = np.where(new > 0, np.maximum(table, 0) if options.pmi == "ppmi" else table, 0)
    values = found.array("singular_values").astype(float)
    right = found.array("contexts") / values**options.eig
    expected = table @ right * values ** (options.eig - 1)
    np.testing.assert_allclose(found.columns.fold_in(new, threads=2)[:, kept], expected[:, kept], rtol=1e-4, atol=1e-4)


def test_new_rows_are_given_by_names(model):
    names = model.columns.index_to_key
    counts = np.zeros((3, 25))
    counts[0, [1, 4]] = 2, 1
    by_name = [{names[1]: 2, names[4]: 1, "new film": 9}, [], ["new film"]]
    np.testing.assert_array_equal(model.columns.fold_in(by_name), model.columns.fold_in(scipy.sparse.csc_array(counts)))
    np.testing.assert_array_equal(model.columns.fold_in([[names[4], names[1], names[1]]])[0], model.columns.fold_in(counts)[0])
    assert not model.columns.fold_in(counts)[1:].any()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 24)), "new rows have 24 columns; the model has 25"),
        (-np.ones((1, 25)), "a number that is not a count: it is negative or not finite"),
        (np.full((1, 25), np.nan), "a number that is not a count"),
    ],
)
def test_new_rows_that_do_not_fit_are_refused(model, rows, message):
    with pytest.raises(UsageError, match=message):
        model.columns.fold_in(rows)


def test_a_model_that_lost_what_new_rows_take_says_so(cooc, model, tmp_path):
    train_pmi_svd(cooc, tmp_path / "normalized.h5", PmiSvdOptions(vector_size=3, normalize=True), threads=1)
    with pytest.raises(UsageError, match="which discards what new rows need"):
        ColumnVectors.open(tmp_path / "normalized.h5").fold_in(np.ones((1, 25)))
    quantize(model, tmp_path / "small.h5", threads=1)
    with pytest.raises(UsageError, match="takes no new rows; train pmi-svd on counts whose columns have names"):
        ColumnVectors.open(tmp_path / "small.h5").fold_in(np.ones((1, 25)))


def test_contexts_of_words_are_columns_too(tmp_path):
    words = import_matrix(scipy.sparse.csr_array(np.ones((4, 4))), list("abcd"), tmp_path / "cooc", threads=1)
    glove = train("glove", words, tmp_path / "glove.h5", vector_size=2, epochs=1, threads=1)
    np.testing.assert_array_equal(glove.columns["a"], glove.array("contexts")[glove.vectors.row("a")])
    positional = train_pmi(words, tmp_path / "pmi.h5", threads=1)
    with pytest.raises(UsageError, match=r"pmi\.h5: has no vectors of columns"):
        ColumnVectors.open(positional)


def test_what_is_said_exported_and_made_small(cooc, model, tmp_path, capsys):
    assert info(cooc.path)["first_columns"] == info(model.path)["first_columns"] == cooc.column_vocabulary.words[:10]
    assert "columns 25" in repr(model)
    assert main(["export", str(model.path), str(tmp_path / "columns.npz"), "--vectors", "columns"]) == 0
    with np.load(tmp_path / "columns.npz") as saved:
        assert saved["words"].tolist() == cooc.column_vocabulary.words
        np.testing.assert_array_equal(saved["vectors"], model.array("contexts"))
    quantize(model, tmp_path / "small.h5", threads=1)
    coded = open_model(tmp_path / "small.h5")
    assert coded.columns.most_similar("item 4", topn=1) == model.columns.most_similar("item 4", topn=1)


def test_a_model_whose_columns_do_not_fit_is_refused(model, tmp_path):
    data, few = model.data(), Vocabulary.from_words(["a"], [1])
    whole = {**vars(data), "arrays": dict(data.arrays)}
    with pytest.raises(FormatError, match="contexts has the shape 25 x 6, expected 1 x 6"):
        save_model(tmp_path / "few.h5", ModelData(**{**whole, "column_names": few}))
    square = {"vocabulary": data.column_names, "arrays": {**whole["arrays"], "words": data.arrays["contexts"]}}
    with pytest.raises(FormatError, match="published is not 'w'"):
        save_model(tmp_path / "c.h5", ModelData(**{**whole, **square, "published": "c"}))
    forged = tmp_path / "forged.h5"
    shutil.copy2(model.path, forged)
    with h5py.File(forged, "r+") as file:
        file["parameters"].attrs["element-version"] = np.uint32(3)
    with pytest.raises(FormatError, match="version 3, which does not fit the names of its columns"):
        open_model(forged)


def test_pairs_are_counts_of_texts_of_two_words(tmp_path):
    """What `PAIRS` says: the options of a text that has each pair on a line."""
    from cooc_engine.corpus.encode import encode_documents
    from cooc_engine.corpus.options import EncodeOptions

    pairs = [("u1", "i1"), ("u1", "i2"), ("u2", "i1"), ("u1", "i1")]
    of_text = count(encode_documents(pairs, tmp_path / "corpus", EncodeOptions(min_count=1)), tmp_path / "text", PAIRS)
    table = scipy.sparse.csr_array([[2, 1], [1, 0]])
    of_pairs = import_matrix(table, ["u1", "u2"], tmp_path / "pairs", columns=["i1", "i2"])
    assert len(integers(of_text)) == len(integers(of_pairs)) == 3
    assert all(of_text[pair] == of_pairs[pair] for pair in pairs)

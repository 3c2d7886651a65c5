"""Models as scikit-learn estimators: its own checks where they apply to texts, pipelines, grids, pickles, counts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse

import cooc_engine
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InputError, UsageError

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

NAMES = ["GloVe", "SimplerGloVe", "PmiSvd", "SkipGram", "Cbow", "FastText", "Doc2Vec"]
QUICK = {"FastText": {"buckets": 50}, "PmiSvd": {}}
TEXTS = [" ".join(f"{'ab'[k % 2]}{(k * j) % 7}" for j in range(20)) for k in range(1, 13)]
LABELS = [k % 2 for k in range(1, 13)]
CHECKS = [
    "check_estimator_cloneable", "check_estimator_repr",
    "check_no_attributes_set_in_init", "check_get_params_invariance", "check_set_params",
    "check_parameters_default_constructible", "check_valid_tag_types", "check_estimator_tags_renamed",
]  # fmt: skip


def quick(name: str, **changes):
    epochs = {"epochs": 2} if name != "PmiSvd" else {}
    common = {"vector_size": 5, "min_count": 1, "random_state": 3, **epochs, **QUICK.get(name, {})}
    return getattr(cooc_engine, name)(**{**common, **changes})


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.mark.parametrize("check", CHECKS)
def test_checks_of_scikit_learn(name, check):
    getattr(estimator_checks, check)(name, getattr(cooc_engine, name)())


def test_documents_become_vectors(name):
    estimator = quick(name)
    before = dict(vars(estimator))
    with pytest.raises(NotFittedError):
        estimator.transform(TEXTS)
    assert estimator.fit(iter(TEXTS)) is estimator, "a generator will do"
    assert {key: vars(estimator)[key] for key in before} == before
    found = estimator.transform(TEXTS)
    assert found.shape == (12, 5) and found.dtype == np.float32 and np.isfinite(found).all() and found.any(1).all()
    assert np.array_equal(found, estimator.transform([text.split() for text in TEXTS]))
    assert np.array_equal(found, quick(name).fit_transform(TEXTS)), "the same seed, the same vectors"
    assert estimator.get_feature_names_out().tolist() == [f"{name.lower()}{at}" for at in range(5)]
    assert estimator.vocabulary_["a1"] == estimator.vectors_.get_index("a1")
    assert estimator.model_.family == cooc_engine.open_model(estimator.model_).family
    again = pickle.loads(pickle.dumps(estimator))
    del estimator
    assert np.array_equal(again.transform(TEXTS), found)
    assert not hasattr(clone(again), "file_")


def test_in_a_pipeline_and_a_grid():
    pipeline = make_pipeline(quick("SkipGram"), LogisticRegression())
    grid = GridSearchCV(pipeline, {"skipgram__vector_size": [2, 3], "skipgram__pooling": ["mean", "sif"]}, cv=2)
    assert grid.fit(TEXTS, LABELS).best_score_ > 0.9
    assert grid.predict(TEXTS[:2]).tolist() == LABELS[:2]
    assert grid.best_estimator_[:-1].get_feature_names_out()[0] == "skipgram0"


def test_counts_as_a_matrix_and_as_a_directory(tmp_path):
    corpus = encode_documents(TEXTS, tmp_path / "corpus", EncodeOptions(min_count=1))
    cooc = count(corpus, tmp_path / "cooc", CountOptions(window_weight="uniform"))
    words = cooc.vocabulary.words
    for given in (cooc, cooc.csr(), scipy.sparse.csc_matrix(cooc.csr()), cooc.csr().toarray()):
        estimator = quick("GloVe").fit(given)
        assert len(estimator.vectors_) == len(words)
    rows = scipy.sparse.csr_array(np.eye(len(words)) * 2)
    assert np.allclose(estimator.transform(rows), estimator.vectors_.vectors, atol=1e-6)
    assert np.allclose(quick("GloVe", pooling="sum").fit(cooc).transform(rows), 2 * quick("GloVe").fit(cooc).vectors_.vectors)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(cooc.csr().toarray(), columns=words)
    assert set(quick("PmiSvd").fit(frame).vocabulary_) == set(words)


def test_a_file_of_ones_own(tmp_path):
    estimator = quick("Cbow", output=tmp_path / "m.h5").fit(TEXTS).fit(TEXTS)
    assert estimator.model_.path == tmp_path / "m.h5" and len(pickle.dumps(estimator)) < 2000
    assert np.array_equal(pickle.loads(pickle.dumps(estimator)).transform(TEXTS), estimator.transform(TEXTS))


def test_what_is_refused():
    fitted = quick("GloVe").fit(TEXTS)
    for call, error, says in (
        (lambda: quick("GloVe").fit("a b c"), UsageError, r"is one string, not several; pass \[text\]"),
        (lambda: fitted.transform("a b c"), UsageError, r"is one string, not several documents; pass \[text\]"),
        (lambda: fitted.transform(["a", None]), InputError, "document 2 is None; it must be a string"),
        (lambda: quick("GloVe").fit(["a", 3.5]), InputError, "document 2 is 3.5; it must be a string"),
        (lambda: fitted.transform(np.eye(3)), UsageError, "needs 14 columns, one for each word"),
        (lambda: quick("PmiSvd").fit(np.ones((3, 4))), UsageError, "3 rows and 4 columns has 3 components at most"),
        (lambda: quick("SkipGram").fit(np.eye(3)), UsageError, "^X: holds counts; this model reads the text itself"),
        (lambda: quick("GloVe").fit(np.ones((3, 4))), UsageError, "^X: its columns are not its words"),
        (lambda: quick("GloVe").fit(None), UsageError, "documents is None; it must be an iterable of documents"),
        (lambda: fitted.transform(None), UsageError, "X is None; it must be a list of documents"),
        (lambda: quick("GloVe", pooling="max").fit(TEXTS), UsageError, "pooling is 'max'; it must be one of mean, sum, sif"),
        (lambda: quick("GloVe", n_jobs=0).fit(TEXTS), UsageError, "n_jobs is 0; it must be a number of threads"),
        (lambda: quick("GloVe", vector_size=0).fit(TEXTS), UsageError, "vector_size is 0; it must be at least 1"),
        (lambda: quick("Doc2Vec").fit(TEXTS).transform(np.eye(3)), UsageError, "infers vectors of texts"),
        (lambda: cooc_engine.GloVe(vektor_size=3), TypeError, "vektor_size"),
    ):
        with pytest.raises(error, match=says):
            call()


def test_what_help_says():
    said = cooc_engine.GloVe.__doc__
    assert "vector_size" in said and "Dimension of the vectors." in said and "window " in said and "n_jobs" in said


def test_users_by_items_are_fitted_and_new_users_folded_in():
    counts = scipy.sparse.csr_array(np.random.default_rng(2).poisson(0.7, (30, 12)))
    svd = cooc_engine.PmiSvd(vector_size=12, tol=1e-6, pmi="pmi").fit(counts)
    assert svd.model_.column_names is not None and len(svd.vocabulary_) == 30
    found = svd.transform(counts)
    own = svd.vectors_.vectors[[svd.vocabulary_[str(row)] for row in range(30)]]
    np.testing.assert_allclose(found[:, :8], own[:, :8], atol=1e-3)
    with pytest.raises(UsageError, match="X needs the 12 columns of the matrix that it was fitted to"):
        svd.transform(counts[:, :5])
    with pytest.raises(UsageError, match="fitted to a matrix whose columns are not its rows"):
        svd.transform(["a text"])
    with pytest.raises(UsageError, match="glove takes counts of words near words"):
        quick("GloVe").fit(counts)


def test_a_frame_names_both_sides():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[3, 0, 1], [0, 2, 1], [1, 1, 4]], ["ann", "bob", "cat"], ["tea", "milk", "green tea"])
    svd = cooc_engine.PmiSvd(vector_size=2).fit(frame)
    assert {*svd.vocabulary_} == {*frame.index} and {*svd.model_.columns.index_to_key} == {*frame.columns}
    turned = frame[["green tea", "tea", "milk"]]
    np.testing.assert_array_equal(svd.transform(turned), svd.transform(frame))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n_components": 5}, r"PmiSvd\(\) got an unexpected keyword argument 'n_components'; did you mean vector_size\?"),
        ({"windw": 5}, r"'windw'; did you mean window\?"),
        ({"nonsense": 5}, r"'nonsense'; it takes vector_size, pmi, "),
    ],
)
def test_unknown_parameters_are_named_with_those_that_were_meant(given, says):
    with pytest.raises(TypeError, match=says):
        cooc_engine.PmiSvd(**given)


@pytest.mark.parametrize(
    ("name", "documents", "says"),
    [
        ("GloVe", ["a" * 10], "X: holds no co-occurrences; every document has a single word"),
        ("SkipGram", ["a" * 10], "X: holds nothing to train on"),
        ("SkipGram", np.eye(3), "X: holds counts; this model reads the text itself"),
        ("PmiSvd", None, "documents is None; it must be an iterable of documents"),
        ("Doc2Vec", np.array(3), "documents is array(3); it must be an iterable of documents"),
    ],
)
def test_errors_name_the_documents_and_no_temporary_file(name, documents, says):
    with pytest.raises((InputError, UsageError)) as caught:
        quick(name).fit(documents)
    assert str(caught.value).startswith(says)

"""The estimators against NumPy and scikit-learn, whose checks they pass."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits
from twins import svd as naive_svd

from cooc_engine.matrix.estimators import PMITransformer, SparseSVD


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    with threadpool_limits(1, "blas"):
        yield


def ratings(users: int = 120, items: int = 70, seed: int = 0) -> scipy.sparse.csr_array:
    rng = np.random.default_rng(seed)
    return scipy.sparse.csr_array(rng.poisson(rng.gamma(0.3, 1, (users, 1)) * rng.gamma(0.5, 1, items)).astype(float))


def test_components_are_those_of_lapack():
    X = ratings()
    svd = SparseSVD(10, tol=1e-5)
    transformed = svd.fit_transform(X)
    assert np.allclose(svd.singular_values_, naive_svd.singular_values(X.toarray(), 10), rtol=1e-5)
    assert svd.components_.shape == (10, 70) and transformed.shape == (120, 10)
    assert transformed.dtype == svd.components_.dtype == np.float64
    assert np.allclose(svd.transform(X), transformed, atol=1e-4)
    assert np.allclose(svd.fit(X).transform(X.toarray()), transformed, atol=1e-4)
    assert (svd.residuals_ <= 1e-4).all() and svd.n_iter_ >= 1
    assert np.allclose(svd.inverse_transform(transformed), transformed @ svd.components_)
    whole = X.toarray().var(axis=0).sum()
    assert np.allclose(svd.explained_variance_ratio_, transformed.var(axis=0) / whole, rtol=1e-6)
    assert svd.get_feature_names_out().tolist() == [f"sparsesvd{i}" for i in range(10)]


@pytest.mark.parametrize("scale", [1e-200, 1e-20, 1e20, 1e200])
def test_values_of_any_size(scale):
    X = ratings()
    plain, scaled = SparseSVD(5).fit(X), SparseSVD(5).fit(X * scale)
    assert np.allclose(scaled.singular_values_, plain.singular_values_ * scale, rtol=1e-5, atol=0)
    assert np.allclose(np.abs(scaled.components_), np.abs(plain.components_), atol=1e-3)


def test_the_same_bits_for_any_threads_and_the_same_seed():
    X = ratings()
    results = [SparseSVD(8, n_jobs=jobs).fit_transform(X).tobytes() for jobs in (None, 1, 2, 4, -1)]
    assert len(set(results)) == 1
    generators = [np.random.default_rng(5), np.random.default_rng(5), np.random.RandomState(5), np.random.RandomState(5)]
    a, b, c, d = (SparseSVD(8, random_state=state).fit_transform(X).tobytes() for state in generators)
    assert a == b != results[0] and c == d != a
    assert SparseSVD(8, random_state=None).fit_transform(X).shape == (120, 8)


counts = st.integers(1, 8).flatmap(
    lambda columns: st.lists(st.lists(st.integers(0, 4), min_size=columns, max_size=columns), min_size=1, max_size=8)
)


@settings(deadline=None, max_examples=40)
@given(counts, st.sampled_from(["ppmi", "pmi", "npmi"]), st.sampled_from([1.0, 3.0]), st.sampled_from([1.0, 0.75]))
def test_pmi_is_the_twins(matrix, kind, shift, cds):
    made = PMITransformer(kind, shift=shift, cds=cds).fit_transform(np.array(matrix))
    assert np.allclose(made.toarray(), naive_svd.pmi(matrix, kind, shift, cds), rtol=1e-6, atol=1e-7)


def test_new_rows_are_judged_by_the_columns_that_fit_saw():
    pmi = PMITransformer(cds=1).fit([[1, 1, 0], [1, 3, 0]])
    made = pmi.transform([[2, 0, 5]]).toarray()
    assert np.allclose(made, [[np.log(2 / 7 * 6 / 2), 0, 0]]) or made[0, 0] == 0
    assert PMITransformer("pmi", cds=1).fit([[1, 1, 0], [1, 3, 0]]).transform([[2, 0, 5]]).toarray()[0, 0] == pytest.approx(
        np.log(2 / 7 * 6 / 2)
    )
    assert made[0, 2] == 0, "a column that was never seen says nothing"


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_type_is_kept_and_the_input_is_not_touched(kind):
    X = scipy.sparse.csr_matrix(ratings().astype(kind))
    before = X.copy()
    pmi = PMITransformer().fit_transform(X)
    assert pmi.dtype == kind
    assert SparseSVD(3).fit_transform(pmi).dtype == kind
    assert (before != X).nnz == 0


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok"])
def test_any_sparse_form_is_taken(form):
    X = ratings()
    assert np.array_equal(SparseSVD(3).fit_transform(X.asformat(form)), SparseSVD(3).fit_transform(X))


@pytest.mark.parametrize(
    ("X", "error"),
    [
        ([1, 2, 3], "Expected 2D array"),
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((3, 0)), "0 feature"),
        ([[np.nan, 1], [1, 1]], "NaN"),
        ([[np.inf, 1], [1, 1]], "infinity"),
        (np.array([[1j, 1], [1, 1]]), "Complex"),
        (np.ones((2, 9)), "n_components=3 must be between 1 and 2"),
    ],
)
def test_what_is_no_matrix_is_refused(X, error):
    with pytest.raises(ValueError, match=error):
        SparseSVD(3).fit(X)


def test_entries_that_stand_twice_are_summed():
    X = scipy.sparse.csr_array((np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 2]), np.array([0, 3, 4])), (2, 3))
    twice, once = SparseSVD(1).fit(X), SparseSVD(1).fit(X.toarray())
    assert np.array_equal(twice.explained_variance_ratio_, once.explained_variance_ratio_)
    assert np.array_equal(twice.components_, once.components_)
    assert X.nnz == 4


def test_mistakes_have_names():
    with pytest.raises(ValueError, match="Negative values"):
        PMITransformer().fit([[-1, 2]])
    with pytest.raises(ValueError, match="not fitted"):
        SparseSVD(3).transform(ratings())
    with pytest.raises(ValueError, match="X has 3 features, but SparseSVD is expecting 70"):
        SparseSVD(3).fit(ratings()).transform(np.ones((2, 3)))
    for wrong in ({"tol": 0}, {"tol": -1}, {"max_iter": 0}):
        with pytest.raises(ValueError, match=r"tol=.* must be above 0 and max_iter=.* at least 1"):
            SparseSVD(3, **wrong).fit(ratings())
    with pytest.raises(ValueError, match="cds is 500"):
        PMITransformer(cds=500.0).fit_transform(ratings())
    with pytest.raises(ValueError, match="Invalid parameter 'components'"):
        SparseSVD(3).set_params(components=4)
    with pytest.raises(ValueError, match="pmi is"):
        PMITransformer("tfidf").fit_transform(ratings())


def test_parameters_are_read_and_set():
    svd = SparseSVD(3, tol=0.1)
    assert svd.get_params() == {"n_components": 3, "tol": 0.1, "max_iter": 200, "random_state": 1, "n_jobs": None}
    assert svd.set_params(n_components=4).n_components == 4
    assert repr(svd) == "SparseSVD(n_components=4, tol=0.1)"
    assert repr(PMITransformer()) == "PMITransformer()"


def test_only_the_estimators_import_scikit_learn():
    code = "import sys, cooc_engine.cli.app; from cooc_engine import GloveOptions, train; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_without_scikit_learn_one_line_says_so():
    code = "import sys; sys.modules['sklearn'] = None\nfrom cooc_engine import CoocError\n"
    code += "try:\n    from cooc_engine import SparseSVD\nexcept CoocError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == 'an estimator needs scikit-learn: python -m pip install "cooc_engine[sklearn]"\n'


# ----------------------------------------------------------------------------------------------------- scikit-learn's


@pytest.mark.filterwarnings("ignore")
@estimator_checks.parametrize_with_checks([SparseSVD(1), PMITransformer()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_a_pipeline_takes_them():
    X = ratings()
    y = (np.asarray(X[:, :5].sum(axis=1)) > 0).astype(int)
    pipeline = make_pipeline(PMITransformer(), SparseSVD(4), LogisticRegression())
    search = GridSearchCV(pipeline, {"sparsesvd__n_components": [2, 4], "pmitransformer__cds": [0.75, 1]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.5
    assert clone(pipeline).get_params()["sparsesvd__n_components"] == 4
    assert pipeline.fit(X, y).predict(X).shape == (120,)


def test_residuals_are_no_worse_than_those_of_scikit_learn():
    X = PMITransformer().fit_transform(ratings(900, 600)).astype(np.float32)
    svd = SparseSVD(20, tol=0.01)
    left = svd.fit_transform(X) / svd.singular_values_
    theirs = randomized_svd(X, 20, n_iter=4, random_state=0)
    ours = np.maximum(*naive_svd.residuals(X.toarray(), left, svd.singular_values_, svd.components_.T))
    others = np.maximum(*naive_svd.residuals(X.toarray(), theirs[0], theirs[1], theirs[2].T))
    assert (ours <= others + 1e-5 * svd.singular_values_[0]).all()

"""PMI and truncated SVD for any matrix, as scikit-learn estimators: `PMITransformer` and `SparseSVD`.

    words = make_pipeline(PMITransformer(), SparseSVD(100)).fit_transform(counts)

Only this module needs scikit-learn; importing it without scikit-learn raises `UsageError`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine.linalg.sparse import SparseRows
from cooc_engine.linalg.svd import Krylov, Operator, krylov
from cooc_engine.matrix.pmi import new_rows
from cooc_engine.models.matrix_options import PmiOptions
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.options import checked, refusal
from cooc_engine.storage.scratch import in_memory

require("an estimator", "sklearn", "sklearn.base")
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OneToOneFeatureMixin, TransformerMixin  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

__all__ = ["PMITransformer", "SparseSVD", "seed_of", "threads_of"]

Array = npt.NDArray[np.floating]


class _MatrixEstimator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of estimators that take a matrix, sparse or dense, in single or double precision."""

    _non_negative = False

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn which kinds of X are accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self._non_negative
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X: Any, *, reset: bool) -> scipy.sparse.csr_array:
        """Return X (n_samples, n_features) as CSR without duplicates; its features are recorded if `reset`, else must match."""
        kinds, signs = [np.float64, np.float32], {"ensure_non_negative": self._non_negative}
        checked = scipy.sparse.csr_array(validate_data(self, X, accept_sparse="csr", dtype=kinds, reset=reset, **signs))
        if checked.has_canonical_format:
            return checked
        summed = checked.copy()
        summed.sum_duplicates()
        return summed


def threads_of(n_jobs: int | None) -> int:
    """Return the threads that `n_jobs` means in scikit-learn: None for one, -1 for all, -2 for all but one."""
    jobs = 1 if n_jobs is None else checked("n_jobs", n_jobs, int)
    if not jobs:
        raise refusal("n_jobs", n_jobs, "a number of threads, None for one, or -1 for all cores")
    return max(1, usable_cores() + 1 + jobs if jobs < 0 else jobs)


def seed_of(random_state: Any) -> int:
    """Return a seed from an integer, None (a fresh seed), or a NumPy generator, which is advanced."""
    if random_state is None:
        return int.from_bytes(os.urandom(4), "little")
    if hasattr(random_state, "integers"):
        return int(random_state.integers(2**31))
    if hasattr(random_state, "randint"):
        return int(random_state.randint(2**31))
    seed: int = checked("random_state", random_state, int)
    return seed


def _rows(matrix: scipy.sparse.csr_array, scale: float) -> SparseRows:
    values = in_memory(matrix.nnz, np.float32)
    np.multiply(matrix.data, scale, out=values, casting="same_kind")
    return SparseRows(matrix.shape, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False), values)


def _variance(matrix: scipy.sparse.csr_array) -> float:
    """Return the sum of the variances of the columns."""
    means = np.asarray(matrix.mean(axis=0), np.float64)
    return float(np.dot(matrix.data, matrix.data) / matrix.shape[0] - (means**2).sum())


class SparseSVD(ClassNamePrefixFeaturesOutMixin, _MatrixEstimator):  # type: ignore[misc]
    """Truncated SVD of a sparse matrix, like scikit-learn's `TruncatedSVD`, but iterated until all residuals are below `tol`.

    Parameters: n_components; tol, the largest residual ‖X v − σ u‖ / σ of a component; max_iter, the maximum number of
    passes; random_state; n_jobs, the number of threads, which does not affect the result. The method is that of
    `cooc_engine.linalg.svd`, in single precision.

    >>> svd = SparseSVD(n_components=5, tol=0.01).fit(cooc.csr())
    >>> svd.components_.shape, bool((svd.residuals_ <= 0.01).all())
    ((5, 21), True)

    Attributes: components_ (n_components, n_features), singular_values_, residuals_, explained_variance_,
    explained_variance_ratio_ (as `TruncatedSVD` computes them), n_iter_, n_features_in_.
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        tol: float = 0.01,
        max_iter: int = 200,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components, self.tol, self.max_iter = n_components, tol, max_iter
        self.random_state, self.n_jobs = random_state, n_jobs

    def fit(self, X: Any, y: Any = None) -> SparseSVD:
        """Compute the components of X (n_samples, n_features), sparse or dense."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Compute the components of X; returns U Σ, (n_samples, n_components)."""
        matrix = self._validated(X, reset=True)
        if not 1 <= checked("n_components", self.n_components, int) <= min(matrix.shape):
            raise ValueError(
                f"n_components={self.n_components} must be between 1 and {min(matrix.shape)}, the smaller side of X"
            )
        tol, most = checked("tol", self.tol, float), checked("max_iter", self.max_iter, int)
        if not tol > 0 or not most >= 1:
            raise ValueError(f"tol={self.tol} must be above 0 and max_iter={self.max_iter} at least 1")
        largest = float(np.abs(matrix.data).max(initial=0))
        scale = 2.0 ** -np.frexp(largest)[1] if largest else 1.0  # so that squares stay within the range of single precision
        rows = _rows(matrix, scale)
        with ThreadPoolExecutor(threads_of(self.n_jobs)) as pool:
            operator = Operator(rows, _rows(matrix.T.tocsr(), scale))
            state = Krylov.empty(operator, self.n_components, seed_of(self.random_state))
            found = krylov(state, self.tol, self.max_iter, pool)
        self.components_: Array = found.right.T.astype(matrix.dtype)
        self.singular_values_ = found.singular_values / scale
        self.residuals_, self.n_iter_ = found.residuals, len(state.passes)
        variance, total = (found.left * found.singular_values).var(axis=0), _variance(matrix * scale)
        with np.errstate(over="ignore", under="ignore"):
            self.explained_variance_ = variance / scale / scale
        self.explained_variance_ratio_ = variance / total if total > 0 else np.zeros_like(variance)
        transformed: Array = (found.left * self.singular_values_).astype(matrix.dtype)
        return transformed

    def transform(self, X: Any) -> Array:
        """Return X V, (n_samples, n_components)."""
        check_is_fitted(self)
        result: Array = np.asarray(self._validated(X, reset=False) @ self.components_.T)
        return result

    def inverse_transform(self, X: Array) -> Array:
        """Return the dense matrix (n_samples, n_features) that X (n_samples, n_components) represents."""
        return np.asarray(X) @ self.components_

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


class PMITransformer(OneToOneFeatureMixin, _MatrixEstimator):  # type: ignore[misc]
    """Pointwise mutual information of counts, using the column sums found by `fit`.

    >>> pmi = PMITransformer(cds=1.0).fit_transform(cooc.csr())
    >>> pmi.shape, bool((pmi.data > 0).all())
    ((21, 21), True)

    Parameters: pmi "ppmi", "pmi" or "npmi", shift and cds as in `cooc_engine.matrix.pmi`; n_jobs, the number of threads.

    Attributes: column_sums_ (n_features,), n_features_in_.
    """

    _non_negative = True

    def __init__(self, pmi: str = "ppmi", *, shift: float = 1.0, cds: float = 0.75, n_jobs: int | None = None) -> None:
        self.pmi, self.shift, self.cds, self.n_jobs = pmi, shift, cds, n_jobs

    def fit(self, X: Any, y: Any = None) -> PMITransformer:
        """Sum the columns of counts X (n_samples, n_features)."""
        self.column_sums_ = np.asarray(self._validated(X, reset=True).sum(axis=0, dtype=np.float64))
        return self

    def transform(self, X: Any) -> scipy.sparse.csr_array:
        """Return the PMI of counts, sparse (n_samples, n_features); columns that were empty in `fit` stay empty."""
        check_is_fitted(self)
        options: Any = {"pmi": self.pmi, "pmi_shift": self.shift, "cds": self.cds}
        matrix = self._validated(X, reset=False)
        made = new_rows(matrix, self.column_sums_, PmiOptions(**options), threads_of(self.n_jobs))
        return scipy.sparse.csr_array((made.values.astype(matrix.dtype), made.columns, made.offsets), made.shape)

    def fit_transform(self, X: Any, y: Any = None) -> scipy.sparse.csr_array:
        """Return the PMI of counts, using their own column sums."""
        return self.fit(X).transform(X)

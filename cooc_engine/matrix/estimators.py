"""The matrix side for any matrix, with scikit-learn's habits: `PMITransformer` and `SparseSVD`, alone or in a pipeline.

    words = make_pipeline(PMITransformer(), SparseSVD(100)).fit_transform(counts)

scikit-learn is not needed; where it is installed, `clone`, pipelines and searches take these estimators as its own.
"""

from __future__ import annotations

import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse

from cooc_engine.linalg.sparse import SparseRows, in_memory
from cooc_engine.linalg.svd import Krylov, Operator, krylov
from cooc_engine.matrix.pmi import Factors, pmi_rows
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.runtime.machine import usable_cores

__all__ = ["PMITransformer", "SparseSVD"]

E = TypeVar("E", bound="_Estimator")
Array = npt.NDArray[np.floating]


class _Estimator:
    """Parameters and checks as scikit-learn has them: what `__init__` takes, and what a matrix must be."""

    _positive = False

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: E, **params: Any) -> E:
        """Set parameters by name; raises `ValueError` for an unknown one."""
        for name, value in params.items():
            if name not in self._names():
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {self._names()!r}.")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Return the parameters that are not the defaults."""
        defaults = inspect.signature(type(self)).parameters
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if repr(v) != repr(defaults[k].default)]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what this is."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        inputs = InputTags(sparse=True, positive_only=self._positive)
        return Tags(None, TargetTags(required=False), TransformerTags(), input_tags=inputs)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether `fit` was called."""
        return hasattr(self, "n_features_in_")

    def _fitted(self, X: Any) -> scipy.sparse.csr_array:
        """Check a matrix that is transformed after `fit`."""
        if not self.__sklearn_is_fitted__():
            raise _not_fitted(f"This {type(self).__name__} instance is not fitted yet; call fit first.")
        matrix, names = self._checked(X)
        fitted = getattr(self, "feature_names_in_", None)
        if fitted is not None and names is not None and list(names) != list(fitted):
            raise ValueError(
                "The feature names should match those that were passed during fit.\n" + _difference(list(fitted), list(names))
            )
        if matrix.shape[1] != self.n_features_in_:
            name, wanted = type(self).__name__, self.n_features_in_
            raise ValueError(f"X has {matrix.shape[1]} features, but {name} is expecting {wanted} features as input")
        return matrix

    def _first(self, X: Any) -> scipy.sparse.csr_array:
        """Check a matrix that is fitted, and remember its features."""
        matrix, names = self._checked(X)
        self.n_features_in_: int = matrix.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return matrix

    def _checked(self, X: Any) -> tuple[scipy.sparse.csr_array, npt.NDArray[Any] | None]:
        names = _column_names(X)
        matrix: Any = X if scipy.sparse.issparse(X) else np.asarray(X)
        if matrix.dtype.kind == "c":
            raise ValueError("Complex data not supported")
        if matrix.dtype.kind not in "fiub":
            matrix = matrix.astype(np.float64)
        if matrix.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {matrix.ndim}D array instead. Reshape your data either using array.reshape(-1, 1) "
                f"if it has a single feature or array.reshape(1, -1) if it is a single sample."
            )
        for count, what in zip(matrix.shape, ("sample(s)", "feature(s)"), strict=True):
            if count < 1:
                raise ValueError(
                    f"Found array with 0 {what} (shape={matrix.shape}) while a minimum of 1 is required by "
                    f"{type(self).__name__}."
                )
        rows = scipy.sparse.csr_array(matrix, dtype=matrix.dtype if matrix.dtype == np.float32 else np.float64)
        if not np.isfinite(rows.data).all():
            raise ValueError(f"Input X contains {'NaN' if np.isnan(rows.data).any() else 'infinity'}.")
        if self._positive and rows.nnz and rows.data.min() < 0:
            raise ValueError(f"Negative values in data passed to {type(self).__name__}")
        return rows, names


def _not_fitted(text: str) -> Exception:
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return ValueError(text)
    error: Exception = NotFittedError(text)
    return error


def _column_names(X: Any) -> npt.NDArray[Any] | None:
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    kinds = {isinstance(name, str) for name in columns}
    if kinds == {True, False}:
        raise TypeError("Feature names are only supported if all input features have string names.")
    return np.asarray(columns, object) if kinds == {True} else None


def _difference(fitted: list[str], given: list[str]) -> str:
    """Return what differs between names of features, in scikit-learn's words."""
    unseen, missing = sorted(set(given) - set(fitted)), sorted(set(fitted) - set(given))
    text = ""
    for head, names in (
        ("Feature names unseen at fit time:\n", unseen),
        ("Feature names seen at fit time, yet now missing:\n", missing),
    ):
        text += head + "".join(f"- {name}\n" for name in names) if names else ""
    return text or "Feature names must be in the same order as they were in fit.\n"


def _pool(n_jobs: int | None) -> ThreadPoolExecutor:
    """Return as many threads as scikit-learn means by `n_jobs`: None one, -1 all, -2 all but one."""
    jobs = 1 if n_jobs is None else n_jobs
    return ThreadPoolExecutor(max(1, usable_cores() + 1 + jobs if jobs < 0 else jobs))


def _seed(random_state: Any) -> int:
    """Return a seed from a whole number, None (a fresh one), or a generator of NumPy, which moves on."""
    if random_state is None:
        return int.from_bytes(os.urandom(4), "little")
    if hasattr(random_state, "integers"):
        return int(random_state.integers(2**31))
    return int(random_state.randint(2**31)) if hasattr(random_state, "randint") else int(random_state)


def _rows(matrix: scipy.sparse.csr_array, scale: float) -> SparseRows:
    values = in_memory(matrix.nnz, np.float32)
    np.multiply(matrix.data, scale, out=values, casting="same_kind")
    return SparseRows(matrix.shape, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False), values)


def _variance(matrix: scipy.sparse.csr_array) -> float:
    """Return the sum of the variances of the columns."""
    means = np.asarray(matrix.mean(axis=0), np.float64)
    return float(np.dot(matrix.data, matrix.data) / matrix.shape[0] - (means**2).sum())


class SparseSVD(_Estimator):
    """Truncated SVD of a sparse matrix that stops at a residual: scikit-learn's `TruncatedSVD`, with a promise.

    Parameters: n_components; tol, the largest residual ‖X v − σ u‖ / σ of a component; max_iter passes at most;
    random_state; n_jobs threads, which change no bit. The method is that of `cooc_engine.linalg.svd`, in single precision.

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
        """Find the components of X (n_samples, n_features), sparse or dense."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Find the components of X; returns U Σ, (n_samples, n_components)."""
        matrix = self._first(X)
        if not 1 <= self.n_components <= min(matrix.shape):
            raise ValueError(f"n_components={self.n_components} must be between 1 and {min(matrix.shape)}, the least side of X")
        if not self.tol > 0 or not self.max_iter >= 1:
            raise ValueError(f"tol={self.tol} must be above 0 and max_iter={self.max_iter} at least 1")
        largest = float(np.abs(matrix.data).max(initial=0))
        scale = 2.0 ** -np.frexp(largest)[1] if largest else 1.0  # so that squares stay in single precision's range
        rows = _rows(matrix, scale)
        with _pool(self.n_jobs) as pool:
            operator = Operator(rows, _rows(matrix.T.tocsr(), scale))
            state = Krylov.empty(operator, self.n_components, _seed(self.random_state))
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
        result: Array = np.asarray(self._fitted(X) @ self.components_.T)
        return result

    def inverse_transform(self, X: Array) -> Array:
        """Return the matrix (n_samples, n_features), dense, that X (n_samples, n_components) stands for."""
        return np.asarray(X) @ self.components_

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Return names for the columns of the result."""
        return np.array([f"sparsesvd{i}" for i in range(len(self.components_))], object)


class PMITransformer(_Estimator):
    """Counts to pointwise mutual information: rows against the columns' sums that `fit` saw.

    Parameters: pmi "ppmi", "pmi" or "npmi", shift and cds as in `cooc_engine.matrix.pmi`; n_jobs threads.

    Attributes: column_sums_ (n_features,), n_features_in_.
    """

    _positive = True

    def __init__(self, pmi: str = "ppmi", *, shift: float = 1.0, cds: float = 0.75, n_jobs: int | None = None) -> None:
        self.pmi, self.shift, self.cds, self.n_jobs = pmi, shift, cds, n_jobs

    def fit(self, X: Any, y: Any = None) -> PMITransformer:
        """Sum the columns of counts X (n_samples, n_features)."""
        self.column_sums_ = np.asarray(self._first(X).sum(axis=0, dtype=np.float64))
        return self

    def transform(self, X: Any) -> scipy.sparse.csr_array:
        """Return the PMI of counts, sparse (n_samples, n_features); columns that `fit` saw empty stay empty."""
        options: Any = {"pmi": self.pmi, "pmi_shift": self.shift, "cds": self.cds}
        matrix = self._fitted(X)
        kind = matrix.dtype
        counts = matrix.astype(np.float64, copy=True)
        counts.sum_duplicates()
        row_sums = np.asarray(counts.sum(axis=1), np.float64)
        counts.data[self.column_sums_[counts.indices] == 0] = 0
        counts.eliminate_zeros()
        factors = Factors.of(row_sums, self.column_sums_, PmiSvdOptions(**options))
        with _pool(self.n_jobs) as pool:
            made = pmi_rows(_rows(counts, 1.0), counts.data, factors, in_memory, pool)
        return scipy.sparse.csr_array((made.values.astype(kind), made.columns, made.offsets), made.shape)

    def fit_transform(self, X: Any, y: Any = None) -> scipy.sparse.csr_array:
        """Return the PMI of counts by their own sums."""
        return self.fit(X).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Return the names of the columns."""
        names = getattr(self, "feature_names_in_", None) if input_features is None else input_features
        return np.asarray([f"x{i}" for i in range(self.n_features_in_)] if names is None else names, object)

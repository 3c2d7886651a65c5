"""The solver against LAPACK on matrices of known spectra; its kernels against their twins; the same bits for any threads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from twins import svd as naive_svd

from cooc_engine.errors import DivergenceError, ResourceError, UsageError
from cooc_engine.linalg import sparse as sparse_module
from cooc_engine.linalg import svd as svd_module
from cooc_engine.linalg.sparse import (
    SparseRows,
    add_product,
    cut_work,
    inner,
    panels,
    panels_of,
    rotate,
    run,
)
from cooc_engine.linalg.svd import SVD, Krylov, Operator, arpack, krylov
from cooc_engine.storage.scratch import in_memory

SLOW = settings(deadline=None, max_examples=30)


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    """The solver has it so; here it is for passes that a test makes itself, and for LAPACK, which is quicker so."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def rows_of(matrix) -> SparseRows:
    csr = scipy.sparse.csr_array(np.asarray(matrix, np.float32))
    return SparseRows(csr.shape, csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data)


def operator(matrix, *, symmetric: bool = False) -> Operator:
    return Operator(rows_of(matrix), None if symmetric else rows_of(np.transpose(matrix)))


def dense(rows: SparseRows):
    return scipy.sparse.csr_array((rows.values, rows.columns, rows.offsets), rows.shape).toarray()


def with_spectrum(values, rows: int, columns: int, seed: int = 0):
    """A dense matrix with these singular values and no others."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((n, len(values))))[0] for n in (rows, columns))
    return (left * values) @ right.T


def scattered(rows: int, columns: int, share: float, seed: int):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < share)


def decompose(matrix: Operator, k: int, pool, tol: float = 1e-5, seed: int = 1) -> tuple[SVD, Krylov]:
    state = Krylov.empty(matrix, k, seed)
    return krylov(state, tol, 200, pool), state


# ------------------------------------------------------------------------------------------------------- the products


@SLOW
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 70), st.floats(0, 1), st.integers(0, 99))
def test_products_are_those_of_the_twin(n, m, k, share, seed):
    matrix, right = scattered(n, m, share, seed), np.random.default_rng(seed).standard_normal((m, k))
    rows, result = rows_of(matrix), panels(-(-k // 32), n)
    result[:] = np.nan  # every value is written
    with ThreadPoolExecutor(2) as pool:
        rows.multiply(panels_of(right), result, pool)
    flat = result.transpose(1, 0, 2).reshape(n, -1)
    assert np.allclose(flat[:, :k], naive_svd.product(matrix, right), atol=1e-4)
    assert not flat[:, k:].any()


@SLOW
@given(
    st.integers(1, 40), st.integers(9, 60), st.integers(1, 70), st.floats(0, 1), st.integers(0, 99), st.sampled_from([0, 0.5])
)
def test_products_by_blocks_of_columns_have_the_same_bits(n, m, k, share, seed, least):
    """Whether all rows are multiplied in blocks, or those that are long enough; rows of any order too."""
    matrix, right = scattered(n, m, share, seed), np.random.default_rng(seed).standard_normal((m, k))
    rows, results = rows_of(matrix), [np.full((-(-k // 32), n, 32), np.nan, np.float32) for _ in range(3)]
    with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as patch:
        rows.multiply(panels_of(right), results[0], pool)
        for name, value in (("BLOCK_COLUMNS", 3), ("LEAST_BLOCKS", 1), ("LEAST_IN_BLOCK", least), ("BLOCK_ENTRIES", 25)):
            patch.setattr(sparse_module, name, value)
        assert any(rows._in_blocks(*task) for task in rows.tasks()) or least
        rows.multiply(panels_of(right), results[1], pool)
        assert np.array_equal(results[0], results[1])
        if rows.entries:
            rows.columns[:] = np.random.default_rng(seed).integers(0, m, rows.entries)
            rows.multiply(panels_of(right), results[1], pool)
            patch.setattr(sparse_module, "LEAST_BLOCKS", 100)
            rows.multiply(panels_of(right), results[2], pool)
            assert np.array_equal(results[1], results[2])


@SLOW
@given(st.integers(1, 90), st.integers(1, 70), st.integers(1, 40), st.integers(0, 99))
def test_dense_products_are_those_of_numpy(n, p, q, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((n, p)).astype(np.float32), rng.standard_normal((n, q)).astype(np.float32)
    a, b = panels_of(left), panels_of(right)
    with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_module, "TASK_ROWS", 7)
        product = inner(a, b, pool)
        assert np.allclose(product[:p, :q], left.astype(np.float64).T @ right, rtol=1e-12, atol=1e-12)
        assert not product[p:].any() and not product[:, q:].any()
        factors = rng.standard_normal((32 * len(a), 32 * len(b)))
        add_product(a, factors, b, pool)
        expected = np.zeros((n, 32 * len(b)))
        expected[:, :q] = right
        expected += left @ factors[:p]
        assert np.allclose(b.transpose(1, 0, 2).reshape(n, -1), expected, atol=1e-3)
        square = rng.standard_normal((32 * len(a), 32))
        rotate(a, square, pool)
        assert np.allclose(a[0], left @ square[:p], atol=1e-3)


@SLOW
@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1), st.integers(1, 40), st.integers(0, 9))
def test_a_transpose_is_the_transpose_however_it_is_cut(n, m, share, room, seed):
    matrix = scattered(n, m, share, seed).astype(np.float32)
    with ThreadPoolExecutor(3) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_module, "TASK_ENTRIES", room)
        turned = rows_of(matrix).transposed(in_memory, 0, pool)
    assert np.array_equal(dense(turned), matrix.T)
    for a, b in zip(turned.offsets[:-1], turned.offsets[1:], strict=True):
        assert (np.diff(turned.columns[a:b]) > 0).all()


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 50))
def test_work_is_cut_into_all_rows_once(lengths, entries):
    cuts = cut_work(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), entries)
    assert [r for a, b in cuts for r in range(a, b)] == list(range(len(lengths)))
    assert all(b - a == 1 or sum(lengths[a:b]) + b - a <= entries for a, b in cuts)


def test_an_error_in_a_thread_is_raised(pool):
    with pytest.raises(ZeroDivisionError):
        run(pool, lambda n: 1 // n, [1, 0])


# --------------------------------------------------------------------------------------------------------- the solver

SPECTRA = {
    "flat": np.ones(150),
    "decaying": 0.9 ** np.arange(150),
    "steep": 0.5 ** np.arange(20),
    "slow": 1 / np.sqrt(1 + np.arange(150)),
    "repeated": np.repeat([5.0, 3.0, 2.0, 1.0], [3, 40, 60, 47]),
    "one repeated far more often than a block is wide": np.concatenate([[9, 8, 7], np.full(100, 2.0), np.full(47, 0.5)]),
    "rank 5": np.array([5.0, 4, 3, 2, 1]),
    "one large": np.concatenate([[1e3], np.linspace(1, 0.5, 100)]),
}


@pytest.mark.parametrize("shape", [(200, 180), (160, 300)], ids=str)
@pytest.mark.parametrize("k", [1, 12, 60])
@pytest.mark.parametrize("name", SPECTRA)
def test_singular_values_are_those_of_lapack(name, k, shape, pool):
    matrix = with_spectrum(SPECTRA[name], *shape)
    found, state = decompose(operator(matrix), k, pool)
    expected = naive_svd.singular_values(matrix, k)
    assert np.allclose(found.singular_values, expected, rtol=1e-4, atol=2e-6 * expected[0])
    check(matrix, found, expected[0])
    assert state.passes[-1].residual <= 1e-5


def check(matrix, found: SVD, largest: float) -> None:
    """Both sides of the decomposition hold, vectors are orthonormal or zero, and the residuals are what was measured."""
    values, real = found.singular_values, found.singular_values > 0
    for side in naive_svd.residuals(matrix, found.left, values, found.right):
        assert (side <= 1e-5 * values + 2e-6 * largest).all()
    one, _ = naive_svd.residuals(matrix, found.left, values, found.right)
    assert np.allclose(found.residuals * values, one, atol=2e-6 * largest)
    assert not found.residuals[~real].any()
    for vectors in (found.left, found.right):
        assert np.allclose(vectors.T.astype(np.float64) @ vectors, np.diag(real.astype(float)), atol=1e-6)
        assert not vectors[:, ~real].any()
    assert (np.diff(values) <= 0).all()
    peaks = np.take_along_axis(found.left, np.abs(found.left).argmax(axis=0)[None], axis=0)
    assert (peaks >= 0).all()


@pytest.mark.parametrize("k", [3, 50])
def test_a_symmetric_matrix_takes_one_product_a_pass_and_may_have_negative_values(k, pool):
    rng = np.random.default_rng(4)
    vectors = np.linalg.qr(rng.standard_normal((170, 170)))[0]
    values = np.concatenate([[-9, 8, -7.5], rng.uniform(-5, 5, 167)])
    matrix = (vectors * values) @ vectors.T
    matrix = np.float32(matrix + matrix.T) / 2
    found, state = decompose(operator(matrix, symmetric=True), k, pool)
    assert np.allclose(found.singular_values, np.sort(np.abs(values))[::-1][:k], rtol=1e-4)
    check(matrix, found, 9)
    assert {p.items for p in state.passes} == {32 * np.count_nonzero(matrix)}
    both, other = decompose(operator(matrix), k, pool)
    assert np.allclose(both.singular_values, found.singular_values, rtol=1e-4)
    assert {p.items for p in other.passes} == {64 * np.count_nonzero(matrix)}


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("k", [1, 40])
def test_a_matrix_of_zeros(k, symmetric, pool):
    found, _ = decompose(operator(np.zeros((50, 50)), symmetric=symmetric), k, pool)
    for array in (found.left, found.right, found.singular_values, found.residuals):
        assert not array.any()


def test_empty_rows_and_columns_have_vectors_of_zeros(pool):
    matrix = scattered(90, 80, 0.2, 7)
    matrix[[0, 13, 89]] = 0
    matrix[:, [5, 79]] = 0
    found, _ = decompose(operator(matrix), 20, pool)
    check(matrix, found, found.singular_values[0])
    assert np.abs(found.left[[0, 13, 89]]).max() < 1e-6
    assert np.abs(found.right[[5, 79]]).max() < 1e-6


@SLOW
@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.integers(0, 50), st.data())
def test_any_small_matrix_to_its_full_rank(n, m, share, seed, data):
    k = data.draw(st.integers(1, min(n, m)))
    matrix = scattered(n, m, share, seed)
    with ThreadPoolExecutor(1) as one:
        found, _ = decompose(operator(matrix), k, one)
    expected = naive_svd.singular_values(matrix.astype(np.float32), k)
    assert np.allclose(found.singular_values, expected, rtol=1e-3, atol=2e-6 * max(expected[0], 1e-30))


def test_a_large_matrix_restarts_and_stops_at_the_residual(pool):
    matrix = with_spectrum(1 / np.sqrt(1 + np.arange(900)), 1000, 900, seed=3)
    counts = []
    for tol in (0.3, 1e-2, 1e-4):
        state = Krylov.empty(operator(matrix), 40, 1)
        seen = []
        found = krylov(state, tol, 200, pool, lambda seen=seen, state=state: seen.append(state.space.filled))
        one, other = naive_svd.residuals(matrix, found.left, found.singular_values, found.right)
        assert (one <= 1.05 * tol * found.singular_values).all() and (other <= 1e-5).all()
        assert np.allclose(found.residuals, one / found.singular_values, rtol=1e-2, atol=1e-5)
        assert state.passes[-1].residual <= tol < state.passes[-2].residual
        assert state.passes[-1].residual == pytest.approx(found.residuals.max(), rel=0.05, abs=1e-5)
        counts.append(len(state.passes))
    assert sorted(set(counts)) == counts
    assert min(np.diff(seen)) < 0, "it restarted"


def test_passes_end_where_they_are_told_to(pool):
    matrix = with_spectrum(1 / np.sqrt(1 + np.arange(900)), 1000, 900, seed=3)
    state = Krylov.empty(operator(matrix), 40, 1)
    found = krylov(state, 1e-6, 3, pool)
    assert len(state.passes) == 3 and found.residuals.max() > 0.1
    assert np.isfinite(found.left).all()


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(sparse_module, "TASK_ENTRIES", 300)
    monkeypatch.setattr(sparse_module, "TASK_ROWS", 64)
    matrix = operator(scattered(700, 500, 0.05, 1))
    results = []
    for threads in (1, 2, 4):
        with ThreadPoolExecutor(threads) as pool:
            found, _ = decompose(matrix, 40, pool, 1e-3)
        results.append([a.tobytes() for a in (found.left, found.singular_values, found.right, found.residuals)])
    assert results[0] == results[1] == results[2]
    with ThreadPoolExecutor(2) as pool:
        other, _ = decompose(matrix, 40, pool, 1e-3, seed=2)
    assert other.left.tobytes() != results[0][0]


@pytest.mark.parametrize("stop", [1, 4, 9])
@pytest.mark.parametrize("name", ["slow", "one repeated far more often than a block is wide"])
def test_a_state_that_was_saved_goes_on_with_the_same_bits(name, stop, pool):
    matrix = operator(with_spectrum(SPECTRA[name], 400, 300))
    whole, state = decompose(matrix, 50, pool, 1e-4)
    first = Krylov.empty(matrix, 50, 1)
    for _ in range(min(stop, len(state.passes) - 1)):
        first.advance(1e-4, pool)
    second = Krylov.empty(matrix, 50, 1)
    second.load({name: array.copy() for name, array in first.arrays().items()}, json.loads(json.dumps(first.meta())))
    found = krylov(second, 1e-4, 200, pool)
    assert second.passes == state.passes
    assert found.left.tobytes() == whole.left.tobytes() and found.right.tobytes() == whole.right.tobytes()


def test_blocks_are_widened_until_every_copy_is_found(pool):
    matrix = with_spectrum(SPECTRA["one repeated far more often than a block is wide"], 200, 180)
    found, state = decompose(operator(matrix), 90, pool)
    assert state.space.width > svd_module.first_width(90)
    assert np.allclose(found.singular_values[3:], 2, rtol=1e-4)
    tight = Krylov.empty(operator(matrix), 90, 1, room=svd_module.basis_bytes((200, 180), 90))
    with pytest.raises(ResourceError, match="memory"):
        krylov(tight, 1e-5, 200, pool)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_what_is_not_finite_is_an_error(bad, pool):
    matrix = scattered(60, 50, 0.3, 1)
    matrix[:, 7] = bad
    with pytest.raises(DivergenceError, match="not finite"), np.errstate(all="ignore"):
        decompose(operator(matrix), 5, pool)


def test_too_many_components_are_refused(pool):
    with pytest.raises(UsageError, match="30 components at most"):
        Krylov.empty(operator(np.ones((30, 40))), 31, 1)
    with pytest.raises(UsageError, match="at most 29"):
        arpack(rows_of(np.ones((30, 40))), 30, 1, 0)


def test_arpack_agrees(pool):
    matrix = scattered(300, 200, 0.1, 5)
    found, _ = decompose(operator(matrix), 12, pool)
    reference = arpack(rows_of(matrix), 12, 1, 0)
    assert np.allclose(found.singular_values, reference.singular_values, rtol=1e-5)
    assert np.allclose(found.left, reference.left, atol=1e-3) and np.allclose(found.right, reference.right, atol=1e-3)
    assert reference.residuals.max() < 1e-4
    assert arpack(rows_of(matrix), 12, 1, 0).left.tobytes() == reference.left.tobytes()


def test_columns_that_are_far_from_orthonormal_are_divergence_and_no_traceback():
    with pytest.raises(DivergenceError, match="no longer independent"):
        svd_module._triangular(np.array([[1.0, 2.0], [2.0, 1.0]]))


@pytest.mark.parametrize("name", ["projected", "coupling"])
def test_a_projection_beyond_all_measure_is_divergence_and_no_warning(name):
    state = object.__new__(svd_module.Space)
    state.projected, state.coupling = np.eye(2), np.eye(2)
    setattr(state, name, np.full((2, 2), -1e308))
    with pytest.raises(DivergenceError, match="too large to be right"):
        state.ritz()

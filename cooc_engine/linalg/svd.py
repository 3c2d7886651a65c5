"""Truncated singular value decomposition of a sparse matrix by a restarted block Krylov method with a stopping rule.

Randomised block Krylov (Musco and Musco 2015) with thick restarts (Wu and Simon 2000): an orthonormal basis Q of the Krylov
space of A Aᵀ and a random block, and W = Aᵀ Q. The singular values of W are those of A on the space, and the part of A W that
Q does not span yet gives every component's residual without a further product. A symmetric matrix uses the Krylov space of
A itself: one product per pass, where others need two.

Vectors are in single precision, all inner products in double. Sums have a fixed order: the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import scipy.linalg
from threadpoolctl import threadpool_limits

from cooc_engine.errors import ANEW, DivergenceError, ResourceError, UsageError
from cooc_engine.linalg.sparse import PANEL, Panels, SparseRows, add_product, flat, inner, panels, panels_of, rotate
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.types import Floats, Mask, Matrix
from cooc_engine.storage.relations import check_array
from cooc_engine.storage.schema import Natural, Positive

__all__ = ["NOISE", "SVD", "Krylov", "KrylovRecord", "Operator", "Pass", "Rows", "Space", "arpack", "basis_bytes", "krylov"]

NOISE = 2e-6  # a result below this fraction of its operands is rounding error of single precision
ROUNDS = 8  # of orthogonalisation, at most; two are usual
WIDE = 256  # a block has one panel for every WIDE components, and at least one
LARGEST = 1e150  # whose squares are numbers


class Rows(Protocol):
    """A matrix that is multiplied, wherever its rows are; `SparseRows` is one."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        ...

    @property
    def entries(self) -> int:
        """Number of entries."""
        ...

    def multiply(self, right: Panels, result: Panels, pool: Executor) -> None:
        """result = self @ right, with the bits of `SparseRows.multiply`."""
        ...


class Operator(NamedTuple):
    """A matrix by rows, and its transpose by rows, which is None for a symmetric matrix."""

    rows: Rows
    transpose: Rows | None


@dataclass(frozen=True)
class SVD:
    """A ≈ left · diag(singular_values) · right.T, the largest first: left (n, k), right (m, k), float32.

    residuals (k,) are ‖A v − σ u‖ / σ, measured by a product, and 0 where σ is 0; the other equation, Aᵀ u = σ v, holds up
    to rounding. Singular values below NOISE times the largest are set to 0, with zero vectors.
    """

    left: Matrix
    singular_values: Floats
    right: Matrix
    residuals: Floats


class Pass(NamedTuple):
    """A pass: its number, from 1, the largest residual after it (1 if there is none yet), and the multiplications it took."""

    number: Natural
    residual: float
    items: Natural


class KrylovRecord(TypedDict):
    """What a checkpoint records of the solver, beside its arrays."""

    width: Positive
    filled: Natural
    dimension: Natural
    noise: float
    passes: list[Pass]


class Ritz(NamedTuple):
    """Ritz values (m,) of a basis of m columns, the largest first, vectors (m, m) in the basis, and residuals (m,)."""

    values: Floats
    vectors: Floats
    residuals: Floats


@dataclass
class Space:
    """An orthonormal basis, its images under the matrix, and the part of the matrix that leads out of its span.

    basis       (P, n, 32) the first `filled` panels span the space; the next `width` are the block to add
    images      (P, m, 32) Aᵀ times the basis, `filled` panels of it
    projected   (32 filled, 32 filled) images.T @ images, or basis.T @ images for a symmetric matrix
    coupling    (32 width, 32 width) what A sends out of the space: A images[last block] = basis · x + next block · coupling
    dimension   columns of the basis that are not zero
    noise       what rounding may have hidden of A images[last block]: large values hide the squares of small ones
    """

    matrix: Operator
    width: int
    basis: Panels
    images: Panels
    projected: Floats
    coupling: Floats
    filled: int = 0
    dimension: int = 0
    noise: float = 0.0

    @classmethod
    def empty(cls, matrix: Operator, k: int, width: int) -> Space:
        """Return a space without a block, with room for the passes between two restarts."""
        (rows, columns), most, none = matrix.rows.shape, capacity(k, width), np.zeros((0, 0))
        return cls(matrix, width, panels(most, rows), panels(most, columns), none, none)

    @property
    def symmetric(self) -> bool:
        """Whether the matrix is its own transpose."""
        return self.matrix.transpose is None

    @property
    def full(self) -> bool:
        """Whether there is no room for another block and the one after it."""
        return self.filled + 2 * self.width > len(self.basis)

    def widen(self, k: int, width: int) -> None:
        """Make room for wider blocks; the previous basis is lost."""
        (rows, columns), most = self.matrix.rows.shape, capacity(k, width)
        self.width = width
        self.basis = self.images = panels(0, 0)  # frees the old arrays before the new ones are allocated
        self.basis, self.images = panels(most, rows), panels(most, columns)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a checkpoint."""
        used = {"basis": self.basis[: self.filled + self.width], "images": self.images[: self.filled]}
        return {**used, "projected": self.projected, "coupling": self.coupling}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Restore the space from a checkpoint of the same width; raises `ValueError` if its arrays do not fit together."""
        (rows, columns), filled, used = self.matrix.rows.shape, meta["filled"], meta["filled"] + self.width
        if used > len(self.basis) or meta["dimension"] > PANEL * filled:
            raise ValueError(f"a basis of {filled} panels and {meta['dimension']} columns does not fit this training")
        check_array(arrays, "basis", np.float32, (used, rows, PANEL))
        check_array(arrays, "images", np.float32, (filled, columns, PANEL))
        check_array(arrays, "projected", np.float64, (PANEL * filled, PANEL * filled))
        check_array(arrays, "coupling", np.float64, (PANEL * self.width, PANEL * self.width))
        self.filled, self.dimension, self.noise = meta["filled"], meta["dimension"], meta["noise"]
        self.basis[: self.filled + self.width] = arrays["basis"]
        self.images[: self.filled] = arrays["images"]
        self.projected, self.coupling = np.array(arrays["projected"]), np.array(arrays["coupling"])

    def begin(self, random: np.random.Generator, pool: Executor) -> None:
        """Make the first block from random directions."""
        self.filled = self.dimension = 0
        self.projected = np.zeros((0, 0))
        self.basis[: self.width] = 0
        self._orthonormalise(random, pool)

    def grow(self, random: np.random.Generator, pool: Executor) -> None:
        """Add the next block to the basis, and make the one after it."""
        old, now, after = self.filled, self.filled + self.width, self.filled + 2 * self.width
        self.dimension += int(np.count_nonzero(self.basis[old:now].any(axis=1)))
        images, following = self.images[old:now], self.basis[now:after]
        (self.matrix.transpose or self.matrix.rows).multiply(self.basis[old:now], images, pool)
        column = inner(self.basis[:now] if self.symmetric else self.images[:now], images, pool)
        if not np.isfinite(column).all():
            raise DivergenceError("a product with the matrix is not finite; are there infinite or huge values in it?")
        self.projected = np.block([[self.projected, column[: PANEL * old]], [column.T]])
        if self.symmetric:
            following[:] = images
        else:
            self.matrix.rows.multiply(images, following, pool)
        self.filled = now
        self._orthonormalise(random, pool)

    def _orthonormalise(self, random: np.random.Generator, pool: Executor) -> None:
        """Make the block after the basis orthonormal and orthogonal to it; sets `coupling`.

        Classical Gram-Schmidt by Gram matrices in double precision, repeated until little changes. Directions that are only
        rounding error become zero, and are replaced by random ones while there is room: an exhausted Krylov space need not
        contain all the components that are wanted.
        """
        block, known = self.basis[self.filled : self.filled + self.width], self.basis[: self.filled]
        size = PANEL * self.width
        coupling = np.eye(size)
        norms = np.sqrt(np.diag(inner(block, block, pool)))
        self.noise = NOISE * float(norms.max())
        for left in reversed(range(ROUNDS)):
            if self.filled:
                add_product(known, -inner(known, block, pool), block, pool)
            factors, inverse, kept, gentle = _whitening(inner(block, block, pool), norms)
            rotate(block, factors, pool)
            coupling = inverse @ coupling
            norms = kept.astype(np.float64)
            lost = np.flatnonzero(~kept)[: self.basis.shape[1] - self.dimension - int(kept.sum())]
            if len(lost) and left >= 2:
                _fill(block, lost, random)
                norms[lost] = np.sqrt(self.basis.shape[1])
            elif gentle:
                break
        self.coupling = coupling

    def ritz(self) -> Ritz:
        """Return the Ritz values, vectors and residuals of the matrix on the space; raises `DivergenceError` if it has none."""
        if not all(np.abs(part).max(initial=0) < LARGEST for part in (self.projected, self.coupling)):
            raise DivergenceError(f"the projection of the matrix is too large to be right; {ANEW}")
        values, vectors = scipy.linalg.eigh((self.projected + self.projected.T) / 2, check_finite=False, driver="evd")
        order = np.argsort(-np.abs(values), kind="stable")
        values, vectors = values[order], vectors[:, order]
        if not self.symmetric:
            values = np.maximum(values, 0)
        last = vectors[-len(self.coupling) :]
        outside = np.hypot(np.linalg.norm(self.coupling @ last, axis=0), self.noise * np.linalg.norm(last, axis=0))
        sizes = np.abs(values)  # of A A^T; of A if it is symmetric
        floor = NOISE * sizes[0] if self.symmetric else NOISE * NOISE * sizes[0]
        residuals = np.divide(outside, sizes, out=(outside > floor).astype(np.float64), where=sizes > floor)
        return Ritz(values if self.symmetric else np.sqrt(values), vectors, np.minimum(residuals, 1))

    def restart(self, best: Ritz, keep: int, pool: Executor) -> None:
        """Keep the best `keep` panels of the space, and the next block (a thick restart)."""
        values, vectors = best.values[: keep * PANEL], best.vectors[:, : keep * PANEL]
        for matrix in (self.basis, self.images):
            rotate(matrix[: self.filled], vectors, pool)
        self.basis[keep : keep + self.width] = self.basis[self.filled : self.filled + self.width].copy()
        self.projected = np.diag(values if self.symmetric else values**2)
        self.dimension = int(np.count_nonzero(self.basis[:keep].any(axis=1)))
        self.filled = keep


@dataclass
class Krylov:
    """The state of the solver for k components: the space, its passes so far, and the Ritz pairs of the last one.

    room   bytes to which the basis may grow, if the matrix needs wider blocks
    """

    k: int
    seed: int
    space: Space
    room: int | None = None
    passes: list[Pass] = field(default_factory=list)
    found: Ritz | None = None

    @classmethod
    def empty(cls, matrix: Operator, k: int, seed: int, room: int | None = None) -> Krylov:
        """Return the state before the first pass, whose basis may grow to `room` bytes.

        Raises `UsageError` for more components than the matrix can have.
        """
        rows, columns = matrix.rows.shape
        if k > min(rows, columns):
            raise UsageError(
                f"--vector-size is {k}; a matrix of {rows} x {columns} has {min(rows, columns)} components at most"
            )
        return cls(k, seed, Space.empty(matrix, k, first_width(k)), room)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a checkpoint."""
        return self.space.arrays()

    def meta(self) -> dict[str, Any]:
        """Return the rest of a checkpoint."""
        space = {name: getattr(self.space, name) for name in ("width", "filled", "dimension", "noise")}
        return {**space, "passes": self.passes}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint; raises `ValueError` if it is not one of a matrix of this shape."""
        if meta["width"] not in self._widths():
            raise ValueError(f"blocks of {meta['width']} panels are never those of {self.k} components")
        self._set_width(meta["width"])
        self.space.load(arrays, meta)
        self.passes = [Pass(*record) for record in meta["passes"]]

    def _widths(self) -> list[int]:
        """Return the widths that blocks may have: the first one, doubled until a block holds all components."""
        widths = [first_width(self.k)]
        while PANEL * widths[-1] < self.k:
            widths.append(2 * widths[-1])
        return widths

    def _set_width(self, width: int) -> None:
        if width == self.space.width:
            return
        need = 4 * PANEL * capacity(self.k, width) * sum(self.space.matrix.rows.shape)
        if self.room is not None and need > self.room:
            raise ResourceError(
                f"the matrix repeats a singular value {PANEL * width // 2} times or more, and the wider blocks that "
                f"this needs do not fit: pass {show_size(need - self.room)} more --memory"
            )
        self.space.widen(self.k, width)

    def look(self) -> None:
        """Compute the Ritz pairs of a basis that was loaded."""
        if self.space.filled:
            self.found = self.space.ritz()

    def converged(self, tol: float) -> bool:
        """Tell whether the residuals of all k components are within `tol`."""
        return bool(self.passes) and self.found is not None and self.passes[-1].residual <= tol

    def missed(self, tol: float) -> bool:
        """Tell whether a value may be repeated more often than a block of this width can find.

        A block of b random vectors finds at most b copies of a repeated value; if it finds that many, there may be more.
        """
        width = PANEL * self.space.width
        if self.found is None or width >= self.k:
            return False
        values = np.abs(self.found.values[: self.k])
        first, last = values[: self.k - width + 1], values[width - 1 :]
        return bool(((first - last <= min(tol, 1e-2) * first) & (last > NOISE * values[0])).any())

    def _random(self) -> np.random.Generator:
        """Return the generator of the next pass, seeded independently of earlier draws, so that a resumed run repeats it."""
        return np.random.Generator(np.random.PCG64([self.seed, len(self.passes)]))

    def advance(self, tol: float, pool: Executor) -> None:
        """Make a pass: add the next block to the basis, after widening or a restart where necessary."""
        space = self.space
        if space.filled == 0:
            space.begin(self._random(), pool)
        elif self.converged(tol):
            self._set_width(2 * space.width)
            space.begin(self._random(), pool)
        elif space.full:
            assert self.found is not None
            space.restart(self.found, -(-self.k // PANEL) + space.width, pool)
        space.grow(self._random(), pool)
        self.found = space.ritz()
        residuals = self.found.residuals
        residual = float(residuals[: self.k].max()) if len(residuals) >= self.k else 1.0
        products = PANEL * space.width * (1 if space.symmetric else 2)
        self.passes.append(Pass(len(self.passes) + 1, residual, products * space.matrix.rows.entries))

    def finish(self, pool: Executor) -> SVD:
        """Return the k best components, with measured residuals; this overwrites the basis."""
        assert self.found is not None
        space = self.space
        count = -(-self.k // PANEL)
        values, vectors = self.found.values[: count * PANEL], self.found.vectors[:, : count * PANEL]
        sigma = np.where(np.arange(len(values)) < self.k, np.abs(values), 0)
        sigma[sigma <= NOISE * sigma[0]] = 0
        inverse = np.divide(1, sigma, out=np.zeros_like(sigma), where=sigma > 0)
        left, right, product = space.basis[:count], space.images[:count], space.basis[count : 2 * count]
        rotate(space.basis[: space.filled], vectors * (sigma > 0), pool)
        if space.symmetric:
            right[:] = left
            _scale(right, np.sign(values))
        else:
            rotate(space.images[: space.filled], vectors * inverse, pool)
            rotate(right, _triangular(inner(right, right, pool)), pool)  # small components contain traces of large ones
        space.matrix.rows.multiply(right, product, pool)
        residuals = _lengths(product, left, sigma) * inverse
        signs = _signs(left)
        _scale(left, signs)
        _scale(right, signs)
        k = self.k
        return SVD(flat(left, k), sigma[:k], flat(right, k), residuals[:k])


def first_width(k: int) -> int:
    """Return the number of panels of a block: one for every WIDE components, rounded up.

    For the same memory a narrow block reaches a higher power, and a given residual with fewer products: scripts/lab.py svd.
    """
    return -(-k // WIDE)


def capacity(k: int, width: int) -> int:
    """Return the number of panels of the basis: twice what a restart keeps, and the next block."""
    return 2 * (-(-k // PANEL) + width) + width


def basis_bytes(shape: tuple[int, int], k: int) -> int:
    """Return the memory of basis and images in bytes."""
    return 4 * PANEL * capacity(k, first_width(k)) * sum(shape)


def _whitening(gram: Floats, norms: Floats) -> tuple[Floats, Floats, Mask, bool]:
    """Return the factors that make columns orthonormal, their inverse, which columns are kept, and whether little changed.

    The Gram matrix is scaled to a unit diagonal and decomposed into eigenvectors. `norms` are the columns' lengths before
    the basis was subtracted: a remainder as small as their rounding error is noise.
    """
    lengths = np.sqrt(np.diag(gram))
    real = lengths > NOISE * norms
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=real)
    values, vectors = scipy.linalg.eigh(gram * scale * scale[:, None], check_finite=False, driver="evd")
    noise = NOISE * float(np.max(norms * scale, initial=1))
    kept = values > noise * noise
    roots = np.sqrt(np.where(kept, values, 0))
    inverse_roots = np.divide(1, roots, out=np.zeros_like(roots), where=kept)
    lengths = np.where(real, lengths, 0)
    gentle = bool((lengths[real] > 0.5 * norms[real]).all() and (values[kept] > 0.5).all())
    return scale[:, None] * vectors * inverse_roots, roots[:, None] * vectors.T * lengths, kept, gentle


def _triangular(gram: Floats) -> Floats:
    """Return the upper triangular factors that make nearly orthonormal columns orthonormal; columns of zeros stay."""
    whole = gram + np.diag(np.diag(gram) == 0)
    try:
        inverse: Floats = np.linalg.inv(np.linalg.cholesky(whole)).T
    except np.linalg.LinAlgError:
        raise DivergenceError(f"the vectors of a block are no longer independent; {ANEW}") from None
    return inverse


def _fill(block: Panels, columns: npt.NDArray[np.int64], random: np.random.Generator) -> None:
    """Fill columns with standard normal random numbers."""
    for column in columns.tolist():
        block[column // PANEL, :, column % PANEL] = random.standard_normal(block.shape[1], np.float32)


def _scale(matrix: Panels, factors: Floats) -> None:
    matrix *= factors.astype(np.float32).reshape(len(matrix), 1, PANEL)


def _lengths(product: Panels, left: Panels, sigma: Floats) -> Floats:
    """Return the lengths of the columns of product - left · sigma."""
    squares = np.zeros_like(sigma)
    for p in range(len(product)):
        part = slice(p * PANEL, (p + 1) * PANEL)
        for begin in range(0, product.shape[1], 1 << 16):
            rows = slice(begin, begin + (1 << 16))
            gap = product[p, rows] - left[p, rows] * sigma[part]
            squares[part] += np.einsum("ij,ij->j", gap, gap)
    return np.sqrt(squares)


def _signs(matrix: Panels) -> Floats:
    """Return the signs (±1) that make the entry of largest magnitude in each column positive."""
    return np.where(-matrix.min(axis=1) > matrix.max(axis=1), -1.0, 1.0).reshape(-1)


def krylov(state: Krylov, tol: float, max_passes: int, pool: Executor, between: Callable[[], None] = lambda: None) -> SVD:
    """Continue from `state`, and return its k largest components, each with a residual of at most `tol`.

    `between` is called after each pass, when the state can be saved. The solver stops after `max_passes` in any case; the
    measured residuals show what was reached. Raises `DivergenceError` for products that are not finite.
    """
    with threadpool_limits(1, "blas"):  # BLAS threads would spin between our products, and change the last bits
        state.look()
        while len(state.passes) < max_passes and (not state.converged(tol) or state.missed(tol)):
            state.advance(tol, pool)
            between()
        return state.finish(pool)


def arpack(rows: SparseRows, k: int, seed: int, tol: float) -> SVD:
    """Return the k largest components by ARPACK, through `scipy.sparse.linalg.svds`: single-threaded, for reference.

    Raises `DivergenceError` if ARPACK fails, be it for lack of convergence or for an empty matrix.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import ArpackError, svds

    if k >= min(rows.shape):
        raise UsageError(f"--vector-size is {k}; ARPACK finds at most {min(rows.shape) - 1} components of this matrix")
    matrix = csr_array((rows.values, rows.columns, rows.offsets), rows.shape)
    start = np.random.Generator(np.random.PCG64(seed)).standard_normal(min(rows.shape)).astype(np.float32)
    try:
        left, values, right = svds(matrix, k, v0=start, tol=tol)
    except ArpackError as error:
        raise DivergenceError(f"ARPACK failed ({' '.join(str(error).split())}); use --solver=krylov") from None
    order = np.argsort(-values, kind="stable")
    left, sigma, right = left[:, order], values[order].astype(np.float64), right[order].T
    gaps = np.linalg.norm(matrix @ right - left * sigma, axis=0)
    residuals = np.divide(gaps, sigma, out=np.zeros_like(sigma), where=sigma > 0)
    signs = _signs(panels_of(left))[:k].astype(np.float32)
    return SVD(left * signs, sigma, right * signs, residuals)

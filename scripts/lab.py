"""A kernel lab: what the constants of the solvers cost, measured in turn on a co-occurrence directory.

    python scripts/lab.py tiles COOC      rows a block and blocks a side of GloVe's tile grid: seconds and cost by epoch
    python scripts/lab.py svd COOC        block Krylov of several widths, and shifted power iteration: seconds to a residual

Keep what is best over several rounds; the reason goes into a line beside the constant.
"""

from __future__ import annotations

import argparse
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from cooc_engine import svd as svd_module
from cooc_engine._kernels import factoring
from cooc_engine.config import GloveOptions, PmiSvdOptions, usable_cores
from cooc_engine.cooc import Cooc
from cooc_engine.glove import Parameters, log_counts
from cooc_engine.progress import Stage
from cooc_engine.sparse import PANEL, add_product, in_memory, inner, panels, panels_of, rotate
from cooc_engine.tiles import cut_blocks, deal, share, strata
from cooc_engine.transforms import transform_cooc

GRIDS = list(itertools.product((512, 1024, 2048), (24, 48)))
RESIDUALS = (0.1, 0.01, 0.001)


def tiles(cooc: Cooc, rounds: int, epochs: int, threads: int) -> None:
    options = GloveOptions(x_max=10, epochs=epochs)
    for _, (rows, blocks) in itertools.product(range(rounds), GRIDS):
        begin = time.perf_counter()
        cuts = cut_blocks(cooc.row_offsets, rows, blocks)
        grid = deal(cooc, log_counts(options), options.seed, threads, Stage("deal", None, "entries"), cuts)
        dealt = time.perf_counter() - begin
        print(f"{rows:5d} rows {blocks:3d} blocks: dealt in {dealt:.2f} s;", end=" ")
        for seconds, cost in train(cooc, grid, options, threads):
            print(f"{seconds:.2f} s {cost:.4f}", end="  ", flush=True)
        print()


def train(cooc, grid, options, threads):
    """Yield seconds and cost of each epoch."""
    parameters = Parameters.random(len(cooc.vocabulary), options.vector_size, options.seed)
    costs, sizes = np.zeros(len(grid.sizes)), grid.sizes
    entries = grid.starts, grid.cuts, grid.places, grid.targets, grid.weights
    rest = (*entries, parameters.words, parameters.contexts, *parameters.rates(options.lr), parameters.clips(), costs)
    with ThreadPoolExecutor(threads) as pool:
        for epoch in range(options.epochs):
            begin = time.perf_counter()
            for stratum in strata(grid.blocks, options.seed, epoch):
                list(pool.map(lambda part: factoring.train_tiles(part, *rest), share(stratum, sizes, threads)))
            yield time.perf_counter() - begin, costs.sum() / cooc.entries


def svd(cooc: Cooc, rounds: int, k: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1, "blas"):
        stage = Stage("transform", None, "entries")
        matrix = svd_module.Operator(*transform_cooc(cooc, PmiSvdOptions(), in_memory, 0, pool, stage))
        print("seconds and columns multiplied until every residual is at most", *RESIDUALS)
        for _ in range(rounds):
            for width in (1, 2, 4):
                show(f"block Krylov, {PANEL * width} columns", block_krylov(matrix, k, width, pool))
            for extra in (0, 1):
                columns = (-(-k // PANEL) + extra) * PANEL
                show(f"shifted power, {columns} columns", shifted_power(matrix, k, columns, pool))


def show(name, passes):
    """Print when a method, which yields columns multiplied and the largest residual after each pass, reached each residual."""
    begin, left = time.perf_counter(), list(RESIDUALS)
    print(f"{name:28s}", end="", flush=True)
    for columns, residual in passes:
        while left and residual <= left[0]:
            print(f"  {time.perf_counter() - begin:6.2f} s {columns:5d}", end="", flush=True)
            left.pop(0)
        if not left or columns > 8000:
            break
    print()


def block_krylov(matrix, k, width, pool):
    default, svd_module.first_width = svd_module.first_width, lambda k: width
    state = svd_module.Krylov.empty(matrix, k, 1)
    svd_module.first_width = default
    while True:
        state.advance(0.0, pool)
        yield 2 * PANEL * width * len(state.passes), state.passes[-1].residual


def shifted_power(matrix, k, columns, pool):
    """dashSVD (Feng, Yu, Xie and Tang 2024): power iteration of A^T A less half of its least value; Gram-matrix SVD."""
    rows, width = matrix.rows.shape
    count, shift, done = columns // PANEL, 0.0, 0
    basis, image, product = panels(count, width), panels(count, rows), panels(count, width)
    basis[:] = panels_of(np.random.default_rng(1).standard_normal((width, columns), np.float32))
    orthonormal(basis, pool)
    while True:
        matrix.rows.multiply(basis, image, pool)
        matrix.transpose.multiply(image, product, pool)
        done += 2 * columns
        values, vectors = scipy.linalg.eigh(inner(image, image, pool))
        values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
        squares, mixed = inner(product, product, pool), inner(basis, product, pool)
        gaps = [np.einsum("ij,ij->j", vectors, m @ vectors) for m in (squares, mixed)]
        yield done, float((np.sqrt(np.maximum(gaps[0] - 2 * values * gaps[1] + values**2, 0)) / values).max())
        add_product(basis, -shift * np.eye(columns), product, pool)
        basis, product = product, basis
        least = orthonormal(basis, pool)
        shift = max(shift, (shift + least) / 2)


def orthonormal(block, pool):
    """Make columns orthonormal by their Gram matrix; returns the least singular value that they had."""
    values, vectors = scipy.linalg.eigh(inner(block, block, pool))
    rotate(block, vectors / np.sqrt(values), pool)
    return float(np.sqrt(values[0]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lab", choices=["tiles", "svd"])
    parser.add_argument("cooc")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--vector-size", type=int, default=100)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    if given.lab == "tiles":
        tiles(Cooc(given.cooc), given.rounds, given.epochs, given.threads)
    else:
        svd(Cooc(given.cooc), given.rounds, given.vector_size, given.threads)

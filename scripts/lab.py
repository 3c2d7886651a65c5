"""Measures the cost of the solvers' constants, alternately, on a co-occurrence directory.

    python scripts/lab.py tiles COOC      size of blocks and of groups in GloVe's grid: seconds and costs
    python scripts/lab.py svd COOC        block Krylov of several widths, and shifted power iteration: seconds to a residual

Keep what is best over several rounds, and note the reason in a comment beside the constant.
"""

from __future__ import annotations

import argparse
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from cooc_engine._kernels.adagrad import train_glove
from cooc_engine.counts.directory import Cooc
from cooc_engine.linalg import svd as svd_module
from cooc_engine.linalg.sparse import PANEL, add_product, inner, panels, panels_of, rotate
from cooc_engine.matrix import adagrad, glove
from cooc_engine.matrix.pmi import transform_cooc
from cooc_engine.matrix.tiles import Grid, deal
from cooc_engine.matrix.visits import InMemory, whole_loss
from cooc_engine.models.matrix_options import GloveOptions, PmiSvdOptions
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.progress import Stage
from cooc_engine.storage.scratch import in_memory

GRIDS = list(itertools.product((1 << 18, 1 << 19, 1 << 20), (1, 4, 8)))
RESIDUALS = (0.1, 0.01, 0.001)


def tiles(cooc: Cooc, options: GloveOptions, rounds: int, threads: int) -> None:
    shape = adagrad.Shape(options.vector_size)
    for _, (size, group) in itertools.product(range(rounds), GRIDS):
        words = len(cooc.vocabulary)
        grid = Grid(words, -(-words * shape.row_bytes // (size * group)) * group, group)
        begin = time.perf_counter()
        dealt = deal(cooc, glove.glove_dealing(cooc, options), grid, options.seed, threads, Stage("deal", None, "entries"))
        seconds = time.perf_counter() - begin
        state = adagrad.State(adagrad.Parameters.random(shape, grid, 1), np.zeros(grid.sides**2))
        schedule, stage = glove.schedule_of(options), Stage("train", None, "entries")
        with ThreadPoolExecutor(threads) as pool:
            visitors = InMemory(pool, threads, train_glove, dealt, state, schedule)
            adagrad.run_epochs(visitors, state, schedule, stage, never)
        epochs = "  ".join(f"{h['seconds']:.2f} s {h['loss']:.4f} idle {h['idle']:.3f}" for h in state.history)
        whole = whole_loss(dealt, state.parameters, threads)
        print(f"{size >> 10:5d} KiB, groups of {group}: {grid.blocks} blocks, dealt in {seconds:.2f} s; {epochs}; ", end="")
        print(f"{whole:.5f} over the whole matrix at the end", flush=True)


def never(step: str, whole: bool) -> None:
    """Write no checkpoint."""


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
    """Print when a method, which yields columns multiplied and the largest residual after each pass, reaches each residual."""
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
    """dashSVD (Feng, Yu, Xie and Tang 2024): power iteration of A^T A, shifted by half its least eigenvalue; Gram SVD."""
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
    """Orthonormalise columns in place by their Gram matrix; returns the least singular value that they had."""
    values, vectors = scipy.linalg.eigh(inner(block, block, pool))
    rotate(block, vectors / np.sqrt(values), pool)
    return float(np.sqrt(values[0]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lab", choices=["tiles", "svd"])
    parser.add_argument("cooc")
    parser.add_argument("--vector-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    if given.lab == "tiles":
        options = GloveOptions(vector_size=given.vector_size, x_max=10, epochs=given.epochs)
        tiles(Cooc(given.cooc), options, given.rounds, given.threads)
    else:
        svd(Cooc(given.cooc), given.rounds, given.vector_size, given.threads)

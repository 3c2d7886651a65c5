"""A kernel lab: what the constants of the solvers cost, measured in turn on a co-occurrence directory.

    python scripts/lab.py tiles COOC      rows a block and blocks a side of GloVe's tile grid: seconds and cost by epoch

Keep what is best over several rounds; the reason goes into a line beside the constant.
"""

from __future__ import annotations

import argparse
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cooc_engine._kernels import factoring
from cooc_engine.config import GloveOptions, usable_cores
from cooc_engine.cooc import Cooc
from cooc_engine.glove import Parameters, log_counts
from cooc_engine.progress import Stage
from cooc_engine.tiles import cut_blocks, deal, share, strata

GRIDS = list(itertools.product((512, 1024, 2048), (24, 48)))


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lab", choices=["tiles"])
    parser.add_argument("cooc")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    tiles(Cooc(given.cooc), given.rounds, given.epochs, given.threads)

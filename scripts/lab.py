"""A kernel lab: what the constants of the solvers cost, measured in turn on a co-occurrence directory.

    python scripts/lab.py tiles COOC      size of blocks and of groups in GloVe's grid: seconds and cost by epoch

Keep what is best over several rounds; the reason goes into a line beside the constant.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np

from cooc_engine import adagrad, glove
from cooc_engine.config import GloveOptions, usable_cores
from cooc_engine.cooc import Cooc
from cooc_engine.progress import Stage
from cooc_engine.tiles import PARTS, Grid, cut_blocks, deal

GRIDS = list(itertools.product((1 << 19, 1 << 20, 1 << 21), (1, 4, 8)))


def tiles(cooc: Cooc, options: GloveOptions, rounds: int, threads: int) -> None:
    shape = adagrad.Shape(options.vector_size)
    for _, (size, group) in itertools.product(range(rounds), GRIDS):
        cuts = cut_blocks(cooc.row_offsets, size // shape.row_bytes)
        grid = Grid(cuts, group_blocks(cooc, cuts, group))
        begin = time.perf_counter()
        dealt = deal(cooc, glove.glove_dealing(cooc, options), grid, options.seed, threads, Stage("deal", None, "entries"))
        seconds = time.perf_counter() - begin
        state = adagrad.State(adagrad.Parameters.random(len(cooc.vocabulary), shape, 1), np.zeros(grid.sides**2))
        adagrad.run_epochs(glove.GLOVE.kernel, state, dealt, options, threads, Stage("train", None, "entries"), lambda: None)
        epochs = "  ".join(f"{h['seconds']:.2f} s {h['loss']:.4f} idle {h['idle']:.3f}" for h in state.history)
        print(f"{size >> 10:5d} KiB, groups of {group}: {grid.blocks} blocks, dealt in {seconds:.2f} s; {epochs}", flush=True)


def group_blocks(cooc: Cooc, cuts: np.ndarray, group: int) -> np.ndarray:
    """Group neighbouring blocks, as `Grid.of` does."""
    return cut_blocks(cooc.row_offsets[cuts], group, PARTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lab", choices=["tiles"])
    parser.add_argument("cooc")
    parser.add_argument("--vector-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    options = GloveOptions(vector_size=given.vector_size, x_max=10, epochs=given.epochs)
    tiles(Cooc(given.cooc), options, given.rounds, given.threads)

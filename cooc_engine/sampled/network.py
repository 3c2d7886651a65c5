"""The two matrices of a sampled model, in memory or mapped from unnamed files."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.scratch import aligned_zeros, mapped_zeros, padded, sphere_start, uniform_start

__all__ = ["START", "Network", "put_on_sphere"]

# Input vectors are initialised between -START/d and START/d. With word2vec's 0.5, skip-gram answers 5 % fewer analogies after
# one epoch on 17 M words; with 2 it answers 8 % more, but a third fewer on a text of 40,000 words.
START = 1.0
START_ROWS = 1 << 10  # rows drawn at a time, an even number
ROUNDING = 1e-6  # how far a row's length may be from 1
NOWHERE: Mapping[str, Path] = {}


@dataclass
class Network:
    """Input and output rows, padded with zeros to whole cache lines; the first d numbers of a row are used.

    names     for each of the two matrices, the names of its arrays in order, with their numbers of rows
    segments  number of padded parts, each of d numbers, that lie side by side in an output row
    """

    d: int
    inputs: Matrix
    outputs: Matrix
    names: tuple[Mapping[str, int], Mapping[str, int]]
    segments: int = 1

    @classmethod
    def random(
        cls,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        d: int,
        seed: int,
        start: float | None = START,
        mapped: Mapping[str, Path] = NOWHERE,
        segments: int = 1,
        threads: int = 1,
    ) -> Network:
        """Return a network whose inputs are drawn uniformly from −start/d to start/d, and whose outputs are 0.

        Without a `start`, all rows are drawn uniformly from the unit sphere. `mapped` gives, for "inputs" and "outputs", the
        directory of the unnamed file that the matrix is mapped from; a matrix that it lacks is in memory. Nothing that is
        drawn depends on `threads`.
        """
        sizes = {"inputs": sum(inputs.values()), "outputs": sum(outputs.values())}
        widths = {"inputs": padded(d), "outputs": padded(d) * segments}
        both = [_zeros(rows, widths[name], mapped.get(name)) for name, rows in sizes.items()]
        network = cls(d, both[0], both[1], (inputs, outputs), segments)
        if start is not None:
            _draw_uniform(network.inputs[:, :d], seed, start, threads)
            return network
        random = np.random.Generator(np.random.PCG64(seed))
        for matrix in both:
            for first in range(0, len(matrix), START_ROWS):
                rows = matrix[first : first + START_ROWS, :d]
                rows[:] = sphere_start(random, rows.shape)
        return network

    def arrays(self) -> dict[str, Matrix]:
        """Return the arrays by name, without padding, as views of the matrices: (rows, d), or (rows, segments, d)."""
        outputs = self.outputs if self.segments == 1 else self.outputs.reshape(len(self.outputs), self.segments, -1)
        found = {}
        for matrix, names in zip((self.inputs, outputs), self.names, strict=True):
            first = 0
            for name, rows in names.items():
                found[name] = matrix[first : first + rows, ..., : self.d]
                first += rows
        return found


def _draw_uniform(matrix: Matrix, seed: int, start: float, threads: int) -> None:
    """Draw rows (n, d) uniformly from −start/d to start/d: each thread goes to its place in the one sequence of numbers."""
    d = matrix.shape[1]

    def draw(first: int) -> None:
        rows = matrix[first : first + START_ROWS]
        bits = np.random.PCG64(seed).advance(first * d // 2)  # of which each step gives two numbers
        rows[:] = uniform_start(np.random.Generator(bits), rows.shape, d, start)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, range(0, len(matrix), START_ROWS)))


def put_on_sphere(arrays: Mapping[str, Matrix], seed: int) -> None:
    """Divide each row of matrices by its length, in place, unless that is 1 up to rounding; rows of zeros are drawn anew."""
    random = np.random.Generator(np.random.PCG64(seed))
    for matrix in arrays.values():
        for first in range(0, len(matrix), START_ROWS):
            rows = matrix[first : first + START_ROWS]
            lengths = np.linalg.norm(rows, axis=1)
            if not lengths.all():
                rows[lengths == 0] = sphere_start(random, (int((lengths == 0).sum()), rows.shape[1]))
            off = (lengths > 0) & (np.abs(lengths - 1) > ROUNDING)
            rows[off] /= lengths[off, None]


def _zeros(rows: int, columns: int, directory: Path | None) -> Matrix:
    return aligned_zeros(rows, columns) if directory is None else mapped_zeros(directory, rows, columns)

"""The vectors that queries use, computed from a model's matrices by a recipe, a part at a time."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Matrix, Rows

__all__ = ["RECIPES", "WITH_WORDS", "WORDLESS", "ListedRows", "Published", "Recipe", "combined", "mean_vector"]


@dataclass(frozen=True)
class Recipe:
    """The way in which vectors of words are computed from matrices.

    arrays        names of matrices with a row per word: a single one is used unchanged, several are summed
    side_by_side  whether the matrices' rows are concatenated instead of summed
    listed        name of a matrix with other rows: a word's vector is the mean of its own rows and those listed for it
    """

    arrays: tuple[str, ...]
    side_by_side: bool = False
    listed: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all arrays that the recipe uses."""
        return (*self.arrays, self.listed) if self.listed else self.arrays

    def width(self, d: int) -> int:
        """Return the dimension of the vectors, given matrices with rows of length d."""
        return d * len(self.arrays) if self.side_by_side else d

    def joined(self, parts: Sequence[Matrix]) -> Matrix:
        """Return the rows of the arrays combined: a single array unchanged, the sum, or the concatenation of several."""
        return np.concatenate(parts, axis=-1) if self.side_by_side else functools.reduce(operator.add, parts)


# The choices of vectors, by their names in `--vectors` and in model files; of `none`, words have no vectors.
RECIPES: Mapping[str, Recipe] = {
    "w": Recipe(("words",)),
    "c": Recipe(("contexts",)),
    "w+c": Recipe(("words", "contexts")),
    "concat": Recipe(("words", "contexts"), side_by_side=True),
    "none": Recipe(()),
}
WORDLESS = "has no vectors of words: PV-DBOW with --loss=hs trains documents alone; take these, or train with --words=on too"
WITH_WORDS = tuple(name for name, recipe in RECIPES.items() if recipe.arrays)


GATHERED = 1 << 16  # listed rows that are copied at a time


class ListedRows(NamedTuple):
    """For each of V words, a list of rows of one matrix, such as those of its subwords.

    starts (V + 1,): word i has rows[starts[i]:starts[i + 1]]; a row that is listed twice counts twice.
    """

    starts: Rows
    rows: Rows

    def among(self, kept: Rows) -> ListedRows:
        """Return lists of the places of rows in `kept`, which is ascending; rows that are not in it are left out."""
        places = np.searchsorted(kept, self.rows)
        known = places < len(kept)
        known[known] = kept[places[known]] == self.rows[known]
        ends = offsets_of(known)
        return ListedRows(ends[self.starts], places[known])

    def sums(self, words: Rows, matrix: Any) -> tuple[Matrix, Rows]:
        """Return the sums of the listed rows of some words, float32 (n, d), and the number of rows of each, (n,).

        Only these rows are read from the matrix: an array, or an object whose rows are read like those of an array.
        """
        sizes = self.starts[words + 1] - self.starts[words]
        found, ends = np.empty((len(words), matrix.shape[1]), np.float32), np.cumsum(sizes)
        first = 0
        while first < len(words):
            most = ends[first] - sizes[first] + GATHERED
            last = max(first + 1, int(np.searchsorted(ends, most, "right")))
            found[first:last] = self._sums_of(words[first:last], matrix)
            first = last
        return found, sizes

    def _sums_of(self, words: Rows, matrix: Any) -> Matrix:
        """Return the sums for words whose listed rows are all copied at once."""
        from scipy.sparse import csr_array  # imported here, since only models with lists need it

        begins = self.starts[words]
        sizes = self.starts[words + 1] - begins
        ends = offsets_of(sizes)
        chosen = self.rows[np.repeat(begins - ends[:-1], sizes) + np.arange(ends[-1])]
        ones = np.ones(len(chosen), np.float32)
        sums: Matrix = csr_array((ones, np.arange(len(chosen)), ends), shape=(len(words), len(chosen))) @ matrix[chosen]
        return sums


def combined(arrays: Mapping[str, Matrix], published: str) -> Matrix:
    """Return the vectors of a choice: one of the matrices unchanged, their sum, or their concatenation."""
    recipe = RECIPES[published]
    return recipe.joined([arrays[name] for name in recipe.arrays])


class Published:
    """The vectors that queries use, float32 (V, d), computed from a model's matrices a part at a time.

    `published[rows]` and `published[a:b]` return vectors; a slice of a single matrix is a view of it, mapped and not copied.

    arrays  matrices by name, or objects whose rows are read like those of an array
    center  (d,) is subtracted from each vector
    lists   the listed rows of each word, if the recipe has `listed`
    """

    def __init__(
        self, arrays: Mapping[str, Any], recipe: Recipe, center: Matrix | None = None, lists: ListedRows | None = None
    ) -> None:
        self._arrays, self._recipe, self._center, self._lists = arrays, recipe, center, lists
        size = len(arrays[recipe.arrays[0]]) if lists is None else len(lists.starts) - 1
        self.shape: tuple[int, int] = (size, recipe.width(arrays[recipe.needs[0]].shape[1]))

    @property
    def only(self) -> Any:
        """The object whose rows are the vectors, if nothing is computed from them; else None."""
        plain = len(self._recipe.needs) == 1 and self._lists is None and self._center is None
        return self._arrays[self._recipe.needs[0]] if plain else None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Matrix:
        own = [self._arrays[name][rows] for name in self._recipe.arrays]
        part = self._recipe.joined(own) if self._lists is None else self._mean(rows, own, self._lists)
        return part if self._center is None else part - self._center

    def _mean(self, rows: Any, own: Sequence[Matrix], lists: ListedRows) -> Matrix:
        """Return the means of the words' own and listed rows; a word without either gets 0."""
        words = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows, np.int64)
        flat = np.where(words < 0, words + len(self), words).reshape(-1)
        total, sizes = lists.sums(flat, self._arrays[self._recipe.listed])
        for matrix in own:
            total += matrix.reshape(total.shape)
        total /= np.maximum(sizes + len(own), 1)[:, None].astype(np.float32)
        return total.reshape(*words.shape, self.shape[1])


def mean_vector(arrays: Mapping[str, Matrix], published: str) -> Matrix:
    """Return the mean of the vectors of a choice, summed in float64."""
    means = {name: arrays[name].mean(0, dtype=np.float64)[None] for name in RECIPES[published].arrays}
    mean: Matrix = combined(means, published)[0].astype(np.float32)
    return mean

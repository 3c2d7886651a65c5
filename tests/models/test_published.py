"""Published vectors against a plain loop: one matrix, sums, side by side, means of listed rows."""

from __future__ import annotations

import numpy as np
import pytest

from cooc_engine.models.published import RECIPES, WITH_WORDS, ListedRows, Published, Recipe

SIZE, BUCKETS, D = 9, 14, 5
RNG = np.random.default_rng(3)
ARRAYS = {
    "words": RNG.normal(size=(SIZE, D)).astype(np.float32),
    "contexts": RNG.normal(size=(SIZE, D)).astype(np.float32),
    "subwords": RNG.normal(size=(BUCKETS, D)).astype(np.float32),
}
LISTS = [RNG.integers(0, BUCKETS, n).tolist() for n in (3, 0, 1, 5, 0, 2, 2, 9, 0)]
LISTS[5] = [4, 4]  # two subwords of one bucket
LISTED = ListedRows(np.cumsum([0, *map(len, LISTS)]), np.array([row for rows in LISTS for row in rows], np.int64))
PARTS = [slice(None), slice(2, 6), slice(1, 9, 3), slice(4, 4), np.array([8, 0, 0, 5]), np.array([[1, 2], [7, -1]]), 3, -9]


def naive_means(own: tuple[str, ...]) -> np.ndarray:
    """fastText's vectors: the mean of a word's own rows and of its subwords' rows; 0 where there is neither."""
    result = np.zeros((SIZE, D))
    for word, listed in enumerate(LISTS):
        rows = [ARRAYS[name][word] for name in own] + [ARRAYS["subwords"][row] for row in listed]
        if rows:
            result[word] = np.mean(np.array(rows, np.float64), axis=0)
    return result


@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize("own", [("words",), (), ("words", "contexts")], ids=str)
def test_means_of_listed_rows_are_the_twins(own, part):
    made = Published(ARRAYS, Recipe(own, listed="subwords"), lists=LISTED)
    assert made.shape == (SIZE, D)
    found, wanted = made[part], naive_means(own)[part]
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def test_a_part_has_the_bits_of_the_whole():
    made = Published(ARRAYS, Recipe(("words",), listed="subwords"), lists=LISTED)
    assert np.array_equal(np.concatenate([made[0:4], made[4:9]]), made[:])


def test_a_center_is_subtracted():
    center = np.arange(D, dtype=np.float32)
    made = Published(ARRAYS, Recipe(("words",), listed="subwords"), center, LISTED)
    np.testing.assert_allclose(made[:], naive_means(("words",)) - center, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("choice", WITH_WORDS)
def test_choices(choice):
    words, contexts = ARRAYS["words"], ARRAYS["contexts"]
    wanted = {"w": words, "c": contexts, "w+c": words + contexts, "concat": np.hstack([words, contexts])}[choice]
    made = Published(ARRAYS, RECIPES[choice])
    assert made.shape == wanted.shape
    assert np.array_equal(made[2:7], wanted[2:7])
    assert np.array_equal(made[[8, 1]], wanted[[8, 1]])


def test_a_single_matrix_is_not_copied():
    assert np.shares_memory(Published(ARRAYS, RECIPES["w"])[1:3], ARRAYS["words"])

"""Counts of words in texts, as a matrix whose product with the vectors of the words gives sums of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["word_table"]


def word_table(texts: Sequence[Sequence[str]]) -> tuple[list[str], Any]:
    """Return the distinct words of texts, and how often each occurs in each text: a CSC matrix, float64 (n, words)."""
    from scipy.sparse import coo_array

    numbers: dict[str, int] = {}
    columns = np.fromiter((numbers.setdefault(word, len(numbers)) for text in texts for word in text), np.int64)
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    return list(numbers), coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(numbers))).tocsc()

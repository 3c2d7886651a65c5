"""Subsampling of frequent words: the probability of keeping an occurrence, as in the word2vec program."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["keep_probabilities"]


def keep_probabilities(
    counts: npt.NDArray[np.int64], threshold: float | None, total: int | None = None
) -> npt.NDArray[np.uint64]:
    """Return min(1, (√(f/t) + 1)·t/f) times 2⁶⁴ for each word, as in word2vec, or an empty array without a threshold t.

    f is a word's share of `total` tokens, by default the sum of the counts; a word that never occurs is kept.
    """
    if threshold is None:
        return np.empty(0, np.uint64)
    shares = counts / max(1, total or counts.sum())
    with np.errstate(over="ignore"):  # then the word is kept
        ratio = np.divide(threshold, shares, out=np.full(len(shares), np.inf), where=shares > 0)
    probability = np.sqrt(ratio) + ratio
    scaled = np.ldexp(np.minimum(probability, 1 - 2.0**-53), 64).astype(np.uint64)
    return np.where(probability < 1, scaled, np.uint64(2**64 - 1))

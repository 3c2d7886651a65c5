"""Places and colours of words in the plane, so that words with similar vectors are near each other."""

from __future__ import annotations

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.reports.canvas import COLOURS
from cooc_engine.runtime.types import Floats

__all__ = ["frequent_words", "groups_of", "neighbourhood_map", "units_of"]

PERPLEXITY = 12.0  # below t-SNE's usual 30, since a map has only about 300 words
COMMONEST = 50  # most frequent words left out: function words, which are near everything


def frequent_words(vocabulary: Vocabulary, words: int) -> list[int]:
    """Return the rows of the `words` most frequent words, without punctuation, numbers and the very commonest words."""
    skipped = min(COMMONEST, len(vocabulary) // 10)
    rows: list[int] = []
    for row, word in enumerate(vocabulary.words[skipped:], skipped):
        if len(rows) == words:
            break
        if word.replace("_", "").isalpha() and (len(word) > 2 or not word.isascii()):
            rows.append(row)
    return rows


def units_of(vectors: Floats) -> Floats:
    """Return the rows centred, then scaled to length 1: a direction common to all words distinguishes none of them."""
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    units: Floats = centred / np.maximum(lengths, np.finfo(np.float64).tiny)
    return units


def groups_of(units: Floats) -> list[int]:
    """Return the Ward cluster of each unit vector, numbered from 0: the index of its colour."""
    from scipy.cluster.hierarchy import fcluster, linkage

    return [int(group) - 1 for group in fcluster(linkage(units, "ward"), len(COLOURS), "maxclust")]


def neighbourhood_map(units: Floats) -> Floats:
    """Return a point in the plane (n, 2) for each unit vector (n, d), n at least 3, by scikit-learn's t-SNE.

    It starts from the principal components and uses the exact method (the sums of the approximate one depend on the number of
    threads), so it is reproducible.
    """
    from sklearn.manifold import TSNE

    if not units.any():
        return np.zeros((len(units), 2))  # equal vectors have no principal components to start from
    plane = np.pad(units, ((0, 0), (0, max(0, 2 - units.shape[1]))))
    perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
    places: Floats = TSNE(perplexity=perplexity, init="pca", method="exact", random_state=1).fit_transform(plane)
    return places

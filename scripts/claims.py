"""Shows what the articles on GloVe and simpler-GloVe promise, with numbers of the models at hand.

    python scripts/claims.py TEXT MODEL.h5...

For each model: the rank correlation of the squared norm with -log P(word); the shortest of the 2,000 most frequent words;
and the part that the 100 most frequent words have in the sum of all vectors of TEXT, before and after the mean of the
vectors is subtracted.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
from scipy.stats import spearmanr
from xopen import xopen

from cooc_engine import Model, open_model

FREQUENT = 2000
STOP_WORDS = 100
SHOWN = 12


def word_counts(text: str) -> Counter[str]:
    """Return how often each word stands in a text, plain or compressed."""
    counts: Counter[str] = Counter()
    with xopen(text, "rb") as file:
        for line in file:
            counts.update(line.decode().split())
    return counts


def squared_norms(model: Model) -> np.ndarray:
    vectors = model.vectors.astype(np.float64)
    return np.einsum("ij,ij->i", vectors, vectors)


def norm_correlation(model: Model) -> float:
    """Return Spearman's correlation of |v|² with -log P(w) over all words."""
    return float(spearmanr(squared_norms(model), -np.log(model.vocabulary.counts)).statistic)


def shortest(model: Model, among: int = FREQUENT) -> list[str]:
    """Return the words of the `among` most frequent, the shortest vectors first."""
    return [model.vocabulary.words[i] for i in np.argsort(squared_norms(model)[:among])]


def stop_words_share(model: Model, counts: Counter[str], *, centred: bool) -> float:
    """Return s_stop·s / |s|²: s is the sum of the vectors of all words of a text, s_stop of its most frequent ones."""
    vectors = model.vectors.astype(np.float64)
    if centred:
        vectors -= vectors.mean(0)
    here = np.array([counts.get(word, 0) for word in model.vocabulary.words], np.float64)
    frequent = np.argsort(-here, kind="stable")[:STOP_WORDS]
    whole, stop = here @ vectors, here[frequent] @ vectors[frequent]
    return float(stop @ whole / (whole @ whole))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text")
    parser.add_argument("models", nargs="+")
    given = parser.parse_args()
    counts = word_counts(given.text)
    for path in given.models:
        model = open_model(path)
        shares = [stop_words_share(model, counts, centred=centred) for centred in (False, True)]
        print(f"{path}: {model.family}")
        print(f"  correlation of |v|² and -log P: {norm_correlation(model):.3f}")
        print(f"  shortest of the {FREQUENT} most frequent: {' '.join(shortest(model)[:SHOWN])}")
        print(f"  the {STOP_WORDS} most frequent words' part in summed text: {shares[0]:.1%}, centred {shares[1]:.1%}")


if __name__ == "__main__":
    main()

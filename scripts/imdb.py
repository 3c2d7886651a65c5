"""Evaluates word vectors by sentiment of film reviews, predicted from the sum of the vectors of their words.

    python scripts/imdb.py MODEL.h5... --train imdb.train.txt.xz --test imdb.test.txt.xz

A line is `__label__pos` or `__label__neg` and a text (Maas et al. 2011). Sums grow with a text, and components of PMI vectors
differ in size: each is standardised to mean 0 and variance 1 over the training reviews. The classifiers are a logistic
regression (L2, C = 1) and a network with one hidden layer of 64 ReLU (Adam; early stopping on a tenth of the training reviews).
Printed: the accuracy on the test reviews, with its 95 % bootstrap interval from 1,000 resamplings.
Needs scikit-learn.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xopen import xopen

from cooc_engine import Vectors
from cooc_engine.evaluation.bootstrap import interval, resampled_means

LABELS = {"__label__neg": False, "__label__pos": True}
HIDDEN = 64
RESAMPLES = 1000
CLASSIFIERS = {
    "logistic regression": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    f"hidden layer of {HIDDEN}": lambda seed: MLPClassifier((HIDDEN,), early_stopping=True, random_state=seed),
}


def read_reviews(path: str) -> tuple[list[str], np.ndarray]:
    """Return the texts, and whether each is positive, bool (n,)."""
    texts, labels = [], []
    with xopen(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            label, _, text = line.partition(" ")
            if label not in LABELS:
                raise SystemExit(f"{path}:{number}: a line begins with {label[:20]!r}; it must be one of {', '.join(LABELS)}")
            texts.append(text)
            labels.append(LABELS[label])
    return texts, np.array(labels)


def told_right(make, train, test, seed: int) -> np.ndarray:
    """Return which test reviews a classifier predicts correctly, bool (n,); train and test are (features, labels)."""
    classifier = make_pipeline(StandardScaler(), make(seed)).fit(*train)
    return classifier.predict(test[0]) == test[1]


def shown(right: np.ndarray, seed: int) -> str:
    low, high = interval(resampled_means([right], RESAMPLES, [seed])[0])
    return f"{right.mean():.1%} ({low:.1%}–{high:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    (train, train_labels), (test, test_labels) = read_reviews(given.train), read_reviews(given.test)
    print("", "family", *CLASSIFIERS, sep=" | ")
    for path in given.models:
        vectors = Vectors.open(path)
        known = (vectors.sentence_vectors(train), train_labels), (vectors.sentence_vectors(test), test_labels)
        cells = [shown(told_right(make, *known, given.seed), given.seed) for make in CLASSIFIERS.values()]
        print(path, vectors.family, *cells, sep=" | ", flush=True)


if __name__ == "__main__":
    main()

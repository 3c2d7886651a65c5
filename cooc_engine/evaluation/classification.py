"""Classifying documents by their vectors: how well do labelled documents predict the labels of others?

The classifiers are scikit-learn's nearest neighbours and logistic regression. Intervals are those of a bootstrap of the test
documents, the same resamples for all models. (A classifier that is a model itself is judged by `Classifier.test`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from cooc_engine.evaluation.bootstrap import draws_of, resamples
from cooc_engine.evaluation.documents import Outcome, Task, task_rows
from cooc_engine.evaluation.labelled import numbered, read_labelled
from cooc_engine.evaluation.options import ClassifyOptions
from cooc_engine.evaluation.scores import SetScores
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import several
from cooc_engine.runtime.progress import Shown
from cooc_engine.runtime.types import Floats, Matrix, PathLike, Rows
from cooc_engine.vectors.query import Vectors

__all__ = ["Classification", "accuracy", "classify", "macro_f1"]

MOST_STEPS = 1000  # of a logistic regression


@gated
def classify(
    models: PathLike | Iterable[PathLike] | Mapping[str, Vectors],
    train: PathLike,
    test: PathLike,
    options: ClassifyOptions | None = None,
    *,
    labels: PathLike | Sequence[PathLike] = (),
    progress: Shown = None,
) -> list[dict[str, Any]]:
    """Classify documents by their vectors; return rows of model, dataset, kind, value, low, high, covered and total.

    models       model files or files of vectors, or opened ones by name
    train, test  texts with one document per line: classifiers learn from the first; `options` determine where labels and
                 vectors come from
    labels       two files of labels, one per line, if the labels are not in the texts

    Kinds are the accuracy, "micro-f1", which is equal to it as each document has one label, and "macro-f1", the mean over all
    labels, each for "knn", a vote of the `neighbours` nearest documents, and for "logistic" regression (L2, C = 1) on
    components scaled to mean 0 and variance 1. `low` and `high` enclose 95 % of `samples` bootstrap samples; `covered` test
    documents have a vector, and `documents` states how it was made.
    Raises `UsageError` if scikit-learn is missing, and what `read_labelled` raises.
    """
    return task_rows(Classification.of(train, test, options, labels), models, progress)


class Classification(Task):
    """Labelled documents to learn from, and others to classify."""

    options: ClassifyOptions

    @classmethod
    def of(
        cls, train: PathLike, test: PathLike, options: ClassifyOptions | None = None, labels: PathLike | Sequence[PathLike] = ()
    ) -> Classification:
        """Read the documents."""
        options = defaulted("classify", ClassifyOptions, options)
        return cls(read_labelled([train, test], options, several(labels)), options)

    @property
    def _labels(self) -> tuple[list[str], Rows, Rows]:
        """The labels, and which of them the documents of both parts have."""
        names, numbers = numbered(label for part in self.parts for label in part.labels)
        size = len(self.parts[0].labels)
        return names, numbers[:size], numbers[size:]

    def outcome(self, vectors: Vectors) -> Outcome:
        """Return the number of the label that each classifier predicts for each test document."""
        train, test = (self.points(part, vectors) for part in self.parts)
        labels = self._labels[1]
        predicted = {
            kind: predict(train.vectors, labels, test.vectors, self.options).tolist() for kind, predict in CLASSIFIERS.items()
        }
        return {"covered": test.covered, "documents": test.made, "results": predicted}

    def fits(self, outcome: Outcome) -> bool:
        """Tell whether there is the number of a label for each test document, by each classifier."""
        (names, _, wanted), found = self._labels, outcome["results"]
        numbers = [number for predicted in found.values() for number in predicted]
        sizes = {kind: len(predicted) for kind, predicted in found.items()}
        return sizes == dict.fromkeys(CLASSIFIERS, len(wanted)) and {*numbers} <= {*range(len(names))}

    def scored(self, outcomes: Sequence[Outcome]) -> Iterator[SetScores]:
        """Yield the scores of several models from their outcomes, on the same resamples of the test documents."""
        name, covered = self.parts[1].name, min(outcome["covered"] for outcome in outcomes)
        names, _, wanted = self._labels
        draws = draws_of(name, self.options.samples, self.options.seed)
        for kind in CLASSIFIERS:
            predicted = [np.array(outcome["results"][kind], np.int64) for outcome in outcomes]
            for measure, score in MEASURES.items():
                resampled = np.concatenate([
                    [score(wanted, found, weights, len(names)) for found in predicted]
                    for weights in resamples(len(wanted), *draws)
                ], axis=1)  # fmt: skip
                exact = [float(score(wanted, found, np.ones((1, len(wanted))), len(names))[0]) for found in predicted]
                yield SetScores(name, f"{kind}-{measure}", len(wanted), covered, exact, resampled)


def _nearest(train: Matrix, labels: Rows, test: Matrix, options: ClassifyOptions) -> Rows:
    from sklearn.neighbors import KNeighborsClassifier

    count = min(options.neighbours, len(train))
    found: Rows = KNeighborsClassifier(count, algorithm="brute").fit(train, labels).predict(test)
    return found


def _logistic(train: Matrix, labels: Rows, test: Matrix, options: ClassifyOptions) -> Rows:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) == 1:
        return np.full(len(test), labels[0])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_STEPS))
    found: Rows = model.fit(train.astype(np.float64), labels).predict(test.astype(np.float64))
    return found


CLASSIFIERS: Mapping[str, Callable[[Matrix, Rows, Matrix, ClassifyOptions], Rows]] = {"knn": _nearest, "logistic": _logistic}


def accuracy(wanted: Rows, found: Rows, weights: Floats, labels: int) -> Floats:
    """Return the share of documents whose label is found, in each of m resamples: (m,) from weights (m, n)."""
    share: Floats = weights @ (wanted == found) / weights.sum(axis=1)
    return share


def _marks(numbers: Rows, labels: int) -> sp.csr_array:
    """Return a matrix (documents, labels) that is 1 where a document has a label."""
    return sp.csr_array((np.ones(len(numbers)), (np.arange(len(numbers)), numbers)), (len(numbers), labels))


def macro_f1(wanted: Rows, found: Rows, weights: Floats, labels: int) -> Floats:
    """Return the mean over labels of F1, 2 · hits / (documents that have the label + that are predicted to), (m,).

    Labels that in a resample neither a document has nor is predicted to have are left out, as in scikit-learn.
    """
    right = wanted == found
    hits = weights[:, right] @ _marks(wanted[right], labels)
    uses = weights @ (_marks(wanted, labels) + _marks(found, labels))
    scores = np.divide(2 * hits, uses, out=np.zeros_like(hits), where=uses > 0)
    mean: Floats = scores.sum(axis=1) / (uses > 0).sum(axis=1)
    return mean


MEASURES: Mapping[str, Callable[[Rows, Rows, Floats, int], Floats]] = {
    "accuracy": accuracy,
    "micro-f1": accuracy,  # hits over predictions is both precision and recall, each document having one label
    "macro-f1": macro_f1,
}

"""Clustering documents: do the clusters of their vectors agree with their labels?

Clusters are those of k-means, and of spherical k-means (Dhillon and Modha 2001), in which centres and documents have length 1.
Each is run with several seeds: a score is the mean over these, and its interval contains 95 % of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cooc_engine.evaluation.documents import Outcome, Task, task_rows
from cooc_engine.evaluation.judge import purity
from cooc_engine.evaluation.labelled import numbered, read_labelled
from cooc_engine.evaluation.options import ClusterOptions
from cooc_engine.evaluation.scores import SetScores
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import several
from cooc_engine.runtime.progress import Shown
from cooc_engine.runtime.types import Matrix, PathLike, Rows
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.search import scaled

__all__ = ["Clustering", "cluster", "spherical_k_means"]

MOST_STEPS = 300  # of a clustering
MEASURES = "nmi", "mi", "ari", "purity"


@gated
def cluster(
    models: PathLike | Iterable[PathLike] | Mapping[str, Vectors],
    texts: PathLike | Sequence[PathLike],
    options: ClusterOptions | None = None,
    *,
    labels: PathLike | Sequence[PathLike] = (),
    progress: Shown = None,
) -> list[dict[str, Any]]:
    """Cluster labelled documents by their vectors; return rows of model, dataset, kind, value, low, high, covered and total.

    models    model files or files of vectors, or opened ones by name
    texts     texts with one document per line, all clustered together; `options` determine where labels and vectors come from
    labels    files of labels, one per line and one file per text, if the labels are not in the texts

    Kinds are mutual information ("mi", in nats), normalised ("nmi", by the mean of both entropies), the adjusted Rand index
    ("ari") and purity, each for "k-means" and for "spherical" k-means. `value` is the mean over `runs` seeds, `low` and `high`
    enclose 95 % of them; `covered` documents have a vector, and `documents` states how it was made. Raises `UsageError` if
    scikit-learn is missing, and what `read_labelled` raises.
    """
    return task_rows(Clustering.of(several(texts), options, several(labels)), models, progress)


class Clustering(Task):
    """Labelled documents to cluster, all together."""

    options: ClusterOptions

    @classmethod
    def of(
        cls, texts: Sequence[PathLike], options: ClusterOptions | None = None, labels: Sequence[PathLike] = ()
    ) -> Clustering:
        """Read the documents."""
        options = defaulted("cluster", ClusterOptions, options)
        return cls(read_labelled(texts, options, labels), options)

    def outcome(self, vectors: Vectors) -> Outcome:
        """Return the scores of each run of both kinds of clustering."""
        documents, options = self.documents, self.options
        results: dict[str, list[float]] = {}
        points = self.points(documents, vectors)
        names, labels = numbered(documents.labels)
        count = min(options.clusters or len(names), len(np.unique(points.vectors, axis=0)))
        for kind, clusters_of in KINDS.items():
            seeds = range(options.seed, options.seed + options.runs)
            runs = [_scores(labels, clusters_of(points.vectors, count, seed)) for seed in seeds]
            results |= {f"{kind}-{name}": [run[name] for run in runs] for name in runs[0]}
        return {"covered": points.covered, "documents": points.made, "results": results}

    def fits(self, outcome: Outcome) -> bool:
        """Tell whether there is a number for each run of each kind."""
        sizes = {f"{kind}-{name}": self.options.runs for kind in KINDS for name in MEASURES}
        return {kind: len(found) for kind, found in outcome["results"].items()} == sizes

    def scored(self, outcomes: Sequence[Outcome]) -> Iterator[SetScores]:
        """Yield the scores of several models from their outcomes; run by run, they had the same seeds."""
        documents, covered = self.documents, min(outcome["covered"] for outcome in outcomes)
        for kind in outcomes[0]["results"]:
            runs = np.array([outcome["results"][kind] for outcome in outcomes], np.float64)
            yield SetScores(documents.name, kind, len(documents.labels), covered, runs.mean(axis=1).tolist(), runs)


def _scores(labels: Rows, clusters: Rows) -> dict[str, float]:
    from sklearn import metrics

    agreement = metrics.normalized_mutual_info_score, metrics.mutual_info_score, metrics.adjusted_rand_score
    scores = *(float(score(labels, clusters)) for score in agreement), purity(clusters, labels)
    return dict(zip(MEASURES, scores, strict=True))


def _k_means(points: Matrix, count: int, seed: int) -> Rows:
    from sklearn.cluster import KMeans

    clusters: Rows = KMeans(count, n_init=1, max_iter=MOST_STEPS, random_state=seed).fit_predict(points)
    return clusters


def spherical_k_means(points: Matrix, count: int, seed: int) -> Rows:
    """Return the cluster of each point, (n,): that of the centre with the greatest cosine; a centre is the mean's direction.

    The first centres are drawn as those of k-means++. A cluster that loses its last point keeps its centre.
    """
    from sklearn.cluster import kmeans_plusplus

    units = scaled(points)
    centres, clusters = kmeans_plusplus(units, count, random_state=seed)[0], np.full(len(units), -1)
    for _ in range(MOST_STEPS):
        found = (units @ centres.T).argmax(axis=1)
        if np.array_equal(found, clusters):
            break
        clusters = found
        sums = np.stack([units[clusters == cluster].sum(axis=0) for cluster in range(count)])
        centres = np.where(sums.any(axis=1, keepdims=True), scaled(sums), centres)
    return clusters


KINDS: Mapping[str, Callable[[Matrix, int, int], Rows]] = {"k-means": _k_means, "spherical": spherical_k_means}

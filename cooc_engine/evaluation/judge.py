"""Evaluating vectors on word and sentence pairs, analogies, categories and outliers; every score comes with its coverage."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError
from cooc_engine.evaluation.analogies import KINDS, answered
from cooc_engine.evaluation.bootstrap import interval, resampled_correlations, resampled_means
from cooc_engine.evaluation.correlation import CORRELATIONS
from cooc_engine.evaluation.labelled import numbered
from cooc_engine.evaluation.options import EvalOptions
from cooc_engine.evaluation.protocol import Judged
from cooc_engine.evaluation.sets import (
    AnalogySet,
    CategorySet,
    OutlierSet,
    PairSet,
    read_analogies,
    read_categories,
    read_outliers,
    read_pairs,
    read_sentence_pairs,
)
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import AtLeast
from cooc_engine.runtime.paths import listed
from cooc_engine.runtime.types import Floats, Mask, Paths
from cooc_engine.vectors.query import Vectors

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["SETS", "Kind", "More", "evaluate", "pair_cosines", "purity"]

RESTRICT = 30_000  # the default of word2vec's compute-accuracy
STARTS = 30  # starts of k-means, the best of which is kept
Row = dict[str, Any]


class More(TypedDict, total=False):
    """Further keywords of `evaluate`.

    sentence_pairs   files for `read_sentence_pairs`: the same correlations, with cosines of the summed word vectors
    categories       files for `read_categories`: purity of k-means clusters of the unit vectors, with k the number of classes
    outliers         files for `read_outliers`: the share of outliers ranked last, and how close to last they rank
    bootstrap        number of resamples; if above 0, rows have `low` and `high`, the 95 % interval of the score
    seed             seed of the bootstrap and of the starts of k-means
    trust_tokenizer  whether texts may be split by the Python function that a model file names, as in `Vectors.open`
    """

    sentence_pairs: Paths
    categories: Paths
    outliers: Paths
    bootstrap: int
    seed: int
    trust_tokenizer: bool


@gated
def evaluate(
    models: Vectors | Paths | Mapping[str, Judged],
    pairs: Paths = (),
    analogies: Paths = (),
    restrict: Annotated[int | None, AtLeast(1)] = RESTRICT,
    *,
    by_section: bool = False,
    **more: Unpack[More],
) -> list[Row]:
    """Evaluate models on word pairs, analogies and more; return rows {model, dataset, kind, value, covered, total}.

    >>> [row["kind"] for row in evaluate("model.h5", "pairs.tsv")]
    ['spearman', 'pearson']

    models      models, model files or files of vectors in other formats, or vectors, alone or by name
    pairs       files for `read_pairs`: Spearman and Pearson correlation of the cosines with the human scores, -1..1
    analogies   files for `read_analogies`: accuracy of 3CosAdd and 3CosMul on unit vectors over the covered questions
                (Levy and Goldberg 2014), the question's own words excluded as answers, 0..1
    restrict    analogies use only this many of the first words, None for all; their rows record it
    by_section  add a row for each section of analogies, as dataset "file:section"
    more        sentence_pairs, categories, outliers, bootstrap, seed and trust_tokenizer: see `More`

    Words are matched as written or else lower-cased. `unseen`, if there are any, is the number of covered pairs with a word
    outside the vocabulary, which has a vector from its subwords. `value` is None where it is undefined: fewer than two covered
    pairs, no covered question, or a constant series. `dataset` is the file's name without suffix. Raises `InputError`, naming
    the line, for a file that cannot be read, and what `Vectors.open` raises.
    """
    for name in more:
        if name not in More.__annotations__:
            raise TypeError(
                f"evaluate() got an unexpected keyword argument {name!r}; it takes {', '.join(More.__annotations__)}"
            )
    how: Any = {name: value for name, value in more.items() if name not in SETS}
    options = EvalOptions(by_section=by_section, **how)
    files: dict[str, Any] = {"pairs": pairs, "analogies": analogies, **more}
    sets = [(kind.judge, kind.read(path)) for name, kind in SETS.items() for path in listed(files.get(name, ()))]
    if not sets:
        first, *others = (f"--{name.replace('_', '-')}=FILE" for name in SETS)
        raise UsageError(f"nothing to evaluate on; pass {first} or one of {', '.join(others)}")
    rows = []
    for name, vectors in _named(models, options.trust_tokenizer):
        limit = min(restrict or len(vectors), len(vectors))
        judge = _Judge(vectors, limit, options.by_section, options.bootstrap, options.seed)
        rows += [{"model": name, **row} for ask, data in sets for row in ask(judge, data)]
    return rows


def _named(models: Vectors | Paths | Mapping[str, Judged], trust: bool) -> Iterator[tuple[str, Judged]]:
    """Yield names and vectors; only one model is open at a time."""
    if isinstance(models, Vectors):
        models = {"vectors": models}
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for path in listed(models):
        yield str(path), Vectors.open(path, trust_tokenizer=trust)


@dataclass(frozen=True)
class _Judge:
    """Vectors, and how they are evaluated: `limit` is the number of words that analogies use."""

    vectors: Judged
    limit: int
    by_section: bool
    resamples: int
    seed: int

    def pairs(self, data: PairSet) -> list[Row]:
        cosines, covered = pair_cosines(self.vectors, data)
        rows = self._correlations(data, cosines[covered], covered)
        known = [self.vectors.rows_of(pair[side] for pair in data.pairs) >= 0 for side in (0, 1)]
        unseen = int((covered & ~(known[0] & known[1])).sum())
        return [{**row, "unseen": unseen} for row in rows] if unseen else rows

    def sentence_pairs(self, data: PairSet) -> list[Row]:
        values = [self.vectors.sentence_similarity(*pair, measure="cosine") for pair in data.pairs]
        known = [all(self.vectors.knows(sentence) for sentence in pair) for pair in data.pairs]
        covered = np.array(known, bool)
        return self._correlations(data, np.array(values, np.float64)[covered], covered)

    def _correlations(self, data: PairSet, values: Floats, covered: Mask) -> list[Row]:
        scores = np.array(data.scores)[covered]
        rows = []
        for kind, correlation in CORRELATIONS.items():
            row = _row(data.name, kind, correlation(values, scores), len(scores), len(data.pairs))
            rows.append(self._with(row, lambda *how, kind=kind: resampled_correlations(kind, [values], scores, *how)))
        return rows

    def _with(self, row: Row, resampled: Callable[[int, Sequence[int]], Floats]) -> Row:
        """Return a row with the bootstrap interval of its value, if there are to be resamples."""
        if not self.resamples:
            return row
        known = row["value"] is not None
        low, high = (interval(resampled(self.resamples, [self.seed])[0]) if known else None) or (None, None)
        return {**row, "low": low, "high": high}

    def analogies(self, data: AnalogySet) -> list[Row]:
        right, covered = answered(self.vectors, data, self.limit)
        groups = {data.name: np.ones(len(covered), bool)}
        if self.by_section:
            names = np.array(data.sections)
            groups |= {f"{data.name}:{section}": names == section for section in dict.fromkeys(data.sections)}
        rows = []
        for dataset, members in groups.items():
            for kind, hits in zip(KINDS, right, strict=True):
                row = self._share(dataset, kind, hits[members & covered], int(members.sum()))
                rows.append({**row, "restrict": self.limit})
        return rows

    def _share(self, dataset: str, kind: str, values: npt.ArrayLike, total: int) -> Row:
        """Return a row whose value is the mean of the covered items' values."""
        series = np.asarray(values, np.float64)
        row = _row(dataset, kind, float(series.mean()) if len(series) else None, len(series), total)
        return self._with(row, lambda *how: resampled_means([series], *how))

    def categories(self, data: CategorySet) -> list[Row]:
        units, known = self.vectors.unit(data.words)
        classes = numbered(data.classes)[1][known]
        clusters = _clusters(units[known], len(set(classes)), self.seed) if len(classes) else np.empty(0, np.int64)
        return [self._share(data.name, "purity", _in_majority(clusters, classes), len(data.words))]

    def outliers(self, data: OutlierSet) -> list[Row]:
        """Evaluate as Camacho-Collados and Navigli (2016): the outlier has the lowest mean cosine to the other words."""
        places = [place for topic in data.topics for place in self._places(*topic)]
        total = sum(len(outliers) for _, outliers in data.topics)
        shares = {"outlier-accuracy": [float(place == 1) for place in places], "outlier-position": places}
        return [self._share(data.name, kind, values, total) for kind, values in shares.items()]

    def _places(self, members: Sequence[str], outliers: Sequence[str]) -> list[float]:
        """Return for each known outlier the share of members that are nearer to the rest of the topic than it is."""
        units, known = self.vectors.unit([*members, *outliers])
        inside = units[: len(members)][known[: len(members)]]
        if len(inside) < 2:
            return []
        table = (inside @ units[known].T).astype(np.float64)
        among, away = table[:, : len(inside)], table[:, len(inside) :]
        nearness = among.sum(1) - among.diagonal()
        return [float((nearness + column > column.sum()).mean()) for column in away.T]


class Kind(NamedTuple):
    """A kind of test set: the function that reads its files, and the one that evaluates vectors on it."""

    read: Callable[[Path | str], Any]
    judge: Callable[[_Judge, Any], list[Row]]


# Keyed by the keyword of `evaluate`, which is also the flag of `eval` and the key of a job's [eval]; rows have this order.
SETS: Mapping[str, Kind] = {
    "pairs": Kind(read_pairs, _Judge.pairs),
    "sentence_pairs": Kind(read_sentence_pairs, _Judge.sentence_pairs),
    "analogies": Kind(read_analogies, _Judge.analogies),
    "categories": Kind(read_categories, _Judge.categories),
    "outliers": Kind(read_outliers, _Judge.outliers),
}


def _row(dataset: str, kind: str, value: float | None, covered: int, total: int) -> Row:
    return {"dataset": dataset, "kind": kind, "value": value, "covered": covered, "total": total}


def purity(clusters: npt.ArrayLike, classes: npt.ArrayLike) -> float:
    """Return the share of items that belong to the most common class of their cluster, 0..1 (Manning et al. 2008, 16.3)."""
    return float(np.mean(_in_majority(np.asarray(clusters), np.asarray(classes))))


def _in_majority(clusters: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Mask:
    """Tell for each item whether it belongs to the most common class of its cluster; ties go to the first class by name."""
    right = np.zeros(len(classes), bool)
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        names, counts = np.unique(classes[inside], return_counts=True)
        right[inside] = classes[inside] == names[counts.argmax()]
    return right


def _clusters(points: npt.NDArray[Any], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return each point's cluster by k-means: the result of several starts with the least sum of squared distances."""
    from scipy.cluster.vq import kmeans2

    points = points.astype(np.float64)
    count = min(count, len(np.unique(points, axis=0)))
    rng, best, least = np.random.default_rng(seed), np.zeros(len(points), np.int64), np.inf
    for _ in range(STARTS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about an empty cluster, which simply means one cluster fewer
            centres, labels = kmeans2(points, count, iter=50, minit="++", rng=rng)
        error = float(((points - centres[labels]) ** 2).sum())
        if error < least:
            best, least = labels.astype(np.int64), error
    return best


def pair_cosines(vectors: Judged, data: PairSet) -> tuple[Floats, Mask]:
    """Return the cosines of pairs of words, (n,), and which pairs are covered, (n,)."""
    return vectors.cosines(*([pair[side] for pair in data.pairs] for side in (0, 1)))

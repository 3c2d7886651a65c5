"""Evaluating vectors on word and sentence pairs, analogies, categories and outliers; every score comes with its coverage."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import UsageError
from cooc_engine.evaluation.bootstrap import interval, resampled_correlations, resampled_means
from cooc_engine.evaluation.correlation import CORRELATIONS, pearson, spearman
from cooc_engine.evaluation.labelled import numbered
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
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.types import Floats, Mask, Matrix, Paths, Rows, listed
from cooc_engine.vectors.query import Vectors

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "SETS", "AnalogySet", "CategorySet", "Judged", "Kind", "More", "OutlierSet", "PairSet",
    "answered", "answers", "evaluate", "pair_cosines", "pearson", "purity",
    "read_analogies", "read_categories", "read_outliers", "read_pairs", "read_sentence_pairs", "spearman",
]  # fmt: skip

RESTRICT = 30_000  # the default of word2vec's compute-accuracy
SCORES = 1 << 22  # cosines held at a time: 16 MB
QUESTIONS = 64  # questions scored at a time, so that their scores stay in cache
WORDS = 4096  # candidate answers scored at a time
MOST_THREADS = 8  # each needs 5 MB
EPSILON = 1e-3  # keeps 3CosMul from dividing by zero (Levy and Goldberg 2014)
STARTS = 30  # starts of k-means, the best of which is kept
KINDS = ("analogy-add", "analogy-mul")
Row = dict[str, Any]


class Judged(Protocol):
    """What evaluation needs of vectors; they are requested by word, so that words outside the vocabulary may have one.

    Words are looked up as written or else lower-cased. Rows number the words that can be answers.
    """

    def __len__(self) -> int:
        """Return V, the number of words that can be answers."""

    def rows_of(self, words: Iterable[str], limit: int | None = None) -> Rows:
        """Return the row of each word, (n,); -1 if it is not among the first `limit`."""

    def unit(self, words: Iterable[str], limit: int | None = None) -> tuple[Matrix, Mask]:
        """Return unit vectors, (n, any), zeros where there is none, and whether each word has one, (n,).

        Only inner products matter, so any coordinates will do. With a `limit` below V, only the first `limit` words have one.
        """

    def cosines(self, words1: Iterable[str], words2: Iterable[str]) -> tuple[Floats, Mask]:
        """Return the cosines of pairs of words, (n,), and whether both words have a vector, (n,)."""

    def cosine_table(self, words: Iterable[str], limit: int | None = None) -> tuple[Callable[[int, int], Matrix], Mask]:
        """Return a function of (begin, end) that gives the cosines of the words with rows begin:end, (n, end - begin).

        The second value tells whether each word has a vector, (n,), as in `unit`.
        """

    def knows(self, sentence: Any) -> bool:
        """Tell whether any word of a text has a vector."""

    def sentence_similarity(self, sentence1: Any, sentence2: Any, measure: str = "dot") -> float:
        """Return the similarity of two texts; evaluation uses the measure "cosine"."""


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


def evaluate(
    models: Vectors | Paths | Mapping[str, Judged],
    pairs: Paths = (),
    analogies: Paths = (),
    restrict: int | None = RESTRICT,
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
    if restrict is not None and restrict < 1:
        raise UsageError(f"--restrict is {restrict}; it must be at least 1")
    files: dict[str, Any] = {"pairs": pairs, "analogies": analogies, **more}
    sets = [(kind.judge, kind.read(path)) for name, kind in SETS.items() for path in listed(files.get(name, ()))]
    rows = []
    for name, vectors in _named(models, more.get("trust_tokenizer", False)):
        limit = min(restrict or len(vectors), len(vectors))
        judge = _Judge(vectors, limit, by_section, more.get("bootstrap", 0), more.get("seed", 1))
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


def answered(vectors: Judged, data: AnalogySet, limit: int) -> tuple[Mask, Mask]:
    """Return which questions are answered correctly by 3CosAdd and by 3CosMul, (2, n), and which are covered, (n,)."""
    goals = vectors.rows_of((question[3] for question in data.questions), limit)
    asked = np.flatnonzero(goals >= 0)
    right, covered = np.zeros((len(KINDS), len(goals)), bool), np.zeros(len(goals), bool)
    found, covered[asked] = answers(vectors, [data.questions[at][:3] for at in asked.tolist()], limit)
    right[:, covered] = (found == goals[asked])[:, covered[asked]]
    return right, covered


def answers(vectors: Judged, questions: Sequence[Sequence[str]], limit: int) -> tuple[Rows, Mask]:
    """Return the answers to questions (a, b, c) by 3CosAdd and 3CosMul, (2, n) rows, and which questions are covered, (n,).

    Answers are rows below `limit`, -1 for questions not covered. The cosines of all words with the few that occur in questions
    are computed once, a block of words at a time; both scores are sums and products of these, so a question costs three
    look-ups per word instead of an inner product.
    """
    found = np.full((len(KINDS), len(questions)), -1, np.int64)
    words = list(dict.fromkeys(itertools.chain.from_iterable(questions)))
    ids = {word: at for at, word in enumerate(words)}
    places = np.array([[ids[word] for word in question] for question in questions], np.int64).reshape(-1, 3)
    known: Mask = np.all(vectors.cosine_table(words, limit)[1][places], axis=1)
    asked, places = np.unique(places[known], return_inverse=True)
    words, places = [words[at] for at in asked], places.reshape(-1, 3)
    found[:, known] = _answers(vectors.cosine_table(words, limit)[0], places, vectors.rows_of(words, limit)[places], limit)
    return found, known


def _answers(table: Callable[[int, int], Matrix], places: Rows, rows: Rows, limit: int) -> Rows:
    """Return the answers, (2, n), to n questions.

    table    returns the cosines of the words of all questions with a range of rows
    places   (n, 3): the index in `table` of each question's words
    rows     (n, 3): the rows of these words, which must not be answers; -1 outside the vocabulary
    """
    found = np.full((len(KINDS), len(places)), -1, np.int64)
    if not len(places):
        return found
    best = np.full(found.shape, -np.inf, np.float32)
    step = max(1, min(SCORES // (int(places.max()) + 1), WORDS, limit))
    threads = min(usable_cores(), MOST_THREADS)
    scratch = np.empty((threads, 5, QUESTIONS, step), np.float32)

    def improve(thread: int, start: int, cosines: Matrix) -> None:
        for first in range(thread * QUESTIONS, len(places), threads * QUESTIONS):
            part = slice(first, first + QUESTIONS)
            banned = rows[part] - start
            room = scratch[thread, :, : len(banned), : cosines.shape[1]]
            _improve(found[:, part], best[:, part], cosines, places[part], banned, start, room)

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, limit, step):
            cosines = table(start, min(start + step, limit))
            list(pool.map(improve, range(threads), [start] * threads, [cosines] * threads))
    return found


def _improve(
    answers: Rows,
    best: Matrix,
    cosines: Matrix,
    places: Rows,
    banned: Rows,
    start: int,
    scratch: Matrix,
) -> None:
    """Replace answers and their scores where this block of words, which begins at row `start`, has a better one.

    scratch   (5, questions, words of the block), reused: allocating it anew would take longer than the arithmetic
    """
    a, b, c, added, multiplied = scratch
    for column, line in zip(places.T, (a, b, c), strict=True):
        np.take(cosines, column, axis=0, out=line, mode="clip")
    np.subtract(b, a, out=added)
    added += c
    b += 1
    c += 1
    a += np.float32(1 + 2 * EPSILON)
    np.multiply(b, c, out=multiplied)
    multiplied /= a
    question, slot = np.nonzero((banned >= 0) & (banned < cosines.shape[1]))
    lines = np.arange(len(places))
    for kind, scores in enumerate((added, multiplied)):
        scores[question, banned[question, slot]] = -np.inf
        found = scores.argmax(axis=1)
        value = scores[lines, found]
        better = value > best[kind]
        answers[kind, better] = found[better] + start
        best[kind, better] = value[better]

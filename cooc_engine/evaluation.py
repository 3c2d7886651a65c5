"""Judging vectors: word pairs against human scores, and analogies, each with how much of the set was covered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import InputError, UsageError
from cooc_engine.query import Vectors

__all__ = ["AnalogySet", "PairSet", "evaluate", "pearson", "read_analogies", "read_pairs", "spearman"]

RESTRICT = 30_000  # as word2vec's compute-accuracy does
SCORES = 1 << 22  # cosines that are held at a time: 16 MB
QUESTIONS = 64  # questions scored at a time, so that their scores stay in cache
EPSILON = 1e-3  # keeps 3CosMul from dividing by zero (Levy and Goldberg 2014)
KINDS = ("analogy-add", "analogy-mul")


@dataclass(frozen=True)
class PairSet:
    """Pairs of words with the scores that people gave them."""

    name: str
    pairs: Sequence[tuple[str, str]]
    scores: Sequence[float]


@dataclass(frozen=True)
class AnalogySet:
    """Questions `a b c d`: a is to b as c is to d; with the section that each stands in."""

    name: str
    questions: Sequence[tuple[str, str, str, str]]
    sections: Sequence[str]


# ------------------------------------------------------------------------------------------------------------ files


def read_pairs(path: Path | str) -> PairSet:
    """Read lines `word1 <TAB> word2 <TAB> score`; spaces serve as well, blank lines and `#` comments are skipped.

    Raises `InputError` naming file and line.
    """
    path, pairs, scores = Path(path), [], []
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        fields = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if len(fields) != 3 or not all(fields):
            raise InputError(f"{path}:{number}: expected word, word and score, found {len(fields)} fields")
        try:
            score = float(fields[2])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise InputError(f"{path}:{number}: the score {fields[2]!r} is not a number")
        pairs.append((fields[0], fields[1]))
        scores.append(score)
    if not pairs:
        raise InputError(f"{path}: holds no word pairs")
    return PairSet(path.stem, pairs, scores)


def read_analogies(path: Path | str) -> AnalogySet:
    """Read questions in word2vec's format: lines `a b c d`, and `: name` before each section.

    Raises `InputError` naming file and line.
    """
    path, questions, sections = Path(path), [], []
    section = ""
    for number, line in _lines(path):
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise InputError(f"{path}:{number}: expected four words, found {len(words)}")
        questions.append((words[0], words[1], words[2], words[3]))
        sections.append(section)
    if not questions:
        raise InputError(f"{path}: holds no analogies")
    return AnalogySet(path.stem, questions, sections)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


# ------------------------------------------------------------------------------------------------------ correlation


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Return the correlation of two series of equal length; None for fewer than two values or a constant series."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Return the correlation of the ranks of two series, equal values sharing their average rank; None as `pearson`."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    # scipy.stats has this as rankdata, but takes half a second to import
    _, place, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


# -------------------------------------------------------------------------------------------------------- judgement


def evaluate(
    models: Path | str | Iterable[Path | str] | Mapping[str, Vectors],
    pairs: Iterable[Path | str] = (),
    analogies: Iterable[Path | str] = (),
    restrict: int | None = RESTRICT,
    *,
    by_section: bool = False,
) -> list[dict[str, Any]]:
    """Judge models by word pairs and analogies; return rows {model, dataset, kind, value, covered, total}.

    models      model files, or vectors by name
    pairs       files for `read_pairs`: Spearman and Pearson correlation of the cosines with the scores, -1..1
    analogies   files for `read_analogies`: the share of covered questions answered right by 3CosAdd and 3CosMul on unit
                vectors (Levy and Goldberg 2014), the question's own words left out, 0..1
    restrict    only the first so many words are known to analogies and can answer them; None for all
    by_section  add rows for the sections of analogies, as dataset "file:section"

    Words are matched as written, else lower-cased. `value` is None where nothing can be said: fewer than two pairs, or
    no question, covered, or a constant series. `dataset` is the file's name without its suffix. Raises `InputError` for
    a file that cannot be read, naming the line, and what `open_model` raises.
    """
    if restrict is not None and restrict < 1:
        raise UsageError(f"--restrict is {restrict}; it must be at least 1")
    pair_sets = [read_pairs(path) for path in pairs]
    analogy_sets = [read_analogies(path) for path in analogies]
    rows = []
    for name, vectors in _named(models):
        limit = min(restrict or len(vectors), len(vectors))
        found = [row for data in pair_sets for row in _judge_pairs(vectors, data)]
        found += [row for data in analogy_sets for row in _judge_analogies(vectors, data, limit, by_section)]
        rows += [{"model": name, **row} for row in found]
    return rows


def _named(models: Path | str | Iterable[Path | str] | Mapping[str, Vectors]) -> Iterator[tuple[str, Vectors]]:
    """Yield names and vectors, one model open at a time."""
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for path in [models] if isinstance(models, (str, Path)) else models:
        yield str(path), Vectors.open(path)


def _row(dataset: str, kind: str, value: float | None, covered: int, total: int) -> dict[str, Any]:
    return {"dataset": dataset, "kind": kind, "value": value, "covered": covered, "total": total}


def _judge_pairs(vectors: Vectors, data: PairSet) -> list[dict[str, Any]]:
    found = vectors.rows_of(itertools.chain.from_iterable(data.pairs)).reshape(-1, 2)
    covered = (found >= 0).all(axis=1)
    cosines = vectors.cosines(*found[covered].T)
    scores = np.array(data.scores)[covered]
    measures = (("spearman", spearman), ("pearson", pearson))
    return [_row(data.name, kind, f(cosines, scores), len(scores), len(data.pairs)) for kind, f in measures]


def _judge_analogies(vectors: Vectors, data: AnalogySet, limit: int, by_section: bool) -> list[dict[str, Any]]:
    found = vectors.rows_of(itertools.chain.from_iterable(data.questions), limit).reshape(-1, 4)
    covered = (found >= 0).all(axis=1)
    right = np.zeros((len(KINDS), len(found)), bool)
    right[:, covered] = _answers(vectors, found[covered, :3], limit) == found[covered, 3]
    groups = {data.name: np.ones(len(found), bool)}
    if by_section:
        names = np.array(data.sections)
        groups |= {f"{data.name}:{section}": names == section for section in dict.fromkeys(data.sections)}
    rows = []
    for dataset, members in groups.items():
        known, total = int((members & covered).sum()), int(members.sum())
        for kind, hits in zip(KINDS, right, strict=True):
            rows.append(_row(dataset, kind, int(hits[members].sum()) / known if known else None, known, total))
    return rows


def _answers(vectors: Vectors, questions: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """Return the answers, (2, n): rows below `limit` by 3CosAdd and by 3CosMul, to questions a, b, c: (n, 3) rows.

    The cosines of all words with the few that occur in questions are computed once, a block of words at a time; both
    scores are made of them, so a question costs three rows of additions instead of a product.
    """
    asked, places = np.unique(questions, return_inverse=True)
    places = places.reshape(questions.shape)
    answers = np.full((len(KINDS), len(questions)), -1, np.int64)
    best = np.full(answers.shape, -np.inf, np.float32)
    step = max(1, SCORES // max(1, len(asked)))
    for start in range(0, limit, step):
        cosines = vectors.cosine_table(asked, np.arange(start, min(start + step, limit)))
        for first in range(0, len(questions), QUESTIONS):
            part = slice(first, first + QUESTIONS)
            banned = questions[part] - start
            _improve(answers[:, part], best[:, part], cosines, places[part], banned, start)
    return answers


def _improve(
    answers: npt.NDArray[np.int64],
    best: npt.NDArray[np.float32],
    cosines: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    banned: npt.NDArray[np.int64],
    start: int,
) -> None:
    """Replace answers and their scores where this block, of words from `start` on, has a better one."""
    a, b, c = (cosines[column] for column in places.T)
    question, slot = np.nonzero((banned >= 0) & (banned < cosines.shape[1]))
    lines = np.arange(len(places))
    for kind, scores in enumerate((b - a + c, (b + 1) * (c + 1) / (a + np.float32(1 + 2 * EPSILON)))):
        scores[question, banned[question, slot]] = -np.inf
        found = scores.argmax(axis=1)
        value = scores[lines, found]
        better = value > best[kind]
        answers[kind, better] = found[better] + start
        best[kind, better] = value[better]

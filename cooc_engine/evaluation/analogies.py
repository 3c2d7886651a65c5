"""Answering analogies, a is to b as c is to what: 3CosAdd and 3CosMul (Levy and Goldberg 2014), for many questions at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cooc_engine.evaluation.protocol import Judged
from cooc_engine.evaluation.sets import AnalogySet
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.types import Mask, Matrix, Rows

__all__ = ["KINDS", "answered", "answers"]

KINDS = ("analogy-add", "analogy-mul")  # of scores, in the order of the rows of all answers
SCORES = 1 << 22  # cosines held at a time: 16 MB
QUESTIONS = 64  # questions scored at a time, so that their scores stay in cache
WORDS = 4096  # candidate answers scored at a time
MOST_THREADS = 8  # each needs 5 MB
EPSILON = 1e-3  # keeps 3CosMul from dividing by zero


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

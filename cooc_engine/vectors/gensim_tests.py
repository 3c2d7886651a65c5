"""Word pairs and analogies judged by the rules of gensim's KeyedVectors, for numbers that compare with gensim's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cooc_engine.errors import InputError
from cooc_engine.text.readers import line_batches
from cooc_engine.vectors.words import Answers

__all__ = ["Matching", "word_analogies", "word_pairs"]

LONGEST = 1 << 20  # bytes of a line
Section = dict[str, Any]


class Matching:
    """Matches the words of a test with rows: the first of `words` that is equal, in upper case if case is ignored."""

    def __init__(self, words: Sequence[str], ignores_case: bool, counts_unknown: bool) -> None:
        self.ignores_case, self.counts_unknown = ignores_case, counts_unknown
        self._rows = {self.form(word): row for row, word in reversed(list(enumerate(words)))}

    def form(self, word: str) -> str:
        """Return a word as it is compared."""
        return word.upper() if self.ignores_case else word

    def rows(self, words: Sequence[str]) -> list[int] | None:
        """Return the rows of words, or None if one has none."""
        rows = [self._rows.get(word, -1) for word in words]
        return rows if min(rows) >= 0 else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    for batch in line_batches([path], LONGEST):
        for line in batch:
            number += 1
            yield number, line


def word_pairs(similarity: Callable[[int, int], float], how: Matching, path: Path, delimiter: str) -> tuple[Any, Any, float]:
    """Return the correlations of similarities with scores, by SciPy, and the percentage of pairs with an unknown word."""
    from scipy import stats

    scores, values, unknown = [], [], 0
    for _, line in _lines(path):
        *words, score = map(how.form, line.split(delimiter))
        if line.startswith("#") or len(words) != 2 or not _is_number(score):
            continue
        rows = how.rows(words)
        unknown += rows is None
        if rows or how.counts_unknown:
            scores.append(float(score))
            values.append(similarity(*rows) if rows else 0.0)
    if not scores:
        raise InputError(f"{path}: has no pair of known words with a score; is {delimiter!r} the right delimiter?")
    pairs = len(scores) if how.counts_unknown else len(scores) + unknown
    return stats.pearsonr(scores, values), stats.spearmanr(scores, values), 100 * unknown / pairs


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def word_analogies(near: Callable[..., Answers], how: Matching, path: Path) -> tuple[float, list[Section]]:
    """Return the share of right answers, and for each section, and in total, the questions answered right and wrong."""
    sections: list[Section] = []
    for number, line in _lines(path):
        if line.startswith(": "):
            sections.append({"section": line.lstrip(": ").strip(), "correct": [], "incorrect": []})
            continue
        words = tuple(map(how.form, line.split()))
        if len(words) != 4:
            continue
        if not sections:
            raise InputError(f"{path}:{number}: a question before the first section, such as ': capitals'")
        rows = how.rows(words)
        if rows or how.counts_unknown:
            right = rows is not None and _answer(near, how, words, rows) == words[3]
            sections[-1]["correct" if right else "incorrect"].append(words)
    both = {key: [words for section in sections for words in section[key]] for key in ("correct", "incorrect")}
    asked = len(both["correct"]) + len(both["incorrect"])
    return len(both["correct"]) / max(1, asked), [*sections, {"section": "Total accuracy", **both}]


def _answer(near: Callable[..., Answers], how: Matching, words: Sequence[str], rows: Sequence[int]) -> str:
    a, b, c, _ = rows
    answer = ""
    for word, _ in near(positive=[b, c], negative=[a]):
        answer = how.form(word)
        if answer not in words[:3]:
            break
    return answer

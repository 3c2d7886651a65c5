"""Test sets and their files: UTF-8 text, plain or compressed.

Blank lines are ignored, except in files of outliers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cooc_engine.errors import InputError
from cooc_engine.runtime.paths import path_of
from cooc_engine.text.bounded import whole
from cooc_engine.text.compression import SUFFIXES

__all__ = [
    "AnalogySet", "CategorySet", "OutlierSet", "PairSet", "TaggedSet", "lines_of", "name_of", "read_analogies",
    "read_categories", "read_outliers", "read_pairs", "read_sentence_pairs", "read_tagged",
]  # fmt: skip
LONGEST = 1 << 24  # bytes of a file: the largest sets in use have a quarter
MOST_TAGGED = 1 << 28  # bytes of a file of tagged text

LARGEST_SCORE = 1e100  # whose squares can be added up


@dataclass(frozen=True)
class PairSet:
    """Pairs of words, or of sentences, with human scores."""

    name: str
    pairs: Sequence[tuple[str, str]]
    scores: Sequence[float]


@dataclass(frozen=True)
class AnalogySet:
    """Questions `a b c d` (a is to b as c is to d), and the section of each."""

    name: str
    questions: Sequence[tuple[str, str, str, str]]
    sections: Sequence[str]


@dataclass(frozen=True)
class CategorySet:
    """Words, and the class of each."""

    name: str
    words: Sequence[str]
    classes: Sequence[str]


@dataclass(frozen=True)
class OutlierSet:
    """For each topic, a list of words that belong together and a list of outliers, which do not belong to them."""

    name: str
    topics: Sequence[tuple[Sequence[str], Sequence[str]]]


def read_pairs(path: Path | str) -> PairSet:
    """Read lines `word1 <TAB> word2 <TAB> score`, or with spaces for tabs; blank lines and `#` comments are skipped.

    Raises `InputError`, naming file and line.
    """
    return _read_scored(path_of(path), "word", spaces=True)


def read_sentence_pairs(path: Path | str) -> PairSet:
    """Read lines `sentence1 <TAB> sentence2 <TAB> score`; blank lines and `#` comments are skipped.

    Raises `InputError`, naming file and line.
    """
    return _read_scored(path_of(path), "sentence", spaces=False)


def _read_scored(path: Path, what: str, *, spaces: bool) -> PairSet:
    pairs, scores = [], []
    for number, line in lines_of(path):
        if line.startswith("#"):
            continue
        fields = line.split() if spaces and "\t" not in line else [part.strip() for part in line.split("\t")]
        if len(fields) != 3 or not all(fields):
            raise InputError(f"{path}:{number}: expected {what}, {what} and score, found {len(fields)} fields")
        pairs.append((fields[0], fields[1]))
        scores.append(_score(path, number, fields[2]))
    if not pairs:
        raise InputError(f"{path}: holds no {what} pairs")
    return PairSet(name_of(path), pairs, scores)


def _score(path: Path, number: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not abs(score) < LARGEST_SCORE:
        raise InputError(f"{path}:{number}: the score {text!r} is not a number below {LARGEST_SCORE:.0e}")
    return score


def read_analogies(path: Path | str) -> AnalogySet:
    """Read questions in word2vec's format: lines `a b c d`, and a line `: name` before each section.

    Raises `InputError`, naming file and line.
    """
    path, questions, sections = path_of(path), [], []
    section = ""
    for number, line in lines_of(path):
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
    return AnalogySet(name_of(path), questions, sections)


def read_categories(path: Path | str) -> CategorySet:
    """Read lines `word <TAB> class`, or with spaces for the tab; blank lines and `#` comments are skipped.

    Raises `InputError`, naming file and line.
    """
    path, words, classes = path_of(path), [], []
    for number, line in lines_of(path):
        if line.startswith("#"):
            continue
        fields = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if len(fields) != 2 or not all(fields):
            raise InputError(f"{path}:{number}: expected a word and its class, found {len(fields)} fields")
        words.append(fields[0])
        classes.append(fields[1])
    if not words:
        raise InputError(f"{path}: holds no words")
    return CategorySet(name_of(path), words, classes)


def read_outliers(path: Path | str) -> OutlierSet:
    """Read topics: words that belong together, one per line, then a blank line and the outliers.

    A line `: name` begins each topic; a file with a single topic, such as those of 8-8-8 (Camacho-Collados and Navigli 2016),
    needs none. Raises `InputError`, naming file and line.
    """
    path, topics = path_of(path), []
    for number, lines in _topics(path):
        members: list[str] = []
        outliers: list[str] = []
        side = members
        for line in lines:
            if line:
                side.append(line)
            elif members:
                side = outliers
        if len(members) < 2 or not outliers:
            raise InputError(f"{path}:{number}: expected two or more words, a blank line and the words that do not belong")
        topics.append((members, outliers))
    if not topics:
        raise InputError(f"{path}: holds no words")
    return OutlierSet(name_of(path), topics)


def _topics(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each topic's first line, and its lines."""
    lines: list[str] = []
    first = 1
    for number, text in enumerate(_text(path).split("\n"), 1):
        if text.startswith(":"):
            if any(lines):
                yield first, lines
            first, lines = number, []
        else:
            lines.append(text.strip())
    if any(lines):
        yield first, lines


@dataclass(frozen=True)
class TaggedSet:
    """Sentences, and the tag of each of their words."""

    name: str
    sentences: Sequence[Sequence[str]]
    tags: Sequence[Sequence[str]]


def read_tagged(path: Path | str) -> TaggedSet:
    """Read words and their universal parts of speech from a file in CoNLL-U, as Universal Dependencies has them.

    Lines of several words, such as `1-2`, and of words that are not there, such as `1.1`, are left out. Raises `InputError`,
    naming file and line.
    """
    path = path_of(path)
    sentences: list[list[str]] = []
    tags: list[list[str]] = []
    for number, line in enumerate(_text(path, MOST_TAGGED).split("\n"), 1):
        fields = line.rstrip("\r").split("\t")
        if line.startswith("#") or not line.strip():
            continue
        if len(fields) != 10 or not fields[1] or not fields[3]:
            raise InputError(f"{path}:{number}: expected the ten fields of CoNLL-U, found {len(fields)}")
        if not fields[0].isdigit():
            continue
        if fields[0] == "1":
            sentences.append([])
            tags.append([])
        if not sentences:
            raise InputError(f"{path}:{number}: word {fields[0]} has no word 1 before it")
        sentences[-1].append(fields[1])
        tags[-1].append(fields[3])
    if not sentences:
        raise InputError(f"{path}: holds no sentences")
    return TaggedSet(name_of(path), sentences, tags)


def name_of(path: Path) -> str:
    """Return the name of a set: its file's name without the suffix, or without both suffixes of a compressed file."""
    return Path(path.stem).stem if path.suffix in SUFFIXES else path.stem


def _text(path: Path, most: int = LONGEST) -> str:
    try:
        return whole(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank."""
    return ((number, line.strip()) for number, line in enumerate(_text(path).split("\n"), 1) if line.strip())

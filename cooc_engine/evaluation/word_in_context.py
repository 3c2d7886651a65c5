"""Words in Context (Pilehvar and Camacho-Collados 2019): whether a word has the same sense in two sentences.

The sense is predicted to be the same if the cosine of the word's vectors is above a cut that is fitted on other pairs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import InputError
from cooc_engine.evaluation.sets import lines_of, name_of
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Floats
from cooc_engine.vectors.contextual import InSentence

__all__ = ["ContextPairs", "best_cut", "read_word_in_context"]

PLACES = re.compile("([0-9]{1,6})-([0-9]{1,6})")
GOLD = {"T": True, "F": False}
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ContextPairs:
    """Pairs of a word in two sentences, and whether it has the same sense in both."""

    name: str
    pairs: Sequence[tuple[InSentence, InSentence]]
    same: Bools


def read_word_in_context(path: Path | str) -> ContextPairs:
    """Read lines of a word, its part of speech, its places such as `4-0` and two sentences, and the answers beside them.

    path   `NAME.data.txt`, whose fields are separated by tabs; the answers, T or F, are in `NAME.gold.txt`

    Places count words from 0. Raises `InputError`, naming file and line.
    """
    path = path_of(path)
    if ".data." not in path.name:
        raise InputError(f"{path}: pass the file NAME.data.txt, with NAME.gold.txt next to it")
    gold = path.with_name(path.name.replace(".data.", ".gold."))
    pairs = [_pair(path, number, line) for number, line in lines_of(path)]
    same = [_gold(gold, number, line) for number, line in lines_of(gold)]
    if len(pairs) != len(same) or not pairs:
        raise InputError(
            f"{gold}: {len(same):,} answers, but {path.name} has {len(pairs):,} pairs; there must be as many, and at least one"
        )
    return ContextPairs(name_of(path).removesuffix(".data"), pairs, np.array(same))


def _pair(path: Path, number: int, line: str) -> tuple[InSentence, InSentence]:
    fields = line.split("\t")
    places = PLACES.fullmatch(fields[2]) if len(fields) == 5 else None
    if places is None:
        raise InputError(f"{path}:{number}: expected word, part of speech, places such as 4-0, and two sentences, between tabs")
    words = [InSentence(text.split(), int(place)) for text, place in zip(fields[3:], places.groups(), strict=True)]
    for each in words:
        if each.place >= len(each.words):
            raise InputError(f"{path}:{number}: place {each.place} is beyond the sentence, which has {len(each.words)} words")
    return words[0], words[1]


def _gold(path: Path, number: int, line: str) -> bool:
    if line not in GOLD:
        raise InputError(f"{path}:{number}: expected T or F, found {line[:20]!r}")
    return GOLD[line]


def best_cut(cosines: Floats, same: Bools) -> float:
    """Return the cut above which cosines mean the same sense with the fewest errors."""
    order = np.argsort(cosines, kind="stable")
    below = np.concatenate([[-np.inf], cosines[order]])
    right = offsets_of(~same[order]) + same.sum() - offsets_of(same[order])
    return float(below[right.argmax()])

"""Ratios of co-occurrence probabilities, the idea that GloVe rests on (Pennington, Socher and Manning 2014, table 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.paths import path_of, several
from cooc_engine.runtime.types import PathLike

__all__ = ["ratio"]
MOST = 700  # the exponential of more is no number


@gated
def ratio(
    model: PathLike, word1: str, word2: str, contexts: Sequence[str], counts: PathLike | Cooc | None = None
) -> list[dict[str, str | float | None]]:
    """Return P(k | word1) / P(k | word2) for each context word k, according to the model and, with `counts`, as counted.

    >>> (milk,) = ratio("model.h5", "tea", "coffee", ["milk"], cooc)
    >>> milk["context"], milk["counted"]
    ('milk', 1.0)

    According to the model it is exp((w_1 − w_2)·c_k): large if k is related to the first word only, small if to the second
    only, near 1 if to both or neither. `counted`, from the co-occurrence directory `counts`, is X_1k / X_1 over X_2k / X_2,
    or None where a count is 0. Raises `UnknownWordError`, naming the word, and `UsageError` for a family whose inner product
    is neither a log count nor a PMI.
    """
    opened, contexts = open_model(path_of(model)), several(contexts)
    able = [name for name, family in FAMILIES.items() if family.product]
    if opened.family not in able:
        raise UsageError(f"{model}: is a {opened.family} model; ratios are available for {' and '.join(able)}")
    words, others = opened.reader("words"), opened.reader("contexts" if "contexts" in opened.names else "words")  # tied
    first, second, *asked = (_row(opened, word) for word in (word1, word2, *contexts))
    difference = words[first].astype(np.float64) - words[second]
    found = np.exp((others[asked].astype(np.float64) @ difference).clip(-MOST, MOST))
    counted = _counted(counts, word1, word2, contexts) if counts is not None else {}
    return [
        {"context": word, "model": float(value), **({"counted": counted[word]} if counted else {})}
        for word, value in zip(contexts, found, strict=True)
    ]


def _row(model: ModelFile, word: str) -> int:
    if word not in model.vocabulary.ids:
        raise UnknownWordError(f"{model.path}: {word!r} is not in the vocabulary")
    return model.vocabulary.ids[word]


def _counted(counts: PathLike | Cooc, word1: str, word2: str, contexts: Sequence[str]) -> dict[str, float | None]:
    cooc = Cooc.of(counts)
    cooc.refuse_rectangular("ratios take counts of words near words")
    if cooc.positional:
        raise UsageError(f"{cooc.path}: has a column for each position; ratios take counts made without --positional")
    missing = [word for word in (word1, word2, *contexts) if word not in cooc.vocabulary.ids]
    if missing:
        raise UnknownWordError(f"{cooc.path}: {missing[0]!r} is not in the vocabulary")
    ids = cooc.vocabulary.ids
    rows = [dict(zip(*(part.tolist() for part in cooc.row(ids[word])), strict=True)) for word in (word1, word2)]
    found: dict[str, float | None] = {}
    for word in contexts:
        values = [row.get(ids[word], 0) / sum(row.values()) if row else 0.0 for row in rows]
        found[word] = values[0] / values[1] if all(values) else None
    return found

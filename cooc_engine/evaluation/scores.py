"""The scores of several models on one test set, with intervals and with the differences that are larger than noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cooc_engine.evaluation.bootstrap import difference, holm, interval
from cooc_engine.runtime.types import Floats

__all__ = ["SetScores", "correct", "judged", "table_row"]


@dataclass(frozen=True)
class SetScores:
    """The results of all models on one test set: the score of each, and its score on each resample, or with each seed."""

    name: str
    kind: str
    total: int
    covered: int
    scores: Sequence[float | None]
    resampled: Floats


def judged(answered: SetScores, names: Sequence[str]) -> dict[str, Any]:
    """Return the record of a test set."""
    scores: list[dict[str, Any]] = []
    for name, value, values in zip(names, answered.scores, answered.resampled, strict=True):
        low, high = (None if value is None else interval(values)) or (None, None)
        scores.append({"model": name, "value": value, "low": low, "high": high})
    differences = list(_differences(answered, names))
    return {
        "name": answered.name,
        "kind": answered.kind,
        "covered": answered.covered,
        "total": answered.total,
        "scores": scores,
        "differences": differences,
        "leaders": _leaders(scores, differences),
    }


def table_row(data: Mapping[str, Any], place: int, model: str, covered: int) -> dict[str, Any]:
    """Return the row of a table for one model: its score on a test set with the interval, given the record of the set.

    place    of the model among the scores of the record
    covered  number of items on which this model was scored, which may be more than all models have in common
    """
    score = data["scores"][place]
    return {
        "model": model,
        "dataset": data["name"],
        "kind": data["kind"],
        **{key: score[key] for key in ("value", "low", "high")},
        "covered": covered,
        "total": data["total"],
    }


def _differences(answered: SetScores, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the difference of each pair of models, the better one first."""
    known = [i for i, score in enumerate(answered.scores) if score is not None]
    ranked = sorted(known, key=lambda i: -(answered.scores[i] or 0.0))
    for place, i in enumerate(ranked):
        for j in ranked[place + 1 :]:
            value = (answered.scores[i] or 0.0) - (answered.scores[j] or 0.0)
            found = difference(value, answered.resampled[i], answered.resampled[j])
            if found:
                yield {"first": names[i], "second": names[j], **found}


def correct(sets: Sequence[Mapping[str, Any]]) -> None:
    """Add `p_holm` to all differences of these sets: their p-values, corrected for the number of all differences."""
    gaps = [gap for data in sets for gap in data["differences"]]
    for gap, corrected in zip(gaps, holm([gap["p"] for gap in gaps]), strict=True):
        gap["p_holm"] = corrected


def _leaders(scores: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the best model, followed by those that are not clearly below it."""
    known = sorted((score for score in scores if score["value"] is not None), key=lambda score: -score["value"])
    if not known:
        return []
    best = known[0]["model"]
    return [best, *(gap["second"] for gap in differences if gap["first"] == best and not gap["clear"])]

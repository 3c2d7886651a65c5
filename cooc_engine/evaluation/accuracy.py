"""The accuracy of classifiers, with intervals, and what each of them costs.

Lines without a label that every classifier knows are left out for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.bootstrap import draws_of, resampled_means
from cooc_engine.evaluation.options import AccuracyOptions
from cooc_engine.evaluation.scores import SetScores, correct, judged, table_row
from cooc_engine.evaluation.sets import name_of
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Shown, progress_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.vectors.classifier import UNTESTED, Classifier

__all__ = ["accuracies", "accuracy_rows", "costs"]

Right = npt.NDArray[np.int8]


def accuracies(
    models: Mapping[str, Path],
    texts: Sequence[PathLike],
    options: AccuracyOptions | None = None,
    progress: Shown = None,
) -> dict[str, Any]:
    """Test the classifiers among some models on labelled texts; return a JSON-serialisable record.

    models   model files by name; those that are not classifiers are left out
    texts    texts with labels in each line, as for `train supervised`

    The record has `sets`, as `comparison` has them, of the share of lines whose best label is one of their own, with 95 %
    bootstrap intervals and the differences between classifiers on the same resamples; and the `costs` of each classifier.
    Raises `UsageError` if there is no classifier, and `InputError` for a text in which no line can be tested.
    """
    options, progress = defaulted("test", AccuracyOptions, options), progress_of(progress)
    found = {name: model for name, path in models.items() if (model := open_model(path)).labels is not None}
    if not found:
        raise UsageError(f"none of {', '.join(models)} is a classifier; train supervised makes one")
    sets, reading = [], {name: getattr(options, name) for name in ("trust_tokenizer", "encoding", "errors")}
    with progress.stage("test", len(texts) * len(found), "tests") as stage:
        for text in texts:
            answers = []
            for name, model in found.items():
                classifier = Classifier(model, **reading)
                answers.append(classifier.right(text))
                stage.advance(1, name)
            sets.append(judged(_scored(text, answers, options), list(found)))
    correct(sets)
    return {"sets": sets, "costs": [{"name": name, **costs(model)} for name, model in found.items()]}


def _scored(text: PathLike, answers: Sequence[Right], options: AccuracyOptions) -> SetScores:
    """Return the scores of classifiers from their answers to each line."""
    tested = np.all([right != UNTESTED for right in answers], axis=0)
    if not tested.any():
        raise InputError(f"{text}: has no line with a label that all classifiers know; labels are words of the line")
    name, hits = name_of(path_of(text)), [right[tested] for right in answers]
    resampled = resampled_means(hits, *draws_of(name, options.samples, options.seed))
    return SetScores(name, "accuracy", len(tested), int(tested.sum()), [float(hit.mean()) for hit in hits], resampled)


def costs(model: ModelFile) -> dict[str, Any]:
    """Return the bytes of a model's file and the seconds of its training, None if these are not recorded."""
    seconds = sum(float(epoch.get("seconds", 0)) for epoch in model.history)
    return {"file_bytes": model.path.stat().st_size, "seconds": seconds or None}


def accuracy_rows(record: Mapping[str, Any], models: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return the rows of classifiers from the record of `accuracies`, with the paths of their models."""
    return [
        {
            **table_row(data, place, str(models[cost["name"]]), data["covered"]),
            **{key: cost[key] for key in ("file_bytes", "seconds")},
        }
        for place, cost in enumerate(record["costs"])
        for data in record["sets"]
    ]

"""Documents on the comparison page: their scores, and a map of some of them for each model, by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine.evaluation.documents import Results, Task
from cooc_engine.evaluation.labelled import Labelled
from cooc_engine.evaluation.scores import judged
from cooc_engine.reports.charts import WIDTH, Points
from cooc_engine.reports.word_map import neighbourhood_map
from cooc_engine.runtime.types import Floats

__all__ = ["SHAPES", "document_record", "map_panels"]

MAPPED = 400  # documents of a map: more would be too dense to read
LEAST = 3  # documents that have a map
EDGE = 12.0  # of a panel
SHAPES = (  # of the points of a class, as SVG paths from a place on; there are as many colours for each
    "m-2.3,0a2.3,2.3 0 1,0 4.6,0a2.3,2.3 0 1,0 -4.6,0",
    "m-2.1,-2.1h4.2v4.2h-4.2z",
    "m0,-2.8l2.6,4.6h-5.2z",
)


def document_record(results: Sequence[Results], models: Mapping[str, Path]) -> dict[str, Any]:
    """Return what the page shows of documents: `sets` of scores, how the vectors of each model were `made`, and its `map`.

    models   the model files by the names that the page gives them
    """
    names, first = list(models), results[0]
    sets = [
        judged(scores, names)
        for task, outcomes in results
        for scores in task.scored([outcomes[str(path)] for path in models.values()])
    ]
    sample = _sample(first.task.documents)
    made = {name: first.outcomes[str(path)]["documents"] for name, path in models.items()}
    classes = sorted(set(sample.labels))
    places = {name: _places(first.task, sample, path) for name, path in models.items()} if len(sample.ids) >= LEAST else {}
    numbers = [classes.index(label) for label in sample.labels]
    return {"sets": sets, "made": made, "map": {"labels": classes, "classes": numbers, "places": places}}


def _sample(documents: Labelled) -> Labelled:
    """Return some of the documents, spread evenly over the labels and over the documents of each."""
    order = np.argsort(np.array(documents.labels), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(MAPPED, len(order))).astype(np.int64)].tolist()
    return Labelled(documents.name, *([column[row] for row in chosen] for column in documents[1:]))


def _places(task: Task, sample: Labelled, path: Path) -> list[list[float]]:
    """Return places in a square of side 1, (n, 2)."""
    vectors = task.points(sample, task.open(path)).vectors.astype(np.float64)
    found: Floats = neighbourhood_map(vectors - vectors.mean(axis=0))
    span = np.maximum(np.ptp(found, axis=0), np.finfo(np.float64).tiny)
    return np.round((found - found.min(axis=0)) / span, 4).tolist()  # type: ignore[no-any-return]


def map_panels(record: Mapping[str, Any]) -> list[Points]:
    """Return a panel for the map of each model."""
    found = record.get("documents", {}).get("map", {"labels": [], "places": {}})
    return [_panel(name, np.array(places), found) for name, places in found["places"].items()]


def _panel(name: str, places: Floats, found: Mapping[str, Any]) -> Points:
    inside, classes = EDGE + places * (WIDTH - 2 * EDGE), np.array(found["classes"])
    groups = [inside[classes == number] for number in range(len(found["labels"]))]
    middles = [group[((group - np.median(group, axis=0)) ** 2).sum(axis=1).argmin()] for group in groups]
    shown = [[(round(x, 1), round(y, 1)) for x, y in group.tolist()] for group in groups]
    title = f"{len(places)} documents"
    return Points(name, title, shown, [(round(x, 1), round(y, 1)) for x, y in np.array(middles).tolist()], title)

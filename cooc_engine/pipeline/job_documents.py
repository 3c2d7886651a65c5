"""The tables [cluster] and [classify] of a job: labelled documents on which all its models are judged; outcomes are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.classification import Classification
from cooc_engine.evaluation.clustering import Clustering
from cooc_engine.evaluation.documents import Outcome, Results, Task
from cooc_engine.evaluation.options import ClassifyOptions, ClusterOptions
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.job_tables import Place, in_table, options_of
from cooc_engine.pipeline.kept_results import remembered
from cooc_engine.runtime.progress import Progress
from cooc_engine.storage.outputs import write_record

__all__ = ["classification_of", "clustering_of", "results_of"]

OTHER = "has not the outcomes"
Paths = Callable[[Any, str], list[Path]]


class _Memory(TypedDict):
    """The file of kept results: outcomes by digests of their tasks and models."""

    outcomes: dict[str, Outcome]


def clustering_of(table: Mapping[str, Any], paths: Paths, job: Path) -> Clustering:
    """Return the task of the table [cluster]; `paths` returns the files that a value names."""
    rest, where = dict(table), Place(job, "[cluster]")
    texts, labels = (paths(rest.pop(key, []), f"[cluster] {key}") for key in ("texts", "labels"))
    if not texts:
        raise UsageError(f"{where}: names no texts")
    with where.naming(ClusterOptions):
        return Clustering.of(texts, options_of(ClusterOptions, rest, where), labels)


def classification_of(table: Mapping[str, Any], paths: Paths, job: Path) -> Classification:
    """Return the task of the table [classify]; `paths` returns the files that a value names."""
    rest, where = dict(table), Place(job, "[classify]")
    train, test, labels = (paths(rest.pop(key, []), f"[classify] {key}") for key in ("train", "test", "labels"))
    if len(train) != 1 or len(test) != 1:
        raise UsageError(f"{where}: names a text as train, and another as test")
    with where.naming(ClassifyOptions):
        return Classification.of(train[0], test[0], options_of(ClassifyOptions, rest, where), labels)


def results_of(
    tasks: Mapping[str, Task], models: Sequence[Path], memory: Path, progress: Progress, *, force: bool
) -> list[Results]:
    """Return the outcomes of tasks, by their tables, for models; each is saved in `memory`, from which a later run takes it.

    Raises `InputError` if what `memory` holds are no outcomes of these tasks.
    """
    kept = {} if force else _kept(memory)
    found: list[Results] = []
    with progress.stage("judge documents", len(tasks) * len(models), "outcomes") as stage:
        for table, task in tasks.items():
            outcomes: dict[str, Outcome] = {}
            for path in models:
                digest = hashlib.sha256(f"{task.digest} {open_model(path).digest}".encode()).hexdigest()
                if digest not in kept:
                    with in_table(f"[{table}]", type(task.options)):
                        kept[digest] = task.outcome(task.open(path))
                    write_record(memory, {"outcomes": kept})
                elif not task.fits(kept[digest]):
                    raise InputError(f"{memory}: {OTHER} of an earlier run; remove it")
                outcomes[str(path)] = kept[digest]
                stage.advance(1, str(path))
            found.append(Results(task, outcomes))
    return found


def _kept(memory: Path) -> dict[str, Outcome]:
    """Return the outcomes of an earlier run."""
    found = remembered(memory, _Memory, OTHER)
    return found["outcomes"] if found else {}

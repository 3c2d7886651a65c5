"""What clustering and classifying documents have in common: the source of the vectors, and the outcome for each model."""

from __future__ import annotations

import hashlib
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypedDict

from cooc_engine._version import __version__
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.labelled import Labelled
from cooc_engine.evaluation.options import DocumentOptions
from cooc_engine.evaluation.scores import SetScores, judged, table_row
from cooc_engine.formats.vectors import format_of
from cooc_engine.models.file import open_model
from cooc_engine.models.sparse_vectors import SPARSE
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.options import refusal
from cooc_engine.runtime.paths import path_of, several
from cooc_engine.runtime.progress import Shown, progress_of
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.storage.schema import Natural
from cooc_engine.vectors.documents import DocumentVectors
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.search import scaled

__all__ = ["Outcome", "Points", "Results", "Task", "open_vectors", "outcomes_of", "rows_of", "task_rows"]


class Outcome(TypedDict):
    """The outcome for one model, from which all scores are computed.

    covered    documents that have a vector
    documents  how vectors were made: "trained", "inferred", or of words, by "mean", "sum" or "sif"
    results    by kind of score, that of each run, or the number of the label predicted for each test document
    """

    covered: Natural
    documents: str
    results: dict[str, list[float]]


class Points(NamedTuple):
    """The vectors (n, d) of documents, and how they were made."""

    vectors: Matrix
    made: str

    @property
    def covered(self) -> int:
        """Number of documents that have a vector."""
        return int(self.vectors.any(axis=1).sum())


class Task(ABC):
    """An evaluation of the vectors of labelled documents, such as clustering them.

    parts    the documents, by file
    options  how their vectors are made
    """

    def __init__(self, parts: Sequence[Labelled], options: DocumentOptions) -> None:
        require("judging vectors of documents", "sklearn", "sklearn.cluster", "sklearn.linear_model")
        self.parts, self.options = parts, options

    @abstractmethod
    def outcome(self, vectors: Vectors) -> Outcome:
        """Return the outcome for the vectors of one model."""

    @abstractmethod
    def fits(self, outcome: Outcome) -> bool:
        """Tell whether an outcome that was recorded can be one of this task."""

    @abstractmethod
    def scored(self, outcomes: Sequence[Outcome]) -> Iterator[SetScores]:
        """Yield the scores of several models from their outcomes, kind by kind."""

    @property
    def documents(self) -> Labelled:
        """All documents, under the joined names of their files."""
        fields = ([*itertools.chain(*column)] for column in list(zip(*self.parts, strict=True))[1:])
        return Labelled("+".join(part.name for part in self.parts), *fields)

    def open(self, path: PathLike) -> Vectors:
        """Open the documents of a model that has any, or else the words of a model, or of a file of vectors."""
        return open_vectors(path, trust_tokenizer=self.options.trust_tokenizer)

    @cached_property
    def digest(self) -> str:
        """Digest that identifies documents and options."""
        made_of = [__version__, type(self).__name__, self.options.record(), self.parts]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def points(self, documents: Labelled, vectors: Vectors) -> Points:
        """Return the vectors of documents, made as the options describe; raises `InputError` if none of them has one."""
        found = self._points(documents, vectors)
        if not found.covered:
            raise InputError(
                f"{_origin(vectors)}: knows no word of the documents in {documents.name}; are these split and spelt as its own "
                "text was?"
            )
        return Points(scaled(found.vectors), found.made) if self.options.unit == "on" else found

    def _points(self, documents: Labelled, vectors: Vectors) -> Points:
        options = self.options
        if isinstance(vectors, DocumentVectors):
            if options.documents == "trained":
                return Points(vectors[documents.ids], "trained")
            if options.documents == "infer":
                how: Any = {"epochs": options.infer_epochs, "seed": options.seed}
                return Points(vectors.infer_vectors(documents.texts, **how), "inferred")
            vectors = vectors.words
        if vectors.is_sparse:
            raise UsageError(f"{_origin(vectors)}: {SPARSE}")
        if not len(vectors):
            raise InputError(f"{_origin(vectors)}: has no words; import the model with --vocab=FILE, a file of its words")
        return Points(vectors.sentence_vectors(documents.texts, options.words), options.words)


def _origin(vectors: Vectors) -> str:
    """Return how a message names vectors: by their file, if they have one."""
    return vectors.facts().get("file", "the model")


class Results(NamedTuple):
    """A task, and the outcomes of models by their paths."""

    task: Task
    outcomes: Mapping[str, Outcome]


def open_vectors(path: PathLike, *, trust_tokenizer: bool = False) -> Vectors:
    """Open the documents of a model that has any, or else the words of a model, or of a file of vectors."""
    path = path_of(path)
    has_documents = format_of(path) is None and open_model(path).document_ids is not None
    return (DocumentVectors if has_documents else Vectors).open(path, trust_tokenizer=trust_tokenizer)


def task_rows(
    task: Task, models: PathLike | Iterable[PathLike] | Mapping[str, Vectors], progress: Shown = None
) -> list[dict[str, Any]]:
    """Return the rows of a task for several models; only one of them is open at a time."""
    return rows_of(task, outcomes_of(task, models, progress))


def outcomes_of(
    task: Task, models: PathLike | Iterable[PathLike] | Mapping[str, Vectors], progress: Shown = None
) -> dict[str, Outcome]:
    """Return the outcomes of a task by the paths or names of models; only one of them is open at a time."""
    paths = {} if isinstance(models, Mapping) else {str(path): path for path in several(models)}
    names = list(models if isinstance(models, Mapping) else paths)
    if not names:
        raise refusal("models", models, "one or more models")
    for name in names:
        if isinstance(models, Mapping) and not isinstance(models[name], Vectors):
            raise UsageError(f"models has {models[name]!r:.40} as {name!r}; it must be vectors, such as Vectors.open(path)")
    outcomes: dict[str, Outcome] = {}
    with progress_of(progress).stage("judge", len(names), "models") as stage:
        for name in names:
            outcomes[name] = task.outcome(models[name] if isinstance(models, Mapping) else task.open(paths[name]))
            stage.advance(1, name)
    return outcomes


def rows_of(task: Task, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Return the rows of models from their outcomes, one model after the other."""
    names = list(outcomes)
    sets = [judged(scores, names) for scores in task.scored(list(outcomes.values()))]
    return [
        {**table_row(data, place, name, outcome["covered"]), "documents": outcome["documents"]}
        for place, (name, outcome) in enumerate(outcomes.items())
        for data in sets
    ]

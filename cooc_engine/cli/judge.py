"""The verbs that show what a path contains, and how good a model is, by words and by documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

import cooc_engine
from cooc_engine.cli.console import figure, print_result, score_lines
from cooc_engine.cli.parameters import Files, Json, ModelFile, ModelFiles
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.options import AccuracyOptions, ClassifyOptions, ClusterOptions, CompareOptions, EvalOptions
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.progress import Kind
from cooc_engine.storage.outputs import refuse_file
from cooc_engine.text.reading import ReadingOptions

if TYPE_CHECKING:
    from cooc_engine.evaluation.documents import Task

__all__ = ["classify", "cluster", "compare", "evaluate", "info", "ratio"]

Page = Annotated[
    Path,
    "The page to write, PAGE.html, or a directory for it; its main picture (.png) and all numbers (.json) go next to it.",
]
Models = Annotated[list[Path], Parameter(name="MODEL..."), "The model files, or files of vectors of other programs."]


TableFile = Annotated[Path | None, "A file to which the table is also written, tab-separated, with one line per score."]
JsonList = Annotated[bool, "Print one JSON list."]
Labels = Annotated[Files, "Files of labels, one per line and one file per text, if the labels are not in the texts."]


@dataclass(frozen=True)
class ShownOptions(Options):
    """How an evaluation runs, and how its results are shown."""

    heading = "Running"

    force: bool = False
    """Replace existing files."""
    progress: Kind = "auto"
    """How progress is shown on stderr: `auto` is JSON with --json, else a bar on a terminal and lines elsewhere."""
    json: bool = False
    """Print all results as one JSON value."""


SHOWN = ShownOptions()


def info(path: Annotated[Path, Parameter(name="PATH"), "The directory or file."], /, *, json: Json = False) -> None:
    """Describe a corpus, a co-occurrence directory or a model: print everything that it records.

    For example:

        cooc-engine info model.h5
    """
    from cooc_engine.pipeline.describe import lines

    record = cooc_engine.info(path)
    print_result(json, record, lines(record))


def ratio(
    model: ModelFile,
    word1: Annotated[str, Parameter(name="WORD1"), "The word of the numerator."],
    word2: Annotated[str, Parameter(name="WORD2"), "The word of the denominator."],
    contexts: Annotated[list[str], Parameter(name="CONTEXT..."), "The context words."],
    /,
    *,
    counts: Annotated[Path | None, "A co-occurrence directory, to show the ratio of the counts, too."] = None,
    json: JsonList = False,
) -> None:
    """Print P(CONTEXT | WORD1) / P(CONTEXT | WORD2) according to the model: near 1 if a context suits both words or neither.

    For example:

        cooc-engine ratio model.h5 ice steam solid gas water fashion --counts cooc
    """
    rows = cooc_engine.ratio(model, word1, word2, contexts, counts)
    print_result(json, rows, _ratios(rows, word1, word2))


def _ratios(rows: list[dict[str, Any]], word1: str, word2: str) -> Iterator[str]:
    """Yield a line for each context word, under a head."""
    columns = [name for name in ("model", "counted") if name in rows[0]]
    yield "  ".join([*(f"{name:>9s}" for name in columns), f"P(word | {word1}) / P(word | {word2})"])
    for row in rows:
        yield "  ".join([*(figure(row[name]) for name in columns), row["context"]])


def evaluate(
    models: ModelFiles,
    /,
    *,
    pairs: Annotated[
        Files, "Files of word pairs: word, word, human score, separated by tabs; scored by Spearman and Pearson."
    ] = None,
    analogies: Annotated[
        Files, "Files of questions: four words per line, a colon starts a section; scored by 3CosAdd and 3CosMul."
    ] = None,
    sentence_pairs: Annotated[Files, "Files of sentence pairs: sentence, sentence, human score, separated by tabs."] = None,
    categories: Annotated[
        Files, "Files of words and their classes, one pair per line; scored by the purity of clusters."
    ] = None,
    outliers: Annotated[Files, "Files of topics: words that belong together, a blank line, words that do not belong."] = None,
    options: EvalOptions | None = None,
    json: JsonList = False,
) -> None:
    """Evaluate models on word pairs, sentence pairs, analogies, categories and outliers.

    For example:

        cooc-engine eval model.h5 --pairs men.tsv --bootstrap 1000
    """
    from cooc_engine.evaluation.judge import SETS

    given = {"pairs": pairs, "analogies": analogies, "sentence_pairs": sentence_pairs}
    given |= {"categories": categories, "outliers": outliers}
    sets: dict[str, Any] = {kind: files for kind in SETS if (files := given[kind])}
    rows = cooc_engine.evaluate(models, **sets, **(options or EvalOptions()).record())
    print_result(json, rows, score_lines(rows))


def compare(
    models: Annotated[ModelFiles, "The model files, all with the same vocabulary."],
    /,
    *,
    output: Page,
    pairs: Annotated[Files, "Files of word pairs: word, word, human score, separated by tabs."] = None,
    analogies: Annotated[Files, "Files of questions: four words per line, a colon starts a section."] = None,
    tests: Annotated[Files, "Labelled texts on which the classifiers among the models are tested."] = None,
    reading: ReadingOptions | None = None,
    options: CompareOptions | None = None,
    shown: ShownOptions = SHOWN,
) -> None:
    """Show models of any family side by side on a page: scores with intervals, costs, neighbours, spectra and norms.

    For example:

        cooc-engine compare glove.h5 skipgram.h5 --pairs men.tsv --output page.html
    """
    from cooc_engine.evaluation.accuracy import accuracies
    from cooc_engine.evaluation.comparison import named_models
    from cooc_engine.reports.page import page_of

    page, progress = str(page_of(output)), cooc_engine.open_progress(shown.progress)
    if reading and not tests:
        reading.refuse_unused("there are no --tests to read", *reading.names())
    testing = AccuracyOptions(**reading.record()) if reading else None
    sections = {"classifiers": accuracies(named_models(models), tests, testing, progress)} if tests else {}
    given = (pairs or (), analogies or (), options)
    record = cooc_engine.compare(models, output, *given, sections=sections, force=shown.force, progress=progress)
    print_result(shown.json, {"output": page, **record}, _compared(page, record))


def _compared(page: str, record: dict[str, Any]) -> Iterator[str]:
    from cooc_engine.reports.page import verdict

    sets, tested = record["sets"], record.get("classifiers", {}).get("sets", [])
    for data in [*sets, *tested]:
        yield f"{data['name']}  {data['kind']}  {data['covered']} of {data['total']}"
        for score in data["scores"]:
            yield f"{figure(score['value'])} {figure(score['low'])} {figure(score['high'])}  {score['model']}"
        yield f"  {verdict(data)}"
        yield f"  after Holm's correction: {verdict(data, corrected=True)}"
    counts = [(len(sets), "set of words", "sets of words"), (len(tested), "labelled text", "labelled texts")]
    on = " and ".join(f"{number} {one if number == 1 else several}" for number, one, several in counts if number)
    yield f"{page}: {len(record['models'])} models{f' on {on}' if on else ''}"


def cluster(
    models: Models,
    /,
    *,
    texts: Annotated[Files, "The texts, one labelled document per line; all are clustered together."] = None,
    labels: Labels = None,
    output: TableFile = None,
    options: ClusterOptions | None = None,
    shown: ShownOptions = SHOWN,
) -> None:
    """Cluster documents by their vectors: mutual information, adjusted Rand index and purity of (spherical) k-means.

    For example:

        cooc-engine cluster model.h5 --texts labelled.txt
    """
    from cooc_engine.evaluation.clustering import Clustering

    if not texts:
        raise UsageError("there is nothing to cluster; pass --texts=FILE")
    _judge(models, Clustering.of(texts, options, labels or ()), output, shown)


def classify(
    models: Models,
    /,
    *,
    train: Annotated[Path, "The text to learn from, one labelled document per line."],
    test: Annotated[Path, "The text to classify, one labelled document per line."],
    labels: Labels = None,
    output: TableFile = None,
    options: ClassifyOptions | None = None,
    shown: ShownOptions = SHOWN,
) -> None:
    """Classify documents by their vectors: accuracy and F1 of nearest neighbours and of logistic regression.

    For example:

        cooc-engine classify model.h5 --train train.txt --test test.txt
    """
    from cooc_engine.evaluation.classification import Classification

    _judge(models, Classification.of(train, test, options, labels or ()), output, shown)


def _judge(models: list[Path], task: Task, output: Path | None, shown: ShownOptions) -> None:
    """Judge models by a task, and print the table, or its rows as JSON."""
    from cooc_engine.evaluation.documents import task_rows
    from cooc_engine.reports.table import score_table, write_scores

    if output:
        refuse_file(output, force=shown.force)
    rows = task_rows(task, models, cooc_engine.open_progress(shown.progress))
    if output:
        write_scores(rows, output, force=shown.force)
    print_result(shown.json, rows, score_table(rows))

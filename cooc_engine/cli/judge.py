"""The verbs that tell what a path is, and how good a model is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import cooc_engine
from cooc_engine.cli.console import figure, print_result, score_lines
from cooc_engine.cli.parameters import Files, Json, ModelFile, ModelFiles, ProgressKind
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.options import CompareOptions, EvalOptions

__all__ = ["compare", "evaluate", "info", "ratio"]

Page = Annotated[
    Path,
    "The page to write, PAGE.html, or a directory for it; its main picture (.png) and all numbers (.json) go beside it.",
]


def info(path: Annotated[Path, Parameter(name="PATH"), "The directory or file."], /, *, json: Json = False) -> None:
    """Describe a corpus, a co-occurrence directory or a model: print everything that it records."""
    from cooc_engine.pipeline.describe import lines

    record = cooc_engine.info(path)
    print_result(json, record, lines(record))


def ratio(
    model: ModelFile,
    word1: Annotated[str, Parameter(name="WORD1"), "The word of the numerator."],
    word2: Annotated[str, Parameter(name="WORD2"), "The word of the denominator."],
    contexts: Annotated[list[str], Parameter(name="CONTEXT"), "The context words."],
    /,
    *,
    counts: Annotated[Path | None, "A co-occurrence directory, to show the ratio of the counts as well."] = None,
    json: Annotated[bool, "Print one JSON list."] = False,
) -> None:
    """Print P(CONTEXT | WORD1) / P(CONTEXT | WORD2) according to the model: large, small, or near 1 for both or neither."""
    rows = cooc_engine.ratio(model, word1, word2, contexts, counts)
    print_result(json, rows, map(_ratio, rows))


def _ratio(row: dict[str, Any]) -> str:
    counted = f"  counted {figure(row['counted'])}" if "counted" in row else ""
    return f"{figure(row['model'])}{counted}  {row['context']}"


def evaluate(
    models: ModelFiles,
    /,
    *,
    pairs: Annotated[Files, "Files of word pairs: word, word, human score, separated by tabs; Spearman and Pearson."] = None,
    analogies: Annotated[
        Files, "Files of questions: four words per line, a colon starts a section; 3CosAdd and 3CosMul."
    ] = None,
    sentence_pairs: Annotated[Files, "Files of sentence pairs: sentence, sentence, human score, separated by tabs."] = None,
    categories: Annotated[Files, "Files of words and their classes, one pair per line; purity of the clusters."] = None,
    outliers: Annotated[Files, "Files of topics: words that belong together, a blank line, words that do not belong."] = None,
    options: EvalOptions | None = None,
    json: Annotated[bool, "Print one JSON list."] = False,
) -> None:
    """Evaluate models on word pairs, sentence pairs, analogies, categories and outliers."""
    from cooc_engine.evaluation.judge import SETS

    given = {"pairs": pairs, "analogies": analogies, "sentence_pairs": sentence_pairs}
    given |= {"categories": categories, "outliers": outliers}
    sets: dict[str, Any] = {kind: files for kind in SETS if (files := given[kind])}
    if not sets:
        first, *others = (f"--{kind.replace('_', '-')} FILE" for kind in SETS)
        raise UsageError(f"nothing to evaluate on; pass {first} or one of {', '.join(others)}")
    rows = cooc_engine.evaluate(models, **sets, **(options or EvalOptions()).record())
    print_result(json, rows, score_lines(rows))


def compare(
    models: Annotated[ModelFiles, "The model files, of one vocabulary."],
    /,
    *,
    output: Page,
    pairs: Annotated[Files, "Files of word pairs: word, word, human score, separated by tabs."] = None,
    analogies: Annotated[Files, "Files of questions: four words per line, a colon starts a section."] = None,
    options: CompareOptions | None = None,
    force: Annotated[bool, "Replace an existing page."] = False,
    progress: ProgressKind = "auto",
    json: Annotated[bool, "Print all numbers as one JSON object."] = False,
) -> None:
    """Show models of any family side by side on a page: scores with intervals, costs, neighbours, spectra and norms."""
    from cooc_engine.reports.page import page_of

    shown, page = cooc_engine.open_progress(progress), str(page_of(output))
    record = cooc_engine.compare(models, output, pairs or (), analogies or (), options, force=force, progress=shown)
    print_result(json, {"output": page, **record}, _compared(page, record))


def _compared(page: str, record: dict[str, Any]) -> Iterator[str]:
    from cooc_engine.reports.page import verdict

    for data in record["sets"]:
        yield f"{data['name']}  {data['kind']}  {data['covered']} of {data['total']}"
        for score in data["scores"]:
            yield f"{figure(score['value'])} {figure(score['low'])} {figure(score['high'])}  {score['model']}"
        yield f"  {verdict(data)}"
    yield f"{page}: {len(record['models'])} models on {len(record['sets'])} sets of words"

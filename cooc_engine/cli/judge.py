"""The verbs that tell what a path is, and how good a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cooc_engine.cli.console import figure, print_json, print_lines, print_scores
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.options import CompareOptions, EvalOptions

__all__ = ["compare", "evaluate", "info", "ratio"]


def info(path: Annotated[Path, Parameter(name="PATH")], /, *, json: bool = False) -> None:
    """Tell what a corpus, a co-occurrence directory or a model is: everything that it records.

    Parameters
    ----------
    path
        The directory or file.
    json
        Print one JSON object.
    """
    from cooc_engine.pipeline.describe import info, lines

    record = info(path)
    if json:
        print_json(record)
    else:
        print_lines(lines(record))


def ratio(
    model: Annotated[Path, Parameter(name="FILE.h5")],
    word1: Annotated[str, Parameter(name="WORD1")],
    word2: Annotated[str, Parameter(name="WORD2")],
    contexts: Annotated[list[str], Parameter(name="CONTEXT")],
    /,
    *,
    counts: Path | None = None,
    json: bool = False,
) -> None:
    """Print P(CONTEXT | WORD1) / P(CONTEXT | WORD2) as the model has it: large, small, or near 1 for both or neither.

    Parameters
    ----------
    model
        The model file.
    word1
        The word above the line.
    word2
        The word below the line.
    contexts
        The context words.
    counts
        A co-occurrence directory, to show what was counted beside it.
    json
        Print one JSON list.
    """
    from cooc_engine.vectors.ratios import ratio

    rows = ratio(model, word1, word2, contexts, counts)
    if json:
        print_json(rows)
        return
    for row in rows:
        counted = f"  counted {figure(row['counted'])}" if "counted" in row else ""
        print_lines([f"{figure(row['model'])}{counted}  {row['context']}"])


def evaluate(
    models: Annotated[list[Path], Parameter(name="FILE.h5")],
    /,
    *,
    pairs: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    analogies: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    sentence_pairs: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    categories: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    outliers: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    options: EvalOptions | None = None,
    json: bool = False,
) -> None:
    """Judge models by word pairs, sentence pairs, analogies, categories and outliers.

    Parameters
    ----------
    models
        The model files.
    pairs
        Files of word pairs: word, word, human score, with tabs between; Spearman and Pearson correlation.
    analogies
        Files of questions: four words a line, sections begin with a colon; 3CosAdd and 3CosMul.
    sentence_pairs
        Files of sentence pairs: sentence, sentence, human score, with tabs between.
    categories
        Files of a word and its class a line; purity of clusters.
    outliers
        Files of topics: words that belong together, a blank line, words that do not.
    json
        Print a JSON list.
    """
    from cooc_engine.evaluation.judge import evaluate

    kinds = {"sentence_pairs": sentence_pairs, "categories": categories, "outliers": outliers}
    if not (pairs or analogies or any(kinds.values())):
        flags = ", ".join(f"--{name.replace('_', '-')} FILE" for name in ("analogies", *kinds))
        raise UsageError(f"nothing to judge by; pass --pairs FILE or one of {flags}")
    how: dict[str, Any] = {**(options or EvalOptions()).record(), **{name: files or () for name, files in kinds.items()}}
    rows = evaluate(models, pairs or (), analogies or (), **how)
    if json:
        print_json(rows)
    else:
        print_scores(rows)


def compare(
    models: Annotated[list[Path], Parameter(name="FILE.h5")],
    /,
    *,
    output: Path,
    pairs: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    analogies: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    options: CompareOptions | None = None,
    force: bool = False,
    progress: Literal["auto", "bar", "lines", "json", "none"] = "auto",
    json: bool = False,
) -> None:
    """Show models of any family side by side on a page: scores with intervals, costs, neighbours, spectra and norms.

    Parameters
    ----------
    models
        The model files, of one vocabulary.
    output
        The page to write, PAGE.html, or a directory for it; its main picture and all numbers stand beside it, .png and .json.
    pairs
        Files of word pairs: word, word, human score, with tabs between.
    analogies
        Files of questions: four words a line, sections begin with a colon.
    force
        Replace a page that exists.
    progress
        Progress on stderr: a bar on a terminal and lines elsewhere, JSON lines, or nothing.
    json
        Print all numbers as one JSON object.
    """
    from cooc_engine.reports.page import compare, page_of, verdict
    from cooc_engine.runtime.progress import open_progress

    record = compare(models, output, pairs or (), analogies or (), options, force=force, progress=open_progress(progress))
    if json:
        print_json({"output": str(page_of(output)), **record})
        return
    for data in record["sets"]:
        print_lines([f"{data['name']}  {data['kind']}  {data['covered']} of {data['total']}"])
        for score in data["scores"]:
            print_lines([f"{figure(score['value'])} {figure(score['low'])} {figure(score['high'])}  {score['model']}"])
        print_lines([f"  {verdict(data)}"])
    print_lines([f"{page_of(output)}: {len(record['models'])} models on {len(record['sets'])} sets of words"])

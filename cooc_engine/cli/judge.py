"""The verbs that tell what a path is, and how good a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cooc_engine.cli.console import figure, print_json, print_lines, print_scores
from cooc_engine.cli.parameters import Json, ModelFile
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.options import CompareOptions, EvalOptions

__all__ = ["compare", "evaluate", "info", "ratio"]


def info(path: Annotated[Path, Parameter(name="PATH", help="The directory or file.")], /, *, json: Json = False) -> None:
    """Tell what a corpus, a co-occurrence directory or a model is: everything that it records."""
    from cooc_engine.pipeline.describe import info, lines

    record = info(path)
    if json:
        print_json(record)
    else:
        print_lines(lines(record))


def ratio(
    model: ModelFile,
    word1: Annotated[str, Parameter(name="WORD1", help="The word above the line.")],
    word2: Annotated[str, Parameter(name="WORD2", help="The word below the line.")],
    contexts: Annotated[list[str], Parameter(name="CONTEXT", help="The context words.")],
    /,
    *,
    counts: Annotated[Path | None, Parameter(help="A co-occurrence directory, to show what was counted beside it.")] = None,
    json: Annotated[bool, Parameter(help="Print one JSON list.")] = False,
) -> None:
    """Print P(CONTEXT | WORD1) / P(CONTEXT | WORD2) as the model has it: large, small, or near 1 for both or neither."""
    from cooc_engine.vectors.ratios import ratio

    rows = ratio(model, word1, word2, contexts, counts)
    if json:
        print_json(rows)
        return
    for row in rows:
        counted = f"  counted {figure(row['counted'])}" if "counted" in row else ""
        print_lines([f"{figure(row['model'])}{counted}  {row['context']}"])


def evaluate(
    models: Annotated[list[Path], Parameter(name="FILE.h5", help="The model files.")],
    /,
    *,
    pairs: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            help="Files of word pairs: word, word, human score, with tabs between; Spearman and Pearson correlation.",
        ),
    ] = None,
    analogies: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            help="Files of questions: four words a line, sections begin with a colon; 3CosAdd and 3CosMul.",
        ),
    ] = None,
    sentence_pairs: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, help="Files of sentence pairs: sentence, sentence, human score, with tabs between."),
    ] = None,
    categories: Annotated[
        list[Path] | None, Parameter(consume_multiple=True, help="Files of a word and its class a line; purity of clusters.")
    ] = None,
    outliers: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, help="Files of topics: words that belong together, a blank line, words that do not."),
    ] = None,
    options: EvalOptions | None = None,
    json: Annotated[bool, Parameter(help="Print a JSON list.")] = False,
) -> None:
    """Judge models by word pairs, sentence pairs, analogies, categories and outliers."""
    from cooc_engine.evaluation.judge import SETS, evaluate

    given = {"pairs": pairs, "analogies": analogies, "sentence_pairs": sentence_pairs}
    given |= {"categories": categories, "outliers": outliers}
    sets: dict[str, Any] = {kind: files for kind in SETS if (files := given[kind])}
    if not sets:
        first, *others = (f"--{kind.replace('_', '-')} FILE" for kind in SETS)
        raise UsageError(f"nothing to judge by; pass {first} or one of {', '.join(others)}")
    rows = evaluate(models, **sets, **(options or EvalOptions()).record())
    if json:
        print_json(rows)
    else:
        print_scores(rows)


def compare(
    models: Annotated[list[Path], Parameter(name="FILE.h5", help="The model files, of one vocabulary.")],
    /,
    *,
    output: Annotated[
        Path,
        Parameter(
            help="The page to write, PAGE.html, or a directory for it; "
            "its main picture and all numbers stand beside it, .png and .json."
        ),
    ],
    pairs: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, help="Files of word pairs: word, word, human score, with tabs between."),
    ] = None,
    analogies: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, help="Files of questions: four words a line, sections begin with a colon."),
    ] = None,
    options: CompareOptions | None = None,
    force: Annotated[bool, Parameter(help="Replace a page that exists.")] = False,
    progress: Annotated[
        Literal["auto", "bar", "lines", "json", "none"],
        Parameter(help="Progress on stderr: a bar on a terminal and lines elsewhere, JSON lines, or nothing."),
    ] = "auto",
    json: Annotated[bool, Parameter(help="Print all numbers as one JSON object.")] = False,
) -> None:
    """Show models of any family side by side on a page: scores with intervals, costs, neighbours, spectra and norms."""
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

"""The verbs that ask: what a path is, and what the vectors of a model say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cooc_engine.arguments import given
from cooc_engine.config import WHOLE, CompareOptions
from cooc_engine.console import figure, print_json, print_lines, print_scores
from cooc_engine.errors import InputError, UsageError

__all__ = ["compare", "evaluate", "info", "nn", "ratio"]


def info(path: Annotated[Path, Parameter(name="PATH")], /, *, json: bool = False) -> None:
    """Tell what a corpus, a co-occurrence directory or a model is: everything that it records.

    Parameters
    ----------
    path
        The directory or file.
    json
        Print one JSON object.
    """
    from cooc_engine.summary import info, lines

    record = info(path)
    if json:
        print_json(record)
    else:
        print_lines(lines(record))


def nn(
    model: Annotated[Path, Parameter(name="FILE.h5")],
    words: Annotated[list[str], Parameter(name="WORD")],
    /,
    *,
    topn: Annotated[int, WHOLE, Parameter(alias=["--k", "-k"])] = 10,
    json: bool = False,
) -> None:
    """Print the words nearest to each WORD by cosine; a word - reads words from stdin, a line each.

    Parameters
    ----------
    model
        The model file.
    words
        The words to look up.
    topn
        How many neighbours.
    json
        Print one JSON object.
    """
    from cooc_engine.query import nn

    if topn < 1:
        raise UsageError(f"--topn is {topn}; it must be at least 1")
    asked = [word for asked in words for word in (sys.stdin.read().split() if given(asked) == "-" else [asked])]
    if not asked:
        raise InputError("no words to look up")
    neighbours = nn(model, asked, topn)
    if json:
        print_json(neighbours)
        return
    for word, found in neighbours.items():
        print_lines([word, *(f"  {cosine:.4f}  {neighbour}" for neighbour, cosine in found)])


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
    from cooc_engine.ratios import ratio

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
    restrict: Annotated[int, WHOLE] = 30_000,
    by_section: bool = False,
    json: bool = False,
) -> None:
    """Judge models by word pairs (Spearman and Pearson) and by analogies (3CosAdd and 3CosMul).

    Parameters
    ----------
    models
        The model files.
    pairs
        Files of word pairs: word, word, human score, with tabs between.
    analogies
        Files of questions: four words a line, sections begin with a colon.
    restrict
        Ask analogies among so many of the most frequent words.
    by_section
        Show each section of the analogies too.
    json
        Print a JSON list.
    """
    from cooc_engine.evaluation import evaluate

    if not pairs and not analogies:
        raise UsageError("nothing to judge by; pass --pairs FILE or --analogies FILE")
    if restrict < 1:
        raise UsageError(f"--restrict is {restrict}; it must be at least 1")
    rows = evaluate(models, pairs=pairs or (), analogies=analogies or (), restrict=restrict, by_section=by_section)
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
        The page to write, PAGE.html; its main picture and all numbers stand beside it, PAGE.png and PAGE.json.
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
    from cooc_engine.page import compare, verdict
    from cooc_engine.progress import open_progress

    record = compare(models, output, pairs or (), analogies or (), options, force=force, progress=open_progress(progress))
    if json:
        print_json({"output": str(output), **record})
        return
    for data in record["sets"]:
        print_lines([f"{data['name']}  {data['kind']}  {data['covered']} of {data['total']}"])
        for score in data["scores"]:
            print_lines([f"{figure(score['value'])} {figure(score['low'])} {figure(score['high'])}  {score['model']}"])
        print_lines([f"  {verdict(data)}"])
    print_lines([f"{output}: {len(record['models'])} models on {len(record['sets'])} sets of words"])

"""The verbs that tell what a path is, and how good a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cooc_engine.config import WHOLE
from cooc_engine.console import figure, print_json, print_lines, print_scores
from cooc_engine.errors import UsageError

__all__ = ["evaluate", "info", "ratio"]


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

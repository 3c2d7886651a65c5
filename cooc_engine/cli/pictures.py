"""The verbs that draw a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cooc_engine
from cooc_engine.cli.console import print_result
from cooc_engine.cli.parameters import Force, Json, ModelFile, ModelFiles, Positive, ProgressKind
from cooc_engine.runtime.numbers import show_size

__all__ = ["explore", "plot"]


def plot(
    model: ModelFile,
    /,
    *,
    output: Annotated[Path, "The picture to write, PICTURE.png or PICTURE.svg."],
    words: Annotated[Positive, "Largest number of frequent words on the map."] = 300,
    columns: Annotated[bool, "Draw the columns of counts, such as items, instead of the rows."] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw a model: its loss by epoch, and a map on which words with similar uses are near each other.

    For example:

        cooc-engine plot model.h5 --output model.png
    """
    made = cooc_engine.plot(model, output, words, columns=columns, force=force)
    print_result(json, {"output": str(made)}, [f"{made}: written"])


def explore(
    models: Annotated[ModelFiles, "The model files, or files of vectors of other programs."],
    /,
    *,
    output: Annotated[Path, "The page to write, PAGE.html."],
    words: Annotated[Positive, "Include only this many of the most frequent words of each model."] = 10_000,
    force: Force = False,
    progress: ProgressKind = "auto",
    json: Json = False,
) -> None:
    """Write a page for exploring models: a map, search, neighbours side by side, analogies and lengths, in one HTML file.

    For example:

        cooc-engine explore glove.h5 skipgram.h5 --output explorer.html
    """
    shown = cooc_engine.open_progress(progress)
    made = cooc_engine.explore(models, output, words, force=force, progress=shown)
    record = {"output": str(made.path), "bytes": made.bytes, "words": made.words}
    parts = ", ".join(f"{number:,} words of {name}" for name, number in made.words.items())
    print_result(json, record, [f"{made.path}: {parts}, {show_size(made.bytes)}"])

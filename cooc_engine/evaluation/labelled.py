"""Labelled documents, one a line, and their files: UTF-8 text, plain or compressed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.options import DocumentOptions
from cooc_engine.evaluation.sets import name_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.text.readers import line_batches

__all__ = ["Labelled", "read_labelled"]

LONGEST = 1 << 30  # bytes of a document


class Labelled(NamedTuple):
    """Documents: the name of their file, their texts, and the label and the id of each."""

    name: str
    texts: Sequence[str]
    labels: Sequence[str]
    ids: Sequence[str]


def read_labelled(texts: Sequence[PathLike], options: DocumentOptions, labels: Sequence[PathLike] = ()) -> list[Labelled]:
    """Read texts of one document a line, whose labels stand in the lines or else in files of their own, one a line.

    Documents without an id in their line are numbered from 1, through all texts, as those of a corpus are. Raises `InputError`,
    naming the line, for one that has no label or several, and `UsageError` for labels in two places.
    """
    if labels and options.label_column is not None:
        raise UsageError("labels are given by files and by --label-column; choose one")
    if labels and len(labels) != len(texts):
        raise UsageError(f"there are {len(labels)} files of labels for {len(texts)} texts; give each text one")
    numbers = itertools.count(1)
    return [_read(Path(text), file, options, numbers) for text, file in itertools.zip_longest(texts, labels)]


def _read(path: Path, labels: PathLike | None, options: DocumentOptions, numbers: Iterator[int]) -> Labelled:
    """Read one text; `numbers` go on through all of them."""
    texts = _lines(path)
    ids, found = [str(next(numbers)) for _ in texts], _lines(Path(labels)) if labels is not None else None
    rows, columns = [text.split("\t") for text in texts], {options.label_column, options.doc_id_column} - {None}
    if columns:
        texts = ["\t".join(field for at, field in enumerate(row, 1) if at not in columns) for row in rows]
    if options.doc_id_column is not None:
        ids = _column(path, rows, options.doc_id_column, "document id")
    if options.label_column is not None:
        found = _column(path, rows, options.label_column, "label")
    if found is None:
        texts, found = _marked(path, texts, options.label)
    if len(found) != len(texts):
        raise InputError(f"{labels}: holds {len(found):,} labels, but {path} has {len(texts):,} documents")
    return Labelled(name_of(path), texts, found, ids)


def _lines(path: Path) -> list[str]:
    lines = [line.removesuffix("\r") for lines in line_batches([path], LONGEST) for line in lines]
    if not lines:
        raise InputError(f"{path}: holds no documents")
    return lines


def _column(path: Path, rows: Sequence[Sequence[str]], column: int, what: str) -> list[str]:
    """Return a column of the lines of a text."""
    for number, row in enumerate(rows, 1):
        if len(row) < column or not row[column - 1].strip(" "):
            raise InputError(f"{path}:{number}: has no {what} in column {column}; columns are separated by tabs")
    return [row[column - 1] for row in rows]


def _marked(path: Path, texts: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """Return texts without the word of each that is a label, and the labels without their prefix."""
    mark = re.compile(rf"(?<!\S){re.escape(prefix)}(\S+)")
    labels = [mark.findall(text) for text in texts]
    for number, found in enumerate(labels, 1):
        if len(found) != 1:
            raise InputError(f"{path}:{number}: has {len(found)} labels, words that begin with {prefix}; expected one")
    return [mark.sub("", text) for text in texts], [label for (label,) in labels]

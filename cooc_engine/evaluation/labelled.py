"""Labelled documents, one per line, and their files: UTF-8 text, plain or compressed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.options import DocumentOptions
from cooc_engine.evaluation.sets import name_of
from cooc_engine.runtime.options import refusal
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike, Rows
from cooc_engine.text.readers import LONGEST_LINE, line_batches

__all__ = ["Labelled", "numbered", "read_labelled"]


class Labelled(NamedTuple):
    """Documents: the name of their file, their texts, and the label and the id of each."""

    name: str
    texts: Sequence[str]
    labels: Sequence[str]
    ids: Sequence[str]


def read_labelled(texts: Sequence[PathLike], options: DocumentOptions, labels: Sequence[PathLike] = ()) -> list[Labelled]:
    """Read texts with one document per line, whose labels are in the lines or else in separate files, one per line.

    Documents without an id in their line are numbered from 1 across all texts, like those of a corpus. Raises `InputError`,
    naming the line, for a document with no label or several, and `UsageError` for labels in two places.
    """
    if not texts:
        raise refusal("texts", texts, "one or more files")
    if labels and options.label_column is not None:
        raise UsageError("labels are given both by files and by --label-column; choose one")
    if labels and len(labels) != len(texts):
        raise UsageError(f"each text has its own file of labels; texts: {len(texts)}, files of labels: {len(labels)}")
    numbers = itertools.count(1)
    return [_read(path_of(text), file, options, numbers) for text, file in itertools.zip_longest(texts, labels)]


def numbered(labels: Iterable[str]) -> tuple[list[str], Rows]:
    """Return the distinct labels in order, and the number of each label among these."""
    each = list(labels)  # not an array, whose texts would all take the space of the longest
    names = sorted(set(each))
    rows = {name: row for row, name in enumerate(names)}
    return names, np.array([rows[label] for label in each], np.int64)


def _read(path: Path, labels: PathLike | None, options: DocumentOptions, numbers: Iterator[int]) -> Labelled:
    """Read one text; `numbers` continue across all texts."""
    found = [*_labels(path_of(labels))] if labels is not None else None
    texts, own, ids = list[str](), list[str](), list[str]()
    for at, line in enumerate(_lines(path), 1):
        text, label, name = _document(line, f"{path}:{at}", options, marked=found is None)
        texts.append(text)
        own.append(label)
        ids.append(name)
    if found is not None and len(found) != len(texts):
        raise InputError(f"{labels}: holds {len(found):,} labels, but {path} has {len(texts):,} documents")
    if options.doc_id_column is None:
        ids = [str(next(numbers)) for _ in texts]
    return Labelled(name_of(path), texts, own if found is None else found, ids)


def _document(line: str, where: str, options: DocumentOptions, *, marked: bool) -> tuple[str, str, str]:
    """Return the text of a line, its label, from its column or the word that is `marked` as one, and its id."""
    columns = options.label_column, options.doc_id_column
    if columns == (None, None):
        return (*_without_mark(line, where, options.label), "") if marked else (line, "", "")
    fields = line.split("\t")
    label, name = (_field(fields, *each, where) for each in zip(columns, ("label", "document id"), strict=True))
    text = "\t".join(field for at, field in enumerate(fields, 1) if at not in columns)
    if marked and options.label_column is None:
        text, label = _without_mark(text, where, options.label)
    return text, label, name


def _labels(path: Path) -> Iterator[str]:
    """Yield the labels of a file, one per line."""
    for at, label in enumerate(_lines(path), 1):
        if not label.strip():
            raise InputError(f"{path}:{at}: has no label")
        yield label


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text; raises `InputError` if it has none."""
    batches = line_batches([path], LONGEST_LINE)
    first = next(batches, None)
    if first is None:
        raise InputError(f"{path}: holds no documents")
    for line in itertools.chain(first, itertools.chain.from_iterable(batches)):
        yield line.removesuffix("\r")


def _field(fields: Sequence[str], column: int | None, what: str, where: str) -> str:
    """Return a column of a line, or "" if `column` is None."""
    if column is None:
        return ""
    if len(fields) < column or not fields[column - 1].strip(" "):
        raise InputError(f"{where}: has no {what} in column {column}; columns are separated by tabs")
    return fields[column - 1]


def _without_mark(text: str, where: str, prefix: str) -> tuple[str, str]:
    """Return a text without the word that is its label, and the label without its prefix."""
    mark = re.compile(rf"(?<!\S){re.escape(prefix)}(\S+)")
    found = mark.findall(text)
    if len(found) != 1:
        raise InputError(f"{where}: has {len(found)} labels, words that begin with {prefix}; expected one")
    return mark.sub("", text), found[0]

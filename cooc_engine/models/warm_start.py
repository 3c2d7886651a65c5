"""The older model whose vectors a training starts from (`--init`), and whose words it may also keep (`--extend`).

Rows are matched by word, so only arrays whose first axis is V are touched: rows of buckets, documents or tree nodes are not
words, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.checkpoints import older_path
from cooc_engine.models.families import named
from cooc_engine.models.file import ModelFile
from cooc_engine.runtime.types import Matrix, Rows
from cooc_engine.storage.checksums import crc32

__all__ = ["begin_with", "checksums", "extended", "has_words", "open_older"]


as_model: Callable[[str, Path], ModelFile] = named("cooc_engine.formats.vectors:as_model")  # of a room that comes later


def open_older(path: str | None, d: int, output: Path) -> ModelFile | None:
    """Return the model to start from, or None; raises `UsageError` if its vectors are not of dimension d.

    The path may be that of another program's file of vectors, which is converted to a model in a directory beside `output`.
    """
    if path is None:
        return None
    model = as_model(path, older_path(output))
    widths = [model.shapes[name][1] for name, axes in model.axes.items() if axes == "V d"]
    if not widths:
        raise UsageError(f"--init {path}: has no word vectors to start from")
    found = widths[0]
    if found != d:
        raise UsageError(f"--init {path}: its vectors have {found} components; pass --vector-size={found}")
    return model


def checksums(older: ModelFile | None) -> list[int] | None:
    """Return checksums that identify the older model's vectors, for `Begun.of`."""
    if older is None:
        return None
    return [crc32(np.ascontiguousarray(older.array(name)).data) for name in older.names]


def has_words(axes: str) -> bool:
    """Tell whether the rows of an array with these axes are words."""
    return axes.split()[:1] == ["V"]


def _of_words(older: ModelFile, axes: Mapping[str, str]) -> list[str]:
    """Return the arrays whose rows are words both here and in the older model.

    The contexts of PMI-SVD are words if there are as many of them, without names of their own; otherwise they are positional.
    """
    size = len(older.vocabulary)
    rows = ("V", "C") if older.column_names is None else ("V",)
    theirs = {name for name, found in older.axes.items() if found[:1] in rows and older.shapes[name][0] == size}
    return [name for name, found in axes.items() if has_words(found) and name in theirs]


def begin_with(
    older: ModelFile,
    vocabulary: Vocabulary,
    where: Path,
    arrays: Mapping[str, Matrix],
    axes: Mapping[str, str],
    row_of: Callable[[Rows], Rows] = lambda rows: rows,
) -> None:
    """Initialise, in place, the rows of all words that an older model has with its vectors.

    arrays, axes  the new parameters and their axes, by name; arrays without the axis V stay as they are
    row_of        maps rows of the vocabulary to rows of the arrays, if these are in another order
    where         path that the vocabulary belongs to, for error messages

    Raises `InputError` if the two have no word in common.
    """
    rows, places = common_words(older, vocabulary, where)
    for name in _of_words(older, {name: axes[name] for name in arrays if name in axes}):
        if older.shapes[name][1:] == arrays[name].shape[1:]:  # which differ if the segments are those of another window
            arrays[name][row_of(rows)] = older.array(name)[places]


def extended(
    older: ModelFile, vocabulary: Vocabulary, arrays: Mapping[str, Matrix], axes: Mapping[str, str]
) -> tuple[Vocabulary, dict[str, Matrix]]:
    """Add the words and the counts of an older model to a new one; words are ranked by the sum of both counts.

    Rows of words are reordered accordingly; arrays without the axis V stay as they are.
    """
    old, new, ids = older.vocabulary, vocabulary.ids, older.vocabulary.ids
    more = [row for row, word in enumerate(old.words) if word not in new]
    words = vocabulary.words + [old.words[row] for row in more]
    counts = [*vocabulary.counts.tolist(), *[0] * len(more)]
    totals = [n + (int(old.counts[ids[word]]) if word in ids else 0) for word, n in zip(words, counts, strict=True)]
    order = sorted(range(len(words)), key=lambda row: (-totals[row], words[row].encode()))
    places = np.argsort(order)  # of the new model's words, then of the added ones
    whole = dict(arrays)
    for name in [name for name in arrays if has_words(axes[name])]:
        whole[name] = np.empty((len(order), *arrays[name].shape[1:]), np.float32)
        whole[name][places[: len(new)]] = arrays[name]
        whole[name][places[len(new) :]] = older.array(name)[more]
    return Vocabulary.from_words([words[row] for row in order], [totals[row] for row in order]), whole


def common_words(older: ModelFile, vocabulary: Vocabulary, where: Path) -> tuple[Rows, Rows]:
    """Return the rows of the common words in `vocabulary` and in the model; raises `InputError` if there are none.

    `where` is the path that the vocabulary belongs to, for the error message.
    """
    rows, places = vocabulary.common(older.vocabulary)
    if not len(rows):
        raise InputError(f"--init {older.path}: has no word in common with {where}")
    return rows, places

"""Describing a path: an encoded corpus, a co-occurrence directory, a file of counts or a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cooc_engine.corpus import directory
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts import directory as directory_module
from cooc_engine.errors import FormatError, InputError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.numbers import ABSENT, show_setting
from cooc_engine.runtime.paths import path_of
from cooc_engine.storage.outputs import is_directory_of

__all__ = ["info", "lines"]

FIRST = 10  # words, and items of a list, that are shown
LABELS = {"shards": ("tokens", "documents"), "blocks": ("first row", "end", "of wide values")}  # numbers of one item


@gated
def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return everything recorded about a corpus, a co-occurrence directory, a file of counts or a model file.

    >>> found = info("model.h5")
    >>> found["family"], found["words"], found["config"]["train"]["vector_size"]
    ('glove', 21, 10)

    Raises `InputError` if the path does not exist, `FormatError` if it is none of these or damaged.
    """
    path = path_of(path)
    for kind, opened in (("corpus", directory.Corpus), ("cooc", directory_module.Cooc)):
        if is_directory_of(path, kind):
            found = opened(path)
            columns = _columns(getattr(found, "column_names", None))
            return {"path": str(path), "kind": kind, **found.info(), "first_words": first_words(found.vocabulary), **columns}
    if path.is_dir():
        raise FormatError(f"{path}: neither an encoded corpus nor a co-occurrence directory (it has no sound manifest.json)")
    from cooc_engine.formats.hdf5_counts import COUNTS, CountFile
    from cooc_engine.models.file import open_model
    from cooc_engine.storage.hdf5 import form_of

    form = form_of(path)
    if form == COUNTS:
        return {"path": str(path), "kind": "counts", **CountFile(path).manifest}
    if not form and (foreign := _foreign_format(path)):
        raise FormatError(f"{path}: is a file of another program, in the format {foreign}; import makes a model file of it")
    model = open_model(path)
    return {
        "path": str(path),
        "kind": "model",
        "family": model.family,
        "words": len(model.vocabulary),
        "first_words": first_words(model.vocabulary),
        **_columns(model.column_names),
        "arrays": {name: list(shape) for name, shape in model.shapes.items()},
        "vectors": model.published,
        "config": model.config,
        "provenance": model.provenance,
        "history": list(model.history),
        "evaluation": list(model.evaluation),
    }


def _foreign_format(path: Path) -> str | None:
    """Return the format of a file of vectors of another program; None if it is none that is known."""
    from cooc_engine.formats.vectors import format_of

    with suppress(InputError):
        return format_of(path)
    return None


def _columns(names: Vocabulary | None) -> dict[str, Any]:
    """Return the number of columns that have names of their own, and the first of these."""
    return {} if names is None else {"columns": len(names), "first_columns": first_words(names)}


def first_words(vocabulary: Vocabulary) -> list[str]:
    """Return the most frequent words."""
    return [vocabulary.word(row) for row in range(min(FIRST, len(vocabulary)))]


def lines(record: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a nested record as indented lines; numbers have names, and only the beginning of a long list is shown."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from lines({name: _size(item) if key == "arrays" else item for name, item in value.items()}, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict | list | tuple):
            yield f"{indent}{key}: {len(value):,}"
            yield from (f"{indent}  {_labelled(key, item)}" for item in value)
        else:
            yield f"{indent}{key}: {_listed(value) if isinstance(value, list) else show_setting(value)}"


def _size(shape: Any) -> Any:
    """Return a shape as a text; anything else, which a forged record may have in its place, as it is."""
    is_shape = isinstance(shape, list) and all(type(length) is int for length in shape)
    return " × ".join(f"{length:,}" for length in shape) if is_shape else shape


def _labelled(key: str, item: Any) -> str:
    """Return the numbers of a shard, a block or an epoch with their names; those of anything else without."""
    values = item if isinstance(item, list | tuple) else [item]
    if isinstance(item, dict) or (key in LABELS and len(values) == len(LABELS[key])):
        pairs = item.items() if isinstance(item, dict) else zip(LABELS[key], values, strict=True)
        return ", ".join(f"{name} {show_setting(value)}" for name, value in pairs)
    return ", ".join(map(show_setting, values))


def _listed(values: list[Any]) -> str:
    shown = ", ".join(map(show_setting, values[:FIRST])) or ABSENT
    return shown + (f" and {len(values) - FIRST:,} more" if len(values) > FIRST else "")

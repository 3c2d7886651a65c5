"""Describing a path: an encoded corpus, a co-occurrence directory, a file of counts or a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cooc_engine.corpus import directory
from cooc_engine.counts import directory as directory_module
from cooc_engine.errors import FormatError
from cooc_engine.storage.outputs import is_directory_of

__all__ = ["info", "lines"]


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return everything recorded about a corpus, a co-occurrence directory, a file of counts or a model file.

    Raises `InputError` if the path does not exist, `FormatError` if it is none of these or damaged.
    """
    path = Path(path)
    for kind, opened in (("corpus", directory.Corpus), ("cooc", directory_module.Cooc)):
        if is_directory_of(path, kind):
            return {"path": str(path), "kind": kind, **opened(path).info()}
    if path.is_dir():
        raise FormatError(f"{path}: neither an encoded corpus nor a co-occurrence directory (it has no sound manifest.json)")
    from cooc_engine.formats.hdf5_counts import COUNTS, CountFile
    from cooc_engine.models.file import open_model
    from cooc_engine.storage.hdf5 import form_of

    if form_of(path) == COUNTS:
        return {"path": str(path), "kind": "counts", **CountFile(path).manifest}
    model = open_model(path)
    return {
        "path": str(path),
        "kind": "model",
        "family": model.family,
        "words": len(model.vocabulary),
        "arrays": {name: list(shape) for name, shape in model.shapes.items()},
        "vectors": model.published,
        "config": model.config,
        "provenance": model.provenance,
        "history": list(model.history),
        "evaluation": list(model.evaluation),
    }


def lines(record: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a nested record as indented lines."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict | list):
            yield f"{indent}{key}: {len(value)}"
            yield from (f"{indent}  {json.dumps(item, ensure_ascii=False)}" for item in value)
        else:
            yield f"{indent}{key}: {value}"

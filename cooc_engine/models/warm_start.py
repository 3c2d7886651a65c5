"""The older model whose vectors a training begins with (`--init`): what must fit, and which words both have."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.file import Model, open_model

__all__ = ["checksums", "common_words", "open_older"]

Rows = npt.NDArray[np.int64]


def open_older(path: str | None, d: int) -> Model | None:
    """Return the model to begin with, if there is one; raises `UsageError` if its vectors are not of length d."""
    if path is None:
        return None
    model = open_model(path)
    found = model.array("words").shape[1]
    if found != d:
        raise UsageError(f"--init {path}: its vectors have {found} components; pass --vector-size {found}")
    return model


def checksums(older: Model | None) -> list[int] | None:
    """Return what tells its vectors from those of another model, for the digest of a plan."""
    if older is None:
        return None
    return [zlib.crc32(np.ascontiguousarray(older.array(name)).data) for name in older.names]


def common_words(older: Model, vocabulary: Vocabulary, where: Path) -> tuple[Rows, Rows]:
    """Return the rows of the words that both have, in `vocabulary` and in the model; raises `InputError` if there is none.

    `where` says in the message what the vocabulary belongs to.
    """
    rows, places = vocabulary.common(older.vocabulary)
    if not len(rows):
        raise InputError(f"--init {older.path}: has no word in common with {where}")
    return rows, places

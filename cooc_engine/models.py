"""The registry of model families, and `train`: from counts, an encoded corpus, or text, to a model file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from cooc_engine.config import CbowOptions, GloveOptions, Options, SkipgramOptions
from cooc_engine.cooc import Cooc
from cooc_engine.corpus import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.glove import train_glove
from cooc_engine.modelfile import Model
from cooc_engine.progress import Progress
from cooc_engine.stages import prepared
from cooc_engine.word2vec import train_cbow, train_skipgram

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["FAMILIES", "Family", "How", "family_of", "train"]

PathLike = str | os.PathLike[str]


class How(TypedDict, total=False):
    """How a stage runs; nothing here changes its result."""

    threads: int | None
    memory: str | int | None
    force: bool
    resume: bool
    progress: Progress | None


@dataclass(frozen=True)
class Family:
    """A model family: its options, the function that trains it, and what that takes: counts, or an encoded corpus."""

    options: type[Options]
    train: Callable[..., Model]
    takes: Literal["counts", "corpus"] = "counts"


FAMILIES = {
    "glove": Family(GloveOptions, train_glove),
    "skipgram": Family(SkipgramOptions, train_skipgram, "corpus"),
    "cbow": Family(CbowOptions, train_cbow, "corpus"),
}


def family_of(model: str) -> Family:
    """Return a family by its name; raises `UsageError` with the names there are."""
    if model not in FAMILIES:
        raise UsageError(f"unknown model {model!r}; there are: {', '.join(FAMILIES)}")
    return FAMILIES[model]


def train(
    model: str,
    source: PathLike | Cooc | Corpus,
    output: PathLike,
    options: Options | None = None,
    **how: Unpack[How],
) -> Model:
    """Train a model family on `source` and write the model file `output`; returns the opened model.

    `source` is a co-occurrence directory, or an encoded corpus or a text, which is then counted, or encoded and counted,
    on the way with the default options; a model that reads the text itself takes no counts. The keywords are those of all
    stages: threads, memory, force, resume, progress.
    """
    family, output = family_of(model), Path(output)
    options = options or family.options()
    if not isinstance(options, family.options):
        raise UsageError(f"{model} takes {family.options.__name__}, not {type(options).__name__}")
    with prepared(source, output, takes=family.takes, **how) as data:
        return family.train(data, output, options, **how)

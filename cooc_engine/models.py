"""The registry of model families, and `train`: from counts, an encoded corpus, or text, to a model file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.config import (
    CbowOptions,
    CountOptions,
    GloveOptions,
    Options,
    PmiSvdOptions,
    SimplerGloveOptions,
    SkipgramOptions,
    UniformCountOptions,
)
from cooc_engine.cooc import Cooc
from cooc_engine.corpus import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.glove import train_glove, train_simpler_glove
from cooc_engine.modelfile import Model
from cooc_engine.pmisvd import train_pmi_svd
from cooc_engine.running import How
from cooc_engine.stages import prepared
from cooc_engine.word2vec import train_cbow, train_skipgram

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["FAMILIES", "Family", "family_of", "train"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Family:
    """A model family: its options, the function that trains it, and the options of counting a text for it.

    A family without options of counting reads the text itself: it is trained on an encoded corpus.
    """

    options: type[Options]
    train: Callable[..., Model]
    counting: type[CountOptions] | None = CountOptions


FAMILIES = {
    "glove": Family(GloveOptions, train_glove),
    "simpler-glove": Family(SimplerGloveOptions, train_simpler_glove, UniformCountOptions),
    "pmi-svd": Family(PmiSvdOptions, train_pmi_svd),
    "skipgram": Family(SkipgramOptions, train_skipgram, None),
    "cbow": Family(CbowOptions, train_cbow, None),
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
    on the way with the default options; a model that reads the text itself takes no counts. The keywords are those of `Run`:
    threads, memory, force, resume, progress, checkpoint_every.
    """
    family, output = family_of(model), Path(output)
    options = options or family.options()
    if not isinstance(options, family.options):
        raise UsageError(f"{model} takes {family.options.__name__}, not {type(options).__name__}")
    stages: dict[str, Any] = {key: value for key, value in how.items() if key != "checkpoint_every"}
    with prepared(source, output, counting=family.counting, **stages) as data:
        return family.train(data, output, options, **how)

"""The registry of model families, and `train`: from counts, an encoded corpus, or text, to a model file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.config import CbowOptions, GloveOptions, PmiSvdOptions, SimplerGloveOptions, SkipgramOptions
from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions, UniformCountOptions
from cooc_engine.errors import UsageError
from cooc_engine.glove import train_glove, train_simpler_glove
from cooc_engine.modelfile import Model, combined, mean_vector
from cooc_engine.pmisvd import DERIVED, derive, train_pmi_svd
from cooc_engine.runtime.keywords import How
from cooc_engine.runtime.options import Options
from cooc_engine.stages import prepared
from cooc_engine.word2vec import train_cbow, train_skipgram

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["FAMILIES", "Family", "family_of", "train"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Family:
    """A model family: its options, the function that trains it, and the options of counting a text for it.

    A family without options of counting reads the text itself: it is trained on an encoded corpus. One training serves all
    values of the options in `derived`: `derive(model, options)` returns the vectors that another would have published.
    """

    options: type[Options]
    train: Callable[..., Model]
    counting: type[CountOptions] | None = CountOptions
    derived: tuple[str, ...] = ()
    derive: Callable[[Model, Any], Any] = lambda model, options: model.vectors

    def serving(self, wanted: Sequence[Options]) -> Options:
        """Return the options of the training that serves all these, which differ in `derived` alone: the first, not scaled."""
        scaled = len(wanted) > 1 and "normalize" in self.derived
        return dataclasses.replace(wanted[0], normalize=False) if scaled else wanted[0]  # type: ignore[type-var]


def choose(model: Model, options: GloveOptions | SimplerGloveOptions) -> Any:
    """Return the vectors of a GloVe model that `options` name."""
    chosen = options.vectors or model.published
    vectors = combined(model.arrays, chosen)
    return vectors - mean_vector(model.arrays, chosen) if options.center == "mean" else vectors


FAMILIES = {
    "glove": Family(GloveOptions, train_glove, derived=("vectors",), derive=choose),
    "simpler-glove": Family(SimplerGloveOptions, train_simpler_glove, UniformCountOptions, derived=("vectors",), derive=choose),
    "pmi-svd": Family(PmiSvdOptions, train_pmi_svd, derived=DERIVED, derive=derive),
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

"""The registry of model families."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cooc_engine.counts.options import CountOptions, UniformCountOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.file import Model
from cooc_engine.models.matrix_options import GloveOptions, PmiSvdOptions, SimplerGloveOptions
from cooc_engine.models.published import combined, mean_vector
from cooc_engine.models.sampled_options import CbowOptions, SkipgramOptions
from cooc_engine.runtime.options import Options

__all__ = ["FAMILIES", "Family", "family_of"]


@dataclass(frozen=True)
class Family:
    """A model family: its options, the function that trains it, and the options of counting a text for it.

    A family without options of counting reads the text itself: it is trained on an encoded corpus. One training serves all
    values of the options in `derived`: `derive(model, options)` returns the vectors that another would have published.

    product   what the inner product of a word's vector and a context's is, but for what depends on one of them alone:
              "log count", "pmi", or "" for neither
    item      what training counts, as `items` in a model's history
    """

    options: type[Options]
    train: Callable[..., Model]
    counting: type[CountOptions] | None = CountOptions
    derived: tuple[str, ...] = ()
    derive: Callable[[Model, Any], Any] = lambda model, options: model.vectors
    product: str = ""
    item: str = "words"

    def serving(self, wanted: Sequence[Options]) -> Options:
        """Return the options of the training that serves all these, which differ in `derived` alone: the first, not scaled."""
        scaled = len(wanted) > 1 and "normalize" in self.derived
        return dataclasses.replace(wanted[0], normalize=False) if scaled else wanted[0]  # type: ignore[type-var]


def choose(model: Model, options: GloveOptions | SimplerGloveOptions) -> Any:
    """Return the vectors of a GloVe model that `options` name."""
    chosen = options.vectors or model.published
    vectors = combined(model.arrays, chosen)
    return vectors - mean_vector(model.arrays, chosen) if options.center == "mean" else vectors


def named(home: str) -> Callable[..., Any]:
    """Return the function `module:function`, whose module is imported when it is called."""

    def call(*given: Any, **how: Any) -> Any:
        module, _, function = home.partition(":")
        return getattr(importlib.import_module(module), function)(*given, **how)

    return call


def sampled(family: str, home: str) -> Callable[..., Any]:
    """Return the training of a sampled family by its name and its design, `module:function`."""
    return functools.partial(named("cooc_engine.sampled.training:train_sampled"), family, named(home))


FAMILIES = {
    "glove": Family(
        GloveOptions,
        named("cooc_engine.matrix.glove:train_glove"),
        derived=("vectors",),
        derive=choose,
        product="log count",
        item="entries",
    ),
    "simpler-glove": Family(
        SimplerGloveOptions,
        named("cooc_engine.matrix.glove:train_simpler_glove"),
        UniformCountOptions,
        derived=("vectors",),
        derive=choose,
        product="pmi",
        item="entries",
    ),
    "pmi-svd": Family(
        PmiSvdOptions,
        named("cooc_engine.matrix.pmi_svd:train_pmi_svd"),
        derived=("eig", "vectors", "normalize"),
        derive=named("cooc_engine.matrix.pmi_svd:derive"),
        item="products",
    ),
    "skipgram": Family(SkipgramOptions, sampled("skipgram", "cooc_engine.sampled.word2vec:design_skipgram"), None),
    "cbow": Family(CbowOptions, sampled("cbow", "cooc_engine.sampled.word2vec:design_cbow"), None),
}


def family_of(model: str) -> Family:
    """Return a family by its name; raises `UsageError` with the names there are."""
    if model not in FAMILIES:
        raise UsageError(f"unknown model {model!r}; there are: {', '.join(FAMILIES)}")
    return FAMILIES[model]

"""A family that the package does not have: PV-DBOW (Le and Mikolov 2014, section 2.3), with a vector for each document.

All that a family writes stands here: its options, its design and its entry. Its twin is that of the step, `twins/sgd.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine._kernels import rules
from cooc_engine.corpus.directory import Corpus
from cooc_engine.models.families import FAMILIES, Family, sampled
from cooc_engine.models.sampled_options import SampledOptions
from cooc_engine.runtime.options import Flag
from cooc_engine.sampled import sampler
from cooc_engine.sampled.model import Design, SampledModel

NAME = "pv-dbow"


@dataclass(frozen=True)
class PvDbowOptions(SampledOptions):
    """PV-DBOW (Le and Mikolov 2014)."""

    vectors: Annotated[Literal["c"], Flag(("--vec",))] = "c"
    """What queries use: the output vectors of the words; documents have vectors of their own."""


def design(corpus: Corpus, options: PvDbowOptions) -> Design:
    """Return PV-DBOW: a document predicts each of its words."""
    rule = rules.Rule(
        inputs=rules.DOCUMENT, mean=1, spread=0, document=0, window=options.window, fixed=0, output=rules.NOISE,
        negative=options.negative, group=16, shared=16, clamp=6.0, beyond=1.0,
    )  # fmt: skip
    tables = sampler.tables(corpus.counts, subsample=options.subsample, noise_power=options.noise_power)
    uses = sampler.expected_uses(corpus.counts, tables, rule, sampler.longest_document(corpus))
    model = SampledModel(rule, tables, options.epochs, options.lr, options.seed, options.deterministic, uses)
    return Design(model, {"documents": corpus.documents}, {"contexts": len(corpus.vocabulary)})


ENTRY = Family(
    PvDbowOptions,
    sampled(NAME, "support.pv_dbow:design"),
    counting=None,
    arrays={"documents": "D d", "contexts": "V d"},
    published=("c",),
    title="Train PV-DBOW (Le and Mikolov 2014).",
)


def register() -> None:
    """Put the entry into the registry; nothing else makes it a family."""
    FAMILIES[NAME] = ENTRY

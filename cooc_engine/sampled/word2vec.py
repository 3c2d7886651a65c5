"""The word2vec family (Mikolov et al. 2013a, 2013b): skip-gram and CBOW by negative sampling, hierarchical or full softmax.

    ns        −log σ(h·u_t) − Σ_k log σ(−h·u_k), k noise words from n_w^power
    hs        −Σ_j log σ(±h·θ_j) over the target's Huffman path
    softmax   −log exp(u_t·h) / Σ_j exp(u_j·h)

A family is a rule for the training step of `_kernels/step.py`; `training.train_sampled` trains any design.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import rules
from cooc_engine._kernels.rules import Rule, Tables
from cooc_engine._kernels.simd import TILE
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.models.sampled_options import CbowOptions, SampledOptions, SkipgramOptions
from cooc_engine.runtime.types import Counts
from cooc_engine.sampled import sampler
from cooc_engine.sampled.model import FLOOR, Design, SampledModel, group_of
from cooc_engine.sampled.sampler import InputRows
from cooc_engine.storage.scratch import padded

__all__ = ["design_cbow", "design_skipgram", "design_words", "floor_of", "rule_and_tables"]

# Word2vec's program takes σ as 0 or 1 beyond 6.
PLAIN: dict[str, Any] = {"inputs": rules.CONTEXTS, "mean": 0, "spread": 0, "document": -1, "clamp": 6.0}
OUTPUTS = {"ns": rules.NOISE, "hs": rules.PATH, "softmax": rules.LIST}


def design_skipgram(corpus: Corpus, options: SkipgramOptions) -> Design:
    """Return skip-gram: each context word of a window predicts the centre, or the centre predicts each of them."""
    inputs = rules.CONTEXTS if options.predict == "centre" else rules.CENTRE
    return design_words(corpus, options, inputs=inputs, mean=0, spread=0)


def design_cbow(corpus: Corpus, options: CbowOptions) -> Design:
    """Return CBOW: the mean of the context words predicts the centre."""
    return design_words(corpus, options, inputs=rules.CONTEXTS, mean=1, spread=int(options.gradient == "share"))


def design_words(
    corpus: Corpus, options: SampledOptions, rows: InputRows | None = None, total: int | None = None, /, **changes: float
) -> Design:
    """Return the design of a model of words; `changes` are the fields of `Rule` in which these models differ.

    `rows` and `total` are those of `sampler.tables`.
    """
    words, counts = len(corpus.vocabulary), corpus.counts
    if options.loss == "hs" and options.vectors not in ("w", None):
        raise UsageError(f"--vectors is {options.vectors}; --loss=hs has no output vector for a word, only w")
    rule, tables, paths = rule_and_tables(counts, options, rows, total, **changes)
    longest = sampler.longest_document(corpus) if rule.document >= 0 else 0
    uses = sampler.expected_uses(counts, tables, rule, longest)
    if options.loss != "softmax" and options.noise == "shared":
        rule = rule._replace(group=group_of(uses, options.lr))
    model = SampledModel(rule, tables, options.epochs, options.lr, options.seed, options.deterministic, uses, floor_of(options))
    outputs = {"contexts": words} if paths is None else {"nodes": words - 1}
    return Design(model, {"words": words}, outputs, _facts(paths, counts))


def floor_of(options: SampledOptions) -> float:
    """Return the fraction of its initial value to which the learning rate falls."""
    return FLOOR if options.min_lr is None else options.min_lr / options.lr


def rule_and_tables(
    counts: Counts, options: SampledOptions, rows: InputRows | None = None, total: int | None = None, /, **changes: float
) -> tuple[Rule, Tables, sampler.Paths | None]:
    """Return the rule of a model whose windows are trained singly, its tables and, for hs, its Huffman paths.

    The arguments are those of `design_words`, with the counts of the words instead of the corpus.
    """
    paths = sampler.huffman(counts) if options.loss == "hs" else None
    negative = options.negative if options.loss == "ns" else 0
    shared = padded(max(options.shared_words, negative), TILE) if negative and options.noise == "shared" else 0
    given: dict[str, Any] = {**PLAIN, "shared": shared, "beyond": 0.0 if paths else 1.0, **changes}
    rule = Rule(
        window=options.window,
        fixed=int(options.radius == "fixed"),
        output=OUTPUTS[options.loss],
        negative=negative,
        group=1,
        **given,
    )
    power = options.noise_power if options.loss == "ns" else None
    return (
        rule,
        sampler.tables(counts, subsample=options.subsample, noise_power=power, paths=paths, rows=rows, total=total),
        paths,
    )


def _facts(paths: sampler.Paths | None, counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the mean length of a Huffman path over the text, and that of a complete tree for comparison."""
    if paths is None:
        return {}
    depth = len(counts).bit_length() - 1
    complete = depth + 2 * (len(counts) - 2**depth) / len(counts)
    return {"path_length": paths.expected(counts), "complete_path_length": complete}

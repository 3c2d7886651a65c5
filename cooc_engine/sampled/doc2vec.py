"""Doc2Vec (Le and Mikolov 2014): a document has a row of its own, which is an input wherever one of its words is the target.

PV-DBOW predicts each word of a document from the document alone (section 2.3); with `words`, skip-gram is trained on the
same examples. PV-DM predicts a word from the mean of its document and its window (section 2.2).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from cooc_engine._kernels import rules
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.models.file import ModelFile
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.sampled.inference import Inference
from cooc_engine.sampled.lockstep import LockstepInference
from cooc_engine.sampled.model import Design, SampledModel
from cooc_engine.sampled.word2vec import design_words, floor_of, rule_and_tables

__all__ = ["design_doc2vec", "inference_doc2vec"]

MOST_ROWS = 2**31 - 1
FROZEN = rules.OUTPUT_ROWS + rules.WORD_ROWS


def design_doc2vec(corpus: Corpus, options: Doc2vecOptions) -> Design:
    """Return PV-DBOW, or PV-DM: the rows of documents follow those of words, if there are any."""
    words = len(corpus.vocabulary) if options.has_words else 0
    if words + corpus.documents > MOST_ROWS:
        raise UsageError(f"{corpus.path}: {corpus.documents:,} documents are too many; Doc2Vec takes {MOST_ROWS - words:,}")
    if options.loss == "hs" and not np.array_equal(corpus.counts, corpus.vocabulary.counts):
        raise UsageError(f"{corpus.path}: has the vocabulary of another, whose tree of --loss=hs is not this one's; use ns")
    interleaved = {"inputs": rules.CONTEXTS, "mean": 0, "document": words}
    changes = interleaved if options.architecture == "dbow" and words else _predicting(options, words)
    made = design_words(corpus, options, **changes)
    inputs = {"words": words} if words else {}
    return dataclasses.replace(made, inputs={**inputs, "documents": corpus.documents})


def inference_doc2vec(model: ModelFile, epochs: int, seed: int, threads: int) -> Inference | LockstepInference:
    """Return what infers new documents by a model."""
    options = model.trained_with(Doc2vecOptions)
    outputs = model.array("nodes" if options.loss == "hs" else "contexts")
    words = model.array("words") if options.architecture == "dm" else np.empty((0, outputs.shape[1]), np.float32)
    changes = {**_predicting(options, len(words)), "shared": 0, "frozen": FROZEN}
    rule, tables, _ = rule_and_tables(model.vocabulary.counts, options, **changes)
    trained = SampledModel(rule, tables, epochs, options.lr, seed % 2**63, floor=floor_of(options))
    return (Inference if trained.listed else LockstepInference)(trained, words, outputs, threads)


def _predicting(options: Doc2vecOptions, words: int) -> dict[str, int]:
    """Return the fields of `Rule` by which documents are trained, with so many rows of words before theirs.

    With PV-DBOW alone each target has noise words of its own: that is faster than sharing them among few windows.
    """
    if options.architecture == "dm":
        return {"inputs": rules.CONTEXTS, "mean": 1, "document": words}
    return {"inputs": rules.DOCUMENT, "mean": 1, "document": words, "shared": 0}

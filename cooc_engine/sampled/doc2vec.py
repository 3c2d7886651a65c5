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
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.sampled.model import Design
from cooc_engine.sampled.word2vec import design_words

__all__ = ["design_doc2vec", "inputs_of"]

MOST_ROWS = 2**31 - 1


def design_doc2vec(corpus: Corpus, options: Doc2vecOptions) -> Design:
    """Return PV-DBOW, or PV-DM: the rows of documents follow those of words, if there are any."""
    words = len(corpus.vocabulary) if options.has_words else 0
    if words + corpus.documents > MOST_ROWS:
        raise UsageError(f"{corpus.path}: {corpus.documents:,} documents are too many; Doc2Vec takes {MOST_ROWS - words:,}")
    if options.loss == "hs" and not np.array_equal(corpus.counts, corpus.vocabulary.counts):
        raise UsageError(f"{corpus.path}: has the vocabulary of another, whose tree of --loss hs is not this one's; use ns")
    made = design_words(corpus, options, **inputs_of(options, words))
    inputs = {"words": words} if words else {}
    return dataclasses.replace(made, inputs={**inputs, "documents": corpus.documents})


def inputs_of(options: Doc2vecOptions, words: int) -> dict[str, int]:
    """Return the fields of `Rule` that say what predicts a word, with so many rows of words before those of documents."""
    inputs = rules.CONTEXTS if options.has_words else rules.DOCUMENT
    mean = int(options.architecture == "dm" or not options.has_words)
    return {"inputs": inputs, "mean": mean, "spread": 0, "document": words}

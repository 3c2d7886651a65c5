"""fastText's word vectors (Bojanowski et al. 2017): skip-gram and CBOW whose inputs are words and their n-grams.

A word's vector is the mean of its own row and the rows of its n-grams, and each of these receives the mean's whole gradient,
as in fastText's program. The model follows this program in other details too: noise that equals the target is drawn again, σ is
taken as 0 or 1 beyond ±8, no node of a Huffman tree is skipped, and a node's label is 1 for its right child instead of its
left. In floret's mode words have no rows of their own, but are hashed as n-grams are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cooc_engine._kernels import rules
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.models.file import ModelFile
from cooc_engine.models.published import ListedRows
from cooc_engine.models.sampled_options import FasttextOptions
from cooc_engine.models.subwords import subwords_of, word_means
from cooc_engine.runtime.types import Matrix
from cooc_engine.sampled.model import Design
from cooc_engine.sampled.sampler import InputRows
from cooc_engine.sampled.word2vec import design_words

__all__ = ["design_fasttext"]

HABITS = {"mean": 1, "spread": 0, "redraw": 1, "clamp": 8.0, "beyond": 1.0}
GEOMETRY = ("max_n", "min_n", "buckets", "hashes")  # with the mode, the options on which the row of an n-gram depends
FASTTEXT: Mapping[str, Any] = {"mode": "fasttext", "hashes": 1}  # the mode of models that do not record one


def design_fasttext(corpus: Corpus, options: FasttextOptions) -> Design:
    """Return the design of fastText: a word predicts its contexts, or they predict it, by the mean of all input rows."""
    inputs = rules.CENTRE if options.architecture == "skipgram" else rules.CONTEXTS
    subwords, words = subwords_of(options.record()), len(corpus.vocabulary)
    matrices = {"own": words, "subwords": options.buckets}
    if subwords.hashes:
        del matrices["own"]
    elif not options.max_n:
        del matrices["subwords"]
    rows = input_rows(subwords.rows(corpus.vocabulary), matrices.get("own", 0))
    made = design_words(corpus, options, rows, corpus.tokens, inputs=inputs, **HABITS)
    tables = made.model.tables._replace(path_labels=-made.model.tables.path_labels)
    model = replace(made.model, tables=tables)

    def begin(older: ModelFile, arrays: Mapping[str, Matrix]) -> Mapping[str, Matrix]:
        return begun(older, arrays, options)

    def finish(vocabulary: Vocabulary, arrays: Mapping[str, Matrix]) -> Mapping[str, Matrix]:
        means = word_means(arrays, subwords, vocabulary) if "subwords" in arrays else arrays["own"]
        return {**arrays, "words": means}

    return replace(made, model=model, inputs=matrices, begin=begin, finish=finish, finished={"words": words})


def input_rows(lists: ListedRows, words: int) -> InputRows:
    """Return the input rows of each word: its own, if the first `words` rows are those of words, and those of its n-grams."""
    if not words:
        return lists.starts, lists.rows.astype(np.int32)
    starts = lists.starts + np.arange(words + 1)
    rows = np.empty(starts[-1], np.int32)
    is_own = np.zeros(starts[-1], bool)
    is_own[starts[:-1]] = True
    rows[is_own], rows[~is_own] = np.arange(words), lists.rows + words
    return starts, rows


def begun(older: ModelFile, arrays: Mapping[str, Matrix], options: FasttextOptions) -> Mapping[str, Matrix]:
    """Copy the rows of n-grams from an older model, and return the arrays by the names that it gives them.

    The vectors of a model without n-grams become the words' own rows, as fastText's program does with a file of vectors.
    Raises `UsageError` if its n-grams have other rows, or if there are neither n-grams nor own rows.
    """
    if not {"own", "subwords"} & {*older.names}:
        if "own" not in arrays:
            raise UsageError(f"--init {older.path}: has no n-grams to start from; leave out --mode=floret or --init")
        return {**{name: values for name, values in arrays.items() if name != "own"}, "words": arrays["own"]}
    theirs = {**FASTTEXT, **older.recorded}
    has_ngrams = theirs.get("max_n") or options.max_n or options.mode == "floret"
    for name in ("mode", *(GEOMETRY if has_ngrams else ())):
        if theirs.get(name) != getattr(options, name):
            option = f"--{name.replace('_', '-')}={theirs.get(name)}"
            raise UsageError(f"--init {older.path}: was made with {option}; pass {option}")
    if "subwords" in arrays:
        rows = older.array("subwords")
        if rows.shape != arrays["subwords"].shape:
            raise FormatError(f"{older.path}: {len(rows)} rows of n-grams, but its record says {options.buckets}; train again")
        arrays["subwords"][:] = rows
    return arrays

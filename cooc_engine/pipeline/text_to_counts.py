"""`encode`, `encode_documents` and `count` with their options as keywords; the types are in the stub beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cooc_engine.corpus import encode as encoding
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import count as counting
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.keywords import FreshKeywords, SharedKeywords, divided
from cooc_engine.runtime.types import PathLike
from cooc_engine.text.tagged import TaggedDocument

__all__ = ["count", "encode", "encode_documents"]


@gated
def encode(
    texts: PathLike | Sequence[PathLike], output: PathLike, options: EncodeOptions | None = None, **keywords: Any
) -> Corpus:
    """Encode text files, one document per line, into the directory `output`.

    >>> corpus = encode("text.txt", "lowercase", min_count=2, lowercase=True, threads=1)
    >>> corpus.options.min_count
    2

    Files may be compressed (gz, bz2, xz, zst, recognised by their first bytes); `-` is standard input. `keywords` are the
    fields of `EncodeOptions`, unless they are given as `options`, and how the work runs: threads, memory, force, resume,
    progress, processes, cluster and take_over, as in `Run`. The result depends on none of these. A tokenizer written in Python
    runs in `threads` processes; the budget includes a few lines in each, but not the memory that a user's function takes.
    Raises `InputError`, naming file and byte, for text that is missing, empty, binary, truncated or not UTF-8, and, naming
    file and line, if a tokenizer fails; `UsageError` if there is no such tokenizer; `TypeError` for an unknown keyword.
    """
    options, run = divided("encode", EncodeOptions, options, keywords, SharedKeywords)
    return encoding.encode(texts, output, options, **run)


@gated
def encode_documents(
    documents: Iterable[str | Sequence[str] | TaggedDocument],
    output: PathLike,
    options: EncodeOptions | None = None,
    **keywords: Any,
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is read once, so it may be a generator.

    >>> corpus = encode_documents(["ice is cold", ["steam", "is", "hot"]], "weather", min_count=1)
    >>> corpus.tokens, corpus.documents, corpus.vocabulary.words
    (6, 2, ['is', 'cold', 'hot', 'ice', 'steam'])

    A string is split by the tokenizer of the options; a sequence of words is taken unchanged. Documents are numbered from 1,
    unless each is a `TaggedDocument`, whose tags do not contain the `tag_separator`, a comma by default.
    `keywords` are as for `encode`, but the work is done by one process and cannot be resumed.
    """
    options, run = divided("encode_documents", EncodeOptions, options, keywords, FreshKeywords)
    return encoding.encode_documents(documents, output, options, **run)


@gated
def count(corpus: PathLike | Corpus, output: PathLike, options: CountOptions | None = None, **keywords: Any) -> Cooc:
    """Count the co-occurrences of an encoded corpus into the directory `output`.

    >>> corpus = encode_documents(["ice is cold", "steam is hot"], "short", min_count=1)
    >>> cooc = count(corpus, "counts", window=5, threads=1)
    >>> cooc["ice", "cold"]  # two places apart
    0.5

    `keywords` are the fields of `CountOptions`, unless they are given as `options`, and how the work runs, as for `encode`; the
    bytes of the result do not depend on the latter. Raises `UsageError` if sums could overflow 64 bits, or if the budget is
    too small; `TypeError` for an unknown keyword.
    """
    options, run = divided("count", CountOptions, options, keywords, SharedKeywords)
    return counting.count(corpus, output, options, **run)

"""Made by scripts/stubs.py: types and defaults of the options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.runtime.progress import Shown
from cooc_engine.runtime.types import PathLike
from cooc_engine.text.tagged import TaggedDocument

__all__ = ["count", "encode", "encode_documents"]

def encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    progress: Shown = None,
    resume: bool = False,
    take_over: bool = False,
    processes: int | None = None,
    cluster: Any = None,
    min_count: int = 5,
    max_vocab: int | None = None,
    vocabulary: str | None = None,
    document: Literal["line", "blank-line", "file"] = "line",
    encoding: str = "utf-8",
    errors: Literal["strict", "replace", "skip"] = "strict",
    tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
    pattern: str | None = None,
    hmm: Literal["on", "off"] = "on",
    user_dict: str | None = None,
    html: bool = False,
    normalize: Literal["NFC", "NFKC"] | None = None,
    lowercase: bool = False,
    stop_words: str | None = None,
    phrases: int = 0,
    phrase_threshold: float = 100.0,
    doc_id_column: int | None = None,
    doc_id_type: Literal["string", "int64"] = "string",
    tag_separator: str | None = None,
    reserved: Literal["refuse", "keep"] = "refuse",
) -> Corpus:
    """Encode text files, one document per line, into the directory `output`.

    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    vocabulary        `str` or `None`. Use the vocabulary of this corpus or co-occurrence directory instead of
                      building one from the text.
    document          `'line'` or `'blank-line'` or `'file'`, default `'line'`. What counts as a document: each
                      `line`; each paragraph between blank lines, as in most books; or each `file`.
    encoding          `str`, default `'utf-8'`. The encoding of the text files, by its name in Python, such as
                      gb18030, latin-1 or utf-16.
    errors            `'strict'` or `'replace'` or `'skip'`, default `'strict'`. How to handle bytes that cannot
                      be decoded, and NULs: stop with an error, `replace` them by U+FFFD, or `skip` them; the
                      latter two count them.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    pattern           `str` or `None`. The pattern of a word, for `regex`; the default matches words, also with
                      inner ' or -, and numbers such as 1,000.5.
    hmm               `'on'` or `'off'`, default `'on'`. Whether `jieba` uses its hidden Markov model to find
                      words that are not in its dictionary.
    user_dict         `str` or `None`. A file of additional words for `jieba`: one per line, optionally followed
                      by its frequency and its tag.
    html              `bool`, default `False`. Treat the text as HTML: remove tags, comments, scripts and styles,
                      and decode entities such as &eacute;.
    normalize         `'NFC'` or `'NFKC'` or `None`. Unicode normalisation before the text is split: `NFC` joins
                      accents to their letters, `NFKC` also converts full-width forms, ligatures and the like to
                      plain characters.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.
    stop_words        `str` or `None`. A file of words, one per line, that are removed from the text before
                      windows are formed.
    phrases           `int`, at least 0, below 100, default `0`. Number of passes that join frequent word pairs
                      into phrases such as new_york (word2phrase); 0 joins none.
    phrase_threshold  `float`, at least 0, default `100.0`. Join a and b if (n_ab - min-count) n / (n_a n_b) is
                      above this, in a text of n words.
    doc_id_column     `int` or `None`, at least 1. The column of tab-separated lines, counted from 1, that holds
                      the document ids instead of text; else line numbers.
    doc_id_type       `'string'` or `'int64'`, default `'string'`. The type of the ids in that column: strings, or
                      64-bit integers, by which documents are then looked up in Python.
    tag_separator     `str` or `None`. What separates several tags of a document in that column, such as a comma;
                      Doc2Vec gives each tag a vector, which all documents with that tag share.
    reserved          `'refuse'` or `'keep'`, default `'refuse'`. Refuse or keep `<unk>` and `</s>` as words of
                      the text; GloVe, word2vec and fastText reserve them.
    """

def encode_documents(
    documents: Iterable[str | Sequence[str] | TaggedDocument],
    output: PathLike,
    options: EncodeOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    progress: Shown = None,
    min_count: int = 5,
    max_vocab: int | None = None,
    vocabulary: str | None = None,
    document: Literal["line", "blank-line", "file"] = "line",
    encoding: str = "utf-8",
    errors: Literal["strict", "replace", "skip"] = "strict",
    tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
    pattern: str | None = None,
    hmm: Literal["on", "off"] = "on",
    user_dict: str | None = None,
    html: bool = False,
    normalize: Literal["NFC", "NFKC"] | None = None,
    lowercase: bool = False,
    stop_words: str | None = None,
    phrases: int = 0,
    phrase_threshold: float = 100.0,
    doc_id_column: int | None = None,
    doc_id_type: Literal["string", "int64"] = "string",
    tag_separator: str | None = None,
    reserved: Literal["refuse", "keep"] = "refuse",
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is read once, so it may be a generator.

    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    vocabulary        `str` or `None`. Use the vocabulary of this corpus or co-occurrence directory instead of
                      building one from the text.
    document          `'line'` or `'blank-line'` or `'file'`, default `'line'`. What counts as a document: each
                      `line`; each paragraph between blank lines, as in most books; or each `file`.
    encoding          `str`, default `'utf-8'`. The encoding of the text files, by its name in Python, such as
                      gb18030, latin-1 or utf-16.
    errors            `'strict'` or `'replace'` or `'skip'`, default `'strict'`. How to handle bytes that cannot
                      be decoded, and NULs: stop with an error, `replace` them by U+FFFD, or `skip` them; the
                      latter two count them.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    pattern           `str` or `None`. The pattern of a word, for `regex`; the default matches words, also with
                      inner ' or -, and numbers such as 1,000.5.
    hmm               `'on'` or `'off'`, default `'on'`. Whether `jieba` uses its hidden Markov model to find
                      words that are not in its dictionary.
    user_dict         `str` or `None`. A file of additional words for `jieba`: one per line, optionally followed
                      by its frequency and its tag.
    html              `bool`, default `False`. Treat the text as HTML: remove tags, comments, scripts and styles,
                      and decode entities such as &eacute;.
    normalize         `'NFC'` or `'NFKC'` or `None`. Unicode normalisation before the text is split: `NFC` joins
                      accents to their letters, `NFKC` also converts full-width forms, ligatures and the like to
                      plain characters.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.
    stop_words        `str` or `None`. A file of words, one per line, that are removed from the text before
                      windows are formed.
    phrases           `int`, at least 0, below 100, default `0`. Number of passes that join frequent word pairs
                      into phrases such as new_york (word2phrase); 0 joins none.
    phrase_threshold  `float`, at least 0, default `100.0`. Join a and b if (n_ab - min-count) n / (n_a n_b) is
                      above this, in a text of n words.
    doc_id_column     `int` or `None`, at least 1. The column of tab-separated lines, counted from 1, that holds
                      the document ids instead of text; else line numbers.
    doc_id_type       `'string'` or `'int64'`, default `'string'`. The type of the ids in that column: strings, or
                      64-bit integers, by which documents are then looked up in Python.
    tag_separator     `str` or `None`. What separates several tags of a document in that column, such as a comma;
                      Doc2Vec gives each tag a vector, which all documents with that tag share.
    reserved          `'refuse'` or `'keep'`, default `'refuse'`. Refuse or keep `<unk>` and `</s>` as words of
                      the text; GloVe, word2vec and fastText reserve them.
    """

def count(
    corpus: PathLike | Corpus,
    output: PathLike,
    options: CountOptions | None = None,
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    progress: Shown = None,
    resume: bool = False,
    take_over: bool = False,
    processes: int | None = None,
    cluster: Any = None,
    window: int = 10,
    window_weight: Literal["harmonic", "uniform", "dynamic"] = "harmonic",
    context_side: Literal["both", "left", "right"] = "both",
    positional: bool = False,
    oov_gap: Literal["drop", "keep"] = "drop",
    subsample: float | None = None,
    subsample_seed: int = 1,
) -> Cooc:
    """Count the co-occurrences of an encoded corpus into the directory `output`.

    window            `int`, at least 1, below 100000, default `10`. Number of context words on each side of the
                      centre.
    window_weight     `'harmonic'` or `'uniform'` or `'dynamic'`, default `'harmonic'`. Weight of a co-occurrence
                      at distance k: `harmonic` 1/k, `uniform` 1, `dynamic` (window-k+1)/window.
    context_side      `'both'` or `'left'` or `'right'`, default `'both'`. The side of the centre from which
                      contexts are taken; the centre is always the row.
    positional        `bool`, default `False`. Count contexts separately for each signed distance, as hyperwords
                      does: the columns are (word, distance).
    oov_gap           `'drop'` or `'keep'`, default `'drop'`. Whether words outside the vocabulary are dropped
                      before windows are formed, or kept as gaps in them.
    subsample         `float` or `None`, above 0. Subsample frequent words before windows are formed: a word of
                      frequency f is kept with probability √(t/f) + t/f.
    subsample_seed    `int`, at least 0, default `1`. Random seed of the subsampling.
    """

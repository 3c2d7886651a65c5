"""The classifier of fastText (Joulin, Grave, Bojanowski and Mikolov 2017): the words of a line predict its labels.

    h = mean of the rows of the line's words, their subwords and its word n-grams
    softmax   −log exp(u_t·h) / Σ_j exp(u_j·h), with one of the line's labels drawn as t
    hs        −Σ_j log σ(±h·θ_j) over the path of t;  ns  −log σ(h·u_t) − Σ_k log σ(−h·u_k), k labels from n_l^½
    ova       −Σ_j log σ(±h·u_j), + for all labels of the line

The corpus holds every word. Here words are separated from labels, and each are pruned by a minimum count of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding, lines, rules
from cooc_engine._kernels.lines import Lines
from cooc_engine._kernels.rules import Rule
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import WordTable, packed
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.models.subwords import LINE_END, Subwords, word_hashes
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.types import Matrix, Rows
from cooc_engine.sampled import sampler
from cooc_engine.sampled.lines import CLAMP, OUTPUTS, have_prefix, kept_bits, most_inputs, rows_of_words
from cooc_engine.sampled.model import Design, LineModel
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.trainer import State, run_epochs

__all__ = ["Pruned", "design_supervised", "refuse_pruned", "retrained"]

NOISE_POWER = 0.5


class Dictionary(NamedTuple):
    """The words and the labels of a classifier, and the kind of each word of the corpus, as in `Lines.kinds`."""

    words: Vocabulary
    labels: Vocabulary
    kinds: npt.NDArray[np.int32]


class Pruned(NamedTuple):
    """A classifier from which words and n-grams may have been removed: the remaining ones, and its arrays by name.

    kept    the buckets of the remaining n-grams, ascending, or None if all have rows
    prefix  the prefix of labels
    """

    words: Vocabulary
    labels: Vocabulary
    kept: Rows | None
    arrays: Mapping[str, Matrix]
    prefix: str


def design_supervised(corpus: Corpus, options: SupervisedOptions) -> Design:
    """Return the design of a classifier for a corpus whose documents are the lines.

    Raises `InputError` if no line has a label, and `UsageError` for n-grams if the vocabulary of the corpus was pruned.
    """
    if options.ngram_rows:
        refuse_pruned(corpus)
    return _design(corpus, options, _dictionary(corpus, options))


def refuse_pruned(corpus: Corpus) -> None:
    """Raise `UsageError` for a corpus from whose vocabulary words were left out: n-grams cannot be trained on it."""
    if corpus.manifest["tokens_in_vocabulary"] < corpus.tokens:
        raise UsageError(f"{corpus.path}: lacks words that n-grams may contain; encode the text with --min-count=1")


def retrained(
    corpus: Corpus, options: SupervisedOptions, pruned: Pruned, threads: int, stage: Stage, path: Path
) -> dict[str, Matrix]:
    """Return the arrays of the pruned classifier at `path`, trained again (Joulin et al. 2016).

    Raises `FormatError` if they do not have the shapes that its options imply.
    """
    made = _design(corpus, options, _known(corpus.vocabulary, pruned), pruned.kept)
    network = Network.random(made.inputs, made.outputs, options.vector_size, options.seed, threads=threads)
    for name, values in network.arrays().items():
        found = pruned.arrays.get(name)
        if found is None or found.shape != values.shape:
            raise FormatError(f"{path}: its {name} do not have the shape that its options imply; train it again")
        values[:] = found
    run_epochs(State(network, corpus.shards), made.model, corpus, threads, stage, lambda step, whole: None)
    return {**pruned.arrays, **network.arrays()}  # n-grams of which none was kept have no place in a network


def _known(vocabulary: Vocabulary, pruned: Pruned) -> Dictionary:
    """Return the dictionary of a text for a classifier that has its words and labels already."""
    is_label = have_prefix(vocabulary, pruned.prefix.encode())
    kinds = np.where(is_label, lines.NO_LABEL, lines.UNKNOWN).astype(np.int32)
    for known, first, step in ((pruned.words, 0, 1), (pruned.labels, lines.LABEL, -1)):
        places, table = np.full(len(vocabulary), -1, np.int32), WordTable.of(known)
        for words in packed(vocabulary):
            table.find(words, places)
        kinds[places >= 0] = first + step * places[places >= 0]
    return Dictionary(pruned.words, pruned.labels, kinds)


def _design(corpus: Corpus, options: SupervisedOptions, found: Dictionary, kept: Rows | None = None) -> Design:
    laid = _lines(corpus.vocabulary, found, options, kept)
    counts = found.labels.counts
    rule = Rule(
        inputs=rules.DOCUMENT, mean=1, spread=1, document=-1, window=0, fixed=1, output=OUTPUTS[options.loss],
        negative=options.negative if options.loss == "ns" else 0, group=1, shared=0, clamp=CLAMP, beyond=1.0, redraw=1,
    )  # fmt: skip
    paths = sampler.huffman(counts) if options.loss == "hs" else None
    tables = sampler.tables(counts, noise_power=NOISE_POWER if options.loss == "ns" else None, paths=paths)
    longest = sampler.longest_document(corpus)
    model = LineModel(
        rule, tables, options.epochs, options.lr, options.seed, options.deterministic, floor=0.0, lines=laid,
        labels=len(counts), longest=longest, most_inputs=_most_inputs(corpus, laid),
    )  # fmt: skip
    inputs = {"words": len(found.words), "ngrams": options.ngram_rows if kept is None else len(kept)}
    inputs = {name: rows for name, rows in inputs.items() if rows}
    return Design(model, inputs, {"labels": len(counts)}, vocabulary=found.words, labels=found.labels)


def _dictionary(corpus: Corpus, options: SupervisedOptions) -> Dictionary:
    """Separate words and labels; the line end is a word too, which occurs once in each line."""
    vocabulary, counts = corpus.vocabulary, corpus.counts
    if vocabulary.find(LINE_END) >= 0:
        raise InputError(f"{corpus.path}: {LINE_END} is a word of the text; the classifier puts it at each line's end")
    is_label = have_prefix(vocabulary, options.label.encode())
    labels = np.flatnonzero(is_label & (counts >= options.min_count_label))
    if not len(labels):
        raise InputError(
            f"{corpus.path}: too few words begin with {options.label} for a label; check --label or lower --min-count-label"
        )
    words = np.flatnonzero(~is_label & (counts >= options.min_count))
    kinds = np.where(is_label, lines.NO_LABEL, lines.UNKNOWN).astype(np.int32)
    kept, place = _with_line_end(_chosen(vocabulary, counts, words), corpus.documents, options.min_count)
    kinds[words] = np.arange(len(words)) + (np.arange(len(words)) >= place)
    kinds[labels] = lines.LABEL - np.arange(len(labels))
    return Dictionary(kept, _chosen(vocabulary, counts, labels), kinds)


def _chosen(vocabulary: Vocabulary, counts: npt.NDArray[np.int64], rows: Rows) -> Vocabulary:
    """Return the words in some rows of a vocabulary with their `counts`, sorted by these."""
    rows = rows[np.argsort(-counts[rows], kind="stable")]
    begins, lengths = vocabulary.offsets[rows], vocabulary.offsets[rows + 1] - vocabulary.offsets[rows]
    offsets = offsets_of(lengths)
    text = np.empty(offsets[-1], np.uint8)
    encoding.gather_words(np.ascontiguousarray(vocabulary.text), begins, lengths, offsets, text)
    return Vocabulary(text, offsets, counts[rows])


def _with_line_end(words: Vocabulary, count: int, least: int) -> tuple[Vocabulary, int]:
    """Return the vocabulary with the line end inserted by its count, and its row; it is left out if that is below `least`."""
    if count < least:
        return words, len(words)
    place = int(np.searchsorted(-words.counts, -count, "left"))
    end = np.frombuffer(LINE_END.encode(), np.uint8)
    at = words.offsets[place]
    text = np.concatenate([words.text[:at], end, words.text[at:]])
    offsets = np.concatenate([words.offsets[: place + 1], words.offsets[place:] + len(end)])
    return Vocabulary(text, offsets, np.insert(words.counts, place, count)), place


def _lines(vocabulary: Vocabulary, found: Dictionary, options: SupervisedOptions, kept: Rows | None) -> Lines:
    """Return how lines of a vocabulary become input rows."""
    words = len(found.words)
    starts, rows = np.empty(0, np.int64), np.empty(0, np.int32)
    if options.max_n:
        starts, rows = rows_of_words(
            vocabulary, found.kinds, words, Subwords(options.min_n, options.max_n, options.buckets), kept
        )
    hashes = word_hashes(vocabulary).view(np.int32) if options.word_ngrams > 1 else np.empty(0, np.int32)
    end_hash = int(word_hashes([LINE_END]).view(np.int32)[0])
    end = found.words.find(LINE_END)
    buckets = max(1, options.ngram_rows), *kept_bits(kept, options.buckets)
    return Lines(found.kinds, starts, rows, hashes, options.word_ngrams, words, *buckets, end, end_hash)


def _most_inputs(corpus: Corpus, laid: Lines) -> int:
    """Return a bound of the input rows of a line of the corpus."""
    shards = map(corpus.shard, range(corpus.shards))
    return max(most_inputs(laid, shard.ids, shard.offsets) for shard in shards)

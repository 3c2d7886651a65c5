"""What the layers of ELMo know: perplexity compared with n-grams, senses, parts of speech, sentence pairs, words in context.

Every score comes with its number of items, and all but perplexities with a bootstrap interval.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.contextual.characters import BEGIN, END, MARKS, UNKNOWN, Words
from cooc_engine.contextual.perplexity import perplexity as of_streams
from cooc_engine.contextual.stream import Stream
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.evaluation import ngrams as counted
from cooc_engine.evaluation.bootstrap import interval, resampled_correlations, resampled_means, resamples
from cooc_engine.evaluation.correlation import pearson
from cooc_engine.evaluation.options import ProbeOptions
from cooc_engine.evaluation.sets import PairSet, TaggedSet, read_sentence_pairs, read_tagged
from cooc_engine.evaluation.word_in_context import ContextPairs, best_cut, read_word_in_context
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import listed, path_of
from cooc_engine.runtime.types import Floats, Matrix, PathLike, Paths, Rows
from cooc_engine.storage.outputs import refuse_file
from cooc_engine.text.readers import LONGEST_LINE, line_batches
from cooc_engine.vectors.contextual import ContextualVectors, InSentence
from cooc_engine.vectors.layer_mix import LayerMix, fit_mix

__all__ = ["PAIRS", "perplexities", "probe", "pseudo_words", "same_senses", "sentence_pairs", "tagging"]

# Pairs of dissimilar words, which are written as one to see whether their occurrences are told apart.
PAIRS = (
    ("river", "album"), ("king", "football"), ("water", "president"), ("church", "computer"), ("army", "music"),
    ("language", "game"), ("son", "city"), ("species", "film"), ("war", "school"), ("money", "island"), ("won", "wrote"),
    ("large", "american"), ("player", "theory"), ("company", "mother"),
)  # fmt: skip

CONTEXT = 12  # words on each side of a pseudo-word
NEAREST = 5  # occurrences that vote on the word at another
OCCURRENCES = 100  # of each of the two words, at most
SAMPLES, SEED = 1000, (1,)  # of the bootstrap
TOGETHER = 512  # sentences whose layers are held at a time
LARGEST_ORDER = 3
NOT_PLAIN = re.compile("[^a-z0-9]")
Row = dict[str, Any]


@gated
def probe(
    model: PathLike,
    *,
    tags: tuple[PathLike, PathLike] | None = None,
    senses: PathLike | None = None,
    pairs: Paths = (),
    word_in_context: tuple[PathLike, PathLike] | None = None,
    perplexity: Paths = (),
    options: ProbeOptions | None = None,
) -> list[Row]:
    """Evaluate what the layers of an ELMo model know; return rows {dataset, kind, value, low, high, covered, total}.

    tags        two files in CoNLL-U: parts of speech are learned from the first and predicted for the second, see `tagging`
    senses      a text, one sentence per line, for `pseudo_words`
    pairs       files for `read_sentence_pairs`, see `sentence_pairs`
    word_in_context  two files for `read_word_in_context`: a cut is fitted on the first and tested on the second
    perplexity  a held-out corpus and, optionally, the training corpus, both encoded, see `perplexities`

    Raises `InputError`, naming file and line, for a file that cannot be read, what `ContextualVectors.open` raises, and
    `UsageError` if the file for a mix exists, unless the options say `force`.
    """
    options = defaulted("probe", ProbeOptions, options)
    if options.save_mix is not None:
        if tags is None:
            raise UsageError("a mix is learned from tags; pass tags TRAIN TEST too")
        refuse_file(path_of(options.save_mix), force=options.force)
    corpora = listed(perplexity)
    if len(corpora) > 2:
        raise UsageError(f"perplexity takes one or two corpora, not {len(corpora)}: held out, and training")
    sets = [read_sentence_pairs(path) for path in listed(pairs)]
    tagged = [read_tagged(path_of(path)) for path in tags or ()]
    contexts = [read_word_in_context(path_of(path)) for path in word_in_context or ()]
    if options.plain:
        tagged, contexts = [*map(_plain_tags, tagged)], [*map(_plain_context_pairs, contexts)]
    vectors = ContextualVectors.open(model, trust_tokenizer=options.trust_tokenizer)
    rows = [
        *(perplexities(vectors, *map(Corpus.of, corpora)) if corpora else ()),
        *(pseudo_words(vectors, map(vectors.words_of, _lines(senses)), PAIRS) if senses is not None else ()),
        *(_tagging_rows(vectors, *tagged, options=options) if tagged else ()),
        *(row for data in sets for row in sentence_pairs(vectors, data)),
        *(same_senses(vectors, *contexts) if contexts else ()),
    ]
    return [{"model": os.fspath(model), **row} for row in rows]


def _lines(text: PathLike) -> Iterator[str]:
    return itertools.chain.from_iterable(line_batches([path_of(text)], LONGEST_LINE))


def _tagging_rows(vectors: ContextualVectors, train: TaggedSet, test: TaggedSet, *, options: ProbeOptions) -> list[Row]:
    rows, mix = tagging(vectors, train, test)
    if options.save_mix is not None:
        mix.save(options.save_mix, force=options.force)
    return rows


def _plain_tags(data: TaggedSet) -> TaggedSet:
    """Return tagged sentences in lower case, with letters and digits alone, without words that have none."""
    pairs = [
        [(word, tag) for word, tag in zip((NOT_PLAIN.sub("", each.lower()) for each in words), tags, strict=True) if word]
        for words, tags in zip(data.sentences, data.tags, strict=True)
    ]
    kept = [sentence for sentence in pairs if sentence]
    words, tags = ([[pair[side] for pair in sentence] for sentence in kept] for side in (0, 1))
    return TaggedSet(data.name, words, tags)


def _plain_context_pairs(data: ContextPairs) -> ContextPairs:
    """Return words in context, normalised like tagged sentences by `_plain_tags`; the word itself is never left out."""

    def plain(word: InSentence) -> InSentence:
        words = [NOT_PLAIN.sub("", each.lower()) for each in word.words]
        words[word.place] = words[word.place] or word.words[word.place]
        return InSentence([each for each in words if each], sum(map(bool, words[: word.place])))

    return replace(data, pairs=[(plain(first), plain(second)) for first, second in data.pairs])


def _row(dataset: str, kind: str, value: float | None, items: int, resampled: Floats | None = None) -> Row:
    low, high = (interval(resampled) if resampled is not None else None) or (None, None)
    return {"dataset": dataset, "kind": kind, "value": value, "low": low, "high": high, "covered": items, "total": items}


# -------------------------------------------------------------------------------------------------------- perplexity


def perplexities(vectors: ContextualVectors, held_out: Corpus, trained: Corpus | None = None) -> list[Row]:
    """Return the perplexity of both language models on a corpus that was encoded with the vocabulary of the model.

    Words that the softmax lacks count as a single one, `<UNK>`, whose share is `unknown`. Given `trained`, the training corpus,
    the perplexities of unigrams and of Kneser-Ney n-grams on the same words are returned too. Raises `UsageError`
    for a model without a softmax, and for a corpus with another vocabulary.
    """
    words = vectors.network.shape.words
    if not words:
        raise UsageError("the model, like published ones, has no softmax, and therefore no perplexity")
    for corpus in (held_out, *([trained] if trained else [])):
        if not np.array_equal(corpus.vocabulary.text, vectors.vocabulary.text):
            raise UsageError(f"{corpus.path}: has a different vocabulary from the model; encode it with that of the training")
    streams = (
        Stream(shard, np.flatnonzero(np.diff(shard.offsets)), 1) for shard in map(held_out.shard, range(held_out.shards))
    )
    with ThreadPoolExecutor(2) as pool:
        found = of_streams(vectors.network, Words.marked(vectors.vocabulary), streams, pool)
    if found is None:
        raise UsageError(f"{held_out.path}: holds no words")
    values = {"forward": found.forward, "backward": found.backward}
    if trained:
        held = list(_sentences(held_out, words))
        for n in range(1, LARGEST_ORDER + 1):
            model = counted.NgramModel.of(_sentences(trained, words), n, words, (BEGIN, END))
            values["single words" if n == 1 else f"Kneser-Ney {n}"] = counted.perplexity(model.probabilities(held))
    name = f"perplexity of {held_out.path.name}"
    return [{**_row(name, kind, value, found.places), "unknown": found.unknown} for kind, value in values.items()]


def _sentences(corpus: Corpus, words: int) -> Iterator[Rows]:
    """Yield the documents of a corpus as rows of the softmax."""
    for shard in map(corpus.shard, range(corpus.shards)):
        for begin, end in zip(shard.offsets[:-1], shard.offsets[1:], strict=True):
            ids = shard.ids[begin:end].astype(np.int64)
            if len(ids):
                yield np.where((ids >= 0) & (ids + len(MARKS) < words), ids + len(MARKS), UNKNOWN)


# ------------------------------------------------------------------------------------------------------------ senses


def pseudo_words(
    vectors: ContextualVectors, sentences: Iterable[Sequence[str]], pairs: Iterable[tuple[str, str]], name: str = "pseudo-words"
) -> list[Row]:
    """Return for each layer how well it tells apart two words that are written as one (riveralbum), by their contexts.

    Up to 100 occurrences of each word are taken, with 12 words on both sides. Each is classified by a vote of its 5 nearest
    neighbours among the others, by cosine; the score is the accuracy, averaged over the pairs. Pairs in which a word has fewer
    than 5 occurrences are left out.
    """
    scores = []
    for windows, labels in _windows(sentences, list(pairs)):
        if min(np.bincount(labels, minlength=2)) >= NEAREST:
            layers = _layers_at(vectors, windows, [CONTEXT] * len(windows))
            scores.append([_neighbour_accuracy(layer, labels) for layer in layers])
    table = np.array(scores).reshape(len(scores), vectors.layers)
    return [_row(name, f"layer {at}", *_mean_and_resamples(column)) for at, column in enumerate(table.T)]


def _windows(sentences: Iterable[Sequence[str]], pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[list[list[str]], Rows]]:
    """Yield for each pair its occurrences, written as one, in their contexts, and which word each is: 0 or 1."""
    found: dict[tuple[tuple[str, str], str], list[list[str]]] = {(pair, word): [] for pair in pairs for word in pair}
    wanted = {word: [pair for pair in pairs if word in pair] for _, word in found}
    for sentence in sentences:
        for place in range(CONTEXT, len(sentence) - CONTEXT):
            for pair in wanted.get(sentence[place], ()):
                places = found[pair, sentence[place]]
                if len(places) < OCCURRENCES:
                    around = sentence[place - CONTEXT : place + CONTEXT + 1]
                    places.append(["".join(pair) if word in pair else word for word in around])
        if all(len(places) == OCCURRENCES for places in found.values()):
            break
    for pair in pairs:
        first, second = (found[pair, word] for word in pair)
        yield [*first, *second], np.repeat([0, 1], [len(first), len(second)])


def _neighbour_accuracy(vectors: Matrix, labels: Rows) -> float:
    """Return the share of items whose nearest neighbours mostly have the same label."""
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    return float(((labels[nearest].mean(1) > 0.5) == labels).mean())


def _mean_and_resamples(values: npt.NDArray[Any]) -> tuple[float | None, int, Floats | None]:
    """Return the mean, the number of values and the resampled means."""
    if not len(values):
        return None, 0, None
    return float(values.mean()), len(values), resampled_means([values], SAMPLES, SEED)[0]


# ----------------------------------------------------------------------------------------------------------- tagging


def tagging(vectors: ContextualVectors, train: TaggedSet, test: TaggedSet) -> tuple[list[Row], LayerMix]:
    """Return how many words of `test` get the right tag from each layer, from the mean, and from the mix learned on `train`.

    Tags are predicted by softmax regression; the baseline is the most common tag of the word. The bootstrap draws whole
    sentences. The learned mix is returned too.
    """
    tags = [tag for sentence in train.tags for tag in sentence]
    wanted = np.array([tag for sentence in test.tags for tag in sentence])
    learned, judged = (_all_layers(vectors, data.sentences) for data in (train, test))
    names = [*(f"layer {at}" for at in range(vectors.layers)), "mean", "mix"]
    choices = [*(slice(at, at + 1) for at in range(vectors.layers)), None, slice(None)]
    rows = [_tagging_row(test, "most common tag", _most_common(train, test) == wanted)]
    for name, choice in zip(names, choices, strict=True):
        parts = [layers.mean(0, keepdims=True) if choice is None else layers[choice] for layers in (learned, judged)]
        fitted = fit_mix(parts[0], tags)
        found = np.array(fitted.classes)[fitted.predict(parts[1])]
        rows.append(_tagging_row(test, name, found == wanted))
    return rows, fitted.mix


def _all_layers(vectors: ContextualVectors, sentences: Sequence[Sequence[str]]) -> Matrix:
    """Return all layers of all words, (L + 1, n, d)."""
    return np.concatenate([np.empty((vectors.layers, 0, vectors.vector_size), np.float32), *vectors.embed(sentences)], 1)


def _most_common(train: TaggedSet, test: TaggedSet) -> npt.NDArray[Any]:
    """Return for each word of `test` its most common tag in `train`; for a word that is not there, that of all words."""
    known: dict[str, Counter[str]] = {}
    for words, tags in zip(train.sentences, train.tags, strict=True):
        for word, tag in zip(words, tags, strict=True):
            known.setdefault(word, Counter())[tag] += 1
    common = sum(known.values(), Counter[str]())
    return np.array([known.get(word, common).most_common(1)[0][0] for words in test.sentences for word in words])


def _tagging_row(test: TaggedSet, kind: str, right: npt.NDArray[np.bool_]) -> Row:
    sizes = np.array([len(sentence) for sentence in test.sentences])
    hits = np.add.reduceat(right.astype(np.float64), np.cumsum(sizes) - sizes)
    drawn = np.concatenate([weights @ hits / (weights @ sizes) for weights in resamples(len(sizes), SAMPLES, SEED)])
    return _row(f"tags of {test.name}", kind, float(right.mean()), len(right), drawn)


# ------------------------------------------------------------------------------------------------------------- pairs


def sentence_pairs(vectors: ContextualVectors, data: PairSet) -> list[Row]:
    """Return the correlation of human scores with the cosines of mean vectors, by layer, and with the overlap of the words."""
    sides = [[vectors.words_of(pair[side]) for pair in data.pairs] for side in (0, 1)]
    first, second = (_sentence_means(vectors, side) for side in sides)
    shared = [len({*a} & {*b}) / max(1, len({*a} | {*b})) for a, b in zip(*sides, strict=True)]
    cosines = [_cosines(*layer) for layer in zip(first, second, strict=True)]
    values = {"words in common": np.array(shared), **{f"layer {at}": found for at, found in enumerate(cosines)}}
    wanted = np.array(data.scores)
    resampled = resampled_correlations("pearson", list(values.values()), wanted, SAMPLES, SEED)
    return [
        _row(data.name, kind, pearson(series, data.scores), len(wanted), drawn)
        for (kind, series), drawn in zip(values.items(), resampled, strict=True)
    ]


def _cosines(first: Matrix, second: Matrix) -> Floats:
    """Return the cosine of each row with that of the other matrix."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines: Floats = (first * second).sum(1) / np.maximum(norms, 1e-12)
    return cosines


def _sentence_means(vectors: ContextualVectors, sentences: Sequence[Sequence[str]]) -> Matrix:
    """Return the mean of each layer over each sentence, (L + 1, n, d)."""
    parts = (vectors.embed(sentences[first : first + TOGETHER]) for first in range(0, len(sentences), TOGETHER))
    return np.stack([layers.mean(1) if layers.shape[1] else layers.sum(1) for part in parts for layers in part], 1)


def _layers_at(vectors: ContextualVectors, sentences: Sequence[Sequence[str]], places: Sequence[int]) -> Matrix:
    """Return all layers of one word of each sentence, (L + 1, n, d)."""
    return np.stack([layers[:, place] for layers, place in zip(vectors.embed(sentences), places, strict=True)], 1)


# ---------------------------------------------------------------------------------------------------------- same senses


def same_senses(vectors: ContextualVectors, train: ContextPairs, test: ContextPairs) -> list[Row]:
    """Return for each layer the accuracy on `test` of telling equal from different senses by the cut fitted on `train`."""
    learned, judged = (_pair_cosines(vectors, data) for data in (train, test))
    right = [(of_test > best_cut(of_train, train.same)) == test.same for of_train, of_test in zip(learned, judged, strict=True)]
    return [
        _row(f"words in context of {test.name}", f"layer {at}", *_mean_and_resamples(hits)) for at, hits in enumerate(right)
    ]


def _pair_cosines(vectors: ContextualVectors, data: ContextPairs) -> list[Floats]:
    """Return for each layer the cosine of the two occurrences of each pair."""
    sides = []
    for side in zip(*data.pairs, strict=True):
        parts = (side[first : first + TOGETHER] for first in range(0, len(side), TOGETHER))
        sides.append(np.concatenate([_layers_at(vectors, *zip(*part, strict=True)) for part in parts], 1))
    return [_cosines(*layer) for layer in zip(*sides, strict=True)]

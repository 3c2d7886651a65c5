"""Tests claims of the articles on GloVe and simpler-GloVe on given models.

    python scripts/claims.py TEXT MODEL.h5... [--counts COOC]

For each model: the rank correlation of the squared norm with -log P(word); the shortest of the 2,000 most frequent words;
the share that the 100 most frequent words have in the sum of all vectors of TEXT, before and after the mean of the vectors is
subtracted, and in the top keywords of its lines; and how neighbours by `similar` with 500 context words differ from those with
10,000: in grammar, the share of neighbours in the same closed word class, and with COOC, counts of a text on the vocabulary of
the models, in topic, the mean positive PMI with the query word. Finally, keywords and neighbours to look at.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import numpy as np
from scipy.stats import spearmanr
from xopen import xopen

from cooc_engine import Model, Vectors, open_model
from cooc_engine.counts.directory import Cooc

FREQUENT = 2000
STOP_WORDS = 100
SHOWN = 12
KEYWORDS = 10
LINES = 500
GRAMMAR, TOPIC = 500, 10_000  # context words
TOPIC_WORDS = range(300, 3000, 9)  # ranks of words that are frequent and have a topic
ANSWERS = 500  # of `similar`, before those that are not frequent are left out
CLASS_WORDS = 5000  # grammatical neighbours are taken among this many words: closed classes are frequent words
SHOWN_WORDS = ["his", "three", "wrote", "river", "music"]
PARAGRAPH = (
    "the glacier ends in a lake below the mountain and the river that flows out of it has cut a deep valley into the rock "
    "where in the summer the water is cold and grey and the snow of the winter may still lie in the shadow of the cliffs"
)
CLOSED_CLASSES = """
one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty hundred thousand million
first second third fourth fifth sixth seventh eighth ninth tenth
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday
i you he she it we they
me him her us them you it
my your his her its our their
myself himself herself itself themselves
in on at by from with for to of into through during between against under over within across along near above below behind
is are was were be been being am
has have had having
can could may might must shall should will would cannot
and or but nor yet
because although though while since unless if whereas
who whom whose which that what
this that these those
all some any each every both many several few most
north south east west northern southern eastern western
very quite rather too extremely highly fairly
usually often sometimes generally frequently always never rarely typically normally
here there where everywhere anywhere elsewhere
however therefore thus hence moreover furthermore nevertheless
"""


def word_counts(text: str) -> Counter[str]:
    """Return the count of each word in a text file, plain or compressed."""
    counts: Counter[str] = Counter()
    with xopen(text, "rb") as file:
        for line in file:
            counts.update(line.decode().split())
    return counts


def squared_norms(model: Model) -> np.ndarray:
    vectors = model.matrix.astype(np.float64)
    return np.einsum("ij,ij->i", vectors, vectors)


def norm_correlation(model: Model) -> float:
    """Return Spearman's correlation of |v|² with -log P(w) over all words."""
    return float(spearmanr(squared_norms(model), -np.log(model.vocabulary.counts)).statistic)


def shortest(model: Model, among: int = FREQUENT) -> list[str]:
    """Return the `among` most frequent words by increasing length of their vectors."""
    return [model.vocabulary.words[i] for i in np.argsort(squared_norms(model)[:among])]


def stop_words_share(model: Model, counts: Counter[str], *, centred: bool) -> float:
    """Return s_stop·s / |s|²: s is the sum of the vectors of all words of a text, s_stop of its most frequent ones."""
    vectors = model.matrix.astype(np.float64)
    if centred:
        vectors -= vectors.mean(0)
    here = np.array([counts.get(word, 0) for word in model.vocabulary.words], np.float64)
    frequent = np.argsort(-here, kind="stable")[:STOP_WORDS]
    whole, stop = here @ vectors, here[frequent] @ vectors[frequent]
    return float(stop @ whole / (whole @ whole))


def class_share(vectors: Vectors, context_words: int, topn: int = 5) -> np.ndarray:
    """Return, for each word of a closed class, the share of its nearest neighbours that are in the same class."""
    vectors = Vectors(vectors.index_to_key[:TOPIC], vectors.vectors[:TOPIC])  # the contexts, and no rarer words
    frequent = set(vectors.index_to_key[:CLASS_WORDS])
    shares = []
    for words in map(str.split, CLOSED_CLASSES.split("\n")):
        for word in filter(frequent.__contains__, words):
            found = (near for near, _ in vectors.similar(word, ANSWERS, context_words) if near in frequent)
            shares.append(sum(near in words for near in islice(found, topn)) / topn)
    return np.array(shares)


def topic_strength(vectors: Vectors, cooc: Cooc, context_words: int, topn: int = 10) -> np.ndarray:
    """Return, for each of `TOPIC_WORDS`, its mean positive PMI with its nearest neighbours, by counts on the same words."""
    words = vectors.index_to_key
    found = {row: vectors.similar(words[row], topn, context_words) for row in TOPIC_WORDS}
    return np.array([ppmi(cooc, row)[[vectors.row(word) for word, _ in near]].mean() for row, near in found.items()])


def ppmi(cooc: Cooc, row: int) -> np.ndarray:
    """Return max(0, log P(i, j) / P(i) P(j)) of word i with all words j, (V,)."""
    columns, counts = cooc.row(row)
    sums, result = cooc.row_sums, np.zeros(len(cooc.vocabulary))
    result[columns] = np.maximum(0, np.log(counts * sums.sum() / (sums[row] * sums[columns])))
    return result


def stop_keywords(vectors: Vectors, texts: Iterable[str]) -> float:
    """Return the share of the most frequent words among the top keywords of texts."""
    stop = set(vectors.index_to_key[:STOP_WORDS])
    return float(np.mean([word in stop for text in texts for word in keywords(vectors, text)]))


def keywords(vectors: Vectors, text: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the warning that GloVe reverses them, which is what this shows
        return [word for word, _ in vectors.keywords(text, KEYWORDS)]


def paragraphs(text: str, words: int = 100) -> list[str]:
    """Return the first words of the first lines of a text."""
    with xopen(text, "rt", encoding="utf-8") as file:
        return [" ".join(line.split()[:words]) for line in islice(file, LINES)]


def show_neighbours(vectors: Vectors, cooc: Cooc | None) -> None:
    near, far = (class_share(vectors, words).mean() for words in (GRAMMAR, TOPIC))
    print(f"  neighbours of the same closed class: {near:.1%} by {GRAMMAR} context words, {far:.1%} by {TOPIC}")
    if cooc is not None:
        near, far = (topic_strength(vectors, cooc, words).mean() for words in (GRAMMAR, TOPIC))
        print(f"  mean positive PMI with neighbours: {near:.3f} by {GRAMMAR} context words, {far:.3f} by {TOPIC}")
    for word in filter(vectors.__contains__, SHOWN_WORDS):
        for words in GRAMMAR, TOPIC:
            print(f"  {word} by {words}: {' '.join(near for near, _ in vectors.similar(word, 8, words))}")


def show_sums(model: Model, counts: Counter[str]) -> None:
    shares = [stop_words_share(model, counts, centred=centred) for centred in (False, True)]
    print(f"  correlation of |v|² and -log P: {norm_correlation(model):.3f}")
    print(f"  shortest of the {FREQUENT} most frequent: {' '.join(shortest(model)[:SHOWN])}")
    print(f"  the {STOP_WORDS} most frequent words' part in summed text: {shares[0]:.1%}, centred {shares[1]:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--counts")
    given = parser.parse_args()
    counts, texts = word_counts(given.text), paragraphs(given.text)
    cooc = Cooc(given.counts) if given.counts else None
    for path in given.models:
        model, vectors = open_model(path), Vectors.open(path)
        print(f"{path}: {model.family}")
        show_sums(model, counts)
        share = stop_keywords(vectors, texts)
        print(
            f"  the {STOP_WORDS} most frequent words' part in the first {KEYWORDS} keywords of {len(texts)} lines: {share:.1%}"
        )
        print(f"  keywords of a paragraph: {' '.join(keywords(vectors, PARAGRAPH))}")
        show_neighbours(vectors, cooc)


if __name__ == "__main__":
    main()

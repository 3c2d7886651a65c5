"""Vectors of words in their sentences, by an ELMo model: all layers, one, their mean or a mix; and neighbours in context.

A vector depends only on the model and its sentence: it has the same bits in any batch and order and on any number of threads.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from cooc_engine.contextual.characters import BEGIN, END, MARKS, Words
from cooc_engine.contextual.file import network_of
from cooc_engine.contextual.network import Network, States, side_by_side
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.options import AtLeast, refusal
from cooc_engine.runtime.paths import several
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.text.tokenizers import Splitting, words_in
from cooc_engine.vectors.layer_mix import LayerMix

if TYPE_CHECKING:
    from typing_extensions import Self

    from cooc_engine.vectors.torch_module import ElmoModule

__all__ = ["KNOWN", "WINDOW", "ContextualVectors", "InSentence", "Layers", "Reader", "chosen", "reading", "windows"]

WINDOW = 1 << 14  # words that are read before their vectors are returned
KNOWN = 1 << 15  # words whose vectors without context are remembered
CANDIDATES = 5000
Text = str | Iterable[str]
Layers = Literal["all", "top", "average"] | LayerMix


def chosen(layers: Layers) -> Callable[[Matrix], Matrix]:
    """Return the function that selects or combines all layers of a sentence, (L + 1, n, d), of which most give vectors (n, d).

    Raises `UsageError` for an unknown name.
    """
    if isinstance(layers, LayerMix):
        return layers.mixed
    known: dict[str, Callable[[Matrix], Matrix]] = {
        "all": lambda found: found,
        "top": lambda found: found[-1],
        "average": lambda found: found.mean(0),
    }
    if not (isinstance(layers, str) and layers in known):
        raise refusal("layers", layers, f"one of {', '.join(known)}, or a mix")
    return known[layers]


class InSentence(NamedTuple):
    """A word in its sentence: all words of the sentence, and the place of the word among them, counted from 0."""

    words: Sequence[str]
    place: int


class Reader:
    """Reads sentences, several side by side. Vectors without context are kept for later sentences, until there are too many."""

    def __init__(self, network: Network, pool: ThreadPoolExecutor | None = None) -> None:
        """Take a network, and threads to read with."""
        self.network, self._pool = network, pool
        self._rows: dict[str, int] = {}
        self._vectors = np.empty((0, network.shape.vector_size), np.float32)

    def read(self, sentences: Sequence[Sequence[str]], choose: Callable[[Matrix], Matrix]) -> list[Matrix]:
        """Return what `choose` makes of all layers of each sentence; each begins with a state of zeros."""
        inputs = self._inputs(sentences)
        groups = side_by_side([len(sentence) + 2 for sentence in sentences])

        def read_group(group: list[int]) -> list[Matrix]:
            return [choose(found) for found in self.network.contextual([inputs(number) for number in group])]

        found = map(read_group, groups) if self._pool is None else self._pool.map(read_group, groups)
        answers = dict(zip(itertools.chain(*groups), itertools.chain.from_iterable(found), strict=True))
        return [answers[number] for number in range(len(sentences))]

    def carry(self, sentences: Sequence[Sequence[str]], choose: Callable[[Matrix], Matrix], states: States) -> list[Matrix]:
        """Return the same for sentences of which the i-th begins with the i-th row of `states`, which is updated."""
        inputs = self._inputs(sentences)
        return [choose(found) for found in self.network.contextual([*map(inputs, range(len(sentences)))], states)]

    def _inputs(self, sentences: Sequence[Sequence[str]]) -> Callable[[int], Matrix]:
        """Return the function that gives the vectors without context of a sentence between its marks, by its number."""
        new = self._new(sentences)
        if len(self._rows) + len(new) > KNOWN:
            self._rows.clear()
            self._vectors = self._vectors[:0]
            new = self._new(sentences)
        if new:
            self._rows.update(zip(new, range(len(self._rows), len(self._rows) + len(new)), strict=True))
            found = self.network.word_vectors(Words.of(new), np.arange(len(new)))
            self._vectors = np.concatenate([self._vectors, found])
        rows, vectors = self._rows, self._vectors
        begin, end = rows[MARKS[BEGIN]], rows[MARKS[END]]
        return lambda number: vectors[[begin, *(rows[word] for word in sentences[number]), end]]

    def _new(self, sentences: Sequence[Sequence[str]]) -> list[str]:
        words = (word for sentence in [MARKS[: END + 1], *sentences] for word in sentence)
        return list(dict.fromkeys(word for word in words if word not in self._rows))


@contextmanager
def reading(network: Network, threads: int | None = None) -> Iterator[Reader]:
    """Yield a reader with this many threads, at most and by default one per core."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_threads(threads)) as pool:
        yield Reader(network, pool)


class ContextualVectors:
    """An ELMo model, which computes the vectors of words in their sentences.

    Sentences are lists of words, which are taken unchanged, or strings, which are split as the model's text was. Every word has
    a vector, computed from its characters; `vocabulary` holds the words of the training, if the model records them.

        vectors = ContextualVectors.open("elmo.h5")
        layers = vectors.embed(["the bank of the river", "the bank paid"])     # one (3, n, d) for each
        vectors.neighbours(vectors.in_sentence("the [bank] of the river"))
    """

    def __init__(self, network: Network, vocabulary: Vocabulary, splitting: Splitting | None = None, digest: str = "") -> None:
        """Take a network and a vocabulary, the way to split a string, and a digest of the model."""
        self.network, self.vocabulary, self.digest = network, vocabulary, digest
        self._splitting = splitting or Splitting({})

    @classmethod
    @gated
    def open(cls, source: PathLike, *, trust_tokenizer: bool = False) -> Self:
        """Open a model, or its file; raises `UsageError` if it is not an ELMo model, and what `Vectors.open` raises."""
        model = source if isinstance(source, ModelFile) else open_model(source)
        splitting = Splitting(model.config.get("encode", {}), model.path, trust_tokenizer)
        return cls(network_of(model), model.vocabulary, splitting, model.digest)

    @property
    def layers(self) -> int:
        """Number of layers, L + 1: that of the network, and the layer without context."""
        return self.network.shape.layers + 1

    @property
    def vector_size(self) -> int:
        """Length d of a vector: that of both directions together."""
        return 2 * self.network.shape.vector_size

    @gated
    def words_of(self, sentence: Text) -> list[str]:
        """Return the words of a sentence."""
        return words_in(sentence, self._splitting.cut()) if isinstance(sentence, str) else list(sentence)

    @gated
    def embed(self, sentences: Iterable[Text], layers: Layers = "all", *, threads: int | None = None) -> list[Matrix]:
        """Return the vectors of the words of each sentence.

        layers   "all" for all layers, (L + 1, n, d), from the one without context up; or (n, d) for "top", the highest,
                 "average", their mean, or a `LayerMix`
        threads  at most so many, by default all cores; the bits do not depend on it
        """
        choose, found = chosen(layers), []
        with reading(self.network, threads) as reader:
            for window in windows(map(self.words_of, _listed(sentences))):
                found += reader.read(window, choose)
        return found

    @gated
    def as_module(self, mix: LayerMix | None = None, *, trainable: bool = False) -> ElmoModule:
        """Return the model as a PyTorch module that learns a mix of its layers, and its weights too if `trainable`.

        Raises `UsageError` if PyTorch is missing.
        """
        from cooc_engine.vectors.torch_module import ElmoModule

        return ElmoModule(self.network, mix, trainable=trainable)

    @gated
    def in_sentence(self, text: str) -> InSentence:
        """Return the word in brackets of a text; raises `InputError` unless there is one such word."""
        parts = re.split(r"\[([^][]*)\]", text)
        before, inside, after = (self.words_of(part) for part in parts) if len(parts) == 3 else ([], [], [])
        if len(inside) != 1:
            raise InputError(f"{text!r}: put one word in brackets, as in 'the [bank] of the river'")
        return InSentence([*before, *inside, *after], len(before))

    @gated
    def neighbours(
        self,
        word: InSentence,
        topn: Annotated[int, AtLeast(1)] = 10,
        *,
        restrict: Annotated[int, AtLeast(1)] = CANDIDATES,
        layer: int = -1,
        threads: int | None = None,
    ) -> list[tuple[str, float]]:
        """Return the words whose vectors, if they replace a word in its sentence, are nearest to the word's own, with cosines.

        restrict  candidates are this many of the most frequent words of the vocabulary
        layer     the layer that is compared, by default the highest

        Raises `UsageError` for a model without a vocabulary, a layer that it does not have, and a word without its place.
        """
        words, place = _placed(*word)
        if not -self.layers <= layer < self.layers:
            raise refusal("layer", layer, f"at least {-self.layers} and below {self.layers}")
        if not len(self.vocabulary):
            raise UsageError("the model has no words to choose from; import it with --vocab FILE")
        own = words[place]
        candidates = [self.vocabulary.word(row) for row in range(min(restrict, len(self.vocabulary)))]
        others = [candidate for candidate in candidates if candidate != own]
        before, after = words[:place], words[place + 1 :]
        found = []
        with reading(self.network, threads) as reader:
            for window in windows([*before, each, *after] for each in [own, *others]):
                found += reader.read(window, lambda layers: layers[layer, place])
        units = np.stack(found) / np.linalg.norm(found, axis=1, keepdims=True)
        cosines = units[1:] @ units[0]
        return [(others[row], float(cosines[row])) for row in np.argsort(-cosines, kind="stable")[:topn]]


@gated
def _placed(words: Iterable[str], place: int) -> tuple[list[str], int]:
    """Return the words of a sentence, and the place of one; raises `UsageError` if it has no such place."""
    found = several(words)
    if not 0 <= place < len(found):
        raise refusal("place", place, f"the place of one of {len(found)} words, counted from 0")
    return found, place


def _listed(sentences: Iterable[Text]) -> Iterable[Text]:
    """Return the sentences; raises `UsageError` for a string, whose letters would be taken for sentences."""
    if isinstance(sentences, str):
        raise UsageError("embed takes a list of sentences; write [text] for one")
    if not isinstance(sentences, Iterable) or getattr(sentences, "ndim", 1) == 0:
        raise refusal("sentences", sentences, "a list of sentences, each a string or a list of words")
    return sentences


def windows(sentences: Iterable[list[str]], size: int = WINDOW) -> Iterator[list[list[str]]]:
    """Yield lists of consecutive sentences of about `size` words together, counting the two marks of each sentence."""
    window: list[list[str]] = []
    words = 0
    for sentence in sentences:
        window.append(sentence)
        words += len(sentence) + 2
        if words >= size:
            yield window
            window, words = [], 0
    if window:
        yield window

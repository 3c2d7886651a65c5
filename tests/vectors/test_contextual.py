"""Vectors of words in their sentences: functions of the sentence alone, and neighbours in context."""

from __future__ import annotations

import numpy as np
import pytest
from support.elmo import random_network, vectors_of

from cooc_engine.contextual.network import LANES
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.vectors import contextual
from cooc_engine.vectors.contextual import ContextualVectors, InSentence
from cooc_engine.vectors.layer_mix import LayerMix

WORDS = ["the", "bank", "of", "river", "paid", "shore", "Übergröße"]


def sentences(number: int, seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [rng.choice(WORDS, rng.integers(0, 9)).tolist() for _ in range(number)]


@pytest.fixture(scope="module")
def vectors():
    return ContextualVectors(random_network(), Vocabulary.from_words(WORDS, range(9, 2, -1)))


def test_layers_are_those_of_the_network(vectors):
    sentence = ["the", "bank", "paid"]
    (found,) = vectors.embed([sentence])
    assert np.array_equal(found, vectors.network.contextual([vectors_of(vectors.network, sentence)])[0])
    assert found.shape == (vectors.layers, 3, vectors.vector_size)


def test_bits_do_not_depend_on_batch_order_or_threads(vectors, monkeypatch):
    texts = sentences(3 * LANES)
    alone = [vectors.embed([text], threads=1)[0] for text in texts]
    monkeypatch.setattr(contextual, "KNOWN", 4)  # so that vectors without context are forgotten on the way
    for threads in (1, 2):
        together = vectors.embed(texts, threads=threads)
        backwards = vectors.embed(texts[::-1], threads=threads)[::-1]
        for one, two, three in zip(alone, together, backwards, strict=True):
            assert np.array_equal(one, two)
            assert np.array_equal(one, three)


def test_top_average_and_mix_are_made_of_all_layers(vectors):
    (layers,) = vectors.embed([["the", "river"]])
    mix = LayerMix(2.0, (0.0, 1.0, 2.0))
    for how, wanted in (("top", layers[-1]), ("average", layers.mean(0)), (mix, mix.mixed(layers))):
        assert np.array_equal(vectors.embed([["the", "river"]], how)[0], wanted)


def test_a_string_is_split_and_a_blank_one_has_no_words(vectors):
    spaced, listed, blank = vectors.embed(["the  river", ["the", "river"], ""])
    assert np.array_equal(spaced, listed)
    assert blank.shape == (3, 0, 8)


def test_one_string_is_not_taken_for_a_list_of_letters(vectors):
    with pytest.raises(UsageError, match="list of sentences"):
        vectors.embed("the river")


def test_an_unknown_choice_of_layers_is_refused(vectors):
    with pytest.raises(UsageError, match="'bottom'; it must be one of all, top, average"):
        vectors.embed([], "bottom")


def test_the_word_in_brackets_is_found(vectors):
    assert vectors.in_sentence("the [bank] of") == InSentence(["the", "bank", "of"], 1)
    assert vectors.in_sentence("[the]") == InSentence(["the"], 0)


@pytest.mark.parametrize("text", ["the bank", "the [bank of", "the [bank of] it", "[a] [b]", "the []"])
def test_anything_but_one_word_in_brackets_is_refused(vectors, text):
    with pytest.raises(InputError, match="put one word in brackets"):
        vectors.in_sentence(text)


def test_neighbours_are_the_words_nearest_in_the_same_place(vectors):
    asked = vectors.in_sentence("the [bank] of the river")
    found = vectors.neighbours(asked, 3)
    tops = {word: vectors.embed([["the", word, "of", "the", "river"]], "top")[0][1] for word in WORDS}
    own = tops.pop("bank")
    cosines = {word: own @ top / np.linalg.norm(own) / np.linalg.norm(top) for word, top in tops.items()}
    assert [word for word, _ in found] == sorted(cosines, key=cosines.get, reverse=True)[:3]
    assert [value for _, value in found] == pytest.approx([cosines[word] for word, _ in found], abs=1e-6)


def test_candidates_may_be_restricted_to_frequent_words(vectors):
    found = vectors.neighbours(vectors.in_sentence("the [bank] of"), 9, restrict=3)
    assert {word for word, _ in found} == {"the", "of"}


def test_without_a_vocabulary_there_are_no_neighbours(vectors):
    bare = ContextualVectors(vectors.network, Vocabulary.from_words([], []))
    with pytest.raises(UsageError, match="no words to choose from"):
        bare.neighbours(bare.in_sentence("[bank]"))

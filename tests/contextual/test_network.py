from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.elmo import TINY, published_network, published_sentences, random_network, vectors_of
from twins import elmo as twin

from cooc_engine.contextual.characters import BEGIN, END, MARKS, UNKNOWN, Words
from cooc_engine.contextual.network import FEW, LANES, LONG, States
from cooc_engine.corpus.vocabulary import Vocabulary

WORDS = [
    "a",
    "naïve",
    "日本語",
    "🙂",
    "x" * 48,
    "x" * 49,
    "y" * 60,
    "é" * 30,
    "x" * 47 + "é",
    "",
    "<S>",
    "</S>",
    "<UNK>",
    "<T>",
    "S>",
]
WITHIN = {
    "bilm": 1e-6,
    "allennlp": 1.5e-6,
}  # the latter's numbers, up to 4.6, are themselves 1.14e-6 from exact ones, ours 0.99e-6
SENTENCES = [["a", "b", "naïve"], ["日本語"], ["b"] * 9, ["x" * 60, "a"], []]


def test_characters_are_bytes_between_marks():
    spelled = Words.of(WORDS).spelled(np.arange(len(WORDS)))
    assert spelled.ids.tolist() == [twin.character_ids(word.encode()) for word in WORDS]
    assert spelled.lengths.tolist() == [
        min(50, len(word.encode()) + 2) if "S" not in word[:3] else 3 for word in WORDS[:12]
    ] + [7, 5, 4]


def test_marks_come_before_the_words_of_a_vocabulary():
    words = Words.marked(Vocabulary.from_words(["the", "cat"], [2, 1]))
    spelled = words.spelled(np.array([4, BEGIN, END, UNKNOWN, 3]))
    assert len(words) == 5
    assert spelled.ids.tolist() == [twin.character_ids(w.encode()) for w in ("cat", *MARKS, "the")]


@pytest.mark.parametrize(
    "shape", [TINY, replace(TINY, activation="tanh", highways=0), replace(TINY, filters=((50, 2), (1, 1)))]
)
def test_a_words_vector_is_that_of_the_twin(shape):
    network = random_network(shape)
    found = network.word_vectors(Words.of(WORDS), np.arange(len(WORDS)))
    wanted = np.stack([twin.word_vector(shape, network.parameters, word.encode()) for word in WORDS])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_words_vector_does_not_depend_on_its_company():
    network, words = random_network(replace(TINY, filters=((1, 20), (3, 30)))), Words.of(WORDS * 20)
    rng = np.random.default_rng(0)
    whole = network.word_vectors(words, np.arange(len(words)))
    for n in (1, 2, 63, 65, 200):
        rows = rng.choice(len(words), n)
        np.testing.assert_array_equal(network.word_vectors(words, rows), whole[rows])


@pytest.mark.parametrize("shape", [TINY, replace(TINY, residual=False, layers=1, cell_clip=3.0)])
def test_layers_are_those_of_the_twin(shape):
    network = random_network(shape)
    found = network.contextual([vectors_of(network, sentence) for sentence in SENTENCES])
    for layers, sentence in zip(found, SENTENCES, strict=True):
        wanted = twin.contextual(shape, network.parameters, [word.encode() for word in sentence])
        assert layers.shape == (shape.layers + 1, len(sentence), 2 * shape.vector_size)
        np.testing.assert_allclose(layers, wanted, rtol=1e-4, atol=2e-6)


def test_both_clips_are_reached_in_the_tiny_network():
    network = random_network()
    top = network.contextual([vectors_of(network, SENTENCES[2])])[0][1]
    assert (np.abs(top) == np.float32(TINY.projection_clip)).any()


def test_a_sentence_does_not_depend_on_its_company():
    network = random_network(replace(TINY, vector_size=40, cells=72))
    inputs = [vectors_of(network, sentence) for sentence in SENTENCES * 15]
    long = [len(inputs) + number for number in (0, FEW - 1, FEW, FEW + 3)]
    inputs += [vectors_of(network, ["a", "naïve", "b"] * (LONG + 20 - number)) for number in range(FEW + 4)]
    together = network.contextual(inputs)
    for number in (0, LANES - 1, LANES, 74, *long):
        (alone,) = network.contextual([inputs[number]])
        np.testing.assert_array_equal(alone, together[number])


def test_states_are_carried_in_each_row():
    network = random_network()
    first, second = [vectors_of(network, sentence) for sentence in (["a", "b"], ["c"])]
    states = States.zero(TINY, 40)
    network.contextual([first] * 35 + [second], states)
    carried = network.contextual([second] * 36, states)
    np.testing.assert_array_equal(carried[0], carried[34])
    assert np.abs(carried[0] - carried[35]).max() > 1e-3
    h, c = np.zeros(TINY.vector_size), np.zeros(TINY.cells)
    for u in first.astype(float):
        h, c = twin.step(TINY, network.parameters, "forward-0", u, h, c)
    for u, wanted in zip(second.astype(float), [None, carried[0][1, 0, : TINY.vector_size], None], strict=True):
        h, c = twin.step(TINY, network.parameters, "forward-0", u, h, c)
        if wanted is not None:
            np.testing.assert_allclose(wanted, h, atol=1e-6)
    assert not states.hidden[:, :, 36:].any()


@pytest.mark.shared
@pytest.mark.parametrize("program", ["bilm", "allennlp"])
def test_the_programs_own_networks_give_what_the_programs_wrote(shared, program):
    directory = shared / "data" / "elmo" / program
    network = published_network(directory)
    states, fresh = States.zero(network.shape, 3), []
    for sentences, wanted in published_sentences(directory):
        inputs = [vectors_of(network, sentence) for sentence in sentences]
        for layers, top in zip(network.contextual(inputs, states), wanted, strict=True):
            assert np.abs(layers[-1] - top).max() < WITHIN[program]
        fresh.append(max(np.abs(a[-1] - b).max() for a, b in zip(network.contextual(inputs), wanted, strict=True)))
    assert fresh[0] < WITHIN[program]  # the states of the first batch are zero
    assert fresh[1] > 0.1

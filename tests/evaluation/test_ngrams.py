"""N-grams by Kneser and Ney against a twin with dictionaries, and against what every language model keeps."""

from __future__ import annotations

import numpy as np
import pytest
from twins.ngrams import KneserNey

from cooc_engine.errors import UsageError
from cooc_engine.evaluation.ngrams import NgramModel, perplexity

MARKS = (0, 1)
WORDS = 9


def sentences(number: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, WORDS, rng.integers(0, 7)) for _ in range(number)]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_probabilities_are_those_of_the_twin(n):
    model, twin = NgramModel.of(sentences(30, 1), n, WORDS, MARKS), KneserNey(sentences(30, 1), n, WORDS)
    held = sentences(20, 2)
    wanted = [p for sentence in held for p in twin.sentence(sentence.tolist())]
    np.testing.assert_allclose(model.probabilities(held), wanted, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_probabilities_of_all_words_after_a_history_add_up_to_one(n):
    model = NgramModel.of(sentences(30, 1), n, WORDS, MARKS)
    for history in ([], [3], [3, 5], [8, 8, 8]):
        after = [np.array([*history, word]) for word in range(WORDS)]
        places = np.cumsum([len(sentence) + 1 for sentence in after]) - 2
        assert model.probabilities(after)[places].sum() == pytest.approx(1)


def test_single_words_are_counted_and_one_is_added():
    model = NgramModel.of([np.array([3, 3, 4])], 1, 5, MARKS)
    np.testing.assert_allclose(model.lowest, np.array([1, 2, 1, 3, 2]) / 9)


def test_the_perplexity_of_a_uniform_choice_is_the_number_of_choices():
    assert perplexity(np.full(7, 1 / 12)) == pytest.approx(12)


def test_a_vocabulary_whose_trigrams_overflow_is_refused():
    with pytest.raises(UsageError, match="too many"):
        NgramModel.of([], 3, 2**21, MARKS)

"""Words in their sentences as features for scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.elmo import TINY, random_network

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.vectors import estimators
from cooc_engine.vectors.contextual import ContextualVectors, InSentence
from cooc_engine.vectors.estimators import ContextualTransformer


@pytest.fixture(scope="module")
def vectors():
    shape = replace(TINY, vector_size=10, cells=24, cell_clip=3.0, projection_clip=3.0)
    return ContextualVectors(random_network(shape, size=0.3), Vocabulary.from_words([], []))


def tagged() -> tuple[list[InSentence], list[str]]:
    """Words whose class is that of the word before them, which only the layers in context can tell."""
    rng = np.random.default_rng(0)
    sentences = [rng.choice(["red", "blue", "x", "y"], 6).tolist() for _ in range(60)]
    words = [InSentence(sentence, place) for sentence in sentences for place in range(1, 6)]
    return words, [word.words[word.place - 1] for word in words]


def test_a_tagger_learns_which_layers_tell(vectors, monkeypatch):
    monkeypatch.setattr(estimators, "TOGETHER", 7)
    words, tags = tagged()
    tagger = make_pipeline(ContextualTransformer(vectors), StandardScaler(), LogisticRegression(max_iter=1000)).fit(words, tags)
    assert tagger.score(words, tags) > 0.9
    assert tagger[0].mix_.weights[0] < 0.25  # of the layer without context


def test_a_word_has_its_own_vector_and_a_sentence_the_mean(vectors):
    top = ContextualTransformer(vectors, layers="top").fit([])
    found = top.transform([InSentence(["a", "b"], 1), "a b", ["a", "b"], ""])
    (wanted,) = vectors.embed(["a b"], "top")
    assert np.array_equal(found[0], wanted[1])
    np.testing.assert_allclose(found[1], wanted.mean(0), rtol=1e-6)
    assert np.array_equal(found[1], found[2])
    assert not found[3].any()
    assert top.get_feature_names_out()[:2].tolist() == ["contextualtransformer0", "contextualtransformer1"]


def test_it_can_be_cloned_and_a_mix_needs_labels(vectors):
    copy = clone(ContextualTransformer(vectors, penalty=1.0))
    assert copy.penalty == 1.0
    with pytest.raises(ValueError, match="pass labels"):
        copy.fit(["a"])

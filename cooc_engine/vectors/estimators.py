"""Words in their sentences as features for scikit-learn: `ContextualTransformer`, with a mix that is learned for the task.

    words = [InSentence(sentence, place) for sentence in sentences for place in range(len(sentence))]
    make_pipeline(ContextualTransformer("elmo.h5"), LogisticRegression()).fit(words, tags)         # tagging
    make_pipeline(ContextualTransformer("elmo.h5"), LogisticRegression()).fit(sentences, classes)  # classification

Only this module needs scikit-learn; importing it without scikit-learn raises `UsageError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from cooc_engine.runtime.extras import require
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.vectors.contextual import ContextualVectors, InSentence, chosen
from cooc_engine.vectors.layer_mix import PENALTY, fit_mix

require("an estimator", "sklearn", "sklearn.base")
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

__all__ = ["ContextualTransformer"]

TOGETHER = 256  # sentences whose layers are held at a time
Sample = str | Iterable[str] | InSentence


class ContextualTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Vectors by a model of ELMo: of an `InSentence` its word's, of a sentence (a string or a list of words) the words' mean.

    Parameters: model, its file, or a `Model`; layers, "mix" to learn the weights of the layers from y, or "top" or "average";
    penalty, λ of the mix; n_jobs, the number of threads, all cores by default, which does not affect the result.

    Attributes: mix_, the `LayerMix` that was learned.
    """

    def __init__(
        self,
        model: PathLike | ContextualVectors,
        *,
        layers: Literal["mix", "top", "average"] = "mix",
        penalty: float = PENALTY,
        n_jobs: int | None = None,
    ) -> None:
        self.model, self.layers, self.penalty, self.n_jobs = model, layers, penalty, n_jobs

    def fit(self, X: Sequence[Sample], y: Sequence[Any] | None = None) -> ContextualTransformer:
        """Learn the mix from samples and their labels; raises `ValueError` without labels, unless `layers` needs none."""
        if self.layers == "mix":
            if y is None:
                raise ValueError("layers='mix' is learned from y; pass labels, or take layers='average'")
            self.mix_ = fit_mix(self._all_layers(X), list(y), penalty=self.penalty).mix
        self._choose = self.mix_.mixed if self.layers == "mix" else chosen(self.layers)
        self._n_features_out = self._opened().vector_size
        return self

    def transform(self, X: Sequence[Sample]) -> Matrix:
        """Return the vectors (n_samples, d)."""
        check_is_fitted(self, "_n_features_out")
        return self._choose(self._all_layers(X))

    def _opened(self) -> ContextualVectors:
        return self.model if isinstance(self.model, ContextualVectors) else ContextualVectors.open(self.model)

    def _all_layers(self, X: Sequence[Sample]) -> Matrix:
        """Return all layers of each sample, (L + 1, n, d); a sentence of several samples is read once."""
        vectors = self._opened()
        samples = [x if isinstance(x, InSentence) else InSentence(vectors.words_of(x), -1) for x in X]
        places: dict[tuple[str, ...], list[int]] = {}
        for number, sample in enumerate(samples):
            places.setdefault(tuple(sample.words), []).append(number)
        found, sentences = np.zeros((vectors.layers, len(samples), vectors.vector_size), np.float32), list(places)
        for first in range(0, len(sentences), TOGETHER):
            group = sentences[first : first + TOGETHER]
            for words, layers in zip(group, vectors.embed(group, threads=self.n_jobs), strict=True):
                for number in places[words] if words else ():
                    place = samples[number].place
                    found[:, number] = layers.mean(1) if place < 0 else layers[:, place]
        return found

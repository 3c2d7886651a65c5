"""ELMo's model files: what is written, and the network that is read from one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cooc_engine.contextual.characters import MARKS, Words
from cooc_engine.contextual.network import Network
from cooc_engine.contextual.shape import SOFTMAX, Shape
from cooc_engine.contextual.sizes import shape_of_sizes, sizes_of
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.models.file import ModelData, ModelFile
from cooc_engine.runtime.types import Matrix

__all__ = ["FAMILY", "elmo_data", "imported_config", "network_of", "vectors_without_context"]

FAMILY = "elmo"
WORDS = "words"  # the array of the vectors of the vocabulary without context


def elmo_data(
    network: Network,
    vocabulary: Vocabulary,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]] = (),
) -> ModelData:
    """Return what a model file holds: the parameters, and the vectors of the vocabulary's words without context."""
    axes = {parameter.name: parameter.axes for parameter in network.shape.parameters}
    arrays = {**network.parameters, WORDS: vectors_without_context(network, vocabulary)[len(MARKS) :]}
    return ModelData(FAMILY, vocabulary, arrays, "w", config, provenance, history, axes=axes)


def vectors_without_context(network: Network, vocabulary: Vocabulary) -> Matrix:
    """Return the vectors (V + 3, P) of the marks and of all words."""
    words = Words.marked(vocabulary)
    return network.word_vectors(words, np.arange(len(words)))


def imported_config(shape: Shape) -> dict[str, Any]:
    """Return the configuration of an imported model, from which `network_of` reads its shape."""
    return {"format": FAMILY, "options": json.dumps(sizes_of(shape))}


def network_of(model: ModelFile) -> Network:
    """Return the network of a model, whose parameters are verified and mapped.

    Raises `UsageError` for a model of another family, `FormatError` if a parameter does not fit the recorded options.
    """
    if model.family != FAMILY:
        raise UsageError(f"{model.path}: is a {model.family} model; only ELMo models have vectors in context")
    shape, shapes = _shape(model), model.shapes
    for parameter in shape.parameters:
        if shapes.get(parameter.name) != parameter.shape:
            found = " x ".join(map(str, shapes.get(parameter.name, ("nothing",))))
            wanted = " x ".join(map(str, parameter.shape))
            raise FormatError(f"{model.path}: parameter {parameter.name} is {found}, but its options say {wanted}")
    return Network(shape, {parameter.name: model.array(parameter.name) for parameter in shape.parameters})


def _shape(model: ModelFile) -> Shape:
    words = model.shapes.get(SOFTMAX, (0,))[0]
    if "train" in model.config:
        return Shape.of(model.trained_with(ElmoOptions), words)
    where = f"{model.path}: options"
    text = str(model.config.get("import", {}).get("options", ""))
    return replace(shape_of_sizes(text.encode(errors="replace"), where), words=words)

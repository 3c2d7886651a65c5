"""The module of PyTorch, which is the network's twin, and a peer that reads what is exported; the one file that needs torch."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from support.elmo import TINY, random_network

from cooc_engine.contextual.file import elmo_data, imported_config
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.formats.elmo import ElmoFiles
from cooc_engine.formats.vectors import export_vectors
from cooc_engine.models.file import save_model
from cooc_engine.vectors.contextual import ContextualVectors
from cooc_engine.vectors.layer_mix import LayerMix

torch = pytest.importorskip("torch")

SENTENCES = [
    ["the", "Übergröße", "x" * 60, "日本語", "🙂", "bank"],
    ["a"],
    ["é" * 30, "the", "the"],
]


def vectors_of(shape=TINY) -> ContextualVectors:
    return ContextualVectors(random_network(shape), Vocabulary.from_words([], []))


@pytest.mark.parametrize("shape", [TINY, replace(TINY, residual=False, activation="tanh"), replace(TINY, layers=3, highways=0)])
def test_all_layers_are_those_of_the_network(shape):
    vectors = vectors_of(shape)
    layers, is_word = vectors.as_module().layers(SENTENCES)
    for number, wanted in enumerate(vectors.embed(SENTENCES)):
        np.testing.assert_allclose(layers[:, number, : wanted.shape[1]].numpy(), wanted, rtol=2e-6, atol=2e-6)
        assert layers[:, number, wanted.shape[1] :].abs().sum() == 0
    assert is_word.sum(1).tolist() == [6, 1, 3]


def test_the_mix_is_learned_and_the_weights_are_frozen_unless_wanted():
    vectors, mix = vectors_of(), LayerMix(1.5, (0.5, 0.0, -1.0))
    module = vectors.as_module(mix)
    found, _ = module(SENTENCES)
    np.testing.assert_allclose(found[0].detach().numpy(), vectors.embed(SENTENCES[:1], mix)[0], rtol=2e-6, atol=2e-6)
    assert {name for name, value in module.named_parameters() if value.requires_grad} == {"gamma", "scores"}
    trainable = vectors.as_module(trainable=True)
    trainable(SENTENCES)[0].square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in trainable.parameters())


def test_a_peer_reads_what_is_exported(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about its dependencies
        models = pytest.importorskip("simple_elmo_pytorch.models.elmo")
        batch_to_ids = pytest.importorskip("simple_elmo_pytorch").batch_to_ids
    network, files = random_network(), ElmoFiles.beside(tmp_path / "weights.hdf5")
    save_model(
        tmp_path / "model.h5", elmo_data(network, Vocabulary.from_words(["a"], [1]), {"import": imported_config(TINY)}, {})
    )
    export_vectors(tmp_path / "model.h5", files.weights)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        peer = models.ElmoBiLmSentence(str(files.options), str(files.weights)).eval()
        batches = [peer(batch_to_ids(SENTENCES))["activations"] for _ in range(2)]
    states = network_states(network)
    for theirs in batches:  # the second on the states that the first has left
        for number, ours in enumerate(states(SENTENCES)):
            for layer in range(3):
                found = theirs[layer][number, 1 : 1 + ours.shape[1]].numpy()
                np.testing.assert_allclose(found, ours[layer], rtol=0, atol=2e-6)


def network_states(network):
    from cooc_engine.contextual.network import States
    from cooc_engine.vectors.contextual import Reader

    states, reader = States.zero(network.shape, len(SENTENCES)), Reader(network)
    return lambda sentences: reader.carry(sentences, lambda layers: layers, states)

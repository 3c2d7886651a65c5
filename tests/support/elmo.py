"""Small networks of ELMo for tests, and the reference programs' own."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from cooc_engine.contextual.characters import Words
from cooc_engine.contextual.network import Network
from cooc_engine.contextual.shape import Shape

TINY = Shape(3, ((1, 3), (2, 4), (3, 5)), 2, 4, 6, 2, words=9, cell_clip=0.4, projection_clip=0.2)
SENTENCES = {"bilm": "lm_embeddings_sentences.json", "allennlp": "sentences.json"}


def random_network(shape: Shape = TINY, seed: int = 0, size: float = 0.7) -> Network:
    rng = np.random.default_rng(seed)
    return Network(shape, {p.name: rng.normal(0, size, p.shape).astype(np.float32) for p in shape.parameters})


def vectors_of(network: Network, sentence: list[str]) -> np.ndarray:
    """The vectors of <S>, the words and </S>."""
    words = Words.of(["<S>", *sentence, "</S>"])
    return network.word_vectors(words, np.arange(len(words)))


def published_network(directory: Path) -> Network:
    """The small network of a reference program."""
    options = json.loads((directory / "options.json").read_text())
    char, lstm = options["char_cnn"], options["lstm"]
    shape = Shape(
        char["embedding"]["dim"], tuple(map(tuple, char["filters"])), char["n_highway"], lstm["projection_dim"], lstm["dim"],
        lstm["n_layers"], 0, char["activation"], lstm["use_skip_connections"], lstm["cell_clip"], lstm["proj_clip"],
    )  # fmt: skip
    with h5py.File(directory / "lm_weights.hdf5") as file:
        assert all(file[p.published].shape == p.published_shape for p in shape.parameters)
        return Network(shape, {p.name: file[p.published][...].reshape(p.shape) for p in shape.parameters})


def published_sentences(directory: Path) -> list[tuple[list[list[str]], list[np.ndarray]]]:
    """Batches of three sentences, and what the program wrote for each as its top layer, (n, 2 P)."""
    texts = json.loads((directory / SENTENCES[directory.name]).read_text())
    files = [h5py.File(directory / f"lm_embeddings_{k}.hdf5") for k in range(3)]
    batches = []
    for number in range(10):
        wanted = [np.concatenate(list(file[str(number)][...]), 1) for file in files]
        batches.append(([lines[number].split() for lines in texts], wanted))
    return batches

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.elmo import TINY, random_network

from cooc_engine.contextual.characters import MARKS, Words
from cooc_engine.contextual.network import Network
from cooc_engine.contextual.perplexity import Perplexity, perplexity
from cooc_engine.contextual.stream import Stream
from cooc_engine.corpus.shards import Shard

WORDS = Words.of([*MARKS, "a", "bc", "naïve", "rare", "x" * 50, "d", "e", "f"])
DOCUMENTS = [[0, 3, 1], [2, 2, 7, 0], [5], [1, 4, 3, 6, 0, 0]]
MARK_ROWS = [256, 257]  # of the characters


def measured(network: Network, documents: list[list[int]]) -> Perplexity:
    shard = Shard(np.concatenate(documents).astype(np.int32), np.cumsum([0, *map(len, documents)]))
    with ThreadPoolExecutor(1) as pool:
        found = perplexity(network, WORDS, [Stream(shard, np.arange(len(documents)), 1)], pool)
    assert found is not None
    return found


def mirrored(network: Network) -> Network:
    """The network with the weights of both directions exchanged, and the marks of begin and end."""
    turn = {"forward": "backward", "backward": "forward"}
    arrays = {}
    for name, values in network.parameters.items():
        direction, _, rest = name.partition("-")
        arrays[f"{turn[direction]}-{rest}" if direction in turn else name] = values.copy()
    arrays["characters"][MARK_ROWS] = network.parameters["characters"][MARK_ROWS[::-1]]
    for name in ("softmax", "softmax_bias"):
        arrays[name][[0, 1]] = network.parameters[name][[1, 0]]
    return Network(network.shape, arrays)


def test_the_backward_model_is_the_forward_one_of_the_mirrored_text():
    network = random_network()
    one = measured(network, DOCUMENTS)
    other = measured(mirrored(network), [document[::-1] for document in DOCUMENTS[::-1]])
    assert other.backward == pytest.approx(one.forward, rel=1e-6)
    assert other.forward == pytest.approx(one.backward, rel=1e-6)
    assert abs(one.forward - one.backward) > 0.1


def test_words_that_the_softmax_lacks_are_one():
    found = measured(random_network(), DOCUMENTS)
    targets = 2 * (sum(map(len, DOCUMENTS)) + len(DOCUMENTS))  # of both directions, with a mark at the end of each document
    beyond = sum(word + len(MARKS) >= TINY.words for document in DOCUMENTS for word in document)
    assert found.unknown == pytest.approx(2 * beyond / targets)
    assert found.places == targets // 2

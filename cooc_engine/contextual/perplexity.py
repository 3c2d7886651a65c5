"""How well both language models predict a text: exp of the mean loss of the full softmax.

All words that the softmax lacks are the one word `<UNK>`, which makes a text easier to predict, so its share is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from cooc_engine.contextual.characters import UNKNOWN, Words
from cooc_engine.contextual.network import Network, States
from cooc_engine.contextual.recurrent import Unrolled
from cooc_engine.contextual.shape import DIRECTIONS
from cooc_engine.contextual.softmax import Head, losses
from cooc_engine.contextual.stream import Steps, Stream
from cooc_engine.contextual.two_threads import BOTH, parallel
from cooc_engine.runtime.types import Floats, Rows

__all__ = ["Perplexity", "perplexity"]

STEPS = 20  # steps that are read together
LARGEST = math.log(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Perplexity:
    """The perplexity of each direction, over `places` targets each, and the share `unknown` of `<UNK>` among the targets."""

    forward: float
    backward: float
    places: int
    unknown: float

    def record(self) -> dict[str, float]:
        """Return what the history of a model records about held-out text."""
        return {
            "held_out_loss": (math.log(self.forward) + math.log(self.backward)) / 2,
            "forward_perplexity": self.forward,
            "backward_perplexity": self.backward,
            "held_out_places": self.places,
            "held_out_unknown": self.unknown,
        }


def perplexity(network: Network, words: Words, streams: Iterable[Stream], pool: Executor) -> Perplexity | None:
    """Return the perplexity over some streams, each from states of zero; None if they hold no text.

    words  the words that the ids in the streams refer to
    pool   threads, one for each direction
    """
    sums, places, unknown, softmax = np.zeros(len(DIRECTIONS)), 0, 0, network.shape.words
    for stream in streams:
        states = States.zero(network.shape, stream.rows)
        directions = [Unrolled(network, direction, STEPS, stream.rows) for direction in BOTH]
        for first in range(0, stream.length, STEPS):
            batch = stream.read(first, STEPS)
            targets = batch.rows_of_softmax(softmax)
            sums += _losses(directions, words, batch, targets, states, pool)
            places += targets[0].size
            unknown += int((targets == UNKNOWN).sum())
    if not places:
        return None
    forward, backward = np.exp(np.minimum(sums / places, LARGEST)).tolist()
    return Perplexity(forward, backward, places, unknown / (len(DIRECTIONS) * places))


def _losses(
    directions: Sequence[Unrolled], words: Words, batch: Steps, targets: Rows, states: States, pool: Executor
) -> Floats:
    """Return the sum of the losses of each direction, (2,), with the softmax over all words; `states` move on."""
    network = directions[0].network
    head = Head.of(network.parameters)
    distinct, places = batch.distinct()
    vectors = network.word_vectors(words, distinct)

    def work(direction: int) -> float:
        outputs = directions[direction].read(vectors[places[direction]], states)
        return float(losses(outputs.reshape(-1, vectors.shape[1]), targets[direction].ravel(), head).sum())

    return np.array(parallel(pool, work, BOTH))

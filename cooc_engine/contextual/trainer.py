"""The trainer of ELMo: it reads the text in rows, takes step after step, and measures what is held out after each epoch.

The states of both directions are carried from step to step, and no gradient passes between steps. Shards are read one after
another, each from states of zero. All draws are hashed from the seed, the epoch and the step, so a training that was
interrupted goes on with the same bits.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from cooc_engine.contextual.characters import Words
from cooc_engine.contextual.learner import Dropout, Learner
from cooc_engine.contextual.network import Network, States
from cooc_engine.contextual.optimizer import Gradient, Optimizer, optimizer_of
from cooc_engine.contextual.parameters import Store, set_start
from cooc_engine.contextual.perplexity import perplexity
from cooc_engine.contextual.shape import DIRECTIONS, SOFTMAX, SOFTMAX_BIAS, Shape
from cooc_engine.contextual.softmax import Head, Noise
from cooc_engine.contextual.stream import Stream
from cooc_engine.contextual.text import DROPOUT, Text, softmax_counts
from cooc_engine.errors import ANEW, DivergenceError
from cooc_engine.models.checkpoints import Between, TrainingState
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.runtime.progress import Stage

__all__ = ["State", "run_epochs"]

ABSURD = 100  # a loss this many times that of uniform predictions will not come down again
WORKERS = len(DIRECTIONS)


@dataclass
class State(TrainingState):
    """The state of training: `read` steps of the `turn`-th shard of `epoch` are done, `taken` steps and `places` places in all.

    sums    the losses of each direction in this epoch, and places
    """

    KEPT = ("epoch", "turn", "read", "taken", "places", "seconds", "history")

    network: Network
    store: Store
    states: States
    optimizer: Optimizer
    sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(DIRECTIONS) + 1))
    epoch: int = 0
    turn: int = 0
    read: int = 0
    taken: int = 0
    places: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def start(cls, shape: Shape, options: ElmoOptions) -> State:
        """Return the state in which training begins."""
        store, rest = Store.zeros(shape.of_words + shape.of_layers), Store.zeros(shape.of_softmax)
        arrays = {**store.arrays, **rest.arrays}
        set_start(shape, arrays, options.seed)
        head = Head.of(arrays)
        return cls(Network(shape, arrays), store, States.zero(shape, options.batch), optimizer_of(options, store, head))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return parameters, optimiser and states, for a checkpoint."""
        held: dict[str, npt.NDArray[Any]] = {
            "values": self.store.values,
            "hidden": self.states.hidden,
            "cells": self.states.cells,
            "sums": self.sums,
        }
        softmax = {name: self.network.parameters[name] for name in (SOFTMAX, SOFTMAX_BIAS)}
        return {**held, **softmax, **self.optimizer.arrays}


def run_epochs(state: State, text: Text, options: ElmoOptions, threads: int, stage: Stage, between: Between) -> None:
    """Continue training from `state` to the last epoch; `between`, that of a `Checkpoint`, is called after each step.

    Raises `DivergenceError` for a loss that is not finite or absurdly high.
    """
    words, shape = Words.marked(text.corpus.vocabulary), state.network.shape
    # BLAS threads would change the last bits, and the products of a step are faster without them.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(threads, WORKERS)) as pool:
        sampled = min(options.negatives or shape.words, shape.words)
        learner = Learner(state.network, words, pool, options.steps, options.batch, sampled)
        trainer = _Trainer(state, text, options, learner, pool)
        stage.resume_at(state.places)
        while state.epoch < options.epochs:
            for shard in text.order(state.epoch)[state.turn :]:
                trainer.train_shard(text.stream(shard, state.epoch), stage, between)
                state.turn, state.read = state.turn + 1, 0
            trainer.end_epoch()
            stage.advance(0, trainer.note())
            between(f"epoch {state.epoch}", True)


@dataclass
class _Trainer:
    """A training under way."""

    state: State
    text: Text
    options: ElmoOptions
    learner: Learner
    pool: Executor

    def __post_init__(self) -> None:
        options, counts = self.options, softmax_counts(self.text.corpus, self.options.softmax_words)
        self.noise = Noise.of(counts, options.noise_power, options.negatives)
        self.total = options.epochs * self.text.places
        self.untrained = math.log(len(counts))

    def train_shard(self, stream: Stream, stage: Stage, between: Between) -> None:
        """Read the rest of a shard."""
        state = self.state
        if state.read == 0:
            state.states.hidden[:], state.states.cells[:] = 0, 0
        steps = self.options.steps
        while state.read * steps < stream.length:
            begin = time.perf_counter()
            places = self.step(stream)
            state.seconds += time.perf_counter() - begin
            stage.advance(places, self.note())
            between(f"epoch {state.epoch + 1}", False)

    def step(self, stream: Stream) -> int:
        """Take the next step of a shard; returns the number of its places."""
        state, options, seed = self.state, self.options, self.text.seed
        batch = stream.read(state.read * options.steps, options.steps)
        steps, places = batch.inputs.shape[1], int(batch.inputs[0].size)
        sample = self.noise.draw(seed, state.epoch, state.taken)
        share, seeds = options.left_out, (seed, DROPOUT, state.taken)
        losses, of_softmax = self.learner.learn(batch, state.states, sample, Dropout(share, seeds) if share else None)
        state.sums += [*losses, places]
        self._check_loss()
        gradient = Gradient(self.learner.gradient.values, of_softmax, losses.size * places, steps)
        state.optimizer.step(gradient, state.places / self.total, state.taken + 1, self.pool)
        state.read, state.taken, state.places = state.read + 1, state.taken + 1, state.places + places
        return places

    @property
    def loss(self) -> float:
        """The mean loss of this epoch so far."""
        *losses, places = self.state.sums.tolist()
        return sum(losses) / (len(losses) * places) if places else math.nan

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.state.optimizer.rate(self.state.places / self.total)

    def _check_loss(self) -> None:
        if not self.loss <= ABSURD * self.untrained:  # NaN too
            what = f"{self.loss:.3g} a word" if math.isfinite(self.loss) else "not finite"
            raise DivergenceError(
                f"the loss is {what} in epoch {self.state.epoch + 1}; lower --lr (it is {self.options.rate:g}) and {ANEW}"
            )

    def end_epoch(self) -> None:
        """Record the epoch, with the perplexity of what is held out."""
        state, text = self.state, self.text
        record = {"epoch": state.epoch + 1, "loss": self.loss, "seconds": state.seconds, "items": int(state.sums[-1])}
        found = perplexity(self.learner.network, self.learner.words, map(text.held_out, range(text.corpus.shards)), self.pool)
        state.history.append({**record, "lr": self.rate, **(found.record() if found else {})})
        state.epoch, state.turn, state.seconds = state.epoch + 1, 0, 0.0
        state.sums[:] = 0

    def note(self) -> str:
        """Return the state of training for the progress line."""
        state = self.state
        loss = state.history[-1]["loss"] if math.isnan(self.loss) and state.history else self.loss
        return f"epoch {min(state.epoch + 1, self.options.epochs)}/{self.options.epochs}, loss {loss:.4f}, lr {self.rate:.3g}"

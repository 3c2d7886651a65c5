"""The trainer of all sampled models: it deals parts of mapped shards to threads, sets the learning rate, and stops at NaN.

Shards, and stretches of text within them, are read in a different order in each epoch, so that no part of the text is always
learned at the lowest rates (measured: better on all word sets). By default threads race for the same rows (Hogwild, Recht et
al. 2011). Deterministic training computes the steps of a fixed batch of parts from the current parameters and records them;
then each row's owner adds its steps in the order of the parts, which gives the same bits for any number of threads. A full
softmax is computed as matrix products over a batch of positions.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from cooc_engine._kernels import sgd
from cooc_engine._kernels.barrier import GATE, Team
from cooc_engine._kernels.rules import Clock
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.shards import Shard
from cooc_engine.errors import ANEW, DivergenceError, InputError
from cooc_engine.models.checkpoints import Between, TrainingState
from cooc_engine.runtime.progress import Stage
from cooc_engine.sampled.model import SampledModel, rate_at
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.softmax import take_listed
from cooc_engine.sampled.workspace import Workspace, workspace_of

__all__ = ["State", "run_epochs"]

ABSURD = 1e3  # a mean loss this many times that of zero vectors will not come down again


@dataclass
class State(TrainingState):
    """The state of training: `batches` batches of the `shard`-th shard of `epoch` are done.

    sums    loss, examples and words of the epoch so far
    shards  number of shards of the corpus
    """

    KEPT = ("epoch", "shard", "batches", "seconds", "history")

    network: Network
    shards: float = math.inf
    sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    epoch: int = 0
    shard: int = 0
    batches: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return vectors and sums, for a checkpoint."""
        return {"sums": self.sums, "inputs": self.network.inputs, "outputs": self.network.outputs}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint; raises `ValueError` if a shard, or the examples of an epoch, do not exist."""
        if meta["shard"] >= self.shards:
            raise ValueError(f"the corpus does not have {meta['shard'] + 1} shards")
        if not all("examples" in record for record in meta["history"]):
            raise ValueError("its history does not tell the number of examples")
        super().load(arrays, meta)


def run_epochs(state: State, model: SampledModel, corpus: Corpus, threads: int, stage: Stage, between: Between) -> None:
    """Continue training from `state` to the last epoch; `between`, as of a `Checkpoint`, is called whenever it is consistent.

    Raises `DivergenceError` for a loss that is not finite or absurdly high, `InputError` if no epoch had an example.
    """
    threads = model.team(threads)
    # BLAS threads would change the last bits of a full softmax, and its small products are faster without them.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        team = _Team(model, state.network, pool, threads)
        stage.resume_at(_tokens_done(state, model, corpus))
        while state.epoch < model.epochs:
            for clock, shard in _shards(state, model, corpus):
                _train_shard(state, model, team, clock, shard, stage, between)
            _end_epoch(state, model)
            stage.advance(0, _note(state, model))
            if _has_learned(state):  # otherwise there is nothing to save
                between(f"epoch {state.epoch}", True)
    if not _has_learned(state):
        thinned = "; --subsample thins a small text too much, pass 0" if len(model.tables.keep) else ""
        raise InputError(f"{corpus.path}: holds nothing to train on: no word is left with a neighbour in its document{thinned}")


def _shards(state: State, model: SampledModel, corpus: Corpus) -> Iterator[tuple[Clock, Shard]]:
    """Yield the remaining shards of the epoch, in its random order."""
    sizes = corpus.manifest["shards"]
    begins = np.cumsum([(0, 0), *map(tuple, sizes)], axis=0).tolist()
    seed = model.seed % 2**63
    order = np.random.Generator(np.random.PCG64([seed, state.epoch])).permutation(corpus.shards).tolist()
    for turn in range(state.shard, corpus.shards):
        number = order[turn]
        tokens, documents = begins[number]
        done = state.epoch * corpus.tokens + sum(sizes[earlier][0] for earlier in order[:turn])
        total = model.horizon(corpus.tokens)
        yield Clock(seed, state.epoch, tokens, documents, done - tokens, total, model.lr), corpus.shard(number)
        state.shard, state.batches = turn + 1, 0


def _tokens_done(state: State, model: SampledModel, corpus: Corpus) -> int:
    """Return the number of tokens read so far, in all epochs."""
    clock, shard = next(_shards(state, model, corpus))
    return clock.done + clock.origin + _Walk(model, clock, len(shard.ids)).done(state.batches)


class _Walk:
    """The order in which an epoch reads a shard: stretches are shuffled, the batches within each stay in order."""

    def __init__(self, model: SampledModel, clock: Clock, tokens: int) -> None:
        self.tokens, self.size = tokens, model.part * model.batch
        self.stretch = model.stretch
        random = np.random.Generator(np.random.PCG64([clock.seed, clock.epoch, clock.origin]))
        self.order = random.permutation(-(-tokens // (self.size * self.stretch)))
        self.missing = len(self) * self.size - tokens  # tokens by which the last stretch of the text is short
        self.short = int(np.argmax(self.order)) if tokens else 0  # the turn at which that stretch is visited

    def __len__(self) -> int:
        return len(self.order) * self.stretch

    def batch(self, visit: int) -> int:
        """Return the number of the batch visited as the `visit`-th; batches beyond the end of the text are empty."""
        return int(self.order[visit // self.stretch]) * self.stretch + visit % self.stretch

    def batches(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Return the batches of the visits first:last, without empty ones: (n, 2) numbers, and tokens that they are late by."""
        visits = [(self.batch(visit), self.done(visit)) for visit in range(first, last)]
        found = [(number, done - number * self.size) for number, done in visits if number * self.size < self.tokens]
        return np.array(found, np.int64).reshape(-1, 2)

    def past_empty(self, visit: int) -> int:
        """Return the first visit, from this one on, that is none of an empty batch: all of these follow each other."""
        end = (self.short + 1) * self.stretch
        return end if end - self.missing // self.size <= visit < end else visit

    def done(self, visit: int) -> int:
        """Return the number of tokens read before the `visit`-th batch."""
        turn, rest = divmod(visit, self.stretch)
        room = self.size * self.stretch
        before = turn * room - (self.missing if self.short < turn else 0)
        return before + min(rest * self.size, room - (self.missing if self.short == turn else 0))


def _train_shard(
    state: State, model: SampledModel, team: _Team, clock: Clock, shard: Shard, stage: Stage, between: Between
) -> None:
    walk = _Walk(model, clock, len(shard.ids))
    while state.batches < len(walk):
        begin, first = time.perf_counter(), state.batches
        last = min(first + model.round, len(walk))
        batches = walk.batches(first, last)
        results = team.train(shard, clock, batches)
        state.batches = walk.past_empty(last)
        for result in results.reshape(-1, 3):  # one by one, so that the sum does not depend on the threads
            state.sums += result
        state.seconds += time.perf_counter() - begin
        _check_loss(state, team.workspace)
        tokens = int(np.minimum(walk.size, walk.tokens - batches[:, 0] * walk.size).sum())
        stage.advance(tokens, f"{_note(state, model)}, lr {rate_at(clock, walk.done(first)):.3g}")
        between(f"epoch {state.epoch + 1}", False)


def _check_loss(state: State, workspace: Workspace) -> None:
    """Raise `DivergenceError` for a loss that is not finite, or so large that the steps must be far too long."""
    (loss, examples, _), lr = state.sums.tolist(), workspace.model.lr
    most = ABSURD * max(1.0, workspace.untrained_loss(len(state.network.outputs)))
    if not loss <= most * examples:  # NaN too
        what = f"{loss / max(examples, 1):.3g} an example" if math.isfinite(loss) else "not finite"
        raise DivergenceError(f"the loss is {what} in epoch {state.epoch + 1}; lower --lr (it is {lr:g}) and {ANEW}")


def _end_epoch(state: State, model: SampledModel) -> None:
    loss, examples, words = state.sums.tolist()
    lr = model.lr * (1 - (state.epoch + 1) / model.horizon(1))
    record = {"loss": loss / max(examples, 1), "seconds": state.seconds, "items": int(words), "lr": lr}
    state.history.append({"epoch": state.epoch + 1, **record, "examples": int(examples)})
    state.epoch, state.shard, state.batches, state.seconds = state.epoch + 1, 0, 0, 0.0
    state.sums[:] = 0


def _has_learned(state: State) -> bool:
    return any(record["examples"] for record in state.history)


def _note(state: State, model: SampledModel) -> str:
    loss, examples, _ = state.sums.tolist()
    if not examples and state.history:
        loss, examples = state.history[-1]["loss"], 1
    return f"epoch {min(state.epoch + 1, model.epochs)}/{model.epochs}, loss {loss / max(examples, 1):.4f}"


class _Team:
    """Threads, each with its own scratch, that train on batches of parts."""

    def __init__(self, model: SampledModel, network: Network, pool: ThreadPoolExecutor, threads: int) -> None:
        self.model, self.network, self.pool, self.threads = model, network, pool, threads
        self.workspace = workspace_of(model, network.d)
        self.free = deque(self.workspace.scratch() for _ in range(threads))
        self.log = self.workspace.step_log()
        self.uses = np.zeros(self.workspace.uses_shape(len(network.inputs), len(network.outputs)), np.int32)

    def train(self, shard: Shard, clock: Clock, batches: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Train on batches of a shard, see `sgd.train_batches`; return loss, examples and words of each part, (n, parts, 3).

        Threads share the parts of each batch, one batch after the other; or, if they race, each works on batches of its own.
        """
        model, gate = self.model, np.zeros(GATE, np.int64)
        results = np.zeros((len(batches), model.batch, 3))
        if model.batch > 1:
            shares = [(slice(None), Team(rank, self.threads, gate)) for rank in range(self.threads)]
        else:
            shares = [(slice(*share), Team(0, 1, gate)) for share in model.shares(len(batches), self.threads)]

        def work(piece: tuple[slice, Team]) -> None:
            share, team = piece
            scratch = self.free.pop()
            matrices, log = (self.network.inputs, self.network.outputs), self.log
            model.train(
                shard.ids, shard.offsets, batches[share], team, clock, *matrices, scratch, log, self.uses, results[share]
            )
            self.free.append(scratch)

        list(self.pool.map(work, shares))
        for number, later in batches.tolist() if model.listed else ():
            lr, matrices = rate_at(clock, number * model.part + later), (self.network.inputs, self.network.outputs)
            results[0, 0, sgd.LOSS] = take_listed(model.rule, self.log, *matrices, lr)
        return results

"""Races PyTorch on ELMo's training: the same network, batches, samples and optimisers; tokens a second, by CPU and by wall.

    python scripts/elmo_race.py CORPUS [both | ours | torch] [--cells 256] [--batch 32] [--threads 1] [--seconds 10]
    python scripts/elmo_race.py CORPUS threads      # ours with one thread, then with two; the machine must be idle

PyTorch's side is not its own LSTM, which has neither clips nor this projection, but layers of both directions in batched
products, with a backward pass by hand, and convolutions by gathering as ours: faster than what autograd makes of plain modules.
A token is a place that both directions read. CORPUS is encoded with `--min-count 1`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from cooc_engine._kernels import spelling
from cooc_engine.contextual.characters import Words
from cooc_engine.contextual.learner import Learner
from cooc_engine.contextual.network import States
from cooc_engine.contextual.optimizer import Gradient
from cooc_engine.contextual.shape import CHARACTERS, Shape, of_filters, of_highway, of_layer, of_projection
from cooc_engine.contextual.softmax import Noise, Sample
from cooc_engine.contextual.stream import Steps
from cooc_engine.contextual.text import Text, softmax_counts
from cooc_engine.contextual.trainer import State
from cooc_engine.corpus.directory import Corpus
from cooc_engine.models.elmo_options import ElmoOptions

WARM = 3  # steps before the clock runs
SHOWN = 100_000  # words whose seconds are told of one side


class Gathered(torch.autograd.Function):
    """The largest values of filters over the places of words, with the kernels of the package."""

    @staticmethod
    def forward(context: Any, ids: Any, lengths: Any, characters: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
        tables = torch.matmul(characters, filters)
        n = filters.shape[2]
        values, places = np.empty((len(ids), n), np.float32), np.empty((len(ids), n), np.int16)
        spelling.convolve(ids, lengths, tables.numpy(), np.zeros((2, n), np.float32), np.zeros(n, np.int32), 0, values, places)
        context.save_for_backward(characters, filters)
        context.found = ids, places
        return torch.from_numpy(values)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        (characters, filters), (ids, places) = context.saved_tensors, context.found
        tables = np.zeros((filters.shape[0], CHARACTERS, filters.shape[2]), np.float32)
        spelling.unconvolve(ids, places, np.ascontiguousarray(gradient.numpy()), 0, tables)
        of_tables = torch.from_numpy(tables)
        of_characters = torch.matmul(of_tables, filters.transpose(1, 2)).sum(0)
        return None, None, of_characters, torch.matmul(characters.T, of_tables)


class Layer(torch.autograd.Function):
    """An LSTM layer of both directions, with its projection and clips; all arrays have the direction as their first axis."""

    @staticmethod
    def forward(context: Any, x: Any, weights: Any, bias: Any, projection: Any, h: Any, c: Any, clips: Any) -> Any:
        two, steps, rows, P = x.shape
        context.clips, context.shape = clips, x.shape
        sums = torch.baddbmm(bias[:, None], x.reshape(two, -1, P), weights[:, :P]).view(two, steps, rows, -1)
        kept = []
        outputs = torch.empty_like(x)
        for t in range(steps):
            i, j, f, o = torch.baddbmm(sums[:, t], h, weights[:, P:]).chunk(4, 2)
            i, j, f, o = torch.sigmoid(i), torch.tanh(j), torch.sigmoid(f + 1), torch.sigmoid(o)
            after = (f * c + i * j).clamp(-clips[0], clips[0])
            squashed = torch.tanh(after)
            made = o * squashed
            kept.append((i, j, f, o, c, after, squashed, made, h))
            h = torch.bmm(made, projection).clamp(-clips[1], clips[1])
            c, outputs[:, t] = after, h
        context.kept = kept
        context.save_for_backward(x, weights, projection, outputs)
        return outputs, h, c

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor, of_h: Any, of_c: Any) -> Any:
        x, weights, projection, outputs = context.saved_tensors
        (two, steps, rows, P), (cell_clip, clip) = context.shape, context.clips
        back, state_back = projection.transpose(1, 2), weights[:, P:].transpose(1, 2)
        of_h, of_c = torch.zeros(two, rows, P), torch.zeros(two, rows, projection.shape[1])
        of_sums = torch.empty(two, steps, rows, weights.shape[2])
        of_projected = torch.empty_like(x)
        for t in reversed(range(steps)):
            i, j, f, o, before, after, squashed, _, _ = context.kept[t]
            of_projected[:, t] = (of_h + gradient[:, t]) * (outputs[:, t].abs() < clip)
            d = torch.bmm(of_projected[:, t], back)
            e = (of_c + d * o * (1 - squashed * squashed)) * (after.abs() < cell_clip)
            parts = e * j * i * (1 - i), e * i * (1 - j * j), e * before * f * (1 - f), d * squashed * o * (1 - o)
            torch.cat(parts, 2, out=of_sums[:, t])
            of_c, of_h = e * f, torch.bmm(of_sums[:, t], state_back)
        flat = of_sums.view(two, steps * rows, -1)
        hidden = torch.stack([step[8] for step in context.kept], 1).reshape(two, -1, P)
        made = torch.stack([step[7] for step in context.kept], 1).reshape(two, steps * rows, -1)
        of_weights = torch.cat(
            [torch.bmm(x.reshape(two, -1, P).transpose(1, 2), flat), torch.bmm(hidden.transpose(1, 2), flat)], 1
        )
        of_x = torch.bmm(flat, weights[:, :P].transpose(1, 2)).view(x.shape)
        of_projection = torch.bmm(made.transpose(1, 2), of_projected.view(two, steps * rows, P))
        return of_x, of_weights, flat.sum(1), of_projection, None, None, None


class Peer:
    """The network of a state in PyTorch, with its losses and updates; parameters of layers are stacked by direction."""

    def __init__(self, state: State, words: Words, options: ElmoOptions) -> None:
        self.shape, self.words, self.options = state.network.shape, words, options
        given = state.network.parameters
        own = {p.name: torch.tensor(given[p.name]) for p in self.shape.of_words}
        for layer in range(self.shape.layers):
            for name, pair in zip("wbp", zip(*(of_layer(d, layer) for d in (0, 1)), strict=True), strict=True):
                own[f"{name}{layer}"] = torch.stack([torch.tensor(given[one]) for one in pair])
        self.parameters = {name: value.requires_grad_() for name, value in own.items()}
        self.rows, self.bias = torch.tensor(given["softmax"]), torch.tensor(given["softmax_bias"])
        self.sums, self.bias_sums = torch.full_like(self.rows, 0.1), torch.full_like(self.bias, 0.1)
        self.adam = torch.optim.Adam(self.parameters.values(), lr=options.rate, fused=True)
        self.states = [
            (torch.zeros(2, options.batch, P), torch.zeros(2, options.batch, C)) for P, C in [self._sizes] * self.shape.layers
        ]

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.shape.vector_size, self.shape.cells

    def vectors(self, rows: Any) -> torch.Tensor:
        """The vectors of words without context."""
        p, spelled = self.parameters, self.words.spelled(rows)
        parts = []
        for number in range(len(self.shape.filters)):
            filters, bias = of_filters(number)
            parts.append(torch.relu(Gathered.apply(*spelled, p["characters"], p[filters]) + p[bias]))
        v = torch.cat(parts, 1)
        for number in range(self.shape.highways):
            carry, carry_bias, transform, transform_bias = (p[name] for name in of_highway(number))
            gate = torch.sigmoid(torch.addmm(carry_bias, v, carry))
            v = gate * torch.relu(torch.addmm(transform_bias, v, transform)) + (1 - gate) * v
        projection, bias = (p[name] for name in of_projection())
        return torch.addmm(bias, v, projection)

    def loss(self, batch: Steps, sample: Sample) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
        """The sum of the losses, the rows and the bias of the softmax that have a gradient, and their places."""
        distinct, places = batch.distinct()
        x = self.vectors(distinct)[torch.from_numpy(places)]
        for layer in range(self.shape.layers):
            h, c = self.states[layer]
            clips = (self.shape.cell_clip, self.shape.projection_clip)
            outputs, h, c = Layer.apply(x, *(self.parameters[f"{name}{layer}"] for name in "wbp"), h, c, clips)
            self.states[layer] = h.detach(), c.detach()
            x = outputs + x if layer and self.shape.residual else outputs
        targets = torch.from_numpy(batch.rows_of_softmax(self.shape.words).ravel())
        drawn, log_chances = torch.from_numpy(sample.words), torch.from_numpy(sample.log_chances)
        rows, at = torch.unique(torch.cat([targets, drawn]), return_inverse=True)
        head, bias = self.rows[rows].requires_grad_(), (self.bias[rows]).requires_grad_()
        lowered = bias - log_chances[rows]
        hidden, own, noise = x.reshape(-1, x.shape[-1]), at[: len(targets)], at[len(targets) :]
        z = torch.addmm(lowered[noise], hidden, head[noise].T)
        z = z.masked_fill(drawn == targets[:, None], -torch.inf)
        z_own = (hidden * head[own]).sum(1) + lowered[own]
        loss = torch.logsumexp(torch.cat([z, z_own[:, None]], 1), 1) - z_own
        return loss.sum(), head, bias, rows

    def step(self, batch: Steps, sample: Sample) -> None:
        """Take a step of Adam, and of sparse AdaGrad for the softmax."""
        loss, head, bias, rows = self.loss(batch, sample)
        targets = batch.targets.size
        self.adam.zero_grad()
        (loss / targets).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.adam.step()
        for values, sums, gradient in ((self.rows, self.sums, head.grad), (self.bias, self.bias_sums, bias.grad)):
            gradient *= targets / 2
            sums[rows] += gradient * gradient
            values[rows] -= self.options.softmax_lr * gradient / sums[rows].sqrt()


class Speed(NamedTuple):
    """Tokens a second."""

    cpu: float
    wall: float


def timed(step: Callable[[int], None], tokens: int, seconds: float) -> Speed:
    """Take steps for some seconds."""
    for number in range(WARM):
        step(number)
    cpu, wall, done = time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - wall < seconds:
        step(WARM + done)
        done += 1
    return Speed(done * tokens / (time.process_time() - cpu), done * tokens / (time.perf_counter() - wall))


class Track:
    """The batches that both sides read, and the parameters from which both start."""

    def __init__(self, corpus: Corpus, options: ElmoOptions, seconds: float) -> None:
        self.options, self.seconds, self.words = options, seconds, Words.marked(corpus.vocabulary)
        counts = softmax_counts(corpus, options.softmax_words)
        self.shape = Shape.of(options, len(counts))
        self.noise = Noise.of(counts, options.noise_power, options.negatives)
        self.stream, self.places = Text(corpus, options).stream(0, 0), options.steps * options.batch

    def given(self, number: int) -> tuple[Steps, Sample]:
        """What is read and drawn in a step; the text begins anew where it does not suffice."""
        first = number % (self.stream.length // self.options.steps) * self.options.steps
        return self.stream.read(first, self.options.steps), self.noise.draw(1, 0, number)

    def ours(self, threads: int) -> Speed:
        """Time the package."""
        options, shape, state = self.options, self.shape, State.start(self.shape, self.options)
        states, sampled = States.zero(shape, options.batch), min(options.negatives or shape.words, shape.words)
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
            learner = Learner(state.network, self.words, pool, options.steps, options.batch, sampled)

            def step(number: int) -> None:
                batch, sample = self.given(number)
                _, of_softmax = learner.learn(batch, states, sample)
                gradient = Gradient(learner.gradient.values, of_softmax, 2 * self.places, options.steps)
                state.optimizer.step(gradient, 0.0, number + 1, pool)

            return timed(step, self.places, self.seconds)

    def torch(self, threads: int) -> Speed:
        """Time PyTorch."""
        torch.set_num_threads(threads)
        peer = Peer(State.start(self.shape, self.options), self.words, self.options)
        return timed(lambda number: peer.step(*self.given(number)), self.places, self.seconds)


def ratios(one: Speed, other: Speed) -> dict[str, float]:
    """How many times as fast one is, by CPU and by wall."""
    return {f"ratio_{unit}": getattr(one, unit) / getattr(other, unit) for unit in Speed._fields}


def run(track: Track, what: str, threads: int) -> dict[str, Any]:
    """Return what was asked for: one side, both, or what a second thread gives ours."""
    if what == "both":
        ours, peer = track.ours(threads), track.torch(threads)
        return {"ours": ours._asdict(), "torch": peer._asdict(), **ratios(ours, peer)}
    if what == "threads":
        one, two = track.ours(1), track.ours(2)
        return {"one": one._asdict(), "two": two._asdict(), **ratios(two, one)}
    speed: Speed = getattr(track, what)(threads)
    return {"seconds": SHOWN / speed.wall, "figure": f"{SHOWN:,} words, {speed.cpu:,.0f} a CPU second"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("what", nargs="?", default="both", choices=["both", "ours", "torch", "threads"])
    for name, default in (("cells", 256), ("batch", 32), ("threads", 1), ("seconds", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    options = ElmoOptions(cells=given.cells, batch=given.batch)
    track = Track(Corpus(given.corpus), options, given.seconds)
    print(json.dumps(run(track, given.what, given.threads), indent=2))


if __name__ == "__main__":
    main()

"""Training ELMo from a corpus to a model file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cooc_engine.contextual.characters import MARKS
from cooc_engine.contextual.file import FAMILY, elmo_data, network_of
from cooc_engine.contextual.learner import step_bytes
from cooc_engine.contextual.network import Network
from cooc_engine.contextual.shape import SOFTMAX, SOFTMAX_BIAS, Shape
from cooc_engine.contextual.text import Text, softmax_counts
from cooc_engine.contextual.trainer import State, run_epochs
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.checkpoints import Begun, Checkpoint, claimed
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.models.file import ModelFile, open_model, save_model
from cooc_engine.models.record import origin_of_corpus
from cooc_engine.models.warm_start import checksums
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.interrupts import deferred_interrupt
from cooc_engine.runtime.keywords import Run, TrainKeywords
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["train_elmo"]

DOCUMENT = 40  # bytes for a document of a shard: its length, its place in the order, and its end
LOGITS = 1 << 24  # bytes of the full softmax of held-out text, at a time


def train_elmo(corpus: PathLike | Corpus, output: PathLike, options: ElmoOptions, **how: Unpack[TrainKeywords]) -> ModelFile:
    """Train ELMo (Peters et al. 2018) on an encoded corpus and write the model file `output`; it uses at most two threads.

    A word outside the corpus's vocabulary is read as `<UNK>`, so encode a text with all its words. The keywords are those
    of `Run`. Raises `DivergenceError` as soon as a loss is not finite, `InterruptedRun` after Ctrl-C; `resume` then continues
    from a checkpoint beside the output. The result is the same for any number of threads.
    """
    corpus, output = Corpus.of(corpus), path_of(output)
    run = Run.of("train_elmo", how, TrainKeywords)
    with claimed(output, run) as checkpoint:
        shape = Shape.of(options, len(softmax_counts(corpus, options.softmax_words)))
        older = None if options.init is None else open_model(options.init)
        former = None if older is None else _fitting(older, shape)
        needed = memory_plan(corpus, shape, options, run.budget)
        needed.check()
        for line in (needed.line(), *_warnings(corpus)):
            run.shown.say(line)
        text = Text(corpus, options)
        if not text.places or not corpus.counts.any():
            raise InputError(f"{corpus.path}: contains no word of its vocabulary; there is nothing to train on")
        state = State.start(shape, options)
        plan = Begun.of(options, FAMILY, corpus.digest, checksums(older))
        total = options.epochs * text.places
        with deferred_interrupt() as interrupted, run.shown.stage("train", total, "words") as stage:
            saved = Checkpoint(checkpoint, FAMILY, plan, state, run.checkpoint_every, interrupted)
            if run.resume and checkpoint.exists():
                saved.load()
            elif older is not None and former is not None:
                begin_with(older, former, corpus, state.network)
            run_epochs(state, text, options, run.workers, stage, saved.between)
            origin = origin_of_corpus(corpus, options, run.workers, {})
            save_model(output, elmo_data(state.network, corpus.vocabulary, *origin, state.history), force=run.force)
    return open_model(output)


def _warnings(corpus: Corpus) -> Iterator[str]:
    """Yield a warning if words of the text are outside the vocabulary, since their spelling is lost."""
    blind = 1 - corpus.manifest["tokens_in_vocabulary"] / max(1, corpus.tokens)
    if blind:
        yield f"warning: {blind:.2%} of the words are not in the vocabulary, and read as <UNK>; encode with --min-count 1"


def _fitting(older: ModelFile, shape: Shape) -> Network:
    """Return the network of a model to start from; raises `UsageError` if any size but that of the softmax differs."""
    network = network_of(older)
    for field in dataclasses.fields(Shape):
        found, wanted = getattr(network.shape, field.name), getattr(shape, field.name)
        if found != wanted and field.name != "words":
            raise UsageError(f"--init {older.path}: has {field.name}={found}, but this training has {field.name}={wanted}")
    return network


def begin_with(older: ModelFile, former: Network, corpus: Corpus, network: Network) -> None:
    """Start from the parameters of an older model; rows of the softmax are matched by word, and others stay as they are."""
    softmax = (SOFTMAX, SOFTMAX_BIAS)
    for name, values in network.parameters.items():
        if name not in softmax:
            values[:] = former.parameters[name]
    if not former.shape.words:
        return
    rows, places = corpus.vocabulary.common(older.vocabulary)
    known = (rows < network.shape.words - len(MARKS)) & (places < former.shape.words - len(MARKS))
    for name in softmax:
        values, theirs = network.parameters[name], former.parameters[name]
        values[: len(MARKS)] = theirs[: len(MARKS)]
        values[rows[known] + len(MARKS)] = theirs[places[known] + len(MARKS)]


def memory_plan(corpus: Corpus, shape: Shape, options: ElmoOptions, budget: int) -> Plan:
    """Return the memory of a training: parameters with their gradient and the optimiser's sums, and the scratch of a step."""
    softmax = sum(parameter.size for parameter in shape.of_softmax)
    others = sum(parameter.size for parameter in shape.of_words + shape.of_layers)
    of_words = sum(parameter.size for parameter in shape.of_words)  # whose gradient each thread has for itself
    vocabulary, documents = len(corpus.vocabulary), max((count for _, count in corpus.manifest["shards"]), default=0)
    sampled = min(options.negatives or shape.words, shape.words)
    memory = {
        "parameters": 4 * (4 * others + 2 * of_words + 2 * softmax),
        "tables of words": 60 * shape.words + 8 * vocabulary + len(corpus.vocabulary.text),
        "steps": step_bytes(shape, options.steps, options.batch, sampled) + LOGITS + 4 * shape.words * shape.vector_size,
        "order of documents": DOCUMENT * documents,
        "vectors of words": 4 * shape.vector_size * vocabulary,
    }
    return Plan(f"train {FAMILY}", budget, memory)

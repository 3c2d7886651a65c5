"""A sampled model from a corpus to its file: what every family of them has in common around its training."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cooc_engine.checkpoints import Checkpoint, claimed
from cooc_engine.config import StreamOptions
from cooc_engine.corpus import Corpus
from cooc_engine.errors import UsageError
from cooc_engine.interrupts import deferred_interrupt
from cooc_engine.modelfile import Model, ModelData, open_model, save_model
from cooc_engine.running import How, Run
from cooc_engine.trainer import Matrix, Network, State, StreamModel, memory_plan, plan_of, run_epochs
from cooc_engine.versions import versions
from cooc_engine.vocab import Vocabulary

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Design", "PathLike", "train_stream"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Design:
    """What a family makes of a corpus and options: a model for the trainer, the size of its network, what is kept of it."""

    model: StreamModel
    inputs: int
    outputs: int
    arrays: Callable[[Network], dict[str, Matrix]]
    facts: dict[str, Any]


def train_stream(
    family: str,
    design: Callable[[Corpus, Any], Design],
    corpus: PathLike | Corpus,
    output: PathLike,
    options: Any,
    **how: Unpack[How],
) -> Model:
    """Train a sampled model of any family on an encoded corpus and write the model file `output`.

    `how` is that of `Run`. Raises `DivergenceError` as soon as a loss is not finite,
    `InterruptedRun` after Ctrl-C; a checkpoint beside the output then waits for `resume`.
    """
    corpus, output = corpus if isinstance(corpus, Corpus) else Corpus(corpus), Path(output)
    run = Run(**how)
    with claimed(output, run) as checkpoint:
        made, plan = design(corpus, options), plan_of(family, corpus, options.record())
        _check_extension(options)
        room = memory_plan(family, made.model, (made.inputs, made.outputs, options.vector_size), run.workers, run.budget)
        room.check()
        run.shown.say(room.line())
        state = State(Network.random(made.inputs, made.outputs, options.vector_size, options.seed))
        with deferred_interrupt() as interrupted, run.shown.stage("train", options.epochs * corpus.tokens, "words") as stage:
            saved = Checkpoint(checkpoint, "stream", plan, state, run.checkpoint_every, interrupted)
            if run.resume and checkpoint.exists():
                saved.load()
            elif options.init is not None:
                _begin_with(options.init, corpus, made, state.network)
            run_epochs(state, made.model, corpus, run.workers, stage, saved.between)
            save_model(output, _model_data(family, corpus, made, state, options, run.workers))
    return open_model(output)


def _check_extension(options: StreamOptions) -> None:
    """Refuse an extension that cannot be before any work is done."""
    if not options.extend:
        return
    if options.init is None:
        raise UsageError("--extend keeps the words of another model; name it by --init FILE")
    if options.loss == "hs":
        raise UsageError("--extend goes with --loss ns or softmax; the tree of hs is that of one text's words")
    if "contexts" not in open_model(options.init).names:
        raise UsageError(f"--extend: {options.init} has no contexts to keep; it was trained by hs")


def _extended(path: str, vocabulary: Vocabulary, arrays: dict[str, Matrix]) -> tuple[Vocabulary, dict[str, Matrix]]:
    """Add the words of an older model that a new one does not have, and its counts; ranked by both together."""
    older = open_model(path)
    old, new = older.vocabulary, vocabulary.ids
    more = [row for row, word in enumerate(old.words) if word not in new]
    words = vocabulary.words + [old.words[row] for row in more]
    ids = old.ids
    counts = [*vocabulary.counts.tolist(), *[0] * len(more)]
    totals = [n + (int(old.counts[ids[word]]) if word in ids else 0) for word, n in zip(words, counts, strict=True)]
    order = sorted(range(len(words)), key=lambda row: (-totals[row], words[row].encode()))
    both = {name: np.concatenate([array, older.array(name)[more]])[order] for name, array in arrays.items()}
    return Vocabulary.from_words([words[row] for row in order], [totals[row] for row in order]), both


def _begin_with(path: str, corpus: Corpus, design: Design, network: Network) -> None:
    """Copy the vectors of a model for the words that it shares with the corpus."""
    model = open_model(path)
    mine = design.arrays(network)
    ids = model.vocabulary.ids
    pairs = [(row, ids[word]) for row, word in enumerate(corpus.vocabulary.words) if word in ids]
    if not pairs:
        raise UsageError(f"--init {path}: has no word of {corpus.path}")
    here, there = np.array(pairs).T
    for name in {"words", "contexts"} & {*mine} & {*model.names}:
        theirs = model.array(name)
        if theirs.shape[1] != network.d:
            raise UsageError(f"--init {path}: its vectors are {theirs.shape[1]} long; pass --vector-size {theirs.shape[1]}")
        mine[name][here] = theirs[there]


def _model_data(family: str, corpus: Corpus, design: Design, state: State, options: StreamOptions, threads: int) -> ModelData:
    vocabulary, arrays = corpus.vocabulary, design.arrays(state.network)
    if options.extend and options.init is not None:
        vocabulary, arrays = _extended(options.init, vocabulary, arrays)
    return ModelData(
        family=family,
        vocabulary=vocabulary,
        arrays=arrays,
        published=options.vectors,
        config={"encode": corpus.manifest["options"], "train": options.record()},
        provenance={
            "corpus": corpus.digest,
            "tokens": corpus.tokens,
            "seed": options.seed,
            "threads": threads,
            **design.facts,
            **versions(),
        },
        history=state.history,
    )

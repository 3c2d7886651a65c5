"""Training a sampled model from a corpus to its file: the steps around the trainer that all these families share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.corpus.directory import ID_FILES, Corpus
from cooc_engine.corpus.document_ids import document_ids, tag_numbers
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.checkpoints import Begun, Checkpoint, claimed
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.record import origin_of_corpus
from cooc_engine.models.sampled_options import SampledOptions
from cooc_engine.models.warm_start import begin_with, checksums, extended, has_words, open_older
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.interrupts import deferred_interrupt
from cooc_engine.runtime.keywords import Run, TrainKeywords
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.sampled.model import Design
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.trainer import State, run_epochs
from cooc_engine.sampled.workspace import Means, memory_plan

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["train_sampled"]

COMMON_WORD, EXTENDED_WORD = 200, 600  # bytes per word in the dictionaries and lists of two vocabularies
ID, TAG = 128, 280  # bytes per document for sorted ids; and per tag, which also has an entry in the table that found it
TAGGED = 32  # bytes per tag of a document, for its row and what it is counted with


def train_sampled(
    family: str,
    design: Callable[[Corpus, Any], Design],
    corpus: PathLike | Corpus,
    output: PathLike,
    options: Any,
    **how: Unpack[TrainKeywords],
) -> ModelFile:
    """Train a sampled model of any family on an encoded corpus and write the model file `output`.

    `design` returns the design of the model for the corpus and the options. A matrix that does not fit into the budget is
    mapped from an unnamed file beside the output. The keywords are those of `Run`. Raises `DivergenceError` as soon as a loss
    is not finite, `InterruptedRun` after Ctrl-C; `resume` then continues from a checkpoint beside the output.
    """
    corpus, output = Corpus.of(corpus), path_of(output)
    run = Run.of("train_sampled", how, TrainKeywords)
    with claimed(output, run) as checkpoint:
        older = open_older(options.init, options.vector_size, output)
        if not corpus.counts.any():
            raise InputError(f"{corpus.path}: contains no word of its vocabulary; there is nothing to train on")
        plan = Begun.of(options, family, _read_by(corpus), checksums(older))
        plan.check(checkpoint, resume=run.resume)
        _check_tags(family, corpus, run.budget)
        made = design(corpus, options)
        _check_extension(options, older, [*made.inputs, *made.outputs], FAMILIES[family].arrays)
        needed, mapped = memory_plan(made, _means(family, corpus, made, older, options, run, output.parent))
        needed.check()
        run.shown.say(needed.line())
        if made.model.team(run.workers) < run.workers:
            run.shown.say(f"deterministic: {family} trains in one thread; without it, {run.workers} share the work")
        ids = made.documents or (document_ids(corpus) if made.has_documents else None)
        how_started = None if made.model.SPHERE else made.start, mapped, made.model.segments, run.workers
        network = Network.random(made.inputs, made.outputs, options.vector_size, options.seed, *how_started)
        state = State(network, corpus.shards)
        with deferred_interrupt() as interrupted, run.shown.stage("train", options.epochs * corpus.tokens, "words") as stage:
            saved = Checkpoint(checkpoint, "stream", plan, state, run.checkpoint_every, interrupted)
            if run.resume and checkpoint.exists():
                saved.load()
            elif older is not None:
                arrays = made.begin(older, state.network.arrays())
                begin_with(older, made.vocabulary or corpus.vocabulary, corpus.path, arrays, FAMILIES[family].arrays)
                made.settle(arrays)
            run_epochs(state, made.model, corpus, run.workers, stage, saved.between)
            save_model(output, _model_data(family, corpus, made, state, options, run.workers, older, ids), force=run.force)
    return open_model(output)


def _means(
    family: str, corpus: Corpus, made: Design, older: ModelFile | None, options: SampledOptions, run: Run, directory: Path
) -> Means:
    """Return what the plan of the memory depends on."""
    extra = _older_bytes(older, len(made.vocabulary or corpus.vocabulary), options)
    own_ids = ID * corpus.documents if made.has_documents else 0
    ids = own_ids if made.documents is None else TAG * len(made.documents)
    return Means(family, options.vector_size, run.workers, run.budget, extra, directory, ids)


def _read_by(corpus: Corpus) -> str:
    """Return a string that identifies the text that a training reads: its digest, and the checksums of tags, if it has any."""
    separator = corpus.options.tag_separator
    tags = [] if separator is None else [separator, *(corpus.manifest["files"][name] for name in ID_FILES)]
    return f"{corpus.digest} {tags}" if tags else corpus.digest


def _check_tags(family: str, corpus: Corpus, budget: int) -> None:
    """Raise `UsageError` if the budget is too small for the tags of documents, which are read before the rest is planned."""
    if "documents" in FAMILIES[family].arrays and corpus.options.tag_separator is not None:
        tags, listed = tag_numbers(corpus)
        Plan(f"train {family}", budget, {"tags of documents": TAG * tags + TAGGED * listed}).check()


def _check_extension(options: SampledOptions, older: ModelFile | None, names: Iterable[str], axes: Mapping[str, str]) -> None:
    """Raise `UsageError` for an impossible extension of the arrays with these names, before any work is done."""
    if not options.extend:
        return
    if older is None:
        raise UsageError("--extend keeps the words of another model; name it with --init FILE")
    if options.loss == "hs":
        raise UsageError("--extend goes with --loss=ns or softmax; the tree of hs is that of one text's words")
    for missing in [name for name in names if has_words(axes[name]) and name not in older.names]:
        raise UsageError(f"--extend: {older.path} has no {missing} to keep, only {', '.join(older.names)}")


def _older_bytes(older: ModelFile | None, words: int, options: SampledOptions) -> int:
    """Return the bytes that an older model takes: rows copied from it, extended matrices, and words as Python objects."""
    if older is None:
        return 0
    old = len(older.vocabulary)
    rows = 2 * (words + old) + old if options.extend else min(words, old)
    return 4 * options.vector_size * rows + (EXTENDED_WORD if options.extend else COMMON_WORD) * (words + old)


def _model_data(
    family: str,
    corpus: Corpus,
    design: Design,
    state: State,
    options: Any,
    threads: int,
    older: ModelFile | None,
    ids: Vocabulary | None,
) -> ModelData:
    vocabulary = design.vocabulary or corpus.vocabulary
    arrays: Mapping[str, Matrix] = state.network.arrays()
    if options.extend and older is not None:
        vocabulary, arrays = extended(older, vocabulary, arrays, FAMILIES[family].arrays)
    arrays = design.finish(vocabulary, arrays)
    origin = origin_of_corpus(corpus, options, threads, design.facts)
    return ModelData(
        family, vocabulary, arrays, options.vectors or "none", *origin, state.history, document_ids=ids, labels=design.labels
    )

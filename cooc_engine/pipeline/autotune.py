"""Searching for the options of a classifier that score best on a held-out text, within a time and, if wanted, a file size.

Trials are proposed by Optuna's TPE sampler (Bergstra et al. 2011) and recorded beside the output, so that an interrupted search
can be continued. The best model becomes the output; the others are deleted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypedDict

from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import DivergenceError, FormatError, InputError, UsageError
from cooc_engine.linalg.quantisation import CENTROIDS
from cooc_engine.models.families import trainer_of
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.supervised_options import AllWordsOptions, AutotuneOptions, SupervisedOptions
from cooc_engine.pipeline.stages import corpus_of
from cooc_engine.pipeline.work_directories import discard_work, work_of, workspace
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.keywords import Run, RunKeywords
from cooc_engine.runtime.numbers import parse_size, show_size
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.sampled.supervised import refuse_pruned
from cooc_engine.storage.checksums import crc32_of
from cooc_engine.storage.inputs import record_bytes
from cooc_engine.storage.outputs import beside, refuse_overwrite, write_whole
from cooc_engine.storage.schema import fitted, read_json
from cooc_engine.vectors.classifier import Classifier, Scores
from cooc_engine.vectors.model import Model, open_model
from cooc_engine.vectors.quantisation import quantize

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Trial", "autotune", "best_score", "scored"]

SUBWORDS = {"none": (0, 0), "2-5": (2, 5), "3-6": (3, 6)}  # sizes of the shortest and the longest
HEAD, ROW = 20_000, 25  # bytes of a quantised model's file without any vectors, and of a word beside its codes
IN_VAIN = 100  # consecutive proposals that fail, or would take longer than the time left, after which the search ends


class Trial(TypedDict):
    """A trial: the options that were searched for, the score on the held-out text, seconds, and bytes of the model file.

    The score is None if the training diverged, which left no file.
    """

    options: dict[str, Any]
    score: float | None
    seconds: float
    bytes: int


class _Trials(TypedDict):
    plan: dict[str, Any]
    trials: list[Trial]


def scored(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that did not diverge."""
    return [trial for trial in trials if trial["score"] is not None]


def best_score(trials: Sequence[Trial]) -> float:
    """Return the best score, -inf if there is none."""
    return max((trial["score"] for trial in trials if trial["score"] is not None), default=-math.inf)


@gated
def autotune(
    text: PathLike,
    validation: PathLike,
    output: PathLike,
    options: AutotuneOptions | None = None,
    base: SupervisedOptions | None = None,
    encode: AllWordsOptions | None = None,
    **run: Unpack[RunKeywords],
) -> tuple[Model, list[Trial]]:
    """Train classifiers with options proposed by Optuna; write the best one to `output`; return it and all trials.

    text        the labelled text to train on, or its corpus
    validation  the labelled text by which trials are judged, which is read and split into words as `text` was
    encode      how `text` is encoded

    As in fastText's program, options of `base` that differ from their defaults stay fixed; the others are searched for, and
    the first trial uses their defaults. With a `model_size`, models are quantised, and pruned to as many words and n-grams as
    fit into a file of that size, which are then retrained. Trials are recorded in `OUTPUT.trials.json`; with `resume`, they
    are counted, unless they diverged, and the search continues. Raises `UsageError` if Optuna is missing, or no model is small
    enough.
    """
    require("autotune", "tune", "optuna")
    how, output, held_out = Run.of("autotune", run), path_of(output), path_of(validation)
    options, base = defaulted("autotune", AutotuneOptions, options), defaulted("base", SupervisedOptions, base)
    if not held_out.is_file():
        raise InputError(f"{held_out}: {'is not a file' if held_out.exists() else 'no such file'}")
    if base.init is not None:
        raise UsageError("--init fixes the vector size, which is searched for; leave it out")
    if how.resume and output.exists() and not _best_of(output).exists():
        discard_work(output)  # of a search that was killed at its very end
    for left in (_record_of(output), work_of(output)):
        refuse_overwrite(output, left, force=how.force, resume=how.resume)
    with _workspace(output, how) as work:
        stage = {"threads": how.threads, "memory": how.memory, "progress": how.progress}
        corpus = corpus_of(text, work / "corpus", encode, AllWordsOptions, **stage)  # type: ignore[arg-type]
        refuse_pruned(corpus)  # before a trial is the first that has n-grams
        search = _Search(corpus, held_out, output, options, base, how)
        search.run()
        return search.finish(), search.trials


@contextmanager
def _workspace(output: Path, run: Run) -> Iterator[Path]:
    """Create `OUTPUT.work`, and remove it at the end unless trials are left to go on from."""
    record = _record_of(output)
    with workspace(output, anew=not run.resume, keeps=lambda _: record.exists()) as work:
        refuse_overwrite(output, record, force=run.force, resume=run.resume)  # another run may just have ended
        if not run.resume:
            record.unlink(missing_ok=True)
        yield work


def _record_of(output: Path) -> Path:
    return beside(output, ".trials.json")


def _best_of(output: Path) -> Path:
    return work_of(output) / "best.h5"


class _Search:
    """A search: its trials so far, and the best model."""

    def __init__(
        self, corpus: Corpus, validation: Path, output: Path, options: AutotuneOptions, base: SupervisedOptions, run: Run
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._corpus, self._validation, self._output = corpus, validation, output
        self._options, self._base, self._run = options, base, run
        self._best, self._small = _best_of(output), work_of(output) / "small.h5"
        self._limit = math.inf if options.model_size is None else parse_size(options.model_size, "--model-size")
        self._space = _searched(base, quantised=options.model_size is not None)
        _check_metric(options.metric, base, corpus)
        self._check_limit()
        self._plan = {
            "corpus": corpus.digest,
            "base": base.record(),
            "metric": options.metric,
            "k": options.predictions,
            "model_size": options.model_size,
            "validation": crc32_of(validation, validation.stat().st_size),
        }
        self.trials: list[Trial] = self._recorded() if run.resume and self._best.exists() else []
        seed = options.search_seed + len(self.trials)  # so that a continued search does not repeat its first draws
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        for trial in self.trials:
            self._study.add_trial(self._finished(trial))

    def _check_limit(self) -> None:
        """Raise `UsageError` if there is no room for a model without any words."""
        width = self._space["vector_size"].low if "vector_size" in self._space else self._base.vector_size
        least = _overhead(width, self._labels)
        if least > self._limit:
            raise UsageError(f"--model-size={self._options.model_size}: a model takes at least {show_size(least)}; allow more")

    @property
    def _labels(self) -> int:
        return sum(word.startswith(self._base.label) for word in self._corpus.vocabulary.words)

    def _finished(self, trial: Trial) -> Any:
        """Return a recorded trial as one of Optuna's; raises `FormatError` for options that are not searched for."""
        from optuna.trial import create_trial

        try:
            known: dict[str, Any] = {"params": trial["options"], "distributions": self._space, "value": trial["score"]}
            return create_trial(**known) if trial["score"] is not None else create_trial(**known, state=_pruned())
        except (TypeError, ValueError):
            raise FormatError(f"{_record_of(self._output)}: has a trial of other options; pass --force to start anew") from None

    def _recorded(self) -> list[Trial]:
        path = _record_of(self._output)
        if not path.exists():
            return []
        found = fitted(read_json(record_bytes(path), dict[str, Any], f"{path}"), _Trials, f"{path}")
        if found["plan"] != self._plan:
            raise UsageError(f"{path}: was begun with other options or from other data; pass --force to start anew")
        return found["trials"]

    def run(self) -> None:
        """Run trials until the time is over, but none that is expected to take longer than the time left."""
        end, most, vain = time.monotonic() + self._options.duration, self._options.trials or math.inf, 0
        if not self.trials:
            self._study.enqueue_trial(_first(self._base, self._space))
        while len(scored(self.trials)) < most and (left := end - time.monotonic()) > 0 and vain < IN_VAIN:
            asked = self._study.ask(self._space)
            chosen = _chosen(self._base, asked.params)
            in_time = self._pace * _work(chosen) <= left
            trial = self._tried(chosen, asked.params) if in_time else None
            if trial is not None:
                self._note(trial)
            if trial is None or trial["score"] is None:
                vain += 1
                self._study.tell(asked, state=_pruned())
            else:
                vain = 0
                self._study.tell(asked, trial["score"])

    @property
    def _pace(self) -> float:
        """The median of the seconds that trials took per unit of `_work`; 0 before the first trial."""
        paces = [trial["seconds"] / _work(_chosen(self._base, trial["options"])) for trial in scored(self.trials)]
        return median(paces) if paces else 0.0

    def _tried(self, chosen: SupervisedOptions, params: Mapping[str, Any]) -> Trial | None:
        """Train and test a model; return None if none of its words would fit into the size.

        Raises `InputError` if no line of the held-out text has a known label.
        """
        path, begin = self._best.with_name("trial.h5"), time.monotonic()
        train = trainer_of(chosen)
        try:
            model = train(self._corpus, path, chosen, threads=self._run.threads, memory=self._run.memory, force=True)
        except DivergenceError:
            return {"options": dict(params), "score": None, "seconds": time.monotonic() - begin, "bytes": 0}
        if self._limit < math.inf and not self._made_small(model, chosen, params["dsub"]):
            return None
        seconds = time.monotonic() - begin
        scores = Classifier.open(path).test(self._validation, self._options.predictions, threads=self._run.threads)
        if not scores.lines:
            raise InputError(f"{self._validation}: no line has a label of the training text; pass lines like those of the text")
        score = _score(scores, self._options.metric)
        return {"options": dict(params), "score": score, "seconds": seconds, "bytes": path.stat().st_size}

    def _made_small(self, model: Model, chosen: SupervisedOptions, dsub: int) -> bool:
        """Replace a model by a quantised one that fits into the size; return whether at least one of its words fits."""
        rows, small = sum(len(model.reader(name)) for name in ("words", "ngrams") if name in model.names), self._small
        room = self._limit - _overhead(chosen.vector_size, len(model.labels or ()))
        cutoff, size = min(rows, int(room / (chosen.vector_size / dsub + ROW))), math.inf
        while cutoff > 0 and size > self._limit:
            size = self._quantized(model, QuantizeOptions(dsub=dsub, qnorm=True, cutoff=cutoff))
            kept, cutoff = cutoff, int(0.9 * cutoff)
        if size > self._limit:
            return False
        if kept < rows:
            again: dict[str, Any] = {"retrain": str(self._corpus.path), "epochs": chosen.epochs, "lr": chosen.lr}
            self._quantized(model, QuantizeOptions(dsub=dsub, qnorm=True, cutoff=kept, **again))
        small.replace(model.path)
        return True

    def _quantized(self, model: Model, options: QuantizeOptions) -> int:
        """Write a quantised model; return the bytes of its file."""
        return quantize(model.path, self._small, options, threads=self._run.threads, force=True).bytes_after

    def _note(self, trial: Trial) -> None:
        """Record a trial, and keep its model if it is the best."""
        score, before = trial["score"], best_score(self.trials)
        self.trials.append(trial)
        if score is None:
            result = f"diverged with --lr {_chosen(self._base, trial['options']).lr:g}"
        else:
            result = f"{self._options.metric} {score:.4f}"
            if score > before or not self._best.exists():
                self._best.with_name("trial.h5").replace(self._best)
        if self._best.exists():  # without it there is nothing to resume
            write_whole(_record_of(self._output), json.dumps({"plan": self._plan, "trials": self.trials}).encode())
        self._run.shown.say(f"trial {len(self.trials)}: {result}, {trial['seconds']:.1f} s")

    def finish(self) -> Model:
        """Move the best model to the output; raises `UsageError` if there is none."""
        if not self._best.exists():
            raise UsageError("--duration or --model-size leaves no room for a trial; allow more")
        self._best.replace(self._output)
        return open_model(self._output)


def _space() -> dict[str, Any]:
    """Return all options that can be searched for, with their ranges."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "lr": FloatDistribution(0.01, 5.0, log=True),
        "epochs": IntDistribution(1, 100, log=True),
        "vector_size": IntDistribution(4, 300, log=True),
        "word_ngrams": IntDistribution(1, 4),
        "subwords": CategoricalDistribution([*SUBWORDS]),
        "buckets": IntDistribution(10_000, 4_000_000, log=True),
        "loss": CategoricalDistribution(["softmax", "ova"]),
    }


def _searched(base: SupervisedOptions, *, quantised: bool) -> dict[str, Any]:
    """Return the options to search for: those that the base leaves at their defaults, and `dsub` of a quantised model."""
    from optuna.distributions import CategoricalDistribution

    sizes = ("min_n", "max_n")
    left = {name for name, value in vars(SupervisedOptions()).items() if getattr(base, name) == value}
    left = left - {*sizes} | ({"subwords"} if left >= {*sizes} else set())
    found = {name: kind for name, kind in _space().items() if name in left}
    return {**found, "dsub": CategoricalDistribution([2, 4, 8])} if quantised else found


def _pruned() -> Any:
    from optuna.trial import TrialState

    return TrialState.PRUNED


def _numbers(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ranges of the options that are numbers."""
    return {name: kind for name, kind in space.items() if hasattr(kind, "low")}


def _first(base: SupervisedOptions, space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the first trial: the defaults, or the nearest values within the ranges."""
    found = {name: min(max(getattr(base, name), kind.low), kind.high) for name, kind in _numbers(space).items()}
    return {**found, **{name: kind.choices[0] for name, kind in space.items() if name not in found}}


def _chosen(base: SupervisedOptions, params: Mapping[str, Any]) -> SupervisedOptions:
    """Return the options of a trial."""
    named = {name: value for name, value in params.items() if name not in ("subwords", "dsub")}
    if "subwords" in params:
        named["min_n"], named["max_n"] = SUBWORDS[params["subwords"]]
    return dataclasses.replace(base, **named)


def _work(options: SupervisedOptions) -> float:
    """Return what the time of a training is roughly proportional to: epochs, size, and input rows for each word."""
    return options.epochs * options.vector_size * (options.word_ngrams + 4 * (options.max_n - options.min_n))


def _overhead(vector_size: int, labels: int) -> int:
    """Return the bytes of a quantised model's file without words: centroids, and the vectors of labels."""
    return HEAD + 4 * vector_size * (CENTROIDS + labels)


def _check_metric(metric: str, base: SupervisedOptions, corpus: Corpus) -> None:
    """Raise `UsageError` for the metric of a label that a model of the corpus does not have."""
    _, colon, label = metric.partition(":")
    row = corpus.vocabulary.find(label) if label.startswith(base.label) else -1
    is_label = row >= 0 and corpus.counts[row] >= base.min_count_label
    if colon and not is_label:
        raise UsageError(f"--metric is {metric!r}, but the text has no label {label!r}; pass one of its labels")


def _score(scores: Scores, metric: str) -> float:
    """Return a metric, 0 where it is undefined."""
    name, _, label = metric.partition(":")
    if not label:
        found = float(getattr(scores, name))
    else:
        found = scores.of_labels()[label]["f1score" if name == "f1" else name]
    return 0.0 if math.isnan(found) else found

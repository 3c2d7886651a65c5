"""The verbs for classifiers, with the arguments and the output of fastText's program."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from cooc_engine.cli.console import Work, print_json, print_lines, print_result
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import InEncoding, Json, JsonLines, ModelFile, NewModel, OnErrors, Threads, TrustTokenizer
from cooc_engine.models.supervised_options import AllWordsOptions, AutotuneOptions, SupervisedOptions
from cooc_engine.runtime.numbers import show_value
from cooc_engine.runtime.options import Flag
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.run_options import RunOptions

if TYPE_CHECKING:
    from cooc_engine.pipeline.autotune import Trial
    from cooc_engine.vectors.classifier import Answers, Classifier, Scores

__all__ = ["autotune", "predict", "predict_prob", "test", "test_label"]

RUN = RunOptions()
TITLES = {"F1-Score": "f1score", "Precision": "precision", "Recall": "recall"}
Lines = Annotated[str, Parameter(name="TEXT"), "The text, one example per line, or - for stdin."]
Most = Annotated[int, Parameter(name="K"), "Number of labels to predict for each line; -1 for all."]
Least = Annotated[float, Parameter(name="THRESHOLD"), "Smallest probability of a label to predict."]


class Question(NamedTuple):
    """The text that a classifier is asked about, and how many of its labels, of at least which probability, are wanted."""

    classifier: Classifier
    text: str
    k: int
    threshold: float
    threads: int | None
    json: bool

    def answers(self) -> Iterator[Answers]:
        """Return the answers to some lines at a time."""
        return self.classifier.predict_file(self.text, self.k, self.threshold, self.threads)

    def scores(self) -> Scores:
        """Return how well the labels of the text are predicted."""
        return self.classifier.test(path_of(self.text), self.k, self.threshold, self.threads)


def _verb(printed: Any) -> Callable[[Callable[[Question], None]], Callable[..., None]]:
    """Turn a function that answers a question into a command, whose flag `json` has the annotation `printed`."""

    def make(answer: Callable[[Question], None]) -> Callable[..., None]:
        def command(
            model: ModelFile,
            text: Lines,
            k: Most = 1,
            threshold: Least = 0.0,
            /,
            *,
            encoding: InEncoding = None,
            errors: OnErrors = None,
            threads: Threads = None,
            json: bool = False,
            trust_tokenizer: TrustTokenizer = False,
        ) -> None:
            from cooc_engine.vectors.classifier import Classifier

            how: Any = {"trust_tokenizer": trust_tokenizer, "encoding": encoding, "errors": errors}
            classifier = Classifier.open(model, **how)
            answer(Question(classifier, given(text), k, threshold, threads, json))

        functools.update_wrapper(command, answer, ("__module__", "__name__", "__qualname__", "__doc__"))
        del command.__wrapped__  # type: ignore[attr-defined]  # the parser would read its signature
        command.__annotations__["json"] = printed
        return command

    return make


@_verb(JsonLines)
def predict(question: Question) -> None:
    """Print the predicted labels of each line of a text, one line for each.

    For example:

        cooc-engine predict classifier.h5 new.txt
        cooc-engine predict classifier.h5 - 3 0.1
    """
    _print_answers(question, shares=False)


@_verb(JsonLines)
def predict_prob(question: Question) -> None:
    """Print the predicted labels of each line of a text with their probabilities, one line for each.

    For example:

        cooc-engine predict-prob classifier.h5 new.txt 3
    """
    _print_answers(question, shares=True)


@_verb(Json)
def test(question: Question) -> None:
    """Print precision and recall at K over the lines of a labelled text.

    For example:

        cooc-engine test classifier.h5 held-out.txt
    """
    scores = question.scores()
    print_result(question.json, scores.record(), _lines_of(scores, question.k, ".3g"))


@_verb(Json)
def test_label(question: Question) -> None:
    """Print F1, precision and recall of each label, then those of `test`.

    For example:

        cooc-engine test-label classifier.h5 held-out.txt
    """
    scores = question.scores()
    found = scores.of_labels()
    lines = (
        "  ".join(f"{title} : {_fixed(row[name])}" for title, name in TITLES.items()) + f"   {label}"
        for label, row in found.items()
    )
    record = {**scores.record(), "labels": {label: _known(row) for label, row in found.items()}}
    print_result(question.json, record, [*lines, *_lines_of(scores, question.k, ".3f")])


def autotune(
    text: Annotated[str, Parameter(name="TEXT"), "The labelled text to train on, or its corpus."],
    /,
    *,
    output: NewModel,
    validation: Annotated[Path, Flag(("--autotune-validation",)), "The labelled text by which the trials are judged."],
    picture: Annotated[Path | None, "A picture of the trials, PICTURE.png or PICTURE.svg."] = None,
    options: AutotuneOptions | None = None,
    base: SupervisedOptions | None = None,
    encode: AllWordsOptions | None = None,
    run: RunOptions = RUN,
) -> None:
    """Search for the options of `train supervised` that predict a held-out text best, and keep the best model.

    For example:

        cooc-engine autotune train.txt --validation test.txt --output model.h5
    """
    from cooc_engine.pipeline.autotune import autotune, best_score, scored
    from cooc_engine.reports.canvas import new_picture, require_matplotlib
    from cooc_engine.reports.trials import plot_trials

    if picture is not None:
        require_matplotlib()
        new_picture(picture, force=run.force)
    with Work(run) as work:
        _, trials = autotune(given(text), validation, output, options, base, encode, **run.keywords())
    if picture is not None:
        plot_trials(scored(trials), picture, (options or AutotuneOptions()).metric, force=run.force)
    if not run.json:
        print_lines(_trial_lines(trials))
    count = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
    work.print(output, f"{count}, best {best_score(trials):.4f}", {"trials": trials})


def _trial_lines(trials: list[Trial]) -> Iterator[str]:
    """Yield a table of trials, the best first, and those that diverged last."""
    names = [*trials[0]["options"]]
    yield "\t".join(["score", "seconds", "MB", *names])
    for trial in sorted(trials, key=lambda trial: math.inf if trial["score"] is None else -trial["score"]):
        score = "diverged" if trial["score"] is None else f"{trial['score']:.4f}"
        values = [show_value(trial["options"][name]) for name in names]
        yield "\t".join([score, f"{trial['seconds']:.1f}", f"{trial['bytes'] / 1e6:.1f}", *values])


def _print_answers(question: Question, *, shares: bool) -> None:
    for answers in question.answers():
        if question.json:
            for record in _records(question.classifier, answers):
                print_json(record)
        else:
            print_lines(_texts(question.classifier, answers, shares))
        sys.stdout.flush()


def _texts(classifier: Classifier, answers: Answers, shares: bool) -> Iterator[str]:
    for labels, values in classifier.listed(answers):
        if shares:
            yield " ".join([f"{label} {value:.6g}" for label, value in zip(labels, values, strict=True)])
        else:
            yield " ".join(labels)


def _records(classifier: Classifier, answers: Answers) -> Iterator[dict[str, Any]]:
    for labels, values in classifier.listed(answers):
        yield {"labels": labels, "probabilities": values}


def _lines_of(scores: Scores, k: int, form: str) -> Iterable[str]:
    return [f"N\t{scores.lines}", f"P@{k}\t{scores.precision:{form}}", f"R@{k}\t{scores.recall:{form}}"]


def _fixed(value: float) -> str:
    return "--------" if math.isnan(value) else f"{value:.6f}"


def _known(row: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in row.items()}

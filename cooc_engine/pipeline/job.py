"""Batch jobs: a TOML file that says what to encode, count, train and evaluate; finished stages are kept.

output = "work"                     where everything goes, beside the job file
[encode]                            texts, and the options of `encode`
texts = ["text.txt.xz"]
[count]                             the options of `count`
[[train]]                           one table per model: its family, its file in `output`, its options
model = "glove"
[eval]                              test files by kind, the options of `eval`, and whether to draw a picture
pairs = ["pairs.tsv"]

[cluster]                           labelled texts to cluster, and the options of `cluster`
texts = ["labelled.txt"]
[classify]                          labelled texts to learn from and to classify, and the options of `classify`
train = "train.txt"
test = "test.txt"
[test]                              labelled texts to test classifiers on, and the samples and seed of the intervals
texts = ["test.txt"]
[probe]                             the files of `probe`, which tests the layers of ELMo models, and whether to draw a picture
senses = "text.txt.xz"
[compare]                           the page comparing all models, in `output`, and the options of `compare`
output = "page.html"

A list as the value of an option in [count] or [[train]] stands for each of its values: the job is a grid of all
combinations. Counts are shared by all models that need them, and a training by all options that only choose among its vectors.
The scores are also written as a table, with the mean for each value, and finished evaluations are kept like other stages.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cooc_engine._version import __version__
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import advising
from cooc_engine.evaluation.accuracy import accuracies, accuracy_rows
from cooc_engine.evaluation.comparison import named_models
from cooc_engine.evaluation.documents import Results, rows_of
from cooc_engine.evaluation.judge import SETS, evaluate
from cooc_engine.evaluation.options import AccuracyOptions, CompareOptions, EvalOptions, ProbeOptions
from cooc_engine.models.documents import Evaluation
from cooc_engine.models.families import Family
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.pipeline.job_documents import results_of
from cooc_engine.pipeline.job_plan import JobPlan
from cooc_engine.pipeline.job_stages import Forced, StagePlan, forced, plan_of, refuse_changed
from cooc_engine.pipeline.job_tables import in_table
from cooc_engine.pipeline.kept_results import contents, remembered
from cooc_engine.pipeline.stages import counted, encoded
from cooc_engine.pipeline.training import kept
from cooc_engine.reports.choices import plot_table
from cooc_engine.reports.document_map import document_record
from cooc_engine.reports.page import compare
from cooc_engine.reports.table import Table, write_scores
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.keywords import Run, SharedFreshKeywords, SharedKeywords, SharedPlanKeywords
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.progress import Progress
from cooc_engine.storage.holders import JOB
from cooc_engine.storage.locks import locked_beside
from cooc_engine.storage.outputs import disk_errors, write_record, write_whole
from cooc_engine.vectors.query import Vectors

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["job_output", "plan_run", "run"]


@gated
def run(
    job: str | os.PathLike[str],
    *,
    force_stage: Sequence[str] | str = (),
    **run: Unpack[SharedFreshKeywords],
) -> list[dict[str, Any]]:
    """Run a job file, and return the scores of its models, which are also written to `eval.json` in its output directory.

    The rows of a grid have the listed values as `settings`; it also writes `table.json`, `table.tsv` and, on request,
    `table.png`. Finished stages with the same options are kept, and an interrupted one is continued. `force` repeats all
    stages; `force_stage` repeats those that it names, by their file or their table in the job, and all that depend on them.
    `processes` and `cluster` share the work of the stages that allow it. Raises `UsageError`, before any work is done, if a
    finished stage was made with other options, or if another run of a job writes into the same directory.
    """
    how = Run.of("run", run, SharedFreshKeywords)
    run["progress"] = how.shown
    plan = JobPlan.open(job)
    anew = forced(plan.stages, force_stage, how.force, plan.judging)
    refuse_changed(plan.stages, anew)
    with advising("run the job again"), disk_errors(plan.output):
        plan.output.mkdir(parents=True, exist_ok=True)
        with locked_beside(plan.output / JOB, take_over=how.take_over or how.force):
            for stage in plan.stages:
                if stage.at in anew.outputs and stage.at.exists():
                    how.shown.say(f"{stage.at}: will be replaced ({stage.worth(stage.at)})")
            return _judgements(plan, _models(plan, anew, **run), anew, **run)


def _models(plan: JobPlan, anew: Forced, **run: Unpack[SharedFreshKeywords]) -> Corpus:
    """Make the corpus, the counts and all models, as far as they are not finished; returns the corpus."""

    def running(at: Path) -> SharedFreshKeywords:
        return {**run, "force": at in anew.outputs}

    with in_table("[encode]", EncodeOptions):
        corpus = encoded(plan.texts, plan.corpus, plan.encode, **running(plan.corpus))
    with in_table("[count]", CountOptions):
        coocs = {at: counted(corpus, at, options, **running(at)) for at, options in plan.counts.items()}
    for number, training in enumerate(plan.trainings, 1):
        if plan.grid:
            Run.of("run", run, SharedFreshKeywords).shown.say(f"{training.at}: {number} of {len(plan.trainings)} models")
        data = corpus if training.counts is None else coocs[training.counts]
        with in_table("[[train]]", training.family.options):
            _trained(training.family, data, training.at, training.options, **running(training.at))
    return corpus


def _judgements(plan: JobPlan, corpus: Corpus, anew: Forced, **run: Unpack[SharedFreshKeywords]) -> list[dict[str, Any]]:
    """Return the scores of all models in all evaluations of the job."""
    progress, models = Run.of("run", run, SharedFreshKeywords).shown, [training.at for training in plan.trainings]
    documents: list[Results] = []
    if plan.tasks:
        again = bool({"cluster", "classify"} & anew.judging)
        documents = results_of(plan.tasks, models, plan.output / "documents.json", progress, force=again)
    with in_table("[test]", AccuracyOptions):
        tested = accuracies(named_models(models), *plan.tested, progress) if plan.tested else None
    if plan.compared:
        sections = {"documents": document_record(documents, named_models(models))} if documents else {}
        sections |= {"classifiers": tested} if tested else {}
        with in_table("[compare]", CompareOptions):
            compare(models, **plan.compared, sections=sections, force=True, progress=progress)
    with in_table("[eval]", EvalOptions):
        rows = _judged(plan, progress, force="eval" in anew.judging) if plan.judged else []
    rows += _document_rows(plan, documents)
    if tested:
        rows += _written(plan, accuracy_rows(tested, named_models(models)), "classifiers.tsv")
    if plan.probing:
        probed: SharedFreshKeywords = {**run, "force": "probe" in anew.judging}
        with in_table("[probe]", ProbeOptions):
            rows += plan.probing.rows(plan.contextual, corpus, plan.encode, plan.output, **probed)
    return rows


@gated
def plan_run(
    job: str | os.PathLike[str],
    *,
    force: bool = False,
    force_stage: Sequence[str] | str = (),
    **run: Unpack[SharedPlanKeywords],
) -> list[StagePlan]:
    """Return what `run` would do with each stage of a job that writes large files, in order, without writing anything.

    Sizes are measured for files that exist, and predicted for others if the files that they are made from exist. Raises as
    `run` does for an invalid job.
    """
    Run.of("plan_run", run, SharedPlanKeywords)
    plan = JobPlan.open(job)
    anew = forced(plan.stages, force_stage, force, plan.judging)
    return [plan_of(stage, anew, **run) for stage in plan.stages]


def job_output(job: str | os.PathLike[str]) -> Path:
    """Return the directory into which a job writes; raises as `run` does for an invalid job."""
    return JobPlan.open(job).output


def _trained(family: Family, data: Any, at: Path, options: Options, **run: Unpack[SharedKeywords]) -> None:
    """Train the model at `at`, unless it exists and was trained on this corpus, or these counts, with these options."""
    run["resume"] = not run.get("force", False)
    how = Run.of("train", run, SharedKeywords)
    if how.keeps(at):
        kept(family, data, at, options, take_over=how.take_over)
        how.tell_kept(at)
    else:
        family.train(data, at, options, **family.accepted(run))


# --------------------------------------------------------------------------------------------------------- evaluation


def _judged(plan: JobPlan, progress: Progress, *, force: bool) -> list[dict[str, Any]]:
    """Return the scores of all vectors in [eval]; those of a grid are saved after each model."""
    memory = plan.output / "table.json"
    kept = _kept(memory) if plan.grid and not force else {}
    found: dict[str, list[dict[str, Any]]] = {}
    rows: list[dict[str, Any]] = []
    with progress.stage("evaluate", sum(len(training.wanted) for training in plan.trainings), "models") as stage:
        for training in plan.trainings:
            model = open_model(training.at)
            for wanted in training.wanted:
                digest = _digest(model, wanted.options, plan.judged)
                if digest not in kept:
                    matrix = training.family.vectors(model, wanted.options)
                    vectors = Vectors.of_model(model, matrix, trust_tokenizer=plan.judged["trust_tokenizer"])
                    kept[digest] = [_without_model(row) for row in evaluate({wanted.name: vectors}, **plan.judged)]
                    if plan.grid:
                        write_record(memory, {"evaluations": kept})
                extra = {"settings": wanted.settings} if plan.grid else {}
                found[digest] = kept[digest]
                rows += [{"model": wanted.name, **row, **extra} for row in kept[digest]]
                stage.advance(1, wanted.name)
    _write_json(plan.output / "eval.json", rows)
    if plan.grid:
        write_record(memory, {**Table.of(rows).record(), "evaluations": found})
        write_whole(plan.output / "table.tsv", Table.of(rows).tsv().encode())
    if plan.picture:
        plot_table(Table.of(rows), plan.output / "table.png", force=True)
    return rows


def _document_rows(plan: JobPlan, documents: Sequence[Results]) -> list[dict[str, Any]]:
    """Return the scores of the models on labelled documents, and write them as a table too."""
    rows = [row for task, outcomes in documents for row in rows_of(task, outcomes)]
    return _written(plan, rows, "documents.tsv") if rows else []


def _written(plan: JobPlan, rows: Sequence[dict[str, Any]], file: str) -> list[dict[str, Any]]:
    """Write scores of models as a table, and return them, those of a grid with their settings."""
    write_scores(rows, plan.output / file, force=True)
    settings = {str(training.at): training.wanted[0].settings for training in plan.trainings}
    return [{**row, "settings": settings[row["model"]]} for row in rows] if plan.grid else list(rows)


def _without_model(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "model"}


def _digest(model: ModelFile, options: Options, judged: Mapping[str, Any]) -> str:
    """Return a digest that identifies an evaluation: of the model's provenance, the options, and the contents of the files."""
    files = {kind: contents(judged[kind]) for kind in SETS if kind in judged}
    how = {name: value for name, value in judged.items() if name not in SETS}
    made_of = [model.family, model.provenance.get("corpus"), model.provenance.get("cooc"), __version__]
    return hashlib.sha256(json.dumps([made_of, options.record(), files, how]).encode()).hexdigest()


class _Table(TypedDict):
    """The kept results in the table of a grid: evaluations by their digests."""

    evaluations: dict[str, list[Evaluation]]


def _kept(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the evaluations of an earlier run by their digests."""
    found = remembered(path, _Table, "is not the table")
    return {digest: [dict(row) for row in rows] for digest, rows in found["evaluations"].items()} if found else {}


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())

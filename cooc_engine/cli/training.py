"""The verbs that train a model of a family, or run a job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

import cooc_engine
from cooc_engine.cli.console import Work, print_result, score_lines
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import add_verb, new_app, panel
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.models.families import Family, family_of, trainable
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.run_options import PlannedOptions, SharedTrainOptions, TrainOptions

if TYPE_CHECKING:
    from cooc_engine.models.file import ModelFile

__all__ = ["run_job", "train"]

TRAIN, PLANNED = TrainOptions(), PlannedOptions()
train = new_app(
    "train", "Train a model on a text, on an encoded corpus, or on counts; a text is encoded and counted on the way."
)


def _train_command(model: str, family: Family) -> None:
    """Make the command that trains a family; families that are trained on counts also have the options of counting."""

    def on_counts(
        source: Any, /, *, output: Path, options: Any = None, encode: Any = None, count: Any = None, run: Any = TRAIN
    ) -> None:
        _train(model, given(source), output, options, encode, count, run)

    def on_text(source: Any, /, *, output: Path, options: Any = None, encode: Any = None, run: Any = TRAIN) -> None:
        on_counts(source, output=output, options=options, encode=encode, run=run)

    command, source = (on_counts, COUNTED) if family.counting else (on_text, "An encoded corpus, or a text.")
    run = SharedTrainOptions if family.shared else TrainOptions
    kinds = {"options": family.options, "encode": family.encoding, "count": family.counting, "run": run}
    annotations = {"source": Annotated[str, Parameter(name="INPUT")], "output": Path}
    command.__annotations__ = annotations | {name: kind | None for name, kind in kinds.items() if kind}
    fields = f"source\n    {source}\noutput\n    The model file to write, HDF5.\n"
    example = f"For example:\n\n    cooc-engine train {model} {'cooc' if family.counting else 'text.txt'} --output {model}.h5"
    command.__doc__ = f"{family.title}\n\n{example}\n\nParameters\n----------\n{fields}"
    add_verb(train, command, model, ON_COUNTS if family.counting else ON_TEXT)


ON_COUNTS, ON_TEXT = Group("Trained on counts", sort_key=0), Group("Trained on the text", sort_key=1)
COUNTED = "A co-occurrence directory, an encoded corpus, or a text."
for name, family in trainable().items():
    _train_command(name, family)


def _train(
    model: str,
    source: str,
    output: Path,
    options: Options | None,
    encode: EncodeOptions | None,
    count: CountOptions | None,
    run: TrainOptions,
) -> None:
    from cooc_engine.pipeline.training import train_family

    with Work(run) as work:
        trained = train_family(model, source, output, options, encode, count, run.training_keywords())
    loss = f", {family_of(model).measure} {trained.history[-1]['loss']:.4f}" if trained.history else ""
    work.print(output, f"{_rows(trained)} of size {trained.vector_size}{loss}", {"history": list(trained.history)})


def _rows(model: ModelFile) -> str:
    """Return how many vectors a model has."""
    if model.document_ids is None:
        return f"{len(model.vocabulary):,} vectors"
    words = "" if model.published == "none" else f"{len(model.vocabulary):,} words and "
    return f"{words}{len(model.document_ids):,} documents, vectors"


def run_job(
    job: Annotated[Path, Parameter(name="JOB"), "The job file."],
    /,
    *,
    force_stage: Annotated[
        tuple[str, ...],
        Parameter(group=panel("Running")),
        "Repeat a stage, given as its file or table, and everything that is made from it.",
    ] = (),
    run: PlannedOptions = PLANNED,
) -> None:
    """Run a batch job; finished stages are kept, and interrupted ones are continued.

    For example:

        cooc-engine run job.toml
        cooc-engine run job.toml --dry-run
        cooc-engine run job.toml --force-stage glove.h5
    """
    from cooc_engine.pipeline.job import job_output
    from cooc_engine.reports.table import Table

    result = {"output": str(job_output(job)), "job": str(job)}
    if run.dry_run:
        plans = cooc_engine.plan_run(job, force=run.force, force_stage=force_stage, **run.plan_keywords())
        stages = [plan.record() for plan in plans]
        print_result(run.json, {**result, "stages": stages}, [plan.line() for plan in plans])
        return
    with Work(run) as work:
        rows = cooc_engine.run(job, force_stage=force_stage, **run.fresh_keywords())
    lines = Table.of(rows).lines() if any("settings" in row for row in rows) else score_lines(rows)
    finished = [f"{result['output']}: finished, {work.seconds:.1f} s"]
    print_result(run.json, {**result, **work.record(), "evaluation": rows}, lines if rows else finished)

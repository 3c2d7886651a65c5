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

import functools
import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from cooc_engine._version import __version__
from cooc_engine.contextual.file import FAMILY
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InputError, UsageError, advising
from cooc_engine.evaluation.accuracy import accuracies, accuracy_rows
from cooc_engine.evaluation.comparison import COMPARED, named_models
from cooc_engine.evaluation.documents import Results, Task, rows_of
from cooc_engine.evaluation.judge import SETS, evaluate
from cooc_engine.evaluation.options import AccuracyOptions, CompareOptions, EvalOptions, ProbeOptions
from cooc_engine.models.documents import Evaluation
from cooc_engine.models.families import Family, family_of
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.models.sparse_vectors import SPARSE
from cooc_engine.pipeline.grid import combinations, file_name
from cooc_engine.pipeline.job_documents import classification_of, clustering_of, results_of
from cooc_engine.pipeline.job_probe import Probing
from cooc_engine.pipeline.job_stages import (
    JUDGING,
    Forced,
    JobStage,
    StagePlan,
    count_stage,
    encode_stage,
    forced,
    plan_of,
    refuse_changed,
    train_stage,
)
from cooc_engine.pipeline.job_tables import Place, in_table, options_of
from cooc_engine.pipeline.kept_results import contents, remembered
from cooc_engine.pipeline.stages import counted, encoded
from cooc_engine.pipeline.training import kept
from cooc_engine.reports.canvas import require_matplotlib
from cooc_engine.reports.choices import plot_table
from cooc_engine.reports.document_map import document_record
from cooc_engine.reports.page import check_page, compare, page_of
from cooc_engine.reports.table import Table, write_scores
from cooc_engine.runtime.keywords import Run, SharedFreshKeywords, SharedKeywords, SharedPlanKeywords
from cooc_engine.runtime.numbers import show_value
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.progress import Progress
from cooc_engine.storage.holders import JOB
from cooc_engine.storage.inputs import refuse_streams
from cooc_engine.storage.locks import locked_beside
from cooc_engine.storage.outputs import disk_errors, write_record, write_whole
from cooc_engine.text.bounded import whole
from cooc_engine.text.stores import is_url, located
from cooc_engine.text.tokenizers import WORD_LISTS
from cooc_engine.vectors.query import Vectors

if TYPE_CHECKING:
    from typing_extensions import Unpack

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["job_output", "plan_run", "run"]

O = TypeVar("O", bound=Options)  # noqa: E741
LONGEST = 1 << 20  # bytes of a job file
TABLES = {"output", "encode", "count", "train", "eval", "cluster", "classify", "test", "probe", "compare"}


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
    path, how = Path(job), Run.of("run", run, SharedFreshKeywords)
    run["progress"] = how.shown
    plan = _Plan(path, _read(path))
    anew = forced(plan.stages, force_stage, how.force, plan.judging)
    refuse_changed(plan.stages, anew)
    with advising("run the job again"), disk_errors(plan.output):
        plan.output.mkdir(parents=True, exist_ok=True)
        with locked_beside(plan.output / JOB, take_over=how.take_over or how.force):
            for stage in plan.stages:
                if stage.at in anew.outputs and stage.at.exists():
                    how.shown.say(f"{stage.at}: will be replaced ({stage.worth(stage.at)})")
            return _judgements(plan, _models(plan, anew, **run), anew, **run)


def _models(plan: _Plan, anew: Forced, **run: Unpack[SharedFreshKeywords]) -> Corpus:
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


def _judgements(plan: _Plan, corpus: Corpus, anew: Forced, **run: Unpack[SharedFreshKeywords]) -> list[dict[str, Any]]:
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
    plan = _Plan(Path(job), _read(Path(job)))
    anew = forced(plan.stages, force_stage, force, plan.judging)
    return [plan_of(stage, anew, **run) for stage in plan.stages]


def job_output(job: str | os.PathLike[str]) -> Path:
    """Return the directory into which a job writes; raises as `run` does for an invalid job."""
    return _Plan(Path(job), _read(Path(job))).output


def _read(path: Path) -> dict[str, Any]:
    refuse_streams(path)
    try:
        return tomllib.loads(whole(path, LONGEST).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML ({error})") from None


@dataclass(frozen=True)
class _Wanted:
    """Vectors to evaluate: their name, the listed values that lead to them, and all their options."""

    name: str
    settings: Mapping[str, Any]
    options: Options


@dataclass(frozen=True)
class _Training:
    """A model to train, on the corpus or on `counts`, and the vectors wanted from it; `output` is the file of its table."""

    at: Path
    output: str
    family: Family
    counts: Path | None
    wanted: Sequence[_Wanted]

    @property
    def options(self) -> Options:
        """The options to train with."""
        return self.family.serving([wanted.options for wanted in self.wanted])


class _Plan:
    """A job, validated completely before any work begins."""

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        self.path = path
        unknown = sorted(set(fields) - TABLES)
        if unknown:
            raise UsageError(f"{path}: unknown table {unknown[0]!r}; there are: {', '.join(sorted(TABLES))}")
        self.output = path.parent / self._text(fields, "output", path.stem)
        table = dict(self._table(fields, "encode"))
        names = self._names(table.pop("texts", []), "[encode] texts")
        self.texts = [located(name if is_url(name) else path.parent / name) for name in names]
        if not self.texts:
            raise UsageError(f"{path}: [encode] names no texts")
        self.corpus = self.output / "corpus"
        with Place(path, "[encode]").naming(EncodeOptions):
            self.encode = options_of(EncodeOptions, self._beside(table), Place(path, "[encode]")).loaded()
            self.encode.check_use()
        count, tables = self._table(fields, "count"), self._tables(fields)
        self._several = len(tables) > 1
        self._counting = list(self._combined(CountOptions, count, Place(path, "[count]")))
        self.trainings = [training for number, table in enumerate(tables, 1) for training in self._models(number, table)]
        self._check_names()
        needed = "count" in fields or not tables or any(training.counts for training in self.trainings)
        self.counts = {self._counts_path(listed): options for listed, options in self._counting} if needed else {}
        self.grid = any(isinstance(value, list) for table in (count, *tables) for value in table.values())
        self.judged = self._judged(dict(self._table(fields, "eval")))
        makers = {"cluster": clustering_of, "classify": classification_of}
        asked = {name: make for name, make in makers.items() if name in fields}
        self._refuse_sparse(asked)
        self.tasks: dict[str, Task] = {name: make(self._table(fields, name), self._paths, path) for name, make in asked.items()}
        self.tested = self._tested(dict(self._table(fields, "test"))) if "test" in fields else None
        self.contextual = [training.at for training in self.trainings if training.family is family_of(FAMILY)]
        self.probing = self._probing(dict(self._table(fields, "probe"))) if "probe" in fields else None
        self.compared = self._compared(dict(self._table(fields, "compare"))) if "compare" in fields else {}
        self.judging = [table for table in JUDGING if table in fields]

    @functools.cached_property
    def stages(self) -> list[JobStage]:
        """The stages that make large files, in the order in which they depend on each other."""
        return [
            encode_stage(self.texts, self.corpus, self.encode),
            *(count_stage(self.corpus, at, options) for at, options in self.counts.items()),
            *(
                train_stage(each.family, self.corpus, each.counts, each.at, each.output, each.options)
                for each in self.trainings
            ),
        ]

    def _beside(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of encoding with the paths of word lists taken relative to the job file, as those of texts are."""
        lists = [key for key in table if key.replace("-", "_") in WORD_LISTS]
        return {**table, **{key: str(self.path.parent / self._text(table, key, "")) for key in lists}}

    def _combined(self, kind: type[O], table: Mapping[str, Any], where: Place) -> Iterator[tuple[dict[str, Any], O]]:
        """Yield the listed values and the options of each combination."""
        for listed, values in combinations(table, where):
            yield listed, options_of(kind, values, where)

    def _counts_path(self, listed: Mapping[str, Any]) -> Path:
        return self.output / file_name("cooc", listed)

    def _models(self, number: int, table: dict[str, Any]) -> Iterator[_Training]:
        """Yield the trainings of one [[train]] table."""
        name = self._text(table, "model", "")
        where = Place(self.path, f"[[train]] {number}")
        if not name:
            raise UsageError(f"{where}: names no model")
        family, output = family_of(name), Path(self._text(table, "output", f"{name}.h5"))
        options = {k: v for k, v in table.items() if k not in ("model", "output")}
        combined = list(self._combined(family.options, options, where))
        for count in [listed for listed, _ in self._counting] if family.counting else [{}]:
            trainings: dict[str, list[_Wanted]] = {}
            for listed, chosen in combined:
                kept = {key: value for key, value in listed.items() if key.replace("-", "_") not in family.derived}
                at = output.with_name(file_name(output.stem, {**count, **kept}) + output.suffix)
                rest = [f"{key}={show_value(value)}" for key, value in listed.items() if key not in kept]
                settings = {**({"model": output.stem} if self._several else {}), **count, **listed}
                wanted = _Wanted(" ".join([str(self.output / at), *rest]), settings, chosen)
                trainings.setdefault(str(at), []).append(wanted)
            for file, group in trainings.items():
                yield _Training(
                    self.output / file, output.name, family, self._counts_path(count) if family.counting else None, group
                )

    def _check_names(self) -> None:
        seen: set[Path] = set()
        for training in self.trainings:
            if training.at in seen:
                raise UsageError(f"{self.path}: two models go to {training.at}; give each [[train]] an output of its own")
            seen.add(training.at)

    def _refuse_sparse(self, tasks: Collection[str]) -> None:
        """Raise `UsageError` for a model with sparse vectors if labelled documents are evaluated, which need dense ones."""
        sparse = [training.at for training in self.trainings if training.family.rows == "sparse"]
        if sparse and tasks:
            raise UsageError(f"{self.path} [{next(iter(tasks))}]: {sparse[0]}: {SPARSE}")

    def _judged(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `evaluate`: test files by kind, and its options."""
        if not table:
            return {}
        self.picture = table.pop("picture", False)
        names = {key: key.replace("-", "_") for key in table}
        paths = {name: self._paths(table.pop(key), f"[eval] {key}") for key, name in names.items() if name in SETS}
        options = options_of(EvalOptions, table, Place(self.path, "[eval]"))
        if not isinstance(self.picture, bool) or (self.picture and not self.grid):
            raise UsageError(f"{self.path} [eval]: picture is true or false, and shows what the values in lists do")
        if self.picture:
            require_matplotlib()
        missing = [path for group in paths.values() for path in group if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]}: no such file (in {self.path} [eval])")
        return {**paths, **options.record()}

    def _compared(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `compare`: its page, the test files of [eval], and its options."""
        where = Place(self.path, "[compare]")
        if len(self.trainings) < 2:
            raise UsageError(f"{where}: takes two or more models")
        page = self.output / self._text(table, "output", "page.html")
        check_page(page_of(page))
        asked = {"restrict": self.judged["restrict"]} if self.judged else {}
        sets = {kind: self.judged[kind] for kind in COMPARED if kind in self.judged}
        table.pop("output", None)
        return {"output": page, **sets, "options": options_of(CompareOptions, {**asked, **table}, where)}

    def _tested(self, table: dict[str, Any]) -> tuple[list[Path], AccuracyOptions]:
        """Return the texts to test classifiers on, and how."""
        where, texts = Place(self.path, "[test]"), self._paths(table.pop("texts", []), "[test] texts")
        if not texts:
            raise UsageError(f"{where}: names no texts")
        if not any("labels" in training.family.arrays for training in self.trainings):
            raise UsageError(f'{where}: tests classifiers, and no [[train]] makes one; its model is "supervised"')
        return texts, options_of(AccuracyOptions, table, where)

    def _probing(self, table: dict[str, Any]) -> Probing:
        where = Place(self.path, "[probe]")
        if not self.contextual:
            raise UsageError(f"{where}: judges the layers of models of ELMo, and no [[train]] makes one")
        return Probing.of(table, self._paths, where)

    def _text(self, fields: Mapping[str, Any], key: str, default: str) -> str:
        value = fields.get(key, default)
        if not isinstance(value, str) or "\0" in value:
            raise UsageError(f"{self.path}: {key} is {value!r}; it must be a string without null characters")
        return value

    def _table(self, fields: dict[str, Any], name: str) -> dict[str, Any]:
        table = fields.get(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"{self.path}: {name} must be a table, [{name}]")
        return table

    def _tables(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        tables = fields.get("train", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise UsageError(f"{self.path}: write each model as a table [[train]]")
        return tables

    def _paths(self, values: Any, where: str) -> list[Path]:
        return [self.path.parent / name for name in self._names(values, where)]

    def _names(self, values: Any, where: str) -> list[str]:
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) and "\0" not in value for value in values):
            raise UsageError(f"{self.path} {where}: must be a list of file names")
        return values


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


def _judged(plan: _Plan, progress: Progress, *, force: bool) -> list[dict[str, Any]]:
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
        write_record(memory, {**_summary(Table.of(rows)), "evaluations": found})
        write_whole(plan.output / "table.tsv", Table.of(rows).tsv().encode())
    if plan.picture:
        plot_table(Table.of(rows), plan.output / "table.png", force=True)
    return rows


def _document_rows(plan: _Plan, documents: Sequence[Results]) -> list[dict[str, Any]]:
    """Return the scores of the models on labelled documents, and write them as a table too."""
    rows = [row for task, outcomes in documents for row in rows_of(task, outcomes)]
    return _written(plan, rows, "documents.tsv") if rows else []


def _written(plan: _Plan, rows: Sequence[dict[str, Any]], file: str) -> list[dict[str, Any]]:
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


def _summary(table: Table) -> dict[str, Any]:
    """Return a table as a JSON-serialisable dictionary."""
    records = [{"model": r.model, "settings": r.settings, "scores": r.scores} for r in table.records]
    means = [{"model": name, **effect} for name, part in table.parts().items() for effect in part.effects()]
    best = [
        {"model": name, "measure": measure, "settings": record.settings, "score": record.scores[measure]}
        for name, part in table.parts().items()
        for measure, record in part.best().items()
    ]
    return {"records": records, "means": means, "best": best}


class _Table(TypedDict):
    """The kept results in the table of a grid: evaluations by their digests."""

    evaluations: dict[str, list[Evaluation]]


def _kept(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the evaluations of an earlier run by their digests."""
    found = remembered(path, _Table, "is not the table")
    return {digest: [dict(row) for row in rows] for digest, rows in found["evaluations"].items()} if found else {}


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())

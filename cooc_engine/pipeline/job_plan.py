"""The plan of a job: what its TOML file asks for, validated as a whole, and the files that will be made."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cooc_engine.contextual.file import FAMILY
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.comparison import COMPARED
from cooc_engine.evaluation.documents import Task
from cooc_engine.evaluation.judge import SETS
from cooc_engine.evaluation.options import AccuracyOptions, CompareOptions, EvalOptions
from cooc_engine.models.families import Family, family_of
from cooc_engine.models.published import WORDLESS
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.models.sparse_vectors import SPARSE
from cooc_engine.pipeline.grid import combinations, file_name
from cooc_engine.pipeline.job_documents import classification_of, clustering_of
from cooc_engine.pipeline.job_probe import Probing
from cooc_engine.pipeline.job_stages import JUDGING, JobStage, count_stage, encode_stage, train_stage
from cooc_engine.pipeline.job_tables import Place, options_of
from cooc_engine.reports.canvas import require_matplotlib
from cooc_engine.reports.page import check_page, page_of
from cooc_engine.runtime.numbers import show_value
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.inputs import refuse_streams
from cooc_engine.text.bounded import whole
from cooc_engine.text.stores import is_url, located
from cooc_engine.text.tokenizers import WORD_LISTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["JobPlan", "read_job"]

O = TypeVar("O", bound=Options)  # noqa: E741
LONGEST = 1 << 20  # bytes of a job file
TABLES = {"output", "encode", "count", "train", "eval", "cluster", "classify", "test", "probe", "compare"}


def read_job(path: Path) -> dict[str, Any]:
    """Return the tables of a job file; raises `InputError` if it is not TOML."""
    refuse_streams(path)
    try:
        return tomllib.loads(whole(path, LONGEST).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML ({error})") from None


@dataclass(frozen=True)
class Wanted:
    """Vectors to evaluate: their name, the listed values that lead to them, and all their options."""

    name: str
    settings: Mapping[str, Any]
    options: Options


@dataclass(frozen=True)
class Training:
    """A model to train, on the corpus or on `counts`, and the vectors wanted from it; `output` is the file of its table."""

    at: Path
    output: str
    family: Family
    counts: Path | None
    wanted: Sequence[Wanted]

    @property
    def options(self) -> Options:
        """The options to train with."""
        return self.family.serving([wanted.options for wanted in self.wanted])


class JobPlan:
    """A job, validated completely before any work begins."""

    @classmethod
    def open(cls, job: PathLike) -> JobPlan:
        """Read a job file; raises `UsageError` for an invalid job, and what `read_job` raises."""
        path = path_of(job)
        return cls(path, read_job(path))

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        self.path = path
        unknown = sorted(set(fields) - TABLES)
        if unknown:
            raise UsageError(f"{path}: unknown table {unknown[0]!r}; there are: {', '.join(sorted(TABLES))}")
        self.output = path_of(path.parent / self._text(fields, "output", path.stem))
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
        self._refuse_wordless([name for name in ("eval", "compare") if name in fields])
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

    def _models(self, number: int, table: dict[str, Any]) -> Iterator[Training]:
        """Yield the trainings of one [[train]] table."""
        name = self._text(table, "model", "")
        where = Place(self.path, f"[[train]] {number}")
        if not name:
            raise UsageError(f"{where}: names no model")
        family, output = family_of(name), path_of(self._text(table, "output", f"{name}.h5"))
        options = {k: v for k, v in table.items() if k not in ("model", "output")}
        combined = list(self._combined(family.options, options, where))
        for count in [listed for listed, _ in self._counting] if family.counting else [{}]:
            trainings: dict[str, list[Wanted]] = {}
            for listed, chosen in combined:
                kept = {key: value for key, value in listed.items() if key.replace("-", "_") not in family.derived}
                at = output.with_name(file_name(output.stem, {**count, **kept}) + output.suffix)
                rest = [f"{key}={show_value(value)}" for key, value in listed.items() if key not in kept]
                settings = {**({"model": output.stem} if self._several else {}), **count, **listed}
                wanted = Wanted(" ".join([str(self.output / at), *rest]), settings, chosen)
                trainings.setdefault(str(at), []).append(wanted)
            for file, group in trainings.items():
                yield Training(
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

    def _refuse_wordless(self, tasks: Collection[str]) -> None:
        """Raise `UsageError` for a model that gives words no vectors if these are evaluated or compared."""
        options = ((training.at, wanted.options) for training in self.trainings for wanted in training.wanted)
        wordless = [at for at, chosen in options if isinstance(chosen, Doc2vecOptions) and chosen.vectors is None]
        if wordless and tasks:
            raise UsageError(f"{self.path} [{next(iter(tasks))}]: {wordless[0]}: {WORDLESS}")

    def _judged(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `evaluate`: test files by kind, and its options."""
        if not table:
            return {}
        self.picture = table.pop("picture", False)
        names = {key: key.replace("-", "_") for key in table}
        paths = {name: self._paths(table.pop(key), f"[eval] {key}") for key, name in names.items() if name in SETS}
        options = options_of(EvalOptions, table, Place(self.path, "[eval]"))
        if not isinstance(self.picture, bool) or (self.picture and not self.grid):
            raise UsageError(f"{self.path} [eval]: picture must be true or false; it shows the effect of the values in lists")
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
            raise UsageError(f"{where}: evaluates the layers of ELMo models, but no [[train]] makes one")
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

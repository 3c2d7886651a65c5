"""Batch jobs: a TOML file that says what to encode, count, train and judge; finished stages are kept.

output = "work"                     where everything goes, beside the job file
[encode]                            texts, and the options of `encode`
texts = ["text.txt.xz"]
[count]                             the options of `count`
[[train]]                           a model each: its family, its file in `output`, its options
model = "glove"
[eval]                              pairs, analogies, restrict
pairs = ["pairs.tsv"]
[compare]                           the page of all models, in `output`, and the options of `compare`
output = "page.html"
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cooc_engine.config import CompareOptions, CountOptions, EncodeOptions, Options, from_mapping
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation import evaluate
from cooc_engine.modelfile import Model, open_model
from cooc_engine.models import Family, family_of
from cooc_engine.page import check_page, compare
from cooc_engine.progress import Progress
from cooc_engine.stages import check_same, counted, encoded
from cooc_engine.store import write_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["run"]

TABLES = {"output", "encode", "count", "train", "eval", "compare"}


def run(
    job: str | os.PathLike[str],
    *,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Run a job file; returns the evaluation of its models, also written to `eval.json` in its output directory.

    Stages that are finished and were made with the same options are kept, an interrupted one is continued; `force` makes all
    anew. Raises `UsageError` if a finished stage was made with other options, before any work is done on it.
    """
    path, progress = Path(job), progress or Progress()
    plan = _Plan(path, _read(path))
    how: dict[str, Any] = {"threads": threads, "memory": memory, "force": force, "progress": progress}
    plan.output.mkdir(parents=True, exist_ok=True)
    corpus = encoded(plan.texts, plan.output / "corpus", plan.encode, **how)
    cooc = counted(corpus, plan.output / "cooc", plan.count, **how) if plan.counts else None
    for at, name, options in plan.models:
        family = family_of(name)
        _trained(family, corpus if family.counting is None else cooc, at, options, **how)
    if plan.compared:
        compare([at for at, _, _ in plan.models], **plan.compared, force=True, progress=progress)
    if not plan.judged:
        return []
    with progress.stage("evaluate", len(plan.models), "models") as stage:
        rows = evaluate([at for at, _, _ in plan.models], **plan.judged)
        stage.advance(len(plan.models))
    write_whole(plan.output / "eval.json", (json.dumps(rows, indent=1) + "\n").encode())
    return rows


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not TOML ({error})") from None


class _Plan:
    """A job, checked from end to end before anything is done."""

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        self.path = path
        unknown = sorted(set(fields) - TABLES)
        if unknown:
            raise UsageError(f"{path}: unknown table {unknown[0]!r}; there are: {', '.join(sorted(TABLES))}")
        self.output = path.parent / self._text(fields, "output", path.stem)
        table = dict(self._table(fields, "encode"))
        self.texts = self._paths(table.pop("texts", []), "[encode] texts")
        if not self.texts:
            raise UsageError(f"{path}: [encode] names no texts")
        self.encode = from_mapping(EncodeOptions, table, f"{path} [encode]")
        self.count = from_mapping(CountOptions, self._table(fields, "count"), f"{path} [count]")
        self.models = [self._model(number, dict(table)) for number, table in enumerate(self._tables(fields), 1)]
        self.counts = "count" in fields or not self.models or any(family_of(m).counting is not None for _, m, _ in self.models)
        self.judged = self._judged(dict(self._table(fields, "eval")))
        self.compared = self._compared(dict(self._table(fields, "compare"))) if "compare" in fields else {}

    def _model(self, number: int, table: dict[str, Any]) -> tuple[Path, str, Options]:
        name = self._text(table, "model", "")
        where = f"{self.path} [[train]] {number}"
        if not name:
            raise UsageError(f"{where}: names no model")
        family = family_of(name)
        at = self.output / self._text(table, "output", f"{name}.h5")
        options = {k: v for k, v in table.items() if k not in ("model", "output")}
        return at, name, from_mapping(family.options, options, where)

    def _judged(self, table: dict[str, Any]) -> dict[str, Any]:
        if not table:
            return {}
        restrict = table.pop("restrict", 30_000)
        paths = {key: self._paths(table.pop(key, []), f"[eval] {key}") for key in ("pairs", "analogies")}
        if table:
            raise UsageError(f"{self.path} [eval]: unknown option {min(table)!r}; there are: pairs, analogies, restrict")
        missing = [path for group in paths.values() for path in group if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]}: no such file (in {self.path} [eval])")
        if not isinstance(restrict, int) or restrict < 1:
            raise UsageError(f"{self.path} [eval]: restrict is {restrict!r}; it must be a number of words")
        return {**paths, "restrict": restrict}

    def _compared(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return what `compare` is called with: its page, the sets of words of [eval], and its options."""
        where = f"{self.path} [compare]"
        if len(self.models) < 2:
            raise UsageError(f"{where}: takes two models or more")
        page = self.output / self._text(table, "output", "page.html")
        check_page(page)
        judged = dict(self.judged)
        asked = {"restrict": judged.pop("restrict")} if judged else {}
        table.pop("output", None)
        return {"output": page, **judged, "options": from_mapping(CompareOptions, {**asked, **table}, where)}

    def _text(self, fields: Mapping[str, Any], key: str, default: str) -> str:
        value = fields.get(key, default)
        if not isinstance(value, str):
            raise UsageError(f"{self.path}: {key} is {value!r}; it must be a string")
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
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise UsageError(f"{self.path} {where}: must be a list of file names")
        return [self.path.parent / value for value in values]


def _trained(family: Family, data: Any, at: Path, options: Options, *, force: bool, **how: Any) -> Model:
    """Return the model at `at` if it was trained on this corpus, or these counts, with these options; otherwise train it."""
    if at.exists() and not force:
        model = open_model(at)
        made_of = "corpus" if family.counting is None else "cooc"
        found = {"options": model.config["train"], made_of: model.provenance.get(made_of)}
        check_same(at, found, {"options": options.record(), made_of: data.digest})
        return model
    return family.train(data, at, options, force=force, resume=not force, **how)

"""Tables: of a grid search, the settings of each combination and its scores; of models, their scores with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cooc_engine.runtime.numbers import show_percent, show_value
from cooc_engine.storage.outputs import utf8, write_files

__all__ = ["Record", "Table", "score_table", "write_scores"]

SCORES = "scores times 100: Spearman's correlation of pairs, share of analogies that are right"
SHORT = {"spearman": "", "analogy-add": " add", "analogy-mul": " mul"}  # measures in the printed table, with their suffixes


@dataclass(frozen=True)
class Record:
    """The scores of one combination, by data set and measure, such as "men spearman"; None where there is no score."""

    model: str
    settings: Mapping[str, Any]
    scores: Mapping[str, float | None]


class Table:
    """The scores of all combinations."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self.options = list(dict.fromkeys(name for record in self.records for name in record.settings))
        self.measures = list(dict.fromkeys(name for record in self.records for name in record.scores))

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Table:
        """Make the table from rows of `evaluate` to which `settings` were added."""
        settings = {row["model"]: row["settings"] for row in rows}
        scores: dict[str, dict[str, float | None]] = {model: {} for model in settings}
        for row in rows:
            scores[row["model"]][f"{row['dataset']} {row['kind']}"] = row["value"]
        return cls([Record(model, settings[model], scores[model]) for model in settings])

    def parts(self) -> dict[str, Table]:
        """Return one table per model family, since options of different families are not comparable; "" if only one."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            rest = {name: value for name, value in record.settings.items() if name != "model"}
            found.setdefault(record.settings.get("model", ""), []).append(dataclasses.replace(record, settings=rest))
        return {name: Table(records) for name, records in found.items()}

    def titles(self) -> dict[str, str]:
        """Return the measures of the printed table by their column titles."""
        parts = {measure: measure.rpartition(" ") for measure in self.measures}
        return {name + SHORT[kind]: measure for measure, (name, _, kind) in parts.items() if kind in SHORT}

    def mean(self, measure: str, settings: Mapping[str, Any]) -> float | None:
        """Return the mean score of all combinations that have these settings."""
        chosen = (r for r in self.records if all(r.settings.get(name) == value for name, value in settings.items()))
        values = [value for value in (record.scores.get(measure) for record in chosen) if value is not None]
        return sum(values) / len(values) if values else None

    def effects(self) -> list[dict[str, Any]]:
        """Return, for each value of each option, the mean scores over all values of the other options."""
        return [
            {"option": option, "value": value, "scores": {name: self.mean(name, {option: value}) for name in self.measures}}
            for option in self.options
            for value in self.values(option)
        ]

    def values(self, option: str) -> list[Any]:
        """Return the values of an option, in the order of the combinations."""
        return list(dict.fromkeys(record.settings[option] for record in self.records if option in record.settings))

    def best(self) -> dict[str, Record]:
        """Return the best combination by each measure, the first in case of ties."""
        scored = {name: [r for r in self.records if r.scores.get(name) is not None] for name in self.measures}
        return {name: max(found, key=lambda r: r.scores[name] or 0.0) for name, found in scored.items() if found}

    def record(self) -> dict[str, Any]:
        """Return a JSON-serialisable dictionary: all scores, and the means and the best combinations of each model family."""
        parts = self.parts().items()
        best = [(name, measure, record) for name, part in parts for measure, record in part.best().items()]
        return {
            "records": [{"model": r.model, "settings": r.settings, "scores": r.scores} for r in self.records],
            "means": [{"model": name, **effect} for name, part in parts for effect in part.effects()],
            "best": [
                {"model": name, "measure": measure, "settings": record.settings, "score": record.scores[measure]}
                for name, measure, record in best
            ],
        }

    def lines(self) -> list[str]:
        """Return lines to print: all scores, times 100, then the means and the best combinations of each model family."""
        titles = self.titles()
        rows = [
            [*self._shown(record), *(show_percent(record.scores.get(m)) for m in titles.values())] for record in self.records
        ]
        parts = [(SCORES, [[*self.options, *titles], *rows])]
        for name, part in self.parts().items():
            means = [
                [
                    effect["option"],
                    show_value(effect["value"]),
                    *(show_percent(effect["scores"].get(m)) for m in titles.values()),
                ]
                for effect in part.effects()
            ]
            best = {title: part.best()[measure] for title, measure in titles.items() if measure in part.best()}
            tops = [[title, show_percent(r.scores[titles[title]]), *part._shown(r)] for title, r in best.items()]
            of = f"{name}: " if name else ""
            parts.append((f"{of}mean of all combinations with a value", [["option", "value", *titles], *means]))
            parts.append((f"{of}best combination by each score", [["score", "best", *part.options], *tops]))
        return [line for title, part in parts for line in (title, *_aligned(part), "")][:-1]

    def tsv(self) -> str:
        """Return all scores as tab-separated values."""
        head = [*self.options, *self.measures, "file"]
        rows = [[*self._shown(r), *(_exact(r.scores.get(m)) for m in self.measures), r.model] for r in self.records]
        return "".join("\t".join(fields) + "\n" for fields in (head, *rows))

    def _shown(self, record: Record) -> list[str]:
        return [show_value(record.settings[name]) if name in record.settings else "" for name in self.options]


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned columns, numbers aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


# ------------------------------------------------------------------------------------------------------ scores of models


def score_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines to print, one for each model: each score, and half of its 95 % interval."""
    models: dict[str, list[str]] = {}
    for row in rows:
        line = models.setdefault(row["model"], [row["model"], row["documents"], f"{row['covered']} of {row['total']}"])
        line.append(f"{row['value']:.3f} ±{(row['high'] - row['low']) / 2:.3f}")
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return _aligned([["model", "documents", "covered", *kinds], *models.values()])


def write_scores(rows: Sequence[Mapping[str, Any]], path: Path, *, force: bool) -> None:
    """Write scores as tab-separated values, one per line. Raises as `write_files` does."""
    lines = [list(rows[0]), *([f"{value}" for value in row.values()] for row in rows)]
    write_files({path: utf8("".join("\t".join(line) + "\n" for line in lines))}, force=force)

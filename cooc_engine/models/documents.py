"""The shape of the records of a model file: configuration, provenance, history and evaluation, as FORMAT.md specifies them."""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

from cooc_engine.storage.schema import Natural, Positive, Total, fitted

__all__ = ["Config", "Counted", "Documents", "Epoch", "Evaluation", "Provenance", "checked_documents"]

Setting = str | int | float | bool | list[Any] | None
Settings = dict[str, Setting]
Config = TypedDict("Config", {"encode": Settings, "count": Settings, "train": Settings, "import": Settings}, total=False)
"""The options of every stage by their names; a model has those of the stages that it went through."""


class Provenance(TypedDict, total=False):
    """The origin of a model; families and imports record more."""

    corpus: str
    cooc: str
    tokens: Total
    entries: Natural
    seed: int | None
    threads: Positive
    peak_memory_bytes: Natural


class _Epoch(TypedDict):
    epoch: Natural
    loss: float


class Epoch(_Epoch, total=False):
    """The record of an epoch in the history; families record more."""

    seconds: float
    items: Natural
    lr: float
    rate: float
    idle: float
    held_out_loss: float
    examples: Natural


class Counted(Epoch):
    """The record of an epoch that visits a known number of items."""

    items: Natural  # type: ignore[misc]


class _Evaluation(TypedDict):
    dataset: str
    kind: str
    value: float | None
    covered: Natural
    total: Natural


class Evaluation(_Evaluation, total=False):
    """A row of `evaluate`; kinds of test sets record more."""

    model: str
    low: float | None
    high: float | None
    restrict: Natural


class Documents(NamedTuple):
    """The records of a model."""

    config: Config
    provenance: Provenance
    history: list[Epoch]
    evaluation: list[Evaluation]


def checked_documents(found: dict[str, Any], where: str) -> Documents:
    """Return the records of a model by their names; raises `FormatError`, naming `where`, for one of another shape."""
    return Documents(
        fitted(found["config"], Config, f"{where}: element config"),
        fitted(found["provenance"], Provenance, f"{where}: element provenance"),
        fitted(found["history"], list[Epoch], f"{where}: element history"),
        fitted(found["evaluation"], list[Evaluation], f"{where}: element evaluation"),
    )

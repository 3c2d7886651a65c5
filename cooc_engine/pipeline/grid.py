"""Grids: lists of values to all their combinations, and from the scores of all to what each choice does on average."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cooc_engine.errors import UsageError
from cooc_engine.runtime.numbers import show_value

__all__ = ["combinations", "file_name"]

UNSAFE = re.compile(r"[^\w.+-]+")  # what a file name should not hold


def combinations(table: Mapping[str, Any], where: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield for each combination of the values in lists: the listed ones alone, and the whole table, without lists.

    The last list varies fastest. Raises `UsageError` for a list that is empty or holds a value twice.
    """
    names = [name for name, value in table.items() if isinstance(value, list)]
    for name in names:
        values = table[name]
        if not values or any(value in values[:i] for i, value in enumerate(values)):
            raise UsageError(f"{where}: {name} is a list {'that holds a value twice' if values else 'without values'}")
    for chosen in itertools.product(*(table[name] for name in names)):
        listed = dict(zip(names, chosen, strict=True))
        yield {name.replace("_", "-"): value for name, value in listed.items()}, {**table, **listed}


def file_name(stem: str, settings: Mapping[str, Any]) -> str:
    """Return the name of what a combination makes, as `cooc-window-5`."""
    return "-".join([stem, *(f"{name}-{UNSAFE.sub('_', show_value(value))}" for name, value in settings.items())])

"""Grids: all combinations of listed values, and the file names of what they make."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cooc_engine.errors import UsageError
from cooc_engine.runtime.numbers import show_value

__all__ = ["combinations", "file_name"]

UNSAFE = re.compile(r"[^\w.+-]+")  # characters that a file name should not contain


def combinations(table: Mapping[str, Any], where: object) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield, for each combination of the listed values, these values alone, and the whole table with them instead of the lists.

    The last list varies fastest. Raises `UsageError` for a list that is empty or contains a value twice.
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
    """Return the file name for a combination, such as `cooc-window-5`."""
    return "-".join([stem, *(f"{name}-{UNSAFE.sub('_', show_value(value))}" for name, value in settings.items())])

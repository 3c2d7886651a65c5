"""The tables of a job file: the options that they have, and errors in their terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import naming_keys
from cooc_engine.runtime.options import Options, from_mapping

__all__ = ["Place", "in_table", "options_of"]

O = TypeVar("O", bound=Options)  # noqa: E741


class Place(NamedTuple):
    """A table in a job file, such as `job.toml [encode]`, where an error is."""

    file: Path
    table: str

    def __str__(self) -> str:
        return f"{self.file} {self.table}"

    @contextmanager
    def naming(self, kind: type[Options]) -> Iterator[None]:
        """Have errors name the file, and options as keys of the table."""
        with naming_keys(dict.fromkeys(kind.names(), self.table), f"{self.file}"):
            yield


def options_of(kind: type[O], values: Mapping[str, Any], where: Place) -> O:
    """Return the options of a table as `from_mapping` does; errors name the file, the table and the key."""
    with where.naming(kind):
        return from_mapping(kind, values, f"{where}")


@contextmanager
def in_table(table: str, kind: type[Options]) -> Iterator[None]:
    """Have errors of a stage name its options as keys of its table, and those of encoding and counting as keys of theirs."""
    tables: dict[str, type[Options]] = {"[encode]": EncodeOptions, "[count]": CountOptions, table: kind}
    with naming_keys({name: where for where, options in tables.items() for name in options.names()}):
        yield

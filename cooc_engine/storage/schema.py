"""Parsing and validation of JSON and attributes from files: parsed within bounds, and checked against a description before use.

A description is a type. A `TypedDict` names the keys of an object; further keys are allowed, and kept as they are. `list[T]`
and `dict[K, T]` have items of one type, and keys of one type of string; a `tuple` or a named tuple describes an array of fixed
length, which becomes one. `Literal` lists the values allowed, `Annotated[T, AtLeast(0)]` bounds a value (also `Above`, `Below`,
`Matches`, `Rising`), and a union allows several types. A condition on several keys is a `Relation`:

    class Manifest(TypedDict):
        tokens: Natural
        shards: list[tuple[Natural, Natural]]

    whole = Relation("tokens", "the sum over the shards", lambda m: m["tokens"] == sum(n for n, _ in m["shards"]))
    manifest = read_json(data, Manifest, "manifest.json", whole)
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union

from cooc_engine.errors import FormatError
from cooc_engine.runtime.options import AtLeast, Below

__all__ = [
    "MOST_BYTES",
    "Crc",
    "Digest",
    "Matches",
    "Natural",
    "Positive",
    "Relation",
    "Rising",
    "Total",
    "fitted",
    "parse_json",
    "read_json",
]

T = TypeVar("T")
MOST_BYTES = 1 << 26  # of JSON
FREE = 1 << 25  # bytes of memory that it may take beyond `MOST_TIMES` its size
MOST_TIMES = 8
TAKEN = {"[": 64, "{": 64, ",": 32, ":": 48}  # bytes of memory, about: of a list or an object, of an item, and of a key
DEEPEST = 32  # levels of nesting
NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", types.NoneType: "null"}


@dataclass(frozen=True)
class Matches:
    """Bound of a string: the pattern that it matches as a whole, and the name of what that is."""

    pattern: str
    name: str

    def accepts(self, value: str) -> bool:
        """Tell whether a value is such a string."""
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Rising:
    """Bound of a list of numbers: none is smaller than the one before it."""

    def accepts(self, value: Sequence[float]) -> bool:
        """Tell whether the numbers never fall."""
        return all(a <= b for a, b in itertools.pairwise(value))

    def __str__(self) -> str:
        return "in rising order"


@dataclass(frozen=True)
class Relation:
    """A condition on several keys of an object, tested by `holds`; the message of a violation is that `key` must be `said`."""

    key: str
    said: str
    holds: Callable[[Any], bool]


Natural = Annotated[int, AtLeast(0), Below(2**63)]
Positive = Annotated[int, AtLeast(1), Below(2**63)]
Total = Annotated[int, AtLeast(0), Below(2**127)]  # a sum of numbers of 64 bits
Crc = Annotated[int, AtLeast(0), Below(2**32)]
Digest = Annotated[str, Matches("[0-9a-f]{64}", "a SHA-256 in hexadecimal digits")]


class _Misfit(Exception):
    """A value that is not what the description says; the message names its place."""


# ---------------------------------------------------------------------------------------------------------- parsing


def parse_json(data: bytes, where: str) -> Any:
    """Return a JSON text in UTF-8 as Python values.

    Raises `FormatError`, naming `where`, for anything else, for keys that an object has twice, numbers that are not finite,
    more than 32 levels, more than 64 MiB, or values that take far more memory than their text.
    """
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"more than the {MOST_BYTES} bytes that are read")
        text = data.decode()
        if _memory(text) > MOST_TIMES * len(data) + FREE:
            raise ValueError("its values take far more memory than the text")
        hooks = {"object_pairs_hook": _object, "parse_float": _finite, "parse_constant": _finite}
        value = json.loads(text, **hooks)  # type: ignore[arg-type]
        _check_depth(value, DEEPEST)
    except RecursionError:
        raise FormatError(f"{where}: not JSON that can be read (nested too deeply)") from None
    except ValueError as error:
        raise FormatError(f"{where}: not JSON that can be read ({error})") from None
    return value


def _memory(text: str) -> int:
    """Return about how many bytes a JSON text takes with its values, and again when these are written as a text."""
    width = 4 if re.search(r"\\u[dD][89abAB]", text) else 2 if "\\u" in text else 1  # of a character that is escaped
    values = sum(size * text.count(mark) for mark, size in TAKEN.items())
    return 2 * sys.getsizeof(text) + width * len(text) + values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise ValueError("nested too deeply")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)


# --------------------------------------------------------------------------------------------------------- checking


def read_json(data: bytes, shape: type[T], where: str, *relations: Relation) -> T:
    """Return a JSON text as a value of the described shape; raises `FormatError` as `parse_json` and `fitted` do."""
    return fitted(parse_json(data, where), shape, where, *relations)


def fitted(value: Any, shape: type[T], where: str, *relations: Relation) -> T:
    """Return a value made of JSON's types as the described shape, arrays of fixed length as tuples.

    Raises `FormatError`, naming `where` and the place in the value, if it does not fit, or a relation does not hold.
    """
    try:
        found = _fit(shape, value, "")
        for relation in relations:
            if not relation.holds(found):
                raise _misfit(f".{relation.key}", found.get(relation.key), relation.said)
    except _Misfit as misfit:
        raise FormatError(f"{where}: {misfit}") from None
    return typing.cast("T", found)


def _misfit(at: str, value: Any, wanted: Any) -> _Misfit:
    return _Misfit(f"{at.removeprefix('.') or 'the content'} is {_shown(value)}; it must be {wanted}")


def _shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, in ASCII, and short."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _fit(shape: Any, value: Any, at: str) -> Any:
    """Return `value` as `shape`; raises `_Misfit`, naming the place `at`."""
    origin = typing.get_origin(shape) or shape
    if shape is Any:
        return value
    if typing.is_typeddict(shape):
        return _fit_object(shape, value, at)
    if origin in FITS:
        return FITS[origin](typing.get_args(shape), value, at)
    if hasattr(shape, "_fields"):
        return shape(*_fit_array(tuple(_hints(shape).values()), value, at))
    if not (_is_number(value) if shape is float else type(value) is shape):
        raise _misfit(at, value, NAMES[shape])
    return value


def _is_number(value: Any) -> bool:
    """Tell whether a value can be used as a finite float; JSON writes some of them without a point."""
    return math.isfinite(value) if type(value) is float else type(value) is int and abs(value) < 2**1023


def _fit_object(shape: Any, value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(at, value, "an object")
    missing = sorted(shape.__required_keys__ - value.keys())
    if missing:
        raise _Misfit(f"{at.removeprefix('.') or 'the content'} has no {missing[0]}")
    known = _hints(shape)
    return {key: _fit(known[key], item, f"{at}.{key}") if key in known else item for key, item in value.items()}


@functools.cache
def _hints(shape: Any) -> dict[str, Any]:
    return typing.get_type_hints(shape, include_extras=True)


def _fit_bounded(given: tuple[Any, ...], value: Any, at: str) -> Any:
    kind, *bounds = given
    found = _fit(kind, value, at)
    for bound in bounds:
        if not bound.accepts(found):
            raise _misfit(at, value, bound)
    return found


def _fit_choice(given: tuple[Any, ...], value: Any, at: str) -> Any:
    if not any(type(value) is type(known) and value == known for known in given):
        raise _misfit(at, value, " or ".join(map(str, given)))
    return value


def _fit_union(given: tuple[Any, ...], value: Any, at: str) -> Any:
    """Return `value` as the first type that it fits; null is tried first, so that a message speaks of another type."""
    if value is None and types.NoneType in given:
        return None
    kinds = [kind for kind in given if kind is not types.NoneType]
    for kind in kinds[1:]:
        try:
            return _fit(kind, value, at)
        except _Misfit:
            continue
    return _fit(kinds[0], value, at)


def _fit_list(given: tuple[Any, ...], value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise _misfit(at, value, "a list")
    return [_fit(given[0], item, f"{at}[{number}]") for number, item in enumerate(value)]


def _fit_array(given: tuple[Any, ...], value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != len(given):
        raise _misfit(at, value, f"a list of {len(given)}")
    return tuple(_fit(kind, item, f"{at}[{number}]") for number, (kind, item) in enumerate(zip(given, value, strict=True)))


def _fit_mapping(given: tuple[Any, ...], value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(at, value, "an object")
    return {_fit(given[0], key, at): _fit(given[1], item, f"{at}.{_shown(key)}") for key, item in value.items()}


FITS: dict[Any, Callable[[tuple[Any, ...], Any, str], Any]] = {
    Annotated: _fit_bounded,
    Literal: _fit_choice,
    Union: _fit_union,
    types.UnionType: _fit_union,
    list: _fit_list,
    tuple: _fit_array,
    dict: _fit_mapping,
}

"""The gate of the public functions: arguments are checked against their annotations before anything is done."""

from __future__ import annotations

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from cooc_engine.runtime.options import Options, checked, refusal
from cooc_engine.runtime.paths import NotSeveral, several
from cooc_engine.runtime.types import Rows

__all__ = ["gated", "items", "numbers", "row_numbers"]

P = ParamSpec("P")
R = TypeVar("R")
Gate = Callable[[str, Any], Any]  # from the name and the value of an argument, what the function receives
PLAIN = (str, int, float, bool, types.NoneType)


def gated(function: Callable[P, R]) -> Callable[P, R]:
    """Have the arguments of a function checked when it is called: numbers, strings, switches, choices, paths and our classes.

    Those with other annotations are not checked, and options check themselves. As in options, a number of NumPy becomes the
    number that it holds. The function raises `UsageError`, naming the argument, for what its annotation does not allow.
    """

    @functools.cache
    def known() -> tuple[list[str], dict[str, Gate]]:
        hints = {name: _hint(each.annotation, function) for name, each in inspect.signature(function).parameters.items()}
        return list(hints), {name: gate for name, hint in hints.items() if (gate := _gate(hint)) is not None}

    @functools.wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> R:
        names, gates = known()
        values: Any = [gates[name](name, value) if name in gates else value for name, value in zip(names, given, strict=False)]
        by_name: Any = {name: gates[name](name, value) if name in gates else value for name, value in named.items()}
        return function(*values, *given[len(names) :], **by_name)  # type: ignore[arg-type]

    return call


def numbers(name: str, value: Any, axes: int | None = None) -> npt.NDArray[Any]:
    """Return an argument as an array of real numbers; raises `UsageError`, naming it, if it is none, with so many `axes`."""
    wanted = "an array of numbers" + ("" if axes is None else f" with {axes} axes")
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise refusal(name, value, wanted) from None
    if (axes is not None and array.ndim != axes) or array.dtype.kind not in "fiu":
        raise refusal(name, value, wanted)
    return array


def items(name: str, value: Any, wanted: str) -> list[Any]:
    """Return an argument as a list; raises `UsageError`, naming it, for what is none, as a string, bytes or a mapping."""
    try:
        return several(None if isinstance(value, str | bytes | Mapping) else value)
    except NotSeveral:
        raise refusal(name, value, wanted) from None


def row_numbers(name: str, value: Any, size: int) -> Rows:
    """Return an argument as the numbers of rows of a matrix of `size` rows; raises `UsageError`, naming it, if it is none."""
    array = numbers(name, value, 1)
    if array.size and (array.dtype.kind == "f" or array.min() < 0 or array.max() >= size):
        raise refusal(name, value, f"a list of row numbers from 0 to {size - 1}")
    return array.astype(np.int64, copy=False)


def _hint(annotation: Any, function: Callable[..., Any]) -> Any:
    """Return an annotation as a type; one whose names only type checkers know accepts everything."""
    if annotation is inspect.Parameter.empty:
        return Any
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, function.__globals__, include_extras=True)["it"]
    except NameError:
        return Any


def _gate(hint: Any) -> Gate | None:
    """Return the gate of arguments with an annotation, or None if there is nothing to check."""
    parts = _parts(hint)
    if all(part in PLAIN or typing.get_origin(part) in (Literal, Annotated) for part in parts):
        return functools.partial(checked, annotation=hint)
    others = tuple(part for part in parts if isinstance(part, type) and part not in (str, int))
    if all(_is_own(part) or part is types.NoneType for part in parts):
        return functools.partial(_instance, others)
    lists = [typing.get_args(part) for part in parts if _is_iterable(part)]
    single = [part for part in parts if part not in others and not _is_iterable(part)]
    kind = _kind(_parts(lists[0][0]) if lists else single)
    if kind is None or (lists and single and _kind(single) is not kind):
        return None
    check = functools.partial(_one, kind)
    mapped = (*others, Mapping) if any(_is_iterable(part, Mapping) for part in parts) else others

    def gate(name: str, value: Any) -> Any:
        if isinstance(value, mapped):
            return value
        if isinstance(value, str) and not single:
            return check(name, value)  # functions differ in whether one stands for a list of one
        if not lists or isinstance(value, str | os.PathLike):
            return check(name, value)
        several_of = items(name, value, f"a list, each item {kind.wanted}")
        return [check(f"{name}[{at}]", each) for at, each in enumerate(several_of)]

    return gate


def _parts(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


class _Kind(NamedTuple):
    """A kind of argument that is an item of a list, or alone: its types, and what a message calls it."""

    types: tuple[type, ...]
    wanted: str


PATH = _Kind((str, os.PathLike), "a path")
WORD = _Kind((str, int, np.integer), "a word, or the number of its row")
STRING = _Kind((str,), "a string")


def _kind(parts: Sequence[Any]) -> _Kind | None:
    """Return the kind of argument with an annotation of these parts, or None if it is another."""
    origins = {typing.get_origin(part) or part for part in parts if not _is_own(part)}
    return next((kind for kind in (PATH, WORD, STRING) if origins == {*kind.types}), None)


def _one(kind: _Kind, name: str, value: Any) -> Any:
    """Return an argument as it is; raises `UsageError` if it is not of a kind. `path_of` tells which paths the system takes."""
    if not isinstance(value, kind.types) or isinstance(value, bool):
        raise refusal(name, value, kind.wanted)
    return value


def _is_own(hint: Any) -> bool:
    """Tell whether a type is a class of this package, and neither options nor a protocol."""
    is_class = isinstance(hint, type) and hint.__module__.startswith("cooc_engine.")
    return is_class and not issubclass(hint, Options) and not getattr(hint, "_is_protocol", False)


def _instance(kinds: tuple[type, ...], name: str, value: Any) -> Any:
    if not isinstance(value, kinds):
        raise refusal(name, value, f"of type {' or '.join(kind.__name__ for kind in kinds if kind is not types.NoneType)}")
    return value


def _is_iterable(hint: Any, kind: type = Iterable) -> bool:
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, kind)

"""The fields of options classes in words: kind, bounds, default, and the text below each field in the source."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

__all__ = ["described", "documented", "texts_of"]

WIDTH, COLUMN = 110, 18  # of the lines of a docstring, and where the text after the longest name begins


def documented(options: type[Any], text: str) -> str:
    """Return the docstring of a class of options with a list of its fields."""
    return "\n".join([inspect.cleandoc(text), "", *described(options, options.names())])


def described(options: type[Any], names: Sequence[str]) -> Iterator[str]:
    """Yield lines with the kind, bounds, default and meaning of each of the named fields."""
    fields = dict(_fields(options))
    how: Any = {"width": WIDTH, "subsequent_indent": " " * COLUMN, "break_on_hyphens": False}
    for name in names:
        yield textwrap.fill(fields[name], initial_indent=f"{name:{COLUMN}}", **how)


def _fields(options: type[Any]) -> Iterator[tuple[str, str]]:
    hints, texts = typing.get_type_hints(options, include_extras=True), texts_of(options)
    for field in dataclasses.fields(options):
        default = "" if field.default is None else f", default `{field.default!r}`"
        yield field.name, f"{_kind(hints[field.name])}{default}. {texts[field.name]}"


def _kind(hint: Any) -> str:
    """Return what an annotation admits."""
    if typing.get_origin(hint) is Annotated:
        hint, *extras = typing.get_args(hint)
        return ", ".join([_kind(hint), *(str(extra) for extra in extras if hasattr(extra, "accepts"))])
    if typing.get_origin(hint) is Literal:
        return " or ".join(f"`{value!r}`" for value in typing.get_args(hint))
    return " or ".join(map(_kind, typing.get_args(hint))) or f"`{'None' if hint is type(None) else hint.__name__}`"


def texts_of(options: type[Any]) -> dict[str, str]:
    """Return the text below each field, by its name, without line ends; those of base classes too."""
    found: dict[str, str] = {}
    for cls in reversed(options.__mro__):
        if dataclasses.is_dataclass(cls):
            found |= _texts_below(cls)
    return found


@functools.cache
def _texts_below(cls: type[Any]) -> dict[str, str]:
    (body,) = (node.body for node in ast.parse(textwrap.dedent(inspect.getsource(cls))).body if isinstance(node, ast.ClassDef))
    return {
        field.target.id: " ".join(str(below.value.value).split())
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }

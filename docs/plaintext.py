"""Docstrings as this project writes them, plain text, turned into reStructuredText for autodoc.

A block whose lines are a name, two spaces or more, and what it is, becomes a list of definitions; lines that go on stand
below the text. An indented block stays as it is. All else is text, in which only backticks mean something.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import cooc_engine
from cooc_engine.runtime.options import Options

ITEM = re.compile(r"(\S+(?: \S+)*) {2,}(?=\S)")
SPECIAL = re.compile(r"([\\*_|])")


def restructured(text: str) -> list[str]:
    """Return the lines of a docstring as reStructuredText."""
    blocks = [block.split("\n") for block in re.split(r"\n\s*\n", inspect.cleandoc(text)) if block.strip()]
    return [line for block in blocks for line in [*_block(block), ""]]


def _block(lines: Sequence[str]) -> Iterator[str]:
    if all(line.startswith("    ") for line in lines):
        yield from ["::", "", *lines]
    elif items := definitions(lines):
        for name, text in items:
            yield from [", ".join(f"``{part}``" for part in name.split(", ")), f"    {inline(text)}"]
    else:
        yield from map(inline, lines)


def definitions(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Return names and what they are, or nothing if the lines are no list of them, aligned."""
    first = ITEM.match(lines[0])
    items: list[tuple[str, str]] = []
    for line in lines if first else ():
        item, column = ITEM.match(line), first.end()
        if item and item.end() == column:
            items.append((item[1], line[column:]))
        elif items and not line[:column].strip():
            items[-1] = items[-1][0], f"{items[-1][1]} {line.strip()}"
        else:
            return []
    return items


def inline(text: str) -> str:
    """Return a line with its backticks as code, public names as links, and nothing else that means something."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        raise ValueError(f"a backtick without another: {text}")
    return "".join(_code(part) if at % 2 else SPECIAL.sub(r"\\\1", part) for at, part in enumerate(parts))


def _code(text: str) -> str:
    return f":py:obj:`~cooc_engine.{text}`" if text in cooc_engine.__all__ else f"``{text}``"


def _is_options(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Options)


def on_docstring(app: object, what: str, name: str, thing: Any, options: object, lines: list[str]) -> None:
    """Rewrite the lines of a docstring."""
    lines[:] = restructured("\n".join(lines))


def on_signature(
    app: object, what: str, name: str, thing: Any, options: object, signature: str, returns: str
) -> tuple[str, str]:
    """Leave out the signature of a class of options, whose fields are told one by one."""
    return ("(**options)", "") if _is_options(thing) else (signature, returns)

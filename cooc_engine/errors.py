"""Every error that the engine raises on purpose, each with the exit code of the command line.

    CoocError                    1
    ├── InputError               1   text or a file that cannot be read as what it should be
    │   ├── FormatError          1   a damaged, half-written or foreign file of ours
    │   │   └── UnknownArrayError    a parameter that a model does not have; also a KeyError
    │   └── UnknownWordError     1   a word that is not in the vocabulary; also a KeyError
    ├── UsageError               2   an option or a combination of options that makes no sense
    ├── DivergenceError          3   a loss or a parameter that is no longer finite, or an absurd loss
    ├── ResourceError            4   out of disk or memory while running; the run can be resumed
    └── InterruptedRun         130   stopped by the user; the run can be resumed

A message is one line: what is wrong, where, and what to do about it. It is written with options as flags, `--loss=hs` where
their value belongs to them. In Python, `str(error)` has them as keywords, `loss='hs'`; the command line shows `error.flags`.
Errors of a job have them as keys of its file, `[[train]] loss = "hs"`. Names and words in it come from files: what is shown is
one line, without anything that a terminal would obey.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ADVICE = re.compile(r"run again(?: with --resume( and)?)?|continue with --resume( and)?")
ANEW = "start anew, with --force if a checkpoint was left"
OPTION = re.compile(r"(?<![^\s(])--([a-z][a-z-]*[a-z])(?:=([^\s,;:()]+))?")
SWITCHES = frozenset(
    (
        "common",
        "deterministic",
        "extend",
        "force",
        "header",
        "html",
        "lowercase",
        "positional",
        "resume",
        "take-over",
        "trust-tokenizer",
    )
)  # flags without a value
# Control characters but tab and line feed, and those that turn the direction of writing or end a line.
OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
AS_WRITTEN = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?|[A-Z_.]+|True|False|None")  # values without quotes: numbers, and FILE


def visible(text: str) -> str:
    """Return a text with what a terminal would obey as `\\uNNNN`, which is harmless there and the same in JSON."""
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_one_line(text: str) -> str:
    """Return a text as `visible` does, and as one line, whatever the names in it contain."""
    return visible(text).replace("\n", "\\n")


class CoocError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1

    @property
    def text(self) -> str:
        """The message as it is written, to be part of another one."""
        return Exception.__str__(self)  # a `KeyError` would put it in quotes

    @property
    def flags(self) -> str:
        """The message in the terms of the command line."""
        return OPTION.sub(lambda found: found[0].replace("=", " ", 1), self.text)

    def __str__(self) -> str:
        """Return the message in the terms of Python, as `in_one_line` shows it."""
        return in_one_line(OPTION.sub(_keyword, self.text))


def _keyword(found: re.Match[str]) -> str:
    """Return an option as Python has it: its name, `name=value`, or `name=True` for a switch."""
    flag, value = _named(found)
    name = flag.replace("-", "_")
    if value is None:
        return name
    return f"{name}={value}" if AS_WRITTEN.fullmatch(value) else f"{name}={value!r}"


def _named(found: re.Match[str]) -> tuple[str, str | None]:
    """Return the name of an option, with dashes, and the value that it is given, which is that of a switch too."""
    flag, value = found.groups()
    told = found.string.startswith((" is ", " ("), found.end())  # `force is 'yes'; ...`, `lowercase (false, now true)`
    return flag, "True" if value is None and flag in SWITCHES and not told else value


class InputError(CoocError):
    """The input cannot be used: missing, empty, binary, truncated, not UTF-8."""


class FormatError(InputError):
    """A file of ours is damaged, half-written, or of another version or kind."""


class UnknownArrayError(FormatError, KeyError):
    """A parameter that a model does not have."""


class UnknownWordError(InputError, KeyError):
    """A word that is not in the vocabulary."""


class UsageError(CoocError, ValueError):
    """An option, or a combination of options, that makes no sense; nothing was done."""

    exit_code = 2


class DivergenceError(CoocError, ArithmeticError):
    """A loss or a parameter is no longer finite, or a loss is absurdly large; the last good checkpoint is kept."""

    exit_code = 3


class ResourceError(CoocError):
    """Disk or memory ran out while running; what is finished is kept for `--resume`."""

    exit_code = 4


class InterruptedRun(CoocError):
    """Stopped by the user; what is finished is kept for `--resume`."""

    exit_code = 130


@contextmanager
def naming_keys(tables: Mapping[str, str], file: str = "") -> Iterator[None]:
    """Have errors name options as keys of a job file: `[[train]] loss = "hs"`; `tables` has the table of each by its name.

    An error that names a key begins with the name of the `file`.
    """

    def key(found: re.Match[str]) -> str:
        flag, value = _named(found)
        table = tables.get(flag.replace("-", "_"))
        if table is None:
            return found[0]
        shown = {"True": "true", "False": "false"}.get(value or "", value)
        written = "" if shown is None else f" = {shown}" if AS_WRITTEN.fullmatch(value or "") else f' = "{shown}"'
        return f"{table} {flag}{written}"

    try:
        yield
    except CoocError as error:
        text = OPTION.sub(key, error.text)
        if file and text != error.text:
            text = f"{file}{' ' if text.startswith('[') else ': '}{text}"
        error.args = (text,)
        raise


@contextmanager
def advising(again: str) -> Iterator[None]:
    """Have errors advise `again` where they would advise what fits the failed stage, but not the run that it is part of."""
    try:
        yield
    except CoocError as error:
        error.args = (ADVICE.sub(lambda found: again + (" with" if found[1] or found[2] else ""), error.text),)
        raise

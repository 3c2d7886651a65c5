"""From the library's annotations to the parser's: options become flags with all their names, whole numbers are checked."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from cyclopts import App, Group, Parameter

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import AtLeast, Flag, Options, Unparsed
from cooc_engine.runtime.progress import Kind
from cooc_engine.runtime.run_options import RunOptions
from cooc_engine.text.reading import Errors

__all__ = [
    "CoocDirectory", "Directory", "Files", "Force", "HowMany", "InEncoding", "Json", "JsonLines", "ModelFile", "ModelFiles",
    "NewFile", "NewModel", "OnErrors", "Positive", "ProgressKind", "TextFiles", "Threads", "Topn", "TrustTokenizer",
    "VectorsFile", "add_verb", "flags", "new_app", "panel", "translated",
]  # fmt: skip

HEADINGS = ("Arguments", "Options", "Searching", "Encoding the text", "Counting", "Running")  # of flags, in their order


def panel(title: str) -> Group:
    """Return the group of flags that has this heading in the help of a command."""
    return Group(title, sort_key=HEADINGS.index(title))


Running = Parameter(group=panel(RunOptions.heading))
CoocDirectory = Annotated[Path, Parameter(name="COOC"), "The co-occurrence directory."]
TextFiles = Annotated[list[str], Parameter(name="TEXT..."), "The text files."]
ModelFile = Annotated[Path, Parameter(name="MODEL"), "The model file."]
ModelFiles = Annotated[list[Path], Parameter(name="MODEL..."), "The model files."]
VectorsFile = Annotated[Path, Parameter(name="MODEL"), "The model file, or a file of vectors of another program."]
NewModel = Annotated[Path, "The model file to write, HDF5."]
NewFile = Annotated[Path, "The HDF5 file to write."]
Directory = Annotated[Path, "The directory to write."]
Files = Annotated[list[Path] | None, Parameter(consume_multiple=True)]
Positive = Annotated[int, AtLeast(1)]
Topn = Annotated[Positive, Flag(("--k", "-k"))]
HowMany = Annotated[Topn, "Number of words to print."]
Force = Annotated[bool, Running, "Replace an existing file."]
ProgressKind = Annotated[
    Kind, Running, "How progress is shown on stderr: `auto` is JSON with --json, else a bar on a terminal and lines elsewhere."
]
Threads = Annotated[
    int | None,
    Running,
    Flag(("--thread", "--workers")),
    "Number of threads, at most and by default one per core.",
]
Json = Annotated[bool, Running, "Print one JSON object."]
JsonLines = Annotated[bool, Running, "Print one JSON object per line."]
InEncoding = Annotated[str | None, "The encoding of the text; by default that of the text of the training."]
OnErrors = Annotated[
    Errors | None,
    "How to handle bytes that cannot be decoded, and NULs: `strict` stops with an error, `replace` takes them as U+FFFD, and "
    "`skip` leaves them out; by default as in the training.",
]
TrustTokenizer = Annotated[
    bool, Running, "Allow the Python tokenizer function that the file names, if it names one, to split text."
]


def new_app(name: str, help: str, **how: Any) -> App:
    """Return a command of commands; its switches have no opposites such as --no-force."""
    how["suppress_keyboard_interrupt"] = False  # Cyclopts would exit without a message
    how |= {"group_arguments": panel("Arguments"), "group_parameters": panel(Options.heading)}
    return App(name=name, help=help, default_parameter=Parameter(negative=()), **how)


def add_verb(
    app: App, function: Callable[..., Any] | App, name: str | None = None, group: Group | tuple[Group, ...] = ()
) -> None:
    """Make a command of a function: each parameter is an argument or a flag, each class of options one flag per field."""
    if isinstance(function, App):
        function.group = group
        app.command(function)
        return
    hints = get_type_hints(function, include_extras=True)
    function.__annotations__ = {parameter: translated(hint) for parameter, hint in hints.items()}
    app.command(function, name=name, group=group, usage=_usage(app, name, function))


def _usage(app: App, name: str | None, function: Callable[..., Any]) -> str | None:
    """Return the usage of a verb with arguments that may be left out, which the parser would call ARGS; None for others."""
    arguments = [each for each in signature(function).parameters.values() if each.kind is each.POSITIONAL_ONLY]
    if all(each.default is each.empty for each in arguments):
        return None
    verb = name or function.__name__.replace("_", "-")
    labels = [(_label(function.__annotations__[each.name]), each.default is each.empty) for each in arguments]
    return f"Usage: {app.name[0]} {verb} [OPTIONS] {' '.join(label if needed else f'[{label}]' for label, needed in labels)}"


def _label(hint: Any) -> str:
    return next("".join(extra.name) for extra in get_args(hint) if isinstance(extra, Parameter) and extra.name)


def translated(hint: Any) -> Any:
    """Return an annotation of the library as the parser reads it."""
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    known = [Parameter(converter=_whole)] if int in kinds else [Parameter(show_default=False)] if kind is bool else []
    known += map(_parameter, extras)
    if any(map(_holds_options, kinds)):
        kind = functools.reduce(operator.or_, (flags(k) if _holds_options(k) else k for k in kinds))
    return Annotated[(kind, *known)] if known else kind


def _parameter(extra: Any) -> Any:
    """Translate an annotation of a type, such as other names of a flag or its help, to the parser's."""
    if isinstance(extra, str):
        return Parameter(help=extra)
    if isinstance(extra, Unparsed):
        return Parameter(parse=False)
    return Parameter(alias=extra.alias) if isinstance(extra, Flag) else extra


def _holds_options(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Options)


@functools.cache
def flags(options: type[Options]) -> type[Options]:
    """Return a class of the same options whose annotations are the parser's.

    It is a dataclass anew: the parser reads the hints of `__init__`, and would evaluate an inherited one's in a single module,
    whereas those of a base class are to be evaluated in its own.
    """
    hints = {name: translated(hint) for name, hint in get_type_hints(options, include_extras=True).items()}
    body = {"__annotations__": hints, "__module__": __name__, "__doc__": vars(options)["__doc__"]}
    return Parameter(name="*", group=panel(options.heading))(dataclass(frozen=True)(type(options.__name__, (options,), body)))


def _whole(kind: object, tokens: Sequence[Any]) -> int:
    """Return what a flag was given as a whole number; the parser alone would round 1.5."""
    text = tokens[0].value
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        if (number := float(text)).is_integer():
            return int(number)
    raise UsageError(f"{tokens[0].keyword or 'the number'} is {text}; it must be a whole number")

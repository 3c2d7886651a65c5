"""The base of all option classes: frozen dataclasses, validated when made, converted to plain records and back."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cooc_engine.errors import FormatError, UsageError
from cooc_engine.runtime.numbers import show_value

if TYPE_CHECKING:
    import inspect

__all__ = [
    "Above", "AtLeast", "Below", "Flag", "O", "Options", "Unparsed", "as_flags", "changed_options", "changes", "checked",
    "checked_kind", "defaulted", "from_mapping", "option_called", "recorded_options", "refusal",
]  # fmt: skip

LONGEST = 40  # characters of a value that a message shows
HUGE = 2**1023  # a whole number that cannot be converted to a float
O = TypeVar("O", bound="Options")  # noqa: E741


@dataclass(frozen=True)
class AtLeast:
    """Bound of a number: at least `bound`."""

    bound: float

    def accepts(self, value: float) -> bool:
        """Tell whether a value is in range."""
        return value >= self.bound

    def __str__(self) -> str:
        return f"at least {self.bound:g}"


@dataclass(frozen=True)
class Above:
    """Bound of a number: greater than `bound`."""

    bound: float

    def accepts(self, value: float) -> bool:
        """Tell whether a value is in range."""
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound:g}"


@dataclass(frozen=True)
class Below:
    """Bound of a number: less than `bound`."""

    bound: float

    def accepts(self, value: float) -> bool:
        """Tell whether a value is in range."""
        return value < self.bound

    def __str__(self) -> str:
        return f"below {self.bound:g}"


@dataclass(frozen=True)
class Flag:
    """Further names of an option on the command line."""

    alias: tuple[str, ...]


def _annotations(cls: type[Options]) -> dict[str, Any]:
    """Return the annotations of the fields; a class variable is what a kind of model has no choice of.

    The class keeps them: to evaluate them anew takes longer than to check the options by them.
    """
    if "_found" not in vars(cls):
        hints = typing.get_type_hints(cls, include_extras=True)
        cls._found = {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls._found


@dataclass(frozen=True)
class Unparsed:
    """Marks an option that is no flag of the command line, where another one has its name."""


def _is_importable(cls: type) -> bool:
    """Tell whether a class is in its module by its name."""
    return getattr(sys.modules[cls.__module__], cls.__qualname__, None) is cls


class _Documented(type):
    """The class of classes of options: the docstring of one lists its fields, when it is asked for."""

    @property
    def __doc__(cls) -> str:  # type: ignore[override]
        own: str = vars(cls)["__doc__"]
        if not (hasattr(cls, "__dataclass_fields__") and _is_importable(cls)):  # the base, the parser's own, or not yet done
            return own
        from cooc_engine.runtime.described import documented

        return documented(cls, own)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The parameters with the types that Python knows, for `help`."""
        import inspect

        hints, signature = typing.get_type_hints(cls), inspect.signature(vars(cls)["__init__"])
        _, *parameters = signature.parameters.values()
        return signature.replace(parameters=[each.replace(annotation=hints[each.name]) for each in parameters])


class Options(metaclass=_Documented):
    """Base of the option classes: frozen, validated when made, converted to a plain record and back.

    `heading` is what the help of a command calls their flags.
    """

    heading = "Options"
    _found: typing.ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        """Check every field against its annotation, so that Python, TOML and flags fail alike."""
        for name, annotation in _annotations(type(self)).items():
            object.__setattr__(self, name, checked(name, getattr(self, name), annotation))

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process make them of the class that is in a module; the parser's own are made on the way."""
        return from_mapping, (next(filter(_is_importable, type(self).__mro__)), self.record(), "options")

    def refuse_unused(self, why: str, *names: str) -> None:
        """Raise `UsageError` if any of these options differs from its default, since it would have no effect."""
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, flag = getattr(self, field.name), "--" + field.name.replace("_", "-")
            if field.name in names and value != field.default:
                raise UsageError(f"{flag} is {show_value(value)}, but {why}; leave {flag} out")

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the options."""
        return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]

    def record(self) -> dict[str, Any]:
        """Return the options as a JSON-serialisable dictionary."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


def checked_kind(what: str, kind: type[O], options: O) -> O:
    """Return options, which must be of one kind; raises `UsageError`, naming what they are for, if they are not."""
    if isinstance(options, kind):
        return options
    hint = f"; write {kind.__name__}(**...) around it" if isinstance(options, Mapping) else ""
    raise UsageError(f"{what} takes {kind.__name__}, not {type(options).__name__}{hint}")


def defaulted(what: str, kind: type[O], options: O | None) -> O:
    """Return options, by default those of the kind; raises what `checked_kind` raises."""
    return kind() if options is None else checked_kind(what, kind, options)


def option_called(kind: type[Options], name: str) -> str | None:
    """Return the option that has this name as another one on the command line, as in other programs; None if there is none."""
    flag = _flag(name)
    for option, annotation in _annotations(kind).items():
        if any(isinstance(extra, Flag) and flag in extra.alias for extra in typing.get_args(annotation)[1:]):
            return option
    return None


def checked(name: str, value: Any, annotation: Any) -> Any:
    """Return `value` as the annotated type; raises `UsageError`, naming the option, if it is none or out of range.

    A number of NumPy is the number that it holds, and a path is a string.
    """
    flag = _flag(name)
    kind: Any = annotation
    bounds: tuple[AtLeast | Above | Below, ...] = ()
    if typing.get_origin(annotation) is Annotated:
        kind, *extras = typing.get_args(annotation)
        bounds = tuple(e for e in extras if isinstance(e, (AtLeast, Above, Below)))
    kinds = typing.get_args(kind) or (kind,)
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, os.PathLike) and str in kinds:
        value = os.fspath(value)
    if value is None and type(None) in kinds:
        return None
    choice = next((k for k in (kind, *kinds) if typing.get_origin(k) is Literal), None)
    if choice is not None:
        kinds = typing.get_args(choice)
        if not any(isinstance(value, type(each)) and value == each for each in kinds):
            raise refusal(name, value, f"one of {', '.join(map(str, kinds))}")
        return value
    if isinstance(value, int) and abs(value) >= HUGE:
        raise UsageError(f"{flag} is a number of more than 300 digits; it must be smaller")
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(k.__name__ for k in kinds if k is not type(None))
        raise refusal(name, value, f"of type {wanted}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{flag} is {value:g}; it must be a finite number")
    for bound in bounds if isinstance(value, int | float) else ():
        if not bound.accepts(value):
            raise UsageError(f"{flag} is {value:g}; it must be {bound}")
    return value


def refusal(name: str, value: Any, wanted: str) -> UsageError:
    """Return the error about the value of an option or an argument: what it is, and what is wanted."""
    return UsageError(f"{_flag(name)} is {_short(value)}; it must be {wanted}")


def _short(value: Any) -> str:
    """Return a value as one short line, such as an array that was given for a number."""
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def from_mapping(cls: type[O], values: Mapping[str, Any], where: str) -> O:
    """Make options from a mapping, such as a TOML table; keys may be written with `-` or `_`.

    Raises `UsageError` for an unknown key, naming its place, `where`, and the closest known key.
    """
    known = _annotations(cls)
    keywords = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0].replace('_', '-')}?" if near else ""
            raise UsageError(f"{where}: unknown option {key!r}{hint}")
        keywords[name] = value
    return cls(**keywords)


def changed_options(had: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return what `changes` does of two records of options, as flags: `--epochs (5, now 10)`."""
    return changes(as_flags(had), as_flags(wanted))


def as_flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of options with their flags as keys."""
    return {_flag(name): value for name, value in options.items()}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def changes(had: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return which entries of two records differ, and both values where they are short: `--epochs (5, now 10), texts`."""
    return ", ".join(f"{name}{_both(had.get(name), value)}" for name, value in wanted.items() if had.get(name) != value)


def _both(had: Any, value: Any) -> str:
    plain = all(isinstance(each, str | int | float | None) and len(str(each)) <= LONGEST for each in (had, value))
    return f" ({show_value(had)}, now {show_value(value)})" if plain else ""


def recorded_options(cls: type[O], values: Mapping[str, Any], path: Path, *, done: str, redo: str) -> O:
    """Return the options that a directory was made with, from its manifest; one introduced later has its default.

    Raises `FormatError` for an option of a later version: the directory was `done` with it, and `redo` names the way out.
    """
    try:
        return from_mapping(cls, values, str(path))
    except UsageError as error:
        raise FormatError(f"{path}: was {done} with options of another version ({error.text}); {redo} again") from None

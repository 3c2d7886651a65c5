"""Options, written once: flags, TOML keys, Python keywords and the model's record all come from these classes."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from cooc_engine.errors import UsageError

__all__ = [
    "WHOLE",
    "Above",
    "AtLeast",
    "CbowOptions",
    "CountOptions",
    "EncodeOptions",
    "GloveOptions",
    "Options",
    "RunOptions",
    "SkipgramOptions",
    "StreamOptions",
    "from_mapping",
    "usable_cores",
]

O = TypeVar("O", bound="Options")  # noqa: E741


@dataclass(frozen=True)
class AtLeast:
    """A number not below `bound`."""

    bound: float

    def accepts(self, value: float) -> bool:
        """Tell whether a value is in range."""
        return value >= self.bound

    def __str__(self) -> str:
        return f"at least {self.bound:g}"


@dataclass(frozen=True)
class Above:
    """A number greater than `bound`."""

    bound: float

    def accepts(self, value: float) -> bool:
        """Tell whether a value is in range."""
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound:g}"


def _annotations(cls: type[Options]) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _whole(kind: object, tokens: Sequence[Any]) -> int:
    """Return what a flag was given as a whole number; the parser alone would round 1.5."""
    text = tokens[0].value
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        if (number := float(text)).is_integer():
            return int(number)
    raise UsageError(f"{tokens[0].keyword} is {text}; it must be a whole number")


WHOLE = Parameter(converter=_whole)


class Options:
    """Base of the option classes: frozen, checked when made, turned into a plain record and back."""

    def __post_init__(self) -> None:
        """Check every field against its annotation, so that Python, TOML and flags fail alike."""
        for name, annotation in _annotations(type(self)).items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), annotation))

    def record(self) -> dict[str, Any]:
        """Return the options as a dictionary that JSON can hold."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


def _checked(name: str, value: Any, annotation: Any) -> Any:
    """Return `value` as the annotated type, or say which option wants what."""
    flag = "--" + name.replace("_", "-")
    kind: Any = annotation
    bounds: tuple[AtLeast | Above, ...] = ()
    if typing.get_origin(annotation) is Annotated:
        kind, *extras = typing.get_args(annotation)
        bounds = tuple(e for e in extras if isinstance(e, (AtLeast, Above)))
    kinds = typing.get_args(kind) or (kind,)
    if value is None and type(None) in kinds:
        return None
    if typing.get_origin(kind) is Literal:
        if value not in kinds:
            raise UsageError(f"{flag} is {value!r}; it must be one of {', '.join(map(str, kinds))}")
        return value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(k.__name__ for k in kinds if k is not type(None))
        raise UsageError(f"{flag} is {value!r}; it must be of type {wanted}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{flag} is {value:g}; it must be a finite number")
    for bound in bounds:
        if not bound.accepts(value):
            raise UsageError(f"{flag} is {value:g}; it must be {bound}")
    return value


def from_mapping(cls: type[O], values: Mapping[str, Any], where: str) -> O:
    """Make options from a mapping, such as a TOML table; keys may be written with `-` or `_`.

    Raises `UsageError` for an unknown key, naming `where` it stands and the nearest known one.
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


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@Parameter(name="*")
@dataclass(frozen=True)
class EncodeOptions(Options):
    """How text becomes an encoded corpus."""

    min_count: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--minCount", "--mincount"])] = 5
    """Words that occur less often are left out of the vocabulary."""
    max_vocab: Annotated[int | None, WHOLE, AtLeast(1)] = None
    """Keep only this many of the most frequent words; ties go to the smaller bytes."""
    vocabulary: str | None = None
    """Take the words of this corpus or co-occurrence directory, instead of those of the text."""
    tokenizer: Literal["whitespace"] = "whitespace"
    """How a line is cut into words: `whitespace` cuts at ASCII white space."""
    phrases: Annotated[int, WHOLE, AtLeast(0)] = 0
    """Join words that keep together, as new_york, this many times over (word2phrase)."""
    phrase_threshold: Annotated[float, AtLeast(0)] = 100.0
    """Join a and b whose (n_ab - min-count) n / (n_a n_b) is above this, in a text of n words."""


@Parameter(name="*")
@dataclass(frozen=True)
class CountOptions(Options):
    """What counts as a co-occurrence, and how much."""

    window: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--window-size", "--ws", "--win"])] = 10
    """How many words on each side of the centre are its contexts."""
    window_weight: Literal["harmonic", "uniform", "dynamic"] = "harmonic"
    """Weight of distance k: `harmonic` 1/k, `uniform` 1, `dynamic` (window-k+1)/window."""
    context_side: Literal["both", "left", "right"] = "both"
    """Which side of the centre its contexts stand on; the centre is always the row."""
    positional: bool = False
    """Count a context apart for each signed distance (hyperwords): the columns are (word, distance)."""
    oov_gap: Literal["drop", "keep"] = "drop"
    """Words outside the vocabulary: dropped before the window is laid, or kept as gaps in it."""
    subsample: Annotated[float | None, Above(0), Parameter(alias=["--sample", "--sub"])] = None
    """Thin words more frequent than this before the window is laid, as word2vec does; off unless given."""
    subsample_seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of `subsample`."""


@Parameter(name="*")
@dataclass(frozen=True)
class GloveOptions(Options):
    """The GloVe model and its optimiser (Pennington, Socher and Manning 2014)."""

    vector_size: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--dim", "--dims", "--size"])] = 100
    """Length of the vectors."""
    epochs: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--epoch", "--iter", "--iterations"])] = 25
    """How many times every entry is visited."""
    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.05
    """Initial learning rate of AdaGrad."""
    x_max: Annotated[float, Above(0), Parameter(alias="--xmax")] = 100.0
    """Counts from here on have weight 1; take 10 for a small corpus."""
    weight_power: Annotated[float, AtLeast(0)] = 0.75
    """Exponent of the weight (count / x-max) of rarer entries."""
    vectors: Literal["w+c", "w", "c", "concat"] = "w+c"
    """What queries use: word plus context vectors, either alone, or both side by side."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the initial values and of the order of the entries."""


@dataclass(frozen=True)
class StreamOptions(Options):
    """What all models that are trained on the text itself have in common."""

    vector_size: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--dim", "--dims", "--size"])] = 100
    """Length of the vectors."""
    window: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--window-size", "--ws", "--win"])] = 5
    """How many words on each side of the centre are its contexts, at most."""
    radius: Literal["random", "fixed"] = "random"
    """Radius of each window: drawn from 1 to `window`, or always `window`."""
    loss: Literal["ns", "hs", "softmax"] = "ns"
    """Output layer: negative sampling, hierarchical softmax, or the full softmax, for small vocabularies."""
    negative: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--neg", "--ns"])] = 5
    """Noise words of each example."""
    noise: Literal["shared", "own"] = "shared"
    """Noise words are drawn once for a window, or, as word2vec's program does, anew for each of its examples."""
    noise_power: Annotated[float, AtLeast(0), Parameter(alias="--ns-exponent")] = 0.75
    """Noise words are drawn by their count to this power."""
    subsample: Annotated[float, AtLeast(0), Parameter(alias=["--sample", "--sub", "-t"])] = 1e-3
    """Thin words that are a greater share of the text than this; 0 keeps all."""
    epochs: Annotated[int, WHOLE, AtLeast(1), Parameter(alias=["--epoch", "--iter", "--iterations"])] = 5
    """How many times the text is read."""
    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.025
    """Initial learning rate; it falls in a straight line to 1e-4 of this."""
    vectors: Literal["w", "c", "w+c", "concat"] = "w"
    """What queries use: input (word) or output (context) vectors, their sum, or both side by side."""
    init: str | None = None
    """Begin with the vectors of this model, for the words that it has."""
    extend: bool = False
    """Keep the words of `init` that the text does not have, with their vectors; counts add up."""
    seed: Annotated[int, WHOLE, AtLeast(0)] = 1
    """Seed of the initial values and of everything that is drawn."""
    deterministic: bool = False
    """The same vectors for any number of threads; slower."""


@Parameter(name="*")
@dataclass(frozen=True)
class SkipgramOptions(StreamOptions):
    """Skip-gram (Mikolov et al. 2013)."""

    predict: Literal["centre", "contexts"] = "centre"
    """Each context word predicts the centre, as in word2vec's program, or the centre its contexts, as in the paper."""


@Parameter(name="*")
@dataclass(frozen=True)
class CbowOptions(StreamOptions):
    """Continuous bag of words (Mikolov et al. 2013)."""

    lr: Annotated[float, Above(0), Parameter(alias=["--eta", "--learning-rate"])] = 0.05
    """Initial learning rate; it falls in a straight line to 1e-4 of this."""
    gradient: Literal["whole", "share"] = "whole"
    """What each of C context words receives of the mean's gradient: all of it, as in word2vec's program, or 1/C."""


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions(Options):
    """How a command runs; nothing here changes a result."""

    threads: Annotated[int | None, WHOLE, AtLeast(1), Parameter(alias=["--thread", "--workers"])] = None
    """Threads; all cores unless given."""
    memory: str | None = None
    """Budget, such as 512M or 4G (binary); half of the machine's, or of its control group's, unless given."""
    force: bool = False
    """Replace an output that exists."""
    resume: bool = False
    """Continue what an interrupted run left."""
    progress: Literal["auto", "bar", "lines", "json", "none"] = "auto"
    """Progress on stderr: a bar on a terminal and lines elsewhere, JSON lines, or nothing."""
    json: bool = False
    """Print the result as one JSON object."""

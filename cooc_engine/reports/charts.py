"""The coordinates of the charts, which the page's template draws as SVG. A panel is 340 units wide; y points downwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "WIDTH", "Axis", "Dots", "Lines", "Points", "difference_dots", "norm_lines", "score_dots", "signed", "spectrum_lines",
    "ticks",
]  # fmt: skip

WIDTH = 340
LETTER = 6.5  # width of a letter in a label
LONGEST = 26  # maximum number of letters in a label
ROW = 24
TOP = 6
AXIS = 26  # height of an axis with its tick labels
ITEMS = {"spearman": "pairs", "analogy-add": "questions", "accuracy": "lines"}
VALUE = 52  # width of the column of numbers on the right
LEFT, RIGHT, BOTTOM, HEIGHT = 38.0, WIDTH - 8.0, 176.0, 220.0  # of a panel of lines: its frame, and its whole height

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """The ticks of an axis: positions and labels."""

    marks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Dot:
    """A row of a panel: a dot with whiskers, as positions along x, and its texts."""

    label: str
    title: str
    y: float
    x: float
    low: float
    high: float
    text: str
    colour: int
    strong: bool


@dataclass(frozen=True)
class Dots:
    """A panel of dots with whiskers."""

    title: str
    note: str
    height: float
    left: float
    right: float
    dots: Sequence[Dot]
    axis: Axis
    zero: float | None
    description: str
    width: float = WIDTH


@dataclass(frozen=True)
class Lines:
    """A panel of lines, each with its colour; `band` is a shaded area behind them."""

    title: str
    note: str
    height: float
    left: float
    right: float
    lines: Sequence[tuple[int, str]]
    band: str
    across: Axis
    up: Axis
    below: str
    description: str
    width: float = WIDTH


@dataclass(frozen=True)
class Points:
    """A panel of points in classes, which are numbered from 1: their places (x, y), and the place of each class's number."""

    title: str
    note: str
    places: Sequence[Sequence[tuple[float, float]]]
    numbers: Sequence[tuple[float, float]]
    description: str
    height: float = WIDTH
    width: float = WIDTH


def signed(value: float) -> str:
    """Return a number as text, with a sign and three decimals."""
    return f"{value:+.3f}".replace("-", "−")


def plain(value: float) -> str:
    """Return a number as text, with three decimals."""
    return f"{value:.3f}".replace("-", "−")


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return at most `most` round numbers within a range: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 2)


def _axis(low: float, high: float, place: Callable[[float], float], most: int = 4) -> Axis:
    return Axis([(place(value), f"{value:g}".replace("-", "−")) for value in (round(v, 10) for v in ticks(low, high, most))])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def score_dots(data: Record, colours: Mapping[str, int]) -> Dots:
    """Return a panel of the scores of all models on one test set; the leaders are emphasised."""
    rows = [(score["model"], score, colours[score["model"]], score["model"] in data["leaders"]) for score in data["scores"]]
    return _dots(data, rows, plain, zero=False)


def difference_dots(data: Record, colours: Mapping[str, int]) -> Dots:
    """Return a panel of the differences between all pairs of models on one test set; the clear ones are emphasised."""
    rows = [(f"{gap['first']} − {gap['second']}", gap, colours[gap["first"]], gap["clear"]) for gap in data["differences"]]
    return _dots(data, rows, signed, zero=True)


def _dots(data: Record, rows: Sequence[tuple[str, Record, int, bool]], show: Callable[[float], str], *, zero: bool) -> Dots:
    known = [row for _, row, _, _ in rows if row["value"] is not None and row["low"] is not None]
    ends = [float(row[end]) for row in known for end in ("low", "high", "value")] or [0.0, 1.0]
    low, high = min(ends + [0.0] * zero), max(ends + [0.0] * zero)
    left = min(LONGEST, max((len(name) for name, *_ in rows), default=0)) * LETTER + 10
    right = WIDTH - VALUE
    place = _scale(low, high, left + 5, right - 5)
    dots, said = [], []
    for number, (name, row, colour, strong) in enumerate(rows):
        middle = TOP + ROW * (number + 0.5)
        if row["value"] is None or row["low"] is None:
            dots.append(Dot(_short(name), name, middle, math.nan, math.nan, math.nan, "–", colour, False))
            continue
        x, start, end = (place(row[key]) for key in ("value", "low", "high"))
        dots.append(Dot(_short(name), name, middle, x, start, end, show(row["value"]), colour, strong))
        said.append(f"{name} {show(row['value'])}, {show(row['low'])} to {show(row['high'])}")
    among = "" if data["covered"] == data["total"] else f"{data['covered']:,} of "
    note = f"{among}{data['total']:,} {ITEMS.get(data['kind'], 'documents')}"
    height, axis = TOP + ROW * len(rows) + AXIS, _axis(low, high, place)
    return Dots(data["name"], note, height, left, right, dots, axis, place(0.0) if zero else None, "; ".join(said))


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def spectrum_lines(spectra: Sequence[Record], colours: Mapping[str, int]) -> Lines:
    """Return a panel of the singular values of all models by rank, on a logarithmic scale."""
    known = [(colours[one["model"]], [value for value in one["singular_values"] if value > 0]) for one in spectra]
    longest = max((len(values) for _, values in known), default=1)
    every = [math.log10(value) for _, values in known for value in values] or [-1.0, 0.0]
    low, high = max(min(every), max(every) - 3), max(every)
    x, y = _scale(1, longest, LEFT, RIGHT), _scale(low, high, BOTTOM, TOP)

    def curve(values: Sequence[float]) -> str:
        return _path((x(rank), y(max(math.log10(value), low))) for rank, value in enumerate(values, 1))

    lines = [(colour, curve(values)) for colour, values in known]
    marks = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in (1, 2, 5)]
    up = Axis([(y(math.log10(mark)), f"{mark:g}") for mark in marks if low <= math.log10(mark) <= high])
    said = "; ".join(f"{one['model']}: {one['effective_dimensions']:.0f} effective dimensions" for one in spectra)
    across = _axis(1, longest, x, 5)
    return Lines("Singular values", "", HEIGHT, LEFT, RIGHT, lines, "", across, up, "rank of the singular value", said)


def norm_lines(profile: Record, colour: int) -> Lines:
    """Return a panel of one model: the median |v|² by −log P, and the band that contains 80 % of the words."""
    groups, correlation = profile["groups"], profile["rank_correlation"]
    note = "rank correlation " + ("–" if correlation is None else signed(correlation))
    wide = [group["surprise"] for group in groups] or [0.0, 1.0]
    high = max((group["high"] for group in groups), default=1.0)
    x, y = _scale(min(wide), max(wide), LEFT, RIGHT), _scale(0.0, high, BOTTOM, TOP)
    line = _path((x(group["surprise"]), y(group["middle"])) for group in groups)
    band = _path(
        [(x(group["surprise"]), y(group["high"])) for group in groups]
        + [(x(group["surprise"]), y(group["low"])) for group in reversed(groups)]
    )
    axes = _axis(min(wide), max(wide), x, 6), _axis(0.0, high, y)
    below = "frequent words          −log P          rare words"
    return Lines(profile["model"], note, HEIGHT, LEFT, RIGHT, [(colour, line)], band, *axes, below, note)

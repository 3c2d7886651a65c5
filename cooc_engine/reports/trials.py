"""The trials of a search as lines across parallel axes, one for each option and one for the score (Inselberg 1985)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cooc_engine.reports.pictures import COLOURS, GREY, INK, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_trials"]

WIDE = 20.0  # an axis whose largest value is more than this many times its smallest is logarithmic


class _Axis(NamedTuple):
    """An axis: its name, the value of each trial, where it is drawn, from 0 to 1, and the marks on it, by place."""

    name: str
    places: Sequence[float]
    marks: Mapping[float, str]


def plot_trials(trials: Sequence[Mapping[str, Any]], path: Path, metric: str, *, force: bool = False) -> Path:
    """Draw trials of `autotune`, the best in colour, as a PNG or SVG by the path's suffix; return the path.

    Raises `UsageError` if matplotlib is missing.
    """
    names = [*trials[0]["options"]]
    columns = {name: [trial["options"][name] for trial in trials] for name in names}
    axes = [_axis(name.replace("_", " "), values) for name, values in columns.items()]
    axes.append(_axis(metric, [trial["score"] for trial in trials]))
    best = max(range(len(trials)), key=lambda i: trials[i]["score"])
    return picture(path, (2 + 1.7 * len(axes), 6), lambda figure: _draw(figure, axes, best), force=force)


def _axis(name: str, values: Sequence[Any]) -> _Axis:
    """Return an axis of numbers, logarithmic if they are far apart, or of words at equal distances."""
    distinct = sorted(set(values))
    if isinstance(values[0], str):
        places = {value: (i + 0.5) / len(distinct) for i, value in enumerate(distinct)}
        return _Axis(name, [places[value] for value in values], {place: value for value, place in places.items()})
    low, high = distinct[0], distinct[-1]
    if low == high:
        return _Axis(name, [0.5] * len(values), {0.5: f"{low:.4g}"})
    measure = math.log if low > 0 and high > WIDE * low else float
    span = measure(high) - measure(low)
    return _Axis(name, [(measure(value) - measure(low)) / span for value in values], {0.0: f"{low:.4g}", 1.0: f"{high:.4g}"})


def _draw(figure: Figure, axes: Sequence[_Axis], best: int) -> None:
    board = figure.add_axes((0.02, 0.02, 0.96, 0.88))
    board.set_axis_off()
    board.set_xlim(-0.3, len(axes) - 0.3)
    board.set_ylim(-0.12, 1.12)
    for x, axis in enumerate(axes):
        _draw_axis(board, x, axis)
    for trial in range(len(axes[0].places)):
        heights = [axis.places[trial] for axis in axes]
        how: dict[str, Any] = (
            {"color": COLOURS[1], "linewidth": 2.2, "zorder": 3} if trial == best else {"color": GREY, "linewidth": 0.8}
        )
        board.plot(range(len(axes)), heights, alpha=0.95 if trial == best else 0.45, **how)
    title = f"{len(axes[0].places)} trials, the best in colour"
    figure.suptitle(title, x=0.03, ha="left", fontsize=13, color=INK)


def _draw_axis(board: Axes, x: int, axis: _Axis) -> None:
    board.plot([x, x], [0, 1], color="#bbbbbb", linewidth=1, zorder=1)
    board.text(x, 1.07, axis.name, ha="center", fontsize=11, color=INK, parse_math=False)
    for place, text in axis.marks.items():
        board.text(x + 0.04, place, text, va="center", fontsize=9, color=INK, zorder=4, parse_math=False)

"""The trials of a search as lines across parallel axes, one for each option and one for the score (Inselberg 1985)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cooc_engine.reports.canvas import COLOURS, INK, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_trials"]

WIDE = 20.0  # an axis whose largest value is more than this many times its smallest is logarithmic
FEW = 6  # different values, all of which are marked; of more, the smallest and the largest are
NEAR = 0.045  # of the height of an axis: marks that are nearer to each other than this would overlap
NAME = 20  # characters of a name in one line
WORST, BEST = (0.86, 0.88, 0.91), (0.12, 0.37, 0.66)  # colours of the lines between which a score falls


class _Axis(NamedTuple):
    """An axis: its name, and for each trial where it is drawn, from 0 to 1, and its value; and the marks, by their places."""

    name: str
    places: Sequence[float]
    values: Sequence[str]
    marks: Mapping[float, str]


def plot_trials(trials: Sequence[Mapping[str, Any]], path: Path, metric: str, *, force: bool = False) -> Path:
    """Draw trials of `autotune` as a PNG or SVG by the path's suffix; return the path.

    Lines are darker the better the score; the best one is in another colour, with its values.
    Raises `UsageError` if matplotlib is missing.
    """
    names, scores = [*trials[0]["options"]], [trial["score"] for trial in trials]
    axes = [_axis(name.replace("_", " "), [trial["options"][name] for trial in trials]) for name in names]
    axes.append(_axis(metric, scores))
    order = sorted(range(len(trials)), key=lambda i: (scores[i], -i))  # the best, the first of equal ones, is drawn last
    return picture(path, (1 + 1.7 * len(axes), 6), lambda figure: _draw(figure, axes, order), force=force)


def _axis(name: str, values: Sequence[Any]) -> _Axis:
    """Return an axis of numbers, logarithmic if they are far apart, or of words at equal distances."""
    distinct = sorted({*values})
    place = _scale(distinct)
    marked = distinct if len(distinct) <= FEW else [distinct[0], distinct[-1]]
    return _Axis(name, [*map(place, values)], [*map(_text, values)], {place(value): _text(value) for value in marked})


def _scale(distinct: list[Any]) -> Callable[[Any], float]:
    """Return the function from a value to its place."""
    low, high = distinct[0], distinct[-1]
    if isinstance(low, str) or low == high:
        return lambda value: (distinct.index(value) + 0.5) / len(distinct)
    measure = math.log if low > 0 and high > WIDE * low else float
    return lambda value: (measure(value) - measure(low)) / (measure(high) - measure(low))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _draw(figure: Figure, axes: Sequence[_Axis], order: Sequence[int]) -> None:
    board = figure.add_axes((0.02, 0.02, 0.96, 0.86))
    board.set_axis_off()
    board.set_xlim(-0.4, len(axes) - 0.4)
    board.set_ylim(-0.05, 1.18)
    *others, best = order
    for trial in others:
        share = axes[-1].places[trial]
        colour = tuple(worst + share * (good - worst) for worst, good in zip(WORST, BEST, strict=True))
        board.plot(range(len(axes)), [axis.places[trial] for axis in axes], color=colour, linewidth=1.1, zorder=2)
    board.plot(range(len(axes)), [axis.places[best] for axis in axes], color=COLOURS[1], linewidth=2.6, zorder=3)
    for x, axis in enumerate(axes):
        _draw_axis(board, x, axis, best)
    title = f"{len(order)} trials: the darker, the better, and the best in orange" if others else "1 trial"
    figure.suptitle(title, x=0.03, ha="left", fontsize=13, color=INK)


def _draw_axis(board: Axes, x: int, axis: _Axis, best: int) -> None:
    board.plot([x, x], [0, 1], color="#999999", linewidth=1, zorder=1)
    board.text(x, 1.06, _in_lines(axis.name), ha="center", va="bottom", fontsize=11, color=INK, parse_math=False)
    how: dict[str, Any] = {"va": "center", "parse_math": False, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8}}
    shown = [axis.places[best]]
    board.text(x + 0.05, shown[0], axis.values[best], fontsize=10.5, weight="bold", color=COLOURS[1], zorder=5, **how)
    for place in sorted(axis.marks, key=lambda place: min(place, 1 - place)):  # the ends first
        if all(abs(place - other) > NEAR for other in shown):
            board.text(x + 0.05, place, axis.marks[place], fontsize=9, color=INK, zorder=4, **how)
            shown.append(place)


def _in_lines(name: str) -> str:
    """Return a name in at most two lines."""
    first, second = name[:NAME], name[NAME:]
    second = second if len(second) <= NAME else f"{second[: NAME - 1]}…"
    return f"{first}\n{second}" if second else first

"""The panels of `charts` as a PNG, from the same coordinates that the page's template draws as SVG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from cooc_engine.reports.charts import WIDTH, Dots, Lines, Points
from cooc_engine.storage.outputs import utf8

__all__ = ["png"]

UNIT = 0.01  # inches per unit of the panels
POINT = 72 * UNIT  # points per unit, for font sizes
DPI = 150
COLUMNS = 4
MARGIN, TITLE, LINE = 16.0, 22.0, 18.0  # around a panel, above it, and a line of the heading
LETTERS = 50  # letters of the heading that fit above one panel
INK, SOFT, RULE = "#1d2126", "#5b646e", "#dfe3e8"


def png(
    panels: Sequence[Dots | Lines | Points], heading: str, colours: Sequence[str], legend: Sequence[tuple[str, int]] = ()
) -> bytes:
    """Return a PNG of the panels side by side under a heading; `legend` pairs names with indices into `colours`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    lines = textwrap.wrap(heading, LETTERS * columns)
    tops = [MARGIN + LINE * (len(lines) + len(legend))]
    for first in range(0, len(panels), columns):
        tops.append(tops[-1] + MARGIN + TITLE + max(panel.height for panel in panels[first : first + columns]))
    width, height = MARGIN + columns * (WIDTH + MARGIN), tops[-1]
    figure = Figure(figsize=(width * UNIT, height * UNIT), dpi=DPI, facecolor="white")
    for number, (text, colour) in enumerate([*((line, INK) for line in lines), *((n, colours[c]) for n, c in legend)], 1):
        _write(figure, MARGIN / width, 1 - LINE * number / height, text, 14 if number <= len(lines) else 12, color=colour)
    for number, panel in enumerate(panels):
        left, under = MARGIN + number % columns * (WIDTH + MARGIN), tops[number // columns] + TITLE
        place = left / width, 1 - (under + panel.height) / height, WIDTH / width, panel.height / height
        axes = figure.add_axes(place, xlim=(0, WIDTH), ylim=(panel.height, 0))
        axes.set_axis_off()
        _write(axes, 0, -6, panel.title, 13, weight="bold")
        _write(axes, WIDTH, -6, panel.note, 11, ha="right", color=SOFT)
        if isinstance(panel, Dots):
            _draw_dots(axes, panel, colours)
        elif isinstance(panel, Points):
            _draw_points(axes, panel, colours)
        else:
            _draw_lines(axes, panel, colours)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png")
    return buffer.getvalue()


def _write(home: Any, x: float, y: float, text: str, size: float, **style: Any) -> None:
    home.text(x, y, utf8(text).decode(), **{"color": INK, "fontsize": size * POINT, "parse_math": False, **style})


def _draw_dots(axes: Any, panel: Dots, colours: Sequence[str]) -> None:
    bottom = panel.height - 22
    for x, text in panel.axis.marks:
        axes.plot([x, x], [2, bottom], color=RULE, linewidth=POINT)
        _write(axes, x, panel.height - 8, text, 11, ha="center", color=SOFT)
    if panel.zero is not None:
        axes.plot([panel.zero] * 2, [2, bottom], color=SOFT, linewidth=1.2 * POINT)
    for dot in panel.dots:
        colour, ink = colours[dot.colour], INK if dot.strong else SOFT
        axes.plot([dot.low, dot.high], [dot.y] * 2, color=colour, linewidth=2 * POINT, solid_capstyle="round")
        filled = {"markerfacecolor": colour if dot.strong else "white", "markeredgewidth": 1.8 * POINT}
        axes.plot(dot.x, dot.y, "o", color=colour, markersize=9 * POINT, clip_on=False, **filled)
        _write(axes, panel.left - 6, dot.y + 4, dot.label, 12, ha="right", color=ink)
        weight = "bold" if dot.strong else "normal"
        _write(axes, panel.width - 4, dot.y + 4, dot.text, 12, ha="right", color=ink, weight=weight)


def _draw_points(axes: Any, panel: Points, colours: Sequence[str]) -> None:
    for number, places in enumerate(panel.places):
        style = {"color": colours[number % len(colours)], "marker": "os^"[number // len(colours) % 3], "linewidths": 0}
        axes.scatter(*zip(*places, strict=True), s=14 * POINT**2, alpha=0.75, **style)
    halo = {"bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6 * POINT}}
    for number, (x, y) in enumerate(panel.numbers, 1):
        _write(axes, x, y, str(number), 12, ha="center", va="center", weight="bold", **halo)


def _draw_lines(axes: Any, panel: Lines, colours: Sequence[str]) -> None:
    for y, text in panel.up.marks:
        axes.plot([panel.left, panel.right], [y, y], color=RULE, linewidth=POINT)
        _write(axes, panel.left - 5, y + 4, text, 11, ha="right", color=SOFT)
    for x, text in panel.across.marks:
        _write(axes, x, panel.height - 28, text, 11, ha="center", color=SOFT)
    _write(axes, (panel.left + panel.right) / 2, panel.height - 9, panel.below, 11, ha="center", color=SOFT)
    for colour, points in panel.lines:
        if not points:  # the singular values of this model are all 0
            continue
        across, down = zip(*(map(float, point.split(",")) for point in points.split()), strict=True)
        axes.plot(across, down, color=colours[colour], linewidth=2 * POINT)

"""A picture of a grid search: what each choice does to each score."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cooc_engine.reports.canvas import COLOURS, INK, picture, plain_axes
from cooc_engine.reports.table import Table
from cooc_engine.runtime.numbers import show_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_table"]


def plot_table(table: Table, path: Path, *, force: bool = False) -> Path:
    """Draw the effect of each option of a grid on each score, averaged over all other options, as a PNG; return its path.

    Raises `UsageError` if matplotlib is missing.
    """
    wide, high = max(len(part.options) for part in table.parts().values()), len(table.parts())
    return picture(path, (4.2 + 2.6 * wide, 1 + 4.5 * high), lambda figure: _draw_table(figure, table), force=force)


def _draw_table(figure: Figure, table: Table) -> None:
    titles = {title: measure for title, measure in table.titles().items() if table.mean(measure, {}) is not None}
    parts = table.parts()
    panels = figure.subplots(len(parts), max(len(part.options) for part in parts.values()), sharey="row", squeeze=False)
    for row, (name, part) in zip(panels, parts.items(), strict=True):
        for axes in row[len(part.options) :]:
            axes.set_axis_off()
        for axes, option in zip(row, part.options, strict=False):
            _draw_choices(axes, part, option, titles)
        row[0].set_ylabel(f"{name + ': ' if name else ''}points above the mean", fontsize=11, color=INK)
    width, height = figure.get_size_inches()
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1 - 2.2 / width, 1 - 0.9 / height)}
    figure.legend(*panels[0, 0].get_legend_handles_labels(), **beside, frameon=False, fontsize=10)
    title = f"What each choice does, on average over all others of {len(table.records)} combinations"
    figure.suptitle(title, x=0.8 / width, ha="left", fontsize=15, color=INK)
    edges = {"left": 0.8 / width, "right": 1 - 2.3 / width, "top": 1 - 1 / height, "bottom": 0.4 / height}
    figure.subplots_adjust(**edges, wspace=0.12, hspace=0.25)


def _draw_choices(axes: Axes, table: Table, option: str, titles: Mapping[str, str]) -> None:
    """Draw a line for each score: its mean for each value of an option, minus the mean of these means."""
    plain_axes(axes, option)
    values = table.values(option)
    for colour, (title, measure) in zip(itertools.cycle(COLOURS), titles.items()):
        means = np.array([table.mean(measure, {option: value}) for value in values], float)
        level = means[np.isfinite(means)].mean() if np.isfinite(means).any() else 0.0
        style: dict[str, Any] = {"color": colour, "linewidth": 1.8, "marker": "o", "markersize": 4.5, "label": title}
        axes.plot(range(len(values)), 100 * (means - level), **style)
    axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_xticks(range(len(values)), [show_value(value) for value in values])
    axes.margins(x=0.15)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)

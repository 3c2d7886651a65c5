"""A picture of what the layers of ELMo know: a panel for each test set, which shows each score with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.reports.canvas import COLOURS, INK, picture, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_layers"]

Row = Mapping[str, Any]
WIDE, HIGH = 5.4, 3.1  # inches of a panel
ABREAST = 2  # panels
SPREAD = 0.5  # of the distance of two lines, over which several models are spread


def plot_layers(rows: Sequence[Row], path: Path, *, force: bool = False) -> Path:
    """Draw the rows of `probe`, of one model or several, in the format of the path's suffix; return the path.

    Raises `UsageError` if matplotlib is missing, and if the picture exists, unless `force`.
    """
    panels = list(dict.fromkeys(row["dataset"] for row in rows))
    high = -(-len(panels) // ABREAST)
    return picture(path, (ABREAST * WIDE, 0.4 + high * HIGH), lambda figure: _draw(figure, rows, panels, high), force=force)


def _draw(figure: Figure, rows: Sequence[Row], panels: Sequence[str], high: int) -> None:
    models = list(dict.fromkeys(row["model"] for row in rows))
    cells = figure.subplots(high, ABREAST, squeeze=False).ravel()
    for axes, name in zip(cells, panels, strict=False):
        _draw_panel(axes, name, [row for row in rows if row["dataset"] == name], models)
    for axes in cells[len(panels) :]:
        axes.set_axis_off()
    if len(models) > 1:
        figure.legend(*cells[0].get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False, fontsize=10)
    figure.tight_layout(rect=(0, 0.06 if len(models) > 1 else 0, 1, 1), h_pad=2.5, w_pad=3)


def _draw_panel(axes: Axes, name: str, rows: Sequence[Row], models: Sequence[str]) -> None:
    """Draw the scores of one test set, a line for each kind."""
    items = max(row["total"] for row in rows)
    plain_axes(axes, f"{name}, {items:,} items")
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    for number, (model, colour) in enumerate(zip(models, COLOURS * len(models), strict=False)):
        shift = SPREAD * (number / (len(models) - 1) - 0.5) if len(models) > 1 else 0.0
        own = [row for row in rows if row["model"] == model and row["value"] is not None]
        heights = [kinds.index(row["kind"]) + shift for row in own]
        axes.plot([row["value"] for row in own], heights, "o", color=colour, markersize=6, label=Path(model).stem)
        for row, at in zip(own, heights, strict=True):
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=2, alpha=0.5)
            if len(models) == 1:
                axes.annotate(
                    _shown(row["value"]), (row["value"], at), (0, 6), textcoords="offset points", ha="center", color=INK
                )
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(len(kinds) - 0.5, -0.7)
    axes.margins(x=0.12)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def _shown(value: float) -> str:
    """Return a perplexity without decimals, a share or a correlation with three."""
    return f"{value:,.0f}" if value > 1 else f"{value:.3f}"

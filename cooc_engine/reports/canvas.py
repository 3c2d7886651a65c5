"""What all pictures have in common: colours, axes, and the file that a figure is written to."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cooc_engine.errors import UsageError
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.outputs import refuse_file, write_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "DARK", "GREY", "INK", "new_picture", "picture", "plain_axes", "require_matplotlib"]

COLOURS = ("#1f5fa8", "#c2571a", "#2a7d3f", "#a8324a", "#6a4c9c", "#7a5230", "#0f7f86", "#8a7a00", "#b0408f", "#4d5b66")
DARK = ("#6aa7ec", "#f0935a", "#6cc384", "#ee7f94", "#b59be6", "#caa07c", "#4fc3ca", "#d3c24c", "#e58fcb", "#a9b7c2")
"""`COLOURS`, as they are on a dark page."""
INK, GREY = "#222222", "#8a8a8a"
FORMATS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}}  # and the metadata that is left out


def new_picture(output: PathLike, *, force: bool) -> Path:
    """Return the path of a picture; raises `UsageError` for another suffix, and if it exists, unless `force`."""
    path = path_of(output)
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: is not the name of a picture; choose one that ends in {' or '.join(FORMATS)}")
    refuse_file(path, force=force)
    return path


def require_matplotlib() -> None:
    """Raise `UsageError` if matplotlib is missing."""
    require("a picture", "plot", "matplotlib.backends.backend_agg")


def picture(path: Path, inches: tuple[float, float], draw: Callable[[Figure], None], *, force: bool = False) -> Path:
    """Write what `draw` draws, in the format of the path's suffix; return the path. Raises as `write_files` does."""
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=120, facecolor="white")
    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    # With a fixed salt the parts of the same picture get the same names.
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "cooc-engine"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # writing systems that the default font lacks
        draw(figure)
        canvas.print_figure(buffer, format=path.suffix.lower().lstrip("."), metadata=FORMATS[path.suffix.lower()])
    write_files({path: buffer.getvalue()}, force=force)
    return path


def plain_axes(axes: Axes, title: str) -> None:
    """Give a panel its title, and axes of the quiet look that all pictures share."""
    axes.set_title(title, loc="left", fontsize=13, color=INK, pad=10)
    axes.tick_params(colors=GREY, labelsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bbbbbb")

"""The picture of a model: its loss by epoch, and a map that shows which words are near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.reports.canvas import COLOURS, GREY, INK, new_picture, picture, plain_axes
from cooc_engine.reports.word_map import frequent_words, groups_of, neighbourhood_map, units_of
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.types import Floats, PathLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Plottable", "plot", "plot_model"]

SIDES = (  # candidate positions of a label: offset in points, and its alignment there
    ((3, 0), "left", "center"),
    ((0, 3), "center", "bottom"),
    ((0, -3), "center", "top"),
    ((-3, 0), "right", "center"),
)


class Plottable(Protocol):
    """A model that can be drawn."""

    @property
    def matrix(self) -> npt.NDArray[Any]:
        """The published vectors, one row per word."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The word of each row."""

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """One mapping per epoch, with `epoch` and `loss`."""


class _Columns(NamedTuple):
    """The columns of a model, to be drawn."""

    matrix: npt.NDArray[Any]
    vocabulary: Vocabulary
    history: Sequence[Mapping[str, Any]]


@gated
def plot(
    model: PathLike | ModelFile, output: PathLike, words: int = 300, *, columns: bool = False, force: bool = False
) -> Path:
    """Draw a model, or a model file, as a picture: its loss by epoch, and a map of frequent words; return the picture's path.

    output   the picture, *.png or *.svg
    words    number of words on the map, at most; function words are left out
    columns  whether columns are drawn instead of rows: of a model of users by items, the items

    The map is a t-SNE of the cosine similarities (van der Maaten and Hinton 2008) and colours are Ward clusters; both are the
    same for the same vectors. Raises `UsageError` for another suffix, if the picture exists, unless `force`, for sparse
    vectors, and if matplotlib or scikit-learn is missing; and what `open_model` raises.
    """
    path = new_picture(output, force=force)
    opened = model if isinstance(model, ModelFile) else open_model(model)
    if isinstance(opened.matrix, SparseVectors):
        raise UsageError(f"{opened.path}: has sparse vectors; a map takes dense ones, such as those of pmi-svd")
    if columns:
        names, rows = opened.column_rows()
        return plot_model(_Columns(rows[:], names, opened.history), path, words, "columns", force=force)
    return plot_model(opened, path, words, "words" if opened.column_names is None else "rows", force=force)


def plot_model(model: Plottable, path: Path, words: int = 300, what: str = "words", *, force: bool = False) -> Path:
    """Draw the loss by epoch and a map of up to `words` frequent words, in the format of the path's suffix; return the path.

    The map is a t-SNE of the cosine similarities (van der Maaten and Hinton 2008) and colours are Ward clusters; both
    are the same for the same vectors. Raises `UsageError` if matplotlib or scikit-learn is missing.
    """
    require("a picture", "plot", "matplotlib", "sklearn.manifold")
    return picture(path, (16, 9), lambda figure: _draw(figure, model, words, what), force=force)


def _draw(figure: Figure, model: Plottable, words: int, what: str) -> None:
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 3), left=0.05, right=0.985, bottom=0.09, top=0.88, wspace=0.1)
    _draw_loss(figure.add_subplot(grid[0]), model.history)
    _draw_map(figure, figure.add_subplot(grid[1]), model, words, what)
    title = f"{len(model.vocabulary):,} {what}, {model.matrix.shape[1]} dimensions"
    figure.suptitle(title, x=0.05, y=0.965, ha="left", fontsize=17, fontweight="bold", color=INK)


def _draw_loss(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    plain_axes(axes, "Loss by epoch")
    epochs, losses = ([record[key] for record in history] for key in ("epoch", "loss"))
    axes.plot(epochs, losses, color=COLOURS[0], linewidth=2, marker="o", markersize=4.5)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch", fontsize=11, color=INK)
    axes.set_ylabel("mean loss over the epoch", fontsize=11, color=INK)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    if losses:
        last: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "fontsize": 11, "color": INK}
        axes.annotate(f"{losses[-1]:.4f}", (epochs[-1], losses[-1]), (0, 9), **last)


def _draw_map(figure: Figure, axes: Axes, model: Plottable, words: int, what: str) -> None:
    rows = frequent_words(model.vocabulary, words) if what == "words" else list(range(min(words, len(model.vocabulary))))
    plain_axes(axes, f"Frequent {what}: those used alike are close to each other")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    note = "t-SNE of cosine similarity, coloured by Ward cluster; near neighbours mean something, long distances nothing"
    axes.set_xlabel(note, fontsize=10.5, color=GREY, loc="left")
    if len(rows) < 3:
        axes.text(0.5, 0.5, f"too few {what} for a map", transform=axes.transAxes, ha="center", color=GREY)
        return
    units = units_of(np.asarray(model.matrix[rows], np.float64))
    places, groups = neighbourhood_map(units), groups_of(units)
    colours = [COLOURS[group % len(COLOURS)] for group in groups]
    axes.scatter(places[:, 0], places[:, 1], s=7, c=colours, alpha=0.55, linewidths=0)
    axes.margins(0.05)
    axes.autoscale_view()  # now, since labels are placed by the positions of their points on the page
    _label(figure, axes, places, [model.vocabulary.words[row] for row in rows], colours)


def _label(figure: Figure, axes: Axes, places: Floats, words: Sequence[str], colours: Sequence[str]) -> None:
    """Label the points with their words, the most frequent first; a word that fits nowhere is left out."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken: list[Sequence[float]] = []
    for place, word, colour in zip(places, words, colours, strict=True):
        style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "color": colour, "parse_math": False}
        text = axes.annotate(word, place, (0, 0), **style)
        for offset, across, up in SIDES:
            text.set(position=offset, ha=across, va=up)
            box = text.get_window_extent(renderer).extents
            if _free(box, taken, axes.bbox.extents):
                taken.append(box)
                break
        else:
            text.remove()


def _free(box: Sequence[float], taken: Sequence[Sequence[float]], frame: Sequence[float]) -> bool:
    """Tell whether a box (left, bottom, right, top) lies inside the frame and overlaps none of those taken."""
    if box[0] < frame[0] or box[1] < frame[1] or box[2] > frame[2] or box[3] > frame[3]:
        return False
    return all(box[2] <= b[0] or b[2] <= box[0] or box[3] <= b[1] or b[3] <= box[1] for b in taken)

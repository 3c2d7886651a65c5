"""Pictures of a model: its loss by epoch, and a map that shows which words are near each other."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.models.sparse_vectors import SparseVectors
from cooc_engine.reports.table import Table
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.numbers import show_value
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.outputs import refuse_file, write_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "GREY", "INK", "Plottable", "Points", "frequent_words", "groups_of", "neighbourhood_map", "new_picture",
    "picture", "plain_axes", "plot", "plot_model", "plot_table", "require_matplotlib", "units_of",
]  # fmt: skip

Points = npt.NDArray[np.float64]

COLOURS = ("#1f5fa8", "#c2571a", "#2a7d3f", "#a8324a", "#6a4c9c", "#7a5230", "#0f7f86", "#8a7a00", "#b0408f", "#4d5b66")
FORMATS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}}  # and what a file does not record
INK, GREY = "#222222", "#8a8a8a"
SIDES = (  # candidate positions of a label: offset in points, and its alignment there
    ((3, 0), "left", "center"),
    ((0, 3), "center", "bottom"),
    ((0, -3), "center", "top"),
    ((-3, 0), "right", "center"),
)
PERPLEXITY = 12.0  # below t-SNE's usual 30, since a map has only about 300 words
COMMONEST = 50  # most frequent words left out: function words, which are near everything


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
    opened = model if isinstance(model, ModelFile) else open_model(Path(model))
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


def new_picture(output: PathLike, *, force: bool) -> Path:
    """Return the path of a picture; raises `UsageError` for another suffix, and if it exists, unless `force`."""
    path = Path(output)
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
    with (
        warnings.catch_warnings(),
        rc_context({"svg.hashsalt": "cooc-engine"}),
    ):  # the same picture gets the same names of parts
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # writing systems that the default font lacks
        draw(figure)
        canvas.print_figure(buffer, format=path.suffix.lower().lstrip("."), metadata=FORMATS[path.suffix.lower()])
    write_files({path: buffer.getvalue()}, force=force)
    return path


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


def plain_axes(axes: Axes, title: str) -> None:
    """Give a panel its title, and axes of the quiet look that all pictures share."""
    axes.set_title(title, loc="left", fontsize=13, color=INK, pad=10)
    axes.tick_params(colors=GREY, labelsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bbbbbb")


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


def frequent_words(vocabulary: Vocabulary, words: int) -> list[int]:
    """Return the rows of the `words` most frequent words, without punctuation, numbers and the very commonest words."""
    skipped = min(COMMONEST, len(vocabulary) // 10)
    rows: list[int] = []
    for row, word in enumerate(vocabulary.words[skipped:], skipped):
        if len(rows) == words:
            break
        if word.replace("_", "").isalpha() and (len(word) > 2 or not word.isascii()):
            rows.append(row)
    return rows


def units_of(vectors: Points) -> Points:
    """Return the rows centred, then scaled to length 1: a direction common to all words distinguishes none of them."""
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    units: Points = centred / np.maximum(lengths, np.finfo(np.float64).tiny)
    return units


def groups_of(units: Points) -> list[int]:
    """Return the Ward cluster of each unit vector, numbered from 0: the index of its colour."""
    from scipy.cluster.hierarchy import fcluster, linkage

    return [int(group) - 1 for group in fcluster(linkage(units, "ward"), len(COLOURS), "maxclust")]


def neighbourhood_map(units: Points) -> Points:
    """Return a point in the plane (n, 2) for each unit vector (n, d), n at least 3, by scikit-learn's t-SNE.

    It starts from the principal components and uses the exact method (the sums of the approximate one depend on the number of
    threads), so it is reproducible.
    """
    from sklearn.manifold import TSNE

    if not units.any():
        return np.zeros((len(units), 2))  # equal vectors have no principal components to start from
    plane = np.pad(units, ((0, 0), (0, max(0, 2 - units.shape[1]))))
    perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
    places: Points = TSNE(perplexity=perplexity, init="pca", method="exact", random_state=1).fit_transform(plane)
    return places


def _label(figure: Figure, axes: Axes, places: Points, words: Sequence[str], colours: Sequence[str]) -> None:
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


# ------------------------------------------------------------------------------------------------------- choices of a grid


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

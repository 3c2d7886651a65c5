"""The comparison page: one self-contained HTML file, with its main picture as a PNG and all numbers as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from cooc_engine.evaluation.comparison import comparison
from cooc_engine.evaluation.options import CompareOptions
from cooc_engine.reports import canvas, charts
from cooc_engine.reports.document_map import SHAPES, map_panels
from cooc_engine.reports.html import check_name, environment, palette
from cooc_engine.reports.panels import png
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.numbers import ABSENT, show_duration, show_number, show_setting, show_size
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Shown
from cooc_engine.runtime.types import PathLike, Paths
from cooc_engine.storage.outputs import disk_errors, refuse_file, utf8, write_files

__all__ = ["check_page", "compare", "page_of", "render", "verdict"]

COLOURS = canvas.COLOURS[:8]  # the style of the page has classes for these
SIGNIFICANT = 0.05
CLUSTERING = {"nmi": "NMI", "mi": "MI, nats", "ari": "ARI", "purity": "purity"}
CLASSIFICATION = {"accuracy": "accuracy", "micro-f1": "micro F1", "macro-f1": "macro F1"}
DOCUMENT_KINDS = {
    f"{method}-{score}": f"{title}: {name}"
    for method, title, scores in (
        ("k-means", "k-means", CLUSTERING),
        ("spherical", "spherical k-means", CLUSTERING),
        ("knn", "nearest neighbours", CLASSIFICATION),
        ("logistic", "logistic regression", CLASSIFICATION),
    )
    for score, name in scores.items()
}
DRAWN = ("k-means-nmi", "spherical-nmi", "knn-accuracy", "logistic-accuracy")  # scores of documents that have a panel
KINDS = {"spearman": "Spearman’s ρ", "analogy-add": "share right", **DOCUMENT_KINDS}


@gated
def compare(
    models: Iterable[PathLike] | Mapping[str, PathLike],
    output: PathLike | None = None,
    pairs: Paths = (),
    analogies: Paths = (),
    options: CompareOptions | None = None,
    *,
    sections: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Shown = None,
) -> dict[str, Any]:
    """Compare models; with `output`, write a page and, next to it, its main picture (.png) and all numbers (.json).

    models      two or more model files, of any family, on a common vocabulary; a mapping gives them names
    output      the page, *.html, or a directory for page.html, which is created if necessary; None writes nothing
    pairs       files of word pairs with human similarity ratings
    analogies   files of analogy questions in word2vec's format
    sections    the records of further sections: `documents`, of `document_record`, and `classifiers`, of `accuracies`

    Returns the numbers; see `cooc_engine.evaluation.comparison.comparison` for them and for the errors raised. Each file is
    written completely or not at all. With `output`, raises `UsageError` if a file exists already, unless `force` is given, and
    if matplotlib or Jinja is missing.
    """
    if output is None:
        return {**comparison(models, pairs, analogies, options, progress), **(sections or {})}
    page = page_of(output)
    check_page(page)
    with nullcontext() if page == path_of(output) else _directory(page.parent):
        beside = page.with_suffix(".json"), page.with_suffix(".png")
        for path in (page, *beside):
            refuse_file(path, force=force)
        record = {**comparison(models, pairs, analogies, options, progress), **(sections or {})}
        numbers = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_files(
            dict(zip((*beside, page), (utf8(numbers), _picture(record), utf8(render(record))), strict=True)), force=force
        )
    return record


def page_of(output: PathLike) -> Path:
    """Return the path of the page: the output itself, or page.html in it if it is a directory."""
    path = path_of(output)
    return path / "page.html" if path.is_dir() or not path.suffix else path


@contextmanager
def _directory(path: Path) -> Iterator[None]:
    """Create a directory; after an error it is removed again if it did not exist before."""
    there = path.is_dir()
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not there and not any(path.iterdir()):
            path.rmdir()
        raise


def check_page(page: Path) -> None:
    """Raise `UsageError` if a page cannot have this name, or a library needed to make it is missing."""
    check_name(page)
    require("a page", "plot", "jinja2", "matplotlib")


def verdict(data: Mapping[str, Any], *, corrected: bool = False) -> str:
    """Return one line saying which differences on a test set are larger than noise, or remain so after Holm's correction."""
    clear: dict[str, list[str]] = {}
    for gap in data["differences"]:
        if gap["p_holm"] < SIGNIFICANT if corrected else gap["clear"]:
            clear.setdefault(gap["first"], []).append(gap["second"])
    return "; ".join(f"{first} above {', '.join(others)}" for first, others in clear.items()) or "all within noise"


def render(record: Mapping[str, Any]) -> str:
    """Return the HTML page of a comparison."""
    made = environment()
    made.filters.update(
        plain=charts.plain,
        signed=charts.signed,
        size=show_size,
        duration=show_duration,
        rate=_rate,
        given=show_setting,
        verdict=verdict,
    )
    colours = _numbers(record)
    names = list(colours)
    return made.get_template("page.html").render(
        **record,
        palette=palette(),
        names=names,
        colours=colours,
        kinds=KINDS,
        title=_title(names),
        asked=_asked(record["sets"]),
        scores=[charts.score_dots(data, colours) for data in record["sets"]],
        gaps=[charts.difference_dots(data, colours) for data in record["sets"] if data["differences"]],
        tests=sum(len(data["differences"]) for data in record["sets"]),
        spectrum=charts.spectrum_lines(record["spectra"], colours),
        judged=record.get("documents", {}),
        tested=record.get("classifiers", {}),
        accuracies=[charts.score_dots(data, colours) for data in record.get("classifiers", {}).get("sets", [])],
        document_scores=[charts.score_dots(data, colours) for data in _drawn(record)],
        maps=map_panels(record),
        shapes=SHAPES,
        profiles=[charts.norm_lines(profile, colours[profile["model"]]) for profile in record["norms"]],
    )


def _drawn(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the scores of documents that are drawn, named by what was done."""
    sets = record.get("documents", {}).get("sets", [])
    return [{**data, "name": DOCUMENT_KINDS[data["kind"]]} for data in sets if data["kind"] in DRAWN]


def _title(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _asked(sets: Sequence[Mapping[str, Any]]) -> str:
    """Return a list, in words, of what the models were evaluated on, for the first sentence of the page."""
    pairs = sum(data["kind"] == "spearman" for data in sets)
    kinds = [(pairs, "of word pairs"), (len(sets) - pairs, "of analogies")]
    parts = [f"{number} set{'s' * (number > 1)} {kind}" for number, kind in kinds if number]
    return f"what they score on {' and '.join(parts)}, " if parts else ""


def _rate(value: float | None) -> str:
    return ABSENT if value is None else show_number(value, " ", ".1f")


def _picture(record: Mapping[str, Any]) -> bytes:
    """Return a PNG of the scores of all models on all test sets, with intervals, or of their singular values if none."""
    colours = _numbers(record)
    sets = [*record["sets"], *_drawn(record)]
    if sets:
        labels = record.get("documents", {}).get("map", {}).get("labels", [])
        named = ". Labels of documents: " + ", ".join(f"{n} {label}" for n, label in enumerate(labels, 1)) if labels else ""
        heading = f"Scores with 95 % intervals; filled: the best, or within noise of it{named}"
        return png([*(charts.score_dots(data, colours) for data in sets), *map_panels(record)], heading, COLOURS)
    legend = [(one["model"], colours[one["model"]]) for one in record["spectra"]]
    return png([charts.spectrum_lines(record["spectra"], colours)], "Singular values by rank", COLOURS, legend)


def _numbers(record: Mapping[str, Any]) -> dict[str, int]:
    """Return the index of each model's colour."""
    return {model["name"]: number % len(COLOURS) for number, model in enumerate(record["models"])}

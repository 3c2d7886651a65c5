"""Comparing models: their scores, which differences are more than noise, their cost, and the geometry of their vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.accuracy import costs
from cooc_engine.evaluation.analogies import answered
from cooc_engine.evaluation.bootstrap import draws_of, resampled_correlations, resampled_means
from cooc_engine.evaluation.correlation import spearman
from cooc_engine.evaluation.geometry import nearest_rows, norm_profile, overlaps, spectrum
from cooc_engine.evaluation.judge import SETS, pair_cosines
from cooc_engine.evaluation.options import CompareOptions
from cooc_engine.evaluation.scores import SetScores, correct, judged
from cooc_engine.evaluation.sets import AnalogySet, PairSet
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import listed, path_of
from cooc_engine.runtime.progress import Shown, progress_of
from cooc_engine.runtime.types import Counts, PathLike, Paths
from cooc_engine.runtime.versions import versions
from cooc_engine.vectors.query import Vectors

__all__ = ["COMPARED", "comparison", "named_models"]

EXAMPLES = 6  # words whose neighbours are shown as examples
SHOWN = 5  # neighbours shown for each
FUNCTION_WORDS = 100  # the most frequent words, mostly function words, are not used as examples
STAGES = ("encode", "count", "train")


@dataclass(frozen=True)
class _Entrant:
    """A model in the comparison: its name, and the vectors and counts of the words that are compared."""

    name: str
    model: ModelFile
    vectors: Vectors
    counts: Counts


def comparison(
    models: Iterable[PathLike] | Mapping[str, PathLike],
    pairs: Paths = (),
    analogies: Paths = (),
    options: CompareOptions | None = None,
    progress: Shown = None,
) -> dict[str, Any]:
    """Compare models and return a JSON-serialisable record.

    models      two or more model files, of any family, with the same vocabulary; a mapping gives them names
    pairs       files of word pairs: scored by Spearman's correlation of the cosines with the human scores
    analogies   files of questions: scored by the share of correct answers of 3CosAdd among the first `restrict` words

    The record has `words`, `options`, `models` (facts and costs of each), `options_that_differ`, `sets` (for each: `scores`
    with 95 % bootstrap intervals; `differences` of all pairs of models on the same resamples, with `p` and, corrected by Holm
    for the number of all differences, `p_holm`; and as `leaders` the best model and those that are not clearly below it),
    `neighbours`, `spectra`, `norms`, and `versions`.

    Raises `UsageError` for fewer than two models, one given twice, or different vocabularies without `common`; and what
    `open_model`, `read_pairs` and `read_analogies` raise.
    """
    options, progress = defaulted("compare", CompareOptions, options), progress_of(progress)
    given = {"pairs": pairs, "analogies": analogies}
    read = [(COMPARED[kind], SETS[kind].read(str(path))) for kind, paths in given.items() for path in listed(paths)]
    entrants = _entrants(_two_or_more(models), common=options.common)
    sets: list[dict[str, Any]] = []
    with progress.stage("compare", len(read) + 1, "steps") as stage:
        for answer, data in read:
            sets.append(judged(answer(entrants, data, options), [entrant.name for entrant in entrants]))
            stage.advance(1)
        correct(sets)
        record = {
            "words": len(entrants[0].vectors),
            "options": options.record(),
            "models": [_facts(entrant) for entrant in entrants],
            "options_that_differ": _differing([entrant.model for entrant in entrants]),
            "sets": sets,
            "neighbours": _neighbours(entrants, options),
            "spectra": [{"model": one.name, **spectrum(one.vectors)} for one in entrants if not _is_sparse(one.model)],
            "norms": [{"model": one.name, **norm_profile(one.vectors.norms()[0], one.counts)} for one in entrants],
            "versions": versions(),
        }
        stage.advance(1)
    return record


# ------------------------------------------------------------------------------------------------------------ entrants


def named_models(models: Iterable[PathLike] | PathLike | Mapping[str, PathLike]) -> dict[str, Path]:
    """Return the models by a distinct name: the stem of their file, or their path if several have the same stem."""
    if isinstance(models, Mapping):
        named = {name: path_of(path) for name, path in models.items()}
    else:
        paths = listed(models)
        real = [os.path.realpath(path) for path in paths]  # Path.resolve raises for links that lead in a circle
        twice = next((path for i, path in enumerate(paths) if real[i] in real[:i]), None)
        if twice:
            raise UsageError(f"{twice}: is given twice; name each model once")
        stems = [path.stem for path in paths]
        named = {stem if stems.count(stem) == 1 else str(path): path for stem, path in zip(stems, paths, strict=True)}
    return named


def _two_or_more(models: Iterable[PathLike] | Mapping[str, PathLike]) -> dict[str, Path]:
    named = named_models(models)
    if len(named) < 2:
        raise UsageError("compare takes two or more models")
    return named


def _entrants(named: Mapping[str, Path], *, common: bool) -> list[_Entrant]:
    models = {name: open_model(path) for name, path in named.items()}
    first = next(iter(models.values()))
    other = next((model for model in models.values() if not _same_words(model.vocabulary, first.vocabulary)), None)
    if other is None:
        return [
            _Entrant(name, model, Vectors(model.vocabulary, model.rows(), subwords=model.subwords), model.vocabulary.counts)
            for name, model in models.items()
        ]
    if not common:
        raise UsageError(
            f"{other.path}: has different words from {first.path} ({len(other.vocabulary):,} and {len(first.vocabulary):,}); "
            "pass --common to compare the models on the words they share"
        )
    shared = set.intersection(*(set(model.vocabulary.words) for model in models.values()))
    words = [word for word in first.vocabulary.words if word in shared]
    if len(words) < 2:
        raise UsageError(f"{other.path}: has no two words in common with {first.path} and all others")
    return [_reduced(name, model, words) for name, model in models.items()]


def _same_words(one: Vocabulary, other: Vocabulary) -> bool:
    return one is other or (np.array_equal(one.offsets, other.offsets) and np.array_equal(one.text, other.text))


def _reduced(name: str, model: ModelFile, words: Sequence[str]) -> _Entrant:
    ids = model.vocabulary.ids
    rows = np.array([ids[word] for word in words])
    return _Entrant(name, model, Vectors(model.vocabulary, model.rows()).some(rows), model.vocabulary.counts[rows])


# ------------------------------------------------------------------------------------------------------------- scores


def _answer_pairs(entrants: Sequence[_Entrant], data: PairSet, options: CompareOptions) -> SetScores:
    found = [pair_cosines(entrant.vectors, data) for entrant in entrants]
    covered = np.all([known for _, known in found], axis=0)
    cosines = [values[covered] for values, _ in found]
    wanted = np.array(data.scores, np.float64)[covered]
    resampled = resampled_correlations("spearman", cosines, wanted, *draws_of(data.name, options.samples, options.seed))
    scores = [spearman(series, wanted) for series in cosines]
    return SetScores(data.name, "spearman", len(covered), len(wanted), scores, resampled)


def _answer_analogies(entrants: Sequence[_Entrant], data: AnalogySet, options: CompareOptions) -> SetScores:
    limit = min(options.restrict, len(entrants[0].vectors))
    found = [answered(entrant.vectors, data, limit) for entrant in entrants]
    covered = np.all([known for _, known in found], axis=0)
    hits = [added[covered] for (added, _), _ in found]
    scores = [float(hit.mean()) if len(hit) else None for hit in hits]
    resampled = resampled_means(hits, *draws_of(data.name, options.samples, options.seed))
    return SetScores(data.name, "analogy-add", len(covered), int(covered.sum()), scores, resampled)


# The kinds of `SETS` that models are compared on: those whose score, a mean over items or a correlation, can be resampled.
COMPARED: Mapping[str, Callable[[Sequence[_Entrant], Any, CompareOptions], SetScores]] = {
    "pairs": _answer_pairs,
    "analogies": _answer_analogies,
}


# -------------------------------------------------------------------------------------------------------------- costs


def _facts(entrant: _Entrant) -> dict[str, Any]:
    """Return facts and costs of a model from its history and provenance; None for what they do not record."""
    model = entrant.model
    cost = costs(model)
    items = sum(float(epoch.get("items", 0)) for epoch in model.history)
    return {
        "name": entrant.name,
        "file": model.path.name,
        **cost,
        "family": model.family,
        "published": model.published,
        "vector_size": entrant.vectors.vector_size,
        "words": len(model.vocabulary),
        "epochs": len(model.history),
        "items_per_second": items / cost["seconds"] if cost["seconds"] else None,
        "item": FAMILIES[model.family].item if model.family in FAMILIES else "words",
        "threads": model.provenance.get("threads"),
        "peak_memory_bytes": model.provenance.get("peak_memory_bytes"),
    }


def _is_sparse(model: ModelFile) -> bool:
    return FAMILIES[model.family].rows == "sparse"


def _differing(models: Sequence[ModelFile]) -> list[dict[str, Any]]:
    """Return the options on which models differ, or for which a model does not have its family's default."""
    records = [_options_of(model) for model in models]
    defaults = [FAMILIES[model.family].options().record() for model in models]
    rows = []
    for name in dict.fromkeys(name for record in records for name in record):
        values = [record[name] for record in records if name in record]
        changed = any(
            record.get(name) != usual.get(name, record.get(name)) for record, usual in zip(records, defaults, strict=True)
        )
        if changed or any(value != values[0] for value in values):
            rows.append({"option": name.replace("_", "-"), "values": [record.get(name) for record in records]})
    return rows


def _options_of(model: ModelFile) -> dict[str, Any]:
    """Return the options of all stages in one mapping; where names coincide, such as `window`, a later stage wins."""
    return {name: value for stage in STAGES for name, value in dict(model.config.get(stage) or {}).items()}


# --------------------------------------------------------------------------------------------------------- neighbours


def _neighbours(entrants: Sequence[_Entrant], options: CompareOptions) -> dict[str, Any]:
    """Return how far the models agree on the neighbours of frequent words, among the first `restrict`, with examples."""
    vectors = [one.vectors.some(np.arange(min(options.restrict, len(one.vectors)))) for one in entrants]
    found = [nearest_rows(one, options.frequent, options.neighbours) for one in vectors]
    share, jaccard = overlaps(found)
    words = vectors[0].index_to_key
    examples = []
    for row in _examples(words[: len(found[0])]):
        nearest = [[words[near] for near in rows[row, :SHOWN] if near >= 0] for rows in found]
        examples.append({"word": words[row], "nearest": nearest})
    return {
        "words": len(found[0]),
        "topn": options.neighbours,
        "within": len(words),
        "share": share.tolist(),
        "jaccard": jaccard.tolist(),
        "examples": examples,
    }


def _examples(words: Sequence[str]) -> list[int]:
    """Return the rows of a few words spread over the list, leaving out function words, numbers and very short words."""
    rows = [row for row, word in enumerate(words) if word.isalpha() and (len(word) > 3 or not word.isascii())]
    rows = [row for row in rows if row >= FUNCTION_WORDS] or rows
    return [rows[i * len(rows) // EXAMPLES] for i in range(EXAMPLES)] if len(rows) > EXAMPLES else rows

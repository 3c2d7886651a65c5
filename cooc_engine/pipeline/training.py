"""Training a model of any family, from counts, an encoded corpus or text to its file."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.checkpoints import discard_leftovers, worth
from cooc_engine.models.families import Family, family_of
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.pipeline.stages import Source, opened, prepared
from cooc_engine.pipeline.work_directories import discard_work
from cooc_engine.runtime.keywords import Run, SharedTrainKeywords, TrainKeywords, chosen
from cooc_engine.runtime.options import Options, checked_kind, option_called
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.run_options import RunOptions
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.outputs import check_same
from cooc_engine.vectors.model import Model

__all__ = ["check_model", "kept", "train_family"]

ELSEWHERE = {  # what other programs' options are here, where it is no option of another name
    "sg": "choose the model by its name, 'skipgram' or 'cbow'",
    "hs": "pass loss='hs'",
    "alpha": "the learning rate is lr, and GloVe's exponent weight_power",
}


def train_family(
    model: str,
    source: Source,
    output: PathLike,
    options: Options | None,
    encode: EncodeOptions | None,
    count: CountOptions | None,
    keywords: Mapping[str, Any],
) -> Model:
    """Train as `train` does; `keywords` are those of the run, and options by name in the place of `options`."""
    family, output = family_of(model), path_of(output)
    _check_shared(model, family, keywords)
    run = family.accepted(keywords)
    given = {name: value for name, value in keywords.items() if name not in run}
    hint = functools.partial(_hint, model, family)
    options = chosen("train", model, family.options, options, given, hint) or family.options()
    for name, kind, of_stage in (("encode", EncodeOptions, encode), ("count", CountOptions, count)):
        if of_stage is not None:
            checked_kind(name, kind, of_stage)
    how = Run.of("train", run, SharedTrainKeywords)
    if how.keeps(output) and output.is_file():
        finished = Model.of(kept(family, opened(source), output, options, take_over=how.take_over))
        how.tell_kept(output)
        return finished
    stages: dict[str, Any] = {key: value for key, value in run.items() if key != "checkpoint_every"}
    with prepared(source, output, encode, count, counting=family.counting, encoding=family.encoding, **stages) as data:
        return Model.of(family.train(data, output, options, **run))


def _check_shared(model: str, family: Family, keywords: Mapping[str, Any]) -> None:
    """Raise `UsageError` if others are to share a training that has to see each step of the one before."""
    for name in ("processes", "cluster"):
        if keywords.get(name) is not None and not family.shared:
            if family.counting:
                why, work = "it takes little longer than reading the counts", "encode and count"
            else:
                why, work = "each of its steps needs the one before", "encode"
            raise UsageError(
                f"--{name}: {model} is trained on one machine, with all its threads, since {why}; {work} with it, and "
                f"train on the result without it"
            )


def _hint(model: str, family: Family, name: str) -> str:
    """Return what an unknown option may have been meant to be: one of another stage, or one that is misspelt."""
    known = family.options.names()
    for stage, options in (("encode", family.encoding), ("count", family.counting)):
        if options and name in options.names():
            return f" for {model}; pass {stage}={options.__name__}({name}=...)"
    if name in ELSEWHERE:
        return f" for {model}; {ELSEWHERE[name]}"
    other = option_called(family.options, name) or option_called(RunOptions, name)
    near = [other] if other else difflib.get_close_matches(name, [*known, *TrainKeywords.__annotations__], 1)
    return f" for {model}" + (f"; did you mean {near[0]}?" if near else f"; its options are {', '.join(known)}")


def check_model(family: Family, data: Any, at: Path, options: Options, flag: str = "--force") -> ModelFile:
    """Return the model at `at`.

    Raises `UsageError`, naming what differs and the flag to pass, if it was trained with other options, or from another corpus
    or other counts than `data`; from texts it cannot be told.
    """
    model = open_model(at)
    made_of = "corpus" if family.counting is None else "cooc"
    found = {"options": model.config.get("train", {}), made_of: model.provenance.get(made_of)}
    direct = isinstance(data, Corpus if family.counting is None else Cooc)
    check_same(at, found, {"options": options.record(), **({made_of: data.digest} if direct else {})}, worth, flag)
    return model


def kept(family: Family, data: Any, at: Path, options: Options, *, take_over: bool = False) -> ModelFile:
    """Return the model at `at`, and delete what a training that was killed at its end left beside it.

    Raises what `check_model` and `discard_leftovers` raise.
    """
    model = check_model(family, data, at, options)
    discard_leftovers(at, take_over=take_over)
    discard_work(at)
    return model

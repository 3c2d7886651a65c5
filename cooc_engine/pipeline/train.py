"""`train`: from counts, an encoded corpus or text to a model file of any family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.families import family_of
from cooc_engine.pipeline.stages import prepared
from cooc_engine.runtime.keywords import Run, TrainKeywords
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.types import PathLike
from cooc_engine.vectors.model import Model

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["train"]


def train(
    model: str,
    source: PathLike | Cooc | Corpus,
    output: PathLike,
    options: Options | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    **run: Unpack[TrainKeywords],
) -> Model:
    """Train a model family on `source` and write the model file `output`; returns the opened model.

    `source` is a co-occurrence directory, or an encoded corpus, which is then counted first, or texts, which are encoded and
    counted first, with the options `encode` and `count`, by default those of the family; a model trained on the text itself
    takes no counts. The other keywords are those of `Run`: threads, memory, force, resume, progress, checkpoint_every.
    Raises `UsageError` for options of another family, and for those of a stage that is not run.
    """
    Run.of("train", run, TrainKeywords)
    family, output = family_of(model), Path(output)
    options = options or family.options()
    if not isinstance(options, family.options):
        raise UsageError(f"{model} takes {family.options.__name__}, not {type(options).__name__}")
    stages: dict[str, Any] = {key: value for key, value in run.items() if key != "checkpoint_every"}
    with prepared(source, output, encode, count, counting=family.counting, encoding=family.encoding, **stages) as data:
        return Model.of(family.train(data, output, options, **run))

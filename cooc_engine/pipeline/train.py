"""`train`, whose types are in the stub beside it: an overload for each family, with its options."""

from __future__ import annotations

from typing import Any

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.pipeline.training import train_family
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.types import PathLike
from cooc_engine.vectors.model import Model

__all__ = ["train"]


@gated
def train(
    model: str,
    source: Any,
    output: PathLike,
    options: Options | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    **keywords: Any,
) -> Model:
    """Train a model family on `source` and write the model file `output`; return the opened model.

    >>> corpus = encode("text.txt", "corpus", min_count=2)
    >>> model = train("glove", corpus, "glove.h5", vector_size=10, x_max=10, threads=1)
    >>> [word for word, cosine in model.most_similar("tea", topn=2)]
    ['coffee', 'hot']

    `source` is a co-occurrence directory, or an encoded corpus, which is then counted first, or texts, which are encoded and
    counted first, with the options `encode` and `count`, by default those of the family; a model trained on the text itself
    takes no counts. `keywords` are the options of the family by name, unless they are given as `options`, and how the training
    runs: threads, memory, force, resume, progress, checkpoint_every, as in `Run`.
    Raises `UsageError` for options of another family, and for those of a stage that is not run; `TypeError` for a keyword that
    is no option.
    """
    return train_family(model, source, output, options, encode, count, keywords)

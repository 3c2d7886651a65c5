"""The verbs that concern words in their sentences."""

from __future__ import annotations

from typing import Annotated

import cooc_engine
from cooc_engine.cli.console import Work
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import ModelFile, NewFile, TextFiles, TrustTokenizer
from cooc_engine.runtime.run_options import RunOptions
from cooc_engine.vectors.embed_options import EmbedOptions

__all__ = ["embed"]

RUN = RunOptions()


def embed(
    model: ModelFile,
    texts: Annotated[TextFiles, "The text files, one sentence per line; - reads stdin."],
    /,
    *,
    output: NewFile,
    options: EmbedOptions | None = None,
    trust_tokenizer: TrustTokenizer = False,
    run: RunOptions = RUN,
) -> None:
    """Write the vectors of all words in their sentences, by a model of ELMo, as `allennlp elmo` does: HDF5, a dataset per line.

    For example:

        cooc-engine embed elmo.h5 text.txt --output vectors.h5
        cooc-engine embed elmo.h5 - --output top.h5 --layers top < text.txt
    """
    with Work(run) as work:
        names = [given(text) for text in texts]
        done = cooc_engine.embed(model, names, output, options, trust_tokenizer=trust_tokenizer, **run.keywords())
    work.print(output, f"{done.words:,} words in {done.lines:,} lines, vectors of size {done.vector_size}", done.record())

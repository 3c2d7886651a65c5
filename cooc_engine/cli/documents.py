"""The verb for the vectors of new documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from json import dumps
from pathlib import Path
from typing import Annotated

import cooc_engine
from cooc_engine.cli.console import print_lines
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import Force, JsonLines, ModelFile, TextFiles, Threads, TrustTokenizer
from cooc_engine.errors import UsageError
from cooc_engine.models.sampled_options import INFER_EPOCHS, INFER_SEED
from cooc_engine.runtime.options import AtLeast, Flag
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.outputs import writing_files
from cooc_engine.text.reading import ReadingOptions

__all__ = ["infer"]

BATCH_BYTES = 1 << 22  # of a file that are inferred together


@dataclass(frozen=True)
class InferOptions(ReadingOptions):
    """How the vector of a new document is trained."""

    epochs: Annotated[int, AtLeast(1), Flag(alias=("--epoch",))] = INFER_EPOCHS
    """Number of passes over each document."""
    seed: Annotated[int, AtLeast(0)] = INFER_SEED
    """Random seed; with the same seed, the same text always gets the same vector."""


def infer(
    model: ModelFile,
    texts: Annotated[TextFiles, "The text files, one document per line; - reads stdin."],
    /,
    *,
    output: Annotated[Path | None, "A file to write instead of stdout: it is there when it is whole, or not at all."] = None,
    options: InferOptions | None = None,
    threads: Threads = None,
    force: Force = False,
    trust_tokenizer: TrustTokenizer = False,
    json: JsonLines = False,
) -> None:
    """Infer the vectors of new documents, and print one line for each line of the text; zeros if no word of it is known.

    Lines of stdin are answered as they come. For example:

        cooc-engine infer doc2vec.h5 new.txt > vectors.txt
        cooc-engine infer doc2vec.h5 new.txt --output vectors.txt
    """
    from cooc_engine.text.readers import LONGEST_LINE, line_batches

    if force and output is None:
        raise UsageError("--force replaces an existing --output; pass that too, or leave it out")
    how = (options or InferOptions()).record()
    documents = cooc_engine.DocumentVectors.open(model, trust_tokenizer=trust_tokenizer)
    reading = documents.reading.changed(how.pop("encoding"), how.pop("errors"))
    with _lines_to(output, force=force) as put:
        for lines in line_batches([path_of(given(text)) for text in texts], LONGEST_LINE, reading, size=BATCH_BYTES):
            put(_shown(documents.infer_vectors(lines, **how, threads=threads), json=json))


def _shown(vectors: Matrix, *, json: bool) -> Iterator[str]:
    """Yield a line for each vector."""
    line = " ".join(["%.9g"] * vectors.shape[1])
    for vector in vectors.tolist():
        yield dumps({"vector": vector}) if json else line % tuple(vector)


@contextmanager
def _lines_to(output: Path | None, *, force: bool) -> Iterator[Callable[[Iterable[str]], None]]:
    """Yield what prints lines, or what writes them to a file."""
    if output is None:
        yield partial(print_lines, flush=True)
        return
    with writing_files([output], force=force) as (part,), part.open("w", encoding="utf-8") as file:
        yield lambda lines: file.writelines(f"{line}\n" for line in lines)

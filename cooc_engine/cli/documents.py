"""The verbs that concern documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cooc_engine
from cooc_engine.cli.console import print_json, print_lines
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import JsonLines, ModelFile, Positive, TextFiles, Threads, TrustTokenizer
from cooc_engine.runtime.options import AtLeast, Flag

__all__ = ["infer"]

LONGEST = 1 << 30  # bytes of a document


def infer(
    model: ModelFile,
    texts: Annotated[TextFiles, "The text files, one document per line; - reads stdin."],
    /,
    *,
    epochs: Annotated[Positive, Flag(("--epoch",)), "Number of passes over each document."] = 20,
    seed: Annotated[int, AtLeast(0), "Random seed; the same text always gets the same vector."] = 1,
    threads: Threads = None,
    trust_tokenizer: TrustTokenizer = False,
    json: JsonLines = False,
) -> None:
    """Infer the vectors of new documents, and print one line for each line of the text; zeros if no word of it is known.

    For example:

        cooc-engine infer doc2vec.h5 new.txt > vectors.txt
    """
    from cooc_engine.text.readers import line_batches

    documents = cooc_engine.DocumentVectors.open(model, trust_tokenizer=trust_tokenizer)
    for lines in line_batches([Path(given(text)) for text in texts], LONGEST, documents.reading):
        vectors = documents.infer_vectors(lines, epochs=epochs, seed=seed, threads=threads)
        for vector in vectors.tolist():
            if json:
                print_json({"vector": vector})
            else:
                print_lines([" ".join(f"{value:.9g}" for value in vector)])

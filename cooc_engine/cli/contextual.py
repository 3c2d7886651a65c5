"""The verbs for words in context."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import cooc_engine
from cooc_engine.cli.console import Work, print_result, score_lines
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import Files, Json, ModelFile, NewFile, TextFiles, TrustTokenizer
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.options import ProbeOptions
from cooc_engine.runtime.run_options import RunOptions
from cooc_engine.vectors.embed_options import EmbedOptions

__all__ = ["embed", "probe"]

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
    """Write the ELMo vectors of all words in context, in the format of `allennlp elmo`: HDF5, with one dataset per line.

    For example:

        cooc-engine embed elmo.h5 text.txt --output vectors.h5
        cooc-engine embed elmo.h5 - --output top.h5 --layers top < text.txt
    """
    with Work(run) as work:
        names = [given(text) for text in texts]
        done = cooc_engine.embed(model, names, output, options, trust_tokenizer=trust_tokenizer, **run.keywords())
    work.print(output, f"{done.words:,} words in {done.lines:,} lines, vectors of size {done.vector_size}", done.record())


def probe(
    model: ModelFile,
    /,
    *,
    tags: Annotated[
        tuple[Path, Path] | None, "Two files in CoNLL-U: parts of speech are learned from the first and judged on the second."
    ] = None,
    senses: Annotated[
        Path | None, "A text, one sentence per line, for pseudo-words: two of its words are written as one, and told apart."
    ] = None,
    sentence_pairs: Annotated[Files, "Files of sentence pairs: sentence, sentence, human score, separated by tabs."] = None,
    word_in_context: Annotated[
        tuple[Path, Path] | None,
        "Two files NAME.data.txt, with NAME.gold.txt beside each: whether a word has the same sense in two sentences is "
        "learned from the first and judged on the second.",
    ] = None,
    perplexity: Annotated[
        Files,
        "A held-out corpus, encoded with the vocabulary of the training corpus; and, for n-grams, the training corpus itself.",
    ] = None,
    options: ProbeOptions | None = None,
    json: Json = False,
) -> None:
    """Show what the layers of an ELMo model know: perplexity, senses, parts of speech and sentence pairs, with intervals.

    For example:

        cooc-engine probe elmo.h5 --tags dev.conllu test.conllu --senses text.txt
    """
    if not (tags or senses or sentence_pairs or word_in_context or perplexity):
        kinds = "tags TRAIN TEST, senses TEXT, sentence-pairs FILE, word-in-context TRAIN TEST or perplexity CORPUS"
        raise UsageError(f"nothing to evaluate on; pass {kinds}")
    sets: Any = {"pairs": sentence_pairs or (), "word_in_context": word_in_context, "perplexity": perplexity or ()}
    rows = cooc_engine.probe(model, tags=tags, senses=senses, options=options, **sets)
    print_result(json, rows, score_lines(rows))

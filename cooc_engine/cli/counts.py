"""The verbs that encode texts as a corpus and count it, and that exchange counts with other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

import cooc_engine
from cooc_engine.cli.console import Told, Work, carry_out
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import CoocDirectory, Directory, TextFiles, TrustTokenizer
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.runtime.run_options import PlannedOptions, RunOptions, SharedOptions

if TYPE_CHECKING:
    from cooc_engine import Cooc, Corpus

__all__ = ["append", "count", "count_pairs", "encode", "export_counts", "import_counts", "merge"]

RUN, SHARED, PLANNED = RunOptions(), SharedOptions(), PlannedOptions()
CountFile = Annotated[
    Path, Parameter(name="FILE"), "The HDF5 file, or a file of records, for which the options describe how they were counted."
]


def encode(
    texts: TextFiles, /, *, output: Directory, options: EncodeOptions | None = None, run: PlannedOptions = PLANNED
) -> None:
    """Encode text files, one document per line, as a corpus directory. Compressed files are recognised; - reads stdin.

    For example:

        cooc-engine encode text.txt.xz --output corpus --min-count 5
        cat *.txt | cooc-engine encode - --output corpus --tokenizer regex
    """
    carry_out(run, cooc_engine.encode, cooc_engine.plan_encode, _tokens, list(map(given, texts)), output, options)


def _tokens(corpus: Corpus) -> Told:
    documents, words = corpus.documents, len(corpus.vocabulary)
    numbers = {"tokens": corpus.tokens, "documents": documents, "words": words}
    faults = ""
    if corpus.options.errors != "strict":
        numbers["faults"] = corpus.manifest["faults"]
        done = "replaced" if corpus.options.errors == "replace" else "skipped"
        faults = f", {numbers['faults']:,} faults {done}"
    return f"{corpus.tokens:,} tokens in {documents:,} documents, {words:,} words{faults}", numbers


def count(
    corpus: Annotated[Path, Parameter(name="CORPUS"), "The encoded corpus."],
    /,
    *,
    output: Directory,
    options: CountOptions | None = None,
    run: PlannedOptions = PLANNED,
) -> None:
    """Count the co-occurrences of an encoded corpus exactly, and write a co-occurrence directory.

    For example:

        cooc-engine count corpus --output cooc --window 10
        cooc-engine count corpus --output cooc --memory 512M --dry-run
    """
    carry_out(run, cooc_engine.count, cooc_engine.plan_count, _entries_and_tokens, corpus, output, options)


def count_pairs(
    texts: Annotated[TextFiles, "The text files, a pair per line: a row, a column, and perhaps a count."],
    /,
    *,
    output: Directory,
    separator: Annotated[
        Literal["tab", "comma", "space"] | None,
        "What separates the fields of a line; by default the first line of a file decides.",
    ] = None,
    header: Annotated[bool, "The first line of each file names the fields, and is left out."] = False,
    run: RunOptions = RUN,
) -> None:
    """Count pairs, such as users and items, from text files that have one per line, into a co-occurrence directory.

    For example:

        cooc-engine count-pairs ratings.tsv.gz --output cooc
        cooc-engine count-pairs 2023.csv 2024.csv --header --output cooc
    """
    with Work(run) as work:
        named = [given(text) for text in texts]
        cooc = cooc_engine.count_pairs(named, output, separator=separator, header=header, **run.keywords())
    work.print(output, *_entries_and_names(cooc))


def merge(
    coocs: Annotated[list[Path], Parameter(name="COOC..."), "The co-occurrence directories."],
    /,
    *,
    output: Directory,
    run: PlannedOptions = PLANNED,
) -> None:
    """Add up co-occurrence directories that have the same vocabulary and options.

    For example:

        cooc-engine merge cooc-1 cooc-2 --output cooc
    """
    carry_out(run, cooc_engine.merge, cooc_engine.plan_merge, _entries_and_tokens, coocs, output)


def append(
    cooc: Annotated[CoocDirectory, "The co-occurrence directory to add to; it is not changed."],
    texts: Annotated[TextFiles, "The new text files."],
    /,
    *,
    output: Directory,
    trust_tokenizer: TrustTokenizer = False,
    run: SharedOptions = SHARED,
) -> None:
    """Count new text with the vocabulary and options of a co-occurrence directory, and add the two counts.

    For example:

        cooc-engine append cooc new.txt --output both
    """
    with Work(run) as work:
        new = [given(text) for text in texts]
        both = cooc_engine.append(cooc, new, output, trust_tokenizer=trust_tokenizer, **run.keywords())
    work.print(output, *_entries_and_tokens(both))


def _entries_and_tokens(cooc: Cooc) -> Told:
    tokens = cooc.manifest["tokens"]
    return f"{cooc.entries:,} entries from {tokens:,} tokens", {"entries": cooc.entries, "tokens": tokens}


def _entries_and_names(cooc: Cooc) -> Told:
    numbers = {"entries": cooc.entries, "rows": len(cooc.vocabulary), "columns": cooc.columns}
    return f"{cooc.entries:,} entries in {numbers['rows']:,} rows and {cooc.columns:,} columns", numbers


def export_counts(
    cooc: CoocDirectory,
    output: Annotated[Path, Parameter(name="OUT"), "The file to write: unshuffled records, like those of `cooccur`, or HDF5."],
    /,
    *,
    vocab: Annotated[Path | None, "For GloVe: the vocabulary file to write, with words and counts."] = None,
    format: Annotated[Literal["glove", "hdf5"], "The format of the file; `import-counts` recognises both."] = "glove",
    run: RunOptions = RUN,
) -> None:
    """Export counts for other programs: GloVe's binary records and vocabulary, or one HDF5 file with a CSR matrix.

    For example:

        cooc-engine export-counts cooc counts.h5 --format hdf5
        cooc-engine export-counts cooc records.bin --vocab vocab.txt
    """
    if vocab is None and format == "glove":
        raise UsageError("--format glove also writes the vocabulary; pass --vocab FILE")
    if vocab is not None and format == "hdf5":
        raise UsageError("--vocab is for --format glove; an HDF5 file includes the vocabulary; leave it out")
    with Work(run) as work:
        how, opened = run.fresh_keywords(), cooc_engine.Cooc(cooc)
        if vocab is None:
            cooc_engine.export_hdf5(opened, output, **how)
        else:
            cooc_engine.export_glove(opened, output, vocab, **how)
    work.print(output, f"{opened.entries:,} entries", {"entries": opened.entries})


def import_counts(
    source: CountFile,
    /,
    *,
    output: Directory,
    vocab: Annotated[Path | None, "The vocabulary of the records: a word and its count per line."] = None,
    options: CountOptions | None = None,
    run: RunOptions = RUN,
) -> None:
    """Import counts that `export-counts` wrote, or records of GloVe's `cooccur` or `shuffle`, in any order.

    For example:

        cooc-engine import-counts counts.h5 --output cooc
        cooc-engine import-counts records.bin --vocab vocab.txt --output cooc
    """
    from cooc_engine.storage.hdf5 import form_of

    foreign = source.exists() and not form_of(source)
    if foreign and vocab is None:
        raise UsageError(f"{source}: records do not include a vocabulary; pass --vocab FILE")
    if source.exists() and not foreign and (vocab or options):
        raise UsageError(f"{source}: this file holds its vocabulary and options; leave out --vocab and the counting options")
    with Work(run) as work:
        if vocab is None:
            cooc = cooc_engine.import_hdf5(source, output, **run.keywords())
        else:
            cooc = cooc_engine.import_glove(source, vocab, output, options, **run.keywords())
    work.print(output, f"{cooc.entries:,} entries", {"entries": cooc.entries})

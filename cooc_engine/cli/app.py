"""The command line: each verb calls one library function and shows what it returns.

Commands import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

import cooc_engine
from cooc_engine._version import __version__
from cooc_engine.cli import ask, classifier
from cooc_engine.cli.console import Told, Work, carry_out, fail, print_lines, print_result, score_lines
from cooc_engine.cli.documents import infer
from cooc_engine.cli.exchange import align, export, import_file, quantize
from cooc_engine.cli.foreign_flags import given, modern
from cooc_engine.cli.judge import classify, cluster, compare, evaluate, info, ratio
from cooc_engine.cli.parameters import CoocDirectory, Directory, TextFiles, TrustTokenizer, VectorsFile, add_verb
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.models.families import Family, trainable
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.progress import open_progress
from cooc_engine.runtime.run_options import PlannedOptions, RunOptions, TrainOptions
from cooc_engine.runtime.streams import ReaderGone
from cooc_engine.storage.outputs import FULL

if TYPE_CHECKING:
    from cooc_engine import Cooc, Corpus

__all__ = ["main"]

SWITCHES = Parameter(negative=())  # which have no opposite such as --no-force

app = App(
    name="cooc-engine",
    help="From text to co-occurrence statistics and word vectors on one machine.",
    version=__version__,
    default_parameter=SWITCHES,
    help_format="plaintext",
    result_action="return_value",
)
train = App(
    name="train",
    help="Train a model on counts, on a corpus, or on a text, which is encoded, and counted if need be, on the way.",
    default_parameter=SWITCHES,
)
app.command(train)

RUN, TRAIN, PLANNED = RunOptions(), TrainOptions(), PlannedOptions()
CountFile = Annotated[
    Path, Parameter(name="FILE"), "The HDF5 file, or a file of records; the options then say how these were counted."
]


def encode(
    texts: TextFiles, /, *, output: Directory, options: EncodeOptions | None = None, run: PlannedOptions = PLANNED
) -> None:
    """Encode text files, one document per line, into a corpus directory. Compressed files are recognised; - reads stdin."""
    carry_out(run, cooc_engine.encode, cooc_engine.plan_encode, _tokens, list(map(given, texts)), output, options)


def _tokens(corpus: Corpus) -> Told:
    documents, words = corpus.documents, len(corpus.vocabulary)
    numbers = {"tokens": corpus.tokens, "documents": documents, "words": words}
    return f"{corpus.tokens:,} tokens in {documents:,} documents, {words:,} words", numbers


def count(
    corpus: Annotated[Path, Parameter(name="CORPUS"), "The encoded corpus."],
    /,
    *,
    output: Directory,
    options: CountOptions | None = None,
    run: PlannedOptions = PLANNED,
) -> None:
    """Count the co-occurrences of an encoded corpus, exactly, into a co-occurrence directory."""
    carry_out(run, cooc_engine.count, cooc_engine.plan_count, _entries_and_tokens, corpus, output, options)


def merge(
    coocs: Annotated[list[Path], Parameter(name="COOC"), "The co-occurrence directories."],
    /,
    *,
    output: Directory,
    run: PlannedOptions = PLANNED,
) -> None:
    """Add up co-occurrence directories that have the same vocabulary and options."""
    carry_out(run, cooc_engine.merge, cooc_engine.plan_merge, _entries_and_tokens, coocs, output)


def append(
    cooc: Annotated[CoocDirectory, "The co-occurrence directory to add to; it is not changed."],
    texts: Annotated[TextFiles, "The new text files."],
    /,
    *,
    output: Directory,
    trust_tokenizer: TrustTokenizer = False,
    run: RunOptions = RUN,
) -> None:
    """Count new text with the vocabulary and options of a co-occurrence directory, and add up both counts."""
    with Work(run) as work:
        new = [given(text) for text in texts]
        both = cooc_engine.append(cooc, new, output, trust_tokenizer=trust_tokenizer, **run.keywords())
    work.print(output, *_entries_and_tokens(both))


def _entries_and_tokens(cooc: Cooc) -> Told:
    tokens = cooc.manifest["tokens"]
    return f"{cooc.entries:,} entries from {tokens:,} tokens", {"entries": cooc.entries, "tokens": tokens}


def export_counts(
    cooc: CoocDirectory,
    output: Annotated[Path, Parameter(name="OUT"), "The file to write: unshuffled records, like those of `cooccur`, or HDF5."],
    /,
    *,
    vocab: Annotated[Path | None, "The vocabulary file to write as well, for GloVe: words and counts."] = None,
    format: Annotated[Literal["glove", "hdf5"], "The format of the file; `import-counts` recognises both."] = "glove",
    run: RunOptions = RUN,
) -> None:
    """Export counts for other programs: GloVe's binary records and vocabulary, or one HDF5 file with a CSR matrix."""
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
    """Import counts that `export-counts` wrote, or records of GloVe's `cooccur` or `shuffle`, in any order."""
    from cooc_engine.storage.hdf5 import form_of

    foreign = not form_of(source)
    if foreign and vocab is None:
        raise UsageError(f"{source}: records do not include a vocabulary; pass --vocab FILE")
    if not foreign and (vocab or options):
        raise UsageError(f"{source}: this file holds its vocabulary and options; leave out --vocab and the counting options")
    with Work(run) as work:
        if vocab is None:
            cooc = cooc_engine.import_hdf5(source, output, **run.keywords())
        else:
            cooc = cooc_engine.import_glove(source, vocab, output, options, **run.keywords())
    work.print(output, f"{cooc.entries:,} entries", {"entries": cooc.entries})


def _train_command(model: str, family: Family) -> None:
    """Make the command that trains a family; those that are trained on counts have the options of counting too."""

    def on_counts(
        source: Any, /, *, output: Path, options: Any = None, encode: Any = None, count: Any = None, run: Any = TRAIN
    ) -> None:
        _train(model, Path(given(source)), output, options, encode, count, run)

    def on_text(source: Any, /, *, output: Path, options: Any = None, encode: Any = None, run: Any = TRAIN) -> None:
        on_counts(source, output=output, options=options, encode=encode, run=run)

    command, source = (on_counts, COUNTED) if family.counting else (on_text, "An encoded corpus, or a text.")
    kinds = {"options": family.options, "encode": family.encoding, "count": family.counting, "run": TrainOptions}
    annotations = {"source": Annotated[str, Parameter(name="INPUT")], "output": Path}
    command.__annotations__ = annotations | {name: kind | None for name, kind in kinds.items() if kind}
    fields = f"source\n    {source}\noutput\n    The model file to write, HDF5.\n"
    command.__doc__ = f"{family.title}\n\nParameters\n----------\n{fields}"
    add_verb(train, command, model)


COUNTED = "A co-occurrence directory, an encoded corpus, or a text."
for name, family in trainable().items():
    _train_command(name, family)


def _train(
    model: str,
    source: Path,
    output: Path,
    options: Options | None,
    encode: EncodeOptions | None,
    count: CountOptions | None,
    run: TrainOptions,
) -> None:
    from cooc_engine.pipeline.train import train

    with Work(run) as work:
        trained = train(model, source, output, options, encode=encode, count=count, **run.training_keywords())
    rows, size = trained.vectors.shape
    loss = f", loss {trained.history[-1]['loss']:.4f}" if trained.history else ""
    work.print(output, f"{rows:,} vectors of size {size}{loss}", {"history": list(trained.history)})


def run_job(job: Annotated[Path, Parameter(name="JOB.toml"), "The job file."], /, *, run: RunOptions = RUN) -> None:
    """Run a batch job; finished stages are kept, and an interrupted one is continued."""
    from cooc_engine.reports.table import Table

    with Work(run) as work:
        rows = cooc_engine.run(job, **run.fresh_keywords())
    lines = Table.of(rows).lines() if any("settings" in row for row in rows) else score_lines(rows)
    print_result(run.json, {"output": str(job), **work.record(), "evaluation": rows}, lines)


def index(model: VectorsFile, /, *, run: RunOptions = RUN) -> None:
    """Build an index for nn --approximate beside a model of millions of words, and print its recall."""
    with Work(run) as work:
        built = cooc_engine.build_index(model, threads=work.threads, force=run.force, progress=open_progress(run.progress))
    text = f"{built.words:,} words, finds {100 * built.recall:.1f} % of the nearest 10"
    work.print(built.path, text, {"words": built.words, "recall": built.recall})


def demo(*, output: Directory = Path("cooc-demo"), run: RunOptions = RUN) -> None:
    """Run the whole pipeline on the documentation of this Python installation."""
    from cooc_engine.pipeline.demo import demo

    print_lines(demo(output, open_progress(run.progress)))


VERBS = [
    encode, count, merge, append, export_counts, import_counts, index, demo, info, ratio, compare, cluster, classify, align,
    export, quantize, infer,
]  # fmt: skip
for called in (*VERBS, *(getattr(home, name) for home in (ask, classifier) for name in home.__all__)):
    add_verb(app, called)
add_verb(app, run_job, "run")
add_verb(app, import_file, "import")
add_verb(app, evaluate, "eval")


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Errors are one line on stderr."""
    try:
        app(modern(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except ReaderGone as error:
        return error.exit_code
    except CycloptsError as error:
        return fail(_one_line(error), UsageError.exit_code)
    except CoocError as error:
        return fail(error.flags, error.exit_code)
    except KeyboardInterrupt:
        return fail("interrupted", InterruptedRun.exit_code)
    except MemoryError:
        return fail("out of memory; take less text at a time or a machine with more", ResourceError.exit_code)
    except OSError as error:
        code = ResourceError.exit_code if error.errno in FULL else InputError.exit_code
        what = error.strerror or str(error)
        return fail(f"{error.filename}: {what}" if error.filename else what, code)
    return 0


def _one_line(error: CycloptsError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CoocError):
            return cause.flags
        cause = cause.__cause__ or cause.__context__
    return " ".join(given(str(error)).split())

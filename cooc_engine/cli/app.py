"""The command line: each verb calls one library function and shows what it returns.

Commands import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import App, CycloptsError, Parameter

from cooc_engine._version import __version__
from cooc_engine.cli import ask
from cooc_engine.cli.console import Work, drop_output, fail, planned, print_json, print_lines, print_scores
from cooc_engine.cli.exchange import align, export, import_file
from cooc_engine.cli.foreign_flags import given, modern
from cooc_engine.cli.judge import compare, evaluate, info, ratio
from cooc_engine.cli.parameters import VectorsFile, add_verb
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.models.families import Family, trainable
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.progress import open_progress
from cooc_engine.runtime.run_options import PlannedOptions, RunOptions, TrainOptions
from cooc_engine.storage.outputs import FULL

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
    help="Train a model on counts or on a corpus; on a text, which is then encoded, and counted, on the way.",
    default_parameter=SWITCHES,
)
app.command(train)

F = TypeVar("F", bound=Callable[..., None])


def verb(name: str | None = None) -> Callable[[F], F]:
    """Register a function as a command, under its own name or another."""

    def register(function: F) -> F:
        add_verb(app, function, name)
        return function

    return register


RUN, TRAIN, PLANNED = RunOptions(), TrainOptions(), PlannedOptions()


@verb()
def encode(
    texts: Annotated[list[str], Parameter(name="TEXT", help="The text files.")],
    /,
    *,
    output: Annotated[Path, Parameter(help="The directory to make.")],
    options: EncodeOptions | None = None,
    run: PlannedOptions = PLANNED,
) -> None:
    """Encode text files, one document a line, into a corpus directory. Compressed files are recognised; - is stdin."""
    from cooc_engine.corpus.encode import encode, plan_encode

    paths = [given(text) for text in texts]
    if planned(run, plan_encode, paths, output, options):
        return
    with Work(run) as work:
        corpus = encode(paths, output, options, **run.keywords())
    documents, words = corpus.documents, len(corpus.vocabulary)
    extra = {"tokens": corpus.tokens, "documents": documents, "words": words}
    work.print(output, f"{corpus.tokens:,} tokens in {documents:,} documents, {words:,} words", extra)


@verb()
def count(
    corpus: Annotated[Path, Parameter(name="CORPUS", help="The encoded corpus.")],
    /,
    *,
    output: Annotated[Path, Parameter(help="The directory to make.")],
    options: CountOptions | None = None,
    run: PlannedOptions = PLANNED,
) -> None:
    """Count the co-occurrences of an encoded corpus, exactly, into a co-occurrence directory."""
    from cooc_engine.counts.count import count, plan_count

    if planned(run, plan_count, corpus, output, options):
        return
    with Work(run) as work:
        cooc = count(corpus, output, options, **run.keywords())
    tokens = cooc.manifest["tokens"]
    work.print(output, f"{cooc.entries:,} entries from {tokens:,} tokens", {"entries": cooc.entries, "tokens": tokens})


@verb()
def merge(
    coocs: Annotated[list[Path], Parameter(name="COOC", help="The co-occurrence directories.")],
    /,
    *,
    output: Annotated[Path, Parameter(help="The directory to make.")],
    run: PlannedOptions = PLANNED,
) -> None:
    """Add up co-occurrence directories of equal vocabulary and options."""
    from cooc_engine.counts.merge import merge, plan_merge

    if planned(run, plan_merge, coocs, output):
        return
    with Work(run) as work:
        cooc = merge(coocs, output, **run.keywords())
    tokens = cooc.manifest["tokens"]
    work.print(output, f"{cooc.entries:,} entries from {tokens:,} tokens", {"entries": cooc.entries, "tokens": tokens})


@verb()
def append(
    cooc: Annotated[Path, Parameter(name="COOC", help="The co-occurrence directory to add to; it stays as it is.")],
    texts: Annotated[list[str], Parameter(name="TEXT", help="The new text files.")],
    /,
    *,
    output: Annotated[Path, Parameter(help="The directory to make.")],
    run: RunOptions = RUN,
) -> None:
    """Count new text on the vocabulary and by the options of a co-occurrence directory, and add both up."""
    from cooc_engine.pipeline.stages import append

    with Work(run) as work:
        both = append(cooc, [given(text) for text in texts], output, **run.keywords())
    tokens = both.manifest["tokens"]
    work.print(output, f"{both.entries:,} entries from {tokens:,} tokens", {"entries": both.entries, "tokens": tokens})


@verb()
def export_counts(
    cooc: Annotated[Path, Parameter(name="COOC", help="The co-occurrence directory.")],
    output: Annotated[
        Path, Parameter(name="OUT", help="The file to write: records as of `cooccur`, to be shuffled before `glove`, or HDF5.")
    ],
    /,
    *,
    vocab: Annotated[Path | None, Parameter(help="The file of words and counts to write, which GloVe wants.")] = None,
    format: Annotated[
        Literal["glove", "hdf5"], Parameter(help="Which of the two; `import-counts` knows them by themselves.")
    ] = "glove",
    run: RunOptions = RUN,
) -> None:
    """Write counts for other programs: the binary records and the vocabulary of GloVe's own, or one HDF5 file with CSR."""
    from cooc_engine.counts.directory import Cooc
    from cooc_engine.formats.glove_counts import export_glove
    from cooc_engine.formats.hdf5_counts import export_hdf5

    if (vocab is None) == (format == "glove"):
        raise UsageError(
            "--format glove takes a --vocab FILE to write" if vocab is None else "--vocab: goes into the HDF5 file"
        )
    with Work(run) as work:
        how, opened = run.fresh_keywords(), Cooc(cooc)
        export_hdf5(opened, output, **how) if vocab is None else export_glove(opened, output, vocab, **how)
    work.print(output, f"{opened.entries:,} entries", {"entries": opened.entries})


@verb()
def import_counts(
    source: Annotated[
        Path, Parameter(name="FILE", help="The HDF5 file, or the file of records; then the options say how these were counted.")
    ],
    /,
    *,
    output: Annotated[Path, Parameter(help="The directory to make.")],
    vocab: Annotated[Path | None, Parameter(help="The vocabulary of records: lines of a word and its count.")] = None,
    options: CountOptions | None = None,
    run: RunOptions = RUN,
) -> None:
    """Read what `export-counts` wrote, or the records of GloVe's `cooccur` or `shuffle`, in any order."""
    from cooc_engine.formats.glove_counts import import_glove
    from cooc_engine.formats.hdf5_counts import import_hdf5
    from cooc_engine.storage.hdf5 import form_of

    foreign = not form_of(source)
    if foreign != (vocab is not None) or (options and not foreign):
        raise UsageError(f"{source}: " + ("records take --vocab FILE" if foreign else "vocabulary and options are in the file"))
    with Work(run) as work:
        how = run.keywords()
        cooc = import_glove(source, vocab, output, options, **how) if vocab else import_hdf5(source, output, **how)
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
    kinds = {"options": family.options, "encode": EncodeOptions, "count": family.counting, "run": TrainOptions}
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


@verb("run")
def run_job(job: Annotated[Path, Parameter(name="JOB.toml", help="The job file.")], /, *, run: RunOptions = RUN) -> None:
    """Run a batch job; finished stages are kept, an interrupted one continues."""
    from cooc_engine.pipeline.job import run as run_library
    from cooc_engine.reports.table import Table

    with Work(run) as work:
        rows = run_library(job, **run.fresh_keywords())
    if run.json:
        print_json({"output": str(job), **work.record(), "evaluation": rows})
    elif any("settings" in row for row in rows):
        print_lines(Table.of(rows).lines())
    else:
        print_scores(rows)


@verb()
def index(model: VectorsFile, /, *, run: RunOptions = RUN) -> None:
    """Make the index of a model of millions of words beside it, for nn --approximate; say what share of neighbours it finds."""
    from cooc_engine.vectors.near_index import build_index

    with Work(run) as work:
        built = build_index(model, threads=work.threads, force=run.force, progress=open_progress(run.progress))
    text = f"{built.words:,} words, finds {100 * built.recall:.1f} % of the nearest 10"
    work.print(built.path, text, {"words": built.words, "recall": built.recall})


@verb()
def demo(
    *, output: Annotated[Path, Parameter(help="The directory to make.")] = Path("cooc-demo"), run: RunOptions = RUN
) -> None:
    """Run the whole pipeline on the documentation of this Python installation."""
    from cooc_engine.pipeline.demo import demo

    print_lines(demo(output, open_progress(run.progress)))


for function in (info, *(getattr(ask, name) for name in ask.__all__), ratio, compare, align, export):
    add_verb(app, function)
add_verb(app, import_file, "import")
add_verb(app, evaluate, "eval")


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Errors are one line on stderr."""
    try:
        app(modern(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return fail(_one_line(error), UsageError.exit_code)
    except CoocError as error:
        return fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return fail("interrupted", InterruptedRun.exit_code)
    except BrokenPipeError:
        drop_output()
    except MemoryError:
        return fail("out of memory; take less text at a time or a machine with more", ResourceError.exit_code)
    except OSError as error:
        drop_output()
        code = ResourceError.exit_code if error.errno in FULL else InputError.exit_code
        return fail(f"{error.filename or 'output'}: {error.strerror}", code)
    return 0


def _one_line(error: CycloptsError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CoocError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return " ".join(given(str(error)).split())

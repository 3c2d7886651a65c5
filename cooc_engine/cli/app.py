"""The command line: each verb calls one library function and shows what it returns.

Commands import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import CycloptsError, Group, Parameter

import cooc_engine
from cooc_engine._version import __version__
from cooc_engine.cli import ask, classifier
from cooc_engine.cli.console import Told, Work, carry_out, fail, print_lines, print_result, score_lines, show_notices
from cooc_engine.cli.contextual import embed, probe
from cooc_engine.cli.documents import infer
from cooc_engine.cli.exchange import align, export, import_file, quantize
from cooc_engine.cli.foreign_flags import given, modern, values
from cooc_engine.cli.hints import explanation
from cooc_engine.cli.judge import classify, cluster, compare, evaluate, info, ratio
from cooc_engine.cli.parameters import (
    CoocDirectory,
    Directory,
    ProgressKind,
    TextFiles,
    TrustTokenizer,
    VectorsFile,
    add_verb,
    new_app,
    panel,
)
from cooc_engine.cli.pictures import explore, plot
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.models.families import Family, family_of, trainable
from cooc_engine.runtime.interrupts import interrupts
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.progress import open_progress
from cooc_engine.runtime.run_options import PlannedOptions, RunOptions, SharedOptions, SharedTrainOptions, TrainOptions
from cooc_engine.runtime.streams import ReaderGone
from cooc_engine.storage.outputs import FULL

if TYPE_CHECKING:
    from cooc_engine import Cooc, Corpus

__all__ = ["main", "program"]

app = new_app(
    "cooc-engine",
    "From text to co-occurrence statistics and word vectors on one machine.",
    version=__version__,
    version_flags=["--version", "-V"],
    group_commands=Group("Flags", sort_key=99),
    help_format="plaintext",
    result_action="return_value",
)
train = new_app(
    "train", "Train a model on a text, on an encoded corpus, or on counts; a text is encoded and counted on the way."
)

RUN, TRAIN, SHARED, PLANNED = RunOptions(), TrainOptions(), SharedOptions(), PlannedOptions()
CountFile = Annotated[
    Path, Parameter(name="FILE"), "The HDF5 file, or a file of records; the options then say how these were counted."
]


def encode(
    texts: TextFiles, /, *, output: Directory, options: EncodeOptions | None = None, run: PlannedOptions = PLANNED
) -> None:
    """Encode text files, one document per line, into a corpus directory. Compressed files are recognised; - reads stdin.

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
    """Count the co-occurrences of an encoded corpus, exactly, into a co-occurrence directory.

    For example:

        cooc-engine count corpus --output cooc --window 10
        cooc-engine count corpus --output cooc --memory 512M --dry-run
    """
    carry_out(run, cooc_engine.count, cooc_engine.plan_count, _entries_and_tokens, corpus, output, options)


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
    """Count new text with the vocabulary and options of a co-occurrence directory, and add up both counts.

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


def export_counts(
    cooc: CoocDirectory,
    output: Annotated[Path, Parameter(name="OUT"), "The file to write: unshuffled records, like those of `cooccur`, or HDF5."],
    /,
    *,
    vocab: Annotated[Path | None, "The vocabulary file to write as well, for GloVe: words and counts."] = None,
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
        _train(model, given(source), output, options, encode, count, run)

    def on_text(source: Any, /, *, output: Path, options: Any = None, encode: Any = None, run: Any = TRAIN) -> None:
        on_counts(source, output=output, options=options, encode=encode, run=run)

    command, source = (on_counts, COUNTED) if family.counting else (on_text, "An encoded corpus, or a text.")
    run = SharedTrainOptions if family.shared else TrainOptions
    kinds = {"options": family.options, "encode": family.encoding, "count": family.counting, "run": run}
    annotations = {"source": Annotated[str, Parameter(name="INPUT")], "output": Path}
    command.__annotations__ = annotations | {name: kind | None for name, kind in kinds.items() if kind}
    fields = f"source\n    {source}\noutput\n    The model file to write, HDF5.\n"
    example = f"For example:\n\n    cooc-engine train {model} {'cooc' if family.counting else 'text.txt'} --output {model}.h5"
    command.__doc__ = f"{family.title}\n\n{example}\n\nParameters\n----------\n{fields}"
    add_verb(train, command, model, ON_COUNTS if family.counting else ON_TEXT)


ON_COUNTS, ON_TEXT = Group("Trained on counts", sort_key=0), Group("Trained on the text", sort_key=1)
COUNTED = "A co-occurrence directory, an encoded corpus, or a text."
for name, family in trainable().items():
    _train_command(name, family)


def _train(
    model: str,
    source: str,
    output: Path,
    options: Options | None,
    encode: EncodeOptions | None,
    count: CountOptions | None,
    run: TrainOptions,
) -> None:
    from cooc_engine.pipeline.training import train_family

    with Work(run) as work:
        trained = train_family(model, source, output, options, encode, count, run.training_keywords())
    rows, size = trained.matrix.shape
    loss = f", {family_of(model).measure} {trained.history[-1]['loss']:.4f}" if trained.history else ""
    work.print(output, f"{rows:,} vectors of size {size}{loss}", {"history": list(trained.history)})


def run_job(
    job: Annotated[Path, Parameter(name="JOB"), "The job file."],
    /,
    *,
    force_stage: Annotated[
        tuple[str, ...],
        Parameter(group=panel("Running")),
        "Make a stage anew, and all that is made of it: a file, or its table.",
    ] = (),
    run: PlannedOptions = PLANNED,
) -> None:
    """Run a batch job; finished stages are kept, and an interrupted one is continued.

    For example:

        cooc-engine run job.toml
        cooc-engine run job.toml --dry-run
        cooc-engine run job.toml --force-stage glove.h5
    """
    from cooc_engine.pipeline.job import job_output
    from cooc_engine.reports.table import Table

    result = {"output": str(job_output(job)), "job": str(job)}
    if run.dry_run:
        plans = cooc_engine.plan_run(job, force=run.force, force_stage=force_stage, **run.plan_keywords())
        stages = [plan.record() for plan in plans]
        print_result(run.json, {**result, "stages": stages}, [plan.line() for plan in plans])
        return
    with Work(run) as work:
        rows = cooc_engine.run(job, force_stage=force_stage, **run.fresh_keywords())
    lines = Table.of(rows).lines() if any("settings" in row for row in rows) else score_lines(rows)
    finished = [f"{result['output']}: finished, {work.seconds:.1f} s"]
    print_result(run.json, {**result, **work.record(), "evaluation": rows}, lines if rows else finished)


def index(model: VectorsFile, /, *, run: RunOptions = RUN) -> None:
    """Build an index for nn --approximate beside a model of millions of words, and print its recall.

    For example:

        cooc-engine index model.h5
        cooc-engine nn --approximate model.h5 water
    """
    with Work(run) as work:
        built = cooc_engine.build_index(model, threads=work.threads, force=run.force, progress=open_progress(run.progress))
    text = f"{built.words:,} words, finds {100 * built.recall:.1f} % of the nearest 10"
    work.print(built.path, text, {"words": built.words, "recall": built.recall})


def demo(*, output: Directory = Path("cooc-demo"), run: RunOptions = RUN) -> None:
    """Run the whole pipeline on the documentation of this Python installation.

    For example:

        cooc-engine demo --output cooc-demo
    """
    from cooc_engine.pipeline.demo import demo

    print_lines(demo(output, open_progress(run.progress)))


def warm(*, progress: ProgressKind = "auto", json: Annotated[bool, "Print the result as one JSON object."] = False) -> None:
    """Compile all kernels now, once for this machine; otherwise each is compiled when it is first needed.

    For example:

        cooc-engine warm
        NUMBA_CACHE_DIR=/opt/cache cooc-engine warm --progress lines
    """
    from cooc_engine.runtime import warming

    found = warming.warm(open_progress(progress))
    print_result(json, found._asdict(), [f"{found.directory}: has all kernels, {found.compiled} of them compiled now"])


def help(command: Annotated[tuple[str, ...], Parameter(name="COMMAND...")] = (), /) -> None:
    """Show the help of a command.

    For example:

        cooc-engine help train glove
    """
    found = app
    for word in command:
        if word not in found:
            near = difflib.get_close_matches(word, [*found], 1)
            raise UsageError(f"there is no command {' '.join(command)!r}{f'; did you mean {near[0]}?' if near else ''}")
        found = found[word]
    app.help_print([*command])


def install_completion(
    *, shell: Annotated[Literal["bash", "zsh", "fish"] | None, "The shell; by default the one that you are using."] = None
) -> None:
    """Install completion of verbs and flags by TAB for your shell, in your home directory."""
    from cyclopts.completion import ShellDetectionError

    try:
        script = app.install_completion(shell=shell)
    except ShellDetectionError:
        raise UsageError("the shell is not known; pass --shell bash, zsh or fish") from None
    print_lines([f"{script}: written, and loaded by new shells"])


# All verbs, by what one wants to do, in the order of the help.
VERBS: dict[str, Sequence[Any]] = {
    "From text to counts": (encode, count, merge, append),
    "Models": (train, classifier.autotune, infer, embed, quantize, align, index, run_job),
    "Questions": [getattr(ask, name) for name in ask.__all__],
    "Classification": (classifier.predict, classifier.predict_prob, classifier.test, classifier.test_label),
    "Pictures": (plot, explore),
    "Judging": (evaluate, compare, cluster, classify, probe, ratio, info),
    "Other programs": (export, import_file, export_counts, import_counts),
    "Getting started": (demo, warm, help),
}
NAMES = {"run_job": "run", "import_file": "import", "evaluate": "eval"}  # verbs whose functions cannot be named after them

for place, (title, verbs) in enumerate(VERBS.items()):
    group = Group(title, sort_key=place)
    for verb in verbs:
        add_verb(app, verb, NAMES.get(getattr(verb, "__name__", "")), group)
add_verb(app, install_completion, "--install-completion")


def program(arguments: Sequence[str]) -> int:
    """Run a command line as `main` does, and say so if it first has to wait for kernels to be compiled."""
    shown = values("--progress", arguments)
    if "none" not in shown:
        show_notices(as_json="json" in shown)
    return main(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Errors are one line on stderr, or a JSON object if JSON was asked for."""
    as_json = "--json" in arguments or "json" in values("--progress", arguments)
    with interrupts():
        failure = _failure(modern(arguments))
    return fail(*failure, as_json=as_json) if failure else 0


def _failure(arguments: Sequence[str]) -> tuple[str, int] | None:
    """Run a command line; returns the message and the exit code of what went wrong."""
    try:
        app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except ReaderGone:
        return None
    except CycloptsError as error:
        return explanation(error, app), UsageError.exit_code
    except CoocError as error:
        return error.flags, error.exit_code
    except KeyboardInterrupt:
        return "interrupted", InterruptedRun.exit_code
    except MemoryError:
        return "out of memory; take less text at a time or a machine with more", ResourceError.exit_code
    except OSError as error:
        code = ResourceError.exit_code if error.errno in FULL else InputError.exit_code
        what = error.strerror or str(error)
        return f"{error.filename}: {what}" if error.filename else what, code
    return None

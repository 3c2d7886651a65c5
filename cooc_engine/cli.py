"""The command line: each verb calls one library function and prints what it returns; nothing else in the engine prints.

Commands import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from cooc_engine import __version__
from cooc_engine.arguments import given, modern
from cooc_engine.config import (
    WHOLE,
    CbowOptions,
    CountOptions,
    EncodeOptions,
    GloveOptions,
    Options,
    RunOptions,
    SkipgramOptions,
    usable_cores,
)  # fmt: skip
from cooc_engine.errors import CoocError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.progress import Progress, open_progress
from cooc_engine.store import FULL

__all__ = ["main"]

app = App(
    name="cooc-engine",
    help="From text to co-occurrence statistics and word vectors on one machine.",
    version=__version__,
    default_parameter=Parameter(negative=()),
    help_format="plaintext",
    result_action="return_value",
)
train = App(
    name="train", help="Train a model on counts or on a corpus; on a text, which is then encoded, and counted, on the way."
)
app.command(train)

RUN = RunOptions()


@app.command
def encode(
    texts: Annotated[list[str], Parameter(name="TEXT")],
    /,
    *,
    output: Path,
    options: EncodeOptions | None = None,
    run: RunOptions = RUN,
) -> None:
    """Encode text files, one document a line, into a corpus directory. Compressed files are recognised; - is stdin.

    Parameters
    ----------
    texts
        The text files.
    output
        The directory to make.
    """
    from cooc_engine.corpus import encode

    with _Work(run) as work:
        corpus = encode([given(text) for text in texts], output, options, **work.how)
    documents, words = corpus.documents, len(corpus.vocabulary)
    extra = {"tokens": corpus.tokens, "documents": documents, "words": words}
    work.print(output, f"{corpus.tokens:,} tokens in {documents:,} documents, {words:,} words", extra)


@app.command
def count(
    corpus: Annotated[Path, Parameter(name="CORPUS")],
    /,
    *,
    output: Path,
    options: CountOptions | None = None,
    run: RunOptions = RUN,
) -> None:
    """Count the co-occurrences of an encoded corpus, exactly, into a co-occurrence directory.

    Parameters
    ----------
    corpus
        The encoded corpus.
    output
        The directory to make.
    """
    from cooc_engine.cooc import count

    with _Work(run) as work:
        cooc = count(corpus, output, options, **work.how)
    tokens = cooc.manifest["tokens"]
    work.print(output, f"{cooc.entries:,} entries from {tokens:,} tokens", {"entries": cooc.entries, "tokens": tokens})


@app.command
def merge(
    coocs: Annotated[list[Path], Parameter(name="COOC")],
    /,
    *,
    output: Path,
    run: RunOptions = RUN,
) -> None:
    """Add up co-occurrence directories of equal vocabulary and options.

    Parameters
    ----------
    coocs
        The co-occurrence directories.
    output
        The directory to make.
    """
    from cooc_engine.cooc import merge

    with _Work(run) as work:
        cooc = merge(coocs, output, **work.how)
    tokens = cooc.manifest["tokens"]
    work.print(output, f"{cooc.entries:,} entries from {tokens:,} tokens", {"entries": cooc.entries, "tokens": tokens})


@app.command
def append(
    cooc: Annotated[Path, Parameter(name="COOC")],
    texts: Annotated[list[str], Parameter(name="TEXT")],
    /,
    *,
    output: Path,
    run: RunOptions = RUN,
) -> None:
    """Count new text on the vocabulary and by the options of a co-occurrence directory, and add both up.

    Parameters
    ----------
    cooc
        The co-occurrence directory to add to; it stays as it is.
    texts
        The new text files.
    output
        The directory to make.
    """
    from cooc_engine.stages import append

    with _Work(run) as work:
        both = append(cooc, [given(text) for text in texts], output, **work.how)
    tokens = both.manifest["tokens"]
    work.print(output, f"{both.entries:,} entries from {tokens:,} tokens", {"entries": both.entries, "tokens": tokens})


@app.command
def export_counts(
    cooc: Annotated[Path, Parameter(name="COOC")],
    records: Annotated[Path, Parameter(name="RECORDS")],
    /,
    *,
    vocab: Path,
    run: RunOptions = RUN,
) -> None:
    """Write counts as the binary records and the vocabulary that GloVe's own programs read.

    Parameters
    ----------
    cooc
        The co-occurrence directory.
    records
        The file of records to write, as `cooccur` would; to be shuffled before `glove`.
    vocab
        The file of words and counts to write.
    """
    from cooc_engine.interchange import export_glove

    export_glove(cooc, records, vocab, force=run.force, progress=_progress(run))


@app.command
def import_counts(
    records: Annotated[Path, Parameter(name="RECORDS")],
    /,
    *,
    vocab: Path,
    output: Path,
    options: CountOptions | None = None,
    run: RunOptions = RUN,
) -> None:
    """Read the records of GloVe's `cooccur` or `shuffle`; the options say how they were counted.

    Parameters
    ----------
    records
        The file of records.
    vocab
        Its vocabulary: lines of a word and its count.
    output
        The directory to make.
    """
    from cooc_engine.interchange import import_glove

    with _Work(run) as work:
        cooc = import_glove(records, vocab, output, options, force=run.force, progress=work.how["progress"])
    work.print(output, f"{cooc.entries:,} entries", {"entries": cooc.entries})


def _train_command(model: str, options: type[Options], title: str, source: str = "An encoded corpus, or a text.") -> None:
    """Make the command that trains a family; those that `source` says to take counts have the options of `count` too."""

    def on_counts(
        source: Any, /, *, output: Path, options: Any = None, encode: Any = None, count: Any = None, run: Any = RUN
    ) -> None:
        _train(model, Path(given(source)), output, options, encode, count, run)

    def on_text(source: Any, /, *, output: Path, options: Any = None, encode: Any = None, run: Any = RUN) -> None:
        on_counts(source, output=output, options=options, encode=encode, run=run)

    command = on_counts if source == COUNTED else on_text
    kinds = {"options": options, "encode": EncodeOptions, "count": CountOptions, "run": RunOptions}
    annotations = {"source": Annotated[str, Parameter(name="INPUT")], "output": Path}
    command.__annotations__ = annotations | {name: kind | None for name, kind in kinds.items()}
    command.__doc__ = f"{title}\n\nParameters\n----------\nsource\n    {source}\noutput\n    The model file to write, HDF5.\n"
    train.command(command, name=model)


COUNTED = "A co-occurrence directory, an encoded corpus, or a text."
_train_command("glove", GloveOptions, "Train GloVe (Pennington, Socher and Manning 2014).", COUNTED)
_train_command("skipgram", SkipgramOptions, "Train skip-gram (Mikolov et al. 2013).")
_train_command("cbow", CbowOptions, "Train CBOW, the continuous bag of words (Mikolov et al. 2013).")


def _train(
    model: str,
    source: Path,
    output: Path,
    options: Options | None,
    encode: EncodeOptions | None,
    count: CountOptions | None,
    run: RunOptions,
) -> None:
    from cooc_engine.models import family_of, train
    from cooc_engine.stages import prepared

    takes = family_of(model).takes
    with _Work(run) as work, prepared(source, output, encode, count, takes=takes, **work.how) as data:
        trained = train(model, data, output, options, **work.how)
    rows, size = trained.vectors.shape
    loss = trained.history[-1]["loss"]
    work.print(output, f"{rows:,} vectors of size {size}, loss {loss:.4f}", {"history": list(trained.history)})


@app.command(name="run")
def run_job(job: Annotated[Path, Parameter(name="JOB.toml")], /, *, run: RunOptions = RUN) -> None:
    """Run a batch job; finished stages are kept, an interrupted one continues.

    Parameters
    ----------
    job
        The job file.
    """
    from cooc_engine.job import run as run_library

    with _Work(run) as work:
        how = {key: value for key, value in work.how.items() if key != "resume"}
        rows = run_library(job, **how)
    if run.json:
        _print_json({"output": str(job), **work.record(), "evaluation": rows})
    else:
        _print_scores(rows)


@app.command
def info(path: Annotated[Path, Parameter(name="PATH")], /, *, json: bool = False) -> None:
    """Tell what a corpus, a co-occurrence directory or a model is: everything that it records.

    Parameters
    ----------
    path
        The directory or file.
    json
        Print one JSON object.
    """
    from cooc_engine.summary import info

    record = info(path)
    if json:
        _print_json(record)
    else:
        for line in _lines(record):
            print(line)


@app.command
def nn(
    model: Annotated[Path, Parameter(name="FILE.h5")],
    words: Annotated[list[str], Parameter(name="WORD")],
    /,
    *,
    topn: Annotated[int, WHOLE, Parameter(alias=["--k", "-k"])] = 10,
    json: bool = False,
) -> None:
    """Print the words nearest to each WORD by cosine; a word - reads words from stdin, a line each.

    Parameters
    ----------
    model
        The model file.
    words
        The words to look up.
    topn
        How many neighbours.
    json
        Print one JSON object.
    """
    from cooc_engine.query import nn

    if topn < 1:
        raise UsageError(f"--topn is {topn}; it must be at least 1")
    asked = [word for asked in words for word in (sys.stdin.read().split() if given(asked) == "-" else [asked])]
    if not asked:
        raise InputError("no words to look up")
    neighbours = nn(model, asked, topn)
    if json:
        _print_json(neighbours)
        return
    for word, found in neighbours.items():
        print(word)
        for neighbour, cosine in found:
            print(f"  {cosine:.4f}  {neighbour}")


@app.command(name="eval")
def evaluate(
    models: Annotated[list[Path], Parameter(name="FILE.h5")],
    /,
    *,
    pairs: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    analogies: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    restrict: Annotated[int, WHOLE] = 30_000,
    by_section: bool = False,
    json: bool = False,
) -> None:
    """Judge models by word pairs (Spearman and Pearson) and by analogies (3CosAdd and 3CosMul).

    Parameters
    ----------
    models
        The model files.
    pairs
        Files of word pairs: word, word, human score, with tabs between.
    analogies
        Files of questions: four words a line, sections begin with a colon.
    restrict
        Ask analogies among so many of the most frequent words.
    by_section
        Show each section of the analogies too.
    json
        Print a JSON list.
    """
    from cooc_engine.evaluation import evaluate

    if not pairs and not analogies:
        raise UsageError("nothing to judge by; pass --pairs FILE or --analogies FILE")
    if restrict < 1:
        raise UsageError(f"--restrict is {restrict}; it must be at least 1")
    rows = evaluate(models, pairs=pairs or (), analogies=analogies or (), restrict=restrict, by_section=by_section)
    if json:
        _print_json(rows)
    else:
        _print_scores(rows)


@app.command
def demo(*, output: Path = Path("cooc-demo"), run: RunOptions = RUN) -> None:
    """Run the whole pipeline on the documentation of this Python installation.

    Parameters
    ----------
    output
        The directory to make.
    """
    from cooc_engine.demo import demo

    for line in demo(output, _progress(run)):
        print(line)


class _Work:
    """Run a verb: its options as library keywords in `how`, and after it `print` of what it did."""

    def __init__(self, run: RunOptions) -> None:
        from cooc_engine.measure import Measure

        self._run, self._measure = run, Measure()
        self.threads = run.threads or usable_cores()
        self.how: dict[str, Any] = {
            "threads": self.threads,
            "memory": run.memory,
            "force": run.force,
            "resume": run.resume,
            "progress": _progress(run),
        }

    def __enter__(self) -> _Work:
        self._measure.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._measure.__exit__(*error)

    def record(self) -> dict[str, Any]:
        memory = self._measure.peak_memory_bytes
        return {"seconds": round(self._measure.seconds, 4), "threads": self.threads, "peak_memory_bytes": memory}

    def print(self, output: Path, text: str, extra: dict[str, Any]) -> None:
        if self._run.json:
            _print_json({"output": str(output), **self.record(), **extra})
        else:
            print(f"{output}: {text}, {self._measure.seconds:.1f} s")


def _progress(run: RunOptions) -> Progress:
    return open_progress(run.progress)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))


def _print_scores(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        value = "  --  " if row["value"] is None else f"{row['value']:6.4f}"
        print(f"{row['model']}  {row['dataset']:24s}  {row['kind']:11s}  {value}  {row['covered']} of {row['total']}")


def _lines(record: Any, indent: str = "") -> Iterable[str]:
    """Yield a nested record as indented lines."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict | list):
            yield f"{indent}{key}: {len(value)}"
            yield from (f"{indent}  {json.dumps(item, ensure_ascii=False)}" for item in value)
        else:
            yield f"{indent}{key}: {value}"


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Errors are one line on stderr."""
    try:
        app(modern(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(_one_line(error), UsageError.exit_code)
    except CoocError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", InterruptedRun.exit_code)
    except BrokenPipeError:
        _drop_output()
    except MemoryError:
        return _fail("out of memory; take less text at a time or a machine with more", ResourceError.exit_code)
    except OSError as error:
        _drop_output()
        code = ResourceError.exit_code if error.errno in FULL else InputError.exit_code
        return _fail(f"{error.filename or 'output'}: {error.strerror}", code)
    return 0


def _drop_output() -> None:
    """Throw away what could not be printed, so that the interpreter does not try again when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(error: CycloptsError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CoocError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return " ".join(given(str(error)).split())


def _fail(text: str, code: int) -> int:
    print(f"cooc-engine: {text}", file=sys.stderr)
    return code

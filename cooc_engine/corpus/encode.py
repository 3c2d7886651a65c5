"""Encoding a text: tokenize it once with provisional ids, rank the words, and renumber the ids into shards.

The first pass reads blocks in order; each worker thread has its own hash table. Provisional ids and document ends are
spooled to disk, so memory holds only the tables and a few blocks. Then the tables are merged, words are ranked, and the
second pass writes shards. Ranks depend only on the counts and the bytes of the words, so the files are the same for any
number of threads.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.corpus.allotment import Allotment
from cooc_engine.corpus.directory import ID_FILES, KIND, MEMBERS, VERSION, Corpus
from cooc_engine.corpus.document_ids import IdsWriter
from cooc_engine.corpus.first_pass import PassCheckpoint, Spool, Tables, checkpoint_of, tokenize
from cooc_engine.corpus.forecast import SAMPLE_BYTES
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.phrases import join_phrases
from cooc_engine.corpus.ranges import RangesCheckpoint, RangeTables, can_be_shared, spool_ranges, write_range_rows
from cooc_engine.corpus.second_pass import write_corpus
from cooc_engine.corpus.text_input import TextInput
from cooc_engine.corpus.vocabulary import RESERVED, VOCABULARY_FILES, Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import FreshKeywords, Run, SharedKeywords, SharedPlanKeywords
from cooc_engine.runtime.machine import return_memory
from cooc_engine.runtime.options import defaulted, refusal
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Progress
from cooc_engine.runtime.types import PathLike
from cooc_engine.runtime.workers import Workers
from cooc_engine.storage.arrays import bound_files
from cooc_engine.storage.outputs import building, check_same, clear
from cooc_engine.text import files, readers
from cooc_engine.text.id_column import IdColumn
from cooc_engine.text.stores import TextPath
from cooc_engine.text.tagged import SEPARATOR, TaggedDocument, Tags, is_tagged
from cooc_engine.text.tokenizer_pool import Processes
from cooc_engine.text.wrapping import wrapped_at

if TYPE_CHECKING:
    from typing_extensions import Unpack

TABLES = {".csv", ".json", ".jsonl", ".parquet"}  # suffixes of files of which only a part is text
__all__ = ["check_corpus", "encode", "encode_documents", "plan_encode"]


def encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[SharedKeywords],
) -> Corpus:
    """Encode text files, one document per line, into the directory `output`.

    Files may be compressed (gz, bz2, xz, zst, recognised by their first bytes); `-` is standard input. The result does not
    depend on `threads`, on `memory`, the budget in bytes or as `512M`, or on `processes`, which share several files among
    them. A tokenizer written in Python runs in `threads` processes; the budget includes a few lines in each, but not the
    memory that a user's function takes.
    Raises `InputError`, naming file and byte, for text that is missing, empty, binary, truncated or not UTF-8, and, naming
    file and line, if a tokenizer fails; `UsageError` if there is no such tokenizer.
    """
    return _encode(TextInput.of(texts), path_of(output), options, Run.of("encode", run, SharedKeywords))


@gated
def plan_encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[SharedPlanKeywords],
) -> Plan:
    """Return the plan of `encode`, its memory and disk usage in bytes, and write nothing.

    Disk usage is predicted from a sample of about 1 MiB, taken throughout the files if they are plain text, and from their
    beginnings if they are compressed. It is None for standard input, invalid text, and Python tokenizers. Raises `UsageError`
    as `encode` does, and `InputError` for a missing file.
    """
    how, text = Run.of("plan_encode", run, SharedPlanKeywords), TextInput.of(texts)
    options = defaulted("plan_encode", EncodeOptions, options).loaded()
    options.check_use()
    text.refuse_missing()
    with how.shared() as workers:
        return Allotment.of(workers.memory, workers.threads, options).foreseen(text.paths, options, path_of(output))


def encode_documents(
    documents: Iterable[str | Sequence[str] | TaggedDocument],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[FreshKeywords],
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is read once, so it may be a generator.

    >>> corpus = encode_documents(["ice is cold", ["steam", "is", "hot"]], "weather", EncodeOptions(min_count=1))
    >>> corpus.tokens, corpus.documents, corpus.vocabulary.words
    (6, 2, ['is', 'cold', 'hot', 'ice', 'steam'])

    A string is split by the tokenizer of the options; a sequence of words is taken unchanged. Documents are numbered from 1,
    unless each is a `TaggedDocument`, whose tags do not contain the `tag_separator`, a comma by default.
    """
    how = Run.of("encode_documents", run, FreshKeywords)
    if isinstance(documents, str | bytes):
        raise UsageError("documents is one string, not several; pass [text] for one document, or names of files to encode()")
    if isinstance(documents, Mapping) or hasattr(documents, "columns"):  # which iterate over their names alone
        raise UsageError(f"documents is a {type(documents).__name__}; pass its texts: one column, or its values")
    chosen = defaulted("encode_documents", EncodeOptions, options)
    for name in ("doc_id_column", "document", "encoding"):
        if getattr(chosen, name) != getattr(EncodeOptions, name):
            raise UsageError(f"--{name.replace('_', '-')} is for text files; documents of an iterable have none")
    documents, with_tags = _seen(documents)
    if with_tags and chosen.tag_separator is None:
        options = replace(chosen, tag_separator=SEPARATOR)
    elif chosen.tag_separator is not None and not with_tags:
        raise UsageError("--tag-separator is for documents with tags; pass TaggedDocument(words, tags) for each")
    ways = functools.partial(readers.document_blocks, documents), functools.partial(readers.document_pieces, documents)
    text = TextInput(["documents"], [], *ways)
    return _encode(text, path_of(output), options, how)


def _seen(documents: Iterable[Any]) -> tuple[Iterable[Any], bool]:
    """Return the same documents, and whether the first one has tags; raises `UsageError` if they are none."""
    try:
        rest = iter(documents)
    except TypeError:
        raise refusal("documents", documents, "an iterable of documents, each a string or a sequence of words") from None
    first = [*itertools.islice(rest, 1)]
    return itertools.chain(first, rest), any(map(is_tagged, first))


def check_corpus(corpus: Corpus, options: EncodeOptions, text: TextInput, flag: str = "--force") -> None:
    """Raise `UsageError`, naming what differs and the flag to pass, if a corpus was made of another text or with other options.

    Raises `InputError` for a missing text, unless the corpus was made of it.
    """
    found = {"options": corpus.options.record(), "texts": corpus.manifest["texts"]}
    if found["texts"] != text.names:
        text.refuse_missing()
    check_same(corpus.path, found, {"options": options.record(), "texts": text.names}, flag=flag)


def _encode(text: TextInput, output: Path, options: EncodeOptions | None, run: Run) -> Corpus:
    options = (options or EncodeOptions()).loaded()
    options.check_use()
    if text.paths and options.tag_separator is not None and options.doc_id_column is None:
        raise UsageError("--tag-separator is for the ids of a column; pass --doc-id-column too, or leave it out")
    if run.keeps(output):
        corpus = Corpus(output)
        check_corpus(corpus, options, text)
        run.tell_kept(output)
        return corpus
    text.refuse_missing()
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "texts": text.names}
    with run.shared() as workers:
        room = Allotment.of(workers.memory, workers.threads, options)
        shared = workers.count > 1 and can_be_shared(text.paths, options)
        cutting = 1 if shared else workers.here.threads  # workers have tokenizers of their own

        def peak() -> int | None:
            return room.foreseen(text.paths, options, output).peak

        with (
            Processes(options.cut, cutting) if options.runs_python else nullcontext() as processes,
            building(output, plan, MEMBERS, **run.claim, peak=peak) as work,
            workers.at(work),
        ):
            if run.shown.speaks:
                run.shown.say(room.foreseen(text.paths, options, output).line())
                for line in _doubts(text.paths, options):
                    run.shown.say(line)
            _build(work, text, options, room, processes, workers, run.shown)
    return Corpus(output)


def _build(
    work: Path,
    text: TextInput,
    options: EncodeOptions,
    room: Allotment,
    processes: Processes | None,
    workers: Workers,
    progress: Progress,
) -> None:
    """Write all missing files of the corpus."""
    stamps = files.stamps(text.paths)
    point = RangesCheckpoint.load(work) or PassCheckpoint.load(work)
    whole = Corpus.is_finished(work)
    if point.texts != stamps if point else not whole:  # nothing of another text may remain
        point, whole = None, False
        clear(work)
    if not whole:
        if point:
            point.verify(work)
        if isinstance(point, RangesCheckpoint) or (point is None and workers.count > 1 and can_be_shared(text.paths, options)):
            point = _first_pass_in_ranges(work, text, options, room, point, workers, progress)
        elif point is None or not point.complete:
            own = Allotment.of(workers.here.memory, workers.here.threads, options)
            point = _first_pass(work, text, stamps, options, own, point, processes, progress)
        write_corpus(work, point, options, text.names, workers, progress)
    for path in (*work.glob("*.spool"), work / "first-pass.json", work / "ranges.json"):
        path.unlink(missing_ok=True)


def _first_pass_in_ranges(
    work: Path,
    text: TextInput,
    options: EncodeOptions,
    room: Allotment,
    point: RangesCheckpoint | None,
    workers: Workers,
    progress: Progress,
) -> RangesCheckpoint:
    """Do what `_first_pass` does, in ranges of files that several workers share."""
    if point and point.complete:
        return point
    point = spool_ranges(work, text.paths, options, room, point, workers, progress)
    if point.tokens == 0:
        raise _no_words(text.names, options)
    with progress.stage("rank words", sum(sum(one.tables) for one in point.passes), "words") as stage:
        vocabulary = _rank(RangeTables(work, point.passes, room.ranking, workers), options, text.names)
        if options.vocabulary is not None:
            vocabulary.save(work)
        point = write_range_rows(work, point, room.ranking, workers, stage)
    point = replace(point, files=bound_files(work, VOCABULARY_FILES))
    point.save(work)
    return point


def _no_words(names: list[str], options: EncodeOptions) -> InputError:
    tabs = " Ids of documents are in columns separated by tabs, not commas." if options.doc_id_column else ""
    return InputError(f"{', '.join(names)}: contains no words; is it the right file?{tabs}")


def _doubts(paths: Sequence[TextPath], options: EncodeOptions) -> Iterator[str]:
    """Yield a warning for each option that seems not to suit the names of the files or a sample of the text."""
    for path in paths:
        if isinstance(path, Path) and TABLES & {*path.suffixes}:
            yield (
                f"warning: {path}: looks like a table, and all its columns are read as text; pass the column of text alone, or "
                "take it in Python with encode_documents()"
            )
    if options.document == "line" and options.doc_id_column is None and paths and files.total_bytes(paths):
        with suppress(InputError, OSError):  # errors in a text are reported when it is read
            width = wrapped_at(readers.sample_text(paths, SAMPLE_BYTES, options.reading())[0])
            if width is not None:
                yield (
                    f"warning: the lines look as if they were broken at {width} characters, and each is taken for a document: "
                    "no window reaches beyond it; if blank lines separate paragraphs, pass --document blank-line"
                )


def _first_pass(
    work: Path,
    text: TextInput,
    stamps: list[tuple[int, int] | None],
    options: EncodeOptions,
    room: Allotment,
    point: PassCheckpoint | None,
    processes: Processes | None,
    progress: Progress,
) -> PassCheckpoint:
    """Spool the text, write the vocabulary, and the row in it of every id; returns the last checkpoint, already written."""
    ids = IdsWriter(work) if options.has_ids else None
    column = _taker(options, ids) if ids else None
    reading = options.reading()
    reading.faults = point.faults if point else 0
    blocks = text.reader(room, reading, processes, point.place if point else None, column)
    tables = Tables(work, room.threads, room.table, room.ranking, point)
    with ids or nullcontext(), Spool(work, point) as spool, progress.stage("tokenize", text.size, "bytes") as stage:

        def save(place: readers.Place) -> None:
            written = tables.flush()
            spool.flush()
            checkpoint_of(stamps, spool, tables, written, place, faults=reading.finished).save(work)

        again = None not in stamps and not processes and not ids
        with files.unchanged(text.paths):
            tokenize(blocks, spool, tables, room.threads, room.block, stage, save if again else None)
    if spool.tokens == 0:
        raise _no_words(text.names, options)
    return_memory()
    vocabulary = _rank(tables, options, text.names)
    return_memory()
    point = checkpoint_of(stamps, spool, tables, tables.write_rows(vocabulary), faults=reading.faults)
    return_memory()
    for number in range(options.phrases):
        point, vocabulary = join_phrases(work, point, vocabulary, number, options, room.ranking, progress)
    if options.vocabulary is not None:
        vocabulary.save(work)
    point = replace(point, files=bound_files(work, {**VOCABULARY_FILES, **(ID_FILES if ids else {})}))
    point.save(work)
    return point


def _taker(options: EncodeOptions, ids: IdsWriter) -> IdColumn | Tags:
    """Return the object that removes ids from the lines of files, or tags from the documents of an iterable."""
    if options.doc_id_column is None:
        return Tags(options.tag_separator or SEPARATOR, ids.append)
    return IdColumn(options.doc_id_column, ids.append, options.doc_id_type == "int64", options.tag_separator)


def _rank(tables: Tables | RangeTables, options: EncodeOptions, names: list[str]) -> Vocabulary:
    """Rank the words of all tables, or return the vocabulary given in the options."""
    if options.vocabulary is not None:
        return Vocabulary.stored_in(path_of(options.vocabulary))
    most_words = None if options.phrases else options.max_vocab  # phrases compete for the places first
    vocabulary = tables.rank(options.min_count, most_words)
    if not len(vocabulary):
        most = tables.rank(1, 1)
        raise InputError(
            f"{', '.join(names)}: no word occurs {options.min_count} times or more (the most frequent, {most.words[0][:40]!r}, "
            f"{most.counts[0]}); lower --min-count"
        )
    if options.reserved == "refuse":
        _refuse_reserved(vocabulary, names)
    return vocabulary


def _refuse_reserved(vocabulary: Vocabulary, names: list[str]) -> None:
    for word in RESERVED:
        if (row := vocabulary.find(word)) >= 0:
            raise InputError(
                f"{', '.join(names)}: {word} is a word of the text ({vocabulary.counts[row]:,} times), which {RESERVED[word]}; "
                f"write <raw_{word[1:]} for it in the text, or pass --reserved=keep"
            )

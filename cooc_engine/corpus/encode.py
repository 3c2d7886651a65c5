"""Encoding a text: tokenize it once with provisional ids, rank the words, and renumber the ids into shards.

The first pass reads blocks in order; each worker thread has its own hash table. Provisional ids and document ends are
spooled to disk, so memory holds only the tables and a few blocks. Then the tables are merged, words are ranked, and the
second pass writes shards. Ranks depend only on the counts and the bytes of the words, so the files are the same for any
number of threads.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.corpus.allotment import Allotment
from cooc_engine.corpus.directory import ID_FILES, KIND, VERSION, Corpus
from cooc_engine.corpus.document_ids import IdsWriter
from cooc_engine.corpus.first_pass import PassCheckpoint, Spool, Tables, tokenize
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.phrases import join_phrases
from cooc_engine.corpus.second_pass import write_corpus
from cooc_engine.corpus.vocabulary import RESERVED, VOCABULARY_FILES, Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import FreshKeywords, PlanKeywords, Run, RunKeywords
from cooc_engine.runtime.machine import return_memory
from cooc_engine.runtime.progress import Progress
from cooc_engine.runtime.types import PathLike, listed
from cooc_engine.storage.arrays import bound_files
from cooc_engine.storage.outputs import building, clear
from cooc_engine.text import readers
from cooc_engine.text.id_column import IdColumn
from cooc_engine.text.tokenizer_pool import Processes

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["encode", "encode_documents", "plan_encode", "text_names"]


def encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[RunKeywords],
) -> Corpus:
    """Encode text files, one document per line, into the directory `output`.

    Files may be compressed (gz, bz2, xz, zst, recognised by their first bytes); `-` is standard input. The result does not
    depend on `threads` or `memory`, the budget in bytes or as `512M`. A tokenizer written in Python runs in `threads`
    processes; the budget includes a few lines in each, but not the memory that a user's function takes.
    Raises `InputError`, naming file and byte, for text that is missing, empty, binary, truncated or not UTF-8, and, naming
    file and line, if a tokenizer fails; `UsageError` if there is no such tokenizer.
    """
    return _encode(TextInput.of(texts), Path(output), options, Run.of("encode", run))


def plan_encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[PlanKeywords],
) -> Plan:
    """Return the plan of `encode`, its memory and disk, and write nothing.

    Disk usage is predicted from a sample of about 1 MiB: taken throughout the files if they are plain
    text, from their beginnings if compressed. It is None for standard input, invalid text, and Python tokenizers. Raises
    `UsageError` as `encode` does, and `InputError` for a missing file.
    """
    how, text = Run.of("plan_encode", run, PlanKeywords), TextInput.of(texts)
    for path in text.paths:
        if str(path) != "-" and not path.exists():
            raise InputError(f"{path}: no such file")
    options = (options or EncodeOptions()).loaded()
    room = Allotment.of(how.budget, how.workers, options)
    return room.foreseen(text.paths, options, Path(output))


@dataclass(frozen=True)
class TextInput:
    """The text to encode: its names, its files if any, and two ways to read it: `blocks` for the byte kernel, given a function
    that lends buffers and a starting place; and `pieces` of whole lines for Python code, given the maximum length of a line.
    """  # fmt: skip

    names: list[str]
    paths: list[Path]
    blocks: Callable[..., Iterator[readers.Block]]
    pieces: Callable[[int], Iterator[readers.Piece]]

    @classmethod
    def of(cls, texts: PathLike | Sequence[PathLike]) -> TextInput:
        """Return the text input for files."""
        paths = listed(texts)
        ways = functools.partial(readers.file_blocks, paths), functools.partial(readers.file_pieces, paths)
        return cls(text_names(paths), paths, *ways)

    @property
    def size(self) -> int | None:
        """Bytes on disk, or None if unknown."""
        return readers.total_bytes(self.paths) if self.paths else None


def text_names(texts: Sequence[PathLike]) -> list[str]:
    """Return the names of text files as recorded in a manifest: bytes that are not UTF-8 are written as `\\xNN`."""
    return [os.fsencode(text).decode(errors="backslashreplace") for text in texts]


def encode_documents(
    documents: Iterable[str | Sequence[str]],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[FreshKeywords],
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is read once, so it may be a generator.

    A string is split by the tokenizer of the options; a sequence of words is taken unchanged. Documents are numbered from 1.
    """
    if isinstance(documents, str | bytes):
        raise UsageError("documents is one string, not several; pass [text] for one document, or names of files to encode()")
    if options is not None and options.doc_id_column is not None:
        raise UsageError("--doc-id-column is a column of text files; documents of an iterable have none")
    ways = functools.partial(readers.document_blocks, documents), functools.partial(readers.document_pieces, documents)
    text = TextInput(["documents"], [], *ways)
    return _encode(text, Path(output), options, Run.of("encode_documents", run, FreshKeywords))


def _encode(text: TextInput, output: Path, options: EncodeOptions | None, run: Run) -> Corpus:
    options, progress, threads = (options or EncodeOptions()).loaded(), run.shown, run.workers
    room = Allotment.of(run.budget, threads, options)
    if options.phrases and options.vocabulary is not None:
        raise UsageError("--phrases and --vocabulary cannot be combined; pass one of the two")
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "texts": text.names}

    def peak() -> int | None:
        return room.foreseen(text.paths, options, output).peak

    with (
        Processes(options.cut, threads) if options.runs_python else nullcontext() as processes,
        building(output, plan, force=run.force, resume=run.resume, peak=peak) as work,
    ):
        if progress.speaks:
            progress.say(room.foreseen(text.paths, options, output).line())
        stamps = readers.stamps(text.paths)
        point = PassCheckpoint.load(work)
        whole = (work / "manifest.json").exists()
        if point.texts != stamps if point else not whole:  # nothing of another text may remain
            point, whole = None, False
            clear(work)
        if not whole:
            if point:
                point.verify(work)
            if point is None or point.place is not None:
                point = _first_pass(work, text, stamps, options, room, point, processes, progress)
            write_corpus(work, point, options, text.names, run)
        for path in (*work.glob("*.spool"), work / "first-pass.json"):
            path.unlink(missing_ok=True)
    return Corpus(output)


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
    """Spool the text, write the vocabulary and the row of every id in it; returns the last checkpoint, already written."""
    ids = IdsWriter(work) if options.doc_id_column else None
    column: dict[str, Any] = {"ids": IdColumn(options.doc_id_column, ids.append)} if ids and options.doc_id_column else {}
    blocks = functools.partial(text.blocks, **({"start": point.place} if point else {}), **column)
    if processes:
        blocks = functools.partial(readers.word_blocks, processes.words(text.pieces(room.line, **column)))
    tables = Tables(work, room.threads, room.table, room.ranking, point)
    with ids or nullcontext(), Spool(work, point) as spool, progress.stage("tokenize", text.size, "bytes") as stage:

        def save(place: readers.Place) -> None:
            written = tables.flush()
            spool.flush()
            bounds = {**tables.bounds, **spool.bounds}
            PassCheckpoint(stamps, spool.tokens, spool.documents, spool.blocks, written, place, spools=bounds).save(work)

        again = None not in stamps and not processes and not ids
        with readers.unchanged(text.paths):
            tokenize(blocks, spool, tables, room.threads, room.block, stage, save if again else None)
    if spool.tokens == 0:
        raise InputError(f"{', '.join(text.names)}: contains no words; is it the right file?")
    return_memory()
    vocabulary = _rank(tables, options, text.names)
    return_memory()
    sizes = tables.write_rows(vocabulary)
    bounds = {**tables.bounds, **spool.bounds}
    point = PassCheckpoint(stamps, spool.tokens, spool.documents, spool.blocks, sizes, None, spools=bounds)
    return_memory()
    for number in range(options.phrases):
        point, vocabulary = join_phrases(work, point, vocabulary, number, options, room.ranking, progress)
    if options.vocabulary is not None:
        vocabulary.save(work)
    point = replace(point, files=bound_files(work, {**VOCABULARY_FILES, **(ID_FILES if ids else {})}))
    point.save(work)
    return point


def _rank(tables: Tables, options: EncodeOptions, names: list[str]) -> Vocabulary:
    """Rank the words of all tables, or return the vocabulary given in the options."""
    if options.vocabulary is not None:
        return Vocabulary.stored_in(Path(options.vocabulary))
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

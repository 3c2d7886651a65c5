"""From text to an encoded corpus: tokenize once with provisional ids, rank the words, renumber into shards.

The first pass reads blocks in order; each worker thread has its own hash table. Provisional ids and document ends are
spooled to disk, so memory holds only the tables and a few blocks. Then the tables are merged, words are ranked, and the
second pass writes shards. Ranks depend only on the counts and the bytes of the words: the files are the same for any number
of threads.
"""

from __future__ import annotations

import functools
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import encoding
from cooc_engine.corpus.directory import KIND, VERSION, Corpus
from cooc_engine.corpus.first_pass import PIECE_TOKENS, PassCheckpoint, Spool, Spooled, Tables, tokenize
from cooc_engine.corpus.forecast import TextSample
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.phrases import join_phrases
from cooc_engine.corpus.shards import SHARD_TOKENS, documents_path, tokens_path
from cooc_engine.corpus.vocabulary import RESERVED, Vocabulary
from cooc_engine.corpus.word_table import rank_parts
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.runtime.budget import Disk, Plan
from cooc_engine.runtime.keywords import FreshKeywords, PlanKeywords, Run, RunKeywords
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.runtime.threads import cut_by_ends, in_order
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.arrays import HEADER_BYTES, ArrayWriter, is_whole, load_array
from cooc_engine.storage.outputs import building, clear, write_manifest
from cooc_engine.text import readers
from cooc_engine.text.tokenizer_pool import Processes, pieces_under_way

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["encode", "encode_documents", "plan_encode", "text_names"]
PIECE_DOCUMENTS = 1 << 16
LEAST_BLOCK, LEAST_TABLE = 1 << 18, 3 << 19
MANIFEST = 600  # bytes of a manifest and of the plan, about
GROWTH = 4  # a table that grows holds its old and its new records, and a block may double it
LINE_CUT, LINE_HELD = 32, 4  # memory to cut a line into Python strings, and to hold it and its words, in lengths of it
DICTIONARY = 96 << 20  # jieba's, in each process


def encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[RunKeywords],
) -> Corpus:
    """Encode text files, one document per line, into the directory `output`.

    Files may be compressed (gz, bz2, xz, zst, recognised by their first bytes); `-` is standard input. The result does not
    depend on `threads` or `memory`, the budget in bytes or as `512M`. A tokenizer that is Python code runs in `threads`
    processes; the budget includes a few lines in each, but not the memory that a user's function takes.
    Raises `InputError`, naming file and byte, for text that is missing, empty, binary, truncated or not UTF-8, and naming
    file and line where a tokenizer fails; `UsageError` if there is no such tokenizer.
    """
    return _encode(TextInput.of(texts), Path(output), options, Run.of("encode", run))


def plan_encode(
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[PlanKeywords],
) -> Plan:
    """Return the plan of `encode`, its memory and disk, and write nothing.

    Disk usage is predicted from a sample of about 1 MiB: of plain text from places all over the files, of compressed text
    from their beginnings. It is None for standard input, invalid text, and tokenizers that are Python code. Raises
    `UsageError` as `encode` does, and `InputError` for a missing file.
    """
    how, text = Run.of("plan_encode", run, PlanKeywords), TextInput.of(texts)
    for path in text.paths:
        if str(path) != "-" and not path.exists():
            raise InputError(f"{path}: no such file")
    options = options or EncodeOptions()
    room = _Allotment.of(how.budget, how.workers, options)
    return room.foreseen(text, options, Path(output))


@dataclass(frozen=True)
class TextInput:
    """What is encoded: its names, its files if it has any, and its two ways in: `blocks` for the byte kernel, given a function
    that lends them, from a place on; and `pieces` of whole lines for Python code, given the longest a line may be.
    """  # fmt: skip

    names: list[str]
    paths: list[Path]
    blocks: Callable[..., Iterator[readers.Block]]
    pieces: Callable[[int], Iterator[readers.Piece]]

    @classmethod
    def of(cls, texts: PathLike | Sequence[PathLike]) -> TextInput:
        """Return the text of files."""
        paths = [Path(texts)] if isinstance(texts, str | os.PathLike) else [Path(text) for text in texts]
        ways = functools.partial(readers.file_blocks, paths), functools.partial(readers.file_pieces, paths)
        return cls(text_names(paths), paths, *ways)

    @property
    def size(self) -> int | None:
        """Bytes on the disk, or None."""
        return readers.total_bytes(self.paths) if self.paths else None


def text_names(texts: Sequence[PathLike]) -> list[str]:
    """Return the names of text files as a manifest holds them: what is not UTF-8 in one is written as `\\xNN`."""
    return [os.fsencode(text).decode(errors="backslashreplace") for text in texts]


def encode_documents(
    documents: Iterable[str | Sequence[str]],
    output: PathLike,
    options: EncodeOptions | None = None,
    **run: Unpack[FreshKeywords],
) -> Corpus:
    """Encode documents, each a string or a sequence of words; the iterable is read once, so it may be a generator.

    A string is split by the tokenizer of the options; the words of a sequence are taken unchanged.
    """
    ways = functools.partial(readers.document_blocks, documents), functools.partial(readers.document_pieces, documents)
    text = TextInput(["documents"], [], *ways)
    return _encode(text, Path(output), options, Run.of("encode_documents", run, FreshKeywords))


def _encode(text: TextInput, output: Path, options: EncodeOptions | None, run: Run) -> Corpus:
    options, progress, threads = options or EncodeOptions(), run.shown, run.workers
    room = _Allotment.of(run.budget, threads, options)
    if options.phrases and options.vocabulary is not None:
        raise UsageError("--phrases makes words and --vocabulary names them; pass one of the two")
    plan = {"kind": KIND, "version": VERSION, "options": options.record(), "texts": text.names}

    def peak() -> int | None:
        return room.foreseen(text, options, output).peak

    with (
        Processes(options.cut, threads) if options.runs_python else nullcontext() as processes,
        building(output, plan, force=run.force, resume=run.resume, peak=peak) as work,
    ):
        if progress.speaks:
            progress.say(room.foreseen(text, options, output).line())
        stamps = readers.stamps(text.paths)
        point = PassCheckpoint.load(work)
        whole = (work / "manifest.json").exists()
        if point.texts != stamps if point else not whole:  # nothing of another text may stay
            point, whole = None, False
            clear(work)
        if not whole:
            resumed = point is not None
            if point is None or point.place is not None:
                point = _first_pass(work, text, stamps, options, room, point, processes, progress)
            _second_pass(work, point, options, text.names, threads, progress, verify=resumed)
        for path in (*work.glob("*.spool"), work / "first-pass.json"):
            path.unlink(missing_ok=True)
    return Corpus(output)


def _first_pass(
    work: Path,
    text: TextInput,
    stamps: list[tuple[int, int] | None],
    options: EncodeOptions,
    room: _Allotment,
    point: PassCheckpoint | None,
    processes: Processes | None,
    progress: Progress,
) -> PassCheckpoint:
    """Spool the text, write the vocabulary and the row in it of every id; returns the last checkpoint, which is written."""
    blocks = functools.partial(text.blocks, start=point.place) if point else text.blocks
    if processes:
        blocks = functools.partial(readers.word_blocks, processes.words(text.pieces(room.line)))
    tables = Tables(work, room.threads, room.table, room.ranking, point.tables if point else ())
    with Spool(work, point) as spool, progress.stage("tokenize", text.size, "bytes") as stage:

        def save(place: readers.Place) -> None:
            written = tables.flush()
            spool.flush()
            PassCheckpoint(stamps, spool.tokens, spool.documents, spool.blocks, written, place).save(work)

        again = None not in stamps and not processes
        tokenize(blocks, spool, tables, room.threads, room.block, stage, save if again else None)
    if spool.tokens == 0:
        raise InputError(f"{', '.join(text.names)}: no words in it; is it the right file?")
    vocabulary = _rank(tables, options, text.names)
    point = PassCheckpoint(stamps, spool.tokens, spool.documents, spool.blocks, tables.write_rows(vocabulary), None)
    for number in range(options.phrases):
        point, vocabulary = join_phrases(work, point, vocabulary, number, options, room.ranking, progress)
    vocabulary.save(work)
    point.save(work)
    return point


def _second_pass(
    work: Path,
    point: PassCheckpoint,
    options: EncodeOptions,
    names: list[str],
    threads: int,
    progress: Progress,
    *,
    verify: bool,
) -> None:
    """Write the shards that are not there yet, and the manifest; what an interrupted run left can be verified."""
    vocabulary = Vocabulary.load(work)
    counts = np.zeros(len(vocabulary), np.int64) if verify or options.vocabulary is not None else None
    with progress.stage("write shards", point.tokens, "words") as stage:
        shards, checksums = write_shards(work, Spooled(work, point), counts, threads, stage)
    if options.vocabulary is not None and counts is not None:
        with ArrayWriter(work / "word-counts.bin", np.int64) as file:
            file.append(counts)
    elif counts is not None and (counts != vocabulary.counts).any():
        raise FormatError(f"{work}: what the interrupted run left does not hold the words that it counted; encode again")
    fields = {
        "tokens": point.tokens,
        "tokens_in_vocabulary": int((vocabulary.counts if counts is None else counts).sum()),
        "documents": point.documents,
        "shards": shards,
        "vocabulary": {"words": len(vocabulary), "digest": vocabulary.digest},
        "digest": hashlib.sha256(f"{vocabulary.digest} {point.tokens} {point.documents} {checksums}".encode()).hexdigest(),
        "options": options.record(),
        "texts": names,
    }
    write_manifest(work, KIND, VERSION, fields)


@dataclass(frozen=True)
class _Allotment:
    """How the budget is shared: bytes of a block of text, of a line for Python code, of a thread's table before it is written
    out, and of ranking.
    """

    threads: int
    block: int
    line: int
    table: int
    ranking: int
    plan: Plan

    @classmethod
    def of(cls, budget: int, threads: int, options: EncodeOptions) -> _Allotment:
        """Share a budget; raises `UsageError` if it cannot hold the least."""
        tables = threads * GROWTH * LEAST_TABLE
        times = threads * LINE_CUT + pieces_under_way(threads) * LINE_HELD if options.runs_python else 0

        def plan(block: int) -> Plan:
            parts = {"blocks of text": (threads + 2) * 4 * block, "tables of words": tables}
            if times:
                parts["lines in processes"] = times * readers.PIECE_BYTES
            if options.tokenizer == "jieba":
                parts["jieba's dictionaries"] = threads * DICTIONARY
            return Plan("encode", budget, parts)

        least = plan(LEAST_BLOCK)
        least.check()
        most = LEAST_BLOCK + (budget - least.least) // 4 // (threads + 2)
        block = min(readers.BLOCK_BYTES, most, max(LEAST_BLOCK, budget // 16 // (threads + 2)))
        chosen = plan(block)
        left, longer = budget - chosen.least + tables, 0
        if times:
            longer = (budget - chosen.least) // 4 // times
            left -= longer * times
        return cls(threads, block, readers.PIECE_BYTES + longer, max(LEAST_TABLE, left // threads // GROWTH), left, chosen)

    def foreseen(self, text: TextInput, options: EncodeOptions, output: Path) -> Plan:
        """Return the plan, with the disk if that can be predicted: spool and tables stay until all shards are there."""
        with suppress(InputError, OSError):  # what is wrong with a text is told when it is read
            sample = TextSample.of(text.paths) if text.size and not options.runs_python else None
            if sample is not None:
                return replace(self.plan, disk=self._disk(sample, options, output))
        return self.plan

    def _disk(self, sample: TextSample, options: EncodeOptions, output: Path) -> Disk:
        if options.vocabulary is None:
            words = sample.kept(options.min_count, options.max_vocab)
            vocabulary = round(words * (sample.length + 16)) + 8 + 3 * HEADER_BYTES
        else:
            words = len(_vocabulary_of(Path(options.vocabulary)))
            vocabulary = (
                8 * words + HEADER_BYTES + sum(path.stat().st_size for path in Path(options.vocabulary).glob("vocab-*.bin"))
            )
        ids, shards = 4 * sample.tokens + 8 * sample.documents, sample.tokens // SHARD_TOKENS + 1
        spilled, rows = sample.tables(self.threads, self.table, self.block)
        blocks = sample.bytes // self.block + 1
        temporary = (1 + options.phrases) * ids + 16 * blocks + round(spilled + 4 * rows) + MANIFEST
        size = ids + shards * (8 + 2 * HEADER_BYTES) + vocabulary + MANIFEST
        return Disk(output.absolute().parent, size, temporary, size + temporary)


def _rank(tables: Tables, options: EncodeOptions, names: list[str]) -> Vocabulary:
    """Rank the words of all tables, or take the vocabulary that was asked for."""
    if options.vocabulary is not None:
        return _vocabulary_of(Path(options.vocabulary))
    most_words = None if options.phrases else options.max_vocab  # phrases take their places first
    words = [words for words, _ in tables.all()]
    vocabulary = rank_parts(words, tables.parts, options.min_count, most_words)
    if not len(vocabulary):
        most = rank_parts(words, tables.parts, 1, 1)
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
                f"write <raw_{word[1:]} for it in the text, or pass --reserved keep"
            )


def _vocabulary_of(path: Path) -> Vocabulary:
    """Return the vocabulary of a corpus or of a co-occurrence directory."""
    if not (path / "vocab-text.bin").is_file():
        raise InputError(f"{path}: has no vocabulary; name a corpus or a co-occurrence directory")
    return Vocabulary.load(path)


def write_shards(
    directory: Path, spooled: Spooled, counts: npt.NDArray[np.int64] | None, threads: int, stage: Stage
) -> tuple[list[list[int]], list[int]]:
    """Run the second pass: renumber the spool into shards, and count the rows in `counts` if it is given.

    A shard that is there already is kept. Returns tokens and documents of each, and checksums of all ids and document ends.
    """
    checksum, shards = 0, list[list[int]]()

    def renumber(piece: tuple[int, int, int]) -> npt.NDArray[np.int32]:
        begin, end, table = piece
        result = np.empty(end - begin, np.int32)
        encoding.renumber(spooled.ids[begin:end], spooled.rows[table], result)
        return result

    def note(values: npt.NDArray[np.int32]) -> None:
        nonlocal checksum
        checksum = zlib.crc32(values.data, checksum)
        if counts is not None:
            counts[:] += np.bincount(values + 1, minlength=len(counts) + 1)[1:]
        stage.advance(len(values))

    with ThreadPoolExecutor(threads) as pool:
        for first, last in cut_by_ends(spooled.ends, SHARD_TOKENS):
            begin, end = int(spooled.ends[first - 1]) if first else 0, int(spooled.ends[last - 1])
            tokens, documents = tokens_path(directory, len(shards)), documents_path(directory, len(shards))
            if is_whole(tokens, np.int32) and is_whole(documents, np.int64):
                ids = load_array(tokens, np.int32)
                for at in range(0, len(ids), PIECE_TOKENS):
                    note(ids[at : at + PIECE_TOKENS])
            else:
                with ArrayWriter(tokens, np.int32) as file:
                    for values in in_order(pool, renumber, spooled.pieces(begin, end), threads + 2):
                        file.append(values)
                        note(values)
                with ArrayWriter(documents, np.int64) as file:
                    file.append(np.zeros(1, np.int64))
                    for d in range(first, last, PIECE_DOCUMENTS):
                        file.append(spooled.ends[d : min(last, d + PIECE_DOCUMENTS)] - begin)
            shards.append([end - begin, last - first])
    return shards, [checksum, zlib.crc32(spooled.ends.data)]

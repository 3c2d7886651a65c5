"""Files of vectors in other programs' formats: recognising, exporting, importing and reading them.

word2vec, word2vec-bin   word2vec and gensim        glove, fasttext-vec   text files of these programs
npz, safetensors         with float16 and int8      tsv                   TensorFlow's projector, in two files
fasttext                 fastText's models, `.bin` and `.ftz`: whole models with n-grams, both ways, or words alone
elmo                     models of ELMo's programs, both ways, in several files
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.vocabulary_file import read_vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.formats import fasttext_models, npz, safetensors, vectors_text, word2vec_binary
from cooc_engine.formats.fasttext import MAGIC, is_fasttext, read_fasttext, write_fasttext
from cooc_engine.formats.incoming import Faults, Incoming, is_utf8
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.formats.rounding import STORED, Rounded
from cooc_engine.formats.vectors_text import WHITE_SPACE, metadata_path
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.published import Published
from cooc_engine.models.sparse_vectors import SPARSE, SparseVectors
from cooc_engine.models.subwords import SubwordRows
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.runtime.versions import versions
from cooc_engine.storage.hdf5 import SIGNATURE, form_of
from cooc_engine.storage.inputs import refuse_streams
from cooc_engine.storage.outputs import directory_beside, disk_errors, refuse_file, writing_files
from cooc_engine.storage.temporary import temporary_directory
from cooc_engine.text.compression import beginning

__all__ = [
    "FORMATS",
    "Errors",
    "Exported",
    "ForeignModel",
    "Found",
    "as_model",
    "convert",
    "export_vectors",
    "format_of",
    "model_or_fasttext",
    "read_vectors",
    "write_vectors",
]

Dtype = Literal["float32", "float16", "int8"]
Errors = Literal["strict", "skip"]
BEGINNING = 1 << 20  # bytes read to recognise a file


@dataclass(frozen=True)
class _Form:
    """A format: its writer and reader, the prefix of word numbers in messages, and the characters that words cannot contain."""

    write: Callable[..., None]
    read: Callable[[Path, Faults, Incoming], None]
    places: str = ""
    not_in_words: bytes = b""
    rounds: bool = False


_HEADED = partial(vectors_text.read_text, head=True)
_FORMS: Mapping[str, _Form] = {
    "word2vec": _Form(partial(vectors_text.write_text, head=True), _HEADED, "", WHITE_SPACE),
    "word2vec-bin": _Form(word2vec_binary.write_word2vec, word2vec_binary.read_word2vec, "word ", WHITE_SPACE),
    "glove": _Form(partial(vectors_text.write_text, head=False), partial(vectors_text.read_text, head=False), "", WHITE_SPACE),
    "fasttext-vec": _Form(partial(vectors_text.write_text, head=True, end=b" \n"), _HEADED, "", WHITE_SPACE),
    "fasttext": _Form(fasttext_models.write_word_vectors, fasttext_models.read_word_vectors, "word ", b"\0"),
    "npz": _Form(npz.write_npz, npz.read_npz, "word ", b"\0", rounds=True),
    "safetensors": _Form(safetensors.write_safetensors, safetensors.read_safetensors, "word ", rounds=True),
    "tsv": _Form(vectors_text.write_projector, vectors_text.read_projector, "", b"\t\n\r"),
}
FORMATS = tuple(_FORMS)
IMPORTED = (*FORMATS, "elmo")
WRITTEN = (*IMPORTED, "floret")  # whose table of n-grams has no words to read
ALIASES = {"projector": "tsv"}
SUFFIXES = {
    ".npz": "npz",
    ".safetensors": "safetensors",
    ".tsv": "tsv",
    ".bin": "word2vec-bin",
    ".ftz": "fasttext",
    ".vec": "fasttext-vec",
    ".floret": "floret",
    ".hdf5": "elmo",
}


def format_of(path: PathLike) -> str | None:
    """Return the format of a file of vectors, recognised by its content; None for one of our HDF5 files.

    Raises `InputError` if there is no such file, or its format is not recognised.
    """
    path = path_of(path)
    refuse_streams(path)
    head = beginning(path, BEGINNING)
    if head.startswith(SIGNATURE):
        return None
    if head.startswith(b"PK\3\4"):
        return "npz"
    if is_fasttext(head):
        return "fasttext"
    if head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= safetensors.HEAD:
        return "safetensors"
    first, _, rest = head.partition(b"\n")
    fields = first.split(None, 2)  # all of them could take many times the memory of the line
    if b"\t" in first and _are_numbers(_fields(first)) and metadata_path(path).is_file():
        return "tsv"
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        return "word2vec" if _is_line(rest.partition(b"\n")[0]) else "word2vec-bin"
    if len(fields) > 1 and _are_numbers(first.rsplit(None, 1)[-1:]):
        return "glove"
    if len(sizes := first.split(None, 8)) == 8 and _are_numbers(sizes[:6]):
        raise InputError(f"{path}: is a table of floret, which has no words; open the model from which it was exported")
    what = "not a file of vectors that is known by its content" if head else "empty file"
    raise InputError(f"{path}: {what}; pass --format with one of {', '.join(FORMATS)}")


def _is_line(line: bytes) -> bool:
    """Tell whether bytes are a line of a word and numbers; a broken line counts too if it is UTF-8 with at least one number."""
    sound = _are_numbers(_fields(line, 1)) or (is_utf8(line) and any(_are_numbers([field]) for field in _fields(line, 1)))
    return not line or (sound and b"\0" not in line)


def _fields(line: bytes, first: int = 0) -> Iterator[bytes]:
    return (found[0] for found in itertools.islice(re.finditer(rb"\S+", line), first, None))


def _are_numbers(fields: Iterable[bytes]) -> bool:
    try:
        return sum(float(field) is not None for field in fields) > 0
    except ValueError:
        return False


# ---------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Found:
    """The content of a file of vectors.

    vocabulary  V words in the order of the file, with counts of 0 if it has none
    vectors     (V, d) float32, mapped
    format      one of `FORMATS`
    tally       numbers of faults that were skipped, by kind
    subwords    rows of n-grams, which give vectors to words that the file lacks; None if it has no n-grams
    """

    vocabulary: Vocabulary
    vectors: Matrix
    format: str
    tally: Mapping[str, int]
    subwords: SubwordRows | None = None


@gated
def read_vectors(
    path: PathLike,
    format: str | None = None,
    *,
    errors: Errors = "strict",
    directory: Path | None = None,
) -> Found:
    """Read another program's file of vectors; words are held in memory, vectors in an unnamed temporary file.

    >>> path = export_vectors("model.h5", "glove.txt", "glove", force=True)
    >>> found = read_vectors("glove.txt")
    >>> found.format, found.vectors.shape
    ('glove', (21, 10))

    format      one of `FORMATS`; recognised by the file's content if None
    errors      how to treat malformed lines, numbers that are not finite, duplicate words and a wrong header: `strict`
                raises `InputError`, naming file and line (or word number, in binary files); `skip` leaves them out
    directory   where the temporary file is made
    """
    path = path_of(path)
    skip = _skips(errors)
    found = _known(format) if format is not None else format_of(path)
    if found is None:
        raise InputError(f"{path}: is already a cooc-engine model")
    faults = Faults(path, skip=skip)
    with Incoming(faults, directory, _FORMS[found].places) as incoming:
        _FORMS[found].read(path, faults, incoming)
        vocabulary, rows = incoming.finish()
    return Found(vocabulary, rows, found, dict(faults.tally), incoming.subwords)


@dataclass(frozen=True)
class ForeignModel:
    """A file of another program that is imported as a model; `vectors.model.import_vectors` describes the fields."""

    path: Path
    format: str | None = None
    errors: Errors = "strict"
    vocab: PathLike | None = None
    options: PathLike | None = None

    def data(self, directory: Path) -> ModelData:
        """Return the content as a model, whose vectors are spooled in `directory`; raises what `read_vectors` raises."""
        found = _known(self.format, IMPORTED) if self.format is not None else _format_of_model(self.path)
        if found == "elmo":
            return self._elmo()
        if self.options is not None:
            raise UsageError(f"--options {self.options}: only an ELMo model has such a file; leave it out")
        return self._fasttext(directory) if found == "fasttext" else self._vectors(directory)

    def _elmo(self) -> ModelData:
        from cooc_engine.formats.elmo import elmo_model  # with kernels that no other format needs

        beside = (None if name is None else path_of(name) for name in (self.options, self.vocab))
        return elmo_model(self.path, *beside)

    def _fasttext(self, directory: Path) -> ModelData:
        """Return a `.bin` or `.ftz` file of fastText, with its n-grams and output vectors."""
        if self.vocab is not None:
            raise UsageError(f"--vocab {self.vocab}: {self.path} records how often words occur; leave it out")
        faults = Faults(self.path, skip=_skips(self.errors))
        whole = read_fasttext(self.path, faults, directory)
        return fasttext_models.model_data(whole, directory, *self._records("fasttext", faults.tally))

    def _vectors(self, directory: Path) -> ModelData:
        found = read_vectors(self.path, self.format, errors=self.errors, directory=directory)
        vocabulary = found.vocabulary if self.vocab is None else _counted(found.vocabulary, path_of(self.vocab))
        records = self._records(found.format, found.tally)
        return ModelData("imported", vocabulary, {"words": found.vectors}, "w", *records)

    def _records(self, format: str, tally: Mapping[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the configuration and the provenance of the model; `tally` counts the faults that were skipped, by kind."""
        config = {"import": {"format": format, "errors": self.errors}}
        return config, {"file": str(self.path), "left_out": dict(tally), **versions()}


def convert(source: ForeignModel, output: Path, *, force: bool = False) -> ModelFile:
    """Convert a file of another program to the model file `output`; return it opened. Raises what `read_vectors` raises."""
    refuse_file(output, force=force)
    with disk_errors(output):
        save_model(output, source.data(output.parent), force=force)
    return open_model(output)


def as_model(path: PathLike, directory: Path) -> ModelFile:
    """Open a model, or a file of vectors as a model in a `directory` that is deleted at once; raises what `convert` raises."""
    path = path_of(path)
    if _format_of_model(path) is None:
        return open_model(path)
    with directory_beside(directory):
        return convert(ForeignModel(path), directory / "model.h5").called(path)


def model_or_fasttext(path: Path) -> ModelFile:
    """Open a model, or a file of fastText as a model whose own file is deleted at once; raises what `convert` raises."""
    if not (path.is_file() and is_fasttext(beginning(path, len(MAGIC)))):
        return open_model(path)
    with temporary_directory() as made:
        return as_model(path, made / "converted")


def _format_of_model(path: Path) -> str | None:
    """Return the format by the content of a file; an HDF5 file that is none of ours has weights of ELMo."""
    found = format_of(path)
    return "elmo" if found is None and not form_of(path) else found


def _skips(errors: str) -> bool:
    if errors not in ("strict", "skip"):
        raise UsageError(f"--errors is {errors!r}; it must be one of strict, skip")
    return errors == "skip"


def _counted(words: Vocabulary, path: Path) -> Vocabulary:
    ids = read_vocabulary(path)
    counts = np.array([ids.counts[row] if (row := ids.ids.get(word, -1)) >= 0 else 0 for word in words], np.int64)
    return Vocabulary(words.text, words.offsets, counts, words.order)


# ---------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class Exported:
    """The result of an export: files, format, words, vector size and, if rounded, mean and largest 1 - cos of the vectors."""

    files: tuple[Path, ...]
    format: str
    words: int
    vector_size: int
    mean_error: float | None
    largest_error: float | None

    def record(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        errors = {"mean_cosine_error": self.mean_error, "largest_cosine_error": self.largest_error}
        shape = {"format": self.format, "words": self.words, "vector_size": self.vector_size}
        return {"files": [str(file) for file in self.files], **shape, **(errors if self.mean_error is not None else {})}


@gated
def export_vectors(
    source: PathLike,
    output: PathLike,
    format: str | None = None,
    *,
    dtype: Dtype = "float32",
    vectors: str | None = None,
    restrict: int | None = None,
    force: bool = False,
) -> Exported:
    """Write the vectors of a model, or of a file in any of the formats, for another program; the write is atomic.

    >>> export_vectors("model.h5", "vectors.npz", dtype="float16", force=True).largest_error < 1e-5
    True

    format     one of `WRITTEN`; if None, by the suffix of `output`, and word2vec's text format for an unknown suffix
    dtype      float16 and int8 are for npz and safetensors only; the result reports how they change the directions
    vectors    "w", "c", "w+c" or "concat", instead of those that queries use; or "documents" or "columns", with their names
    restrict   write only this many of the first, most frequent words

    Raises `UsageError` for a word that the format cannot represent, and if `output` exists, unless `force`.
    """
    source, output = path_of(source), path_of(output)
    format = _known(format, WRITTEN) if format is not None else _format_by_suffix(source, output)
    if format == "floret":
        return _export_floret(source, output, vectors, restrict, force=force)
    if format == "elmo":
        return _export_elmo(source, output, vectors, restrict, force=force)
    form = _FORMS[format]
    if format == "fasttext" and (model := _whole_model(source)):
        return _export_fasttext(model, output, vectors, restrict, force=force)
    if dtype not in STORED:
        raise UsageError(f"--dtype is {dtype!r}; it must be one of {', '.join(STORED)}")
    if dtype != "float32" and not form.rounds:
        raise UsageError(f"--dtype={dtype}: --format={format} holds only float32; use npz or safetensors")
    return _written(_outgoing(source, vectors, restrict), output, format, dtype, force=force)


def write_vectors(words: Vocabulary, rows: Any, output: PathLike, format: str, *, force: bool = False) -> Exported:
    """Write words and vectors in memory as `export_vectors` does those of a file."""
    if isinstance(rows, SparseVectors):
        raise UsageError(SPARSE)
    return _written(Outgoing(words, rows), path_of(output), _known(format), "float32", force=force)


def _written(outgoing: Outgoing, output: Path, format: str, dtype: Dtype, *, force: bool) -> Exported:
    form = _FORMS[format]
    if form.not_in_words:
        outgoing.refuse(form.not_in_words, format)
    outputs = (output, metadata_path(output)) if format == "tsv" else (output,)
    rounded = Rounded(dtype)
    with writing_files(outputs, force=force) as parts, ExitStack() as files:
        opened = [files.enter_context(part.open("wb")) for part in parts]
        form.write(*opened, outgoing, *([rounded] if form.rounds else []))
    errors = (None, None) if dtype == "float32" else (rounded.mean, rounded.largest)
    return Exported(outputs, format, *outgoing.shape, *errors)


def _format_by_suffix(source: Path, output: Path) -> str:
    """Return the format by the suffix of the output; `.bin` is fastText's for a model that has more than such vectors."""
    if output.suffix == ".h5":
        raise UsageError(f"{output}: no format has this suffix, and the model is an HDF5 file already; pass --format too")
    found = SUFFIXES.get(output.suffix, "word2vec")
    return "fasttext" if found == "word2vec-bin" and _whole_model(source) else found


def _whole_model(source: Path) -> ModelFile | None:
    """Return the model if it has n-grams or labels, of which fastText's files hold all or, by an error, none."""
    model = open_model(source) if format_of(source) is None else None
    return model if model and (model.subwords is not None or model.labels is not None or "own" in model.names) else None


def _export_fasttext(model: ModelFile, output: Path, vectors: str | None, restrict: int | None, *, force: bool) -> Exported:
    _refuse_parts("fasttext", vectors, restrict)
    whole = fasttext_models.file_of(model)
    Outgoing(model.vocabulary, model.reader("words")).refuse(b"\0", "fasttext")
    with writing_files((output,), force=force) as (part,), part.open("wb") as file:
        write_fasttext(file, whole)
    return Exported((output,), "fasttext", len(model.vocabulary), whole.arguments.dim, None, None)


def _export_floret(source: Path, output: Path, vectors: str | None, restrict: int | None, *, force: bool) -> Exported:
    """Write the table of a model of floret's mode, which has no words."""
    _refuse_parts("floret", vectors, restrict)
    model = open_model(source) if format_of(source) is None else None
    if model is None or model.subwords is None or not model.subwords.subwords.hashes:
        raise UsageError(f"{source}: has no floret table; train fasttext --mode=floret makes a model that has one")
    sizes = model.subwords.subwords
    if not 2 <= sizes.min_n <= sizes.max_n:  # it makes n-grams of boundaries alone, and of no character at all
        raise UsageError(f"{source}: spaCy makes other n-grams of {sizes.min_n} to {sizes.max_n} characters; pass --min-n=2")
    with writing_files((output,), force=force) as (part,), part.open("wb") as file:
        vectors_text.write_floret(file, model.subwords)
    return Exported((output,), "floret", len(model.vocabulary), model.subwords.matrix.shape[1], None, None)


def _export_elmo(source: Path, output: Path, vectors: str | None, restrict: int | None, *, force: bool) -> Exported:
    """Write the files of a model of ELMo, of which `output` has the weights."""
    from cooc_engine.formats.elmo import write_elmo

    _refuse_parts("elmo", vectors, restrict)
    if format_of(source) is not None:
        raise UsageError(f"{source}: is not an ELMo model")
    model = open_model(source)
    words, size = model.shapes["words"]
    return Exported(tuple(write_elmo(model, output, force=force)), "elmo", words, size, None, None)


def _refuse_parts(format: str, vectors: str | None, restrict: int | None) -> None:
    for flag, value in (("--vectors", vectors), ("--restrict", restrict)):
        if value is not None:
            raise UsageError(f"{flag}={value}: --format={format} holds the whole model; leave it out, or take another format")


def _known(format: str, formats: Sequence[str] = FORMATS) -> str:
    known = ALIASES.get(format, format) if isinstance(format, str) else format
    if known not in formats:
        raise UsageError(f"--format is {format!r}; it must be one of {', '.join(formats)}")
    return known


def _outgoing(source: Path, vectors: str | None, restrict: int | None) -> Outgoing:
    rows: Matrix | Published
    if format_of(source) is None and vectors in ("documents", "columns"):
        model = open_model(source)
        words, rows = model.document_rows() if vectors == "documents" else model.column_rows()
    elif format_of(source) is None:
        model = open_model(source)
        found_rows = model.rows(vectors)
        if isinstance(found_rows, SparseVectors):
            raise UsageError(f"{source}: {SPARSE}")
        words, rows = model.vocabulary, found_rows
    elif vectors is not None:
        raise UsageError(f"--vectors={vectors}: {source} has one set of vectors")
    else:
        found = read_vectors(source)
        words, rows = found.vocabulary, found.vectors
    if restrict is None or restrict >= len(words):
        return Outgoing(words, rows)
    if restrict < 1:
        raise UsageError(f"--restrict is {restrict}; it must be at least 1")
    ends = words.offsets[: restrict + 1]
    return Outgoing(Vocabulary(words.text[: ends[-1]], ends, words.counts[:restrict]), rows)

"""The model files of fastText's program, `.bin` and quantised `.ftz`, as plain data.

A file holds, one after another: magic number and version, the arguments, the dictionary (words, then labels, each with count
and type, then the n-grams that were kept), the input matrix (a row for each word, then for each n-gram) and the output matrix.
Numbers are little-endian and unaligned. Each size is compared with the rest of the file before any memory is taken for it.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.formats.incoming import CHUNK, WIDEST, Faults, is_utf8, repeated
from cooc_engine.linalg.quantisation import CENTROIDS, Quantised, parts_of
from cooc_engine.runtime.types import Matrix, Rows
from cooc_engine.storage.hdf5 import BEYOND, LARGEST
from cooc_engine.storage.scratch import nameless
from cooc_engine.text.compression import Decompressed, beginning, opened

__all__ = [
    "LOSSES",
    "MAGIC",
    "MODELS",
    "Arguments",
    "CheckedRows",
    "FastTextFile",
    "is_fasttext",
    "parse_fasttext",
    "read_fasttext",
    "write_fasttext",
]

MAGIC = struct.pack("<i", 793712314)
VERSION, OLDER = 12, 11
MODELS = {1: "cbow", 2: "skipgram", 3: "supervised"}
LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
MOST_GRAM = 63  # characters or words of an n-gram
LONGEST_WORD = 1 << 16  # bytes
AFTER_WORD = struct.Struct("<xqb")  # the zero byte that ends a word, its count, and its type
WORD, LABEL = 0, 1


class Arguments(NamedTuple):
    """The arguments with which the program has trained a model, as its files hold them, in their order.

    loss and model are keys of `LOSSES` and `MODELS`; t is the threshold of subsampling.
    """

    dim: int
    ws: int
    epoch: int
    min_count: int
    neg: int
    word_ngrams: int
    loss: int
    model: int
    bucket: int
    minn: int
    maxn: int
    lr_update_rate: int
    t: float


ARGUMENTS = struct.Struct("<12id")
ANY, GRAM = (0, 2**31 - 1), (0, MOST_GRAM)
RANGES = {
    "dim": (1, WIDEST), "word_ngrams": GRAM, "loss": (1, 4), "model": (1, 3), "minn": GRAM, "maxn": GRAM,
    "ws": ANY, "epoch": ANY, "neg": ANY, "bucket": ANY,
}  # fmt: skip


@dataclass(frozen=True)
class FastTextFile:
    """The content of a file of fastText. Matrices are objects whose rows are read like those of a float32 array.

    words     W words with their counts, in the order of the rows
    labels    L labels with their counts
    tokens    number of tokens of the training text, including those that are no longer in the dictionary
    kept      the bucket (B,) of each n-gram row, ascending, if some n-grams were removed; None if every bucket has a row
    inputs    (W + B, d) rows of words, then of n-grams
    outputs   (L, d), or (W, d) if the model is not supervised; with hierarchical softmax row i is that of inner node i, and
              the last row is unused
    """

    arguments: Arguments
    words: Vocabulary
    labels: Vocabulary
    tokens: int
    kept: Rows | None
    inputs: Any
    outputs: Any

    @property
    def supervised(self) -> bool:
        """Tell whether the model is a classifier."""
        return MODELS[self.arguments.model] == "supervised"


class CheckedRows:
    """A mapped matrix (n, d) of a file, whose rows are copied and tested to be finite whenever they are read."""

    def __init__(self, values: npt.NDArray[Any], path: Path, what: str, taken: Rows | None = None) -> None:
        self._values, self._path, self._what, self._taken = values, path, what, taken
        self.shape: tuple[int, int] = (len(values) if taken is None else len(taken), values.shape[1])

    def __len__(self) -> int:
        """Return n."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Matrix:
        """Return the rows of a slice, or those with the given numbers; raises `InputError` if a number is not finite."""
        found = np.array(self._values[rows if self._taken is None else self._taken[rows]], np.float32)
        if not (np.abs(found) < LARGEST).all():  # NaN is not
            raise InputError(f"{self._path}: {self._what} holds a number that is not finite, or {BEYOND}")
        return found

    def of(self, rows: Rows | slice) -> CheckedRows:
        """Return a matrix of some of the rows, which is not read yet."""
        if isinstance(rows, slice) and self._taken is None:
            return CheckedRows(self._values[rows], self._path, self._what)
        return CheckedRows(self._values, self._path, self._what, rows if self._taken is None else self._taken[rows])  # type: ignore[arg-type]


def is_fasttext(head: bytes) -> bool:
    """Tell whether a file with this beginning is a model file of fastText's program."""
    return head.startswith(MAGIC)


# ---------------------------------------------------------------------------------------------------------- reading


def read_fasttext(path: Path, faults: Faults | None = None, directory: Path | None = None) -> FastTextFile:
    """Open a `.bin` or `.ftz` file: the dictionary is read, the matrices are mapped; a compressed one is unpacked on disk.

    faults     where words that are not UTF-8 are reported, or counted and left out; by default they are errors
    directory  where the unnamed file of a compressed one is made

    Raises `InputError` for anything that is not a whole, undamaged file of version 11 or 12.
    """
    return parse_fasttext(_mapped(path, directory), faults or Faults(path, skip=False))


def parse_fasttext(data: bytes | mmap.mmap, faults: Faults) -> FastTextFile:
    """Return what the bytes of a file hold, without copying its matrices; raises `InputError` as `read_fasttext` does."""
    source = _Source(data, faults)
    magic, version = source.unpack(struct.Struct("<4si"))
    if magic != MAGIC:
        source.refuse(0, "not a model file of fastText")
    if version not in (VERSION, OLDER):
        source.refuse(4, f"version {version} of fastText's files; this program reads {OLDER} and {VERSION}")
    found = _read_arguments(source)
    if version == OLDER and MODELS[found.model] == "supervised":
        found = found._replace(maxn=0)  # as the program does: older classifiers had no character n-grams
    return _read_dictionary(source, found)


class _Source:
    """The bytes of a file, read from front to back; errors name the byte."""

    def __init__(self, data: bytes | mmap.mmap, faults: Faults) -> None:
        self.path, self.data, self.faults, self.place = faults.path, data, faults, 0

    @property
    def left(self) -> int:
        """Number of bytes that have not been read yet."""
        return len(self.data) - self.place

    def refuse(self, place: int, what: str) -> NoReturn:
        """Raise `InputError`."""
        raise InputError(f"{self.path}: byte {place}: {what}")

    def need(self, size: int, what: str) -> int:
        """Move on by `size` bytes, and return where they begin."""
        if size > self.left:
            self.refuse(self.place, f"{what} takes {size:,} bytes, and {self.left:,} are left; truncated or damaged")
        self.place += size
        return self.place - size

    def unpack(self, form: struct.Struct, what: str = "the header") -> tuple[Any, ...]:
        """Return the next numbers."""
        return form.unpack_from(self.data, self.need(form.size, what))

    def array(self, kind: str, shape: tuple[int, ...], what: str) -> npt.NDArray[Any]:
        """Return the next values, mapped and not aligned."""
        dtype, count = np.dtype(kind), 1
        for length in shape:
            count *= length
        return np.frombuffer(self.data, dtype, count, self.need(count * dtype.itemsize, what)).reshape(shape)

    def flag(self, what: str) -> bool:
        """Return the next byte, which must be 0 or 1."""
        (value,) = self.unpack(struct.Struct("<B"), what)
        if value > 1:
            self.refuse(self.place - 1, f"{what} is {value}; it must be 0 or 1")
        return bool(value)


def _mapped(path: Path, directory: Path | None) -> bytes | mmap.mmap:
    """Map a file, or an unnamed one to which it is unpacked if it is compressed."""
    with Decompressed(path) as raw:
        if not raw.compressed and raw.seekable():
            with path.open("rb") as file:
                return _map(file)
    if not is_fasttext(beginning(path, len(MAGIC))):  # before anything is unpacked
        raise InputError(f"{path}: not a model file of fastText")
    with opened(path) as file, nameless(directory) as unpacked:
        while piece := file.read(CHUNK):
            unpacked.write(piece)
        unpacked.flush()
        return _map(unpacked)


def _map(file: IO[bytes]) -> bytes | mmap.mmap:
    with suppress(ValueError):  # an empty file, which cannot be mapped
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return b""


def _read_arguments(source: _Source) -> Arguments:
    begin = source.place
    found = Arguments(*source.unpack(ARGUMENTS))
    for place, (name, value) in enumerate(found._asdict().items()):
        low, high = RANGES.get(name, (value, value))
        if not low <= value <= high:
            source.refuse(begin + 4 * place, f"the argument {name} is {value}; it must be {low} to {high}")
    if not np.isfinite(found.t):
        source.refuse(begin + ARGUMENTS.size - 8, f"the argument t is {found.t}")
    if not found.bucket and (found.word_ngrams > 1 or 0 < found.maxn >= found.minn):
        source.refuse(begin, "there are n-grams, but no buckets for them")
    return found


def _read_dictionary(source: _Source, found: Arguments) -> FastTextFile:
    begin = source.place
    entries, words, labels, tokens, kept = source.unpack(struct.Struct("<3i2q"), "the dictionary")
    if min(words, labels, tokens) < 0 or words + labels != entries or kept < -1 or kept > found.bucket:
        source.refuse(
            begin, f"{words} words, {labels} labels, {entries} entries, {tokens} tokens and {kept} n-grams do not fit"
        )
    if entries * (1 + AFTER_WORD.size) > source.left:
        source.refuse(begin, f"{entries} entries of the dictionary, and {source.left:,} bytes are left; truncated or damaged")
    vocabulary, rows = _read_entries(source, words, WORD)
    targets, target_rows = _read_entries(source, labels, LABEL)
    ngrams = _read_kept(source, kept, found.bucket) if kept >= 0 else None
    whole = FastTextFile(found, vocabulary, targets, tokens, None, None, None)
    inner = found.bucket if ngrams is None else len(ngrams)
    quantised = source.flag("whether the input is quantised")
    if ngrams is not None and not quantised:
        source.refuse(source.place - 1, "n-grams were left out of a matrix that is not quantised; get a newer file")
    inputs = _read_matrix(source, "the input matrix", quantised, (words + inner, found.dim))
    both = source.flag("whether the output is quantised")
    size, used = (labels, target_rows) if whole.supervised else (words, rows)
    outputs = _read_matrix(source, "the output matrix", both and quantised, (size, found.dim))
    if source.left:
        source.refuse(source.place, f"{source.left:,} bytes follow the end")
    if rows is not None or ngrams is not None:
        order = np.arange(inner) if ngrams is None else np.argsort(ngrams)
        inputs = inputs.of(np.concatenate([np.arange(words) if rows is None else rows, words + order]))
    kept_buckets = None if ngrams is None else np.sort(ngrams)
    return replace(whole, kept=kept_buckets, inputs=inputs, outputs=outputs if used is None else outputs.of(used))


def _read_entries(source: _Source, size: int, wanted: int) -> tuple[Vocabulary, Rows | None]:
    """Return words or labels, and the rows of the valid ones, or None if all are valid."""
    text, ends, counts, bad = bytearray(), array("q", [0]), array("q"), []
    kind = "label" if wanted else "word"
    for number in range(1, size + 1):
        end = source.data.find(b"\0", source.place, source.place + LONGEST_WORD)
        if end < 0:
            source.refuse(source.place, f"no end of {kind} {number}")
        word, source.place = source.data[source.place : end], end
        count, found = source.unpack(AFTER_WORD, f"{kind} {number}")
        if count < 0 or found != wanted or not word:
            source.refuse(end, f"{kind} {number} has {len(word)} bytes, the count {count} and the type {found}")
        if not is_utf8(word):
            source.faults.found("not UTF-8", f"{kind} {number}", f"{word[:40]!r} is not UTF-8")
            bad.append(number - 1)
            continue
        text += word
        ends.append(len(text))
        counts.append(count)
    vocabulary = Vocabulary(np.frombuffer(text, np.uint8), np.frombuffer(ends, np.int64), np.frombuffer(counts, np.int64))
    vocabulary.order = vocabulary.sorted_rows()
    for second, first in repeated(vocabulary):
        source.refuse(source.place, f"the {kind} {vocabulary.word(second)!r} stands twice, as {first + 1} and {second + 1}")
    return vocabulary, np.delete(np.arange(size), bad) if bad else None


def _read_kept(source: _Source, size: int, buckets: int) -> Rows:
    """Return the bucket of each row of n-grams that were kept."""
    begin = source.place
    pairs = source.array("<i4", (size, 2), "the list of n-grams").astype(np.int64)
    bucket, row = pairs.T
    kept = np.full(size, -1, np.int64)
    inside = (row >= 0) & (row < size) & (bucket >= 0) & (bucket < buckets)
    kept[row[inside]] = bucket[inside]
    if (kept < 0).any() or len(np.unique(kept)) < size:
        source.refuse(begin, "the list of n-grams names a row or a bucket twice, or one that is not there")
    return kept


def _read_matrix(source: _Source, what: str, quantised: bool, wanted: tuple[int, int]) -> Any:
    norms = quantised and source.flag(f"whether lengths in {what} are quantised")
    begin = source.place
    shape = source.unpack(struct.Struct("<2q"), what)
    if shape != wanted:
        source.refuse(begin, f"{what} has {shape[0]} rows of {shape[1]}, expected {wanted[0]} of {wanted[1]}")
    if not quantised:
        return CheckedRows(source.array("<f4", shape, what), source.path, what)
    (size,) = source.unpack(struct.Struct("<i"), what)
    if size < shape[0] or size % max(1, shape[0]):
        source.refuse(begin, f"{what} has {size} codes for {shape[0]} rows")
    codes = source.array("|u1", (shape[0], size // max(1, shape[0])), what)
    centroids, dsub = _read_centroids(source, what, shape[1])
    if codes.shape[1] != len(parts_of(shape[1], dsub)):
        source.refuse(begin, f"{what} has {codes.shape[1]} codes for a row of {shape[1]} numbers, {dsub} to a code")
    if not norms:
        return Quantised(codes, centroids, dsub)
    lengths = source.array("|u1", (shape[0],), what)
    return Quantised(codes, centroids, dsub, lengths, _read_centroids(source, what, 1)[0])


def _read_centroids(source: _Source, what: str, width: int) -> tuple[Matrix, int]:
    """Return the centroids of all parts of `width` components, and the number of components of a part."""
    begin = source.place
    d, parts, dsub, last = source.unpack(struct.Struct("<4i"), what)
    if d != width or dsub < 1 or (parts, last) != (len(parts_of(width, dsub)), (width - 1) % dsub + 1):
        source.refuse(begin, f"{parts} parts of {dsub} and {last} numbers do not make the {width} of {what}")
    centroids = source.array("<f4", (CENTROIDS * width,), f"the centroids of {what}").astype(np.float32)
    if not (np.abs(centroids) < LARGEST).all():
        source.refuse(begin, f"a centroid of {what} is not finite, or {BEYOND}")
    return centroids, dsub


# ---------------------------------------------------------------------------------------------------------- writing


def write_fasttext(file: BinaryIO, whole: FastTextFile) -> None:
    """Write a file of version 12; it is a `.ftz` if the input matrix is `Quantised`.

    Raises `UsageError` for what such files cannot hold.
    """
    inputs, outputs = isinstance(whole.inputs, Quantised), isinstance(whole.outputs, Quantised)
    if outputs and not inputs:
        raise UsageError("fastText's files have no quantised outputs beside inputs that are not; quantise both")
    try:
        arguments = ARGUMENTS.pack(*whole.arguments)
    except struct.error:
        raise UsageError("an option of the training is too large for a file of fastText; take another --format") from None
    file.write(MAGIC + struct.pack("<i", VERSION) + arguments)
    words, labels, kept = len(whole.words), len(whole.labels), whole.kept
    file.write(struct.pack("<3i2q", words + labels, words, labels, whole.tokens, -1 if kept is None else len(kept)))
    for vocabulary, kind in ((whole.words, WORD), (whole.labels, LABEL)):
        for first, last in vocabulary.pieces():
            file.write(b"".join(_entries(vocabulary, first, last, kind)))
    if kept is not None:
        file.write(np.stack([kept, np.arange(len(kept))], 1).astype("<i4").tobytes())
    for matrix in (whole.inputs, whole.outputs):
        file.write(struct.pack("<?", isinstance(matrix, Quantised)))
        _write_matrix(file, matrix)


def _entries(vocabulary: Vocabulary, first: int, last: int, kind: int) -> Iterator[bytes]:
    ends, counts = vocabulary.offsets[first : last + 1].tolist(), vocabulary.counts[first:last].tolist()
    for begin, end, count in zip(ends[:-1], ends[1:], counts, strict=True):
        yield vocabulary.text[begin:end].tobytes() + AFTER_WORD.pack(count, kind)


def _write_matrix(file: BinaryIO, matrix: Any) -> None:
    rows, width = matrix.shape
    if not isinstance(matrix, Quantised):
        file.write(struct.pack("<2q", rows, width))
        step = max(1, CHUNK // (4 * width))
        for start in range(0, rows, step):
            file.write(np.ascontiguousarray(matrix[start : start + step], "<f4").data)
        return
    if matrix.codes.size >= 2**31:
        raise UsageError(f"{matrix.codes.size:,} codes are more than a file of fastText can hold; pass a larger --dsub")
    file.write(struct.pack("<?2qi", matrix.norms is not None, rows, width, matrix.codes.size))
    file.write(np.ascontiguousarray(matrix.codes).data)
    _write_centroids(file, matrix.centroids, width, matrix.dsub)
    if matrix.norms is not None and matrix.norm_codes is not None:
        file.write(np.ascontiguousarray(matrix.norm_codes).data)
        _write_centroids(file, matrix.norms, 1, 1)


def _write_centroids(file: BinaryIO, centroids: Matrix, width: int, dsub: int) -> None:
    file.write(struct.pack("<4i", width, len(parts_of(width, dsub)), dsub, (width - 1) % dsub + 1))
    file.write(np.ascontiguousarray(centroids, "<f4").data)

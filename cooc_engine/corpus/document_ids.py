"""The ids of documents: the values of a column of the text, or else the numbers of the lines."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.directory import ID_FILES, Corpus
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Offsets
from cooc_engine.storage.arrays import ArrayWriter
from cooc_engine.storage.relations import check_words

__all__ = ["IdsWriter", "Tagging", "document_ids", "tag_numbers", "tagging"]

LINE_END = 10
SAMPLE = 1 << 16  # tags that are told apart while they are counted


class IdsWriter:
    """Writes the files of the document ids of a text, piece by piece."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._size = directory, 0

    def __enter__(self) -> IdsWriter:
        with ExitStack() as files:
            self._text, self._offsets = (
                files.enter_context(ArrayWriter(self._directory / name, kind)) for name, kind in ID_FILES.items()
            )
            self._files = files.pop_all()
        self._offsets.append(np.zeros(1, np.int64))
        return self

    def append(self, ids: npt.NDArray[np.uint8]) -> None:
        """Write the next ids: their bytes, with a line end after each; the last may go on in the next piece."""
        ends = np.flatnonzero(ids == LINE_END)
        self._text.append(ids[ids != LINE_END])
        self._offsets.append(self._size + ends - np.arange(len(ends)))
        self._size += len(ids) - len(ends)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._files.__exit__(kind, error, trace)


def document_ids(corpus: Corpus) -> Vocabulary:
    """Return the ids of the documents of a corpus, in the order of the text, with the number of tokens of each as its count.

    Raises `InputError` if two documents have the same id.
    """
    lengths = document_lengths(corpus)
    if corpus.ids is None:
        return Vocabulary(*line_numbers(corpus.documents), lengths)
    ids = Vocabulary(*corpus.ids, lengths)
    check_words(ids.text, ids.offsets, lengths, f"{corpus.path}: the ids of documents")
    ids.order = ids.sorted_rows()
    if (row := ids.repeated()) is not None:
        how = "give each its own, or encode with --tag-separator to let them share a vector"
        raise InputError(f"{corpus.path}: several documents have the id {ids.word(row)!r}; {how}")
    return ids


class Tagging(NamedTuple):
    """The tags of a corpus, in the order of their first occurrence, and those of each document.

    tags    the count of a tag is the number of tokens in documents with that tag
    starts  (D + 1,) int64
    rows    int32: document d has the tags rows[starts[d]:starts[d + 1]], each once
    """

    tags: Vocabulary
    starts: Offsets
    rows: npt.NDArray[np.int32]


def tagging(corpus: Corpus) -> Tagging | None:
    """Return the tags of a corpus that was encoded with a separator of tags; None for any other."""
    if corpus.ids is None or corpus.options.tag_separator is None:
        return None
    known, rows, starts = dict[bytes, int](), array("i"), array("q", [0])
    for named in _tags_of_documents(corpus):
        rows.extend(known.setdefault(tag, len(known)) for tag in named)
        starts.append(len(rows))
    listed, places, lengths = np.frombuffer(rows, np.int32), np.frombuffer(starts, np.int64), document_lengths(corpus)
    counts = np.zeros(len(known), np.int64)
    np.add.at(counts, listed, np.repeat(lengths, np.diff(places)))
    tags = Vocabulary(np.frombuffer(b"".join(known), np.uint8), offsets_of([*map(len, known)]), counts)
    tags.order = tags.sorted_rows()
    return Tagging(tags, places, listed)


def tag_numbers(corpus: Corpus) -> tuple[int, int]:
    """Return how many tags a corpus has, roughly if they are many, and how many its documents have in all; takes little memory.

    Distinct tags are counted by adaptive sampling (Flajolet 1990): of their checksums only those below a bound are kept, which
    is halved whenever they are too many.
    """
    seen, bound, total = set[int](), 1 << 32, 0
    for tags in _tags_of_documents(corpus):
        total += len(tags)
        seen.update(crc for tag in tags if (crc := crc32(tag)) < bound)
        while len(seen) > SAMPLE:
            bound //= 2
            seen = {crc for crc in seen if crc < bound}
    return len(seen) * ((1 << 32) // bound), total


def _tags_of_documents(corpus: Corpus) -> Iterator[list[bytes]]:
    """Yield the tags of each document, each once; raises `FormatError` if they are damaged."""
    assert corpus.ids is not None and corpus.options.tag_separator is not None
    ids, separator = Vocabulary(*corpus.ids, document_lengths(corpus)), corpus.options.tag_separator.encode()
    check_words(ids.text, ids.offsets, ids.counts, f"{corpus.path}: the tags of documents")
    for first, last in ids.pieces():
        for begin, end in itertools.pairwise(ids.offsets[first : last + 1].tolist()):
            yield [*dict.fromkeys(ids.text[begin:end].tobytes().split(separator))]


def document_lengths(corpus: Corpus) -> npt.NDArray[np.int64]:
    """Return the number of tokens of each document."""
    return np.concatenate([*(np.diff(corpus.shard(n).offsets) for n in range(corpus.shards)), np.empty(0, np.int64)])


def line_numbers(count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the numbers 1 to `count` as text, one after another, and where each begins and the last one ends."""
    texts, lengths = [np.empty(0, np.uint8)], [np.zeros(1, np.int64)]
    for digits in range(1, len(str(count)) + 1):
        numbers = np.arange(10 ** (digits - 1), min(10**digits, count + 1))
        text = np.empty((len(numbers), digits), np.uint8)
        for place in range(digits):
            text[:, digits - 1 - place] = ord("0") + numbers // 10**place % 10
        texts.append(text.reshape(-1))
        lengths.append(np.full(len(numbers), digits))
    return np.concatenate(texts), np.cumsum(np.concatenate(lengths))

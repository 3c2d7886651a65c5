"""Documents with tags, which name the vectors of a document, and which other documents may share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import InputError

__all__ = ["SEPARATOR", "TaggedDocument", "Tags", "is_tagged", "untagged"]

SEPARATOR = ","
PIECE_BYTES = 1 << 16  # of tags that are written at a time


class TaggedDocument(NamedTuple):
    """A document, which is a string or a sequence of words, and its tags: strings or integers. gensim's class serves as well.

    >>> letters = [TaggedDocument("ice melts", ["winter", 1]), TaggedDocument("snow falls", ["winter", 2])]
    >>> encode_documents(letters, "letters", min_count=1).documents
    2
    """

    words: str | Sequence[str]
    tags: Sequence[str | int]


def untagged(document: Any) -> Any:
    """Return the words of a document with tags, and any other unchanged."""
    return document.words if is_tagged(document) else document


def is_tagged(document: Any) -> bool:
    """Tell whether a document has tags."""
    return hasattr(document, "words") and hasattr(document, "tags")


class Tags:
    """Removes the tags from documents, and passes them to a function.

    separator  joins the tags of a document
    write      is called with the tags of the next documents, as bytes with a line end after those of each document
    """

    def __init__(self, separator: str, write: Callable[[npt.NDArray[np.uint8]], None]) -> None:
        self._separator, self._write = separator, write

    def taken_off(self, documents: Iterable[Any]) -> Iterator[Any]:
        """Yield documents without their tags, which are written; raises `InputError`, with its number, for one without tags."""
        waiting = bytearray()
        for number, document in enumerate(documents, 1):
            waiting += f"{self._joined(number, document)}\n".encode()
            if len(waiting) >= PIECE_BYTES:
                self._write(np.frombuffer(bytes(waiting), np.uint8))
                waiting.clear()
            yield document.words
        self._write(np.frombuffer(bytes(waiting), np.uint8))

    def _joined(self, number: int, document: Any) -> str:
        if not is_tagged(document) or isinstance(document.tags, str) or not len(document.tags):
            raise InputError(f"documents: document {number} has no list of tags, unlike the first one")
        tags = [str(tag) for tag in document.tags]
        for tag in tags:
            if not tag.strip() or self._separator in tag or "\n" in tag or "\0" in tag:
                raise InputError(
                    f"documents: document {number} has the tag {tag!r:.40}; a tag is not empty, and has no line end and no "
                    f"{self._separator!r}; if yours have, choose another --tag-separator"
                )
        return self._separator.join(tags)

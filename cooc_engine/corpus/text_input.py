"""The text that is encoded: files, or documents of an iterable, and the ways to read it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cooc_engine.corpus.allotment import Allotment
from cooc_engine.errors import InputError
from cooc_engine.runtime.paths import several
from cooc_engine.runtime.types import PathLike
from cooc_engine.text import files, readers
from cooc_engine.text.id_column import IdColumn
from cooc_engine.text.reading import Reading
from cooc_engine.text.stores import TextPath, located
from cooc_engine.text.tagged import Tags
from cooc_engine.text.tokenizer_pool import Processes

__all__ = ["TextInput"]


@dataclass(frozen=True)
class TextInput:
    """The text to encode: its names, its files if any, and two ways to read it.

    blocks  for the byte kernel: a function of one that lends buffers, and of the place to start at
    pieces  of whole lines, for Python code: a function of the maximum length of a line
    """

    names: list[str]
    paths: list[TextPath]
    blocks: Callable[..., Iterator[readers.Block]]
    pieces: Callable[..., Iterator[readers.Piece]]

    @classmethod
    def of(cls, texts: PathLike | Sequence[PathLike]) -> TextInput:
        """Return the text input for files."""
        paths = [located(text) for text in several(texts)]
        ways = functools.partial(readers.file_blocks, paths), functools.partial(readers.file_pieces, paths)
        return cls(text_names(paths), paths, *ways)

    def reader(
        self,
        room: Allotment,
        reading: Reading,
        processes: Processes | None,
        start: readers.Place | None = None,
        ids: IdColumn | Tags | None = None,
    ) -> Callable[..., Iterator[readers.Block]]:
        """Return a function that yields the text from a place on, as blocks in buffers that it is lent.

        With `processes`, which cut the text into words, the blocks hold these words. `ids`, if given, takes the ids of
        documents out of the text.
        """
        column: dict[str, Any] = {"reading": reading, **({"ids": ids} if ids else {})}
        if processes:
            return functools.partial(readers.word_blocks, processes.words(self.pieces(room.line, **column)))
        return functools.partial(self.blocks, **({"start": start} if start else {}), **column)

    def refuse_missing(self) -> None:
        """Raise `InputError` for a file that is not there."""
        for path in self.paths:
            if str(path) != "-" and not path.exists():
                raise InputError(f"{path}: no such file")

    @property
    def size(self) -> int | None:
        """Bytes on disk, or None if unknown."""
        return files.total_bytes(self.paths) if self.paths else None


def text_names(texts: Sequence[PathLike]) -> list[str]:
    """Return the names of text files as recorded in a manifest: bytes that are not UTF-8 are written as `\\xNN`."""
    return [os.fsencode(text).decode(errors="backslashreplace") for text in texts]

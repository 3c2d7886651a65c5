"""Words as the ids of their characters: the bytes of UTF-8, between marks, padded to 50 places.

The ids are the rows of `characters` in a model and of `char_embed` in a published file: bytes are 0 to 255, then come the words
`<S>` and `</S>`, the begin and the end of a word, and padding. (Other programs add 1 when they load a file, so that 0 can stand
for a missing word.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import spelling
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.elmo_options import MOST_CHARACTERS
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Offsets, Rows

__all__ = ["BEGIN", "END", "MARKS", "UNKNOWN", "Spelled", "Words"]

MARKS = ("<S>", "</S>", "<UNK>")  # the first three words of a softmax, and of the programs' vocabularies
BEGIN, END, UNKNOWN = range(len(MARKS))


class Spelled(NamedTuple):
    """The characters of n words, int16 (n, 50), and how many of them are not padding, int64 (n,)."""

    ids: npt.NDArray[np.int16]
    lengths: Rows


class Words(NamedTuple):
    """Words as concatenated bytes: word w is text[offsets[w]:offsets[w + 1]]."""

    text: npt.NDArray[np.uint8]
    offsets: Offsets

    @classmethod
    def of(cls, words: Sequence[str]) -> Words:
        """Return words of any kind; escaped bytes, as the command line makes of invalid UTF-8, are themselves again."""
        encoded = [word.encode(errors="surrogateescape") for word in words]
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets_of([len(word) for word in encoded]))

    @classmethod
    def marked(cls, vocabulary: Vocabulary) -> Words:
        """Return the `MARKS` and then the words of a vocabulary: word w is the w + 3rd."""
        text, offsets = cls.of(MARKS)
        return cls(np.concatenate([text, vocabulary.text]), np.concatenate([offsets, offsets[-1] + vocabulary.offsets[1:]]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def spelled(self, rows: Rows) -> Spelled:
        """Return the characters of some of the words: at most 48 bytes of each, even if a character is cut."""
        ids = np.empty((len(rows), MOST_CHARACTERS), np.int16)
        lengths = np.empty(len(rows), np.int64)
        spelling.spell(self.text, self.offsets[:-1], self.offsets[1:], np.asarray(rows, np.int64), ids, lengths)
        return Spelled(ids, lengths)

"""Documents that are several lines: paragraphs, or whole files."""

from __future__ import annotations

from typing import Any

import numpy as np

from cooc_engine._kernels.later import paragraphs
from cooc_engine.text.reading import Unit

__all__ = ["LineJoiner"]


class LineJoiner:
    """Makes one line of each document of a source; the text keeps its length, so that places in it stay true.

    The last document ends with the source: then a line end is added, if there is a document to end.
    """

    def __init__(self, unit: Unit) -> None:
        self._at_blank_lines = unit == "blank-line"
        self._state = np.zeros(2, np.int64)
        self._state[paragraphs.BLANK] = 1
        self._state[paragraphs.OPEN] = not self._at_blank_lines  # a file without a word is a document too

    def join(self, target: Any, size: int) -> int:
        """Join the lines in the next `size` bytes; with none, the source has ended. Returns the new size."""
        if size:
            paragraphs.join_lines(np.frombuffer(target, np.uint8), size, self._at_blank_lines, self._state)
        elif len(target) and self._state[paragraphs.OPEN]:
            target[0], self._state[paragraphs.OPEN] = paragraphs.LINE_END, 0
            return 1
        return size

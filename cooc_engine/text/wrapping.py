"""Whether the lines of a text were broken at a width, as in most books: then a line is a part of a document."""

from __future__ import annotations

import numpy as np

__all__ = ["wrapped_at"]

LEAST_LINES = 100  # of a sample that says something
BLANK = 0.01  # blank lines of all, at least: paragraphs are separated by them
NARROWEST, WIDEST = 40, 120  # widths in characters at which texts are broken
NEARLY, MOST = 0.8, 0.6  # a line is nearly full from this share of the width on; this share of the lines is


def wrapped_at(text: bytes) -> int | None:
    """Return the width at which the lines of a sample of text seem to be broken, in characters, or None.

    Most lines of such a text are nearly as long as the longest, and blank ones are among them; sentences, titles and messages
    are of all lengths.
    """
    lines = [line.strip() for line in text.decode(errors="replace").split("\n")]
    lengths = np.array([len(line) for line in lines if line])
    if len(lengths) < LEAST_LINES or len(lines) - len(lengths) < BLANK * len(lines):
        return None
    width = int(np.quantile(lengths, 0.98))
    full = np.mean(lengths >= NEARLY * width)
    return width if NARROWEST <= width <= WIDEST and full >= MOST else None

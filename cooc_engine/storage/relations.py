"""Checks of arrays from files, made before a kernel uses their values as indices.

Each check reads its arrays once, a piece at a time, so that a mapped array takes little memory; all but `check_array` raise
`FormatError`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError

__all__ = ["check_array", "check_offsets", "check_rising", "check_sum", "check_within", "check_words"]

PIECE = 1 << 16  # values checked at a time


def _pieces(values: npt.NDArray[Any], overlap: int = 0) -> Iterator[npt.NDArray[Any]]:
    """Yield an array in pieces, each of which begins with the last `overlap` values of the one before it."""
    return (values[start : start + PIECE + overlap] for start in range(0, len(values), PIECE))


def check_rising(ends: npt.NDArray[np.int64], end: int, where: str) -> None:
    """Check that numbers are not negative, never fall, and end at `end`; there may be none if `end` is 0."""
    # Pairs are compared, not subtracted: a difference of absurd values could overflow.
    falls = any((part[1:] < part[:-1]).any() for part in _pieces(ends, 1))
    if falls or (ends[0] < 0 or ends[-1] != end if len(ends) else end):
        raise FormatError(f"{where}: its numbers do not rise to {end}; make it again")


def check_offsets(offsets: npt.NDArray[np.int64], end: int, where: str, longest: int | None = None) -> None:
    """Check that offsets begin at 0, never fall and end at `end`, and that no stretch between two is above `longest`."""
    if not len(offsets) or offsets[0] != 0:
        raise FormatError(f"{where}: the first offset is not 0; make it again")
    check_rising(offsets, end, where)
    if longest is not None and any((np.diff(part) > longest).any() for part in _pieces(offsets, 1)):
        raise FormatError(f"{where}: a row has more than {longest} entries; make it again")


def check_within(values: npt.NDArray[Any], low: int, end: int, where: str) -> None:
    """Check that every value is at least `low` and below `end`."""
    if any(part.min() < low or part.max() >= end for part in _pieces(values)):
        raise FormatError(f"{where}: a value is outside {low} to {end - 1}; make it again")


def check_array(arrays: Mapping[str, npt.NDArray[Any]], name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless there is an array of this name, type and shape in a checkpoint."""
    found = arrays.get(name)
    if found is None or (found.dtype, found.shape) != (np.dtype(dtype), shape):
        raise ValueError(f"its array {name} does not fit this training")


def check_sum(values: npt.NDArray[Any], total: int, where: str) -> None:
    """Check that no value is negative, and that they sum to `total`, which may be beyond 64 bits."""
    if len(values) and values.min() < 0:
        raise FormatError(f"{where}: a value is negative; make it again")
    if sum(_exact_sum(part) for part in _pieces(values)) != total:
        raise FormatError(f"{where}: the values do not sum to {total}; make it again")


def _exact_sum(values: npt.NDArray[Any]) -> int:
    """Return the sum of non-negative integers, whose high and low 32 bits are summed separately so that nothing overflows."""
    whole = values.astype(np.uint64)
    return int((whole & np.uint64(0xFFFFFFFF)).sum()) + (int((whole >> np.uint64(32)).sum()) << 32)


def check_words(text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], where: str) -> None:
    """Check that a vocabulary has an offset and a count for each word, and that every word is UTF-8."""
    if len(offsets) != len(counts) + 1:
        raise FormatError(f"{where}: {len(counts)} counts do not fit {len(offsets) - 1} words; make it again")
    check_offsets(offsets, len(text), f"{where}: the words")
    if any((part < 0).any() for part in _pieces(counts)):
        raise FormatError(f"{where}: a count is negative; make it again")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for part in _pieces(text):
            decoder.decode(part.tobytes())
        decoder.decode(b"", final=True)
        whole = not any(_splits(text, part[:-1]) for part in _pieces(offsets, 1))
    except UnicodeDecodeError:
        whole = False
    if not whole:
        raise FormatError(f"{where}: a word is not UTF-8; make it again")


def _splits(text: npt.NDArray[np.uint8], begins: npt.NDArray[np.int64]) -> bool:
    """Tell whether a word begins within a character."""
    return bool(((text[begins[begins < len(text)]] & 0xC0) == 0x80).any())

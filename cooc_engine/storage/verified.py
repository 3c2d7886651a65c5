"""Datasets that are verified when they are first read, so that a damaged or forged number is an error, never an answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.storage.hdf5 import LARGEST, Element

__all__ = ["VerifiedArrays", "VerifiedRows"]


class VerifiedRows:
    """A mapped dataset (n, ...), of which each block of rows is verified once, before any of its rows is returned.

    Reading raises `FormatError` for a block that differs from its checksum, or holds a number that is not finite or beyond
    `LARGEST`.
    """

    def __init__(self, element: Element, name: str) -> None:
        self._dataset = replace(element.datasets[name], bound=LARGEST)
        self._where = f"{element.where}/{name}"
        self.shape: tuple[int, ...] = self._dataset.values.shape
        self._unverified = np.ones(len(self._dataset.checksums), bool)

    def __len__(self) -> int:
        """Return n."""
        return self.shape[0]

    def __getitem__(self, rows: slice | int | list[int] | npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the rows of a slice as a view, or those with the given numbers."""
        if self._unverified.any():
            self._verify(self._blocks(rows))
        found: npt.NDArray[Any] = self._dataset.values[rows]
        return found

    def whole(self) -> npt.NDArray[Any]:
        """Return all values as a view."""
        self._verify(np.arange(len(self._unverified)))
        found: npt.NDArray[Any] = self._dataset.values
        return found

    def release(self) -> None:
        """Drop the pages read from this process."""
        self._dataset.release()

    def _blocks(self, rows: slice | int | list[int] | npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the numbers of the blocks that hold these rows."""
        size = max(1, self._dataset.block or len(self))
        if isinstance(rows, slice):
            wanted = range(*rows.indices(len(self)))
            ends = sorted((wanted[0], wanted[-1])) if wanted else (0, -1)
            return np.arange(ends[0] // size, ends[1] // size + 1)
        numbers = np.asarray(rows)
        numbers = np.flatnonzero(numbers) if numbers.dtype == bool else numbers.astype(np.int64) % max(1, len(self))
        return np.unique(numbers // size)

    def _verify(self, blocks: npt.NDArray[np.int64]) -> None:
        for block in blocks[self._unverified[blocks]].tolist():
            self._dataset.verify_block(block, self._where)
            self._unverified[block] = False


class VerifiedArrays(Mapping[str, npt.NDArray[Any]]):
    """The datasets of an element by name: an item is an array, verified as a whole when first taken; `rows` reads parts."""

    def __init__(self, element: Element) -> None:
        self._own = {name: VerifiedRows(element, name) for name in element.datasets}
        self.rows: dict[str, Any] = {**self._own}

    def joined(self, others: Mapping[str, Any]) -> VerifiedArrays:
        """Return these arrays together with others, which have the methods of `VerifiedRows`."""
        both = copy.copy(self)
        both.rows = {**self.rows, **others}
        return both

    def verify(self) -> None:
        """Verify all datasets that have not been read yet, and keep none of their pages."""
        for rows in self._own.values():
            rows.whole()
            rows.release()

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self.rows[name].whole()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        shapes = (f"{name} {' x '.join(map(str, rows.shape))}" for name, rows in self.rows.items())
        return f"<{type(self).__name__}: {', '.join(shapes)}>"

"""Kernel files that are loaded when one of their names is first used: `from cooc_engine._kernels.later import sparse`.

Numba takes longer to load than most questions take to answer, and many need no kernel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cooc_engine._kernels import (
        blocks,
        columns,
        coo,
        counting,
        encoding,
        paragraphs,
        quantising,
        screening,
        sparse,
        subwords,
    )

__all__ = ["blocks", "columns", "coo", "counting", "encoding", "paragraphs", "quantising", "screening", "sparse", "subwords"]


class _Later:
    """A kernel file by its name; names that were used once are its attributes."""

    def __init__(self, name: str) -> None:
        self._name = f"{__package__}.{name}"

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._name), name)
        setattr(self, name, value)
        return value


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _Later(name))

"""Base classes of opened corpora, co-occurrence directories and models, which are accepted in place of their paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.shown import Shown
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.arrays import ArrayFiles

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Opened", "OpenedDirectory"]


class Opened(Shown):
    """Something that was opened from `path`, and is accepted wherever that path is."""

    path: Path

    def __fspath__(self) -> str:
        """Return the path."""
        return str(self.path)


class OpenedDirectory(Opened):
    """An opened directory of array files. It is pickled as its path, so that another process opens it again."""

    files: ArrayFiles

    def __init__(self, path: PathLike) -> None:
        self.path = path_of(path)

    @classmethod
    def of(cls, source: PathLike | Self) -> Self:
        """Return an opened directory unchanged, or open the one at a path."""
        return source if isinstance(source, cls) else cls(source)

    @classmethod
    def is_finished(cls, work: Path) -> bool:
        """Tell whether an interrupted run had finished a directory but for its name; raises `FormatError` if it is damaged."""
        if not (work / "manifest.json").exists():
            return False
        cls(work).files.verify()
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path."""
        return type(self), (self.path.absolute(),)

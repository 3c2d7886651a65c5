"""The flags that select what a query is about: words, documents, or the columns of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import Options

__all__ = ["ABOUT_WORDS", "Sides"]


@dataclass(frozen=True)
class Sides(Options):
    """What the queries and what the answers are: words (rows), columns or documents."""

    documents: bool = False
    """Print the ids of the nearest documents instead of words."""
    columns: bool = False
    """Print the names of the nearest columns instead of rows: the items, for users by items."""
    of: Literal["words", "rows", "columns", "documents"] | None = None
    """What each WORD is: a word (row), the name of a column, or the id of a document; by default the same as the answers."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for columns together with documents, since no model has both."""
        super().__post_init__()
        if (self.documents and self.columns) or {self.asked, self.answers} == {"columns", "documents"}:
            raise UsageError("no model has both documents and columns; ask for one of them")

    @property
    def answers(self) -> str:
        """What the answers are."""
        return "documents" if self.documents else "columns" if self.columns else "words"

    @property
    def asked(self) -> str:
        """What each WORD is."""
        return "words" if self.of == "rows" else self.of or self.answers

    @property
    def named(self) -> str | None:
        """The side that is not words, documents or columns; None if both are words."""
        return next((side for side in (self.asked, self.answers) if side != "words"), None)


ABOUT_WORDS = Sides()

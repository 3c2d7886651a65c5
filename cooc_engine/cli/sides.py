"""The flags of a question that say which sides of a model it is about: words, documents, or the columns of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import Options

__all__ = ["ABOUT_WORDS", "Sides"]


@dataclass(frozen=True)
class Sides(Options):
    """What is asked about, and what the answers are: words, which are rows, columns or documents."""

    documents: bool = False
    """Print the nearest documents instead of words, by their ids."""
    columns: bool = False
    """Print the nearest columns instead of rows, by their names: of users by items, the items."""
    of: Literal["words", "rows", "columns", "documents"] | None = None
    """What each WORD is: a word, which is a row, the name of a column, or the id of a document; as the answers, if left out."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for columns and documents, of which no model has both."""
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
        """Which of both are documents or columns; None if neither is."""
        return next((side for side in (self.asked, self.answers) if side != "words"), None)


ABOUT_WORDS = Sides()

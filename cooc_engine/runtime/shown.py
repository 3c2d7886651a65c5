"""What an interactive session and a notebook show of an object."""

from __future__ import annotations

import html
from collections.abc import Mapping

from cooc_engine.errors import in_one_line

__all__ = ["Shown"]


class Shown:
    """An object that shows its `facts`: on a line as its `repr`, as a table in a notebook. Names in them come from files."""

    def facts(self) -> Mapping[str, str]:
        """Return what there is to know about the object at a glance, by name."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the class and the facts on one line."""
        return in_one_line(f"<{type(self).__name__}: {', '.join(f'{name} {value}' for name, value in self.facts().items())}>")

    def _repr_html_(self) -> str:
        """Return a table of the facts."""
        left = ' style="text-align: left"'
        facts = ([html.escape(in_one_line(text)) for text in fact] for fact in self.facts().items())
        rows = "".join(f"<tr><th{left}>{name}</th><td{left}>{value}</td></tr>" for name, value in facts)
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"

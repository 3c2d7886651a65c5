"""What all HTML pages have in common: their names and their templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cooc_engine.errors import UsageError

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["TEMPLATES", "check_name", "environment"]

TEMPLATES = Path(__file__).parent / "templates"
SUFFIXES = (".html", ".htm")


def check_name(page: Path) -> None:
    """Raise `UsageError` for the name of a file that is no page."""
    if page.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{page}: is not the name of a page; choose an --output that ends in .html")


def environment() -> Environment:
    """Return the template environment, which escapes all values."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

"""What all HTML pages have in common: their names and their templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cooc_engine.errors import UsageError
from cooc_engine.reports.canvas import COLOURS, DARK

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["TEMPLATES", "check_name", "environment", "palette"]

TEMPLATES = Path(__file__).parent / "templates"
SUFFIXES = (".html", ".htm")


def check_name(page: Path) -> None:
    """Raise `UsageError` for the name of a file that is no page."""
    if page.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{page}: is not the name of a page; choose an --output that ends in .html")


def palette() -> str:
    """Return the style of a page's colours: --c0, --c1 and so on are those of pictures, on a dark screen their counterparts."""
    return environment().get_template("palette.css").render(light=COLOURS, dark=DARK)


def environment() -> Environment:
    """Return the template environment, which escapes all values."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

"""How the documentation is built: `scripts/docs`. Nothing is fetched, and no page asks for anything from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pages  # noqa: E402
import plaintext  # noqa: E402

import cooc_engine  # noqa: E402

project = "cooc-engine"
author = copyright = "the authors of cooc-engine"
version = release = cooc_engine.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "myst_parser"]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
smartquotes = False  # two dashes begin a flag
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "encoding, answers, load, record"}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
# Types of other packages, whose pages are not here, the type variable of options, and the bounds of their values.
nitpick_ignore_regex = [("py:.*", r"(?!cooc_engine\.).*|cooc_engine\.runtime\.options\.(O|Options|AtLeast|Below)")]

html_theme = "alabaster"
html_theme_options = {
    "description": "From text to co-occurrence statistics and word vectors on one machine",
    "page_width": "1000px",
    "sidebar_width": "220px",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
    "fixed_sidebar": True,
    "show_powered_by": False,
    "show_related": True,
}
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False
html_show_copyright = False


def write_commands(app: Any) -> None:
    """Write a page for each command."""
    pages.write_pages(HERE / "reference" / "commands")


def add_commands(app: object, name: str, source: list[str]) -> None:
    """Add the tables of all commands to the page that leads to them."""
    if name == "reference/commands":
        source[0] += pages.command_tables()


def setup(app: Any) -> None:
    """Let docstrings be the plain text that they are, and the commands speak for themselves."""
    app.connect("builder-inited", write_commands)
    app.connect("source-read", add_commands)
    app.connect("autodoc-process-docstring", plaintext.on_docstring)
    app.connect("autodoc-process-signature", plaintext.on_signature)

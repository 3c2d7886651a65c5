"""A page for each command, from what the command line says of itself, and the tables that lead to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App

from cooc_engine.cli.app import command_line
from cooc_engine.cli.hints import commands

HEADING = re.compile(r"^#+ cooc-engine (.*)\n", re.MULTILINE)


def command_pages() -> dict[str, str]:
    """Return the Markdown of each command's page by the name of its file, without suffix."""
    whole = command_line().generate_docs(output_format="markdown")
    _, *parts = HEADING.split(whole)
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    return {
        _file(path): f"# cooc-engine {' '.join(path)}\n{texts[' '.join(path)].rstrip()}\n"
        for path, _ in commands(command_line())
    }


def write_pages(home: Path) -> None:
    """Write the pages of all commands into a directory, and delete those of commands that are no more."""
    home.mkdir(exist_ok=True)
    pages = {home / f"{name}.md": text for name, text in command_pages().items()}
    for stale in set(home.glob("*.md")) - set(pages):
        stale.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def command_tables() -> str:
    """Return a list of commands under the title of each group, each with a link to its page and its first sentence."""
    groups: dict[str, list[tuple[tuple[str, ...], App]]] = {}
    for path, command in commands(command_line()):
        groups.setdefault(_title(path), []).append((path, command))
    tables = [f"## {title}\n\n" + "\n".join(_rows(found)) for title, found in groups.items()]
    files = [f"commands/{_file(path)}" for found in groups.values() for path, _ in found]
    return "\n\n".join([*tables, "\n".join(["```{toctree}", ":hidden:", "", *files, "```"]), ""])


def _rows(found: list[tuple[tuple[str, ...], App]]) -> Iterator[str]:
    yield "| command | |\n|---|---|"
    for path, command in found:
        text = command.help.partition("\n")[0].replace("|", "\\|")
        yield f"| [{' '.join(path)}](commands/{_file(path)}.md) | {text} |"


def _title(path: tuple[str, ...]) -> str:
    return command_line()[path[0]].group[0].name if path[0] != "train" else "Training"


def _file(path: tuple[str, ...]) -> str:
    return "-".join(path)

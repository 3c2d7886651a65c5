"""Writes the manual page from what the command line says of itself: `python scripts/manpage.py`.

It has the verbs in their groups, so only a new verb or title changes it; flags are in `cooc-engine help VERB`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cooc_engine.cli.app import command_line
from cooc_engine.cli.hints import commands

PAGE = Path(__file__).resolve().parent.parent / "cooc-engine.1"
HEAD = """.\\" Made by scripts/manpage.py.
.TH COOC-ENGINE 1 "" cooc-engine "User commands"
.SH NAME
cooc-engine \\- from text to co-occurrence statistics and word vectors
.SH SYNOPSIS
.B cooc-engine
.I VERB
[\\fIFLAGS\\fR] [\\fIARGUMENTS\\fR]
.br
.B cooc-engine help
[\\fIVERB\\fR]
.SH DESCRIPTION
A text is encoded once, its co-occurrences are counted exactly, and models of many families are trained on the text or on its
counts, on one machine and within a given budget of memory. Results go to standard output, progress and errors to standard
error.
.SH EXAMPLE
.EX
cooc-engine train glove text.txt \\-\\-output model.h5
cooc-engine nn model.h5 river
.EE
"""
TAIL = """.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Bad input, a damaged file, or results that cannot be printed.
.TP
.B 2
An option that makes no sense, or a budget that is too small; nothing was done.
.TP
.B 3
A loss that is not finite, or far above that of vectors of zeros.
.TP
.B 4
Out of disk or memory; the same command with \\-\\-resume goes on.
.TP
.B 130
Interrupted; the same command with \\-\\-resume goes on.
.SH ENVIRONMENT
.TP
.B NUMBA_CACHE_DIR
The directory of the compiled kernels.
.SH SEE ALSO
.B cooc-engine help
.I VERB
explains the flags of a verb, with examples.
"""


def page() -> str:
    """Return the manual page in the language of man."""
    return HEAD + "".join(f"{line}\n" for line in _verbs()) + TAIL


def _verbs() -> Iterator[str]:
    """Yield the verbs, each with its first sentence, under the titles of their groups."""
    title = ""
    for path, command in commands(command_line()):
        group = "Training" if path[0] == "train" else command_line()[path[0]].group[0].name
        if group != title:
            title = group
            yield f'.SH "{title.upper()}"'
        yield from (".TP", f".B {_roff(' '.join(path))}", _roff(command.help.partition("\n")[0]))


def _roff(text: str) -> str:
    """Return a text in which nothing is an instruction, and hyphens can be copied."""
    return "\\&" + text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

"""What is done to a text before it is cut into words, and which of these are left out.

    html         tags become white space, or nothing within a word, and entities the characters that they name
    normalize    NFC or NFKC: characters that are written in several ways become one
    lowercase    by the rules of Unicode
    stop_words   words that are left out; they are prepared as the text is

This module imports nothing heavy: every tokenizer process loads it.
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from cooc_engine.errors import UsageError

__all__ = ["FORMS", "check_preparation", "plain_text", "prepares", "preparing", "short", "stop_words"]

FORMS = ("NFC", "NFKC")
SHOWN = 200  # characters shown of a word, or of another library's message

# Comments, scripts and styles with what is in them; tags; declarations and processing instructions.
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<code>script|style)\b.*?(?:</(?P=code)\s*>|\Z)|</?(?P<tag>[a-z][\w:-]*)[^<>]*>|<[!?][^<>]*>",
    re.I | re.S,
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?", re.I)
NO_BREAK = "\u00a0"
# Tags that occur within words.
WITHIN_WORDS = frozenset(
    "a abbr acronym b bdi bdo big cite code em font i ins del kbd mark s small span strike strong sub sup tt u var wbr".split()  # noqa: SIM905
)


def plain_text(text: str) -> str:
    """Return the text of HTML: `<b>H</b><sub>2</sub>O caf&eacute;<br>au lait` is `H2O café au lait`."""
    return ENTITY.sub(lambda found: html.unescape(found[0]), MARKUP.sub(_space, text)).replace(NO_BREAK, " ")


def _space(found: re.Match[str]) -> str:
    return "" if (found["tag"] or "").lower() in WITHIN_WORDS else " "


def check_preparation(record: Mapping[str, Any]) -> None:
    """Raise `UsageError` or `TypeError` for options that are none."""
    if record.get("normalize") not in (None, *FORMS):
        raise UsageError(f"--normalize is {short(repr(record['normalize']))}; it must be one of {', '.join(FORMS)}")
    if not isinstance(record.get("stop_words"), str | None):
        raise TypeError("the stop words are not a string")


def prepares(record: Mapping[str, Any]) -> bool:
    """Tell whether there is anything to do."""
    return any(record.get(name) for name in ("html", "normalize", "lowercase", "stop_words"))


def preparing(record: Mapping[str, Any]) -> Callable[[str], str]:
    """Return the function from a text to what is cut into words."""
    steps: list[Callable[[str], str]] = [plain_text] if record.get("html") else []
    if record.get("normalize"):
        steps.append(functools.partial(unicodedata.normalize, record["normalize"]))
    if record.get("lowercase"):
        steps.append(str.lower)

    def prepare(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return prepare


def stop_words(record: Mapping[str, Any]) -> frozenset[str]:
    """Return the words that are left out, of a list with one in each line."""
    prepare = preparing({**record, "html": False})
    return frozenset(prepare(line.strip()) for line in (record.get("stop_words") or "").splitlines())


def short(text: str) -> str:
    """Return a text as one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[:SHOWN] + " ..."

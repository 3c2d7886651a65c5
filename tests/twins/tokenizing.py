"""A slow and obvious twin of the default pattern of --tokenizer regex, and pairs of letters."""

from __future__ import annotations

import itertools
import unicodedata


def naive_words(text: str) -> list[str]:
    """The words by the default pattern, found letter by letter."""
    found, i = [], 0

    def is_word(c: str) -> bool:
        return c == "_" or c in "\u200c\u200d" or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd"

    while i < len(text):
        j = i
        if text[i] in "\u200c\u200d" or unicodedata.category(text[i])[0] == "M":  # belongs to a letter, or to no word
            i += 1
            continue
        while j < len(text):
            glued = j + 1 < len(text) and j > i and is_word(text[j - 1]) and is_word(text[j + 1])
            within = text[j] in "'’‐-" or (text[j] in ".," and text[j - 1].isdigit() and text[j + 1 : j + 2].isdigit())
            if not is_word(text[j]) and not (glued and within):
                break
            j += 1
        if j > i:
            found.append(text[i:j])
        i = max(j, i + 1)
    return found


def naive_pairs(text: str) -> list[tuple[str, str]]:
    letters = [c for c in text if not c.isspace()]
    return list(itertools.pairwise(letters))

"""Suggestions for misspelt words."""

from __future__ import annotations

import difflib

from cooc_engine.corpus.vocabulary import Vocabulary

__all__ = ["similar_spelling"]

SPELLINGS = 20_000  # suggestions come from this many of the most frequent words


def similar_spelling(word: str, vocabulary: Vocabulary) -> str | None:
    """Return a word of similar spelling, preferably one that differs only in case; None if there is none."""
    for variant in (word.lower(), word.capitalize(), word.upper()):
        if vocabulary.find(variant) >= 0:
            return variant
    start, lengths = word[:1].lower(), range(len(word) - 1, len(word) + 2)
    frequent = map(vocabulary.word, range(min(SPELLINGS, len(vocabulary))))
    close = (w for w in frequent if len(w) in lengths and w[:1].lower() == start)
    return next(iter(difflib.get_close_matches(word, close, 1, 0.7)), None)

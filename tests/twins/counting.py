"""Slow and obvious twins of counting: plain Python, exact fractions, no blocks or threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction


def vocabulary(documents: Sequence[Sequence[str]], min_count: int = 1, max_vocab: int | None = None) -> list[str]:
    """The words that occur often enough, by decreasing count, ties by their bytes."""
    counts = Counter(word for document in documents for word in document)
    kept = [word for word in counts if counts[word] >= min_count]
    return sorted(kept, key=lambda word: (-counts[word], word.encode()))[:max_vocab]


def distance_weight(window_weight: str, window: int, k: int) -> Fraction:
    return {"harmonic": Fraction(1, k), "uniform": Fraction(1), "dynamic": Fraction(window - k + 1, window)}[window_weight]


def cooccurrences(
    documents: Sequence[Sequence[str]],
    words: Sequence[str],
    window: int,
    window_weight: str,
    context_side: str,
    positional: bool = False,
    oov_gap: str = "drop",
) -> dict[tuple[int, int], Fraction]:
    """Counts by (row of the centre, column of the context); words not in `words` are dropped or leave a gap."""
    row = {word: i for i, word in enumerate(words)}
    distances = [
        k for k in range(-window, window + 1) if (k < 0 and context_side != "right") or (k > 0 and context_side != "left")
    ]
    counts: dict[tuple[int, int], Fraction] = {}
    for document in documents:
        known = [row.get(word) for word in document if word in row or oov_gap == "keep"]
        for p, centre in enumerate(known):
            for slot, k in enumerate(distances):
                if centre is None or not 0 <= p + k < len(known) or known[p + k] is None:
                    continue
                column = known[p + k] * len(distances) + slot if positional else known[p + k]
                counts[centre, column] = counts.get((centre, column), Fraction(0)) + distance_weight(
                    window_weight, window, abs(k)
                )
    return counts

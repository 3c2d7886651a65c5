"""Functions that training and using a classifier share: prefixes of labels, input rows of words, and kept n-grams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import rules
from cooc_engine._kernels.lines import Lines
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError
from cooc_engine.models.subwords import Subwords
from cooc_engine.runtime.offsets import offsets_of
from cooc_engine.runtime.types import Mask, Offsets, Rows, WordIds

__all__ = ["CLAMP", "OUTPUTS", "check_kept", "have_prefix", "kept_bits", "most_inputs", "rows_of_words"]

CLAMP = 8.0  # beyond this, fastText's program takes σ as 0 or 1
OUTPUTS = {"softmax": rules.ALL, "hs": rules.PATH, "ns": rules.NOISE, "ova": rules.EACH}
LISTED, LISTED_EACH = 1 << 24, 64  # buckets of a set at most, and how many more for each that was kept


def have_prefix(words: Vocabulary, prefix: bytes) -> Mask:
    """Tell which words begin with a prefix."""
    begins, sizes = words.offsets[:-1], np.diff(words.offsets)
    found = sizes >= len(prefix)
    for place, byte in enumerate(prefix):
        found[found] = words.text[begins[found] + place] == byte
    return found


def rows_of_words(
    words: Vocabulary, kinds: npt.NDArray[np.int32], first: int, subwords: Subwords, kept: Rows | None = None
) -> tuple[Offsets, npt.NDArray[np.int32]]:
    """Return starts and input rows of words: each word's own, if it has one, and those of its subwords, from row `first` on.

    `kept` has the buckets with a row, or is None if all have one.
    """
    listed = subwords.rows(words) if kept is None else subwords.rows(words).among(kept)
    own = kinds >= 0
    rows = np.insert(listed.rows + first, listed.starts[:-1][own], kinds[own]).astype(np.int32)
    return listed.starts + offsets_of(own), rows


def check_kept(path: Path, kept: Rows | None, buckets: int) -> None:
    """Raise `FormatError` if an n-gram that was kept has no bucket, or if a bit for each bucket would be out of proportion."""
    if kept is None:
        return
    if len(kept) and kept[-1] >= buckets:
        raise FormatError(f"{path}: keeps the n-grams of bucket {kept[-1]:,}, but has {buckets:,} buckets; train again")
    most = LISTED + LISTED_EACH * len(kept)
    if buckets > most:
        raise FormatError(
            f"{path}: keeps {len(kept):,} n-grams of {buckets:,} buckets, and of at most {most:,} would it be read; "
            "train with fewer --buckets"
        )


def kept_bits(kept: Rows | None, buckets: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Return which buckets were kept, as `Lines.kept` and `Lines.ranks`; both are empty if all were."""
    words = 0 if kept is None else -(-buckets // 64)
    bits, ranks = np.zeros(words, np.uint64), np.zeros(words, np.int32)
    if kept is not None:
        np.bitwise_or.at(bits, kept >> 6, np.uint64(1) << (kept & 63).astype(np.uint64))
        ranks[:] = np.searchsorted(kept, 64 * np.arange(words))
    return bits, ranks


def most_inputs(lines: Lines, ids: WordIds, offsets: Offsets) -> int:
    """Return an upper bound of the number of input rows of a line; line i has the words ids[offsets[i]:offsets[i + 1]]."""
    longest = int(np.diff(offsets).max(initial=0))
    most = longest
    if len(lines.starts):
        sizes = np.diff(lines.starts)
        ends = offsets_of(np.where(ids >= 0, sizes[ids], 0))
        most = int(np.diff(ends[offsets]).max(initial=0))
    return most + 1 + min(lines.ngrams - 1, longest) * (longest + 1)

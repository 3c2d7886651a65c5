"""The ids of documents: what a column of the text says, or else the numbers of the lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary import Vocabulary

__all__ = ["document_ids"]


def document_ids(corpus: Corpus) -> Vocabulary:
    """Return the ids of the documents of a corpus, in the order of the text, with the number of tokens of each as its count."""
    lengths = [np.diff(corpus.shard(number).offsets) for number in range(corpus.shards)]
    text, offsets = line_numbers(corpus.documents)
    return Vocabulary(text, offsets, np.concatenate([*lengths, np.empty(0, np.int64)]))


def line_numbers(count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the numbers 1 to `count` as text, one after another, and where each begins and the last one ends."""
    texts, lengths = [np.empty(0, np.uint8)], [np.zeros(1, np.int64)]
    for digits in range(1, len(str(count)) + 1):
        numbers = np.arange(10 ** (digits - 1), min(10**digits, count + 1))
        text = np.empty((len(numbers), digits), np.uint8)
        for place in range(digits):
            text[:, digits - 1 - place] = ord("0") + numbers // 10**place % 10
        texts.append(text.reshape(-1))
        lengths.append(np.full(len(numbers), digits))
    return np.concatenate(texts), np.cumsum(np.concatenate(lengths))

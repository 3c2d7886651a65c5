"""A corpus as ELMo trains on it: which documents are held out, and in which order each epoch reads the others.

Everything is drawn from the seed, the epoch and the shard, so it can be drawn again when a training is resumed.
"""

from __future__ import annotations

import numpy as np

from cooc_engine.contextual.characters import MARKS
from cooc_engine.contextual.stream import Stream
from cooc_engine.corpus.directory import Corpus
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.runtime.types import Counts, Rows

__all__ = ["DROPOUT", "Text", "softmax_counts"]

HELD_OUT_SHARE = 0.01
LONG = 500  # least number of places in a row of held-out text, if there is more than one row
SHARDS, DOCUMENTS, HELD_OUT, DROPOUT = range(4)  # each kind of draw has its own stream of random numbers


def softmax_counts(corpus: Corpus, most: int) -> Counts:
    """Return how often each row of the softmax is a target, but at least 1.

    The rows are those of the marks and of the first words of the vocabulary: `most`, or fewer if the vocabulary is small.
    """
    words = corpus.counts[: most - len(MARKS)]
    unknown = corpus.tokens - int(words.sum())
    counts: Counts = np.maximum(np.concatenate([np.array([corpus.documents, corpus.documents, unknown]), words]), 1)
    return counts


class Text:
    """The documents of a corpus that are trained on, and those that are held out.

    places    the number of places that an epoch reads, a few of them twice
    """

    def __init__(self, corpus: Corpus, options: ElmoOptions) -> None:
        """Divide a corpus; documents without words are left out."""
        self.corpus, self.seed, self.rows = corpus, options.seed % 2**63, options.batch
        self.share = min(HELD_OUT_SHARE, options.held_out / max(1, corpus.tokens))
        self.places = sum(self.stream(shard, 0).length for shard in range(corpus.shards)) * self.rows

    def order(self, epoch: int) -> list[int]:
        """Return the order of the shards in an epoch."""
        found: list[int] = self._random(SHARDS, epoch).permutation(self.corpus.shards).tolist()
        return found

    def stream(self, shard: int, epoch: int) -> Stream:
        """Return the documents of a shard to train on, in the order of an epoch."""
        documents = self._documents(shard, held_out=False)
        return Stream(self.corpus.shard(shard), self._random(DOCUMENTS, epoch, shard).permutation(documents), self.rows)

    def held_out(self, shard: int) -> Stream:
        """Return the held-out documents of a shard, in few rows if there is little text, since a row begins in mid-sentence."""
        whole = Stream(self.corpus.shard(shard), self._documents(shard, held_out=True), 1)
        return whole.in_rows(max(1, min(self.rows, whole.places // LONG)))

    def _documents(self, shard: int, *, held_out: bool) -> Rows:
        lengths = np.diff(self.corpus.shard(shard).offsets)
        chosen = self._random(HELD_OUT, shard).random(len(lengths)) < self.share
        return np.flatnonzero((lengths > 0) & (chosen == held_out))

    def _random(self, *what: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, *what]))

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cooc_engine.contextual.stream import Stream
from cooc_engine.contextual.text import Text, softmax_counts
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.shards import Shard
from cooc_engine.models.elmo_options import ElmoOptions

DOCUMENTS = [[5, 6], [], [7], [-1, 5, 5, 8], [9, 9, 9]]


def shard() -> Shard:
    ids = np.array([word for document in DOCUMENTS for word in document], np.int32)
    return Shard(ids, np.cumsum([0, *map(len, DOCUMENTS)]))


def pairs(order) -> list[tuple[int, int]]:
    """The places of documents, each as its two elements."""
    found = []
    for document in order:
        elements = [0, *(word + 3 for word in DOCUMENTS[document]), 1]
        found += itertools.pairwise(elements)
    return found


@pytest.mark.parametrize(("rows", "steps"), [(1, 4), (2, 3), (3, 20), (5, 1), (14, 2), (40, 5)])
def test_both_directions_read_the_same_places_from_opposite_ends(rows, steps):
    order = np.array([3, 0, 4, 2])
    stream, wanted = Stream(shard(), order, rows), pairs(order)
    assert stream.places == len(wanted) == 14
    batches = [stream.read(first, steps) for first in range(0, stream.length, steps)]
    inputs, targets = (np.concatenate(parts, 1) for parts in zip(*batches, strict=True))
    begins = [row * 14 // rows for row in range(rows)]
    for row, begin in enumerate(begins):
        own = wanted[begin : begin + stream.length]
        assert list(zip(inputs[0, :, row], targets[0, :, row], strict=True)) == own
        assert list(zip(targets[1, ::-1, row], inputs[1, ::-1, row], strict=True)) == own
    assert {place for begin in begins for place in range(begin, begin + stream.length)} == set(range(14))


def test_the_end_of_a_sentence_is_never_read_forward_nor_its_begin_backward():
    stream = Stream(shard(), np.array([0, 2, 3]), 2)
    batch = stream.read(0, stream.length)
    assert 1 not in batch.inputs[0]
    assert 0 not in batch.inputs[1]
    assert 0 not in batch.targets[0]
    assert 1 not in batch.targets[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("stream") / "text.txt"
    path.write_text("\n".join(" ".join(f"w{k}" for k in rng.geometric(0.1, rng.integers(0, 9))) for _ in range(3000)))
    return encode(path, path.with_name("corpus"), EncodeOptions(min_count=2))


def test_every_document_is_trained_on_or_held_out(corpus):
    text, whole = Text(corpus, ElmoOptions(batch=1)), Text(corpus, ElmoOptions(batch=1, held_out=0))
    trained, held = text.stream(0, 0), text.held_out(0)
    assert held.places + trained.places == whole.stream(0, 0).places
    assert 0.005 < held.places / trained.places < 0.015
    assert whole.held_out(0).places == 0
    assert whole.places == corpus.tokens + int((np.diff(corpus.shard(0).offsets) > 0).sum())


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides(corpus):
    def targets(seed: int, epoch: int) -> np.ndarray:
        stream = Text(corpus, ElmoOptions(batch=4, seed=seed)).stream(0, epoch)
        return stream.read(0, stream.length).targets

    first = targets(1, 0)
    np.testing.assert_array_equal(first, targets(1, 0))
    assert not np.array_equal(first, targets(1, 1))
    assert not np.array_equal(first, targets(2, 0)[:, : first.shape[1]])


def test_counts_of_the_softmax_are_those_of_its_targets(corpus):
    stream = Text(corpus, ElmoOptions(batch=1, held_out=0)).stream(0, 0)
    targets = stream.read(0, stream.length).targets[0].ravel()
    seen = np.bincount(np.where(targets < 9, targets, 2), minlength=9)
    counts = softmax_counts(corpus, 9)
    np.testing.assert_array_equal(counts[2:], seen[2:])
    assert counts[0] == counts[1] == corpus.documents
    assert len(softmax_counts(corpus, 10_000)) == len(corpus.vocabulary) + 3

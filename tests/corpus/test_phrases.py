"""Phrases: pairs by the score of word2phrase, joined from left to right, exactly, in any budget."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine.corpus import encode as corpus_module
from cooc_engine.corpus import first_pass, phrases
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.storage.arrays import load_array


def joined(documents, passes: int, min_count: int, threshold: float):
    """The twin: documents of words, with None for those below min_count."""
    for _ in range(passes):
        counts = Counter(w for text in documents for w in text if w)
        documents = [[w if w and counts[w] >= min_count else None for w in text] for text in documents]
        counts = Counter(w for text in documents for w in text if w)
        pairs = Counter((a, b) for text in documents for a, b in itertools.pairwise(text) if a and b)
        n = sum(map(len, documents))
        keep = {(a, b) for (a, b), ab in pairs.items() if (ab - min_count) * n / (counts[a] * counts[b]) > threshold}
        result = []
        for text in documents:
            words, p = [], 0
            while p < len(text):
                pair = tuple(text[p : p + 2])
                words.append("_".join(pair) if pair in keep else text[p])
                p += 2 if pair in keep else 1
            result.append(words)
        documents = result
    counts = Counter(w for text in documents for w in text if w)
    return [[w if w and counts[w] >= min_count else None for w in text] for text in documents]


def decoded(corpus: Corpus):
    words, documents = [*corpus.vocabulary.words, None], []
    for number in range(corpus.shards):
        shard = corpus.shard(number)
        for a, b in zip(shard.offsets[:-1], shard.offsets[1:], strict=True):
            documents.append([words[i] for i in shard.ids[a:b]])
    return documents


WORDS = st.lists(st.lists(st.sampled_from("abcde"), max_size=14), min_size=1, max_size=8).filter(any)


@given(
    documents=WORDS, passes=st.integers(1, 3), min_count=st.integers(1, 2), threshold=st.sampled_from([0, 0.4, 1, 3]),
    piece=st.integers(1, 9), room=st.integers(1, 400),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_phrases_are_the_twins(tmp_path_factory, documents, passes, min_count, threshold, piece, room):
    """In pieces and ranges of any size."""
    wanted = joined(documents, passes, min_count, threshold)
    options = EncodeOptions(min_count=min_count, phrases=passes, phrase_threshold=threshold)
    if not any(w for text in wanted for w in text):
        with pytest.raises(InputError, match="min_count"):
            encode_documents(documents, tmp_path_factory.mktemp("phrases") / "c", options)
        return
    real = phrases.join_phrases
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_pass, "PIECE_TOKENS", piece)
        patch.setattr(corpus_module, "join_phrases", lambda d, t, v, n, o, _, p: real(d, t, v, n, o, room, p))
        corpus = encode_documents(documents, tmp_path_factory.mktemp("phrases") / "c", options, threads=2)
    assert decoded(corpus) == wanted
    counts = Counter(w for text in wanted for w in text if w)
    assert corpus.vocabulary.words == sorted(counts, key=lambda w: (-counts[w], w.encode()))
    assert corpus.vocabulary.counts.tolist() == [counts[w] for w in corpus.vocabulary.words]
    assert corpus.tokens == sum(map(len, wanted))
    assert corpus.documents == len(documents)
    assert not list(corpus.path.glob("*.spool"))


def test_new_york_times(tmp_path):
    rng = np.random.default_rng(1)
    fill = [f"w{k}" for k in range(50)]
    documents = [[*rng.choice(fill, 20), "new", "york", "times", *rng.choice(fill, 20)] for _ in range(30)]
    documents += [["new", *rng.choice(fill, 20)] for _ in range(10)]
    two = encode_documents(documents, tmp_path / "2", EncodeOptions(phrases=2, phrase_threshold=20))
    assert "new_york_times" in two.vocabulary
    assert "york" not in two.vocabulary
    assert two.counts[two.vocabulary.ids["new"]] == 10
    one = encode_documents(documents, tmp_path / "1", EncodeOptions(phrases=1, phrase_threshold=20, max_vocab=3))
    assert len(one.vocabulary) == 3
    assert one.vocabulary.counts[0] == max(c for c in one.counts)
    assert load_array(one.path / "vocab-counts.bin", np.int64).sum() == one.manifest["tokens_in_vocabulary"]


def test_words_that_are_given_are_not_joined(tmp_path):
    first = encode_documents([["a", "b"]], tmp_path / "a", EncodeOptions(min_count=1))
    with pytest.raises(UsageError, match="phrases and vocabulary cannot be combined"):
        encode_documents([["a", "b"]], tmp_path / "b", EncodeOptions(vocabulary=str(first.path), phrases=1))

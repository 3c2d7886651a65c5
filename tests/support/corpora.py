"""Encoded corpora as tests read them back."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from twins import encoding as naive

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.options import EncodeOptions

ALL = EncodeOptions(min_count=1)


def read_back(corpus: Corpus) -> naive.Encoded:
    """Everything that an encoded corpus holds."""
    vocabulary, docs = corpus.vocabulary, []
    for number in range(corpus.shards):
        shard = corpus.shard(number)
        docs += [shard.ids[a:b].tolist() for a, b in zip(shard.offsets, shard.offsets[1:], strict=False)]
    return naive.Encoded([word.encode() for word in vocabulary.words], vocabulary.counts.tolist(), docs)


def assert_twin(corpus: Corpus, docs, options: EncodeOptions = ALL) -> None:
    wanted = naive.encode(docs, options.min_count, options.max_vocab)
    assert read_back(corpus) == wanted
    assert corpus.documents == len(docs)
    assert corpus.tokens == sum(map(len, docs))
    assert corpus.manifest["tokens_in_vocabulary"] == sum(wanted.counts)
    assert corpus.manifest["vocabulary"]["words"] == len(wanted.words)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


BOM_OR_NOT = st.sampled_from([b"", b"", naive.BOM])

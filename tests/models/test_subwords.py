"""Subwords against their twin, and against fastText's own package."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twins import subwords as naive

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError
from cooc_engine.models.file import ModelData, open_model, save_model
from cooc_engine.models.subwords import Subwords, word_hashes

WRITTEN = [
    "", "a", "where", "</s>", "<", "<>", "aaaa", "\x00", "ﬁ", "x" * 70, "中国", "ภาษาไทย", "हिन्दी",
    "\U0001f469\u200d\U0001f467", "e\u0301te\u0301", "\u0301",
]  # fmt: skip
WORDS = st.lists(st.sampled_from(WRITTEN) | st.text(max_size=9), max_size=6)
SIZES = st.tuples(st.integers(0, 4), st.integers(0, 7), st.sampled_from([1, 7, 1000, 2**21, 2**31 - 1]))


def stored(words: list[bytes]) -> Vocabulary:
    """Words of any bytes."""
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return Vocabulary(np.frombuffer(b"".join(words), np.uint8), offsets, np.zeros(len(words), np.int64))


def listed(words: Vocabulary | list[str], subwords: Subwords) -> list[list[int]]:
    starts, rows = subwords.rows(words)
    return [rows[a:b].tolist() for a, b in itertools.pairwise(starts)]


@example([b"", b"</s>", b"<s/>", b"</s>"], (3, 6, 1000))
@given(st.lists(st.binary(max_size=9) | WORDS.map(lambda words: "".join(words).encode()), unique=True, max_size=6), SIZES)
def test_rows_of_any_bytes_are_the_twins(words, sizes):
    min_n, max_n, buckets = sizes
    wanted = [[naive.fnv(ngram) % buckets for ngram in naive.ngrams(word, min_n, max_n)] for word in words]
    assert listed(stored(words), Subwords(*sizes)) == wanted
    assert word_hashes(stored(words)).tolist() == [naive.fnv(word) for word in words]


@given(st.sampled_from(WRITTEN) | st.text(max_size=9), SIZES)
def test_ngrams_of_a_word_are_the_twins(word, sizes):
    found, rows = Subwords(*sizes).of(word)
    assert [ngram.encode() for ngram in found] == naive.ngrams(word.encode(), *sizes[:2])
    assert listed([word], Subwords(*sizes)) == [rows.tolist()]


def test_words_read_a_piece_at_a_time(monkeypatch):
    words = [f"wört{k}" for k in range(50)]
    wanted = listed(words, Subwords(3, 6, 1000))
    monkeypatch.setattr("cooc_engine.corpus.vocabulary.PIECE_WORDS", 7)
    assert listed(words, Subwords(3, 6, 1000)) == wanted
    assert listed(Vocabulary.from_words(words, range(50, 0, -1)), Subwords(3, 6, 1000)) == wanted


def test_invalid_bytes_of_the_command_line_are_themselves_again():
    escaped = b"caf\xe9".decode(errors="surrogateescape")
    ngrams, rows = Subwords(2, 3, 100).of(escaped)
    wanted = naive.ngrams(b"caf\xe9", 2, 3)
    assert [ngram.encode(errors="surrogateescape") for ngram in ngrams] == wanted
    assert rows.tolist() == [naive.fnv(ngram) % 100 for ngram in wanted]
    assert Subwords(2, 3, 100).of("\ud800")[0]  # no byte of any text, and no error


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Models of the package, by their n-grams; each has the words of one text, and trains on none."""
    fasttext = pytest.importorskip("fasttext")
    text = tmp_path_factory.mktemp("subwords") / "text.txt"
    text.write_text("where where\n")

    def make(min_n: int, max_n: int, buckets: int):
        how = {"minCount": 1, "dim": 1, "epoch": 1, "thread": 1, "verbose": 0}
        return fasttext.train_unsupervised(str(text), minn=min_n, maxn=max_n, bucket=buckets, **how)

    return {sizes: make(*sizes) for sizes in [(3, 6, 20000), (1, 3, 997), (2, 2, 64), (0, 0, 64)]}


@given(st.data())
def test_ngrams_are_those_of_fasttexts_package(programs, data):
    sizes, program = data.draw(st.sampled_from(sorted(programs.items(), key=lambda item: item[0])))
    word = data.draw(st.sampled_from(WRITTEN) | st.text(max_size=12))
    texts, rows = program.get_subwords(word)
    own = int(word in program.words)  # such a word's own row comes first
    found = Subwords(*sizes).of(word)
    assert (found[0], (found[1] + len(program.words)).tolist()) == (texts[own:], rows[own:].tolist())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"min_n": None}, "element config: min_n is null; it must be a whole number"),
        ({"max_n": 2**62}, "element config: max_n is .*; it must be below 64"),
        ({"buckets": 9}, "element config: 9 buckets, but 4 rows of n-grams"),
        ({"mode": "floret", "hashes": 10**9}, "element config: hashes is 1000000000; it must be below 5"),
    ],
)
def test_ngrams_that_a_record_does_not_describe_are_refused(tmp_path, changes, says):
    """It is what a forger wrote: no row is looked for beyond the matrix, and no n-gram made without end."""
    two, four = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    arrays, vocabulary = {"words": two, "own": two, "subwords": four}, Vocabulary.from_words(["a", "b"], [2, 1])
    config = {"train": {"min_n": 2, "max_n": 3, "buckets": 4, **changes}}
    save_model(tmp_path / "m.h5", ModelData("fasttext", vocabulary, arrays, "w", config, {}))
    with pytest.raises(FormatError, match=says):
        open_model(tmp_path / "m.h5").subwords  # noqa: B018 -- read when it is asked for

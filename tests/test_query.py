"""Queries against a slow twin, gensim's habits, bounded memory."""

from __future__ import annotations

import tracemalloc

import naive_vectors as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine import query
from cooc_engine.errors import CoocError, FormatError, InputError, UnknownWordError, UsageError
from cooc_engine.modelfile import ModelData, save_model
from cooc_engine.query import Vectors, nn
from cooc_engine.vocab import Vocabulary


def make_vectors(size: int = 300, width: int = 7, seed: int = 0) -> Vectors:
    matrix = np.random.default_rng(seed).normal(size=(size, width)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(size)], matrix)


def assert_answers(kv: Vectors, question, answers, wanted) -> None:
    """The same cosines in the same order, each that of its word; words that tie but for rounding may swap."""
    assert [value for _, value in answers] == pytest.approx([cosine for _, cosine in wanted], abs=2e-6)
    assert [naive.cosine(kv[word], question) for word, _ in answers] == pytest.approx([v for _, v in answers], abs=2e-6)
    assert len({word for word, _ in answers}) == len(answers)


# -------------------------------------------------------------------------------------------------------- access


def test_gensim_habits():
    kv = make_vectors()
    assert len(kv) == 300 and kv.vector_size == 7
    assert kv.index_to_key[3] == "w3" and kv.key_to_index["w3"] == 3 and list(kv)[:2] == ["w0", "w1"]
    assert "w3" in kv and "nothing" not in kv
    assert np.array_equal(kv["w3"], kv.vectors[3])
    assert np.array_equal(kv[["w3", "w1"]], kv.vectors[[3, 1]])
    assert kv.similarity("w3", "w8") == pytest.approx(naive.cosine(kv["w3"], kv["w8"]), abs=1e-12)
    assert kv.similarity("w3", "w3") == 1
    assert kv.most_similar("w3", topn=4) == kv.most_similar(positive=["w3"], topn=4)


def test_opened_from_a_file(tmp_path):
    kv = make_vectors(20)
    zeros = np.zeros(20)
    arrays = {"words": kv.vectors, "contexts": kv.vectors * 2, "word_bias": zeros, "context_bias": zeros}
    vocabulary = Vocabulary.from_words(kv.index_to_key, range(40, 20, -1))
    save_model(tmp_path / "m.h5", ModelData("glove", vocabulary, arrays, "w+c", {}, {}))
    opened = Vectors.open(tmp_path / "m.h5")
    assert opened.vocabulary is not None and opened.vocabulary.counts[0] == 40
    assert np.array_equal(opened["w4"], kv["w4"] * 3)
    found = nn(tmp_path / "m.h5", ["w4", "w7"], topn=3)
    assert list(found) == ["w4", "w7"]
    assert_answers(kv, kv["w7"], found["w7"], naive.nearest(kv.vectors, kv.vectors[7], 3, [7]))
    with pytest.raises(UnknownWordError, match=r"m\.h5: 'W4' is not in the vocabulary; did you mean 'w4'\?"):
        nn(tmp_path / "m.h5", ["W4"])
    with pytest.raises(InputError, match="no such file"):
        nn(tmp_path / "none.h5", ["w4"])


def test_unknown_words():
    kv = Vectors(["the", "government", "Köln", "bank"], np.eye(4))
    for call in (lambda: kv["goverment"], lambda: kv.similarity("bank", "goverment"), lambda: kv[["goverment"]]):
        with pytest.raises(KeyError) as caught:
            call()
        assert isinstance(caught.value, CoocError) and caught.value.exit_code == 1
        assert str(caught.value) == "'goverment' is not in the vocabulary"
    for word, near in (("goverment", "government"), ("THE", "the"), ("köln", "Köln")):
        with pytest.raises(UnknownWordError) as caught:
            kv.most_similar(word)
        assert str(caught.value) == f"{word!r} is not in the vocabulary; did you mean {near!r}?"
    for word in ("zzz", ""):
        with pytest.raises(UnknownWordError, match=r"is not in the vocabulary$"):
            kv.neighbours([word])


def test_what_makes_no_sense():
    kv = make_vectors()
    with pytest.raises(UsageError, match="at least one word"):
        kv.most_similar()
    with pytest.raises(UsageError, match="topn is 0"):
        kv.most_similar("w1", topn=0)
    with pytest.raises(UsageError, match="vector of shape"):
        kv.most_similar(np.ones(3, np.float32))
    with pytest.raises(FormatError, match="2 words do not fit"):
        Vectors(["a", "b"], np.ones((3, 4)))
    with pytest.raises(FormatError, match="1 words do not fit"):
        Vectors(["a"], np.ones(4))


# ---------------------------------------------------------------------------------------------------- neighbours


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 400), width=st.integers(1, 9), topn=st.integers(1, 30), seed=st.integers(0, 99))
def test_neighbours_are_those_of_the_twin(size, width, topn, seed):
    kv = make_vectors(size, width, seed)
    words = kv.index_to_key[:: max(1, size // 7)]
    for word, answers in kv.neighbours(words, topn).items():
        row = kv.key_to_index[word]
        assert_answers(kv, kv[word], answers, naive.nearest(kv.vectors, kv[word], topn, [row]))
        assert word not in dict(answers)


@pytest.mark.parametrize(("queries", "block", "first"), [(1, 1, 1), (3, 7, 2), (256, 2048, 64)])
def test_blocks_do_not_matter(monkeypatch, queries, block, first):
    for name, value in (("QUERIES", queries), ("BLOCK", block), ("FIRST", first)):
        monkeypatch.setattr(query, name, value)
    kv = make_vectors(90)
    for word, answers in kv.neighbours(kv.index_to_key, 5).items():
        row = kv.key_to_index[word]
        assert_answers(kv, kv[word], answers, naive.nearest(kv.vectors, kv[word], 5, [row]))
        assert word not in dict(answers)


def test_most_similar_with_several_words_and_vectors():
    kv = make_vectors()
    given_vector = np.arange(7, dtype=np.float32)
    wanted = naive.unit(kv["w5"]) + naive.unit(given_vector) - naive.unit(kv["w9"])
    answers = kv.most_similar(positive=["w5", given_vector], negative="w9", topn=8)
    assert_answers(kv, wanted, answers, naive.nearest(kv.vectors, wanted, 8, [5, 9]))
    assert not {"w5", "w9"} & dict(answers).keys()
    scaled = Vectors(kv.index_to_key, kv.vectors * np.linspace(0.1, 9, 300)[:, None])
    assert [w for w, _ in scaled.most_similar(["w5", given_vector], "w9", topn=8)] == [w for w, _ in answers]


def test_analogy_is_3cosadd():
    kv = make_vectors()
    word, _ = kv.analogy("w1", "w2", "w3", topn=1)[0]
    assert kv.key_to_index[word] == naive.answer(kv.vectors, 1, 2, 3, multiply=False)


def test_planted_analogy():
    rng = np.random.default_rng(1)
    country, capital = rng.normal(size=(2, 20))
    places = rng.normal(size=(5, 20)) * 2
    matrix = np.concatenate([places + country, places + capital, rng.normal(size=(50, 20))])
    names = [f"country{i}" for i in range(5)] + [f"capital{i}" for i in range(5)] + [f"x{i}" for i in range(50)]
    assert Vectors(names, matrix).analogy("country1", "capital1", "country3")[0][0] == "capital3"


def test_ties_are_in_order_of_rows_and_zeros_are_nobodys_neighbour():
    matrix = np.zeros((400, 2))
    matrix[[3, 100, 250, 399]] = [1, 0]
    matrix[7] = [-1, 0]
    kv = Vectors([f"w{i}" for i in range(400)], matrix)
    assert kv.most_similar("w250", topn=3) == [("w3", 1.0), ("w100", 1.0), ("w399", 1.0)]
    assert kv.most_similar("w0", topn=3) == [("w1", 0.0), ("w2", 0.0), ("w3", 0.0)]
    assert kv.most_similar("w3", topn=999)[-1] == ("w7", -1.0)
    assert kv.similarity("w0", "w3") == 0
    assert len(kv.most_similar("w3", topn=999)) == 399


@pytest.mark.parametrize("order", ["any", "rising"])
def test_memory_is_bounded(order):
    """64 MB at most, even if every word is nearer than those before it, which makes every score a candidate."""
    kv = make_vectors(40_000, 16)
    one = kv.vectors[0].copy()
    if order == "rising":
        kv.vectors = kv.vectors[np.argsort(kv.vectors @ one * kv.inverse_norms)].copy()
        del kv.inverse_norms
    queries = np.repeat(one[None, :], 300, axis=0)
    tracemalloc.start()
    try:
        kv.nearest(queries, 10)
        peak = tracemalloc.get_traced_memory()[1]
        assert peak < 64 << 20
    finally:
        tracemalloc.stop()
